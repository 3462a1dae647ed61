"""A square of the latent space to walk over, beside the same walk between pixels."""

import numpy as np
import traitlets as t

from dgmlite import checks
from dgmlite.information import _array
from dgmlite.widgets.base import Widget, finite, names, packed, sentence

LARGEST = 350_000  # characters of pictures; with its code, the widget then takes less than 400 kB of a notebook
_CORNERS = ["top left", "top right", "bottom left", "bottom right"]


class LatentPad(Widget):
    """Walk over a square of the latent space and see the decoded picture; beside it, the same place between pixels.

    Task: walk from one digit to another; is the mixture of pixels more surprising than both ends? Is the latent path?

    images: (R, R, H, W), integer levels of the decoded picture at each point of an R × R mesh, R ≤ 25, H and W ≤ 32,
    entry [0, 0] top left, row by row. anchors: (4, H, W), the pictures that the corners stand for, by default those of
    `images`; the order is top left, top right, bottom left, bottom right. compare: like images, the mixtures of pixels
    at the same places. scores and compare_scores: (R, R), −log p of each picture under the model, in nats; kind: what
    sort of number these are, "exact" or "upper bound". corners: four short names. levels: 17 for 0 … 16. task: the
    sentence above the picture; "" for none.

    Only the pictures at the points of the mesh are the model's: the nearest is shown, nothing between. Scores travel as
    float32. `place`, [row, column], follows the learner. Raises ValueError or TypeError for what does not fit.
    Kingma & Dhariwal (2018), Glow (arXiv:1807.03039), figure 5, for walks between pictures.

    >>> LatentPad(np.zeros((5, 5, 8, 8), int), corners=["3", "8", "5", "0"])
    LatentPad(shape=[8, 8], size=5, corners=['3', '8', '5', '0'], place=[0, 0])
    """

    shape = t.List(t.Int()).tag(sync=True)
    size = t.Int().tag(sync=True)
    levels = t.Int().tag(sync=True)
    images = t.Unicode(help="Base64 of a byte for each pixel, as are the next two.").tag(sync=True)
    compare = t.Unicode().tag(sync=True)
    anchors = t.Unicode().tag(sync=True)
    scores = t.Unicode(help="Base64 of float32, as is the next.").tag(sync=True)
    compare_scores = t.Unicode().tag(sync=True)
    kind = t.Unicode().tag(sync=True)
    corners = t.List(t.Unicode()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    place = t.List(t.Int(), [0, 0]).tag(sync=True)
    _script, _shown = "pad.js", ("shape", "size", "corners", "place")
    _css = Widget._css + (
        ".dgm-corner { display: inline-flex; gap: .4em; align-items: center; }\n"
        ".dgm-curve { fill: none; stroke: color-mix(in srgb, var(--c) 80%, var(--ink)); stroke-width: 2; }\n"
    )

    def __init__(
        self, images=None, anchors=None, compare=None, scores=None, compare_scores=None, corners=None, levels=17,
        kind="exact", task=None,
    ):  # fmt: skip
        levels = checks.positive_int("levels", levels, 2)
        images = _pictures("images", _example(levels) if images is None else images, levels)
        R, (H, W) = len(images), images.shape[-2:]
        if images.ndim != 4 or images.shape[1] != R or not (2 <= R <= 25 and max(H, W) <= 32):
            raise ValueError(f"images must have shape (R, R, H, W), 2 ≤ R ≤ 25, H and W at most 32, got {images.shape}")
        ends = images[[0, 0, -1, -1], [0, -1, 0, -1]]
        anchors = ends if anchors is None else _pictures("anchors", anchors, levels, ends.shape)
        compare = None if compare is None else _pictures("compare", compare, levels, images.shape)
        if compare_scores is not None and (compare is None or scores is None):
            raise ValueError("compare_scores are those of compare, beside scores: give compare and scores too")
        if kind not in ("exact", "upper bound"):
            raise ValueError(f'kind must be "exact" or "upper bound", got {kind!r}')
        corners = names("corners", corners, 4, _CORNERS)
        if compare_scores is not None:
            question = "is the mixture of pixels anywhere more surprising than both ends? And the latent path?"
        elif scores is not None:
            question = "is a picture on the way anywhere more surprising than both ends?"
        else:
            question = "which pictures on the way would you still call digits?"
        task = sentence(task, f"Walk from {corners[0]} to {corners[1]} along the upper edge: {question}")
        pictures = {"images": packed(images, "u1"), "anchors": packed(anchors, "u1")}
        pictures["compare"] = "" if compare is None else packed(compare, "u1")
        total = sum(map(len, pictures.values()))
        if total > LARGEST:
            raise ValueError(
                f"images and compare must be small enough for a notebook, {LARGEST // 1000} kB, got {total // 1000}; "
                "take a coarser mesh"
            )
        super().__init__(
            shape=[H, W],
            size=R,
            levels=levels,
            scores=_scores("scores", scores, R),
            compare_scores=_scores("compare_scores", compare_scores, R),
            kind=kind,
            corners=corners,
            task=task,
            **pictures,
        )


def _example(levels: int) -> np.ndarray:
    """A bar that turns and moves over the square: what is shown when nothing is given."""
    across = np.linspace(-1, 1, 8)
    y, x, v, u = np.meshgrid(across, across, np.linspace(-0.5, 0.5, 5), np.linspace(0, np.pi / 2, 5), indexing="ij")
    bar = np.exp(-9 * ((x * np.cos(u) + y * np.sin(u)) - v) ** 2)  # (H, W, R, R)
    return np.round(bar.transpose(2, 3, 0, 1) * (levels - 1)).astype(int)


def _pictures(what: str, given, levels: int, shape: tuple[int, ...] | None = None) -> np.ndarray:
    pictures = _array(given, what)
    if pictures.ndim < 3 or pictures.size == 0 or (shape and pictures.shape != shape):
        raise ValueError(f"{what} must have shape {shape or '(R, R, H, W)'}, got {pictures.shape}")
    if pictures.dtype.kind not in "iu" or levels > 256 or pictures.min() < 0 or pictures.max() >= levels:
        raise ValueError(
            f"{what} must hold integer levels 0..{levels - 1}, at most 256 of them, got {pictures.dtype} from "
            f"{pictures.min():g} to {pictures.max():g}; round and clip what a model decodes"
        )
    return pictures


def _scores(what: str, given, R: int) -> str:
    if given is None:
        return ""
    scores = finite(what, given)
    if scores.shape != (R, R):
        raise ValueError(f"{what} must have shape ({R}, {R}), one number for each picture, got {scores.shape}")
    return packed(scores)
