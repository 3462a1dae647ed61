"""Exercises of the chapter "Autoregressive models"."""

import math

import numpy as np

from dgmlite.exercises import Exercise


def _picked(conditionals, x):
    return conditionals[np.arange(len(x)), x]


def _surprise(conditionals, x):
    return float(-np.log(_picked(conditionals, x)).sum())


@np.errstate(divide="ignore")
def _log_of_product(conditionals, x):
    return float(-np.log(np.prod(_picked(conditionals, x))))


def _mask(units, inputs, last):
    return units[:, None] > inputs if last else units[:, None] >= inputs


def _field(kernel, dilations):
    return 1 + (kernel - 1) * sum(dilations)


def _normalised(p, axis=-1):
    return p / p.sum(axis, keepdims=True)


def _softmax(logits, axis=-1):
    return _normalised(np.exp(logits - logits.max(axis, keepdims=True)), axis)


def _joint(log_px_given_y, prior):
    return log_px_given_y + np.log(prior)


def _posterior(log_px_given_y, prior):
    return _softmax(_joint(log_px_given_y, prior))


@np.errstate(invalid="ignore")
def _posterior_underflowing(log_px_given_y, prior):
    return _normalised(np.exp(log_px_given_y) * prior)


def _log_mean_exp(a, axis=0):
    top = a.max(axis, keepdims=True)
    return (top + np.log(np.exp(a - top).mean(axis, keepdims=True))).squeeze(axis)


@np.errstate(divide="ignore")
def _mixture_underflowing(log_p):
    return np.log(np.exp(log_p).mean(0))


def _conv(x, w, dilation, first=1, wrap=False):
    """y_t = Σ_k w_k x_{t − first − (K−1−k)·dilation}, zeros (or with wrap the other end) outside of x."""
    y = np.zeros(len(x))
    for t in range(len(x)):
        for k in range(len(w)):
            s = t - first - (len(w) - 1 - k) * dilation
            if wrap or 0 <= s < len(x):
                y[t] += w[k] * x[s % len(x)]
    return y


def _half(w, dilation):
    return (len(w) - 1) * dilation // 2


_BITS = math.log(2)
_RNG = np.random.default_rng(0)
_TABLE = np.array([[0.5, 0.2, 0.2, 0.1], [0.1, 0.1, 0.7, 0.1], [0.3, 0.4, 0.1, 0.2]])
_LARGE, _LARGE_X = _RNG.dirichlet(np.ones(5), size=900), _RNG.integers(0, 5, size=900)
_HIDDEN, _WIDER, _PIXELS = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 2, 0, 2, 1]), np.array([0, 1, 2, 3])
_P, _Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.05, 0.25])
_NEAR = np.array([[-1.0, -2.0, -3.0], [-2.5, -0.5, -1.5]])
_DIGITS = np.array([[-91.0, -90.0, -93.5], [-88.0, -90.5, -87.0], [-95.0, -94.5, -94.0], [-90.0, -99.0, -91.0]])
_PRIOR = np.array([0.6, 0.3, 0.1])
_MODELS = np.array([[-82.0, -79.0, -90.0, -85.5], [-80.0, -79.5, -84.0, -86.0], [-81.0, -83.0, -84.5, -85.0]])
_X, _W = np.array([1.0, -2.0, 3.0, 5.0, -1.0, 4.0, 2.0, -3.0]), np.array([0.5, -1.0, 2.0])

EXERCISES = {
    1: Exercise(
        right=lambda D, levels: levels**D - 1,
        probes=((3, 2), (2, 17), (4, 3), (1, 5)),
        mistakes=(
            (lambda D, levels: levels**D, "the probabilities sum to one: not all of them are free"),
            (lambda D, levels: D * (levels - 1), "that is enough only if the dimensions are independent"),
            (
                lambda D, levels: D * levels,
                "those are separate histograms, one for each dimension: where do the dimensions depend on each other?",
            ),
            (
                lambda D, levels: levels**D - D,
                "the table as a whole sums to one; there is no such rule for each dimension",
            ),
            (lambda D, levels: D**levels - 1, "base and exponent are swapped: try one dimension with five levels"),
            (
                lambda D, levels: (levels - 1) * levels ** (D - 1),
                "that is the last conditional alone; the earlier ones have tables too",
            ),
            (
                lambda D, levels: levels ** (D - 1),
                "those are the pasts of the last dimension; how many numbers does each need?",
            ),
            (
                lambda D, levels: D * (levels - 1) * levels ** (D - 1),
                "not every dimension has the longest past: the tables of the early ones are smaller",
            ),
            (
                lambda D, levels: sum((levels - 1) * levels**i for i in range(1, D + 1)),
                "the chain begins one step too late: how many pasts does the first dimension have?",
            ),
            (
                lambda D, levels: sum(levels**i for i in range(D)),
                "those are the pasts, the rows of all conditional tables; how many free numbers are in a row?",
            ),
            (
                lambda D, levels: sum(levels ** (i + 1) for i in range(D)),
                "each row of each conditional table sums to one: not all of its numbers are free",
            ),
        ),
        praise="The joint table and the chain of conditional tables have the same number: the product rule is exact.",
    ),
    2: Exercise(
        right=_surprise,
        probes=((_TABLE, np.array([0, 2, 3])), (_TABLE[:2], np.array([3, 0])), (_LARGE, _LARGE_X)),
        mistakes=(
            (
                lambda conditionals, x: _surprise(conditionals, x) / len(x),
                "that is the mean over dimensions; the image has to be paid for as a whole",
            ),
            (
                lambda conditionals, x: _surprise(conditionals, x) / _BITS,
                "that is in bits: nats take the natural logarithm",
            ),
            (lambda conditionals, x: -_surprise(conditionals, x), "the sign: log p is negative, a surprise is not"),
            (
                lambda conditionals, x: np.prod(_picked(conditionals, x)),
                "that is the probability of the image, not its surprise",
            ),
            (
                _log_of_product,
                "a product of hundreds of probabilities underflows to zero: take the logarithms first",
            ),
            (
                lambda conditionals, x: -np.log(_picked(conditionals, x)),
                "that is the cost of each dimension; what does the image cost?",
            ),
            (
                lambda conditionals, x: -np.log(conditionals.max(1)).sum(),
                "that is the surprise at the most probable level of each dimension, whatever the image shows",
            ),
            (
                lambda conditionals, x: -(conditionals * np.log(conditionals)).sum(),
                "those are the entropies, what the model expects to pay; the image x does not enter",
            ),
            (
                lambda conditionals, x: -np.log(conditionals).sum(),
                "that adds up all levels; only one of each row has happened",
            ),
            (
                lambda conditionals, x: -np.log(conditionals[:, x]).sum(),
                "`conditionals[:, x]` takes all the columns in x from every row: look at its shape",
            ),
            (
                lambda conditionals, x: -np.log(_picked(conditionals, x).sum()),
                "the logarithm of a sum is not the sum of the logarithms: probabilities of a chain multiply",
            ),
            (
                lambda conditionals, x: (1 - _picked(conditionals, x)).sum(),
                "1 − p is not the surprise: what turns the product of the factors into a sum?",
            ),
        ),
        praise="That is the whole likelihood of the family.",
    ),
    3: Exercise(
        right=_mask,
        probes=(
            (_HIDDEN, _PIXELS, False),
            (_WIDER, _HIDDEN, False),
            (_PIXELS, _WIDER, True),
            (_PIXELS, _HIDDEN, True),
        ),
        mistakes=(
            (
                lambda units, inputs, last: _mask(units, inputs, not last),
                "the strict and the other inequality are swapped between the layers",
            ),
            (
                lambda units, inputs, last: _mask(units, inputs, False),
                "a leak: on some path an output sees its own dimension",
            ),
            (
                lambda units, inputs, last: _mask(units, inputs, True),
                "too blind: no leak, but with each hidden layer the outputs lose sight of one more of the dimensions "
                "that they may see",
            ),
            (lambda units, inputs, last: _mask(units, inputs, last).T, "transposed: the shape wanted is (out, in)"),
            (
                lambda units, inputs, last: units[:, None] < inputs if last else units[:, None] <= inputs,
                "the wrong direction: this lets the future in and shuts the past out",
            ),
            (
                lambda units, inputs, last: ~_mask(units, inputs, last),
                "turned over: True stands for a connection that is kept",
            ),
            (
                lambda units, inputs, last: units[:, None] == inputs,
                "equal degrees only: a unit may see more of its past than that",
            ),
            (
                lambda units, inputs, last: np.tril(np.ones((len(units), len(inputs))), -1 if last else 0),
                "a triangle goes by the place in the layer; compare the degrees, which come in any order and repeat",
            ),
        ),
        praise="On every path from input to output there is one strict step, the last.",
    ),
    4: Exercise(
        right=_field,
        probes=((3, [1, 2, 4, 8]), (2, [1, 2, 4]), (3, [1, 1, 1]), (5, [1]), (4, [1, 2, 5])),
        mistakes=(
            (
                lambda kernel, dilations: (kernel - 1) * sum(dilations),
                "one too few: what does an output see when all kernels have a single tap?",
            ),
            (
                lambda kernel, dilations: 2 + (kernel - 1) * sum(dilations),
                "one too many: the dimension itself is not among those that are seen",
            ),
            (
                lambda kernel, dilations: kernel * sum(dilations),
                "count the gaps between the taps of a kernel, not the taps",
            ),
            (
                lambda kernel, dilations: 1 + kernel * sum(dilations),
                "a kernel of one tap does not widen the view at all, whatever its dilation",
            ),
            (
                lambda kernel, dilations: 1 + (kernel - 1) * math.prod(dilations),
                "the dilations do not multiply: each layer moves the far end back by its own reach",
            ),
            (
                lambda kernel, dilations: kernel * math.prod(dilations),
                "neither taps nor dilations multiply: draw the paths through two layers",
            ),
            (
                lambda kernel, dilations: 1 + (kernel - 1) * len(dilations),
                "that is without dilation: the taps of a layer need not be neighbours",
            ),
            (
                lambda kernel, dilations: 1 + (kernel - 1) * max(dilations),
                "that is one layer alone, the widest; the others add to it",
            ),
            (
                lambda kernel, dilations: sum(1 + (kernel - 1) * d for d in dilations),
                "each layer goes on where the one below has ended: that place is counted again and again",
            ),
            (
                lambda kernel, dilations: kernel ** len(dilations),
                "that counts the paths through the stack, and several of them may end at the same dimension",
            ),
        ),
        praise="Doubling the dilations makes it grow exponentially with the depth.",
    ),
    5: Exercise(
        right=lambda p, T: _normalised(p ** (1 / T)),
        probes=((_P, 0.5), (_P, 1.0), (_Q, 2.0), (_Q, 0.1)),
        mistakes=(
            (
                lambda p, T: _normalised(p**T),
                "the wrong way round: a low temperature should make the likely levels more likely",
            ),
            (lambda p, T: p ** (1 / T), "the powers no longer sum to one"),
            (lambda p, T: p**T, "the wrong way round, and the powers no longer sum to one"),
            (lambda p, T: p / T, "that divides the probabilities: they no longer sum to one, and no level has gained"),
            (lambda p, T: p, "the temperature has no effect: a common factor is lost when p is normalised"),
            (lambda p, T: _softmax(p / T), "that softmax takes probabilities for logits"),
            (lambda p, T: _softmax(p ** (1 / T)), "a softmax after the power takes the exponential once too often"),
            (lambda p, T: np.log(p) / T, "those are logits; probabilities are asked for"),
            (
                lambda p, T: np.eye(len(p))[p.argmax()],
                "that is the limit of temperature zero; other levels keep a chance",
            ),
        ),
        praise="At T = 1 nothing changes, and only there do samples belong to the likelihood.",
        tolerance=1e-5,
    ),
    6: Exercise(
        right=_posterior,
        probes=((_NEAR, _PRIOR), (_DIGITS, _PRIOR), (10 * _NEAR - 800, _PRIOR), (_DIGITS, _PRIOR[::-1].copy())),
        mistakes=(
            (lambda log_px, prior: _softmax(log_px), "the prior is forgotten: rare classes are rare before x is seen"),
            (
                lambda log_px, prior: _softmax(log_px + prior),
                "a logarithm and a probability were added: bring the prior to the same scale first",
            ),
            (
                lambda log_px, prior: _softmax(log_px) * prior,
                "the prior came after the normalisation: the rows no longer sum to one",
            ),
            (
                lambda log_px, prior: _softmax(_joint(log_px, prior), 0),
                "normalised over the batch: for each image it is the classes that compete",
            ),
            (
                lambda log_px, prior: np.exp(_joint(log_px, prior)),
                "that is the joint p(x, y), and it does not sum to one over y",
            ),
            (
                lambda log_px, prior: np.exp(log_px),
                "that is p(x | y), the other way round: neither the prior nor the sum over classes is in it",
            ),
            (
                lambda log_px, prior: np.exp(_joint(log_px, prior) - _joint(log_px, prior).max(1, keepdims=True)),
                "shifting by the largest entry keeps the numbers in range, but does not make the rows sum to one",
            ),
            (
                _posterior_underflowing,
                "NaN: the exponential of −800 underflows to zero, and zero is divided by zero; stay with logarithms "
                "for longer",
            ),
            (
                lambda log_px, prior: _normalised(_joint(log_px, prior)),
                "logarithms of probabilities were normalised as if they were probabilities",
            ),
            (
                lambda log_px, prior: np.log(_posterior(log_px, prior)),
                "that is the logarithm of the posterior; probabilities are asked for",
            ),
            (
                lambda log_px, prior: np.eye(len(prior))[_joint(log_px, prior).argmax(1)],
                "that is the decision; how sure is the classifier of it?",
            ),
        ),
        praise="Bayes' rule turns a model of images into a classifier.",
        tolerance=2e-4,  # single precision is good enough: at −800 it rounds logarithms to 6e-5
    ),
    7: Exercise(
        right=_log_mean_exp,
        probes=((_MODELS,), (_MODELS / 40,), (10 * _MODELS,), (_MODELS[:2, :3],)),
        mistakes=(
            (
                lambda log_p: log_p.mean(0),
                "that is the logarithm of the geometric mean, which is no distribution: it sums to less than one",
            ),
            (
                lambda log_p: _log_mean_exp(log_p) + math.log(len(log_p)),
                "each model has the full weight: these probabilities sum to the number of models",
            ),
            (
                lambda log_p: log_p.max(0),
                "that lets each x choose its best model, after the fact: it sums to more than one",
            ),
            (
                lambda log_p: log_p.max(0) - math.log(len(log_p)),
                "that is what the best model contributes; the others add to it",
            ),
            (
                _mixture_underflowing,
                "minus infinity: the exponential of −800 underflows to zero; move the numbers into range first",
            ),
            (
                lambda log_p: (_log_mean_exp(log_p) + math.log(len(log_p))) / len(log_p),
                "divide the probability by the number of models, not its logarithm",
            ),
            (
                lambda log_p: _log_mean_exp(log_p) + math.log(len(log_p)) - len(log_p),
                "a factor in the probability is a term in the logarithm, and that term is a logarithm too",
            ),
            (lambda log_p: _log_mean_exp(log_p, 1), "that averages over the images; the models are the rows"),
            (lambda log_p: np.exp(log_p).mean(0), "that is the probability; its logarithm is asked for"),
            (lambda log_p: -_log_mean_exp(log_p), "the sign: the log-likelihood is asked for, not the surprise"),
            (lambda log_p: _log_mean_exp(log_p) / _BITS, "that is in bits: nats take the natural logarithm"),
            (
                lambda log_p: _log_mean_exp(log_p).mean(),
                "that is the mean over the images; one number for each image is asked for",
            ),
        ),
        praise="A mixture is a distribution again, and never far behind the best of its models.",
    ),
    8: Exercise(
        right=_conv,
        probes=((_X, _W, 1), (_X, _W, 3), (_X[:6], _W[1:], 2), (_X[:5], np.array([1.5]), 1)),
        mistakes=(
            (lambda x, w, dilation: _conv(x, w, dilation, 0), "a leak: output t sees its own x"),
            (
                lambda x, w, dilation: _conv(x, w[::-1], dilation),
                "the kernel is reversed: its last entry belongs to the newest x",
            ),
            (
                lambda x, w, dilation: _conv(x, w[::-1], dilation, 0),
                "the kernel is reversed, and output t sees its own x",
            ),
            (lambda x, w, dilation: _conv(x, w, 1), "the dilation is ignored: the taps are neighbours"),
            (lambda x, w, dilation: _conv(x, w, 1, 0), "the dilation is ignored, and output t sees its own x"),
            (
                lambda x, w, dilation: _conv(x, w, dilation, -_half(w, dilation)),
                "padded on both sides: the kernel looks as far ahead as back",
            ),
            (
                lambda x, w, dilation: _conv(x, w, dilation, 1 - _half(w, dilation)),
                "moved on, but then padded on both sides: the kernel still looks ahead",
            ),
            (
                lambda x, w, dilation: _conv(x, w, dilation, dilation),
                "moved on by the dilation: the nearest dimensions of the past are lost",
            ),
            (
                lambda x, w, dilation: _conv(x, w, dilation, -1),
                "moved the wrong way: output t sees what comes after it",
            ),
            (
                lambda x, w, dilation: _conv(x, w, dilation, 2),
                "moved on twice: no output sees the dimension just before its own",
            ),
            (
                lambda x, w, dilation: _conv(x, w, dilation, wrap=True),
                "before the beginning stands the end of x: negative indices and `np.roll` count from the other end",
            ),
            (
                lambda x, w, dilation: _conv(np.roll(x, 1), w, dilation, 0),
                "the end of x has come in at the beginning: `np.roll` moves it round",
            ),
        ),
        praise="With this as the first layer, all later ones may see their own position.",
    ),
}
