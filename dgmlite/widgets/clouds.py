"""Two classes and strangers in the plane: what p(y|x) alone cannot know, and what a model of p(x, y) does."""

import numpy as np
import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget, finite, packed, sentence

EDGE, LIMIT = 5, 4  # inputs lie in −EDGE … EDGE each way, centres in −LIMIT … LIMIT
SPREAD, PRIOR, STRANGERS, COST = (0.3, 1.2), (0.05, 0.95), (0, 0.5), (0.01, 0.5)
MAPS = ("p(y|x)", "p(x)", "p(x, y)", "decision")
RULES = ("always decide", "abstain if unsure of y", "abstain if x is strange", "least expected cost")
_TASK = (
    "find a place where p(y|x) is surer than 0.999 and no data are; what does p(x, y) say there? Which rules abstain "
    "there, and what do they save? Then let no strangers come: which rules now cost the same?"
)


class Clouds(Widget):
    """Move two clouds of data and a probe; compare p(y|x) with p(x) and p(x, y), and four rules of when to abstain.

    Task: find a place where p(y|x) is surer than 0.999 and no data are; what does p(x, y) say there? Which rules
    abstain there, and what do they save? Then let no strangers come: which rules now cost the same?

    The model: p(x, y) = p(y) N(x; m_y, s_y² I), y = 0 or 1, p(y = 1) = prior. centres: m_0 and m_1, (2, 2), each
    number at most 4; spreads: s_0 and s_1, 0.3..1.2; prior: 0.05..0.95. In use, with probability π = strangers, 0..0.5,
    an input is of neither class and uniform over the square −5..5, u = 1/100: r(x) = (1 − π) p(x) + π u. A right
    decision costs 0, a wrong one 1, of a stranger any; to abstain costs c = cost, 0.01..0.5. Rules abstain

    - "always decide": nowhere;
    - "abstain if unsure of y": where 1 − max_y p(y|x) > c, Chow's rule, optimal without strangers;
    - "abstain if x is strange": where the probability of a stranger, π u / r(x), is above c: by p(x) alone;
    - "least expected cost": where 1 − (1 − π) max_y p(x, y) / r(x), the probability of a wrong decision, is above c;

    elsewhere they decide for the y of the largest p(y|x). The expected cost of a rule is the sum of what strangers
    cost that are taken for a class, of classes confused, and of abstaining. It is added up in cells of side 0.05 over
    −10..10, where all but 10⁻⁶ of the clouds lies: what of them is beyond the square counts too, without strangers
    there. Errors are below 10⁻⁴.

    probe: a place x, in the square, of which all numbers are told. map: what the square shows, "p(y|x)", "p(x)",
    "p(x, y)", its hue p(y|x) and its strength log p(x), or "decision"; rule: one of the four. n: how many points of
    each class are shown, drawn with `seed` from N(0, I) and moved with the clouds. task: the sentence above the
    picture; "" for none. Nats. The other traits follow the learner. Raises ValueError or TypeError for what does not
    fit.
    Chow (1970), On optimum recognition error and reject tradeoff, IEEE Transactions on Information Theory 16 (1).

    >>> Clouds(map="decision", rule="least expected cost")
    Clouds(prior=0.5, strangers=0.1, cost=0.25, probe=[4.0, 3.5], map='decision', rule='least expected cost')
    """

    centres = t.List(t.List(t.Float())).tag(sync=True)
    spreads = t.List(t.Float()).tag(sync=True)
    prior = t.Float().tag(sync=True)
    strangers = t.Float().tag(sync=True)
    cost = t.Float().tag(sync=True)
    probe = t.List(t.Float()).tag(sync=True)
    map = t.Unicode().tag(sync=True)
    rule = t.Unicode().tag(sync=True)
    points = t.Unicode(help="Base64 of float32, (2, n, 2): offsets of the data, in spreads.").tag(sync=True)
    initial = t.Dict().tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "clouds.js", ("prior", "strangers", "cost", "probe", "map", "rule")
    _css = Widget._css + (
        ".dgm-halo-stroke { fill: none; stroke: var(--paper); stroke-width: 5; stroke-linecap: round; }\n"
        ".dgm-sign { fill: none; stroke: color-mix(in srgb, var(--c) 62%, var(--ink)); stroke-width: 2.2;\n"
        "  stroke-linecap: round; }\n"
        ".dgm-sign.dgm-round { stroke-width: 6; }\n"
        ".dgm-slanted { fill: none; stroke: var(--quiet); stroke-width: 1.5; }\n"
        ".dgm text.dgm-onknob { font-size: 14px; font-weight: 700; pointer-events: none; }\n"
        ".dgm-slider:focus .dgm-onknob { fill: var(--paper); }\n"
        ".dgm-clouds .dgm-kind .dgm-knob { stroke: color-mix(in srgb, var(--c) 62%, var(--ink)); stroke-width: 3.5; }\n"
        ".reveal .dgm-clouds { grid-template: 'buttons buttons' auto 'stage figures' auto 'sentence sentence' auto\n"
        "  / minmax(0, 1fr) 15em; }\n"
    )

    def __init__(
        self,
        centres=((-1.2, -0.6), (1.2, 0.6)),
        spreads=(0.7, 0.7),
        prior=0.5,
        strangers=0.1,
        cost=0.25,
        probe=(4, 3.5),
        map=MAPS[0],
        rule=RULES[0],
        n=60,
        seed=0,
        task=None,
    ):
        centres, spreads, probe = finite("centres", centres), finite("spreads", spreads), finite("probe", probe)
        if centres.shape != (2, 2) or abs(centres).max() > LIMIT:
            raise ValueError(
                f"centres must be two places (x₁, x₂) in −{LIMIT}..{LIMIT}, got shape {centres.shape}, up to "
                f"{abs(centres).max(initial=0):g}; the picture shows −{EDGE}..{EDGE}"
            )
        if spreads.shape != (2,):
            raise ValueError(f"spreads must be two, one for each class, got shape {spreads.shape}")
        if probe.shape != (2,) or abs(probe).max() > EDGE:
            raise ValueError(f"probe must be a place (x₁, x₂) in −{EDGE}..{EDGE}, got {probe.tolist()}")
        for what, value, names in (("map", map, MAPS), ("rule", rule, RULES)):
            if value not in names:
                raise ValueError(f"{what} must be one of {', '.join(names)}, got {value!r:.60}")
        n, seed = checks.positive_int("n", n), checks.positive_int("seed", seed, 0)
        if n > 300:
            raise ValueError(f"n must be at most 300 for each class, got {n}")
        state = {
            "centres": centres.tolist(),
            "spreads": [checks.finite_number("each of the spreads", s, *SPREAD) for s in spreads.tolist()],
            "prior": checks.finite_number("prior", prior, *PRIOR),
            "strangers": checks.finite_number("strangers", strangers, *STRANGERS),
            "cost": checks.finite_number("cost", cost, *COST),
            "probe": probe.tolist(),
            "map": map,
            "rule": rule,
        }
        super().__init__(
            **state,
            points=packed(np.random.default_rng(seed).standard_normal((2, n, 2))),
            initial=state,
            task=sentence(task, _TASK),
        )
