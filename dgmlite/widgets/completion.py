"""Draw half a picture, and a model that runs in the browser finishes it."""

import base64
import math

import numpy as np
import torch
import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget, grid

LARGEST = 350_000  # characters of weights; with its code, the widget then takes less than 400 kB of a notebook


class Completion(Widget):
    """Draw the first pixels; see what a causal convolution predicts for each next one, and let it draw the rest.

    Task: draw a pixel that surprises the model by more than five nats.

    state: the `state_dict()` of a `CausalConv` in raster order; shape: (rows, columns), or the model's (1, rows,
    columns); levels and dilations: the model's. y: for a model with a condition, the label or the features (condition,)
    to draw. examples: up to 8 pictures of D levels to start from. kept: how many pixels, in raster order, are the
    learner's; None for half of them.

    The weights travel in 16 bits, and probabilities are computed in 64. `image` is what the learner draws; its first
    `kept` pixels count, and the model's continuation is shown up to pixel `filled`. Continuation k of six uses, for
    pixel t, number t + 1 of the generator mulberry32 started at (seed + k) · 0x9E3779B1, and takes the level in whose
    part of [0, 1) it falls. Raises ValueError or TypeError for a state that does not fit the rest.
    van den Oord et al. (2016), WaveNet (arXiv:1609.03499); Le Paine et al. (2016) for the cache (arXiv:1611.09482).

    >>> from dgmlite.models.autoregressive import CausalConv
    >>> model = CausalConv((1, 4, 4), levels=3, channels=4, dilations=(1, 2))
    >>> Completion(model.state_dict(), shape=(4, 4), levels=3, dilations=(1, 2))
    Completion(shape=[4, 4], levels=3, kept=8, filled=8)
    """

    shape = t.List(t.Int()).tag(sync=True)
    levels = t.Int().tag(sync=True)
    channels = t.Int().tag(sync=True)
    kernel = t.Int().tag(sync=True)
    dilations = t.List(t.Int()).tag(sync=True)
    weights = t.Unicode(help="Base64 of all weights, float16, in the order of `_fold`.").tag(sync=True)
    examples = t.List(t.List(t.Int())).tag(sync=True)
    image = t.List(t.Int()).tag(sync=True)
    kept = t.Int().tag(sync=True)
    filled = t.Int().tag(sync=True)
    seed = t.Int(0).tag(sync=True)
    initial = t.Int().tag(sync=True)
    _script, _shown = "completion.js", ("shape", "levels", "kept", "filled")

    def __init__(self, state, shape, levels, dilations=(1, 2, 4, 8, 16), y=None, examples=None, kept=None):
        shape, levels = checks.shape("shape", shape), checks.positive_int("levels", levels, 2)
        shape = grid(shape[1:] if len(shape) == 3 and shape[0] == 1 else shape)
        D = math.prod(shape)
        kept = D // 2 if kept is None else checks.positive_int("kept", kept, 0)
        if kept > D:
            raise ValueError(f"kept must be at most {D}, the number of pixels, got {kept}")
        pictures = [_levels(example, D, levels) for example in _list("examples", () if examples is None else examples)]
        if len(pictures) > 8:
            raise ValueError(f"examples must be at most 8 pictures, got {len(pictures)}")
        dilations = [checks.positive_int("each entry of dilations", d) for d in _list("dilations", dilations)]
        weights, channels, kernel = _fold(state, D, levels, dilations, y)
        super().__init__(
            shape=list(shape),
            levels=levels,
            channels=channels,
            kernel=kernel,
            dilations=dilations,
            weights=weights,
            examples=pictures,
            image=pictures[0] if pictures else [0] * D,
            kept=kept,
            filled=kept,
            initial=kept,
        )


def _list(what: str, given) -> list:
    if isinstance(given, (str, bytes, dict)) or not hasattr(given, "__iter__"):
        raise TypeError(f"{what} must be a sequence, got {given!r:.60}")
    return list(given)


def _array(given) -> np.ndarray:
    """Any kind of numbers as an array; an array of text, which fits nothing, for all else."""
    try:
        return np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given)
    except ValueError:  # rows of different lengths
        return np.array("")


def _levels(example, D: int, levels: int) -> list[int]:
    picture = _array(example).ravel()
    if picture.dtype.kind not in "iu" or len(picture) != D or picture.min() < 0 or picture.max() >= levels:
        raise ValueError(f"each of examples must be {D} integer levels 0..{levels - 1}, got {example!r:.60}")
    return picture.tolist()


_NOT_CARRIED = {"order", "initialised", "network.condition.weight"}


def _fold(state, D: int, levels: int, dilations: list[int], y) -> tuple[str, int, int]:
    """Return all weights in one row, the condition added to the positions; the number of channels, and the kernel."""
    known = isinstance(state, dict) and all(isinstance(value, torch.Tensor) for value in state.values())
    if not known or not {"bias", "order", "network.position", "network.embed.weight"} <= set(state):
        raise TypeError(f"state must be the state_dict() of a CausalConv, got {type(state).__name__}")
    state = {name: value.detach().double().cpu() for name, value in state.items()}
    blocks = sum(name.endswith("conv.weight") for name in state)
    if state["bias"].shape != (D, levels) or blocks != len(dilations):
        raise ValueError(
            f"state must be that of a model of {D} pixels, {levels} levels and {len(dilations)} dilations, got "
            f"{tuple(state['bias'].shape)} and {blocks}"
        )
    if state["order"].tolist() != list(range(D)):
        raise ValueError("state must be that of a model in raster order, got another one")
    C = len(state["network.embed.weight"])
    kernel = state["network.blocks.0.conv.weight"].shape[-1] if blocks else 1
    wanted = {"network.embed.weight": (C, levels), "network.embed.bias": (C,), "network.position": (D, C)}
    for i in range(blocks):
        shapes = (C,), (C,), (2 * C, C, kernel), (2 * C,), (C, C), (C,)
        names = ("norm.weight", "norm.bias", "conv.weight", "conv.bias", "out.weight", "out.bias")
        wanted |= {f"network.blocks.{i}.{name}": shape for name, shape in zip(names, shapes)}
    wanted |= {"network.head.0.weight": (C,), "network.head.0.bias": (C,), "network.head.1.weight": (levels, C)}
    wanted |= {"bias": (D, levels)}
    found = {name: tuple(value.shape) for name, value in state.items() if name not in _NOT_CARRIED}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"state must be that of a CausalConv: {name} should be {wanted.get(name, 'missing')}, got "
                f"{found.get(name, 'nothing')}"
            )
    condition = state.get("network.condition.weight")  # (channels, condition)
    if (condition is None) != (y is None):
        raise ValueError("y must be given exactly if the model has a condition: the label or the features to draw")
    if condition is not None:
        state["network.position"] = state["network.position"] + condition @ _features(y, condition.shape[1])
    row = torch.cat([state[name].flatten() for name in wanted]).numpy()
    if not np.isfinite(row).all() or abs(row).max() > 65504:
        raise ValueError("state must hold finite weights of at most 65504, the largest number of 16 bits")
    weights = base64.b64encode(row.astype("<f2").tobytes()).decode()
    if len(weights) > LARGEST:
        raise ValueError(
            f"state must be small enough for a notebook, {LARGEST // 1000} kB of weights, got {len(weights) // 1000}; "
            "take fewer channels"
        )
    return weights, C, kernel


def _features(y, condition: int) -> torch.Tensor:
    """The condition as numbers (condition,): features as they are, a label as a one."""
    given = _array(y)
    if given.shape == () and given.dtype.kind in "iu" and 0 <= given < condition:
        return torch.eye(condition).double()[int(given)]
    if given.shape != (condition,) or given.dtype.kind not in "iuf" or not np.isfinite(given).all():
        raise ValueError(f"y must be a label 0..{condition - 1} or {condition} finite features, got {y!r:.60}")
    return torch.from_numpy(given.astype(float))
