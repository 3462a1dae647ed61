"""Which pixels each prediction sees, and the order in which a picture is made."""

import math

import numpy as np
import traitlets as t

from dgmlite.information import _array
from dgmlite.widgets.base import Widget, grid


class ReceptiveField(Widget):
    """Point at a pixel to see which pixels its prediction depends on; play, and the picture is made in order.

    Task: find a pixel of the past that the 3 × 3 PixelCNN never sees, however deep it is, and the network that leaks.

    fields: name → (D, D) matrix, entry [i, j] how strongly output i depends on input j, absolute gradients for example;
    only zero means "not at all". The D = rows · columns pixels are numbered in raster order. shape: (rows, columns).
    order: the order of generation, a permutation of 0 … D−1, or a dict with one for each name; by default raster.
    sample: D levels, a picture to make on the way. Shades show the square root of a strength, relative to the strongest
    of its output. `network` and `step`, the place in the order, follow the learner. Raises ValueError or TypeError for
    anything else. van den Oord et al. (2016), Conditional image generation with PixelCNN decoders, for the blind spot.

    >>> ReceptiveField({"all": np.tri(4, k=-1), "one": np.eye(4, k=-1)}, shape=(2, 2))
    ReceptiveField(names=['all', 'one'], network=0, step=2)
    """

    names = t.List(t.Unicode()).tag(sync=True)
    shape = t.List(t.Int()).tag(sync=True)
    shades = t.List(t.List(t.List(t.Int())), help="Square roots of strengths, in per cent.").tag(sync=True)
    orders = t.List(t.List(t.Int())).tag(sync=True)
    sample = t.List(t.Int()).tag(sync=True)
    network = t.Int(0).tag(sync=True)
    step = t.Int(0).tag(sync=True)
    initial = t.Int(0).tag(sync=True)
    _script, _shown = "field.js", ("names", "network", "step")

    def __init__(self, fields=None, shape=(4, 4), order=None, sample=None):
        shape = grid(shape)
        D = math.prod(shape)
        fields = {"all of the past": np.tri(D, k=-1)} if fields is None else fields
        if not isinstance(fields, dict) or not fields or not all(isinstance(name, str) for name in fields):
            raise TypeError(f"fields must be a dict from names to matrices, got {fields!r:.60}")
        order = order if isinstance(order, dict) else dict.fromkeys(fields, order)
        if set(order) != set(fields):
            raise ValueError(f"order must name the same networks as fields, got {list(order)} and {list(fields)}")
        super().__init__(
            names=list(fields),
            shape=list(shape),
            shades=[_shades(f"the field of {name!r}", matrix, D) for name, matrix in fields.items()],
            orders=[_order(order[name], D) for name in fields],
            sample=[] if sample is None else _levels(sample, D),
            step=D // 2,
            initial=D // 2,
        )


def _shades(what: str, matrix, D: int) -> list[list[int]]:
    """Percentages of the strongest in each row, under a square root; 0 for nothing only."""
    strength = _array(matrix, what)
    if strength.shape != (D, D):
        raise ValueError(f"{what} must have shape ({D}, {D}), outputs by inputs, got {strength.shape}")
    strength = strength.astype(float)
    if not np.isfinite(strength).all() or (strength < 0).any():
        raise ValueError(f"{what} must be finite without negative entries; take absolute values of gradients")
    most = strength.max(1, keepdims=True)
    return np.ceil(100 * np.sqrt(strength / np.where(most > 0, most, 1))).astype(int).tolist()


def _order(order, D: int) -> list[int]:
    result = np.arange(D) if order is None else _array(order, "order").ravel()
    if result.dtype.kind not in "iu" or sorted(result.tolist()) != list(range(D)):
        raise ValueError(f"order must list each of the {D} pixels once, from 0 to {D - 1}, got {order!r:.60}")
    return result.tolist()


def _levels(sample, D: int) -> list[int]:
    levels = _array(sample, "sample").ravel()
    if levels.dtype.kind not in "iu" or len(levels) != D or (levels < 0).any():
        raise ValueError(f"sample must hold {D} integer levels, one for each pixel, got {sample!r:.60}")
    return levels.tolist()
