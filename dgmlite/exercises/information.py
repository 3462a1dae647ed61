"""Exercises of the chapter "Information"."""

import math

import numpy as np

from dgmlite.exercises import Exercise


def _h(p) -> float:
    """Entropy in nats of an array of probabilities of any shape; what does not sum to one is taken as it is."""
    p = np.asarray(p, dtype=float).ravel()
    p = p[p > 0]
    return float(-np.sum(p * np.log(p)))


def _normalised(counts) -> np.ndarray:
    return np.asarray(counts, dtype=float) / np.sum(counts)


def _surprise(p):
    return math.inf if p == 0 else -math.log(p)


def _change(p, x):
    return _h(_normalised(p[x])) - _h(p.sum(0))


def _kl(p, q):
    return float(np.sum(p * np.log(p / q)))


def _gaussian(sigma):
    return 0.5 * math.log(2 * math.pi * math.e * sigma**2)


def _corrected(table, sign=1, seen=True):
    table = np.asarray(table)

    def entropy(counts):
        cells = np.count_nonzero(counts) if seen else counts.size
        return _h(_normalised(counts)) + sign * (cells - 1) / (2 * counts.sum())

    return entropy(table.sum(1)) + entropy(table.sum(0)) - entropy(table)


def _entropies(p_w, p_m_given_w, p_xy_given_w) -> tuple[float, float, float, float]:
    joint = np.einsum("w,wm,wxy->mxy", p_w, p_m_given_w, p_xy_given_w)
    return _h(joint.sum((1, 2))), _h(joint.sum(2)), _h(joint.sum(1)), _h(joint)  # H[m], H[m,x], H[m,y], H[m,x,y]


def _bills(*world):
    m, mx, _, mxy = _entropies(*world)
    return mx - m, mxy - mx


def _joint_instead(*world):
    m, mx, _, mxy = _entropies(*world)
    return mx - m, mxy - m


def _without_x(*world):
    m, mx, my, _ = _entropies(*world)
    return mx - m, my - m


def _without_m(p_w, p_m_given_w, p_xy_given_w):
    return _bills(p_w, np.ones((len(p_w), 1)), p_xy_given_w)


def _of_the_world(p_w, p_m_given_w, p_xy_given_w):
    return _bills(p_w, np.eye(len(p_w)), p_xy_given_w)


_BITS = math.log(2)
_SKY = np.array([[0.36, 0.04], [0.20, 0.10], [0.06, 0.24]])
_UNSETTLED = np.array([[0.36, 0.04], [0.16, 0.14], [0.06, 0.24]])
_P, _Q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
_WORLDS = np.random.default_rng(0).dirichlet(np.ones(6), size=3).reshape(3, 3, 2)
_PRIOR, _CHANNEL = np.array([0.5, 0.3, 0.2]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])

EXERCISES = {
    1: Exercise(
        right=_surprise,
        probes=((0.5,), (0.1,), (1.0,), (0.0,), (1 / 52,)),
        mistakes=(
            (lambda p: _surprise(p) / _BITS, "that is in bits: nats take the natural logarithm"),
            (lambda p: -_surprise(p), "the sign: log p is negative, a surprise is not"),
            (
                lambda p: 0.0 if p == 0 else -math.log(p),
                "at p = 0: an impossible event that happens is no small surprise",
            ),
            (
                lambda p: -math.log(p + 1e-8),
                "a small number inside the logarithm hides the infinity at p = 0, and makes "
                "every other value a little wrong",
            ),
            (lambda p: -math.log(p + 1e-12), "a small number inside the logarithm hides the infinity at p = 0"),
            (lambda p: 1 - p, "that does not add up for independent events: try p = 1/2 twice"),
            (lambda p: math.inf if p == 0 else 1 / p, "surprises of independent events must add; 1/p multiplies"),
            (
                lambda p: math.inf if p == 0 else -p * math.log(p),
                "that is the term of the entropy: the surprise times how often it happens",
            ),
        ),
        praise="One line, and the whole course is built on it.",
    ),
    2: Exercise(
        right=lambda counts: _h(_normalised(counts)),
        probes=(([5, 5],), ([3, 1, 0],), ([10],), ([1, 2, 3, 4],)),
        mistakes=(
            (lambda counts: _h(_normalised(counts)) / _BITS, "that is in bits: nats take the natural logarithm"),
            (lambda counts: _h(counts), "counts are not probabilities: divide by their sum first"),
            (lambda counts: -_h(_normalised(counts)), "the sign: log p is negative, an entropy of states is not"),
            (
                lambda counts: math.nan if min(counts) == 0 else _h(_normalised(counts)),
                "NaN comes from 0 · log 0: a state that never happened contributes nothing",
            ),
            (
                lambda counts: float(np.mean([_surprise(p) for p in _normalised(counts) if p > 0])),
                "the mean has to be weighted: a state counts as often as it happens",
            ),
            (
                lambda counts: _h(_normalised(np.asarray(counts) + 1)),
                "do not add one to the counts: the entropy of what was seen is asked for",
            ),
            (
                lambda counts: math.log(len(counts)),
                "that is the largest value it could have, reached when all counts are equal",
            ),
        ),
        praise="You have written the plug-in estimator of section 6.",
    ),
    3: Exercise(
        right=lambda lengths: 1 - sum(2.0**-length for length in lengths),
        probes=(([1, 2, 3, 3],), ([1, 1, 1],), ([2, 2],), ([5],)),
        mistakes=(
            (
                lambda lengths: sum(2.0**-length for length in lengths),
                "that is the room taken; the room left is asked for",
            ),
            (
                lambda lengths: sum(2.0**-length for length in lengths) - 1,
                "the sign: too many short words should give a negative number",
            ),
            (
                lambda lengths: 1 - sum(math.exp(-length) for length in lengths),
                "words are made of two symbols: base 2, not e",
            ),
            (
                lambda lengths: 1 - sum(1 / length for length in lengths),
                "each further bit halves the width: 1/2, 1/4, 1/8 …",
            ),
            (
                lambda lengths: 1 - 2.0 ** -sum(lengths),
                "the intervals lie side by side: their widths add, not the lengths",
            ),
        ),
        praise="That is Kraft's inequality, read as room on a shelf.",
    ),
    4: Exercise(
        right=_change,
        probes=((_SKY, 0), (_SKY, 2), (_UNSETTLED, 1)),
        mistakes=(
            (lambda p, x: -_change(p, x), "the sign: positive should mean that the entropy rises"),
            (lambda p, x: _change(p, x) / _BITS, "that is in bits: nats take the natural logarithm"),
            (
                lambda p, x: _h(p[x]) - _h(p.sum(0)),
                "the row p(x, y) does not sum to one: divide it by p(x) to get p(y | x)",
            ),
            (
                lambda p, x: _h(p) - _h(p.sum(1)) - _h(p.sum(0)),
                "that is the mean over all rows, −I[x; y]; only one row was seen",
            ),
            (
                lambda p, x: _h(_normalised(p[x])) - _h(p.sum(1)),
                "compare with the entropy of y, which is the sum over rows",
            ),
            (lambda p, x: _h(_normalised(p[x])), "that is the entropy after; how much did it change?"),
        ),
        praise="On average a look helps; a single one need not.",
    ),
    5: Exercise(
        right=_kl,
        probes=((_P, _Q), (_Q, _P), (_P, _P)),
        mistakes=(
            (lambda p, q: _kl(q, p), "the order is swapped: symbols come from p, so the mean is taken over p"),
            (
                lambda p, q: -float(np.sum(p * np.log(q))),
                "that is the whole bill, the cross-entropy; subtract what the best code would cost",
            ),
            (lambda p, q: _kl(p, q) / _BITS, "that is in bits: nats take the natural logarithm"),
            (lambda p, q: -_kl(p, q), "the sign: waste is never negative"),
            (lambda p, q: _h(q) - _h(p), "the symbols come from p in both cases; entropy of q never enters"),
            (lambda p, q: float(np.abs(p - q).sum()), "that is the total difference; the price is in the logarithms"),
            (
                lambda p, q: 0.5 * _kl(p, (p + q) / 2) + 0.5 * _kl(q, (p + q) / 2),
                "that is the Jensen–Shannon divergence; here one side is the truth and the other the model",
            ),
        ),
        praise="KL(p‖q): the price of believing q in a world that is p.",
    ),
    6: Exercise(
        right=lambda sigma: _gaussian(1000 * sigma),
        probes=((0.001,), (0.1,), (1.0,)),
        mistakes=(
            (
                lambda sigma: _gaussian(sigma),
                "that is in metres: the same noise, in millimetres, has another number for σ",
            ),
            (lambda sigma: _gaussian(sigma / 1000), "the other way: a metre is a thousand millimetres"),
            (lambda sigma: _gaussian(1000 * sigma) / _BITS, "that is in bits: nats take the natural logarithm"),
            (lambda sigma: 2 * _gaussian(1000 * sigma), "the factor ½ in front of the logarithm is missing"),
            (
                lambda sigma: 0.5 * math.log(2 * math.pi * (1000 * sigma) ** 2),
                "inside the logarithm stands 2πe, not 2π: the quadratic term contributes ½ on average",
            ),
            (
                lambda sigma: 1000 * _gaussian(sigma),
                "entropy is not a length: a change of unit adds log 1000, it does not multiply",
            ),
            (
                lambda sigma: _gaussian(math.sqrt(1000) * sigma),
                "the variance grows by 1000², the standard deviation by 1000",
            ),
        ),
        praise="log 1000 ≈ 6.9 nats more, and nothing about the world has changed.",
    ),
    7: Exercise(
        right=_corrected,
        probes=(
            (np.array([[4, 1, 0], [0, 3, 2]]),),
            (np.array([[10, 5], [5, 10]]),),
            (np.array([[1, 0, 0], [0, 1, 7]]),),
        ),
        mistakes=(
            (lambda table: _corrected(table, sign=0), "that is the plug-in estimate itself, with its bias"),
            (
                lambda table: _corrected(table, sign=-1),
                "the sign: each plug-in entropy is too *small*, so the correction is added to it",
            ),
            (lambda table: _corrected(table, seen=False), "K counts the cells that were seen at least once"),
            (lambda table: _corrected(table) / _BITS, "that is in bits: nats take the natural logarithm"),
            (lambda table: _corrected(table, sign=2), "the bias of each entropy is (K − 1)/2N: there is a 2 below"),
            (
                lambda table: _corrected(table, sign=0) + (np.count_nonzero(table) - 1) / (2 * table.sum()),
                "the joint entropy enters with a minus, and so does its correction; and the margins have theirs",
            ),
        ),
        praise="That is the Miller–Madow correction.",
    ),
    8: Exercise(
        right=_bills,
        probes=((_PRIOR, _CHANNEL, _WORLDS), (_PRIOR, np.eye(3), _WORLDS)),
        mistakes=(
            (_joint_instead, "the second is H[x, y | m]: what is left of y once x is known too?"),
            (_without_x, "the second is H[y | m]: the decider sees x as well"),
            (_without_m, "the agent's memory is not used: these are H[x] and H[y | x]"),
            (_of_the_world, "these are conditioned on the world w; the agent has only m"),
            (lambda *world: _bills(*world)[::-1], "the order: the model of the world comes first here"),
            (
                lambda *world: tuple(b / _BITS for b in _bills(*world)),
                "that is in bits: nats take the natural logarithm",
            ),
            (
                lambda *world: (_entropies(*world)[1], _entropies(*world)[3]),
                "these are joint entropies with m; subtract what is already known",
            ),
        ),
        praise="The two halves of the goal, exactly.",
    ),
}
