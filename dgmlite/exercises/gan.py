"""Exercises of the chapter "Generative adversarial networks"."""

import numpy as np

from dgmlite.exercises import Exercise


def _log_ratio(D, N, M):
    return np.log(D) - np.log1p(-D) - np.log(N / M)


def _softplus(c):
    return np.logaddexp(0, c)


def _js_bound(real, fake, halves=0.5, top=1, mean=np.mean):
    return top * np.log(2) - halves * (mean(_softplus(-real)) + mean(_softplus(fake)))


def _naive(real, fake):
    with np.errstate(all="ignore"):
        return np.log(2) - (np.log(1 + np.exp(-real)).mean() + np.log(1 + np.exp(fake)).mean()) / 2


def _clipped(real, fake, least):
    D_real, D_fake = 1 / (1 + np.exp(np.minimum(-real, 700))), 1 / (1 + np.exp(np.minimum(-fake, 700)))
    return np.log(2) + (np.log(np.maximum(D_real, least)).mean() + np.log(np.maximum(1 - D_fake, least)).mean()) / 2


def _slopes(z, m, s, critic, slope, by_c=None, by_s=None, mean=np.mean, frozen=True):
    x = m + s * z
    D = 1 / (1 + np.exp(-critic(x)))
    by_x = np.stack((-D, D - 1) if by_c is None else by_c(D)) * (slope(x) if frozen else 1)
    return np.stack((mean(by_x, axis=1), mean(by_x * (z if by_s is None else by_s(x, z)), axis=1)), 1)


def _least_squares(p, q, a, b, critic=None, half=0.5, parts=(1, 1)):
    c = (b * p + a * q) / (p + q) if critic is None else critic(p, q, a, b)
    with np.errstate(invalid="ignore"):
        loss = half * (parts[0] * p @ (c - b) ** 2 + parts[1] * q @ (c - a) ** 2)
    return np.append(c, loss)


def _log_of_ratio(p, q, a, b):
    with np.errstate(all="ignore"):
        return np.log(p / q)


def _per_example(g):
    return np.sqrt((g**2).reshape(len(g), -1).sum(1))


def _penalty(x, fake, alpha, slope, weight, at=None, norm=_per_example, of=lambda size: (size - 1) ** 2):
    a = alpha.reshape(-1, *[1] * (x.ndim - 1))
    at = a * x + (1 - a) * fake if at is None else at(x, fake, a)
    return weight * of(norm(slope(at)))


def _reached(a, b, statistic, deals, compare=np.greater_equal, first=None, pooled=None):
    first = len(a) if first is None else first
    pooled = np.concatenate((a, b)) if pooled is None else pooled
    others = np.array([statistic(pooled[i[:first]], pooled[i[first:]]) for i in deals])
    return compare(others, statistic(a, b)).sum()


def _p_value(a, b, statistic, deals, plus=(1, 1), **how):
    return (plus[0] + _reached(a, b, statistic, deals, **how)) / (plus[1] + len(deals))


def _between(a, b):
    return np.sqrt(((a[:, None] - b) ** 2).sum(2))


def _modes(samples, centres, radius, within=np.less_equal, distance=_between, good=None, counts=None):
    d = distance(samples, centres)
    near = within(d.min(1), radius)
    found = np.bincount(d.argmin(1)[near], minlength=len(centres)) if counts is None else counts(d, radius)
    return np.concatenate(([(found > 0).sum(), near.mean() if good is None else good(found, near)], found))


def _turn(h, w, up=1, down=-1, pull=-1, generator_first=False, size=lambda M: abs(np.linalg.eigvals(M)).max()):
    critic = np.array([[1, 0], [down * h, 1 + pull * h * w]])
    generator = np.array([[1, up * h], [0, 1]])
    M = critic @ generator if generator_first else generator @ critic
    return np.append(M, size(M))


def _of(matrix):
    M = np.array(matrix, dtype=float)
    return np.append(M, abs(np.linalg.eigvals(M)).max())


def _share(some, others, k, within=np.less_equal, radius=None, any_of=lambda inside: inside.any(1).mean()):
    kth = np.sort(_between(others, others), 1)[:, k]
    return any_of(within(_between(some, others), kth if radius is None else radius(kth)))


def _precision_recall(samples, real, k, **how):
    return np.array([_share(samples, real, k, **how), _share(real, samples, k, **how)])


def _nearest_ball(samples, real, k):
    """As if only the nearest of the others had a ball."""

    def share(some, others):
        d, kth = _between(some, others), np.sort(_between(others, others), 1)[:, k]
        return (d.min(1) <= kth[d.argmin(1)]).mean()

    return np.array([share(samples, real), share(real, samples)])


def _own_ball(samples, real, k):
    """As if the ball were around the example that is asked about."""

    def share(some, others):
        own = np.sort(_between(some, some), 1)[:, k]
        return (_between(some, others) <= own[:, None]).any(1).mean()

    return np.array([share(samples, real), share(real, samples)])


def _cross_ball(samples, real, k):
    """As if the neighbours that give a ball its size were of the other set."""

    def share(some, others):
        d = _between(some, others)
        return (d <= np.sort(d, 0)[k]).any(1).mean()

    return np.array([share(samples, real), share(real, samples)])


def _field(x):
    """Stands for the slopes of a network: each example for itself."""
    return 0.2 * x + 0.6 * np.sin(3 * x)


def _critic(x):
    return 1 + np.sin(x) - 0.5 * x


def _its_slope(x):
    return np.cos(x) - 0.5


def _apart(a, b):
    return abs(a.mean(0) - b.mean(0)).sum()


def _above(a, b):
    return (a.mean(0) - b.mean(0)).sum()


_rng = np.random.default_rng(0)
_D = np.array([0.02, 0.3, 0.5, 0.9, 0.999])
_REAL, _FAKE = _rng.normal(1, 1.5, 7), _rng.normal(-1, 1.5, 4)
_P, _Q = np.array([0.5, 0.25, 0.25, 0.0]), np.array([0.1, 0.2, 0.0, 0.7])
_ALPHA = np.array([0.2, 0.5, 0.9])
_FLAT = (_rng.normal(size=(3, 3)), _rng.normal(size=(3, 3)), _ALPHA, _field, 10.0)
_IMAGES = (_rng.normal(size=(3, 1, 2, 3)), _rng.normal(size=(3, 1, 2, 3)), _ALPHA, _field, 0.5)
_A, _B = _rng.integers(0, 4, (4, 2)) + 1.0, _rng.integers(0, 4, (8, 2)) + 0.0  # so that ties are exact
_DEALS = _rng.permuted(np.tile(np.arange(12), (60, 1)), axis=1)
_CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 7.0], [30.0, 30.0]])
_LINE = np.array([[3.0], [1.0], [2.9], [4.0], [15.0], [7.2], [0.0]]), np.array([[0.0], [6.0], [9.0]]), 2.0
_SAMPLES = np.array([[3.0, 4.0], [1.0, 1.0], [2.9, 0.5], [4.0, -1.0], [15.0, 15.0], [-4.5, -4.5], [0.0, 0.5]])
_CLOUD, _DATA = 0.7 + _rng.normal(size=(20, 2)), _rng.normal(size=(30, 2))
_GRID, _CROSS = _rng.integers(0, 9, (14, 2)) + 0.0, _rng.integers(0, 12, (11, 2)) + 0.0

EXERCISES = {
    1: Exercise(
        right=_log_ratio,
        probes=((_D, 3000, 1000), (_D[1:4], 200, 700)),
        mistakes=(
            (
                lambda D, N, M: _log_ratio(D, 1, 1),
                "those are the odds; with N ≠ M the classifier knows who is more common",
            ),
            (lambda D, N, M: _log_ratio(D, M, N), "the correction points the wrong way: odds are (N/M) · p/q"),
            (lambda D, N, M: -_log_ratio(D, N, M), "that is log q/p: D is the probability of a, drawn from p"),
            (lambda D, N, M: np.exp(_log_ratio(D, N, M)), "that is the ratio, its logarithm is wanted"),
            (
                lambda D, N, M: _log_ratio(D, N, N + M),
                "N/(N + M) is the share of a: odds are corrected by odds, N/M",
            ),
            (lambda D, N, M: np.log(D) - np.log(N / M), "D is not p/q: divide by 1 − D"),
            (lambda D, N, M: _log_ratio(D, N, M) / np.log(2), "nats are wanted: the natural logarithm"),
            (lambda D, N, M: _log_ratio(D, 1, 1) - N / M, "in the logarithm the correction is log N/M"),
        ),
        praise="A critic that sees as many fakes as data needs no correction: at its best its logit is log p/q.",
    ),
    2: Exercise(
        right=_js_bound,
        probes=((_REAL, _FAKE), (np.array([1000.0, 3.0, -1000.0]), np.array([-1000.0, 1000.0, 0.5, -2.0, 0.0]))),
        mistakes=(
            (lambda real, fake: _js_bound(-real, -fake), "the signs: on data the loss is −log σ(c), so softplus(−c)"),
            (lambda real, fake: _js_bound(real, fake, 1.0), "the loss is 2 log 2 − 2 JS: halve it"),
            (lambda real, fake: _js_bound(real, fake, 1.0, 2), "that bounds 2 JS"),
            (
                lambda real, fake: np.log(2) - _softplus(np.append(-real, fake)).mean(),
                "each side has the same weight, however many logits it has: two means",
            ),
            (lambda real, fake: _js_bound(real, fake, mean=np.sum), "a mean over the logits of a side, not a sum"),
            (_naive, "exp overflows or σ is rounded to 0 or 1: log(1 + exp(c)) is np.logaddexp(0, c)"),
            *(
                (
                    lambda real, fake, least=least: _clipped(real, fake, least),
                    "a floor under D hides how wrong a sure critic can be: log(1 + exp(c)) is np.logaddexp(0, c)",
                )
                for least in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16)
            ),
            (lambda real, fake: _js_bound(real, fake) / np.log(2), "that is in bits"),
            (lambda real, fake: -_js_bound(real, fake, 1.0, 0), "that is the loss itself"),
            (lambda real, fake: -_js_bound(real, fake), "the sign: a smaller loss gives a larger bound"),
        ),
        praise="A bad critic can give a bound below 0, which says nothing: JS is never negative.",
    ),
    3: Exercise(
        right=_slopes,
        probes=(
            (_rng.normal(size=6), 1.5, 0.7, _critic, _its_slope),
            (_rng.normal(size=4), -2.0, 2.0, _critic, _its_slope),
        ),
        mistakes=(
            (lambda *given: _slopes(*given)[::-1], "the rows are interchanged: minimax comes first"),
            (lambda *given: -_slopes(*given), "the signs: both losses fall as c grows"),
            (lambda *given: _slopes(*given) * [[-1], [1]], "the sign of the first row: log(1 − D) falls as c grows"),
            (lambda *given: _slopes(*given) * [[1], [-1]], "the sign of the second row: −log D falls as c grows"),
            (lambda *given: _slopes(*given, frozen=False), "the way from x to c is missing: times dc/dx"),
            (
                lambda *given: _slopes(*given, by_s=lambda x, z: 1),
                "the second column: x = m + s z has the slope z by s",
            ),
            (lambda *given: _slopes(*given, by_s=lambda x, z: x), "the second column: the slope of x by s is z, not x"),
            (lambda *given: _slopes(*given, mean=np.sum), "a mean over the draws, not a sum"),
            (lambda *given: _slopes(*given).T, "each loss has its row, each of m and s its column"),
            (
                lambda *given: _slopes(*given, by_c=lambda D: (-1 / (1 - D), -1 / D)),
                "those are slopes by D, not by c: dD/dc = D(1 − D) is missing",
            ),
            (
                lambda *given: _slopes(*given, by_c=lambda D: (-D * D * (1 - D), -D * (1 - D) ** 2)),
                "−D and −(1 − D) are slopes by c already: no D(1 − D) on top",
            ),
            (
                lambda z, m, s, critic, slope: _slopes(z, m, s, lambda x: critic(z), slope),
                "the critic sees samples, x = m + s z, not the noise",
            ),
            (
                lambda z, m, s, critic, slope: _slopes(z, m, s, critic, lambda x: slope(z)),
                "the critic's slope is taken at the samples, x = m + s z, not at the noise",
            ),
            (
                lambda z, m, s, critic, slope: _slopes(z, m, s, lambda x: critic(z), lambda x: slope(z)),
                "the critic sees samples, x = m + s z, not the noise z",
            ),
            (lambda *given: _slopes(*given, by_c=lambda D: (-D, -D)), "the second loss has a slope of its own"),
            (lambda *given: _slopes(*given, by_c=lambda D: (D - 1, D - 1)), "the first loss has a slope of its own"),
        ),
        praise="That is what backward computes: from the loss to c, through the critic to x, and to the weights.",
    ),
    4: Exercise(
        right=_least_squares,
        probes=((_P, _Q, 0.0, 1.0), (_Q, _P, -1.0, 2.0)),
        mistakes=(
            (
                lambda p, q, a, b: _least_squares(p, q, b, a),
                "a and b are interchanged: b is the target on data, drawn from p",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, half=1.0),
                "the critic is right; in the loss the halves are missing",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, half=0.25),
                "the critic is right; ½ before each expectation, not ¼",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, parts=(1, 0)),
                "the critic is right; in the loss the samples from q are missing",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, parts=(0, 1)),
                "the critic is right; in the loss the data are missing",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b) / np.append(np.ones(len(p)), len(p)),
                "the critic is right; an expectation is a sum over x, not a mean of its terms",
            ),
            (lambda p, q, a, b: _least_squares(p, q, a, b)[:-1], "the critic is right; append its loss"),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, lambda p, q, a, b: b * p + a * q),
                "divide by p + q: c* is a weighted mean of the targets",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, lambda p, q, a, b: p / (p + q)),
                "that is D*, right only for a = 0 and b = 1",
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, _log_of_ratio),
                "log p/q is best for the loss of a classifier; here the error is squared",
            ),
            *(
                (
                    lambda p, q, a, b, total=total: np.append(
                        _least_squares(p, q, a, b)[:-1],
                        total(sum((_least_squares(p, q, a, b)[:-1] - target) ** 2 for target in (a, b))) / 2,
                    ),
                    "the critic is right; in an expectation each x has the weight p(x) or q(x)",
                )
                for total in (np.sum, np.mean)
            ),
            (
                lambda p, q, a, b: _least_squares(p, q, a, b, lambda p, q, a, b: 0 * p + (a + b) / 2),
                "that is the best constant for p = q: c* can differ for each x",
            ),
        ),
        praise="A bounded critic, where log p/q would be infinite.",
    ),
    5: Exercise(
        right=_penalty,
        probes=(_FLAT, _IMAGES),
        mistakes=(
            (
                lambda x, fake, alpha, slope, weight: _penalty(x, fake, 1 - alpha, slope, weight),
                "α belongs to x and 1 − α to the fake",
            ),
            (
                lambda x, fake, alpha, slope, weight: _penalty(
                    x, fake, alpha, slope, weight, lambda x, fake, _: alpha * x + (1 - alpha) * fake
                ),
                "α has run along the last axis: give it the shape (B, 1, …, 1)",
            ),
            (lambda *given: _penalty(*given, of=lambda s: (s**2 - 1) ** 2), "|∇c| is a root: take it before the −1"),
            (lambda *given: _penalty(*given, of=lambda s: s**2), "slopes of 1 are wanted, not of 0: the −1 is missing"),
            (lambda *given: _penalty(*given, of=lambda s: s**2 / 2), "that is the form of R1; here it is (|∇c| − 1)²"),
            (lambda *given: _penalty(*given, of=lambda s: s - 1), "the square is missing"),
            (lambda *given: _penalty(*given, of=abs), "that is the size of the slope: (size − 1)² is wanted"),
            (
                lambda *given: _penalty(*given, of=lambda s: np.maximum(s - 1, 0) ** 2),
                "here slopes below 1 cost, too; what you have is the one-sided form",
            ),
            (lambda *given: _penalty(*given, of=lambda s: (s - 1) ** 2 / 2), "there is no ½ in this one"),
            (lambda *given: _penalty(*given[:4], 1.0), "weight is not used"),
            (lambda *given: _penalty(*given, at=lambda x, fake, a: x), "the slope is taken at x̂, not at x"),
            (lambda *given: _penalty(*given, at=lambda x, fake, a: fake), "the slope is taken at x̂, not at the fake"),
            (
                lambda *given: _penalty(*given, at=lambda x, fake, a: a[0] * x + (1 - a[0]) * fake),
                "each example has its own α",
            ),
            (
                lambda *given: _penalty(*given, norm=lambda g: np.sqrt((g**2).sum())),
                "one norm for each example, not one for the whole batch",
            ),
            (
                lambda *given: _penalty(*given, norm=lambda g: np.sqrt((g**2).sum(1))),
                "the norm runs over all axes but the first: flatten the others",
            ),
            (
                lambda *given: _penalty(*given, norm=lambda g: np.sqrt((g**2).sum(-1))),
                "the norm runs over all axes but the first, not only over the last",
            ),
            (
                lambda *given: _penalty(*given, norm=lambda g: np.sqrt((g**2).reshape(len(g), -1).mean(1))),
                "a norm is the root of a sum of squares, not of their mean",
            ),
            (
                lambda *given: _penalty(*given, norm=lambda g: abs(g).reshape(len(g), -1).sum(1)),
                "that is the sum of absolute values: the norm is the root of the sum of squares",
            ),
            (lambda *given: _penalty(*given).mean(), "one number for each example, (B,)"),
        ),
        praise="With autograd in the place of `slope` this is the penalty of WGAN-GP.",
    ),
    6: Exercise(
        right=_p_value,
        probes=((_A, _B, _apart, _DEALS), (_A - 0.5, _B + 0.5, _above, _DEALS), (_B, _A, _above, _DEALS[:25])),
        mistakes=(
            (
                lambda *given: _p_value(*given, plus=(0, 0)),
                "the deal that was observed is one more: 1 above and 1 below",
            ),
            (
                lambda *given: _p_value(*given, plus=(0, 1)),
                "the deal that was observed reaches itself: 1 above, too",
            ),
            (
                lambda *given: _p_value(*given, plus=(1, 0)),
                "the deal that was observed is one more: 1 below, too",
            ),
            (lambda *given: _p_value(*given, compare=np.greater), "ties count: at least as large"),
            (lambda *given: _p_value(*given, compare=np.less_equal), "count the statistics at least as large"),
            (lambda *given: 1 - _p_value(*given), "a p-value is small where few statistics are as large"),
            (lambda *given: 2 * _p_value(*given), "large means different: one side only, so nothing is doubled"),
            (lambda *given: np.minimum(1, 2 * _p_value(*given)), "large means different: nothing is doubled"),
            (
                lambda a, b, statistic, deals: _p_value(a, b, lambda a, b: abs(statistic(a, b)), deals),
                "take the statistic as it is: |·| makes another one of it",
            ),
            (
                lambda a, b, statistic, deals: _p_value(a, b, lambda a, b: statistic(b, a), deals),
                "statistic(a, b): it need not be symmetric",
            ),
            (
                lambda a, b, statistic, deals: _p_value(a, b, statistic, deals, first=len(b)),
                "the first N of each deal stand for a, and N is len(a)",
            ),
            (
                lambda a, b, statistic, deals: _p_value(a, b, statistic, deals, pooled=np.concatenate((b, a))),
                "index 0 is the first of a: a comes first in the pool",
            ),
            (
                lambda a, b, statistic, deals: _p_value(a, b, lambda one, _: statistic(one, b), deals),
                "both sets are drawn anew: what is not in the first N is the other",
            ),
            (_reached, "that is a count: divide by the number of deals, 1 + P"),
        ),
        praise="If both are of one distribution, p ≤ 0.05 has a probability of at most 0.05, whatever the statistic.",
    ),
    7: Exercise(
        right=_modes,
        probes=((_SAMPLES, _CENTRES, 5.0), _LINE),
        mistakes=(
            (
                lambda *given: _modes(*given, distance=lambda a, b: _between(a, b) ** 2),
                "that compares |x − m|² with the radius",
            ),
            (lambda *given: _modes(*given, within=np.less), "at most the radius: a distance equal to it is near"),
            (
                lambda *given: _modes(*given, counts=lambda d, r: np.bincount(d.argmin(1), minlength=d.shape[1])),
                "samples far from every centre count for none",
            ),
            (
                lambda *given: _modes(*given, counts=lambda d, r: (d <= r).sum(0)),
                "where balls overlap a sample counts for the nearest centre only",
            ),
            (
                lambda *given: _modes(
                    *given, counts=lambda d, r: (d <= r).sum(0), good=lambda found, near: found.sum() / len(near)
                ),
                "where balls overlap you count a sample twice",
            ),
            (
                lambda *given: np.append((_between(*given[:2]) <= given[2]).any(0).sum(), _modes(*given)[1:]),
                "a centre is covered by samples that count for it, not by those nearer to another",
            ),
            (
                lambda *given: _modes(*given, good=lambda found, near: near.sum()),
                "the second number is a share of all samples, not a count",
            ),
            (
                lambda *given: _modes(*given) / np.append(len(given[1]), np.ones(1 + len(given[1]))),
                "the first number is a count of modes, not a share",
            ),
            (
                lambda *given: _modes(*given, distance=lambda a, b: abs(a[:, None] - b).sum(2)),
                "the distance is Euclidean, not the sum of absolute differences",
            ),
            (
                lambda *given: _modes(*given, distance=lambda a, b: abs(a[:, None] - b).max(2)),
                "the distance is Euclidean, not the largest difference",
            ),
            (
                lambda *given: np.append(_modes(*given)[:2], np.trim_zeros(_modes(*given)[2:], "b")),
                "K counts, zeros included: minlength of np.bincount",
            ),
            (
                lambda *given: _modes(*given)[2:],
                "those are the counts: put the modes covered and the share before them",
            ),
            (lambda *given: _modes(*given)[[1, 0, *range(2, 2 + len(given[1]))]], "the modes covered come first"),
            (
                lambda *given: np.append(_modes(*given)[:2], _modes(*given)[2:] / len(given[0])),
                "counts of samples are wanted, not their shares",
            ),
        ),
        praise="Neither number is enough alone: one good sample has the share 1, and enough noise finds every mode.",
    ),
    8: Exercise(
        right=_turn,
        probes=((0.1, 0.0), (0.1, 0.5), (0.2, 3.0)),
        mistakes=(
            (
                lambda h, w: _of([[1, h], [-h, 1 - h * w]]),
                "that is the step of both at the same time: here the generator sees the new ψ",
            ),
            (
                lambda *given: _turn(*given, generator_first=True),
                "the critic moves first, and the generator sees the new ψ",
            ),
            (lambda *given: _turn(*given, up=-1), "the generator wants c(θ) large: its loss is −ψθ, so θ + hψ"),
            (
                lambda *given: _turn(*given, down=1),
                "the critic wants c(θ) small: its loss has the slope θ by ψ, so −hθ",
            ),
            (lambda *given: _turn(*given, up=-1, down=1), "both signs: the generator lowers −ψθ, the critic ψθ"),
            (lambda *given: _turn(*given, pull=1), "the penalty is minimised: it pulls ψ to 0"),
            (lambda *given: _turn(*given, pull=-2), "R1 is ½ w ψ², with a half: its slope is wψ"),
            (lambda *given: _turn(*given, pull=-0.5), "the slope of ½ w ψ² is wψ, without a half"),
            (lambda *given: _turn(*given, pull=0), "w is not used: the penalty is a part of the critic's loss"),
            (
                lambda h, w: _of([[1 - h * h - h * w, h], [-h, 1]]),
                "the penalty is on the critic's slope, ψ, not on θ",
            ),
            (
                lambda h, w: _of([[1 - h * h, h], [-h, 1 - h * w]]),
                "the new ψ holds the penalty, too, when θ moves by it",
            ),
            (
                lambda h, w: _of([[1 - h * w, -h], [h * (1 - h * w), 1 - h * h]]),
                "the order is (θ, ψ): the generator's row comes first",
            ),
            (lambda *given: _turn(*given) - [1, 0, 0, 1, 0], "that is the change: the new (θ, ψ) is the old plus it"),
            (
                lambda *given: _of(_turn(*given)[:4].reshape(2, 2) - np.eye(2)),
                "that matrix gives the change: the new (θ, ψ) is the old plus it",
            ),
            (
                lambda *given: _turn(*given, size=lambda M: np.linalg.eigvals(M).real.max()),
                "the matrix is right; of complex eigenvalues take the modulus, not the real part",
            ),
            (
                lambda *given: _turn(*given, size=lambda M: np.linalg.norm(M, 2)),
                "the matrix is right; that is its largest singular value, which is not the growth of many turns",
            ),
            (
                lambda *given: _turn(*given, size=lambda M: abs(np.linalg.eigvals(M)).min()),
                "the matrix is right; the largest modulus is wanted",
            ),
            (
                lambda *given: _turn(*given, size=lambda M: np.linalg.det(M) ** 0.5),
                "the matrix is right; √det is the modulus only while the eigenvalues are complex",
            ),
            (
                lambda *given: _turn(*given, size=np.linalg.det),
                "the matrix is right; the determinant is the product of both eigenvalues",
            ),
            (lambda *given: _turn(*given)[:4], "the matrix is right; append the largest modulus"),
            (
                lambda *given: _turn(*given)[:4].reshape(2, 2),
                "the matrix is right; five numbers are wanted: its rows one after the other, and the largest modulus",
            ),
        ),
        praise="Now the second part: where is the modulus below 1?",
    ),
    9: Exercise(
        right=_precision_recall,
        probes=((_CLOUD, _DATA, 3), (_GRID, _CROSS, 1)),
        mistakes=(
            (
                lambda samples, real, k: _precision_recall(samples, real, k - 1),
                "each example is its own nearest one, at distance 0: do not count it",
            ),
            (
                lambda samples, real, k: _precision_recall(samples, real, k + 1),
                "that is one neighbour too far: k + 1 in place of k",
            ),
            (lambda samples, real, k: _precision_recall(samples, real, k)[::-1], "precision comes first"),
            (_own_ball, "the balls are around the others, not around the example that is asked about"),
            (
                lambda samples, real, k: np.array(
                    [_precision_recall(samples, real, k)[0], _own_ball(samples, real, k)[1]]
                ),
                "for recall the balls are around the samples; what you have is called coverage",
            ),
            *(
                (
                    lambda samples, real, k, rank=rank: _cross_ball(samples, real, k - rank),
                    "the radius is measured within a set: from an example to others of its own kind",
                )
                for rank in (0, 1)
            ),
            (_nearest_ball, "any ball will do: the nearest example may have a small one"),
            (
                lambda *given: _precision_recall(*given, any_of=lambda inside: inside.mean()),
                "one ball is enough: any of them, not the mean over all",
            ),
            (
                lambda *given: _precision_recall(*given, any_of=lambda inside: inside.sum(1).mean()),
                "one ball is enough: an example in several counts once",
            ),
            (
                lambda *given: _precision_recall(*given, any_of=lambda inside: inside.any(0).mean()),
                "that is the share of balls that hold something",
            ),
            (
                lambda *given: _precision_recall(*given, any_of=lambda inside: inside.any(1).sum()),
                "those are counts: shares are wanted",
            ),
            (
                lambda *given: _precision_recall(*given, radius=np.mean),
                "each ball has its own radius, not their mean",
            ),
            (
                lambda *given: _precision_recall(*given, radius=lambda kth: kth**2),
                "the radius is squared, and the distance is not",
            ),
            (lambda *given: _precision_recall(*given, within=np.less), "the edge belongs to the ball: ≤"),
        ),
        praise="Two sets of real images are usually below 1 as well: measure them first.",
    ),
}
