"""Samples that the learner damages, and what each score notices of it."""

import functools

import numpy as np
import torch
import traitlets as t

from dgmlite import checks
from dgmlite.evaluation import frechet_distance, mmd, modes, nearest, precision_recall
from dgmlite.widgets.base import Widget, finite, packed, sentence

OTHERS = 39  # a further honest set is outside of the range of 39 with probability 2/40


class Scores(Widget):
    """Damage a set of samples in four ways; watch which of seven scores leave what honest samples reach.

    Task: find a damage that only the distance to training points notices. Which two others do MMD² and the Fréchet
    distance miss, and what do precision and recall say of them?

    centres: (K, 2), 2 to 8, each number at most 3, at least 6 std apart; a mode is N(centre, std² I), all of equal
    weight. std: 0.05..0.5. n: the points in each set, 20..300. k: of the neighbours. seed: of all that is drawn: train,
    test and honest samples, n of each. task: the sentence above the picture; "" for none.

    Honest sample i is centre m + offset e. The first `memorised` · n, rounded, become copies of training points, all
    different as long as there are enough. In the others the modes of the last `dropped` centres are replaced by those
    that are kept, of which only the copies' points are too, and x = m + (1 − shrink) e. Then all get `noise` · N(0, I).

    - precision, recall: `precision_recall(samples, test, k)`; mmd: `mmd(samples, test)`; frechet:
      `frechet_distance(samples, test)`; covered, good: `modes(samples, centres, 3 std)`.
    - ratio: the mean distance of samples to the nearest training point, over that of test points.

    Beside each score stand that of train in place of the samples, real against real (for the ratio: of test, so 1), and
    the range of 39 other honest sets: of one more, a score lies outside with probability at most 2/40; so chance
    alone moves one of seven now and then. `memorised`,
    `dropped`, `noise` and `shrink` follow the learner. Raises ValueError or TypeError for what does not fit.
    Theis et al. (2016, arXiv:1511.01844), section 3, for memorised samples; Kynkäänniemi et al. (2019,
    arXiv:1904.06991); Heusel et al. (2017, arXiv:1706.08500); Lin et al. (2018, arXiv:1712.04086), section 4.1.

    >>> Scores(memorised=1)
    Scores(k=3, memorised=1.0, dropped=0, noise=0.0, shrink=0.0)
    """

    centres = t.List(t.List(t.Float())).tag(sync=True)
    std = t.Float().tag(sync=True)
    k = t.Int().tag(sync=True)
    table = t.Unicode(
        help="Base64 of float64, (n, 12): train x, y, mode; test x, y; mode, offset x, y, choice, noise x, y, copy."
    ).tag(sync=True)
    real = t.List(t.Float()).tag(sync=True)
    honest = t.List(t.List(t.Float())).tag(sync=True)
    memorised = t.Float().tag(sync=True)
    dropped = t.Int().tag(sync=True)
    noise = t.Float().tag(sync=True)
    shrink = t.Float().tag(sync=True)
    initial = t.List(t.Float()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "scores.js", ("k", "memorised", "dropped", "noise", "shrink")
    _css = Widget._css + (
        ".dgm-balls { fill: var(--c); fill-opacity: .1; stroke: none; }\n"
        ".dgm-stroke { fill: none; stroke: color-mix(in srgb, var(--c) 85%, var(--ink)); stroke-width: 1.8; }\n"
        ".dgm-faint { fill: none; stroke: var(--quiet); stroke-width: 1.2; }\n"
        ".dgm-spots { fill: none; stroke: var(--c); stroke-width: 5; stroke-linecap: round; }\n"
    )

    def __init__(
        self, centres=None, std=0.25, n=200, k=3, memorised=0.0, dropped=0, noise=0.0, shrink=0.0, seed=7, task=None
    ):
        angle = 2 * np.pi * np.arange(6) / 6
        centres = finite("centres", np.stack((2 * np.cos(angle), 2 * np.sin(angle)), 1) if centres is None else centres)
        if centres.ndim != 2 or centres.shape[1] != 2 or not 2 <= len(centres) <= 8 or abs(centres).max() > 3:
            raise ValueError(f"centres must have shape (K, 2), 2 ≤ K ≤ 8, from −3 to 3, got shape {centres.shape}")
        std = checks.finite_number("std", std, 0.05, 0.5)
        n, k, seed = checks.positive_int("n", n, 20), checks.positive_int("k", k), checks.positive_int("seed", seed, 0)
        if n > 300 or k > 10:
            raise ValueError(f"n must be at most 300 and k at most 10, got {n} and {k}")
        closest = torch.nn.functional.pdist(torch.from_numpy(centres)).min().item()
        if closest < 6 * std:
            raise ValueError(f"centres must be at least 6 std = {6 * std:g} apart, the closest are {closest:.3g}")
        memorised = checks.finite_number("memorised", memorised, 0, 1)
        dropped = checks.positive_int("dropped", dropped, 0)
        if dropped >= len(centres):
            raise ValueError(f"dropped must leave one of the {len(centres)} modes, got {dropped}")
        noise, shrink = checks.finite_number("noise", noise, 0, 1), checks.finite_number("shrink", shrink, 0, 1)
        task = sentence(
            task,
            "find a damage that only the distance to training points notices. Which two others do MMD² and the Fréchet "
            "distance miss, and what do precision and recall say of them?",
        )
        table, real, honest = _prepared(tuple(map(tuple, centres.tolist())), std, n, k, seed)
        super().__init__(
            centres=centres.tolist(),
            std=std,
            k=k,
            table=table,
            real=real,
            honest=honest,
            memorised=memorised,
            dropped=dropped,
            noise=noise,
            shrink=shrink,
            initial=[memorised, dropped, noise, shrink],
            task=task,
        )


def scores(samples, train, test, centres, std: float, k: int) -> list[float]:
    """Return the seven scores of `Scores`, in its order, of arrays (n, 2)."""
    samples, train, test, centres = (torch.from_numpy(np.array(v)) for v in (samples, train, test, centres))
    found = modes(samples, centres, 3 * std)
    ratio = nearest(samples, train)[0].mean() / nearest(test, train)[0].mean()
    distances = mmd(samples, test), frechet_distance(samples, test)
    return [*precision_recall(samples, test, k), *distances, float(found.covered), found.good, ratio.item()]


@functools.lru_cache(maxsize=8)
def _prepared(centres, std, n, k, seed):
    """What is drawn, packed, with the scores of real points and the ranges of honest samples."""
    rng, centres = np.random.default_rng(seed), np.array(centres)

    def draw():
        mode = rng.integers(len(centres), size=n)
        return mode, std * rng.standard_normal((n, 2))

    (mode, offset), (test_mode, test), own = draw(), draw(), draw()
    train, test = centres[mode] + offset, centres[test_mode] + test
    choice, noise, copy = rng.random(n), rng.standard_normal((n, 2)), rng.permutation(n)
    table = np.column_stack((train, mode, test, *own, choice, noise, copy))
    others = [draw() for _ in range(OTHERS)]
    all_scores = [scores(centres[m] + e, train, test, centres, std, k) for m, e in others]
    real = [*scores(train, train, test, centres, std, k)[:-1], 1.0]
    return packed(table, "<f8"), real, np.array([np.min(all_scores, 0), np.max(all_scores, 0)]).T.tolist()
