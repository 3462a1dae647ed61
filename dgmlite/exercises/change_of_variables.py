"""Exercises of the chapter "Change of variables"."""

import numpy as np

from dgmlite.exercises import Exercise


def _normal(z):
    return -0.5 * z**2 - 0.5 * np.log(2 * np.pi)


def _logit(u):
    return np.log(u) - np.log(1 - u)


def _sinh_chain(x, A, there=None):
    z = x @ A.T
    return np.linalg.slogdet(A)[1] + np.log(np.cosh(z if there is None else there)).sum(1)


def _radial(x, c, alpha, beta, sideways=None):
    r = np.linalg.norm(x - c, axis=1)
    h = 1 / (alpha + r)
    count = x.shape[1] - 1 if sideways is None else sideways
    return count * np.log(1 + beta * h) + np.log(1 + beta * h - beta * r * h**2)


def _radial_wrong(x, c, alpha, beta):
    h = 1 / (alpha + np.linalg.norm(x - c, axis=1))
    return x.shape[1] * np.log(1 + beta * h)


def _log_mean_exp(log_w, axis=0):
    top = log_w.max(axis, keepdims=True)
    return (top + np.log(np.exp(log_w - top).mean(axis, keepdims=True))).squeeze(axis)


@np.errstate(divide="ignore")
def _underflowing(log_w):
    return -np.log(np.exp(log_w).mean(0)).mean()


_rng = np.random.default_rng(0)
_POINTS, _A = _rng.normal(size=(5, 2)), np.array([[1.5, 0.5], [-0.3, 0.8]])
_SPACE = _rng.normal(size=(4, 3))

EXERCISES = {
    1: Exercise(
        right=lambda u, mu, s: mu + s * _logit(u),
        probes=((np.array([0.1, 0.5, 0.9]), 1.0, 2.0), (np.array([0.01, 0.3]), -3.0, 0.5)),
        mistakes=(
            (lambda u, mu, s: mu - s * _logit(u), "this has the right distribution, but F⁻¹ rises: the sign is turned"),
            (lambda u, mu, s: (_logit(u) - mu) / s, "that takes a sample of this distribution to the standard one"),
            (lambda u, mu, s: 1 / (1 + np.exp(-(u - mu) / s)), "that is F(u); its inverse is wanted"),
            (lambda u, mu, s: s * _logit(u), "where is the location?"),
            (lambda u, mu, s: mu + s * np.log(u), "log u is the exponential's; solve u = F(x) once more"),
        ),
        praise="The inverse of the logistic function is the logit.",
    ),
    2: Exercise(
        right=lambda log_p: log_p - np.log(100),
        probes=((np.array([0.5, -1.0, 1.2]),),),
        mistakes=(
            (lambda log_p: log_p + np.log(100), "that would be from centimetres to metres: a centimetre holds less"),
            (lambda log_p: log_p, "a probability stays the same, a density per unit of length does not"),
            (lambda log_p: log_p / 100, "the density is divided by 100, not its logarithm"),
            (lambda log_p: log_p - 100, "divided by 100 means minus log 100"),
            (lambda log_p: log_p - np.log10(100), "nats: the natural logarithm"),
        ),
        praise="Densities carry units.",
    ),
    3: Exercise(
        right=lambda x: _normal(_logit(x)) - np.log(x) - np.log(1 - x),
        probes=((np.array([0.1, 0.5, 0.7, 0.99]),),),
        mistakes=(
            (lambda x: _normal(_logit(x)), "that is the density of the noise: the slope is missing"),
            (lambda x: _normal(_logit(x)) + np.log(x) + np.log(1 - x), "the slope of f is 1 / (x (1 − x)): the sign"),
            (
                lambda x: -0.5 * _logit(x) ** 2 - np.log(x) - np.log(1 - x),
                "the constant ½ log 2π is missing: this does not integrate to one",
            ),
            (lambda x: np.exp(_normal(_logit(x)) - np.log(x) - np.log(1 - x)), "that is p(x), its logarithm is wanted"),
        ),
        praise="It integrates to one on (0, 1).",
    ),
    4: Exercise(
        right=_sinh_chain,
        probes=((_POINTS, _A), (_POINTS[:2], -2 * _A)),
        mistakes=(
            (lambda x, A: _sinh_chain(x, A, x), "cosh has to be taken where the second step starts, at A x"),
            (lambda x, A: _sinh_chain(x, A, x @ A), "points are rows: A applied to each is x @ A.T"),
            (lambda x, A: np.log(np.cosh(x @ A.T)).sum(1), "the linear step stretches too: its log |det A| is missing"),
            (
                lambda x, A: _sinh_chain(x, A) - np.linalg.slogdet(A)[1] + abs(np.linalg.det(A)),
                "log |det A| is wanted, and this adds |det A|",
            ),
            (lambda x, A: np.log(np.cosh(x @ A.T)).sum(1) * np.linalg.slogdet(A)[1], "log-dets of a chain add up"),
            (
                lambda x, A: np.array(_sinh_chain(x, A).sum()),
                "one number for each point, (B,): sum over coordinates only",
            ),
            (
                lambda x, A: np.linalg.slogdet(A)[1] + np.log(np.abs(np.sinh(x @ A.T))).sum(1),
                "the slope of sinh is cosh",
            ),
        ),
        praise="That is how every flow's log-det is computed.",
    ),
    5: Exercise(
        right=_radial,
        probes=((_SPACE, np.zeros(3), 1.0, 0.5), (_POINTS, np.ones(2), 2.0, -1.0)),
        mistakes=(
            (_radial_wrong, "outwards the factor differs: r changes, and h(r) with it"),
            (lambda x, c, a, b: _radial(x, c, a, b, x.shape[1]), "sideways there are D − 1 directions, not D"),
            (
                lambda x, c, a, b: _radial(x, c, a, b, 1),
                "that is right in the plane only: how many sideways directions?",
            ),
            (lambda x, c, a, b: _radial(x, c, a, b, 0), "that is the factor outwards; the sideways ones are missing"),
            (lambda x, c, a, b: np.exp(_radial(x, c, a, b)), "that is det J, its logarithm is wanted"),
        ),
        praise="A determinant without a matrix.",
    ),
    6: Exercise(
        right=lambda log_w: -_log_mean_exp(log_w).mean(),
        probes=((np.array([[-70.0, -95.0], [-75.0, -91.0], [-72.0, -90.0]]),), (_rng.normal(-1000, 2, (5, 3)),)),
        mistakes=(
            (lambda log_w: -log_w.mean(), "that is the bound of a single weight; a tighter one is in these numbers"),
            (_underflowing, "e^(−1000) is 0 in the computer: take out the largest weight first"),
            (
                lambda log_w: -_log_mean_exp(log_w, 1).mean(),
                "the weights of one image are a column: average over axis 0",
            ),
            (lambda log_w: _log_mean_exp(log_w).mean(), "the sign: a surprise is −log"),
            (
                lambda log_w: -(_log_mean_exp(log_w) + np.log(len(log_w))).mean(),
                "a mean is wanted, not a sum: subtract log k",
            ),
            (lambda log_w: -log_w.max(0).mean(), "the largest weight alone is no bound: it is too good by up to log k"),
            (
                lambda log_w: -_log_mean_exp(log_w.reshape(-1, 1)).mean(),
                "each image has its own mean of weights; images are averaged after the logarithm",
            ),
        ),
        praise="The more weights, the tighter.",
    ),
    7: Exercise(
        right=lambda log_p, F_low, F_high: log_p - np.log(F_high - F_low),
        probes=((np.array([-1.2, -0.9]), 0.2, 0.5), (np.array([-3.0]), 0.9, 0.95)),
        mistakes=(
            (lambda log_p, F_low, F_high: log_p, "that does not integrate to one over the cell: divide by its mass"),
            (
                lambda log_p, F_low, F_high: log_p + np.log(F_high - F_low),
                "divide by the mass of the cell: minus its log",
            ),
            (lambda log_p, F_low, F_high: log_p - (F_high - F_low), "divide by the mass: minus its logarithm"),
            (lambda log_p, F_low, F_high: 0 * log_p, "uniform noise leaves a gap unless p is flat within the cell"),
            (
                lambda log_p, F_low, F_high: log_p - (np.log(F_high) - np.log(F_low)),
                "the mass of the cell is a difference of F, not of log F",
            ),
            (
                lambda log_p, F_low, F_high: np.log(F_high - F_low) + 0 * log_p,
                "that is log P(x); how is u spread within?",
            ),
        ),
        praise="With it every importance weight is P(x).",
    ),
}
