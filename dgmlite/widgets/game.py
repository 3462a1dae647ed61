"""A generator and a critic that learn from each other while one watches, on data that the learner paints."""

import math

import numpy as np
import torch
import traitlets as t

from dgmlite import checks
from dgmlite.models.gan import GAN
from dgmlite.training import _per_player
from dgmlite.widgets.base import Widget, finite, packed, sentence

EDGE, MOST = 3.0, 40  # the plane is −EDGE … EDGE each way; centres
TURNS = ([1, 0], [5, 1], [1, 1], [1, 5], [0, 1])  # steps of the critic and of the generator in a round
_turn = np.sqrt(3 * np.arange(13) + 2)
PRESETS = {
    "ring": 2 * np.stack([np.cos(np.arange(8) * math.pi / 4), np.sin(np.arange(8) * math.pi / 4)], 1),
    "two": np.array([[-1.5, 0.0], [1.5, 0.0]]),
    "one": np.array([[1.5, 1.0]]),
    "spiral": 0.4 * _turn[:, None] * np.stack([np.cos(_turn), np.sin(_turn)], 1),
}
_TASK = (
    "Train until all modes of the ring are covered. Reset, and find settings with which all samples end up in one "
    "place; then mend it without another reset. Does what made it collapse do so after it has learned, too?"
)


class Game(Widget):
    """Let a generator and a critic train in the browser, step by step or by the thousand, on data that one can paint.

    Task: train until all modes of the ring are covered. Reset, and find settings with which all samples end up in one
    place; then mend it without another reset. Does what made it collapse do so after it has learned, too?

    data: "ring", "two", "one" or "spiral", or centres m_k (K, 2), K ≤ 40, each number at most 2.7. The data are x ~ 1/K
    Σ_k N(m_k, std² I), drawn anew for each batch of `batch`, a multiple of 4; std is 0.05 … 0.5.

    The players are those of `GAN((2,), None, latent=latent, hidden=hidden, seed=seed)`, leaky ReLUs, and start from its
    weights, then in float64; so are the objective, the penalty and its weight. A round is `steps_per_player` steps of
    each, first of the critic: 1 and 0, 5 and 1, 1 and 1, 1 and 5, or 0 and 1, of Adam with betas (0.5, 0.99) and `lr`,
    one number or a dict, as in `fit`. What the learner changes holds from the next step on.

    Random: u_0, u_1 … are the numbers of the generator mulberry32 started at n · 0x9E3779B1, as in Completion; a pair
    of normal numbers is √(−2 log(1 − u)) · (cos 2π u', sin 2π u') of the next two. Training takes n = 3 · seed + 1, one
    number after the other. A critic's step: for each example u, of the component ⌊K u⌋, and a pair; then for each
    example ⌈latent / 2⌉ pairs, z; then, with penalty="gradient", u = α for each. A generator's step: z alone. The 400
    samples that are shown have their z from n = 3 · seed + 2, and the 200 data from n = 3 · seed + 3, in the same way.

    The map is D = σ(c), of "hinge" (c + 1) / 2 and of "least-squares" c, cut to 0 … 1. The c of "wasserstein" has no
    zero: there, ½ is half-way between the means of c over the shown samples and over the shown data, and the range of c
    over both is 1. The dashed line is D = ½.
    An arrow is −∂ loss / ∂x of the generator's loss of one sample x; drawn, a length a becomes a / (1 + a). A mode is
    covered if at least a quarter of its share, 400 / 4K samples, is within 3 std of its centre and of no nearer one.
    All samples are in one place if their root mean square distance from their mean is below 0.3 of that of the data.

    task: the sentence above the picture; "" for none. The traits follow the learner; the weights stay in the browser.
    Raises ValueError or TypeError for what does not fit.
    Goodfellow et al. (2014), Generative adversarial nets (arXiv:1406.2661), algorithm 1; Metz et al. (2017), Unrolled
    generative adversarial networks (arXiv:1611.02163), for the ring.

    >>> Game(objective="minimax", steps_per_player={"critic": 5})
    Game(data='ring', objective='minimax', penalty='', turns=[5, 1])
    """

    data = t.Unicode("ring", help="Name of the preset, or nothing.").tag(sync=True)
    centres = t.List(t.List(t.Float())).tag(sync=True)
    presets = t.Dict(help="Base64 of float64, (K, 2), for each name.").tag(sync=True)
    std = t.Float().tag(sync=True)
    widths = t.List(t.Int(), help="Latent and hidden numbers.").tag(sync=True)
    generator = t.Unicode(help="Base64 of float32, all weights; as is the next.").tag(sync=True)
    critic = t.Unicode().tag(sync=True)
    batch = t.Int().tag(sync=True)
    objective = t.Unicode().tag(sync=True)
    penalty = t.Unicode("", help="Nothing, r1 or gradient.").tag(sync=True)
    weight = t.Float().tag(sync=True)
    lr_critic = t.Float().tag(sync=True)
    lr_generator = t.Float().tag(sync=True)
    turns = t.List(t.Int(), help="Steps of the critic and of the generator in a round.").tag(sync=True)
    seed = t.Int(0).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "game.js", ("data", "objective", "penalty", "turns")
    _css = Widget._css + (
        ".dgm-stage:has(.dgm-surface) { position: relative; }\n"
        ".dgm-surface { position: absolute; }\n"
        ".dgm-surface ~ .dgm-picture { position: relative; }\n"
        ".dgm-real { fill: none; stroke: var(--c); stroke-width: 4.5; stroke-linecap: round; }\n"
        ".dgm-real-edge { fill: none; stroke: color-mix(in srgb, var(--c) 50%, var(--ink)); stroke-width: 6.5;\n"
        "  stroke-linecap: round; }\n"
        ".dgm-fake { fill: none; stroke: color-mix(in srgb, var(--c) 75%, var(--ink)); stroke-width: 2; }\n"
        ".dgm-push { fill: none; stroke: var(--ink); stroke-width: 1.5; }\n"
        ".dgm-push-head { fill: var(--ink); }\n"
        ".dgm-undecided { fill: none; stroke: var(--ink); stroke-width: 2; stroke-dasharray: 7 4; }\n"
        ".dgm-mode { fill: none; stroke: var(--ink); stroke-width: 1.6; }\n"
        ".dgm-missed { stroke-dasharray: 3 4; }\n"
        ".dgm-paint .dgm-area { touch-action: none; }\n"
        ".dgm-still { cursor: default; }\n"
    )

    def __init__(
        self, data="ring", std=0.15, objective="non-saturating", penalty=None, weight=0.1, lr=0.002,
        steps_per_player=None, latent=2, hidden=(32, 32), batch=64, seed=0, task=None,
    ):  # fmt: skip
        if isinstance(data, str):
            if data not in PRESETS:
                raise ValueError(f"data must be {', '.join(map(repr, PRESETS))} or centres, got {data!r:.60}")
            centres = PRESETS[data]
        else:
            centres, data = finite("data", data), ""
        if centres.ndim != 2 or centres.shape[1] != 2 or not 1 <= len(centres) <= MOST or abs(centres).max() > 2.7:
            raise ValueError(
                f"data must be centres of shape (K, 2), 1 ≤ K ≤ {MOST}, from −2.7 to 2.7, got {centres.tolist()!s:.60}"
            )
        hidden = checks.integers("hidden", hidden, 1)
        for name, wrong, limit in (
            ("hidden", not 1 <= len(hidden) <= 3 or max(hidden) > 64, "1 to 3 layers of at most 64 each"),
            ("latent", checks.positive_int("latent", latent) > 16, "at most 16"),
            ("batch", checks.positive_int("batch", batch, 4) > 256 or batch % 4, "a multiple of 4, at most 256"),
            ("seed", checks.positive_int("seed", seed, 0) > 10**8, "at most 100000000"),
        ):
            if wrong:
                raise ValueError(f"{name} must be {limit}, to train in a browser, got {locals()[name]}")
        weight = checks.finite_number("weight", weight, 0.001, 100)
        model = GAN((2,), None, None, None, latent, objective, penalty, weight, hidden=hidden, seed=seed)
        rate = lambda name, value: checks.finite_number(name, value, 1e-5, 0.1)  # noqa: E731
        lr = _per_player("lr", lr, model.players, rate, default=0.002)
        count = lambda name, value: checks.positive_int(name, value, 0)  # noqa: E731
        turns = list(_per_player("steps_per_player", steps_per_player or {}, model.players, count, default=1).values())
        if turns not in TURNS:
            wanted = ", ".join(f"{c} : {g}" for c, g in TURNS)
            raise ValueError(f"steps_per_player must be critic : generator = {wanted}, got {turns[0]} : {turns[1]}")
        weights = {
            name: packed(torch.cat([p.detach().flatten() for p in player.parameters()]).numpy())
            for name, player in model.players.items()
        }
        super().__init__(
            data=data,
            centres=centres.tolist(),
            presets={name: packed(places, "<f8") for name, places in PRESETS.items()},
            std=checks.finite_number("std", std, 0.05, 0.5),
            widths=[model.latent, *hidden],
            batch=int(batch),
            objective=objective,
            penalty=penalty or "",
            weight=weight,
            lr_critic=lr["critic"],
            lr_generator=lr["generator"],
            turns=turns,
            seed=int(seed),
            task=sentence(task, _TASK),
            **weights,
        )
