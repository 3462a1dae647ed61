"""A plane to bend by its handles: density changes, mass does not."""

import math

import numpy as np
import traitlets as t

from dgmlite import checks
from dgmlite.information import _array
from dgmlite.widgets.base import Widget, packed, sentence

LIMIT = 0.9 * math.sqrt(math.e)  # of the drag, in widths; at √e the plane would begin to fold
REACH = 2.5  # of the centres; with the longest drag, handles stay in the picture, −4..4
SAMPLES = 250


class Bend(Widget):
    """Drag handles to bend the noise plane into a data plane; grid, density and samples follow, and so does J.

    Task: with one handle, make some place more than 8 times as dense as the noise is anywhere, and find the square that
    shrinks most; with two handles, more than 50 times. Make two hills of one. Make a ring: can you empty its middle?

    x = g(z) = g_K(… g_1(z)), where bend k is g_k(u) = u + d_k exp(−|u − c_k|² / 2s²), z ~ N(0, I). handles: (K, 2), the
    centres c, up to 6 in −2.5..2.5; drags: (K, 2), the d to begin with, by default only the first not 0; width: s, in
    0.4..1. Each d is at most 0.9 √e s long: then det = 1 − d·(u − c) exp(…) / s² ≥ 0.1 for each bend, and g is
    invertible. seed: of the 250 samples. task: the sentence above the picture; "" for none.

    p_X(x) = p_Z(z) / |det ∂x/∂z| is computed in the browser, the inverse by Newton's method, the mass on the
    picture by adding up cells, the mass outside in the noise plane; hills are local maxima of p_X at least a tenth as
    high as the noise's highest. `drags` and `point`, a z, follow the learner.
    Raises ValueError or TypeError for what does not fit.

    >>> Bend([(-1, 0), (1, 0)], drags=[(1, 0), (0, 0)])
    Bend(handles=[[-1.0, 0.0], [1.0, 0.0]], drags=[[1.0, 0.0], [0.0, 0.0]], width=1.0)
    """

    handles = t.List(t.List(t.Float())).tag(sync=True)
    drags = t.List(t.List(t.Float())).tag(sync=True)
    width = t.Float().tag(sync=True)
    limit = t.Float(help="The longest drag.").tag(sync=True)
    noise = t.Unicode(help="Base64 of float32, samples of z.").tag(sync=True)
    point = t.List(t.Float(), [-0.5, 0.25]).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    initial = t.List(t.List(t.Float())).tag(sync=True)
    _script, _shown = "bend.js", ("handles", "drags", "width")
    _css = Widget._css + (
        ".dgm-weave { fill: none; stroke: color-mix(in srgb, var(--ink) 46%, var(--paper)); stroke-width: 1; }\n"
        ".dgm-seed-edge, .dgm-seed-dot { fill: none; stroke-linecap: round; }\n"
        ".dgm-seed-edge { stroke: var(--paper); stroke-width: 5.5; }\n"
        ".dgm-seed-dot { stroke: var(--ink); stroke-width: 3; }\n"
        ".dgm-patch { fill: var(--orange); fill-opacity: .55; stroke: var(--ink); stroke-width: 1; }\n"
        ".dgm-outline { fill: none; stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 2 3; }\n"
        ".dgm-arrow, .dgm-arrow-edge { fill: none; stroke-linejoin: round; }\n"
        ".dgm-arrow { stroke: color-mix(in srgb, var(--c) 75%, var(--ink)); stroke-width: 3; }\n"
        ".dgm-arrow-edge { stroke: var(--paper); stroke-width: 6; }\n"
        ".dgm-pull { stroke: var(--ink); stroke-width: 2.5; }\n"
        ".dgm text.dgm-onknob { font-size: 13px; font-weight: 700; pointer-events: none; }\n"
        ".dgm-slider:focus .dgm-onknob { fill: var(--paper); }\n"
        ".dgm-full .dgm-knob { stroke: var(--red); stroke-width: 4; }\n"
    )

    def __init__(self, handles=None, drags=None, width=1.0, seed=0, task=None):
        usual = handles is None
        handles = [(-1.2, 0), (1.2, 0), (0, 1.2), (0, -1.2)] if usual else handles
        handles = _pairs("handles", handles, "one centre (x₁, x₂) for each handle")
        if not 1 <= len(handles) <= 6 or abs(handles).max() > REACH:
            raise ValueError(
                f"handles must be 1 to 6 centres in −{REACH}..{REACH}, got {len(handles)}, the farthest at "
                f"{abs(handles).max(initial=0):g}; the picture shows −4..4"
            )
        width = checks.finite_number("width", width, 0.4, 1)
        limit = LIMIT * width
        if drags is None:
            drags = width * np.array([(0.9, 0.5)] + [(0.0, 0.0)] * (len(handles) - 1))
        drags = _pairs("drags", drags, "one vector for each handle")
        if len(drags) != len(handles):
            raise ValueError(f"drags must be one vector for each of the {len(handles)} handles, got {len(drags)}")
        longest = np.hypot(*drags.T).max()
        if longest > limit * (1 + 1e-12):
            raise ValueError(
                f"drags must be at most 0.9 √e · width = {limit:.4g} long, or the plane folds, got {longest:.4g}; a "
                "drag is the vector from the centre, not the place that it leads to"
            )
        usual_task = (
            "with one handle, make some place more than 8 times as dense as the noise is anywhere; with two, more "
            "than 50 times. Make two hills of one. Make a ring: can you empty its middle?"
        )
        other_task = "make two hills of one. What do the two masses below the picture do meanwhile?"
        task = sentence(task, usual_task if usual else other_task)
        seed = checks.positive_int("seed", seed, 0)
        super().__init__(
            handles=handles.tolist(),
            drags=drags.tolist(),
            initial=drags.tolist(),
            width=width,
            limit=limit,
            noise=packed(np.random.default_rng(seed).standard_normal((SAMPLES, 2))),
            task=task,
        )


def _pairs(what: str, given, wanted: str) -> np.ndarray:
    pairs = _array(given, what).astype(float)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"{what} must have shape (K, 2), {wanted}, got {pairs.shape}")
    if not np.isfinite(pairs).all():
        raise ValueError(f"{what} contains NaN or infinity; look for a division by zero or log of zero upstream")
    return pairs
