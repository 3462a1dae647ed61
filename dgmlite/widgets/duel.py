"""The game on a line where all is known: the best critic, what it says of the distance, and how it pushes samples."""

import math

import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget, finite, sentence

MEAN, STD = (-4, 8), (0.3, 2)


class Duel(Widget):
    """Drag samples q = N(m, s²) away from the data p; watch the best critic, Jensen–Shannon, and both generators' push.

    Task: how far must q go, with one bump and width 1, until the minimax slope is below 1 % of the other? How far is
    JS from log 2 then? Stay there: which strength of the critic makes the minimax slope steepest?

    p: one or two (weight, mean, std), the weights sum to 1. q: (mean, std). Means lie in −4..8, stds in 0.3..2.
    strength: a of the critic c(x) = a · log p(x)/q(x), 0..1: 1 is the best critic there is, D = σ(c) = p/(p + q), and
    less is one that was given too little time. task: the sentence above the picture; "" for none.

    - value: E_p log D + E_q log(1 − D), what the critic maximises; JS(p, q) = log 2 + value/2 at the best critic, at
      most log 2. For any other critic log 2 + value/2 is a lower bound on JS, here `seen`.
    - slopes: d/dm of the generator's loss with the critic held fixed. Minimax, E_q log(1 − D): E_q[−D c']; at the best
      critic it is that of 2 JS. Non-saturating, −E_q log D: E_q[−(1 − D) c']; at the best critic that of KL(q ‖ p) − 2
      JS.
    - pushes: −d loss/dx at samples m + s z, z the 10, 30, 50, 70 and 90 % quantiles of N(0, 1): D c' and (1 − D) c'.
      Arrows are as long on the axis as the push, but end with the picture.

    In nats; expectations by the trapezoid rule on 2001 points, 10 stds beyond the parts of the density. `p`, `q` and
    `strength` follow the learner. Raises ValueError or TypeError for what does not fit.
    Goodfellow et al. (2014, arXiv:1406.2661), sections 3 and 4.1; Arjovsky & Bottou (2017, arXiv:1701.04862), theorem
    2.5, for the slope of the second loss.

    >>> Duel(q=(5, 1))
    Duel(p=[[1.0, 0.0, 1.0]], q=[5.0, 1.0], strength=1.0)
    """

    p = t.List(t.List(t.Float())).tag(sync=True)
    q = t.List(t.Float()).tag(sync=True)
    strength = t.Float().tag(sync=True)
    initial_p = t.List(t.List(t.Float())).tag(sync=True)
    initial = t.List(t.Float()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "duel.js", ("p", "q", "strength")
    _css = Widget._css + (
        ".dgm-push { fill: none; stroke: color-mix(in srgb, var(--c) 80%, var(--ink)); stroke-width: 2.2; }\n"
        ".dgm-tip { fill: color-mix(in srgb, var(--c) 80%, var(--ink)); }\n"
    )

    def __init__(self, p=((1, 0, 1),), q=(2.5, 1), strength=1.0, task=None):
        p, q = finite("p", p), finite("q", q)
        if p.ndim != 2 or p.shape[1] != 3 or not 1 <= len(p) <= 2:
            raise ValueError(f"p must be one or two (weight, mean, std), got shape {p.shape}")
        if q.shape != (2,):
            raise ValueError(f"q must be (mean, std), got shape {q.shape}")
        for name, parts in (("p", p[:, 1:].tolist()), ("q", [q.tolist()])):
            for mean, std in parts:
                checks.finite_number(f"the mean in {name}", mean, *MEAN)
                checks.finite_number(f"the std in {name}", std, *STD)
        weights = [checks.finite_number("the weight in p", weight, 0.01, 1) for weight in p[:, 0].tolist()]
        if not math.isclose(math.fsum(weights), 1, abs_tol=1e-8):
            raise ValueError(f"the weights of p must sum to 1, got {math.fsum(weights):.6g}; divide by the sum first")
        strength = checks.finite_number("strength", strength, 0, 1)
        task = sentence(
            task,
            "how far must q go, with one bump and width 1, until the minimax slope is below 1 % of the other? How far "
            "is JS from log 2 then? Stay there: which strength of the critic makes the minimax slope steepest?",
        )
        p, q = p.tolist(), q.tolist()
        super().__init__(p=p, q=q, strength=strength, initial_p=p, initial=[*q, strength], task=task)
