"""A flow as a motion: points and a mesh on their way from data to noise, and what each layer adds to a log-density."""

import math
from itertools import pairwise

import numpy as np
import traitlets as t

from dgmlite.information import _array
from dgmlite.widgets.base import Widget, finite, packed, sentence
from dgmlite.widgets.base import names as named

LARGEST = 350_000  # characters of numbers; with its code, the widget then takes less than 400 kB of a notebook
COLOURS = 6
_MOVES = (
    "x₁ and x₂ move", "coupling: x₂ moves, x₁ stays", "coupling: x₁ moves, x₂ stays", "nothing moves",
    "x₁ and x₂ change places",
)  # fmt: skip


class Morph(Widget):
    """Slide through the layers of a flow of 2-D data; see what each adds to the log-density of a point.

    Task: find a point whose log p(x) the layers raise far above log N(z), and one that they lower. Where do they lie?

    states: (L + 1, N, 2), where N ≤ 1000 points are after 0 … L ≤ 24 layers: 0 is the data, L the noise. names: one
    for each of the L layers, of up to 40 letters; by default what it moves. log_det: (L, N), log |det| of each layer at
    each point, data → noise, in nats. log_prob: (N,), the model's log p(x), only compared with log N(z; 0, I) + Σ log
    |det|. grid: (L + 1, G, G, 2), a mesh of G ≤ 41 lines each way that is carried along. labels: N colours 0 … 5; by
    default six sectors of the data around its mean. task: the sentence above the picture; "" for none.

    Between layers, points and colours are interpolated in a straight line: only whole layers are the model's. Numbers
    travel as float32. `position`, 0 … L, and `point` follow the learner. Raises ValueError or TypeError for what does
    not fit.
    Dinh et al. (2017), Density estimation using Real NVP (arXiv:1605.08803).

    >>> Morph(np.zeros((2, 5, 2)))
    Morph(names=['nothing moves'], position=0.0, point=0)
    """

    names = t.List(t.Unicode()).tag(sync=True)
    stays = t.List(t.Int(), help="For each layer: 1 if x₁ stays, 2 if x₂ does, 3 if both.").tag(sync=True)
    labels = t.Unicode(help="One digit for each point.").tag(sync=True)
    sectors = t.Bool(help="Labels are sectors of the data.").tag(sync=True)
    states = t.Unicode(help="Base64 of float32, as are the next two.").tag(sync=True)
    log_det = t.Unicode().tag(sync=True)
    grid = t.Unicode().tag(sync=True)
    task = t.Unicode().tag(sync=True)
    position = t.Float(0.0).tag(sync=True)
    point = t.Int(0).tag(sync=True)
    _script, _shown = "morph.js", ("names", "position", "point")
    _css = Widget._css + (
        ".dgm-dots, .dgm-dots-edge { fill: none; stroke: var(--c); stroke-width: 4.5; stroke-linecap: round; }\n"
        ".dgm-dots-edge { stroke: color-mix(in srgb, var(--c) 60%, var(--ink)); stroke-width: 6.5; }\n"
        ".dgm-mesh { fill: none; stroke: color-mix(in srgb, var(--ink) 42%, var(--paper)); stroke-width: 1; }\n"
        ".dgm-way { fill: none; stroke: var(--ink); stroke-width: 2; stroke-linejoin: round; }\n"
        ".dgm-moves { fill: none; stroke: var(--ink); stroke-opacity: .4; stroke-width: 1; }\n"
    )

    def __init__(self, states=None, names=None, log_det=None, log_prob=None, grid=None, labels=None, task=None):
        if states is None:
            states, log_det = _example()
        states = finite("states", states)
        if states.ndim != 3 or states.shape[2] != 2 or not (2 <= len(states) <= 25 and 1 <= states.shape[1] <= 1000):
            raise ValueError(
                "states must have shape (L + 1, N, 2), 1 to 24 layers and at most 1000 points, got "
                f"{states.shape}; torch.stack([x, *outputs]) of the layers' outputs makes one"
            )
        L, N = len(states) - 1, states.shape[1]
        log_det = (
            None if log_det is None else _shaped("log_det", log_det, (L, N), "one number for each layer and point")
        )
        if log_prob is not None:
            _compare(_shaped("log_prob", log_prob, (N,), "one number for each point"), states[-1], log_det)
        if grid is not None:
            grid = finite("grid", grid)
            if grid.ndim != 4 or not 2 <= grid.shape[1] <= 41 or grid.shape != (L + 1, grid.shape[1], grid.shape[1], 2):
                raise ValueError(f"grid must have shape ({L + 1}, G, G, 2), 2 ≤ G ≤ 41, got {grid.shape}")
        moves = [_moves(before, after) for before, after in pairwise(states)]
        task = sentence(
            task,
            "Which coordinate does each layer leave alone, and after which layer would you call the points noise?"
            if log_det is None
            else "Find the layer that adds most to the mean log |det|; then the point whose log p(x) the layers "
            "raise most above log N(z), and one that they lower. Where do such points lie?",
        )
        numbers = {name: "" if v is None else packed(v) for name, v in (("log_det", log_det), ("grid", grid))}
        numbers["states"] = packed(states)
        size = sum(map(len, numbers.values()))
        if size > LARGEST:
            raise ValueError(
                f"states, log_det and grid must be small enough for a notebook, {LARGEST // 1000} kB, got "
                f"{size // 1000}; take fewer points or a coarser grid"
            )
        given = named("names", names, L, [_MOVES[move] for move in moves])
        if max(map(len, given)) > 40:
            raise ValueError(f"names must have at most 40 letters each to be drawn, got {max(given, key=len)!r}")
        super().__init__(
            names=given,
            stays=[move % 4 for move in moves],
            labels="".join(map(str, _sectors(states[0]) if labels is None else _labels(labels, N))),
            sectors=labels is None,
            task=task,
            **numbers,
        )


def _example() -> tuple[np.ndarray, np.ndarray]:
    """A spiral, and two affine couplings that it runs through."""
    turn = np.linspace(0, 9, 200)
    a, b = np.cos(turn) * turn / 4, np.sin(turn) * turn / 4
    s = -0.3 * np.cos(2 * a)
    c = b * np.exp(s)
    return np.stack((np.stack((a, b), 1), np.stack((a, c), 1), np.stack((a * np.exp(0.4 * c), c), 1))), np.stack(
        (s, 0.4 * c)
    )


def _shaped(what: str, given, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    values = finite(what, given)
    if values.shape != shape:
        raise ValueError(f"{what} must have shape {shape}, {meaning}, got {values.shape}")
    return values


def _compare(log_prob: np.ndarray, z: np.ndarray, log_det: np.ndarray | None) -> None:
    if log_det is None:
        raise ValueError("log_prob is compared with the sum of log_det: give log_det too, or leave both out")
    error = abs(log_prob - log_det.sum(0) - (-0.5 * z**2 - 0.5 * math.log(2 * math.pi)).sum(1))
    if (error > 1e-3 + 1e-4 * abs(log_prob)).any():
        raise ValueError(
            f"log_prob must be log N(z; 0, I) + the sum of log_det, got numbers up to {error.max():.3g} nats away; are "
            "the log_det those of data → noise, one of each layer, and is z the last of states?"
        )


def _moves(before: np.ndarray, after: np.ndarray) -> int:
    """1 if x₁ stays, 2 if x₂, 3 if both, 4 if they change places, else 0; up to rounding."""
    close = 1e-6 * max(abs(before).max(), abs(after).max(), 1e-30)
    stays = (abs(after - before) <= close).all(0) @ [1, 2]
    return 4 if not stays and (abs(after - before[:, ::-1]) <= close).all() else int(stays)


def _sectors(x: np.ndarray) -> list[int]:
    """Which of six sectors around the mean each point lies in."""
    side = x - x.mean(0)
    turn = np.arctan2(side[:, 1], side[:, 0]) / (2 * np.pi)  # −½ … ½
    return ((turn + 0.5) * COLOURS).astype(int).clip(0, COLOURS - 1).tolist()


def _labels(labels, N: int) -> list[int]:
    result = _array(labels, "labels")
    if result.dtype.kind not in "iu" or result.shape != (N,) or result.min() < 0 or result.max() >= COLOURS:
        raise ValueError(f"labels must be {N} integers 0..{COLOURS - 1}, one for each point, got {labels!r:.60}")
    return result.tolist()
