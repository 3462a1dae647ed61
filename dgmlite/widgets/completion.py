"""Draw half a picture, and a model that runs in the browser finishes it."""

import base64
import math

import numpy as np
import torch
import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget


class Completion(Widget):
    """Draw the first pixels; see what a causal convolution predicts for each next one, and let it draw the rest.

    Task: draw something whose next pixel surprises the model by more than five nats.

    state: the `state_dict()` of a `CausalConv` in raster order; shape: (rows, columns); levels: as the model's.
    dilations: those of the model. y: for a model with a condition, the label or the features (condition,) to draw.
    examples: pictures of D levels to start from. kept: how many pixels, in raster order, are the learner's. The weights
    travel in 16 bits, and probabilities are computed in 64; `image`, `kept` and `filled`, the number of pixels drawn,
    follow the learner. Raises ValueError or TypeError for anything else.
    van den Oord et al. (2016), WaveNet; Le Paine et al. (2016) for the cache.

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
    cursor = t.Int(0).tag(sync=True)
    initial = t.Int().tag(sync=True)
    _script, _shown = "completion.js", ("shape", "levels", "kept", "filled")

    def __init__(self, state, shape, levels, dilations=(1, 2, 4, 8, 16), y=None, examples=None, kept=None):
        shape, levels = checks.shape("shape", shape), checks.positive_int("levels", levels, 2)
        if len(shape) != 2 or max(shape) > 12:
            raise ValueError(f"shape must be (rows, columns) of at most 12 each to be drawn, got {shape}")
        D = math.prod(shape)
        kept = D // 2 if kept is None else checks.positive_int("kept", kept, 0)
        if kept > D:
            raise ValueError(f"kept must be at most {D}, the number of pixels, got {kept}")
        pictures = [] if examples is None else [np.asarray(example).ravel().tolist() for example in examples]
        for picture in pictures:
            if len(picture) != D or not all(isinstance(v, int) and 0 <= v < levels for v in picture):
                raise ValueError(f"each of examples must be {D} integer levels 0..{levels - 1}, got {picture!r:.60}")
        dilations = [checks.positive_int("each entry of dilations", dilation) for dilation in dilations]
        weights, channels, kernel = _fold(state, D, levels, dilations, y)
        image = pictures[0] if pictures else [0] * D
        super().__init__(
            shape=list(shape),
            levels=levels,
            channels=channels,
            kernel=kernel,
            dilations=dilations,
            weights=base64.b64encode(weights.astype("<f2").tobytes()).decode(),
            examples=pictures,
            image=[*image[:kept], *[0] * (D - kept)],
            kept=kept,
            filled=kept,
            initial=kept,
            cursor=min(kept, D - 1),
        )


def _fold(state, D: int, levels: int, dilations: list[int], y) -> tuple[np.ndarray, int, int]:
    """Return all weights in one row, the condition added to the positions; the number of channels, and the kernel."""
    if not isinstance(state, dict) or "network.embed.weight" not in state:
        raise TypeError("state must be the state_dict() of a CausalConv")
    state = {name: value.detach().double().cpu() for name, value in state.items()}
    channels = len(state["network.embed.weight"])
    blocks = sum(name.endswith("conv.weight") for name in state)
    if state["bias"].shape != (D, levels) or blocks != len(dilations):
        raise ValueError(
            f"state must be that of a model of {D} pixels, {levels} levels and {len(dilations)} dilations, got "
            f"{tuple(state['bias'].shape)} and {blocks}"
        )
    if state["order"].tolist() != list(range(D)):
        raise ValueError("state must be that of a model in raster order, got another one")
    position = state["network.position"]
    given = state.get("network.condition.weight")  # (channels, condition)
    if (given is None) != (y is None):
        raise ValueError("y must be given exactly if the model has a condition: the label or the features to draw")
    if given is not None:
        y = torch.as_tensor(y)
        y = torch.eye(given.shape[1])[y] if y.dim() == 0 else y
        position = position + given @ y.double()
    parts = [state["network.embed.weight"], state["network.embed.bias"], position]
    for i in range(blocks):
        names = ("norm.weight", "norm.bias", "conv.weight", "conv.bias", "out.weight", "out.bias")
        parts += [state[f"network.blocks.{i}.{name}"] for name in names]
    parts += [state[f"network.head.{name}"] for name in ("0.weight", "0.bias", "1.weight")] + [state["bias"]]
    kernel = state["network.blocks.0.conv.weight"].shape[-1] if blocks else 1
    return torch.cat([part.flatten() for part in parts]).numpy(), channels, kernel
