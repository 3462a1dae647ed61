"""Exercises of the chapter "Why generative models"."""

import math

import numpy as np

from dgmlite.exercises import Exercise


def _softmax(a):
    e = np.exp(a - a.max())
    return e / e.sum()


def _slope(W, b, x, y):
    """The gradient of −log p(y | x) by x."""
    return W.T @ (_softmax(W @ x + b) - np.eye(len(b))[y])


def _fgsm(W, b, x, y, eps, slope=_slope, move=np.sign, low=0, high=16):
    return np.clip(x + eps * move(slope(W, b, x, y)), low, high)


def _auroc(normal, odd, tie=0.5):
    return ((odd[:, None] > normal) + tie * (odd[:, None] == normal)).mean()


def _accuracy(normal, odd, at):
    return ((odd > at).sum() + (normal <= at).sum()) / (len(normal) + len(odd))


def _log_sum(a):
    m = a.max(1)
    return m + np.log(np.exp(a - m[:, None]).sum(1))


def _bills(log_joint, y, log_p=_log_sum, mean=np.mean):
    log_x, log_xy = log_p(log_joint), log_joint[np.arange(len(y)), y]
    return np.array([mean(-log_x), mean(log_x - log_xy)])


def _bare_log_sum(a):
    with np.errstate(divide="ignore"):
        return np.log(np.exp(a).sum(1))


def _bare_bills(log_joint, y):
    p = np.exp(log_joint)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_y = p[np.arange(len(y)), y] / p.sum(1)
        return -np.array([np.log(p.sum(1)).mean(), np.log(p_y).mean()])


def _pgd(x_adv, x, gradient, step, eps, move=np.sign, low=0, high=16):
    moved = x_adv + step * move(gradient)
    return np.clip(np.clip(moved, x - eps, x + eps), low, high)


def _pgd_in_a_ball(x_adv, x, gradient, step, eps):
    d = x_adv + step * np.sign(gradient) - x
    length = np.sqrt((d**2).sum(-1, keepdims=True))
    return np.clip(x + d * np.minimum(1, eps / length), 0, 16)


def _wrong(p_xy, familiar, others):
    """The probability that the best class is wrong, from the weight of the familiar inputs and s·u."""
    with np.errstate(invalid="ignore"):
        return 1 - familiar * p_xy.max(1) / (familiar * p_xy.sum(1) + others)


def _where(bold, p_xy):
    return np.where(bold, p_xy.argmax(1), -1)


def _decide(p_xy, u, s, cost):
    return _where(_wrong(p_xy, 1 - s, s * u) <= cost, p_xy)


def _odd(known, new, of=np.minimum, plus=1, times=2, cap=1, above=np.greater_equal, below=np.less_equal):
    r, l = above(known, new[:, None]).sum(1), below(known, new[:, None]).sum(1)
    return np.minimum(cap, times * (plus + of(l, r)) / (plus + len(known)))


def _farther(known, new):
    far, m = abs(new - known.mean()), known.mean()
    return (1 + (abs(known - m) >= far[:, None]).sum(1)) / (1 + len(known))


def _equal(u, s, c, t):
    """Where deciding and abstaining cost the same, without a look at the cases."""
    with np.errstate(divide="ignore"):
        return s * u * (1 - c) / ((1 - s) * (t - (1 - c)))


def _least(u, s, c, t, formula=_equal):
    return 0.0 if c >= 1 else math.inf if 1 - t >= c else formula(u, s, c, t)


def _counts(r_labelled, y_labelled, classes):
    return r_labelled.T @ np.eye(classes)[y_labelled]  # (K, C)


def _few(r, r_labelled, y_labelled, classes, above=None, below=1.0):
    count = (1 / classes if above is None else above) + _counts(r_labelled, y_labelled, classes)
    with np.errstate(invalid="ignore"):
        return r @ (count / (below + r_labelled.sum(0)[:, None]))


def _classifier(C, D, size):
    W = _rng.normal(0, size, (C, D))
    W[:, 2] = 0
    return W


_rng = np.random.default_rng(4)
_X = np.array([0.0, 0.0, 7.0, 1.0, 15.0, 16.0, 16.0, 3.0, 9.0, 1.0, 15.0, 12.0])
_FGSM = tuple(
    (_classifier(C, 12, 0.06), _rng.normal(0, 0.8, C), _rng.permutation(_X), y, eps)
    for C, y, eps in ((4, 0, 1.5), (3, 2, 4.0), (4, 3, 0.25), (4, 1, 2.0))
)

_LOG_JOINT = np.array(
    [[-1.5, -3.0, -2.5], [-4.0, -1.0, -7.5], [-3.5, -3.0, -2.0], [-1.0, -6.0, -1.5], [-2.0, -2.5, -8]]
)
_FAR = _LOG_JOINT[:4, ::-1] * 1.25 - np.array([[900.0], [897], [921], [905]])

_CLEAN = np.array([[0.0, 1.0, 16.0, 15.0, 8.0, 7.0, 3.0], [5.0, 0.0, 16.0, 2.0, 11.0, 9.0, 14.0]])
_BEGUN = np.array([[0.5, 0.0, 15.0, 16.0, 9.5, 6.0, 3.0], [4.0, 1.5, 16.0, 3.5, 9.5, 9.25, 14.5]])
_SLOPES = np.array([[-0.3, -2.0, 1.5, 0.2, 0.7, 0.0, 0.4], [-1.1, 0.6, 0.5, -0.2, -3.0, 0.8, 0.0]])

_SPREAD = np.exp(_rng.normal(0, 1.5, (80, 1)))
_JOINT = _SPREAD * _rng.dirichlet((0.3, 0.3, 0.3), 80)
_EDGE = np.array([[0.75, 0.0], [0.0, 0.75], [0.0, 0.0], [0.5, 0.25], [3.0, 0.75], [0.125, 0.0]])

_KNOWN = np.array([4.5, 5.0, 7.0, 5.0, 6.0, 9.0, 6.5, 5.5, 8.0, 7.5, 6.0, 5.25])
_NEW = np.array([1.0, 4.5, 5.0, 5.75, 6.0, 6.25, 8.5, 9.0, 30.0])

_DENSITY = (
    (0.25, 0.125, 0.375, 0.875),
    (2.0, 0.3, 0.2, 0.95),
    (0.5, 0.1, 0.25, 0.75),
    (0.5, 0.1, 0.25, 0.5),
    (3.0, 0.2, 1.0, 0.6),
    (3.0, 0.2, 1.5, 0.4),
    (0.01, 0.6, 0.9, 0.3),
)

_R = _rng.dirichlet((0.5, 0.5, 0.5, 0.5), 6)
_R[0] = (0, 0, 1, 0)
_R_LABELLED = np.insert(_rng.dirichlet((0.5, 0.5, 0.5), 8), 2, 0.0, axis=1)  # nothing for the third component

EXERCISES = {
    1: Exercise(
        right=_fgsm,
        probes=_FGSM,
        mistakes=(
            (
                lambda *given: _fgsm(*given, low=-math.inf, high=math.inf),
                "some pixels are below 0 or above 16: clip, no image has such levels",
            ),
            (lambda *given: _fgsm(*given, high=1), "levels go from 0 to 16, not from 0 to 1"),
            (
                lambda *given: _fgsm(*given, move=lambda g: -np.sign(g)),
                "that makes the true class more probable: the surprise −log p(y | x) has to rise, so +",
            ),
            (
                lambda *given: _fgsm(*given, slope=lambda W, b, x, y: -W[y]),
                "that only lowers the logit of y: p(y | x) also depends on the other logits",
            ),
            (
                lambda *given: _fgsm(*given, slope=lambda W, b, x, y: _slope(W, b, x, (W @ x + b).argmax())),
                "y is the true class, which is not always the class that the classifier says",
            ),
            (
                lambda *given: _fgsm(*given, slope=lambda W, b, x, y: W.T @ (_softmax(W @ x + b) - y)),
                "y is the number of the class: subtract its one-hot vector, not y itself",
            ),
            (
                lambda *given: _fgsm(*given, move=lambda g: np.where(g > 0, 1, -1)),
                "where the gradient is exactly 0 nothing changes, and you move down: np.sign(0) is 0",
            ),
            (
                lambda *given: _fgsm(*given, move=lambda g: g),
                "the sign is missing: each pixel moves by eps, however small its slope",
            ),
            (
                lambda *given: _fgsm(*given, move=lambda g: g / np.sqrt((g**2).sum())),
                "that step has the Euclidean length eps; here each pixel moves by eps: take the sign",
            ),
            (
                lambda *given: np.round(_fgsm(*given)),
                "the answer is not rounded to whole levels: a step of 0.25 would be lost",
            ),
        ),
        praise="Before clipping, the surprise of y rises by at least eps times the sum of the |slopes|.",
    ),
    2: Exercise(
        right=_auroc,
        probes=(
            (np.array([3.0, 5, 5, 1, 12, 2, 4]), np.array([5.0, 9, 3, 10, 5, 5, 2])),
            (np.array([4.0, 7, 1, 1, 9, 3]), np.array([7.0])),
            (np.array([6.0]), np.array([2.0, 6, 1, 8])),
        ),
        mistakes=(
            (
                lambda normal, odd: _auroc(odd, normal),
                "the order: how often is the odd one above the normal one, not below",
            ),
            (lambda *given: _auroc(*given, tie=0), "ties count half, and you count them as lost"),
            (lambda *given: _auroc(*given, tie=1), "ties count half, and you count them as won"),
            (
                lambda normal, odd: (odd > normal).mean(),
                "that compares the i-th with the i-th: all N · M pairs are wanted, odd[:, None] > normal",
            ),
            (
                lambda normal, odd: (odd > normal.mean()).mean(),
                "that compares the odd ones with one number: compare each with every normal one",
            ),
            (
                lambda normal, odd: max(_accuracy(normal, odd, at) for at in np.append(normal, odd)),
                "that is the accuracy at the best threshold: the area needs none, it compares pairs",
            ),
            (lambda *given: 2 * _auroc(*given) - 1, "a coin has ½ here: do not map 0.5 … 1 to 0 … 1"),
            (
                lambda *given: max(_auroc(*given), 1 - _auroc(*given)),
                "below ½ is an answer: it says that odd inputs have the lower scores",
            ),
            (
                lambda normal, odd: _auroc(normal, odd) * len(normal) * len(odd),
                "that is a count of pairs: divide it by the number of all pairs",
            ),
        ),
        praise="It needs no threshold, and stays the same if all scores are replaced by their ranks.",
    ),
    3: Exercise(
        right=_bills,
        probes=((_LOG_JOINT, np.array([0, 1, 1, 2, 0])), (_FAR, np.array([2, 0, 1, 1]))),
        tolerance=1e-4,
        mistakes=(
            *(
                (wrong, "exp(−900) is 0 in the computer: take the largest of the row off before exp, add it after log")
                for wrong in (_bare_bills, lambda *given: _bills(*given, log_p=_bare_log_sum))
            ),
            (
                lambda *given: _bills(*given, log_p=lambda a: a.max(1)),
                "p(x) is the sum of p(x, y) over all classes, not the largest of them",
            ),
            (
                lambda *given: _bills(*given, log_p=lambda a: a.sum(1)),
                "the probabilities are added over the classes, not their logarithms: exp, sum, log",
            ),
            (
                lambda *given: _bills(*given, log_p=lambda a: _log_sum(a.reshape(1, -1))),
                "the sum runs over the classes of one example, axis 1, not over the examples as well",
            ),
            (lambda *given: _bills(*given)[::-1], "the order: the world's bill comes first"),
            (lambda *given: -_bills(*given), "surprise is minus the logarithm"),
            (
                lambda *given: np.cumsum(_bills(*given)),
                "the second is the bill of x and y together: take the world's part off, p(y | x) = p(x, y) / p(x)",
            ),
            (
                lambda a, y: np.array([_bills(a, y)[0], _bills(a, a.argmax(1))[1]]),
                "the second is the surprise of the most probable class: take the true one",
            ),
            (lambda *given: _bills(*given) / math.log(2), "that is in bits: nats are wanted"),
            (lambda *given: _bills(*given, mean=np.sum), "a mean over the examples, not a sum"),
        ),
        praise="Together they are the mean of −log p(x, y).",
    ),
    4: Exercise(
        right=_pgd,
        probes=(
            (_BEGUN, _CLEAN, _SLOPES, 0.75, 1.5),
            (_BEGUN[1, ::-1].copy(), _CLEAN[1, ::-1].copy(), -_SLOPES[0], 2.0, 4.0),
            (_BEGUN, _CLEAN, -_SLOPES, 4.0, 2.0),
        ),
        mistakes=(
            (
                lambda a, x, g, step, eps: _pgd(a, a, g, step, eps),
                "the cube is around the original x: around x_adv it moves along, and ten steps go ten times as far",
            ),
            (
                lambda a, x, g, step, eps: _pgd(a, x, g, step, math.inf),
                "only the range is kept: the result may leave the cube |x_adv − x| ≤ eps",
            ),
            (
                lambda *given: _pgd(*given, low=-math.inf, high=math.inf),
                "only the cube is kept: the result may leave 0 … 16",
            ),
            (
                lambda *given: _pgd(*given, move=lambda g: -np.sign(g)),
                "that goes down: the gradient is of what is to grow",
            ),
            (
                lambda *given: _pgd(*given, move=lambda g: g),
                "the sign is missing: in the max norm each pixel moves by step",
            ),
            (
                _pgd_in_a_ball,
                "that is the ball of the Euclidean norm: for the cube clip each pixel for itself",
            ),
            (
                lambda a, x, g, step, eps: _pgd(x, x, g, step, eps),
                "the step starts from x_adv, where the last one ended: only the cube is around x",
            ),
            (lambda a, x, g, step, eps: _pgd(a, x, g, eps, eps), "the move is by step, not by eps"),
            (
                lambda a, x, g, step, eps: _pgd(a, 0 * x, g, step, eps),
                "eps bounds the distance from x: x − eps … x + eps",
            ),
            (lambda *given: _pgd(*given) - given[1], "that is the change from x: the new x_adv is wanted"),
        ),
        praise="Both projections clip each pixel to an interval, and the intervals share x: their order is free.",
    ),
    5: Exercise(
        right=_decide,
        probes=((_JOINT, 0.25, 0.25, 0.3), (_EDGE, 0.25, 0.5, 0.25), (_JOINT[::-1] * 0.5, 0.75, 0.125, 0.2)),
        mistakes=(
            (
                lambda p_xy, u, s, cost: _decide(p_xy, 0.0, s, cost),
                "that is the rule without strangers: far from all data p(y | x) can be near 1, and means nothing",
            ),
            (
                lambda p_xy, u, s, cost: _where((1 - s) * p_xy.sum(1) >= s * u, p_xy),
                "that asks only whether x is a stranger: between two classes one abstains, too, and cost is not used",
            ),
            (
                lambda p_xy, u, s, cost: _where((p_xy.sum(1) >= u) & (_wrong(p_xy, 1, 0) <= cost), p_xy),
                "two tests, one for each doubt: they add up in one probability of being wrong",
            ),
            (
                lambda p_xy, u, s, cost: _where(s + (1 - s) * _wrong(p_xy, 1, 0) <= cost, p_xy),
                "s is the probability of a stranger before one has seen x: p(x) and u change it, by Bayes' rule",
            ),
            (
                lambda p_xy, u, s, cost: _where(1 - p_xy.max(1) <= cost, p_xy),
                "a density is no probability, and can be above 1: divide by the density of x, strangers included",
            ),
            (
                lambda p_xy, u, s, cost: _decide(p_xy, u, s, 1 - cost),
                "deciding costs 1 − P: that is what is compared with cost, not P",
            ),
            (
                lambda p_xy, u, s, cost: _where(_wrong(p_xy, 1 - s, s * u) < cost, p_xy),
                "where both cost the same, decide: ≤",
            ),
            (
                lambda p_xy, u, s, cost: _decide(p_xy, u, 0.5, cost),
                "the weights are missing: strangers come with probability s, familiar inputs with 1 − s",
            ),
            (
                lambda p_xy, u, s, cost: _where(_wrong(p_xy, 1, s * u) <= cost, p_xy),
                "the familiar inputs lack their weight, 1 − s",
            ),
            (lambda p_xy, u, s, cost: p_xy.argmax(1), "that always decides: where is abstaining cheaper?"),
        ),
        praise="Where p(x) is large this is the rule without strangers; where it is small it abstains by itself.",
    ),
    6: Exercise(
        right=_odd,
        probes=((_KNOWN, _NEW), (_KNOWN[:5], _NEW[::2]), (np.arange(19) + 0.5, np.array([0.2, 1.5, 9.5, 12.0, 18.5]))),
        mistakes=(
            (
                lambda *given: _odd(*given, of=lambda l, r: r, times=1),
                "only very surprising inputs get a small share: a blank page would pass; take the smaller side",
            ),
            (
                lambda *given: _odd(*given, of=lambda l, r: l, times=1),
                "only hardly surprising inputs get a small share: noise would pass; take the smaller side",
            ),
            (lambda *given: _odd(*given, of=np.maximum), "the smaller of l and r says how far out on a side it is"),
            (
                lambda *given: _odd(*given, plus=0),
                "a share of 0 cannot be known from n surprises: 1 + above, and 1 + n below",
            ),
            (
                lambda *given: _odd(*given, times=1),
                "the 2 is missing: with two sides there are two chances to be odd",
            ),
            (
                lambda *given: _odd(*given, cap=math.inf),
                "some are above 1: cap them, a share of more than all makes no sense",
            ),
            (
                lambda *given: _odd(*given, above=np.greater, below=np.less),
                "equal surprises count on both sides: ≥ and ≤",
            ),
            (_farther, "that measures the distance from the centre: count on each side, they need not be alike"),
            (lambda *given: 1 - _odd(*given), "that is large for odd inputs: here a small share means odd"),
            (lambda *given: _odd(*given) <= 0.05, "the shares themselves are wanted, not a verdict"),
        ),
        praise="For a new input of the known kind, a share of at most a has at most the probability a.",
    ),
    7: Exercise(
        right=_least,
        probes=tuple(tuple(map(np.float64, row)) for row in _DENSITY),
        mistakes=(
            (_equal, "a density cannot be negative: where 1 − sure ≥ cost, does any density make deciding cheaper?"),
            (
                lambda *given: max(0.0, _equal(*given)),
                "where 1 − sure ≥ cost deciding costs more at every density: none is enough, math.inf",
            ),
            (
                lambda u, s, c, t: math.inf if 1 - t >= c else _equal(u, s, c, t),
                "with cost ≥ 1 a wrong decision is not dearer than abstaining: one decides for every p(x) > 0",
            ),
            (
                lambda u, s, c, t: math.inf if c >= 1 else 0.0 if 1 - t >= c else _equal(u, s, c, t),
                "the cases are interchanged: math.inf where no density is enough, 0.0 with cost ≥ 1",
            ),
            (
                lambda u, s, c, t: 0.0 if c >= 1 or 1 - t < c else math.inf,
                "that is the rule without strangers: they make a least density necessary",
            ),
            (
                lambda u, s, c, t: 0.0 if c >= 1 else math.inf if t <= c else _equal(u, s, 1 - c, t),
                "deciding costs 1 − P, so both cost the same where P = 1 − cost, not where P = cost",
            ),
            (
                lambda u, s, c, t: _least(u, 1 - s, c, t),
                "the weights are interchanged: strangers have s, familiar inputs 1 − s",
            ),
            (
                lambda u, s, c, t: (1 - s) * _least(u, s, c, t),
                "that is (1 − s) p(x), the familiar part: p(x) is wanted, divide by 1 − s",
            ),
            (
                lambda *given: _least(*given, lambda u, s, c, t: _equal(u, s, c, t) / (1 - c)),
                "in the numerator 1 − cost is missing: it multiplies the strangers' part, too",
            ),
            (
                lambda *given: _least(*given, lambda u, s, c, t: _equal(u, s, c, 1.0)),
                "sure is not used: that is the case of no doubt between classes",
            ),
        ),
        praise="It grows with s·u and without bound as 1 − sure nears cost: each doubt leaves less room for the other.",
    ),
    8: Exercise(
        right=_few,
        probes=(
            (_R, _R_LABELLED, np.array([0, 2, 2, 0, 3, 2, 3, 0]), 5),
            (_R[1:, :3] / _R[1:, :3].sum(1, keepdims=True), _rng.dirichlet((1, 1, 1), 2), np.array([1, 0]), 2),
        ),
        tolerance=1e-5,
        mistakes=(
            (
                lambda *given: _few(*given, above=0.0, below=0.0),
                "a component without labelled images gives 0/0: the pseudo-count is missing",
            ),
            (
                lambda *given: _few(*given, above=0.0, below=1e-12),
                "an empty component says nothing instead of 1/C each: the pseudo-count is missing",
            ),
            (
                lambda r, R, y, C: _few(r, R, y, C, above=1.0, below=C),
                "that is a pseudo-count of 1 for each class: here 1/C for each, 1 in all",
            ),
            (
                lambda *given: _few(*given, above=0.0),
                "the pseudo-count is in the denominator only: each class gets 1/C in the numerator",
            ),
            (
                lambda r, R, y, C: r @ ((1 / C + _counts(R, y, C)) / (1 + len(R))),
                "divide by what belongs to the component, the sum of its responsibilities, not by n",
            ),
            (
                lambda r, R, y, C: r @ ((1 / C + _counts(R, y, C)) / (1 / C + _counts(R, y, C)).sum(0)),
                "that is normalised over the components, p(k | y): for each component p(y | k) adds up to 1 over y",
            ),
            (
                lambda r, R, y, C: (lambda p: p / p.sum(1, keepdims=True))(r @ (1 / C + _counts(R, y, C))),
                "each component is normalised before the sum over k: at the end, large components count too much",
            ),
            (
                lambda r, R, y, C: _few(r, np.eye(R.shape[1])[R.argmax(1)], y, C),
                "a labelled image counts for all components, by its p(k | x): not only for the most probable one",
            ),
            (
                lambda r, R, y, C: np.eye(C)[y[(r @ R.T).argmax(1)]],
                "that takes the label of the most similar labelled image: estimate p(y | k) first",
            ),
            (lambda *given: _few(*given).argmax(1), "that is the most probable class: all p(y | x) are wanted, (N, C)"),
        ),
        praise="The components were learned without a label; the labels only name them.",
    ),
}
