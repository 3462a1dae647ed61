"""Exercises of the chapter "Showdown"."""

import numpy as np

from dgmlite.exercises import Exercise

_BIT = float(np.log(2))  # in nats


def _bytes(nats, n, header, initial, bit=_BIT, starts=1):
    return (starts * initial + n * nats / bit) / 8 + header


def _proven(a, kind_a, b, kind_b):
    return a < b and kind_b == "exact"


def _error(x, ddof=1):
    return x.std(ddof=ddof) / np.sqrt(len(x))


def _paired(a, b, ddof=1, independent=None):
    if independent is None:
        independent = np.hypot(_error(a, ddof), _error(b, ddof))
    return np.array([(a - b).mean(), _error(a - b, ddof), independent])


def _spreads(nats, seeds=None, images=None, ddof=1):
    seeds = nats.mean(1).std(ddof=ddof) if seeds is None else seeds(nats)
    images = _error(nats.mean(0), ddof) if images is None else images(nats)
    return np.array([nats.mean(), seeds, images])


def _peek(test, at, least=None):
    least = test.min() if least is None else least
    return np.array([test[at], least, test[at] - least])


def _best(valid):
    return np.unravel_index(valid.argmin(), valid.shape)


def _chosen(valid, test):
    return _peek(test, _best(valid))


def _front(scores, beats=None, alone=False):
    if beats is None:
        beats = lambda b, a: (b >= a).all(2) & (b > a).any(2)  # noqa: E731
    beaten = beats(scores, scores[:, None])
    return ~(beaten & ~np.eye(len(scores), dtype=bool) if alone else beaten).any(1)


def _first_of_equal(scores):
    first = [not any((row == other).all() for other in scores[:i]) for i, row in enumerate(scores)]
    return _front(scores) & np.array(first)


def _some_weights(scores):
    """As if only the best of some weighted mean could stay."""
    weights = np.random.default_rng(0).dirichlet(np.ones(scores.shape[1]) / 2, 5000)
    means = weights @ scores.T
    return np.isclose(means, means.max(1, keepdims=True), atol=1e-12).any(0)


def _levels(log_density, levels, D, scale, shift, times=None):
    times = D if times is None else times
    return times * np.log(levels / scale) - log_density.mean()


def _beyond(n):
    return np.floor(n) + 1


def _break_even(nats, initial, header, rival, never=-1, whole=_beyond, bit=_BIT, each=0, fixed=None):
    gain = rival - nats / bit - each
    with np.errstate(all="ignore"):
        n = whole(np.float64(8 * header + initial if fixed is None else fixed) / gain)
    return n if gain > 0 or never is None else never


def _line(n, distance, of=lambda n: 1 / n, weight=None):
    slope, start = np.polyfit(of(n), distance, 1, w=None if weight is None else weight(n))
    return np.array([start, slope])


def _two_sizes(n, distance, i, j):
    slope = (distance[i] - distance[j]) / (1 / n[i] - 1 / n[j])
    return np.array([distance[i] - slope / n[i], slope])


_rng = np.random.default_rng(0)
_KINDS = ("exact", "upper bound")
_HARD = _rng.normal(85, 12, 9)
_PAIR = (_HARD + _rng.normal(0.3, 1, 9), _HARD + _rng.normal(0, 1, 9))
_OTHERS = (_rng.normal(90, 10, 6), _rng.normal(80, 3, 6))
_SEEDS = _rng.normal(85, 12, 7) + _rng.normal(0, 0.8, (4, 1)) + _rng.normal(0, 2, (4, 7))
_FEW = _rng.normal(100, 3, (2, 5)) + [[0.0], [4.0]]
_VALID, _TEST = np.random.default_rng(186).normal(90, 2, (2, 3, 6))
_LONG = _VALID[::-1, ::-1].T.copy(), (_TEST.T + 3).copy()
_TWO = np.array([[1.0, 0.0], [0.4, 0.4], [0.0, 1.0], [0.4, 0.3], [0.4, 0.4], [0.2, 0.1], [1.0, -2.0], [0.0, 0.5]])
_THREE = np.array(
    [
        [3.0, 1.0, 2.0],
        [3.0, 1.0, 2.0],
        [2.0, 2.0, 2.0],
        [3.0, 0.0, 2.0],
        [1.0, 1.0, 1.0],
        [0.0, 4.0, 0.0],
        [2.0, 2.0, 1.0],
        [2.0, 1.0, 3.0],
        [0.0, 3.0, 0.0],
    ]
)
_DENSITY = _rng.normal(95, 10, 7)
_SIZES = np.array([250, 500, 1000, 2000, 4000])
_DISTANCES = 3.1 + 640 / _SIZES + np.array([0.05, -0.12, 0.1, -0.1, 0.08])
_SHUFFLED = np.array([1000, 300, 5000, 700]), np.array([2.2, 3.9, 1.55, 2.6])

EXERCISES = {
    1: Exercise(
        right=_bytes,
        probes=((92.3, 447, 39, 224), (80.5, 1000, 12, 0), (130.0, 1, 39, 640)),
        mistakes=(
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial, 1),
                "a nat is not a bit: divide by ln 2",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial, 1 / np.log(2)),
                "a nat is more than a bit: divide by ln 2, do not multiply",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial, np.log(10)),
                "a bit is a factor of 2, not of 10: ln 2 nats",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial, np.log10(2)),
                "nats are natural logarithms: a bit is ln 2 of them, not log₁₀ 2",
            ),
            (
                lambda nats, n, header, initial: 8 * _bytes(nats, n, header, initial),
                "that is in bits; bytes are wanted",
            ),
            (
                lambda nats, n, header, initial: header + initial + n * nats / np.log(2),
                "the header is in bytes, the rest still in bits",
            ),
            (
                lambda nats, n, header, initial: header + initial / 8 + n * nats / np.log(2),
                "the images are still in bits",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header / 8, initial),
                "the header is in bytes already",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, n * header, initial),
                "one file has one header, however many images are in it",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, n * initial),
                "the initial bits are needed once; later images use those before",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, n * header, n * initial),
                "header and initial bits come once in a file, not with each image",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, 0),
                "the initial bits are not used: they stay in the file",
            ),
            (lambda nats, n, header, initial: _bytes(nats, n, 0, initial), "the header is missing"),
            (lambda nats, n, header, initial: _bytes(nats, n, 0, 0), "those are the images; what else is in the file?"),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, 8 * initial),
                "the initial bits are bits: divide them by 8 as well",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial / np.log(2)),
                "the initial bits are bits already: only nats are divided by ln 2",
            ),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial, starts=-1),
                "the sign: the stack grows on top of the initial bits, and the file holds both",
            ),
            (lambda nats, n, header, initial: _bytes(nats, 1, header, initial), "that is a file of one image"),
            (
                lambda nats, n, header, initial: _bytes(nats, n, header, initial) / n,
                "that is for one image; the whole file is wanted",
            ),
            *(
                (
                    lambda nats, n, header, initial, whole=whole: whole(_bytes(nats, n, header, initial)),
                    "an expected size is not rounded",
                )
                for whole in (np.round, np.ceil, np.floor)
            ),
            (
                lambda nats, n, header, initial: header + initial / 8 + n * np.ceil(nats / np.log(2) / 8),
                "no image is rounded to whole bytes: the coder shares a byte among images",
            ),
            (
                lambda nats, n, header, initial: header + initial / 8 + n * np.ceil(nats / np.log(2)) / 8,
                "no image is rounded to whole bits: the coder shares a bit among images",
            ),
        ),
        praise="A file that is clearly larger than this has a reason, and it is worth finding.",
    ),
    2: Exercise(
        right=_proven,
        probes=tuple(
            (a, i, b, j) for a, b in ((85.0, 90.0), (90.0, 85.0), (88.0, 88.0)) for i in _KINDS for j in _KINDS
        ),
        mistakes=(
            (lambda a, i, b, j: a < b, "the kinds are not used: what lies below an upper bound is unknown"),
            (
                lambda a, i, b, j: a < b and i == j == "exact",
                "two exact numbers can be compared, but they are not the only pair that proves something",
            ),
            (
                lambda a, i, b, j: a < b and i == "exact",
                "the other way round: which of the two numbers may fall without changing the order?",
            ),
            (
                lambda a, i, b, j: a < b and "exact" in (i, j),
                "one exact number is not enough: it depends on whose it is",
            ),
            (
                lambda a, i, b, j: a < b and i == j,
                "two upper bounds prove nothing: the gap of either may be the larger one",
            ),
            (
                lambda a, i, b, j: a < b and i != j,
                "different kinds are neither needed nor enough: ask how far each number may fall",
            ),
            (
                lambda a, i, b, j: a < b and (i, j) == ("upper bound", "exact"),
                "two exact numbers prove it, too",
            ),
            (
                lambda a, i, b, j: a < b and j == "upper bound",
                "if b is an upper bound, the second model may be far below it",
            ),
            (
                lambda a, i, b, j: a < b and i == "upper bound",
                "an upper bound of the first model does no harm, but what of the second?",
            ),
            (
                lambda a, i, b, j: a < b and not i == j == "exact",
                "two exact numbers prove it, and two upper bounds do not",
            ),
            (
                lambda a, i, b, j: a <= b and j == "exact",
                "smaller is wanted: with equal numbers both may be equally good",
            ),
            (lambda a, i, b, j: a <= b, "the kinds are not used, and with equal numbers both may be equally good"),
            (
                lambda a, i, b, j: a > b and j == "exact",
                "the question is whether the first is smaller: nats are surprise, less is better",
            ),
            (
                lambda a, i, b, j: b < a and i == "exact",
                "that proves that the second model is better; the question is about the first",
            ),
            (lambda a, i, b, j: a > b, "the question is whether the first is smaller, and the kinds are not used"),
            (lambda a, i, b, j: j == "exact", "that says which numbers can prove something; now compare them"),
            (
                lambda a, i, b, j: i == j == "exact",
                "that says which numbers can be compared, and not even all; now compare them",
            ),
            (lambda a, i, b, j: a < b or j == "exact", "both must hold, not one of two"),
            (
                lambda a, i, b, j: not _proven(a, i, b, j),
                "the other way round: True should mean that it is proven",
            ),
            (
                lambda a, i, b, j: False,
                'sometimes it is proven; the kinds are spelled "exact" and "upper bound"',
            ),
            (lambda a, i, b, j: True, "if that were so, no measurement would be needed"),
        ),
        praise="A bound can win against an exact number, but it cannot lose: where it is larger, nothing follows.",
    ),
    3: Exercise(
        right=_paired,
        probes=(_PAIR, _OTHERS),
        mistakes=(
            (lambda a, b: _paired(b, a), "the sign: the difference is a − b"),
            (lambda a, b: abs(_paired(a, b)), "the difference keeps its sign"),
            (
                lambda a, b: np.append(abs(a - b).mean(), _paired(a, b)[1:]),
                "a mean of a − b, not of |a − b|: an image may speak for either model",
            ),
            (lambda a, b: _paired(a, b)[[0, 2, 1]], "the standard errors have changed places: paired comes first"),
            (lambda a, b: _paired(a, b, ddof=0), "the variance of N examples is divided by N − 1: ddof=1"),
            (
                lambda a, b: np.append(_paired(a, b)[:2], _paired(a, b, 0)[2]),
                "paired is right; the other one needs ddof=1, too",
            ),
            (
                lambda a, b: np.append(_paired(a, b, 0)[:2], _paired(a, b)[2]),
                "independent is right; the paired one needs ddof=1, too",
            ),
            *(
                (
                    lambda a, b, ddof=ddof: _paired(a, b, ddof) * [1, len(a) ** 0.5, len(a) ** 0.5],
                    "those are standard deviations of single images: an error of a mean is smaller by √N",
                )
                for ddof in (0, 1)
            ),
            (
                lambda a, b: _paired(a, b) * [1, len(a) ** 0.5, 1],
                "the second is the deviation of single differences: an error of a mean is smaller by √N",
            ),
            (
                lambda a, b: _paired(a, b) * [1, 1, len(a) ** 0.5],
                "the third is a deviation of single images: an error of a mean is smaller by √N",
            ),
            *(
                (
                    lambda a, b, ddof=ddof: _paired(a, b, ddof) / [1, len(a) ** 0.5, len(a) ** 0.5],
                    "a standard deviation is divided by √N, a variance by N",
                )
                for ddof in (0, 1)
            ),
            (lambda a, b: _paired(a, b) ** [1, 2, 2], "those are variances of the mean: the root is missing"),
            (
                lambda a, b: np.array([(a - b).mean(), (a - b).var(ddof=1), a.var(ddof=1) + b.var(ddof=1)]),
                "those are variances of single images: divide by N and take the root",
            ),
            (
                lambda a, b: _paired(a, b, independent=_error(a) + _error(b)),
                "paired is right; of independent numbers the variances add up, not the errors",
            ),
            (
                lambda a, b: _paired(a, b, independent=abs(_error(a) - _error(b))),
                "paired is right; of independent numbers the variances add up, also in a difference",
            ),
            (
                lambda a, b: _paired(a, b, independent=abs(_error(a) ** 2 - _error(b) ** 2) ** 0.5),
                "paired is right; of independent numbers the variances add up, also in a difference",
            ),
            (
                lambda a, b: _paired(a, b, independent=_error(np.append(a, b))),
                "paired is right; the other is of a difference of two means, not of one mean of all 2N numbers",
            ),
            (
                lambda a, b: _paired(a, b, independent=np.hypot(_error(a), _error(b)) / 2**0.5),
                "paired is right; variances of the two means are added, not averaged",
            ),
            (
                lambda a, b: _paired(a, b, independent=np.hypot(_error(a), _error(b)) / 2),
                "paired is right; the other is the error of a difference, not of a mean of the two models",
            ),
            (lambda a, b: _paired(a, b, independent=_error(a)), "paired is right; both models have an error"),
            (lambda a, b: _paired(a, b, independent=_error(b)), "paired is right; both models have an error"),
            (
                lambda a, b: np.append(_paired(a, b)[:1], np.repeat(_paired(a, b)[1], 2)),
                "independent models have no common images: their variances add up",
            ),
            (
                lambda a, b: np.append(_paired(a, b)[:1], np.repeat(_paired(a, b)[2], 2)),
                "the paired one comes from the differences, image by image",
            ),
            (
                lambda a, b: np.append(_paired(a, b)[:1], _paired(np.sort(a), np.sort(b))[1:]),
                "sorted, the numbers no longer belong to the same image",
            ),
            (
                lambda a, b: np.append(_paired(a, b)[:1], [_error(abs(a - b)), _paired(a, b)[2]]),
                "the differences keep their sign, also in their standard error",
            ),
        ),
        praise="How much smaller is the paired one if the models find the same images hard?",
    ),
    4: Exercise(
        right=_spreads,
        probes=((_SEEDS,), (_FEW,)),
        mistakes=(
            (
                lambda nats: _spreads(nats.T),
                "the axes are interchanged: each row is a seed, each column an image",
            ),
            (
                lambda nats: _spreads(nats)[[0, 2, 1]],
                "the second is about seeds, the third about images: they have changed places",
            ),
            (lambda nats: _spreads(nats, ddof=0), "few seeds make the difference large: ddof=1"),
            (
                lambda nats: _spreads(nats, seeds=lambda x: x.mean(1).std()),
                "the images are right; the deviation of few seeds needs ddof=1",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: _error(x.mean(0), 0)),
                "the seeds are right; the images need ddof=1, too",
            ),
            (
                lambda nats: _spreads(nats, seeds=lambda x: _error(x.mean(1))),
                "that is the error of a mean over all seeds; how far is one run from another?",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: x.mean(0).std(ddof=1)),
                "the third is the deviation of single images; the error of their mean is wanted",
            ),
            (
                lambda nats: _spreads(nats, seeds=lambda x: _error(x.mean(1)), images=lambda x: x.mean(0).std(ddof=1)),
                "the deviation is wanted of the seeds and the error of the mean of the images, not the reverse",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: _error(x.ravel())),
                "S seeds on the same images are not S·N images: average over seeds first",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: x.std(ddof=1) / x.shape[1] ** 0.5),
                "the third still holds the seeds: average over them first",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: x.mean(0).std(ddof=1) / x.size**0.5),
                "an error of N images is divided by √N: more seeds do not make more images",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: x.mean(0).std(ddof=1) / len(x) ** 0.5),
                "an error over images is divided by the root of their number, not of that of the seeds",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: x.mean(0).std(ddof=1) / x.shape[1]),
                "a standard deviation is divided by √N, a variance by N",
            ),
            (
                lambda nats: _spreads(nats, seeds=lambda x: x.std(0, ddof=1).mean()),
                "that is how far seeds differ on one image; average over images first, which cancels part of it",
            ),
            (
                lambda nats: _spreads(nats, seeds=lambda x: x.std(1, ddof=1).mean()),
                "that is how far images differ for one seed",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: np.mean([_error(row) for row in x])),
                "that is the mean error of one seed; average the nats over seeds first",
            ),
            (
                lambda nats: _spreads(nats, images=lambda x: _error(x[0])),
                "that is the error of the first seed; average the nats over seeds first",
            ),
            (lambda nats: _spreads(nats, seeds=lambda x: x.std(ddof=1)), "the second still holds the images"),
            (
                lambda nats: _spreads(nats, seeds=lambda x: np.ptp(x.mean(1))),
                "that is the range of the seeds, which grows with their number",
            ),
            (
                lambda nats: _spreads(nats, seeds=lambda x: x.mean(1).var(ddof=1)),
                "the second is a variance: the root is missing",
            ),
            (lambda nats: _spreads(nats)[1:], "put the mean of all numbers before the two"),
        ),
        praise="With more seeds the second is known better, but not smaller; the third hardly changes.",
    ),
    5: Exercise(
        right=_chosen,
        probes=((_VALID, _TEST), _LONG),
        mistakes=(
            (
                lambda valid, test: _peek(test, _best(test)),
                "the choice has seen the test set: it is made on the validation values alone",
            ),
            (
                lambda valid, test: np.array([valid.min(), test.min(), valid.min() - test.min()]),
                "the first is the validation value itself, which is too good: it was chosen for being small",
            ),
            (
                lambda valid, test: _peek(test, _best(valid)) * [1, 1, -1],
                "the sign: peeking never loses, so the difference is not negative",
            ),
            (
                lambda valid, test: _peek(test, _best(valid))[[1, 0, 2]],
                "the first two have changed places: what an honest choice reports comes first",
            ),
            (lambda valid, test: _peek(test, _best(-valid)), "nats: the smallest is the best"),
            (
                lambda valid, test: _peek(test, _best(-valid), test.max()),
                "nats: the smallest is the best, for both choices",
            ),
            (
                lambda valid, test: _peek(test, (valid[:, -1].argmin(), -1)),
                "every epoch may be chosen, not only the last",
            ),
            (
                lambda valid, test: _peek(test, (valid.mean(1).argmin(), valid[valid.mean(1).argmin()].argmin())),
                "the run is that with the smallest value, not with the smallest mean over epochs",
            ),
            (
                lambda valid, test: _peek(test, (valid[:, valid.mean(0).argmin()].argmin(), valid.mean(0).argmin())),
                "run and epoch are chosen together, not the epoch by the mean over runs",
            ),
            (
                lambda valid, test: _peek(test, (valid.min(1).argmin(), -1)),
                "that is the last epoch of the chosen run; the epoch is chosen, too",
            ),
            (
                lambda valid, test: _peek(test, _best(valid), test[_best(valid)[0]].min()),
                "the smallest test value anywhere: also in other runs",
            ),
            (
                lambda valid, test: _peek(test, _best(valid), test[:, _best(valid)[1]].min()),
                "the smallest test value anywhere: also at other epochs",
            ),
            (
                lambda valid, test: _peek(test, _best(valid), test[range(len(test)), valid.argmin(1)].min()),
                "whoever peeks may take any epoch, not only those that validation has chosen",
            ),
            (
                lambda valid, test: _peek(test, _best(valid), test[:, -1].min()),
                "whoever peeks may take any epoch, not only the last",
            ),
            (
                lambda valid, test: np.append(_chosen(valid, test)[:2], test[_best(valid)] - valid.min()),
                "the third compares two test values",
            ),
            (
                lambda valid, test: np.append(_chosen(valid, test)[:2], valid[_best(test)] - valid.min()),
                "the third compares two test values, not two validation values",
            ),
            (
                lambda valid, test: _peek(test, (_best(valid)[0], test[_best(valid)[0]].argmin())),
                "the run is right; the epoch, too, is chosen on the validation values",
            ),
            (
                lambda valid, test: np.append(
                    m := test[range(len(test)), valid.argmin(1)].mean(), [test.min(), m - test.min()]
                ),
                "that is a mean over runs; one run is chosen",
            ),
        ),
        praise="Part of that difference is luck, which new images will not repeat.",
    ),
    6: Exercise(
        right=_front,
        probes=((_TWO,), (_THREE,), (np.array([[2.0, 2.0], [2.0, 1.0], [1.0, 2.0]]),), (np.array([[0.2, 0.1]]),)),
        mistakes=(
            (
                lambda scores: _front(-scores),
                "those are the models that dominate nobody: larger is better, and who dominates whom matters",
            ),
            (lambda scores: ~_front(scores), "the other way round: True should mean that nobody dominates it"),
            (
                lambda scores: _front(scores, lambda b, a: (b > a).all(2)),
                "better in all is too much to ask: as good in some and better in one is enough to dominate",
            ),
            (
                lambda scores: _front(scores, lambda b, a: (b >= a).all(2)),
                "so each model dominates itself: who dominates is better in at least one quality",
            ),
            (
                lambda scores: _front(scores, lambda b, a: (b >= a).all(2), alone=True),
                "two equal rows have thrown each other out: who dominates is better in at least one quality",
            ),
            (_first_of_equal, "of equal rows none dominates the other: all of them stay"),
            (
                lambda scores: _front(scores, lambda b, a: (b > a).any(2)),
                "so only a model that is best in everything stays: who dominates is worse in none",
            ),
            (
                lambda scores: _front(scores, lambda b, a: (b >= a).any(2), alone=True),
                "as good in some quality is not enough: who dominates is worse in none",
            ),
            (
                lambda scores: _front(scores, lambda b, a: (b > a).sum(2) > (b < a).sum(2)),
                "a majority is not enough: who dominates is worse in none",
            ),
            (
                lambda scores: ~_front(scores, lambda b, a: (a >= b).all(2) & (a > b).any(2)),
                "those are the models that dominate somebody, which is not needed",
            ),
            (
                lambda scores: (scores == scores.max(0)).any(1),
                "best in one quality is neither needed nor, with ties, enough",
            ),
            (
                lambda scores: scores.mean(1) == scores.mean(1).max(),
                "a mean gives each quality a weight, which nobody has chosen",
            ),
            (_some_weights, "the front may bend inwards: not each of its models is best in a weighted mean"),
            (lambda scores: np.flatnonzero(_front(scores)), "those are indices: a mask with an entry for each row"),
            (lambda scores: scores[_front(scores)], "those are the rows: a mask with an entry for each row is wanted"),
        ),
        praise="What is on the front is a matter of measurement, what to take from it one of purpose.",
    ),
    7: Exercise(
        right=_levels,
        probes=((_DENSITY, 17, 64, 1.0, 0.0), (_DENSITY[:5], 17, 64, 2.0, -1.0), (-_DENSITY, 256, 12, 0.25, 0.5)),
        mistakes=(
            (lambda x, K, D, s, b: -x.mean(), "that is a density, in units of v: what is the volume of a cell there?"),
            (lambda x, K, D, s, b: -_levels(x, K, D, s, b), "that bounds log P(x); the sign"),
            (
                lambda x, K, D, s, b: _levels(x, K, D, s, b) + 2 * x.mean(),
                "the sign of the log density: a large density makes a small surprise",
            ),
            (
                lambda x, K, D, s, b: _levels(x, K, -D, s, b),
                "the sign of the correction: a cell is small in v, and so is its probability",
            ),
            (lambda x, K, D, s, b: _levels(x, K, D, 1, b), "scale is not used: it changes the volume of a cell, too"),
            (
                lambda x, K, D, s, b: _levels(x, K, D, 1 / s, b),
                "scale the other way: where it is large, cells are large",
            ),
            (
                lambda x, K, D, s, b: _levels(x, 1, D, s, b),
                "levels is not used: v is divided by it, and so are the edges of a cell",
            ),
            (lambda x, K, D, s, b: _levels(x, K, D, s, b, 1), "one edge is not the volume: a cell has D of them"),
            (
                lambda x, K, D, s, b: D * np.log(K) - np.log(s) - x.mean(),
                "D log K is right, but each of the D numbers is scaled",
            ),
            (
                lambda x, K, D, s, b: _levels(x, K, D, s, b, len(x)),
                "that counts images: a cell has an edge for each of the D pixels",
            ),
            (
                lambda x, K, D, s, b: _levels(x, K - 1, D, s, b),
                "v is divided by K, not by K − 1, though the largest level is K − 1",
            ),
            (lambda x, K, D, s, b: _levels(x, K, D, s + b, b), "the shift moves cells and leaves their volume"),
            (lambda x, K, D, s, b: _levels(x, K, D, s, b) + b, "the shift moves cells and leaves their volume"),
            (lambda x, K, D, s, b: _levels(x, K, D, s, b) + D * b, "the shift moves cells and leaves their volume"),
            (
                lambda x, K, D, s, b: D * np.log2(K / s) - x.mean(),
                "the log density is in nats, the correction in bits",
            ),
            (
                lambda x, K, D, s, b: D * np.log10(K / s) - x.mean(),
                "nats are natural logarithms, not those to base 10",
            ),
            (lambda x, K, D, s, b: _levels(x, K, D, s, b) / np.log(2), "that is in bits; nats are wanted"),
            (lambda x, K, D, s, b: _levels(x, K, D, s, b) / D, "that is for one pixel; nats per image are wanted"),
            (
                lambda x, K, D, s, b: _levels(x, K, D, s, b) / D / np.log(2),
                "those are bits per dimension; nats per image are wanted",
            ),
            (lambda x, K, D, s, b: D * np.log(K / s) - x, "the mean over the images is missing"),
            (lambda x, K, D, s, b: D * np.log(K / s) - x.sum(), "a mean over the images, not a sum"),
            (
                lambda x, K, D, s, b: len(x) * _levels(x, K, D, s, b),
                "a mean over the images, not a sum",
            ),
            (
                lambda x, K, D, s, b: _levels(np.log(np.exp(x).mean(keepdims=True)), K, D, s, b),
                "each image has its own surprise: the mean of the logarithms, not the logarithm of the mean",
            ),
            (
                lambda x, K, D, s, b: _levels(x, K, D, s, b) + x.mean(),
                "that is the correction alone",
            ),
        ),
        praise="Only now may it stand in a table beside models of levels.",
    ),
    8: Exercise(
        right=_break_even,
        probes=(
            (64 * _BIT, 224, 39, 64.0),
            (150.0, 224, 39, 190.0),
            (92.3, 224, 39, 190.0),
            (1500.0, 1200, 200, 4000.0),
            (92.3, 0, 1, 190.0),
            (64 * _BIT, 64, 120, 128.0),  # a tie at n = 16, in floating point as well
            (90.0, 1_000_000, 39, 130.25),
        ),
        mistakes=(
            (
                lambda *given: _break_even(*given, whole=np.ceil),
                "strictly smaller: where both are equally large, one more image is needed",
            ),
            (
                lambda *given: _break_even(*given, whole=lambda n: np.ceil(n) + 1),
                "one too many where the two sizes are never equal",
            ),
            (lambda *given: _break_even(*given, whole=np.floor), "at this n the file is not yet the smaller one"),
            (lambda *given: _break_even(*given, whole=np.round), "rounded down, n is too small"),
            (lambda *given: _break_even(*given, whole=lambda n: n), "a whole number of images is wanted"),
            (
                lambda e, i, h, r: _break_even(e, i, h, r, fixed=h + i),
                "the header is in bytes, 8 bits each",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, r, fixed=8 * (h + i)),
                "the initial bits are bits already: only the header is in bytes",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, r, fixed=h + i / 8),
                "the fixed part is in bytes, the part that grows in bits",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, r, each=8 * h + i, fixed=0),
                "header and initial bits come once in a file, not with each image",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, r, each=8 * h, fixed=i),
                "one file has one header, however many images are in it",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, r, each=i, fixed=8 * h),
                "the initial bits are needed once; later images use those before",
            ),
            (lambda e, i, h, r: _break_even(e, 0, h, r), "the initial bits are not used: they are in the file"),
            (lambda e, i, h, r: _break_even(e, i, 0, r), "the header is not used"),
            (
                lambda e, i, h, r: _break_even(e, 0, 0, r),
                "that compares single images; the file also has a header and initial bits",
            ),
            (lambda e, i, h, r: _break_even(e, -i, h, r), "the sign: the file holds the initial bits as well"),
            (lambda *given: _break_even(*given, bit=1), "a nat is not a bit: divide by ln 2"),
            (
                lambda *given: _break_even(*given, bit=1 / np.log(2)),
                "a nat is more than a bit: divide by ln 2, do not multiply",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, r / np.log(2)),
                "the rival's size is in bits already",
            ),
            (
                lambda e, i, h, r: _break_even(e, i, h, 8 * r),
                "the rival's size is in bits already, not in bytes",
            ),
            (
                lambda e, i, h, r: -1 if r - e / np.log(2) < 0 else _break_even(e, i, h, r, never=np.inf),
                "with equally long images the rival stays ahead: that, too, is never",
            ),
            (
                lambda *given: _break_even(*given, never=None),
                "where an image needs more bits than the rival's, no n is enough: −1",
            ),
            (
                lambda e, i, h, r: 1 if e / np.log(2) > r else _break_even(e, i, h, r, never=np.inf),
                "where an image needs more bits than the rival's, no n is enough: −1",
            ),
            *((lambda *given, v=v: _break_even(*given, never=v), "never is −1 here") for v in (0, np.inf, np.nan)),
            (
                lambda e, i, h, r: np.floor(abs((8 * h + i) / d)) + 1 if (d := r - e / np.log(2)) else -1,
                "where an image needs more bits than the rival's, no n is enough: −1",
            ),
            *(
                (
                    lambda *given, most=most: n if (n := _break_even(*given)) < most else -1,
                    "the search has ended too early, and has called that never: n has a formula",
                )
                for most in (200, 1000, 10_000, 100_000, 1_000_000)
            ),
            (
                lambda *given: _break_even(*given) * 0 - 1,
                "sometimes the file does become smaller",
            ),
        ),
        praise="Say with each size how many images were in the file.",
        tolerance=1e-9,
    ),
    9: Exercise(
        right=_line,
        probes=((_SIZES, _DISTANCES), _SHUFFLED, (np.array([100, 400]), np.array([9.0, 3.0]))),
        mistakes=(
            (lambda n, y: _line(n, y)[::-1], "the order is [d, c]; np.polyfit puts the slope first"),
            (lambda n, y: _line(n, y, lambda n: n), "that is a line in n: the distance is a line in 1/n"),
            (lambda n, y: _line(n, y, lambda n: n)[::-1], "that is a line in n, and d comes first"),
            (lambda n, y: _line(n, y, lambda n: n**-0.5), "noise falls with 1/√n, the bias with 1/n"),
            (lambda n, y: _line(n, y, np.log), "that is a line in log n: at n = ∞ it has no value"),
            (
                lambda n, y: _line(n, y, lambda n: 1 / n**2),
                "the bias falls with 1/n, not with 1/n²",
            ),
            (
                lambda n, y: np.array([0, (y / n).sum() / (1 / n**2).sum()]),
                "through the origin: then d would be 0, a model without fault",
            ),
            (
                lambda n, y: np.array([(y / n).sum() / (1 / n**2).sum(), 0]),
                "that is a slope through the origin; d is where the line meets 1/n = 0",
            ),
            (lambda n, y: np.array([y.mean(), 0]), "a mean over sizes is biased as they are"),
            (
                lambda n, y: np.array([y[n.argmax()], _line(n, y)[1]]),
                "also the distance of the most samples is biased: d is where the line meets 1/n = 0",
            ),
            (lambda n, y: np.array([y.min(), _line(n, y)[1]]), "the smallest distance is biased, too"),
            (lambda n, y: _line(n, y) * [1, -1], "the sign of c: fewer samples make the distance larger"),
            (
                lambda n, y: _two_sizes(n, y, n.argmin(), n.argmax()),
                "that is a line through two of the sizes: least squares uses all",
            ),
            (
                lambda n, y: _two_sizes(n, y, *n.argsort()[-2:]),
                "that is a line through two of the sizes: least squares uses all",
            ),
            (
                lambda n, y: _two_sizes(n, y, 0, -1),
                "that is a line through two of the sizes: least squares uses all",
            ),
            (
                lambda n, y: _two_sizes(n, y, 0, 1),
                "that is a line through two of the sizes: least squares uses all",
            ),
            (
                lambda n, y: _line(n, y, weight=lambda n: n),
                "that is a line through n · distance, in which large n weigh most: fit the distance itself",
            ),
            (
                lambda n, y: _line(n, y, weight=np.sqrt),
                "the sizes are weighted; here each has the same weight",
            ),
            (
                lambda n, y: np.array([-np.divide(*_line(y, 1 / n, lambda y: y)), 1 / _line(y, 1 / n, lambda y: y)[1]]),
                "that minimises the errors of 1/n: the distance is what is noisy",
            ),
            (
                lambda n, y: np.polynomial.Polynomial.fit(1 / n, y, 1).coef,
                "Polynomial.fit moves 1/n to between −1 and 1 first: its .convert() undoes that",
            ),
            (lambda n, y: _line(n, y)[0], "d is right; return [d, c]"),
            (lambda n, y: _line(n, y)[1], "that is c; return [d, c]"),
        ),
        praise="The noise of the distances is still in d: give it an error, from sets drawn anew.",
    ),
}
