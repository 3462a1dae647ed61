"""A picture that drowns in noise, step by step or in one jump, and how fast three schedules let it."""

import numpy as np
import traitlets as t

from dgmlite import checks
from dgmlite.information import _array
from dgmlite.models.diffusion import Schedule
from dgmlite.widgets.base import Widget, finite, packed, sentence

KINDS = ("log-snr", "linear", "cosine")
_TASK = "for each schedule, mark the t at which you just cannot say which digit it is. What do the three t share?"


class Noising(Widget):
    """Add noise to a picture, in t small steps or in one jump; see the log-SNR of three schedules fall.

    Task: for each schedule, mark the t at which you just cannot say which digit it is. What do the three t share?

    images: (N, H, W) or (N, 1, H, W), 2 ≤ N ≤ 6, in integer levels 0 … levels − 1, H and W at most 32. T: the number of
    steps, 2..1000. ends: of the schedule "log-snr", by default those of `Schedule`. task: the sentence above the
    picture; "" for none.

    x = 2 · level / (levels − 1) − 1. Step by step, z_t = √(1 − β_t) z_{t−1} + √β_t ε_t from z_0 = x; in one jump,
    z_t = α_t x + σ_t ε. Both are draws of q(z_t | x). λ_t = log(α_t² / σ_t²) comes from `Schedule`; α_t² = 1 / (1 +
    exp(−λ_t)), σ_t² = 1 − α_t² and β_t = 1 − α_t² / α_{t−1}². −1 is white and 1 black; what lies outside is clipped.
    With u_j, number j + 1 of the generator mulberry32 started at seed · 0x9e3779b1, noises 2j and 2j + 1 of a seed are
    √(−2 log(1 − u_2j)) times cos and sin of 2π u_{2j+1} (Box & Muller, 1958). Pixel i takes noise (t − 1) H W + i of
    seed 1 in step t, and noise i of `seed` in the jump; that is 2, and one more for each new jump. `image`, `kind`,
    `time` (that is t), `seed` and `marks` (a t for each schedule, −1 for none) follow the learner. Raises ValueError or
    TypeError for what does not fit.
    Ho et al. (2020, arXiv:2006.11239), equations 2 and 4; Sohl-Dickstein et al. (2015, arXiv:1503.03585); Kingma et al.
    (2021, arXiv:2107.00630), for the SNR.

    >>> Noising(T=100)
    Noising(shape=[8, 8], levels=17, T=100, kind='log-snr', time=50)
    """

    shape = t.List(t.Int()).tag(sync=True)
    levels = t.Int().tag(sync=True)
    T = t.Int().tag(sync=True)
    images = t.Unicode(help="Base64 of a byte for each pixel.").tag(sync=True)
    log_snr = t.Unicode(help="Base64 of float64, (3, T + 1).").tag(sync=True)
    image = t.Int(0).tag(sync=True)
    kind = t.Enum(KINDS, "log-snr").tag(sync=True)
    time = t.Int().tag(sync=True)
    seed = t.Int(2).tag(sync=True)
    marks = t.List(t.Int(), [-1, -1, -1]).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "noising.js", ("shape", "levels", "T", "kind", "time")
    _css = Widget._css + (
        ".dgm-course { fill: none; stroke: color-mix(in srgb, var(--c) 80%, var(--ink)); stroke-width: 1.8; }\n"
        ".dgm-course.dgm-on { stroke-width: 4; } .dgm-pricked { stroke-dasharray: 2 4; }\n"
        ".dgm-flag { fill: var(--c); stroke: var(--ink); stroke-width: 1.5; }\n"
    )

    def __init__(self, images=None, levels=17, T=256, ends=None, task=None):
        levels, T = checks.positive_int("levels", levels, 2), checks.positive_int("T", T, 2)
        if levels > 256 or T > 1000:
            raise ValueError(f"levels must be at most 256 and T at most 1000, got {levels} and {T}")
        images = _array(_example(levels) if images is None else images, "images")
        images = images[:, 0] if images.ndim == 4 and images.shape[1] == 1 else images
        if images.ndim != 3 or not (2 <= len(images) <= 6 and 1 <= min(images.shape) and max(images.shape) <= 32):
            raise ValueError(f"images must have shape (N, H, W), 2 ≤ N ≤ 6, H and W 1..32, got {images.shape}")
        if images.dtype.kind not in "iu" or images.min() < 0 or images.max() >= levels:
            span = f"{images.dtype} from {images.min():g} to {images.max():g}"
            raise ValueError(f"images must hold integer levels 0..{levels - 1}, not scaled, got {span}")
        ends = [] if ends is None else [finite("ends", ends)]
        if ends and ends[0].shape != (2,):
            raise ValueError(f"ends must be two numbers, the log-SNR at t = 1 and at t = T, got {ends[0]!s:.60}")
        task = sentence(task, _TASK)
        curves = np.stack([Schedule(T, kind, *ends).log_snr.numpy() for kind in KINDS])
        super().__init__(
            shape=list(images.shape[1:]),
            levels=levels,
            T=T,
            images=packed(images, "u1"),
            log_snr=packed(curves, "<f8"),
            time=T // 2,
            task=task,
        )


def _example(levels: int) -> np.ndarray:
    """A ring and a cross: what is shown when nothing is given."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, 8)] * 2, indexing="ij")
    ink = np.stack([np.exp(-12 * (np.hypot(x, y) - 0.7) ** 2), np.exp(-40 * (x * y) ** 2)])
    return np.round(ink * (levels - 1)).astype(int)
