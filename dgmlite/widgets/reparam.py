"""Two ways to the gradient of an expectation: through the sample, and through the density."""

import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget, finite, sentence


class Reparameterise(Widget):
    """Move μ and σ of z = μ + σ ε; see the gradient of E[f(z)] pass through the same noises, and how sure it is.

    Task: by μ, find a place where the score function needs over 100 times as many draws as the pathwise estimator, and
    one where less than 5 times. Then add 10 to f, which changes no gradient: which of the two estimators notices?

    z ~ N(μ, σ²). coefficients: of the polynomial f, lowest first, 2 to 5 of them (degree 1 to 4), between −100 and
    100. mean: μ to begin with, −3..3; std: σ, 0.2..2. draws: the number of noises ε, 2..30. task: the sentence above
    the picture; "" for none.

    One draw of ∂ E[f(z)] / ∂μ is, pathwise, f′(z), and by the score function f(z) (z − μ) / σ²; of ∂ E[f(z)] / ∂σ,
    f′(z) ε and f(z) (ε² − 1) / σ. In ε all are polynomials, so that their means and variances are exact, by the moments
    of N(0, 1); bands show them. With u_t, number t + 1 of the generator mulberry32 started at `seed` · 0x9e3779b1,
    noises 2j and 2j + 1 are √(−2 log(1 − u_2j)) times cos and sin of 2π u_{2j+1} (Box & Muller, 1958). `seed` is 15,
    whose noises are well spread, and one more for each new noise. The handle of σ holds the place of ε = 2. `mean`,
    `std`, `seed`, `by` ("μ" or "σ") and `raised` (10 is added to f) follow the learner. Raises ValueError or TypeError
    for what does not fit.
    Kingma & Welling (2014), Auto-encoding variational Bayes (arXiv:1312.6114); Mohamed et al. (2020), Monte Carlo
    gradient estimation in machine learning (arXiv:1906.10652).

    >>> Reparameterise(mean=0.5)
    Reparameterise(coefficients=[4.0, -4.0, 1.0], mean=0.5, std=1.0, draws=12)
    """

    coefficients = t.List(t.Float()).tag(sync=True)
    mean = t.Float(0.0).tag(sync=True)
    std = t.Float(1.0).tag(sync=True)
    draws = t.Int(12).tag(sync=True)
    seed = t.Int(15, help="One whose first noises are well spread.").tag(sync=True)
    by = t.Enum(["μ", "σ"], "μ").tag(sync=True)
    raised = t.Bool(False).tag(sync=True)
    initial = t.List(t.Float()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "reparam.js", ("coefficients", "mean", "std", "draws")
    _css = Widget._css + (
        ".dgm-thread { stroke: color-mix(in srgb, var(--ink) 36%, var(--paper)); stroke-width: 1.2; fill: none; }\n"
        ".dgm-move, .dgm-move-edge { fill: none; stroke-linejoin: round; stroke-width: 2.5; }\n"
        ".dgm-move { stroke: color-mix(in srgb, var(--c) 80%, var(--ink)); }\n"
        ".dgm-move-edge { stroke: var(--paper); stroke-width: 5; }\n"
        ".dgm-bead { fill: color-mix(in srgb, var(--c, var(--ink)) 80%, var(--ink)); stroke: var(--paper); }\n"
        ".dgm text.dgm-letter { font-weight: 700; pointer-events: none; }\n"
        ".dgm-slider:focus text.dgm-letter { fill: var(--paper); }\n"
    )

    def __init__(self, coefficients=(4, -4, 1), mean=0, std=1, draws=12, task=None):
        usual = isinstance(coefficients, tuple) and coefficients == (4, -4, 1)
        coefficients = finite("coefficients", coefficients)
        if coefficients.ndim != 1 or not 2 <= len(coefficients) <= 5 or abs(coefficients).max() > 100:
            raise ValueError(
                "coefficients must be 2 to 5 numbers in −100..100, the constant first, such as (4, -4, 1) for "
                f"4 − 4z + z², got {coefficients.tolist()!s:.80}"
            )
        if not coefficients[1:].any():
            raise ValueError("coefficients must have one besides the constant that is not 0, or there is no gradient")
        mean, std = checks.finite_number("mean", mean, -3, 3), checks.finite_number("std", std, 0.2, 2)
        if checks.positive_int("draws", draws, 2) > 30:
            raise ValueError(f"draws must be at most 30 to be drawn one by one, got {draws}")
        task = sentence(
            task,
            "by μ, find a place where the score function needs over 100 times as many draws as the pathwise "
            "estimator, and one where less than 5 times. Then add 10 to f, which changes no gradient: which of the "
            "two estimators notices?"
            if usual
            else "where do the terms of the two estimators spread most differently? Then add 10 to f, which "
            "changes no gradient: which of the two notices?",
        )
        super().__init__(
            coefficients=coefficients.tolist(),
            mean=mean,
            std=std,
            draws=int(draws),
            initial=[mean, std],
            task=task,
        )
