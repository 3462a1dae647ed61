"""One step back from noise, where the exact answer is known: when is it Gaussian?"""

import math

import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget, finite, sentence

END = 8.0  # of the log-SNRs


class ReverseStep(Widget):
    """Take a step back from z_t to z_s, long or short; compare the exact q(z_s | z_t) with two Gaussians.

    Task: find a step back with two humps. Then shrink the step until no eye can tell the exact curve from the Gaussian:
    how many such steps would fit between log-SNR 8 and −8?

    x is one number, from a mixture of 2 or 3 Gaussians Σ_k w_k N(m_k, d_k²). means: m_k, −2..2; stds: d_k, 0.05..1;
    weights: w_k, they sum to 1. log_snr: (λ_s, λ_t) to begin with, 8 ≥ λ_s > λ_t ≥ −8, at least 0.01 apart. z: z_t to
    begin with, −4..4. task: the sentence above the picture; "" for none.

    At log-SNR λ, z = α x + σ ε, α² = 1 / (1 + exp(−λ)), σ² = 1 − α², in continuous time. With r = α_t / α_s,
    β = σ_t² − r² σ_s² = σ_t² (1 − exp(λ_t − λ_s)), S_k = α_s² d_k² + σ_s² and V_k = α_t² d_k² + σ_t² = r² S_k + β,
    by Bayes:
    - q(z_t) = Σ_k w_k N(α_t m_k, V_k), and p_k ∝ w_k N(z_t; α_t m_k, V_k) is the posterior of component k;
    - exact: q(z_s | z_t) = Σ_k p_k N(α_s m_k + (r S_k / V_k) (z_t − α_t m_k), β S_k / V_k);
    - moments: the Gaussian with the same mean and variance, the closest of all Gaussians;
    - DDPM: q(z_s | z_t, x = x̂) = N(a x̂ + b z_t, c²), x̂ = E[x | z_t] = Σ_k p_k (m_k + (α_t d_k² / V_k) (z_t − α_t m_k)),
      a = α_s β / σ_t², b = r σ_s² / σ_t² and c² = β σ_s² / σ_t², as in `Schedule.posterior`. Its mean is exact; its
      variance is too small, by a² Var[x | z_t].
    KL(exact ‖ each), in nats, by the trapezoid rule on 4001 points; humps are the maxima of the exact curve that are at
    least 1 % as high as the highest. `log_snr` and `z` follow the learner. Raises ValueError or TypeError for what does
    not fit.
    Sohl-Dickstein et al. (2015, arXiv:1503.03585), section 2.2, for why small steps are Gaussian, after Feller (1949);
    Ho et al. (2020, arXiv:2006.11239), equation 7; Kingma et al. (2021, arXiv:2107.00630), for λ.

    >>> ReverseStep(z=0.5)
    ReverseStep(means=[-1.0, 1.0], stds=[0.15, 0.15], weights=[0.35, 0.65], log_snr=[2.0, 1.0], z=0.5)
    """

    means = t.List(t.Float()).tag(sync=True)
    stds = t.List(t.Float()).tag(sync=True)
    weights = t.List(t.Float()).tag(sync=True)
    log_snr = t.List(t.Float()).tag(sync=True)
    z = t.Float().tag(sync=True)
    initial = t.List(t.Float()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "reverse_step.js", ("means", "stds", "weights", "log_snr", "z")
    _css = Widget._css + (
        ".dgm-beaded { stroke-dasharray: .1 6; stroke-width: 3.6; stroke-linecap: round; }\n"
        ".dgm text.dgm-letter { font-weight: 700; pointer-events: none; }\n"
        ".dgm-slider:focus text.dgm-letter { fill: var(--paper); }\n"
    )

    def __init__(self, means=(-1, 1), stds=(0.15, 0.15), weights=(0.35, 0.65), log_snr=(2, 1), z=0.8, task=None):
        means = _numbers("means", means, -2, 2)
        if not 2 <= len(means) <= 3:
            raise ValueError(f"means must be those of 2 or 3 Gaussians, got {len(means)}")
        stds, weights = _numbers("stds", stds, 0.05, 1, len(means)), _numbers("weights", weights, 0.01, 1, len(means))
        if not math.isclose(math.fsum(weights), 1, abs_tol=1e-6):
            raise ValueError(f"weights must sum to 1, got {math.fsum(weights):.6g}; divide by the sum first")
        log_snr, z = _numbers("log_snr", log_snr, -END, END, 2), checks.finite_number("z", z, -4, 4)
        if log_snr[0] - log_snr[1] < 0.01 - 1e-9:
            raise ValueError(f"log_snr must fall by at least 0.01, from that of z_s to that of z_t, got {log_snr}")
        task = sentence(
            task,
            "find a step back with two humps. Then shrink the step until no eye can tell the exact curve from the "
            "Gaussian: how many such steps would fit between log-SNR 8 and −8?",
        )
        super().__init__(
            means=means, stds=stds, weights=weights, log_snr=log_snr, z=z, initial=[*log_snr, z], task=task
        )


def _numbers(what: str, given, low: float, high: float, count: int | None = None) -> list[float]:
    values = finite(what, given)
    if values.ndim != 1 or (count and len(values) != count):
        raise ValueError(f"the list {what} must hold {count or '2 or 3'} numbers, got shape {values.shape}")
    return [checks.finite_number(f"each of {what}", value, low, high) for value in values.tolist()]
