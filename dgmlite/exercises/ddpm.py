"""Exercises of the chapter "Diffusion models"."""

import numpy as np

from dgmlite.exercises import Exercise


def _jump(beta, root=np.sqrt):
    A = np.concatenate(([1.0], np.cumprod(1 - beta)))
    return np.stack((root(A), np.sqrt(1 - A)))


def _guesses(v, z, alpha, sigma):
    e = sigma * z + alpha * v
    return np.stack((alpha * z - sigma * v, e, -e / sigma))


def _weights(A):
    snr = A[1:] / (1 - A[1:])
    return -0.5 * np.diff(snr)


def _estimate(last, terms, T, ddof=1):
    values = last + T * terms
    return np.array([values.mean(), values.std(ddof=ddof) / len(values) ** 0.5])


def _step(A, B, eta, used=None):
    """c² = (1 − B) / (1 − A) · (1 − A / B) for A = ᾱ_t and B = ᾱ_s; b keeps the variance at 1 − B."""
    c = eta * np.sqrt((1 - B) / (1 - A) * (1 - A / B))
    b = np.sqrt((1 - B - (c if used is None else used(c, eta)) ** 2) / (1 - A))
    return np.array([np.sqrt(B) - np.sqrt(A) * b, b, c])


def _guess(z, A, m, v):
    return m + np.sqrt(A) * v / (A * v + 1 - A) * (z - np.sqrt(A) * m)


def _parts(A, v, late=0):
    A = A[1:]
    snr, error = A / (1 - A), v * (1 - A) / (A * v + 1 - A)
    last = 0.5 * (A[-1] * (v - 1) - np.log(1 - A[-1]))
    middle = -0.5 * (np.diff(snr) * (error[:-1] if late else error[1:])).sum()
    return last, middle, 0.5 * snr[0] * error[0], 0.5 * np.log(2 * np.pi / snr[0]), 0.5 * np.log(2 * np.pi * np.e * v)


def _bound(A, v, signs=(1, 1, 1, 1), late=0):
    *parts, entropy = _parts(A, v, late)
    return np.array([np.dot(signs, parts), entropy])


def _loss(x, e, t, A, guess, shift=0, swap=False, mean=False):
    A_t = A[t + shift][:, None]
    A_t = 1 - A_t if swap else A_t
    z = np.sqrt(A_t) * x + np.sqrt(1 - A_t) * e
    error = ((e - guess(z, t)) ** 2).sum(1)
    return error.mean() if mean else error


def _ddim(z, steps, A, guess, told=0, kept=1.0, finish=True):
    for t, s in zip(steps, [*steps[1:], 0]):
        e = guess(z, (t, s)[told])
        x = (z - np.sqrt(1 - A[t]) * e) / np.sqrt(A[t])
        if s or finish:
            z = np.sqrt(A[s]) * x + kept * np.sqrt(1 - A[s]) * e
    return z


def _noise(z, t):
    """Stands for a network."""
    return np.tanh(z) + 0.1 * np.reshape(t, (-1, 1))


_rng = np.random.default_rng(0)
_V, _Z = _rng.normal(size=(3, 2)), _rng.normal(size=(3, 2))
_A = np.concatenate(([1.0], 1 / (1 + np.exp(-np.linspace(6, -5, 40)))))
_SHORT = np.array([1.0, 0.9, 0.5, 0.1])
_BATCH = (_rng.normal(size=(4, 3)), _rng.normal(size=(4, 3)), np.array([1, 7, 3, 40]), _A, _noise)
_LAST, _TERMS = np.abs(_rng.normal(0.05, 0.01, 30)), _rng.exponential(0.3, 30)

EXERCISES = {
    1: Exercise(
        right=_jump,
        probes=((np.array([0.1, 0.2, 0.5]),), (np.linspace(0.001, 0.3, 7),)),
        mistakes=(
            (lambda beta: _jump(beta, root=lambda A: A), "that is α², which papers call ᾱ: α is its root"),
            (lambda beta: _jump(beta)[:, 1:], "index 0 is the clean image: T + 1 entries, α₀ = 1 and σ₀ = 0"),
            (lambda beta: np.stack((_jump(beta)[0], 1 - _jump(beta)[0])), "α² + σ² = 1, not α + σ"),
            (lambda beta: np.stack((_jump(beta)[0], _jump(beta)[1] ** 2)), "that is σ², the variance"),
            (
                lambda beta: np.stack((_jump(beta)[0], np.sqrt(np.cumsum(np.append(0, beta))))),
                "the noise of earlier steps is shrunk by the later ones, too",
            ),
            (
                lambda beta: np.sqrt(np.stack((np.append(1, 1 - beta), np.append(0, beta)))),
                "those are single steps: the factors of all steps up to t multiply",
            ),
        ),
        praise="One jump instead of t steps.",
    ),
    2: Exercise(
        right=_guesses,
        probes=((_V, _Z, 0.6, 0.8), (_V, _Z, 0.96, 0.28)),
        mistakes=(
            (lambda v, z, a, s: _guesses(v, z, a, s) * [[[1]], [[1]], [[-1]]], "the score points back, against ε"),
            (
                lambda v, z, a, s: np.stack((*_guesses(v, z, a, s)[:2], -_guesses(v, z, a, s)[1])),
                "the score is steeper where the noise is smaller: it is divided by σ",
            ),
            (
                lambda v, z, a, s: np.stack((*_guesses(v, z, a, s)[:2], -_guesses(v, z, a, s)[1] / s**2)),
                "α x̂ − z is −σ ε̂: one σ cancels",
            ),
            (lambda v, z, a, s: _guesses(v, z, s, a), "α and σ are interchanged"),
            (
                lambda v, z, a, s: np.stack(((z - s * v) / a, v, -v / s)),
                "you have taken v for the noise",
            ),
            (
                lambda v, z, a, s: np.stack((v, (z - a * v) / s, (a * v - z) / s**2)),
                "you have taken v for x",
            ),
            (lambda v, z, a, s: _guesses(v, z, a, s)[[1, 0, 2]], "the picture comes first"),
        ),
        praise="α² + σ² = 1 makes this a rotation of (x, ε).",
    ),
    3: Exercise(
        right=_weights,
        probes=((_SHORT,), (_A,)),
        mistakes=(
            (lambda A: -_weights(A), "signal grows on the way back: SNR(t − 1) is the larger one"),
            (lambda A: 2 * _weights(A), "the half is missing: |μ − μ'|² / 2c²"),
            (
                lambda A: _weights(A) / (A[2:] / (1 - A[2:])),
                "that is the weight of the error of the noise, not of the picture",
            ),
            (
                lambda A: -0.5 * np.diff(np.log(A[1:] / (1 - A[1:]))),
                "differences of SNR, not of its logarithm",
            ),
            (
                lambda A: -0.5 * np.diff(A[1:]),
                "SNR is α² / σ²: the division by 1 − ᾱ is missing",
            ),
            (
                lambda A: np.append(_weights(A)[1:], 0.5 * A[-1] / (1 - A[-1])),
                "the first weight belongs to t = 2",
            ),
        ),
        praise="All of them add up to half of SNR(1) − SNR(T).",
    ),
    4: Exercise(
        right=_estimate,
        probes=((_LAST, _TERMS, 256), (_LAST[:5], _TERMS[:5], 10)),
        mistakes=(
            (lambda last, terms, T: _estimate(last, terms, 1), "one term is on average 1/T of their sum"),
            (lambda last, terms, T: _estimate(last, terms, T - 1), "T terms, L₀ … of T − 1: a factor of T"),
            (lambda last, terms, T: _estimate(0 * last, terms, T), "L_T is missing"),
            (lambda last, terms, T: _estimate(T * last, terms, T), "L_T is not one of the terms drawn: it counts once"),
            (
                lambda last, terms, T: _estimate(last, terms, T) * [1, len(last) ** 0.5],
                "that is the spread of single images; the mean is surer by √N",
            ),
            (
                lambda last, terms, T: _estimate(last, terms, T, ddof=0),
                "from N values divide by N − 1",
            ),
            (
                lambda last, terms, T: np.array([np.log(np.exp(last + terms).mean()), _estimate(last, terms, T)[1]]),
                "a mean, not the logarithm of a mean of exponentials: that would bound nothing here",
            ),
        ),
        praise="With evenly spread t the true error is smaller than this one, which takes them as independent.",
    ),
    5: Exercise(
        right=_step,
        probes=((0.2, 0.5, 1.0), (0.2, 0.5, 0.0), (0.3, 0.9, 0.5)),
        mistakes=(
            (
                lambda A, B, eta: _step(A, B, eta, lambda c, _: c / eta if eta else _step(A, B, 1.0)[2]),
                "b must know η: what is not added as fresh noise is kept of the old",
            ),
            (lambda A, B, eta: _step(A, B, eta) ** [1, 1, 2], "c is the standard deviation, not the variance"),
            (lambda A, B, eta: _step(A, B, eta**0.5), "η multiplies the standard deviation, so η² the variance"),
            (lambda A, B, eta: _step(A, B, 1.0), "η is not used"),
            (
                lambda A, B, eta: np.array([np.sqrt(B), _step(A, B, eta)[1], _step(A, B, eta)[2]]),
                "the old z contains x as well: α_t b of it has to be taken off",
            ),
            (
                lambda A, B, eta: np.array([*_step(A, B, eta)[:2], eta * np.sqrt(1 - A / B)]),
                "that is β: whoever knows x as well is surer",
            ),
        ),
        praise="Check: α_s = a + b α_t, and σ_s² = b² σ_t² + c².",
    ),
    6: Exercise(
        right=_guess,
        probes=((np.array([-1.0, 0.5, 3.0]), 0.3, 2.0, 0.5), (np.array([1.0]), 0.9, -1.0, 2.0)),
        mistakes=(
            (lambda z, A, m, v: z / np.sqrt(A), "that undoes the shrinking only: it believes the noise, too"),
            (lambda z, A, m, v: _guess(z, A, 0.0, v), "data have the mean m: compare z with √ᾱ m"),
            (lambda z, A, m, v: m + _guess(z, A, 0.0, v), "before adding m, take √ᾱ m from z"),
            (
                lambda z, A, m, v: m + A * v / (A * v + 1 - A) * (z - np.sqrt(A) * m),
                "the gain is Cov[x, z] / Var[z], and the covariance is √ᾱ v",
            ),
            (
                lambda z, A, m, v: m + np.sqrt(A) * v / (v + 1 - A) * (z - np.sqrt(A) * m),
                "the data's variance in z is ᾱ v",
            ),
            (lambda z, A, m, v: _guess(z, A, m, v**2), "v is the variance already"),
            (lambda z, A, m, v: _guess(z, A, m, 1.0), "v is not used"),
        ),
        praise="For Gaussian data the best network is a straight line.",
    ),
    7: Exercise(
        right=_loss,
        probes=(_BATCH,),
        mistakes=(
            (lambda *batch: _loss(*batch, shift=-1), "the index of alpha_bar is t itself, not t − 1"),
            (lambda *batch: _loss(*batch, swap=True), "√ᾱ belongs to the image, √(1 − ᾱ) to the noise"),
            (lambda *batch: _loss(*batch, mean=True), "one number for each example, (B,): fit takes the mean"),
            (lambda *batch: _loss(*batch) / 3, "a sum over the dimensions, not a mean"),
            (
                lambda x, e, t, A, guess: (
                    (x - guess(np.sqrt(A[t])[:, None] * x + np.sqrt(1 - A[t])[:, None] * e, t)) ** 2
                ).sum(1),
                "the network guesses the noise: compare it with e",
            ),
            (
                lambda x, e, t, A, guess: ((e - guess(A[t][:, None] * x + (1 - A[t])[:, None] * e, t)) ** 2).sum(1),
                "the roots are missing: ᾱ is α²",
            ),
            (lambda x, e, t, A, guess: ((e - guess(x, t)) ** 2).sum(1), "the network sees z_t, not x"),
        ),
        praise="Draw t and e at random, and this is the whole training.",
    ),
    8: Exercise(
        right=_ddim,
        probes=((_Z, [40, 20, 5, 1], _A, _noise), (_Z, [3, 2, 1], _A, _noise)),
        mistakes=(
            (lambda *given: _ddim(*given, told=1), "the network must be told the t of the z that it sees"),
            (lambda *given: _ddim(*given, finish=False), "the last step is missing: from z at t = 1 to x̂"),
            (lambda *given: _ddim(*given, kept=0.0), "put noise of size √(1 − ᾱ_s) back, or z is too clean for s"),
            (
                lambda z, steps, A, guess: _ddim(z, steps, np.append(A[1:], 0.001), guess),
                "the index of alpha_bar is t itself",
            ),
            (
                lambda z, steps, A, guess: _ddim(z, range(steps[0], 0, -1), A, guess),
                "take the given steps only",
            ),
            (lambda z, steps, A, guess: _ddim(z, steps[:1], A, guess), "that is the first guess only"),
        ),
        praise="No randomness but z_T: each sample is a fixed function of it.",
    ),
    9: Exercise(
        right=_bound,
        probes=((_A, 0.5), (_A, 2.0), (_SHORT, 1.3)),
        mistakes=(
            (lambda A, v: _bound(A, v, late=1), "the guess is made from z_t, the noisier end of the step"),
            (lambda A, v: _bound(A, v, (0, 1, 1, 1)), "L_T is missing"),
            (lambda A, v: _bound(A, v, (1, 1, 0, 0)), "L₀ = −log p(x | z₁) is missing"),
            (lambda A, v: _bound(A, v, (1, 1, 1, 0)), "in L₀ the constant ½ log 2πc² is missing"),
            (lambda A, v: _bound(A, v, (1, 2, 1, 1)), "a half stands before each difference of SNR"),
            (lambda A, v: _bound(A, v) - [0, 0.5], "the entropy is ½ log 2πe v, with the e"),
            (lambda A, v: _bound(A, v)[::-1], "the bound comes first"),
            (lambda A, v: _bound(A, v, (1, 1, 0, 1)), "in L₀ the squared error is missing"),
        ),
        praise="The first is never below the second; make the steps finer and the ends wider, and they meet.",
    ),
}
