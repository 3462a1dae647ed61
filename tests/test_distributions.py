"""Distributions on levels, against scipy, mpmath and torch's own."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import scipy.stats
import torch

from dgmlite.distributions import DiscretisedLogistic, Levels, thermometer
from dgmlite.networks import seeded


def mixture(logits, loc, scale, levels, dtype=torch.float64):
    """The distribution with these locations and scales, both in levels."""
    loc = (torch.tensor(loc, dtype=dtype) + 0.5) / levels
    parts = (torch.tensor(logits, dtype=dtype), loc, torch.tensor(scale, dtype=dtype).log())
    return DiscretisedLogistic(torch.cat(parts, -1), levels)


def by_scipy(logits, loc, scale, levels):
    """The probability of each level, from differences of distribution functions at the edges of the cells."""
    edges = np.concatenate(([-np.inf], np.arange(levels - 1) + 0.5, [np.inf]))[:, None]
    w = scipy.special.softmax(logits)
    return (w * np.diff(scipy.stats.logistic.cdf(edges, np.array(loc), np.array(scale)), axis=0)).sum(1)


MIXTURES = [
    ([0.0], [2.0], [1.0], 5),
    ([0.0], [0.3], [0.7], 2),
    ([0.5, -1.0, 0.2], [1.0, 8.5, 20.0], [0.4, 3.0, 1.5], 17),
    ([1.0, 0.0], [10.0, 200.0], [2.0, 30.0], 256),
]


@pytest.mark.parametrize("parameters", MIXTURES)
def test_logistic_probabilities_are_differences_of_distribution_functions(parameters):
    p, levels = mixture(*parameters), parameters[-1]
    ours = p.log_prob(torch.arange(levels)).exp()
    np.testing.assert_allclose(ours, by_scipy(*parameters), rtol=1e-9, atol=1e-13)
    assert p.mean.item() == pytest.approx(np.arange(levels) @ by_scipy(*parameters), rel=1e-9)


@pytest.mark.parametrize("loc, scale", [(3.0, 0.05), (-40.0, 0.9), (8.0, 300.0), (100.0, 0.5), (7.5, 0.01)])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 3e-5)])
def test_logistic_is_right_where_differences_cancel(loc, scale, dtype, tolerance):
    """Against 400 digits: cells far from the location, and cells that are small or large against the scale."""
    p, x = mixture([0.0], [loc], [scale], 16, dtype), torch.arange(16)
    with mpmath.workdps(400):
        a, s = (mpmath.mpf(value.item()) for value in (p.loc[0], p.log_scale[0]))

        def cdf(v):
            return 1 / (1 + mpmath.exp(-(v - a) / mpmath.exp(s)))

        below = [0, *(cdf(v + mpmath.mpf(0.5)) for v in range(15)), 1]
        exact = [float(mpmath.log(b - a)) for a, b in itertools.pairwise(below)]
    np.testing.assert_allclose(p.log_prob(x), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_logistic_tails_fall_by_the_scale_in_float32(scale):
    """Far from the location log P(x) = −|x − m| / s + log(e^(1/2s) − e^(−1/2s)), where a difference would be 0."""
    x = torch.arange(100, 65_535, 1000)
    constant = math.log(2 * math.sinh(0.5 / scale))
    for loc, sign in ((-1000.0, -1), (70_000.0, 1)):
        tail = mixture([0.0], [loc], [scale], 65_536, torch.float32).log_prob(x)
        np.testing.assert_allclose(tail, sign * (x - loc) / scale + constant, rtol=1e-4)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
def test_logistic_sums_to_one_whatever_the_parameters(levels):
    with seeded(levels):
        parameters = torch.randn(50, 2, 15).double() * torch.tensor([1.0, 1, 3]).repeat_interleave(5)
    p = DiscretisedLogistic(parameters, levels)
    total = p.log_prob(torch.arange(levels)[:, None, None]).exp().sum(0)
    assert p.batch_shape == (50, 2) and (total - 1).abs().max() < 1e-12


@pytest.mark.parametrize("size", [1.0, 100.0, 1e6])
@pytest.mark.parametrize("levels", [2, 256])
def test_logistic_is_finite_with_all_gradients_at_extremes(size, levels):
    """Each parameter at both ends, in the lowest, a middle and the highest level, in float32."""
    signs = torch.tensor(list(itertools.product((-1.0, 0, 1), repeat=6)))
    parameters = (size * signs).requires_grad_()
    p = DiscretisedLogistic(parameters, levels)
    for x in (0, levels // 2, levels - 1):
        value = p.log_prob(torch.full((len(signs),), x))
        assert value.isfinite().all() and (value <= 1e-5).all()
        assert torch.autograd.grad(value.sum(), parameters, retain_graph=True)[0].isfinite().all()
    with torch.no_grad():
        assert 0 <= p.sample().min() and p.sample().max() < levels
        assert p.mean.isfinite().all()


def test_logistic_gradients_are_those_of_finite_differences():
    with seeded(0):
        parameters = torch.randn(4, 6).double().requires_grad_()
    for x in (0, 2, 4):
        assert torch.autograd.gradcheck(lambda v: DiscretisedLogistic(v, 5).log_prob(torch.full((4,), x)), parameters)  # noqa: B023


@pytest.mark.parametrize("parameters", MIXTURES)
def test_samples_of_a_logistic_mixture(parameters):
    with seeded(0):
        x = mixture(*parameters).sample((40_000,))
    expected = 40_000 * by_scipy(*parameters)
    observed, rare = np.bincount(x, minlength=parameters[-1]), expected < 5
    observed, expected = (np.append(v[~rare], v[rare].sum()) for v in (observed, expected))
    some = expected > 0
    assert x.shape == (40_000,) and x.dtype == torch.long
    assert scipy.stats.chisquare(observed[some], expected[some]).pvalue > 1e-3


def test_samples_have_the_shape_of_their_parameters_and_their_own_distribution():
    parameters = torch.stack([torch.tensor([0.0, 0, 0.1, 0.1, -3, -3]), torch.tensor([0.0, 9, 0.1, 0.9, -3, -3])])
    p = DiscretisedLogistic(parameters.view(2, 1, 6), 10)
    assert p.sample().shape == (2, 1) and p.sample((3, 4)).shape == (3, 4, 2, 1)
    assert (p.sample((50,))[:, 0] < 3).all() and (p.sample((50,))[:, 1] > 5).float().mean() > 0.9


@pytest.mark.parametrize("uniform, level", [(0.0, 0), (1 - 2**-24, 255)])
def test_extreme_noise_falls_into_the_end_cells(monkeypatch, uniform, level):
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, uniform))
    assert mixture([0.0], [128.0], [20.0], 256, torch.float32).sample().item() == level


def test_rare_levels_are_drawn_as_often_as_they_should_be(monkeypatch):
    """Of 2²⁴ equidistant uniform numbers: the tails beyond one in a million are not cut off."""
    u = (torch.arange(200).double() + 0.5) * 2**-24  # the 200 lowest
    monkeypatch.setattr(torch, "rand_like", lambda x: u.to(x).view_as(x))
    p = mixture([0.0], [20.0], [1.0], 41)
    x = p.sample((200,))
    edges = scipy.stats.logistic.ppf(u, 20, 1).round().clip(0)
    np.testing.assert_array_equal(x, edges)


@pytest.mark.parametrize("levels, components", [(17, 5), (2, 3), (256, 5)])
def test_logistic_start_puts_the_mass_where_the_data_are(levels, components):
    """With N + J counts, component j gets the share of the data in its J-th part of the range; no scale is flat."""
    x = torch.randint(levels, (300, 2), generator=torch.Generator().manual_seed(0)) // torch.tensor([1, levels])
    parameters = DiscretisedLogistic.start(x, levels, components)
    assert parameters.shape == (2, 3 * components)
    p = DiscretisedLogistic(parameters, levels)
    edges = np.linspace(-0.5, levels - 0.5, components + 1)
    for d in range(2):
        counts = np.histogram(x[:, d], edges)[0] + 1
        np.testing.assert_allclose(p.log_weight[d].exp(), counts / (300 + components), rtol=1e-5)
    np.testing.assert_allclose(p.loc[0], (edges[1:] + edges[:-1]) / 2, rtol=1e-5, atol=1e-5)
    assert p.log_prob(torch.zeros(2).long())[1] > p.log_prob(torch.zeros(2).long())[0]


# Levels.


@pytest.mark.parametrize("levels", [2, 3, 17])
def test_levels_are_the_categorical_distribution_of_their_cumulated_parameters(levels):
    with seeded(0):
        theta = 3 * torch.randn(4, 5, levels).double()
    logits = np.array([[[row[: l + 1].sum() for l in range(levels)] for row in block] for block in theta.numpy()])
    expected = torch.distributions.Categorical(logits=torch.tensor(logits / np.sqrt(levels)))
    p, x = Levels(theta), torch.randint(levels, (4, 5), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(p.log_prob(x), expected.log_prob(x))
    torch.testing.assert_close(p.mean, (expected.probs * torch.arange(levels)).sum(-1))
    with seeded(0):
        draws = p.sample((20_000,))[:, 1, 2]
    counts = np.bincount(draws, minlength=levels)
    assert draws.dtype == torch.long
    assert scipy.stats.chisquare(counts, 20_000 * expected.probs[1, 2].numpy()).pvalue > 1e-3


def test_one_parameter_moves_all_levels_from_there_on():
    theta = torch.zeros(5).double()
    theta[2] = 2 * 5**0.5
    ratio = Levels(theta).probs / Levels(torch.zeros(5).double()).probs
    np.testing.assert_allclose(ratio / ratio[0], [1, 1, math.e**2, math.e**2, math.e**2])


@pytest.mark.parametrize("levels", [2, 5])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.long])
def test_levels_start_from_the_counts(levels, dtype):
    x = torch.randint(levels, (100, 3), generator=torch.Generator().manual_seed(0)).to(dtype) // 2
    p = Levels(Levels.start(x, levels)).probs
    counts = np.stack([np.bincount(x[:, d], minlength=levels) for d in range(3)]) + 1
    np.testing.assert_allclose(p, counts / (100 + levels), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.long])
def test_thermometer(dtype):
    x = torch.tensor([[0, 2], [1, 3]], dtype=dtype)
    code = thermometer(x, 4, torch.float64)
    assert code.shape == (2, 2, 3) and code.dtype == torch.float64
    assert code.tolist() == [[[0, 0, 0], [1, 1, 0]], [[1, 0, 0], [1, 1, 1]]]
    assert torch.equal(code.sum(-1), x.double())
