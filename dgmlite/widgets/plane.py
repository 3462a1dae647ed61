"""The plane of a VAE's codes to walk over: prior, posteriors, holes, and what the decoder draws."""

import itertools
import math
import re

import numpy as np
import torch
import traitlets as t

from dgmlite import checks
from dgmlite.information import _array
from dgmlite.widgets.base import Widget, finite, packed, sentence
from dgmlite.widgets.completion import _features

LARGEST = 350_000  # characters of weights, codes and pictures; see Completion
_TASK = "Find a place within the second circle where no image lives: what does the decoder draw there?"
_COLOURS = "#CC6677 #5B4BC4 #B8A13C #117733 #3BA3CC #A3195B #44AA99 #8A8A20 #AA4499 #777777".split()  # after Paul Tol


class LatentPlane(Widget):
    """Walk over the two latent dimensions of a VAE: prior, posteriors of images, holes, and the decoded picture.

    Task: find a place within the second circle where no image lives; what does the decoder draw there?

    models: 1 to 5 of them, {name: (state, means, stds)}. state: the `state_dict()` of a `Decoder` with a categorical
    likelihood and an MLP as network; means and stds: (N, 2), of the posteriors q(z|x_n) = N(m_n, diag(s_n²)) of the
    same N ≤ 1000 images in each model. shape: (rows, columns), or the decoder's (1, rows, columns), at most 32 each.
    images: the N images (N, H, W) in integer levels; labels: their classes 0 … 9. y: for decoders with a condition,
    the label or the features (condition,) to decode with. task: the sentence above the picture; "" for none.

    The decoder runs in the browser, on weights of 16 bits in arithmetic of 64: θ = bias + network(z), logits cumulated
    over the levels as in `Levels`. p is the prior N(0, I), q(z) = (1/N) Σ_n q(z|x_n); a hole is where p > 20 q, and
    the share of the prior in holes is added up over cells of side 0.1. The deepest hole has the least log q − log p of
    all middles of cells with |z| ≤ 2. The nearest image is the one whose posterior has the highest density at z.
    Of draw k of x, pixel i uses number i + 1 of the generator mulberry32 started at k · 0x9E3779B1, as in Completion;
    draw k of the prior uses numbers D + 1 and D + 2 of it. `z`, `chosen` and `seed`, that of the draw of x, follow the
    learner. Raises ValueError or TypeError for what does not fit.
    Kingma & Welling (2014), Auto-encoding variational Bayes (arXiv:1312.6114), figure 4.

    >>> from dgmlite.models.vae import Decoder
    >>> decoder = Decoder((1, 2, 2), levels=3, condition=2, hidden=(8, 4))
    >>> LatentPlane({"β = 1": (decoder.state_dict(), np.zeros((5, 2)), np.ones((5, 2)))}, shape=(2, 2), levels=3)
    LatentPlane(shape=[2, 2], levels=3, names=['β = 1'], z=[0.0, 0.0])
    """

    shape = t.List(t.Int()).tag(sync=True)
    levels = t.Int().tag(sync=True)
    names = t.List(t.Unicode()).tag(sync=True)
    widths = t.List(t.List(t.Int()), help="Of each model's layers: 2, hidden …, D · (levels − 1).").tag(sync=True)
    weights = t.List(t.Unicode(), help="Base64 of float16, layer by layer, weight and bias.").tag(sync=True)
    codes = t.List(t.Unicode(), help="Base64 of float32: m₁, m₂, s₁, s₂ of each image.").tag(sync=True)
    images = t.Unicode(help="Base64 of a byte for each pixel.").tag(sync=True)
    labels = t.Unicode(help="One digit for each image.").tag(sync=True)
    task = t.Unicode().tag(sync=True)
    chosen = t.Unicode(help="The name of the model that is shown.").tag(sync=True)
    z = t.List(t.Float()).tag(sync=True)
    seed = t.Int(1, help="Of the draw of x.").tag(sync=True)
    initial = t.List(t.Float()).tag(sync=True)
    _script, _shown = "plane.js", ("shape", "levels", "names", "z")
    _css = (
        Widget._css
        + "".join(f".dgm-class-{k} {{ --c: {colour}; }}\n" for k, colour in enumerate(_COLOURS))
        + (
            ".dgm-codes ellipse { fill: var(--c, var(--ink)); stroke-width: 1; stroke-opacity: .65;\n"
            "  stroke: color-mix(in srgb, var(--c, var(--ink)) 75%, var(--ink)); }\n"
            ".dgm-codes circle { fill: color-mix(in srgb, var(--c, var(--ink)) 75%, var(--ink)); }\n"
            ".dgm text.dgm-glyph { fill: color-mix(in srgb, var(--c, var(--ink)) 62%, var(--ink)); font-size: 12px;\n"
            "  font-weight: 700; paint-order: stroke; stroke: var(--paper); stroke-width: 2px; }\n"
            ".dgm text.dgm-huge { fill: #000; font-size: 36px; }\n"
            ".dgm-codes .dgm-dim { opacity: .16; }\n"
            ".dgm-codes .dgm-lit ellipse { fill-opacity: .3; stroke-opacity: 1; stroke-width: 1.5; }\n"
            ".dgm-codes .dgm-sigma, .dgm-codes .dgm-sigma-edge { fill: none; stroke: var(--ink); stroke-width: 1.5; }\n"
            ".dgm-codes .dgm-sigma-edge { stroke: var(--paper); stroke-width: 4; stroke-opacity: .7; }\n"
            ".dgm-own, .dgm-own-edge { fill: none; stroke: var(--ink); stroke-width: 2.5; }\n"
            ".dgm-own-edge { stroke: var(--paper); stroke-width: 6; }\n"
            ".dgm-plane .dgm-knob { stroke: var(--paper); fill: var(--ink); }\n"
            ".dgm-plane .dgm-mark-z { fill: var(--paper); }\n"
            ".reveal .dgm-plane { grid-template: 'buttons buttons' auto 'stage code' auto 'stage figures' 1fr\n"
            "  'sentence sentence' auto / minmax(0, 1fr) 15em; }\n"
            ".dgm-classes { grid-area: code; display: flex; flex-wrap: wrap; gap: .3em; margin: .5em 0 0; }\n"
            ".dgm button.dgm-class { border-bottom: .3em solid var(--c); padding: .1em .55em 0; font-weight: 700; }\n"
        )
    )

    def __init__(self, models, shape, levels=17, images=None, labels=None, task=None, y=None):
        shape, levels = checks.shape("shape", shape), checks.positive_int("levels", levels, 2)
        shape = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
        if len(shape) != 2 or max(shape) > 32 or levels > 256:
            raise ValueError(
                "shape must be (rows, columns) of at most 32 each, and levels at most 256, to be drawn, got "
                f"{shape} and {levels}"
            )
        if not isinstance(models, dict) or not all(isinstance(name, str) for name in models):
            raise TypeError(f"models must be a dict, name → (state, means, stds), got {models!r:.60}")
        if not 1 <= len(models) <= 5 or not all(1 <= len(name) <= 20 for name in models):
            raise ValueError(f"models must be 1 to 5, with names of 1 to 20 letters, got {list(models)}")
        task = sentence(task, _TASK)
        D, widths, weights, codes = math.prod(shape), [], [], []
        for name, parts in models.items():
            if not isinstance(parts, (tuple, list)) or len(parts) != 3:
                raise TypeError(f"models[{name!r}] must be (state, means, stds), got {parts!r:.60}")
            width, row = _fold(name, parts[0], D, levels, y)
            widths.append(width)
            weights.append(packed(row, "<f2"))
            codes.append(_codes(name, *parts[1:]))
        if y is not None and not any(_condition(state) for state, _, _ in models.values()):
            raise ValueError("y must be given only if a decoder has a condition, and none of models has")
        N = len(codes[0])
        if any(len(code) != N for code in codes):
            raise ValueError(f"means must be of the same images in all models, got {[len(code) for code in codes]}")
        pictures = "" if images is None else packed(_pictures(images, (N, *shape), levels), "u1")
        numbers = [packed(code) for code in codes]
        total = sum(map(len, [pictures, *weights, *numbers]))
        if total > LARGEST:
            raise ValueError(
                f"models and images must be small enough for a notebook, {LARGEST // 1000} kB, got {total / 1000:.0f}, "
                f"of which weights {sum(map(len, weights)) / 1000:.0f}; take a narrower last hidden layer, fewer "
                "images or fewer models"
            )
        start = [round(float(c), 3) for c in codes[0][0, :2].clip(-3, 3)]
        super().__init__(
            shape=list(shape),
            levels=levels,
            names=list(models),
            widths=widths,
            weights=weights,
            codes=numbers,
            images=pictures,
            labels="" if labels is None else _labels(labels, N),
            task=task,
            chosen=next(iter(models)),
            z=start,
            initial=start,
        )


def _condition(state) -> int:
    return state["network.layers.0.weight"].shape[1] - 2


def _fold(name: str, state, D: int, levels: int, y) -> tuple[list[int], np.ndarray]:
    """Return the widths of the layers and all weights in one row, the condition added to the first bias.

    The two biases of the last layer become one, and what belongs to level 0, which no probability depends on, is left
    out.
    """
    what = f"the state of models[{name!r}]"
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise TypeError(f"{what} must be the state_dict() of a Decoder, got {type(state).__name__}")
    state = {key: value.detach().double().cpu() for key, value in state.items()}
    # With dropout, the layers have other numbers.
    numbers = sorted(int(n) for key in state for n in re.findall(r"^network\.layers\.(\d+)\.weight$", key))
    wanted = {"bias", *(f"network.layers.{n}.{part}" for n in numbers for part in ("weight", "bias"))}
    if not numbers or set(state) != wanted:
        other = sorted(set(state) ^ (wanted | {"bias", "network.layers.0.weight"}))[:3]
        raise ValueError(
            f"{what} must be that of a Decoder whose network is an MLP, got other keys, such as {', '.join(other)}; of "
            "a VAE, take vae.decoder.state_dict()"
        )
    if state["bias"].shape != (D, levels):
        raise ValueError(
            f"{what} must be that of a decoder of {D} pixels and {levels} levels, categorical, got parameters of shape "
            f"{tuple(state['bias'].shape)}"
        )
    pairs = [[state[f"network.layers.{n}.{part}"] for part in ("weight", "bias")] for n in numbers]
    widths = [pairs[0][0].shape[-1], *(len(b) for _, b in pairs)]
    if any(W.shape != (after, before) for (W, _), (before, after) in zip(pairs, itertools.pairwise(widths))):
        raise ValueError(f"{what} must be that of an MLP, got weights {[tuple(W.shape) for W, _ in pairs]}")
    if widths[0] < 2 or widths[-1] != D * levels:
        raise ValueError(
            f"{what} must take z (2,), with a condition or without, to {D} · {levels} parameters, got {widths[0]} "
            f"inputs and {widths[-1]} outputs"
        )
    first, last = pairs[0], pairs[-1]
    if widths[0] > 2:
        if y is None:
            raise ValueError(
                f"y must be given: the decoder of models[{name!r}] takes {widths[0] - 2} more numbers than z; is its "
                "latent space of two dimensions?"
            )
        first[1] = first[1] + first[0][:, 2:] @ _features(y, widths[0] - 2)
        first[0] = first[0][:, :2]
    last[0] = last[0].view(D, levels, -1)[:, 1:].flatten(0, 1)
    last[1] = (last[1].view(D, levels) + state["bias"])[:, 1:].flatten()
    row = torch.cat([part.flatten() for pair in pairs for part in pair]).numpy()
    if not np.isfinite(row).all() or abs(row).max() > 65504:
        raise ValueError(f"{what} must hold finite weights of at most 65504, the largest number of 16 bits")
    return [2, *widths[1:-1], D * (levels - 1)], row


def _codes(name: str, means, stds) -> np.ndarray:
    means, stds = finite(f"means of models[{name!r}]", means), finite(f"stds of models[{name!r}]", stds)
    if means.ndim != 2 or means.shape[1:] != (2,) or stds.shape != means.shape or not 1 <= len(means) <= 1000:
        raise ValueError(
            f"means and stds of models[{name!r}] must have shape (N, 2), 1 ≤ N ≤ 1000, got {means.shape} and "
            f"{stds.shape}"
        )
    if stds.min() < 1e-6:
        raise ValueError(
            f"stds of models[{name!r}] must be at least 1e-6, got {stds.min():g}; are these logarithms, or those of an "
            "encoder without noise? Give the latter a small one"
        )
    return np.concatenate([means, stds], 1)


def _pictures(images, shape: tuple[int, ...], levels: int) -> np.ndarray:
    images = _array(images, "images")
    images = images[:, 0] if images.ndim == 4 and images.shape[1] == 1 else images
    if images.shape != shape or images.dtype.kind not in "iu" or images.min() < 0 or images.max() >= levels:
        raise ValueError(
            f"images must be {shape} integer levels 0..{levels - 1}, one image for each mean, got {images.dtype} of "
            f"shape {images.shape}" + (f" from {images.min():g} to {images.max():g}" if images.size else "")
        )
    return images


def _labels(labels, N: int) -> str:
    result = _array(labels, "labels")
    if result.dtype.kind not in "iu" or result.shape != (N,) or result.min() < 0 or result.max() > 9:
        raise ValueError(f"labels must be {N} integers 0..9, one for each image, got {labels!r:.60}")
    return "".join(map(str, result.tolist()))
