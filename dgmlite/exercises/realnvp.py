"""Exercises of the chapter "RealNVP"."""

import numpy as np

from dgmlite.exercises import Exercise


def _undo(z, s, t, sign=-1, seen=0, shift_first=True):
    halves = np.split(z, 2, axis=1)
    known, z2 = halves[seen], halves[1]
    scale = np.exp(sign * s(known))
    x2 = (z2 - t(known)) * scale if shift_first else z2 * scale - t(known)
    return np.concatenate([halves[0], x2], axis=1)


def _noise(z):
    return -0.5 * (z**2 + np.log(2 * np.pi)).sum(1)


def _mixing(stays, late_left=True, keep=True, transpose=False):
    D = stays.shape[1]
    total = np.eye(D, dtype=int)
    for s in stays:
        A = ((np.eye(D, dtype=bool) if keep else np.diag(s)) | (~s[:, None] & s)).astype(int)
        A = A.T if transpose else A
        total = (A @ total if late_left else total @ A) > 0
        total = total.astype(int)
    return total > 0


def _unmix(z, P, L, U, order="PLU", log_det=None):
    x = {
        "PLU": lambda: np.linalg.solve(U, np.linalg.solve(L, P.T @ z)),
        "no transpose": lambda: np.linalg.solve(U, np.linalg.solve(L, P @ z)),
        "ULP": lambda: P.T @ np.linalg.solve(L, np.linalg.solve(U, z)),
        "forward": lambda: P @ L @ U @ z,
    }[order]()
    return np.append(x.ravel(), np.log(np.abs(np.diag(U))).sum() if log_det is None else log_det(U))


def _squeeze(x, axes=(0, 2, 4, 1, 3)):
    C, H, W = x.shape
    return x.reshape(C, H // 2, 2, W // 2, 2).transpose(*axes).reshape(4 * C, H // 2, W // 2)


_rng = np.random.default_rng(0)
_HALVES = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], dtype=bool)
_ODD = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
_P = np.eye(3)[[1, 2, 0]]
_L = np.array([[1.0, 0, 0], [0.5, 1, 0], [-0.3, 0.2, 1]])
_U = np.array([[2.0, 0.3, -1], [0, -0.5, 0.4], [0, 0, 1.5]])


def _s(x):
    return 0.5 * np.tanh(x)


def _t(x):
    return x**2 - 1


EXERCISES = {
    1: Exercise(
        right=_undo,
        probes=((_rng.normal(size=(4, 6)), _s, _t), (_rng.normal(size=(3, 2)), _s, _t)),
        mistakes=(
            (lambda z, s, t: _undo(z, s, t, sign=1), "undo multiplies by e^(−s)"),
            (lambda z, s, t: _undo(z, s, t, seen=1), "s and t belong to the half that stayed, z₁; z₂ has been moved"),
            (
                lambda z, s, t: _undo(z, s, t, shift_first=False),
                "what was done last is undone first: subtract t, then scale",
            ),
            (lambda z, s, t: _undo(z, s, t)[:, z.shape[1] // 2 :], "that is x₂ only: join it to x₁"),
            (
                lambda z, s, t: np.roll(_undo(z, s, t), z.shape[1] // 2, axis=1),
                "the halves have changed places",
            ),
        ),
        praise="The networks were run forwards only.",
    ),
    2: Exercise(
        right=lambda z, s: _noise(z) + s.sum(1),
        probes=((_rng.normal(size=(4, 6)), _rng.normal(size=(4, 3))),),
        mistakes=(
            (lambda z, s: _noise(z) - s.sum(1), "the direction is data → noise: the log-determinant is added"),
            (lambda z, s: _noise(z), "that is the density of the noise; what does the coupling stretch?"),
            (lambda z, s: _noise(z) + s.mean(1), "a sum over features, not a mean"),
            (
                lambda z, s: _noise(z) + np.exp(s).sum(1),
                "log |det| is the sum of s: the exponential is undone by the log",
            ),
            (lambda z, s: _noise(z) + s.sum(), "one number for each example, (B,): sum over features only"),
            (lambda z, s: -0.5 * (z**2).sum(1) + s.sum(1), "the constant ½ log 2π of each dimension is missing"),
        ),
        praise="That is the whole likelihood of a RealNVP.",
    ),
    3: Exercise(
        right=lambda x, sigma: np.full(len(x), -x.shape[2] * x.shape[3] * np.log(sigma).sum()),
        probes=((np.zeros((2, 3, 4, 5)), np.array([0.5, 2.0, 3.0])),),
        mistakes=(
            (
                lambda x, sigma: np.full(len(x), -np.log(sigma).sum()),
                "each σ acts at H · W places, and counts as often",
            ),
            (
                lambda x, sigma: np.full(len(x), x.shape[2] * x.shape[3] * np.log(sigma).sum()),
                "dividing by a large σ shrinks: the sign",
            ),
            (
                lambda x, sigma: -x.shape[2] * x.shape[3] * np.log(sigma).sum(),
                "right for one example; one number for each is wanted, (B,)",
            ),
            (
                lambda x, sigma: np.full(len(x), -x.shape[2] * x.shape[3] * np.log(sigma).mean()),
                "a sum over channels, not a mean",
            ),
            (
                lambda x, sigma: np.full(len(x), -len(x) * x.shape[2] * x.shape[3] * np.log(sigma).sum()),
                "examples do not add up: each has its own Jacobian",
            ),
        ),
        praise="The forgotten factor H · W, remembered.",
    ),
    4: Exercise(
        right=_mixing,
        probes=((_HALVES,), (_HALVES[:1],), (_ODD,), (_ODD[:2],)),
        mistakes=(
            (lambda stays: _mixing(stays, late_left=False), "the order: later couplings multiply from the left"),
            (lambda stays: _mixing(stays, keep=False), "a moved feature still depends on itself, x₂ eˢ"),
            (
                lambda stays: _mixing(stays, transpose=True),
                "rows are outputs, and True means stays: the rows of the others get the ones",
            ),
            (lambda stays: _mixing(stays[-1:]), "that is the last coupling only"),
            (lambda stays: ~_mixing(stays), "True is wanted where there is a dependence"),
        ),
        praise="Three turns fill the matrix.",
    ),
    5: Exercise(
        right=_unmix,
        probes=((_rng.normal(size=(3, 4)), _P, _L, _U),),
        mistakes=(
            (lambda z, P, L, U: _unmix(z, P, L, U, "no transpose"), "P has to be undone: its inverse is its transpose"),
            (lambda z, P, L, U: _unmix(z, P, L, U, "ULP"), "W = P L U acts with U first; undo P first, U last"),
            (lambda z, P, L, U: _unmix(z, P, L, U, "forward"), "that applies W once more"),
            (
                lambda z, P, L, U: _unmix(z, P, L, U, log_det=lambda U: np.abs(np.diag(U)).prod()),
                "that is |det W|, its logarithm is wanted",
            ),
            (
                lambda z, P, L, U: _unmix(z, P, L, U, log_det=lambda U: -np.log(np.abs(np.diag(U))).sum()),
                "that is the log-determinant of the way back",
            ),
            (
                lambda z, P, L, U: _unmix(z, P, L, U, log_det=lambda U: z.shape[1] * np.log(np.abs(np.diag(U))).sum()),
                "for one column: the columns are separate examples here",
            ),
        ),
        praise="No general inverse and no general determinant.",
    ),
    6: Exercise(
        right=_squeeze,
        probes=((np.arange(16.0).reshape(1, 4, 4),), (np.arange(48.0).reshape(2, 4, 6),)),
        mistakes=(
            (
                lambda x: x.reshape(4 * len(x), x.shape[1] // 2, x.shape[2] // 2),
                "the shape is right, the pixels are not: look at one block",
            ),
            (lambda x: _squeeze(x, (0, 4, 2, 1, 3)), "upper right comes before lower left"),
            (lambda x: _squeeze(x, (2, 4, 0, 1, 3)), "the four of channel c are to be neighbours: 4c … 4c + 3"),
            (lambda x: _squeeze(x, (0, 1, 3, 2, 4)), "move both axes of the block before the places"),
            (lambda x: x[:, ::2, ::2], "that keeps one pixel of each block; all four are needed"),
        ),
        praise="Nothing is lost: it is a permutation, and its log-determinant is 0.",
    ),
    7: Exercise(
        right=lambda log_w: log_w.var(0, ddof=1).mean() / 2,
        probes=((_rng.normal(-80, 2, (6, 3)),), (_rng.normal(-1000, 1, (4, 2)),)),
        mistakes=(
            (lambda log_w: log_w.var(0, ddof=1).mean(), "E e^ε of a normal ε with variance v is e^(v/2)"),
            (lambda log_w: log_w.std(0, ddof=1).mean() / 2, "the variance, not the deviation"),
            (lambda log_w: log_w.var(0).mean() / 2, "the unbiased variance is wanted: ddof=1"),
            (
                lambda log_w: log_w.var(1, ddof=1).mean() / 2,
                "the weights of one image are a column: variance over axis 0",
            ),
            (
                lambda log_w: log_w.var(ddof=1) / 2,
                "images differ in their own surprise, which is no looseness: the variance within each image",
            ),
            (lambda log_w: -log_w.var(0, ddof=1).mean() / 2, "log P(x) is above the bound: the gap is positive"),
        ),
        praise="The spread of the weights is the looseness of the bound.",
    ),
}
