"""One latent variable on a grid, where everything is known: both splits of the evidence lower bound."""

import numpy as np
import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget, finite, packed, sentence


class ElboSplit(Widget):
    """Fit q(z) to the posterior of one x; log p(x) stays, and ELBO and KL divergence share it out between them.

    Task: move and widen q until the gap is as small as it gets. Which of the two terms of the bound pulls where?

    z: (G,), evenly spaced, 50 ≤ G ≤ 400; log_prior: (G,), log p(z), a density that integrates to 1 on the grid, to
    0.1 %; log_likelihood: (G,), log p(x | z) of the one x observed. All three in nats, or none: then z ~ N(0, 1) and
    x | z ~ N(tanh 1.5 z, 0.35²), x = 0.8. mean, std: q to begin with, the mean in the middle four fifths of the grid,
    the std from one spacing to a fifth of the grid. task: the sentence above the picture; "" for none.

    The grid is the model: z takes G values, each with probability ∝ p(z), and q ∝ exp(−(z − mean)² / 2 std²), both
    normalised by their sum over the grid. So log p(x) = ELBO + KL(q ‖ p(z | x)), ELBO = E_q[log p(x | z)] − KL(q ‖
    p(z)) and KL ≥ 0 hold exactly, with sums in place of integrals. The sums are close to the integrals where q ends
    within the grid and the grid resolves p(z) p(x | z). Pulls are derivatives of the two terms by mean and std; arrows
    grow with them, less than in proportion. "best q" searches a mesh of means and stds, then ever finer around the
    best. `mean` and `std` follow the learner. Raises ValueError or TypeError for what does not fit.
    Jordan et al. (1999), An introduction to variational methods for graphical models.

    >>> ElboSplit(mean=0.5, std=0.8)
    ElboSplit(mean=0.5, std=0.8)
    """

    z = t.Unicode(help="Base64 of float64, as are the next two.").tag(sync=True)
    log_prior = t.Unicode(help="Log-probabilities of the grid's points.").tag(sync=True)
    log_likelihood = t.Unicode().tag(sync=True)
    mean = t.Float(0.0).tag(sync=True)
    std = t.Float(1.0).tag(sync=True)
    initial = t.List(t.Float()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "elbo.js", ("mean", "std")
    _css = Widget._css + (
        ".dgm-thin, .dgm-tug { fill: none; stroke: color-mix(in srgb, var(--c) 80%, var(--ink)); }\n"
        ".dgm-thin { stroke-width: 1.8; }\n"
        ".dgm-tug { stroke-width: 2.5; stroke-linejoin: round; }\n"
        ".dgm-dotted { stroke-dasharray: 2 3; }\n"
    )

    def __init__(self, z=None, log_prior=None, log_likelihood=None, mean=0.0, std=1.0, task=None):
        given = [v is not None for v in (z, log_prior, log_likelihood)]
        if any(given) and not all(given):
            raise ValueError("z must come with both log_prior and log_likelihood, got only some; leave out all or none")
        if not any(given):
            z = np.linspace(-5, 5, 201)
            log_prior, log_likelihood = _log_normal(z, 0, 1), _log_normal(0.8, np.tanh(1.5 * z), 0.35)
        z = finite("z", z)
        if z.ndim != 1 or not 50 <= len(z) <= 400:
            raise ValueError(f"z must have shape (G,), 50 to 400 points of a grid, got {z.shape}")
        gaps, spacing = np.diff(z), (z[-1] - z[0]) / (len(z) - 1)
        if not spacing > 0 or abs(gaps - spacing).max() > 1e-3 * spacing:
            raise ValueError(
                f"z must be evenly spaced and rise, got steps from {gaps.min():.4g} to {gaps.max():.4g}; "
                "np.linspace(-5, 5, 201) makes such a grid"
            )
        log_prior, log_likelihood = (
            _on_grid(name, v, len(z)) for name, v in (("log_prior", log_prior), ("log_likelihood", log_likelihood))
        )
        with np.errstate(over="ignore"):  # densities given for their logarithms
            total = np.exp(log_prior).sum() * spacing
        if not abs(total - 1) <= 1e-3:
            raise ValueError(
                f"log_prior must be the log of a density whose integral over the grid is 1, got {total:.4g}; is the "
                "grid too short, a constant left out, or are these not logarithms?"
            )
        low, high = z[0] + 0.1 * (z[-1] - z[0]), z[-1] - 0.1 * (z[-1] - z[0])
        mean = checks.finite_number("mean", mean, low, high)
        std = checks.finite_number("std", std, spacing, (z[-1] - z[0]) / 5)
        task = sentence(
            task,
            "move and widen q until the gap is as small as it gets. Which of the two terms of the bound pulls where?",
        )
        super().__init__(
            z=packed(z, "<f8"),
            log_prior=packed(log_prior + np.log(spacing / total), "<f8"),
            log_likelihood=packed(log_likelihood, "<f8"),
            mean=mean,
            std=std,
            initial=[mean, std],
            task=task,
        )


def _log_normal(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)


def _on_grid(what: str, given, count: int) -> np.ndarray:
    values = finite(what, given)
    if values.shape != (count,):
        raise ValueError(f"{what} must have shape ({count},), one number for each point of z, got {values.shape}")
    return values
