"""Exercises of the chapter "Variational autoencoders"."""

import numpy as np

from dgmlite.exercises import Exercise


def _log_mean_exp(log_w):
    top = log_w.max(0)
    return top + np.log(np.exp(log_w - top).mean(0))


def _rate(m, log_var):
    return 0.5 * (m**2 + np.exp(log_var) - 1 - log_var)


def _accounts(log_prior, log_decoder, log_posterior, base=2):
    total = -(log_prior + log_decoder - log_posterior).sum()
    return np.array([total, -log_posterior[0]]) / np.log(base)


def _posterior_mean(x, W, b, variance):
    return np.linalg.solve(W.T @ W + variance * np.eye(W.shape[1]), W.T @ (x - b).T).T


def _log_normal(z, m, s):
    return -0.5 * ((z - m) / s) ** 2 - np.log(s * (2 * np.pi) ** 0.5)


def _split_rate(m, s, z, cell=True, prior=True):
    log_q = _log_normal(z, m[:, None], s[:, None])  # (N, G)
    q, width = np.exp(log_q), z[1] - z[0] if cell else 1
    mix = q.mean(0)
    log_mix = np.log(np.maximum(mix, 1e-300))
    information = (q * (log_q - log_mix)).sum(1).mean() * width
    return np.array([information, (mix * (log_mix - (_log_normal(z, 0, 1) if prior else 0))).sum() * width])


def _one_normal(m, s, z):
    """As if q(z) were the normal distribution with its mean and variance."""
    mean, variance = m.mean(), m.var() + (s**2).mean()
    information = 0.5 * np.log(variance) - np.log(s).mean()
    return np.array([information, 0.5 * (mean**2 + variance - 1 - np.log(variance))])


def _leave_one_out(f, score):
    return ((f - (f.sum() - f) / (len(f) - 1))[:, None] * score).mean(0)


def _ppca(x, d, variance=lambda values: values.mean(), bias=True, trace=None, constant=True):
    D = x.shape[1]
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=bias))[::-1]
    rest = variance(values[d:])
    log_det = np.log(values[:d]).sum() + (D - d) * np.log(rest)
    return -0.5 * (D * np.log(2 * np.pi) * constant + log_det + (D if trace is None else trace(values, rest)))


_rng = np.random.default_rng(0)
_LOGS = (_rng.normal(-8.3, 0.5, 6), _rng.normal(-90, 5, 6), _rng.normal(-5, 0.5, 6))
_DATA = _rng.normal(size=(200, 5)) @ _rng.normal(size=(5, 5)) + 3
_LINEAR = (_rng.normal(size=(4, 5)), _rng.normal(size=(5, 2)), _rng.normal(size=5), 0.3)
_CODES = (np.array([-1.0, 0.2, 1.5, 1.7]), np.array([0.3, 0.5, 0.2, 0.4]), np.linspace(-8, 8, 4001))

EXERCISES = {
    1: Exercise(
        right=lambda log_w: np.stack([log_w.mean(0), _log_mean_exp(log_w)]),
        probes=((_rng.normal(-900, 2, size=(8, 5)),), (_rng.normal(-1100, 1, size=(3, 2)),)),
        mistakes=(
            (
                lambda log_w: np.stack([log_w.mean(0), _log_mean_exp(log_w) + np.log(len(log_w))]),
                "a mean of weights, not their sum: log k is missing",
            ),
            (
                lambda log_w: np.stack([log_w.mean(0), _log_mean_exp(log_w)])[::-1],
                "the ELBO comes first: it is the mean of the logarithm",
            ),
            (
                lambda log_w: np.stack([log_w.sum(0), _log_mean_exp(log_w)]),
                "the ELBO is a mean over the k draws, not a sum",
            ),
            (
                lambda log_w: np.stack([log_w.mean(1).mean() + 0 * log_w[0], _log_mean_exp(log_w)]),
                "each image has its own bound: average over the k draws only",
            ),
            (
                lambda log_w: np.stack([log_w.mean(0), np.log(np.maximum(np.exp(log_w).mean(0), 1e-300))]),
                "exp underflows to zero: take the largest log-weight out first",
            ),
            (
                lambda log_w: np.stack([log_w.mean(0), log_w.max(0)]),
                "that is the largest weight only; the others count too",
            ),
        ),
        praise="The second row is never below the first.",
    ),
    2: Exercise(
        right=lambda m, log_var: _rate(m, log_var).sum(1),
        probes=((_rng.normal(size=(4, 3)), _rng.normal(size=(4, 3))), (np.zeros((2, 2)), np.zeros((2, 2)))),
        mistakes=(
            (
                lambda m, log_var: (0.5 * (m**2 + np.exp(2 * log_var) - 1) - log_var).sum(1),
                "log_var is log s², and you have taken it for log s",
            ),
            (
                lambda m, log_var: (0.5 * (m**2 + np.exp(log_var) - 1) - log_var).sum(1),
                "−log s is −½ log s²: the half stands before log_var too",
            ),
            (lambda m, log_var: -_rate(m, log_var).sum(1), "the sign: a divergence is never negative"),
            (lambda m, log_var: _rate(m, log_var).mean(1), "a sum over the latent dimensions, not a mean"),
            (
                lambda m, log_var: 0.5 * ((m**2 + 1) / np.exp(log_var) - 1 + log_var).sum(1),
                "that is the other direction, KL(p ‖ q)",
            ),
            (lambda m, log_var: _rate(m, log_var).sum(), "one number for each image, (B,)"),
            (
                lambda m, log_var: 0.5 * (m**2 + np.exp(log_var) - log_var).sum(1),
                "E[(z − m)²] / 2s² is ½: the −1 is missing",
            ),
        ),
        praise="No constant was dropped: at the prior it is exactly 0.",
    ),
    3: Exercise(
        right=_accounts,
        probes=(_LOGS,),
        mistakes=(
            (lambda a, b, c: _accounts(a, b, c, np.e), "these are nats: bits are nats / log 2"),
            (
                lambda a, b, c: np.array([-(a + b).sum(), -c[0]]) / np.log(2),
                "the bits that chose z come back: log q(z | x) belongs to the account",
            ),
            (
                lambda a, b, c: np.array([-(a + b + c).sum(), -c[0]]) / np.log(2),
                "popping shortens the stack: the sign of log q(z | x)",
            ),
            (lambda a, b, c: np.array([(a + b - c).sum(), -c[0]]) / np.log(2), "lengths are −log of probabilities"),
            (
                lambda a, b, c: np.array([-(a + b - c).sum(), -c.sum()]) / np.log(2),
                "only the first image needs bits to start from; later ones use those before",
            ),
            (
                lambda a, b, c: np.array([-(a + b - c).sum(), -a[0]]) / np.log(2),
                "z is popped with the posterior, not with the prior",
            ),
            (
                lambda a, b, c: np.array([-(a + b - c).mean(), -c[0]]) / np.log(2),
                "in all: a sum over the images",
            ),
        ),
        praise="On average the total is n times −ELBO.",
    ),
    4: Exercise(
        right=_posterior_mean,
        probes=(_LINEAR,),
        mistakes=(
            (lambda x, W, b, v: _posterior_mean(x, W, b, 0.0), "least squares: the prior's pull, σ², is missing"),
            (lambda x, W, b, v: _posterior_mean(x, W, 0 * b, v), "centre first: x − b"),
            (
                lambda x, W, b, v: _posterior_mean(x, W, b, v**0.5),
                "that is σ where σ² should be",
            ),
            (lambda x, W, b, v: _posterior_mean(x, W, b, v**2), "`variance` is σ² already"),
            (lambda x, W, b, v: (x - b) @ W, "M⁻¹ is missing: solve for z"),
            (
                lambda x, W, b, v: _posterior_mean(x, W, b, v) / v,
                "σ² cancels: both sides of the equation are multiplied by it",
            ),
            (lambda x, W, b, v: _posterior_mean(x, W, b, 1.0), "the noise is σ², not 1"),
        ),
        praise="This is the encoder that the linear VAE learns.",
    ),
    5: Exercise(
        right=_split_rate,
        probes=(_CODES,),
        mistakes=(
            (
                lambda m, s, z: _split_rate(m, s, z, cell=False),
                "a sum over a grid is an integral times the cell's width",
            ),
            (lambda m, s, z: _split_rate(m, s, z)[::-1], "the information comes first"),
            (
                lambda m, s, z: np.array([_split_rate(m, s, z)[0], (0.5 * (m**2 + s**2 - 1) - np.log(s)).mean()]),
                "that is the mean rate, not KL(q(z) ‖ p(z)): average the densities, not the divergences",
            ),
            (_one_normal, "q(z) is a mixture, not one normal distribution"),
            (lambda m, s, z: _split_rate(m, s, z, prior=False), "against the prior: −log p(z) is missing"),
            (
                lambda m, s, z: _split_rate(m, s, z) * [len(m), 1],
                "a mean over the images, not a sum",
            ),
        ),
        praise="The two add up to the mean rate.",
    ),
    6: Exercise(
        right=_leave_one_out,
        probes=(
            (_rng.normal(5, 1, size=6), _rng.normal(size=(6, 2))),
            (np.array([1.0, 4.0]), np.array([[1.0], [3.0]])),
        ),
        mistakes=(
            (
                lambda f, score: ((f - f.mean())[:, None] * score).mean(0),
                "this baseline has seen the draw that it is subtracted from: too small by (k − 1)/k",
            ),
            (lambda f, score: (f[:, None] * score).mean(0), "that is the estimator without a baseline"),
            (
                lambda f, score: ((f - (f.sum() - f) / len(f))[:, None] * score).mean(0),
                "there are k − 1 others",
            ),
            (lambda f, score: -_leave_one_out(f, score), "the sign: f minus the baseline"),
            (lambda f, score: _leave_one_out(f, score) * len(f), "a mean over the draws, not a sum"),
        ),
        praise="Unbiased, and a constant added to f changes nothing.",
    ),
    7: Exercise(
        right=_ppca,
        probes=((_DATA, 2), (_DATA, 1)),
        mistakes=(
            (lambda x, d: _ppca(x, d, variance=np.sum), "σ² is the mean of the eigenvalues left out, not their sum"),
            (lambda x, d: _ppca(x, d, bias=False), "maximum likelihood divides the covariance by N, not N − 1"),
            (lambda x, d: _ppca(x, d, constant=False), "the constant D log 2π is missing"),
            (
                lambda x, d: _ppca(x, d, trace=lambda values, rest: d),
                "the trace: the D − d dimensions of noise count as well",
            ),
            (lambda x, d: _ppca(x, d, variance=lambda v: v[-1]), "σ² is the mean of the eigenvalues left out"),
            (
                lambda x, d: _ppca(x - x.mean(0), d) * len(x),
                "the mean log-likelihood, not that of all data",
            ),
            (lambda x, d: -_ppca(x, d), "the log-likelihood, not its negative"),
        ),
        praise="No gradient step can do better than this.",
    ),
}
