"""The house style: colours, image grids, densities, curves, and a display that updates in place."""

import math
import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dgmlite import checks

# Okabe & Ito (2008): eight colours that people with any common colour blindness can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"


def house_style() -> None:
    """Set matplotlib's defaults to the course's: large enough for the last row, quiet axes, safe colours."""
    plt.rcParams.update(
        {
            "axes.prop_cycle": plt.cycler(
                color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY],
                linestyle=["-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1))],
            ),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "figure.figsize": (6.4, 3.4),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "image.cmap": "gray_r",
            "legend.frameon": False,
            "lines.linewidth": 2,
        }
    )


def images(x: torch.Tensor, levels: int, columns: int = 10, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw a batch of integer images (B, 1, H, W) as one grid, white for level 0, black for levels − 1."""
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"x must be a torch tensor, got {type(x).__name__}; torch.as_tensor(x) makes one")
    if x.dim() != 4 or x.shape[1] != 1 or not len(x):
        raise ValueError(f"x must have shape (B, 1, H, W), B ≥ 1, got {tuple(x.shape)}; one image needs x[None]")
    levels, columns = checks.positive_int("levels", levels, 2), checks.positive_int("columns", columns)
    b, _, h, w = x.shape
    rows = math.ceil(b / columns)
    grid = np.full((rows * (h + 1) + 1, columns * (w + 1) + 1), np.nan)
    for i, image in enumerate(x[:, 0].cpu().numpy()):
        r, c = divmod(i, columns)
        grid[r * (h + 1) + 1 : (r + 1) * (h + 1), c * (w + 1) + 1 : (c + 1) * (w + 1)] = image
    if ax is None:
        _, ax = plt.subplots(figsize=(min(columns, 14) * 0.62, rows * 0.62 + 0.35 * bool(title)))
    ax.imshow(grid, vmin=0, vmax=levels - 1, interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title, facecolor="#dfe7ee")
    ax.spines[:].set_visible(False)
    return ax


def density(log_prob, bounds: tuple[float, float, float, float], ax: Axes | None = None, points: int = 200) -> Axes:
    """Shade a 2-D density over bounds = (x_low, x_high, y_low, y_high); log_prob maps (n, 2) to (n,) in nats."""
    x0, x1, y0, y1 = bounds
    xs, ys = torch.linspace(x0, x1, points), torch.linspace(y0, y1, points)
    with torch.no_grad():
        p = log_prob(torch.cartesian_prod(xs, ys)).exp().reshape(points, points).T.cpu().numpy()
    ax = ax or plt.subplots(figsize=(4, 4))[1]
    ax.imshow(p, origin="lower", extent=bounds, cmap="Blues", aspect="equal")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    return ax


def curves(history, ax: Axes | None = None) -> Axes:
    """Draw the training and validation losses of a `History` in nats, the chosen epoch marked; a game's by player."""
    ax = ax or plt.subplots()[1]
    epochs = np.arange(1, len(history.train) + 1)
    players = {player: None for loss in history.train if isinstance(loss, dict) for player in loss}
    for player in players:  # one that had no turn in an epoch has no loss there
        ax.plot(epochs, [loss.get(player, math.nan) for loss in history.train], label=player)
    if not players:
        ax.plot(epochs, history.train, label="train")
    if history.valid:
        ax.plot(epochs, history.valid, label="validation")
        ax.plot(history.best_epoch, min(history.valid), "o", color=RED, label="kept")
    ax.set(xlabel="epoch", ylabel="loss (nats per example)")
    ax.legend()
    return ax


class Live:
    """One output that is replaced in place: a text line or a figure in a notebook, one stderr line in a terminal.

    >>> live = Live()
    >>> live.update("training 1/2 epochs"); live.close("training 2/2 epochs")  # doctest: +SKIP
    """

    def __init__(self):
        ipython = sys.modules.get("IPython")
        shell = ipython and ipython.get_ipython()
        self._notebook = hasattr(shell, "kernel")
        self._handle = None

    def update(self, content: str | Figure) -> None:
        """Show content instead of what was shown before. Figures are shown in notebooks only, and closed."""
        if isinstance(content, Figure):
            plt.close(content)
        if self._notebook:
            from IPython.display import display

            raw = isinstance(content, str)
            shown = {"text/plain": content} if raw else content
            if self._handle is None:
                self._handle = display(shown, raw=raw, display_id=True)
            else:
                self._handle.update(shown, raw=raw)
        elif isinstance(content, str) and sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + content)
            sys.stderr.flush()

    def close(self, content: str | Figure) -> None:
        """Show the last content, which stays."""
        self.update(content)
        if not self._notebook and isinstance(content, str):
            sys.stderr.write("\n" if sys.stderr.isatty() else content + "\n")
