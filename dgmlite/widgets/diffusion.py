"""Diffusion to watch: particles lose their places to noise and are taken back, beside digits of a trained model."""

import numpy as np
import torch
import traitlets as t

from dgmlite import checks
from dgmlite.information import _array
from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.networks import seeded
from dgmlite.widgets.base import Widget, finite, packed, sentence
from dgmlite.widgets.noising import KINDS

LARGEST = 250_000  # characters of pictures; with its code, the widget then takes less than 400 kB of a notebook
ETAS, FRAMES = (0.0, 0.5, 1.0), 12
_TASK = (
    "Take it back in 2, in 5 and in 25 steps, with η = 0 and with η = 1: what share of the particles ends outside the "
    "circles, and is it η that decides? Which schedule is worst in 5 steps?"
)


class Diffusion(Widget):
    """Add noise to particles and take it back with the exact denoiser; beside it, the same of digits by a trained DDPM.

    Task: take it back in 2, in 5 and in 25 steps, with η = 0 and with η = 1: what share of the particles ends outside
    the circles, and is it η that decides? Which schedule is worst in 5 steps?

    means: (K, 2), 2 to 4, each number at most 2.5; stds: one number or K, 0.1 … 1; weights: K, by default equal. The
    data are x ~ Σ_k w_k N(m_k, s_k² I), whose m_k the learner can drag. So q(z_t) = Σ_k w_k N(α m_k, v_k I) with v_k =
    α² s_k² + σ², and with r_k = p(k | z_t) ∝ w_k N(z_t; α m_k, v_k I) all is exact: x̂ = E[x | z_t] = Σ_k r_k (m_k +
    α s_k² / v_k · (z_t − α m_k)) and ∇ log q(z_t) = (α x̂ − z_t) / σ². An arrow shows σ ∇ log q = −ε̂, its length |ε̂| /
    (1 + |ε̂|) of a cell. Circles have radius 3 √v_k: of true draws at most e^(−9/2) = 1.1 % are outside of all. The
    surprise of true draws, the entropy of q(z_t), is summed over a mesh of 49 × 49 places in each component, from −6 to
    6 standard deviations; ± is what chance alone does to the mean of 200 draws, one standard deviation.

    schedule: its T, and the ends if it is "log-snr"; "linear" and "cosine" are those of `Schedule(T, kind)`. steps:
    numbers of steps, their t as in `DDPM.decode`; None is T. Forward, z_t = √(1 − β_t) z_{t−1} + √β_t ε_t. Back, z_s =
    a x̂ + b z_t + c ε with a, b, c of `Schedule.posterior(t, s, η)`; from t = 1, x = x̂ + (σ_1 / α_1) ε if η > 0, else x̂.

    Noise: u_0, u_1 … are the numbers of the generator mulberry32 started at n · 0x9E3779B1, as in Completion; pair j is
    √(−2 log(1 − u_2j)) · (cos 2π u_2j+1, sin 2π u_2j+1). Forward, particle i = 0 … 199 takes n = 1000 · seed + i + 1:
    u_0 chooses the component, x = m_k + s_k · pair 1, ε_t is pair t + 1. Back, it takes n = 1000 · seed + 201 + i: pair
    0 is z_T, pair t is ε of the step from t. Pixels 2i and 2i + 1 of image p take n = 1000 · seed + 401 + 128 p + i,
    and ε_t is pair t + 1.

    model: a trained DDPM of pictures (1, H, W), at most 16 × 16, of at most 256 levels, whose schedule is taken.
    images: 1 to 4 of them, (N, H, W), which lose their places to noise. y: as many labels, or features, for those to be
    drawn, if the model has a condition. Its trajectories for every schedule, steps and η are stored, at most 12 frames
    of each, from one z_T: z_t and x̂, a byte for each pixel, −1 … 1. Of another schedule, the t of the model's own are
    taken whose log-SNR are nearest. task: the sentence above the picture; "" for none.

    `time`, `back`, `kind`, `steps`, `eta`, `seed`, `means` and `chosen` follow the learner. Raises ValueError or
    TypeError for what does not fit.
    Ho et al. (2020), Denoising diffusion probabilistic models (arXiv:2006.11239), equations 2 to 7; Song et al. (2021),
    Denoising diffusion implicit models (arXiv:2010.02502), equations 7, 12 and 16.

    >>> Diffusion([[-1, 0], [1, 0]], stds=0.3)
    Diffusion(means=[[-1.0, 0.0], [1.0, 0.0]], back=False, kind='log-snr', steps=5, eta=1.0, time=0)
    """

    means = t.List(t.List(t.Float())).tag(sync=True)
    stds = t.List(t.Float()).tag(sync=True)
    weights = t.List(t.Float()).tag(sync=True)
    alpha_bar = t.List(t.Unicode(), help="Base64 of float64: T + 1 numbers for each kind.").tag(sync=True)
    counts = t.List(t.Int(), help="The numbers of steps to choose from.").tag(sync=True)
    back = t.Bool(False, help="The noise is taken back.").tag(sync=True)
    kind = t.Unicode("log-snr", help="The schedule.").tag(sync=True)
    steps = t.Int().tag(sync=True)
    eta = t.Float(1.0).tag(sync=True)
    time = t.Int(0).tag(sync=True)
    seed = t.Int(1).tag(sync=True)
    chosen = t.Int(0, help="The particle whose way is drawn.").tag(sync=True)
    task = t.Unicode().tag(sync=True)
    shape = t.List(t.Int()).tag(sync=True)
    levels = t.Int().tag(sync=True)
    own = t.Unicode("log-snr", help="The kind of the schedule that was given.").tag(sync=True)
    images = t.Unicode(help="Base64 of a byte for each pixel, as is the next.").tag(sync=True)
    pictures = t.Unicode(help="Blocks of N pictures, each stored once.").tag(sync=True)
    frames = t.Unicode(
        help="Base64 of uint16: for each kind, count and η the number of frames, and of each t, block of z and of x̂."
    ).tag(sync=True)
    initial = t.List(t.List(t.Float())).tag(sync=True)
    _script, _shown = "diffusion.js", ("means", "back", "kind", "steps", "eta", "time")
    _css = Widget._css + (
        ".dgm-particles { fill: none; stroke: var(--c); stroke-width: 4.5; stroke-linecap: round; }\n"
        ".dgm-particles-edge { fill: none; stroke: color-mix(in srgb, var(--c) 60%, var(--ink)); stroke-width: 6.5;\n"
        "  stroke-linecap: round; }\n"
        ".dgm-stray { fill: none; stroke: color-mix(in srgb, var(--c) 60%, var(--ink)); stroke-width: 2.2; }\n"
        ".dgm-arrows { fill: none; stroke: color-mix(in srgb, var(--ink) 46%, var(--paper)); stroke-width: 1.2; }\n"
        ".dgm-arrowheads { fill: color-mix(in srgb, var(--ink) 46%, var(--paper)); }\n"
        ".dgm-guess { fill: none; stroke: var(--ink); stroke-opacity: .5; stroke-width: 1; }\n"
        ".dgm-way { fill: none; stroke: var(--ink); stroke-opacity: .65; stroke-width: 1.4; stroke-linejoin: round; }\n"
        ".dgm-ringed { fill: none; stroke: color-mix(in srgb, var(--c) 70%, var(--ink)); stroke-width: 2;\n"
        "  stroke-dasharray: 7 5; }\n"
        ".dgm text.dgm-number { font-size: 13px; font-weight: 700; pointer-events: none; }\n"
        ".dgm-slider:focus .dgm-number { fill: var(--paper); }\n"
    )

    def __init__(
        self, means=None, stds=0.25, weights=None, model=None, images=None, y=None, steps=(2, 5, 10, 25, None),
        schedule=None, task=None,
    ):  # fmt: skip
        if means is None:
            means, weights = [[-1.3, 0.7], [1.0, 1.1], [0.4, -1.3]], [0.5, 0.3, 0.2] if weights is None else weights
        means = finite("means", means)
        if means.ndim != 2 or means.shape[1] != 2 or not 2 <= len(means) <= 4 or abs(means).max() > 2.5:
            raise ValueError(f"means must have shape (K, 2), 2 ≤ K ≤ 4, from −2.5 to 2.5, got {means.tolist()!s:.60}")
        K, stds = len(means), finite("stds", stds)
        if stds.shape not in ((), (K,)) or stds.min() < 0.1 or stds.max() > 1:
            raise ValueError(f"stds must be one number or {K}, from 0.1 to 1, got {stds.tolist()!s:.60}")
        weights = finite("weights", np.full(K, 1 / K) if weights is None else weights)
        if weights.shape != (K,) or weights.min() < 0.01 or abs(weights.sum() - 1) > 1e-6:
            raise ValueError(f"weights must be {K} of at least 0.01 that sum to 1, got {weights.tolist()!s:.60}")
        task = sentence(task, _TASK)
        digits = {}
        if model is not None:
            if schedule is not None:
                raise ValueError("schedule must be left out with a model, which has its own")
            shape, images, y = _checked(model, images, y)
            schedule = model.schedule
            digits = {"shape": list(shape), "levels": model.levels, "images": packed(images, "u1")}
        elif images is not None or y is not None:
            raise ValueError("images and y must come with a model, which takes the noise back")
        schedule = Schedule(100, ends=(7, -6)) if schedule is None else schedule
        if not isinstance(schedule, Schedule) or not 2 <= schedule.T <= 1000:
            raise TypeError(f"schedule must be a Schedule with T from 2 to 1000, got {schedule!r:.60}")
        curves = [schedule if schedule.kind == kind else Schedule(schedule.T, kind) for kind in KINDS]
        counts = _counts(steps, schedule.T)
        if digits:
            digits |= _trajectories(model, len(images), y, curves, counts)
            total = sum(len(digits[name]) for name in ("images", "pictures", "frames"))
            if total > LARGEST:
                raise ValueError(
                    f"steps and images must be few enough for a notebook, {LARGEST // 1000} kB, got {total // 1000}; "
                    "take fewer numbers of steps or fewer images"
                )
        super().__init__(
            means=means.tolist(),
            initial=means.tolist(),
            stds=np.broadcast_to(stds, K).tolist(),
            weights=weights.tolist(),
            alpha_bar=[packed(curve.alpha_bar.numpy(), "<f8") for curve in curves],
            counts=counts,
            kind=schedule.kind,
            own=schedule.kind,
            steps=5 if 5 in counts else counts[0],
            task=task,
            **digits,
        )


def _checked(model, images, y):
    """Return (H, W), the images and y, or say what was wrong."""
    if not isinstance(model, DDPM):
        raise TypeError(f"model must be a DDPM, got {model!r:.60}")
    if len(model.event_shape) != 3 or model.event_shape[0] != 1 or max(model.event_shape) > 16:
        raise ValueError(f"model must be one of pictures (1, H, W), at most 16 × 16, got {model.event_shape}")
    if model.levels is None or model.levels > 256:
        raise ValueError(f"model must be one of at most 256 levels, got {model.levels}")
    if images is None:
        raise ValueError("images must be given with a model: 1 to 4 that lose their places to noise")
    shape, images = model.event_shape[1:], _array(images, "images")
    images = images[:, 0] if images.ndim == 4 and images.shape[1] == 1 else images
    wanted = images.ndim == 3 and images.shape[1:] == shape and 1 <= len(images) <= 4 and images.dtype.kind in "iu"
    if not wanted or images.min() < 0 or images.max() >= model.levels:
        raise ValueError(
            f"images must be 1 to 4 of shape {shape} in integer levels 0..{model.levels - 1}, got {images.dtype} of "
            f"shape {images.shape}"
        )
    like = torch.zeros(len(images)).to(model.grid)
    y = None if y is None else torch.as_tensor(_array(y, "y")).to(like.device)
    checks.condition(y, len(images), model.condition, like, model)
    return shape, images, y


def _counts(steps, T: int) -> list[int]:
    if isinstance(steps, (str, int)) or not hasattr(steps, "__iter__"):
        raise TypeError(f"steps must be a list of numbers of steps, None for T, got {steps!r:.60}")
    counts = [T if n is None else checks.positive_int("each of steps", n, 2) for n in steps]
    if not 1 <= len(counts) <= 7 or len(set(counts)) < len(counts) or max(counts) > T:
        raise ValueError(f"steps must be 1 to 7 different numbers of at most T = {T}, got {list(steps)!s:.60}")
    return sorted(counts)


def _trajectories(model, n: int, y, curves, counts) -> dict[str, str]:
    """Return the pictures, a block of n for each z_t and x̂, and which of them each frame shows."""
    own, blocks, table = model.schedule.log_snr.numpy(), {}, []
    byte = lambda u: ((u.cpu().numpy() + 1) * 127.5).round().clip(0, 255).astype("u1").tobytes()  # noqa: E731
    with seeded(0):
        z = torch.randn(n, *model.event_shape).to(model.grid)
    for curve in curves:
        for count in counts:
            wanted = curve.log_snr.numpy()[model._steps(count)]
            times = {model.schedule.T, *(1 + abs(own[1:, None] - wanted).argmin(0)).tolist(), 1}
            for eta in ETAS:
                with seeded(1):
                    path = list(model.trajectory(z, y, sorted(times), eta))
                path = [path[i] for i in np.unique(np.linspace(0, len(path) - 1, FRAMES).round().astype(int))]
                table.append(len(path))
                for time, z_t, x_hat in path:
                    x_hat = 2 * x_hat.to(model.grid) / (model.levels - 1) - 1
                    keys = byte(z_t if time else x_hat), byte(x_hat)
                    table += [time, *(blocks.setdefault(key, len(blocks)) for key in keys)]
    return {
        "pictures": packed(np.frombuffer(b"".join(blocks), "u1"), "u1"),
        "frames": packed(np.array(table), "<u2"),
    }
