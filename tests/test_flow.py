"""Flows against automatic differentiation, quadrature, closed forms and other libraries with the same parameters."""

import copy
import itertools
import math
from functools import partial
from unittest import mock

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import torch
import torch.nn.functional as F
import zuko
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from test_laws import learned_noise, lively, normal_flow
from torch import distributions

from dgmlite import data
from dgmlite.models.flow import (
    ActNorm,
    Affine,
    Coupling,
    Dequantised,
    Flatten,
    Flow,
    Gaussianise,
    LinearLU,
    Permutation,
    Planar,
    RealNVP,
    Reverse,
    Sequential,
    Split,
    Squeeze,
    StandardNormal,
)
from dgmlite.networks import MLP, ConvNet, seeded
from dgmlite.training import fit
from dgmlite.transforms import spline

mlp = partial(MLP, hidden=(16,))
conv = partial(ConvNet, channels=8, depth=1)

TRANSFORMS = {  # name: (how to make it, the shape of events, the size of the condition)
    "Affine": (lambda: Affine((5,)), (5,), 0),
    "Affine-channels": (lambda: Affine((2, 1, 1)), (2, 3, 4), 0),
    "Affine-pixels": (lambda: Affine((2, 3, 4)), (2, 3, 4), 0),
    "ActNorm": (lambda: ActNorm((3,)), (3,), 0),
    "ActNorm-channels": (lambda: ActNorm((2, 1, 1)), (2, 3, 4), 0),
    "Gaussianise": (lambda: Gaussianise((2, 2), 4), (2, 2), 0),
    "Planar": (lambda: Planar(3), (3,), 0),
    "Planar-line": (lambda: Planar(1), (1,), 0),
    "Coupling": (lambda: Coupling(2, mlp), (2,), 0),
    "Coupling-odd": (lambda: Coupling(5, mlp), (5,), 0),
    "Coupling-odd-flip": (lambda: Coupling(5, mlp, flip=True), (5,), 0),
    "Coupling-condition": (lambda: Coupling(4, partial(mlp, condition=3)), (4,), 3),
    "Coupling-images": (lambda: Coupling(3, conv), (3, 2, 4), 0),
    "Coupling-images-flip-condition": (lambda: Coupling(3, partial(conv, condition=2), flip=True), (3, 2, 2), 2),
    "Spline": (lambda: Coupling(2, mlp, "spline"), (2,), 0),
    "Spline-odd-flip": (lambda: Coupling(5, mlp, "spline", flip=True, bins=3, bound=2.0), (5,), 0),
    "Spline-condition": (lambda: Coupling(3, partial(mlp, condition=2), "spline"), (3,), 2),
    "Spline-images": (lambda: Coupling(3, conv, "spline", bins=4), (3, 2, 2), 0),
    "Permutation": (lambda: Permutation([2, 0, 3, 1]), (4,), 0),
    "Permutation-images": (lambda: Permutation([1, 2, 0]), (3, 2, 2), 0),
    "Reverse": (lambda: Reverse(3), (3,), 0),
    "LinearLU": (lambda: LinearLU(4), (4,), 0),
    "LinearLU-images": (lambda: LinearLU(3), (3, 2, 4), 0),
    "Flatten": (lambda: Flatten(Coupling(6, partial(mlp, condition=2))), (1, 2, 3), 2),
    "Squeeze": (lambda: Squeeze(Coupling(4, conv)), (1, 4, 2), 0),
    "Split": (lambda: Split(Coupling(3, mlp)), (5,), 0),
    "Split-images": (lambda: Split(Affine((2, 1, 1))), (3, 2, 2), 0),
    "Sequential": (lambda: Sequential(LinearLU(3), Coupling(3, mlp), Sequential(Planar(3)), Reverse(3)), (3,), 0),
}


@pytest.fixture(params=TRANSFORMS)
def case(request):
    """A transform far from the identity in float64, 8 points and conditions."""
    make, shape, condition = TRANSFORMS[request.param]
    with seeded(0):
        transform = lively(make(), 0.3).double()
        x = 2 * torch.randn(8, *shape).double()
        if isinstance(transform, Gaussianise):
            x = 4 * torch.rand(8, *shape).double()
        return transform, x, torch.randn(8, condition).double() if condition else None


def jacobian_of(transform, x, y=None):
    """log |det| by automatic differentiation, one example after the other."""

    def one(x, y):
        jacobian = torch.func.jacrev(lambda x: transform(x[None], y)[0].flatten())(x)
        return torch.linalg.slogdet(jacobian.reshape(x.numel(), -1)).logabsdet

    return torch.stack([one(x[i], None if y is None else y[i : i + 1]) for i in range(len(x))])


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


# Every transform.


def test_round_trip(case):
    transform, x, y = case
    z, log_det = transform(x, y)
    assert z.shape == x.shape and log_det.shape == (8,)
    assert (z - x).abs().max() > 0.1
    close(transform.inverse(z, y), x)
    if not isinstance(transform, Gaussianise):  # x as noise
        close(transform(transform.inverse(x, y), y)[0], x)


def test_log_det_is_that_of_the_jacobian(case):
    transform, x, y = case
    close(transform(x, y)[1], jacobian_of(transform, x, y))


def test_float32_agrees_with_float64(case):
    transform, x, y = case
    low, x, y = copy.deepcopy(transform).float(), x.float(), None if y is None else y.float()
    for a, b in zip(low(x, y), transform(x.double(), None if y is None else y.double())):
        assert a.dtype == torch.float32
        close(a.double(), b, 1e-4)
    z = transform(x.double(), None if y is None else y.double())[0]
    again = transform(low.inverse(z.float(), y).double(), None if y is None else y.double())[0]
    close(again, z, 1e-3)  # in z, since where the transform is almost flat, x cannot be told from z


@pytest.mark.parametrize("size", [1e-30, 30.0, 1e4])
def test_all_is_finite_at_extreme_inputs(case, size):
    transform, x, y = case
    transform, x = transform.float(), torch.cat((x.sign() * size, -x.sign() * size)).float()
    if isinstance(transform, Gaussianise):
        x = torch.cat((torch.zeros_like(x), torch.full_like(x, 4), x.abs().clamp(max=4)))
    y = None if y is None else torch.cat((y, y)).float()
    x.requires_grad_()
    z, log_det = transform(x, y)
    (z.sum() + log_det.sum()).backward()
    for tensor in (z, log_det, x.grad, transform.inverse(z, y), *(p.grad for p in transform.parameters())):
        assert tensor.isfinite().all()


def test_gradients_reach_all_parameters(case):
    transform, x, y = case
    if not list(transform.parameters()):
        pytest.skip("it has no parameters")
    z, log_det = transform(x, y)
    weights = torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).double()
    ((z * weights).sum() + log_det.sum()).backward()
    for name, parameter in transform.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_forward_and_inverse_change_nothing_and_see_one_example_at_a_time(case):
    transform, x, y = case
    before = copy.deepcopy(transform.state_dict())
    z, log_det = transform(x, y)
    x_again = transform.inverse(z, y)
    for i in (0, 5):
        some = None if y is None else y[i : i + 1]
        for a, b in zip(transform(x[i : i + 1], some), (z, log_det)):
            close(a[0], b[i])
        close(transform.inverse(z[i : i + 1], some)[0], x_again[i])
    for name, tensor in transform.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_condition_matters(case):
    transform, x, y = case
    assert y is None or (transform(x, y)[0] - transform(x, y + 1)[0]).abs().max() > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.sampled_from(["affine", "spline"]), st.booleans(), st.integers(2, 9), st.integers(0, 999))
def test_couplings_of_any_size(size, kind, flip, bins, seed):
    with seeded(seed):
        coupling = lively(Coupling(size, mlp, kind, flip, bins), 0.3).double()
        x = 3 * torch.randn(5, size).double()
    z, log_det = coupling(x)
    close(coupling.inverse(z), x, 1e-8)
    close(log_det, jacobian_of(coupling, x))
    first = size // 2 if flip else size - size // 2
    stays, moved = (slice(first, None), slice(first)) if flip else (slice(first), slice(first, None))
    assert torch.equal(z[:, stays], x[:, stays]) and (z[:, moved] != x[:, moved]).any(0).all()


# Against other libraries and closed forms.


def test_affine_on_images_counts_all_pixels():
    affine, x = Affine((2, 1, 1)).double(), torch.randn(3, 2, 5, 4).double()
    with torch.no_grad():
        affine.log_scale.copy_(torch.tensor([0.7, -0.2], dtype=torch.float64).view(2, 1, 1))
        affine.loc.copy_(torch.tensor([1.0, 3.0]).view(2, 1, 1))
    z, log_det = affine(x)
    close(log_det, torch.full((3,), -20 * (0.7 - 0.2)).double())
    close(z[:, 1], (x[:, 1] - 3) * math.exp(0.2))


def zuko_spline(parameters, bound):
    """zuko's spline with the knots and slopes that our parameters stand for."""
    K = (parameters.shape[-1] + 1) // 3
    widths, heights, slopes = (parameters.numpy()[..., i : i + n] for i, n in ((0, K), (K, K), (2 * K, K - 1)))
    theirs = zuko.transforms.MonotonicRQSTransform(*(torch.tensor(t) for t in (widths, heights, slopes)), bound=bound)
    for name, raw in (("horizontal", widths), ("vertical", heights)):
        share = 1e-3 + (1 - 1e-3 * K) * scipy.special.softmax(raw, -1)
        knots = bound * (2 * np.cumsum(np.insert(share, 0, 0, -1), -1) - 1)
        setattr(theirs, name, torch.tensor(knots))
    inner = 1e-3 + np.log1p(np.exp(slopes + math.log(math.e ** (1 - 1e-3) - 1)))
    theirs.derivatives = torch.tensor(np.pad(inner, [(0, 0)] * (inner.ndim - 1) + [(1, 1)], constant_values=1.0))
    return theirs


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 12), st.floats(0.5, 8), st.floats(0, 4), st.integers(0, 2**31))
def test_spline_is_that_of_zuko(bins, bound, strength, seed):
    with seeded(seed):
        parameters = strength * torch.randn(200, 3 * bins - 1).double()
        x = 1.2 * bound * (2 * torch.rand(200).double() - 1)
    theirs = zuko_spline(parameters, bound)
    for a, b in zip(spline(x, parameters, bound), theirs.call_and_ladj(x)):
        close(a, b, 1e-8)
    back, log_slope = spline(x, parameters, bound, inverse=True)
    close(back, theirs.inv(x), 1e-7)
    close(log_slope, theirs.call_and_ladj(theirs.inv(x))[1], 1e-6)


def test_spline_of_zeros_is_the_identity_and_so_is_what_is_beyond_its_bound():
    x = torch.linspace(-7, 7, 401).double()
    for a, b in zip(spline(x, torch.zeros(401, 23).double(), 5.0), (x, 0 * x)):
        close(a, b)
    x, parameters = torch.tensor([-1e9, -3.0, 3.0, 1e9]).double(), torch.randn(4, 23).double()
    for inverse in (False, True):
        y, log_slope = spline(x, parameters, 3.0, inverse)
        assert torch.equal(y, x) and not log_slope.any()


def test_spline_has_no_jumps_or_corners():
    """At the knots, and at ±bound, values and slopes agree from both sides."""
    parameters = 2 * torch.randn(1, 14, generator=torch.Generator().manual_seed(0)).double()
    knots = zuko_spline(parameters, 2.0).horizontal[0]
    left, right = (spline(knots + e, parameters.expand(6, 14), 2.0) for e in (-1e-12, 1e-12))
    close(left[0], right[0], 1e-7)
    close(left[1][1:-1], right[1][1:-1], 1e-6)
    close(left[1].exp()[[0, -1]], torch.ones(2).double(), 1e-6)
    close(right[1].exp()[[0, -1]], torch.ones(2).double(), 1e-6)


def zuko_flow(model):
    """The same couplings by zuko, around the same networks."""

    def coupling(step):
        def meta(stays):
            parameters = step.network(stays, None)
            if step.bins:
                return zuko_spline(parameters.unflatten(1, (step.moves, -1)).detach(), step.bound)
            s, t = parameters.chunk(2, 1)
            return distributions.AffineTransform(t, torch.exp(2 * torch.tanh(s / 2)), event_dim=0)

        first = torch.arange(sum(step.sizes)) < step.sizes[0]
        return zuko.transforms.CouplingTransform(meta, first != step.flip)

    steps = [
        coupling(step) if isinstance(step, Coupling) else zuko.transforms.PermutationTransform(step.order)
        for step in model.transforms[0].inner
    ]
    size = model.event_shape[0]
    base = distributions.Independent(distributions.Normal(torch.zeros(size).double(), 1.0), 1)
    return zuko.distributions.NormalizingFlow(zuko.transforms.ComposedTransform(*steps), base)


def summed(theirs, x):
    """log p of zuko's flow; its couplings return log-determinants dimension by dimension."""
    log_det = 0
    for transform in theirs.transform.transforms:
        z, each = transform.call_and_ladj(x)
        log_det = log_det + (each.sum(-1) if each.dim() == 2 else each)
        x = z
    return theirs.base.log_prob(x) + log_det


@pytest.mark.parametrize("kind", ["affine", "spline"])
@pytest.mark.parametrize("size", [2, 5])
def test_realnvp_is_that_of_zuko(kind, size):
    model = lively(RealNVP((size,), depth=5, hidden=16, kind=kind), 0.2).double()
    x = 2 * torch.randn(50, size, generator=torch.Generator().manual_seed(0)).double()
    close(model.log_prob(x).detach(), summed(zuko_flow(model), x).detach(), 1e-8)


def test_realnvp_is_the_transformed_distribution_of_torch():
    """Two dimensions, by hand: torch transforms a normal variable by the inverse of each coupling."""
    model = lively(RealNVP((2,), depth=4, hidden=16), 0.3).double()

    class Inverse(distributions.Transform):
        domain = codomain = distributions.constraints.real_vector
        bijective = True

        def __init__(self, step):
            super().__init__()
            self.network, self.a, self.b = step.network, int(step.flip), 1 - int(step.flip)

        def s_and_t(self, stays):
            s, t = self.network(stays[..., None], None).T
            return 2 * torch.tanh(s / 2), t

        def _call(self, z):
            s, t = self.s_and_t(z[..., self.a])
            moved = (z[..., self.b] - t) / s.exp()
            return torch.stack((moved, z[..., 1]) if self.b == 0 else (z[..., 0], moved), -1)

        def _inverse(self, x):
            s, t = self.s_and_t(x[..., self.a])
            moved = x[..., self.b] * s.exp() + t
            return torch.stack((moved, x[..., 1]) if self.b == 0 else (x[..., 0], moved), -1)

        def log_abs_det_jacobian(self, z, x):
            return -self.s_and_t(z[..., self.a])[0]

    base = distributions.Independent(distributions.Normal(torch.zeros(2).double(), 1.0), 1)
    theirs = distributions.TransformedDistribution(base, [Inverse(s) for s in reversed(model.transforms[0].inner)])
    x = 2 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double()
    close(model.log_prob(x), theirs.log_prob(x))
    with seeded(0):
        ours = model.sample(50)
    with seeded(0):
        close(ours, theirs.sample((50,)))


def test_a_linear_flow_is_a_multivariate_normal():
    model = lively(normal_flow((3,), Affine((3,)), LinearLU(3)), 0.3).double()
    A = model.transforms[1].W.detach() / model.transforms[0].log_scale.detach().exp()  # z = A (x − μ)
    known = distributions.MultivariateNormal(model.transforms[0].loc.detach(), precision_matrix=A.T @ A)
    x = known.sample((50,))
    close(model.log_prob(x).detach(), known.log_prob(x))


@pytest.mark.parametrize("size", [1, 2, 7])
def test_linear(size):
    linear = lively(LinearLU(size, seed=3), 0.2).double()
    W, x = linear.W.detach(), torch.randn(4, size, 3, 5).double()
    z, log_det = linear(x)
    close(z.detach(), F.conv2d(x, W[:, :, None, None]))
    close(log_det.detach(), 15 * torch.linalg.slogdet(W).logabsdet.expand(4))
    features, log_det = linear(x[..., 0, 0])
    close(features.detach(), x[..., 0, 0] @ W.T)
    close(log_det.detach(), torch.linalg.slogdet(W).logabsdet.expand(4))


def test_linear_starts_as_a_rotation_of_its_seed():
    W = LinearLU(6).double().W.detach()
    close(W @ W.T, torch.eye(6).double(), 1e-6)
    before = torch.get_rng_state()
    assert torch.equal(LinearLU(6, seed=0).double().W, W) and not torch.equal(LinearLU(6, seed=1).double().W, W)
    assert torch.equal(torch.get_rng_state(), before)


def test_gaussianise_is_the_normal_quantile_of_a_piecewise_linear_cdf():
    gaussianise = lively(Gaussianise((2,), 5), 2.0).double()
    p = (1 - 5e-6) * scipy.special.softmax(gaussianise.logits.detach().numpy(), -1) + 1e-6
    edge = np.array([1e-6, 1e-4, 0.3])
    v = np.concatenate((edge, np.linspace(0.01, 4.99, 101), 5 - edge))
    z, log_det = gaussianise(torch.tensor(np.stack((v, v), 1)))
    expected, slope = np.empty((2, len(v))), np.empty((2, len(v)))
    for d in range(2):
        below, above = (np.interp(v, range(6), np.insert(np.cumsum(p[d]), 0, 0)), (5 - v) * p[d][-1])
        expected[d] = np.where(v > 4, scipy.stats.norm.isf(above), scipy.stats.norm.ppf(below))
        slope[d] = np.log(p[d][np.floor(v).astype(int)]) - scipy.stats.norm.logpdf(expected[d])
    np.testing.assert_allclose(z.detach().numpy(), expected.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(log_det.detach().numpy(), slope.sum(0), rtol=1e-6)
    close(gaussianise.inverse(z), torch.tensor(np.stack((v, v), 1)), 1e-7)
    assert (z.diff(dim=0)[3:-3] > 0).all()


def test_gaussianise_is_as_exact_in_float32_in_the_upper_tail_as_in_the_lower():
    gaussianise = Gaussianise((1,), 17)
    with torch.no_grad():
        gaussianise.logits[0, 3:-3].normal_(generator=torch.Generator().manual_seed(0))
        gaussianise.logits[0, [0, 1, 2, -3, -2, -1]] = -30.0  # p = 1e-6, of which 1 − 0.9999995 would keep one digit
    v = torch.tensor([[0.001], [0.5], [1.3], [2.1], [14.1], [15.3], [16.5], [16.999]])
    close(gaussianise(v)[0].double(), copy.deepcopy(gaussianise).double()(v.double())[0], 1e-4)


def test_gaussianise_of_the_frequencies_makes_data_normal():
    with seeded(0):
        x = torch.distributions.Categorical(torch.tensor([0.5, 0.1, 0.3, 0.1])).sample((20_000, 1))
        gaussianise = Gaussianise((1,), 4)
        gaussianise.initialise(x)
        z = gaussianise(x + torch.rand(x.shape))[0]
    assert scipy.stats.kstest(z[:, 0].detach(), "norm").pvalue > 1e-3


def planar(w, u, b):
    transform = Planar(len(w)).double()
    with torch.no_grad():
        for parameter, value in ((transform.w, w), (transform.u, u), (transform.b, b)):
            parameter.copy_(torch.tensor(value, dtype=torch.float64))
    return transform


@settings(max_examples=40, deadline=None)
@given(st.floats(0.2, 4), st.floats(-30, 4), st.floats(-2, 2))
def test_planar_is_invertible_whatever_its_parameters(w, u, b):
    """In one dimension: rising, and the inverse is the root that scipy finds. Most have wu < −1."""
    transform = planar([w], [u], b)
    x = torch.linspace(-4, 4, 41).double()[:, None]
    z, log_det = transform(x)
    assert log_det.isfinite().all() and (z.diff(dim=0) > 0).all()
    bend = math.log1p(math.exp(w * u)) - 1
    targets = z[::10].detach()
    for target, found in zip(targets[:, 0].tolist(), transform.inverse(targets)[:, 0].tolist()):

        def miss(x, target=target):
            return x + bend / w * math.tanh(w * x + b) - target

        assert abs(miss(found)) < 1e-9
        assert found == pytest.approx(scipy.optimize.brentq(miss, -400, 400, xtol=1e-12), abs=1e-6)


def test_planar_stays_finite_in_float32_where_it_is_almost_flat():
    transform = planar([3.0, 1.0], [-6.0, -3.0], 0.0).float()  # wᵀu = −21, and 1 − 1 + e⁻²¹ is lost in float32
    log_det = transform(torch.zeros(1, 2))[1]
    assert log_det.item() == pytest.approx(-21, abs=1e-3)


def test_reverse_and_permutation():
    x = torch.arange(8.0).view(2, 4)
    assert Reverse(4)(x)[0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4]]
    assert Permutation([2, 0, 3, 1])(x)[0].tolist() == [[2, 0, 3, 1], [6, 4, 7, 5]]
    assert torch.equal(load(save(Permutation([1, 0]).state_dict()))["order"], torch.tensor([1, 0]))


def test_squeeze_makes_channels_of_blocks():
    seen = []

    class Spy(Affine):
        def forward(self, x, y=None):
            seen.append(x)
            return super().forward(x, y)

    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert torch.equal(Squeeze(Spy((4, 1, 1)))(x)[0], x)
    assert seen[0][0, :, 0, 1].tolist() == [2, 3, 6, 7]  # the upper right block


# Actnorm.


@pytest.mark.parametrize("shape, event", [((3,), (3,)), ((2, 1, 1), (2, 3, 4)), ((1,), (1,)), ((1, 1, 1), (1, 2, 2))])
def test_actnorm_standardises_the_first_data_and_only_these(shape, event):
    actnorm, dims = ActNorm(shape).double(), [0] + list(range(2, len(event) + 1))
    first, second = (3 * torch.randn(200, *event).double() + 5 for _ in range(2))
    close(actnorm(first)[0], first)  # looking does not initialise
    assert not actnorm.initialised
    actnorm.initialise(first)
    z = actnorm(first)[0]
    close(z.mean(dims), torch.zeros(event[0]).double())
    close(z.std(dims, correction=0), torch.ones(event[0]).double())
    actnorm.initialise(second)
    close(actnorm(first)[0], z)
    other = ActNorm(shape).double()
    other.load_state_dict(load(save(actnorm.state_dict())))
    other.initialise(second)
    assert other.initialised and torch.equal(other(first)[0], z)


def test_actnorm_of_constant_data_is_finite():
    actnorm = ActNorm((2,))
    actnorm.initialise(torch.full((5, 2), 7.0))
    assert actnorm(torch.full((5, 2), 7.0))[0].abs().max() < 1e-3


@pytest.mark.parametrize("shape, scales", [((6,), 1), ((6,), 2), ((1, 4, 4), 1), ((1, 8, 8), 2)])
def test_initialise_reaches_every_actnorm_one_after_the_other(shape, scales):
    model = lively(RealNVP(shape, 3, hidden=8, actnorm=True, linear=True, scales=scales), 0.1).double()
    x = 0.5 * torch.randn(300, *shape, generator=torch.Generator().manual_seed(0)).double() - 4
    seen = {}
    for name, module in model.named_modules():
        if isinstance(module, ActNorm):
            module.register_forward_hook(lambda _, inputs, output, name=name: seen.__setitem__(name, output[0]))
    model.initialise(x)
    model(x)
    assert len(seen) == 3 * scales
    for z in seen.values():
        z = z.transpose(0, 1).flatten(1)
        close(z.mean(1), torch.zeros(len(z)).double(), 1e-8)
        close(z.std(1, correction=0), torch.ones(len(z)).double(), 1e-8)


# Whole flows.


def test_standard_normal():
    z = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    np.testing.assert_allclose(StandardNormal((2, 3)).log_prob(z), scipy.stats.norm.logpdf(z).sum((1, 2)))
    base = StandardNormal((2, 3)).double()
    assert base.sample(5).shape == (5, 2, 3) and base.sample(5).dtype == torch.float64 and not base.state_dict()


def test_a_flow_without_transforms_is_its_base():
    flow, x = normal_flow((2,)), torch.randn(5, 2)
    assert torch.equal(flow.log_prob(x), flow.base.log_prob(x)) and torch.equal(flow.inverse(x), x)


@torch.no_grad()
def test_densities_integrate_to_one():
    line = torch.linspace(-30, 30, 60_001).double()
    for strength in (0.2, 1.0):
        model = lively(normal_flow((1,), Affine((1,)), *(Planar(1, seed=seed) for seed in range(3))), strength).double()
        assert torch.trapezoid(model.log_prob(line[:, None]).exp(), line).item() == pytest.approx(1, abs=1e-3)
    side = torch.linspace(-15, 15, 601).double()
    grid = torch.cartesian_prod(side, side)
    for model in (
        RealNVP((2,), depth=4, hidden=16),
        RealNVP((2,), depth=4, hidden=16, kind="spline"),
        RealNVP((2,), depth=2, hidden=16, actnorm=True, linear=True),
        normal_flow((2,), *(Planar(2, seed=seed) for seed in range(4))),
    ):
        total = lively(model, 0.1).double().log_prob(grid).exp().sum().item() * 0.05**2
        assert total == pytest.approx(1, abs=1e-3)


OPTIONS = {
    "pair": {"event_shape": (2,)},
    "odd": {"event_shape": (5,)},
    "matrix": {"event_shape": (2, 3)},
    "odd-scales": {"event_shape": (7,), "scales": 2},
    "odd-image": {"event_shape": (1, 7, 7), "depth": 2},
    "image": {"event_shape": (1, 8, 8)},
    "image-scales": {"event_shape": (1, 8, 8), "scales": 3, "actnorm": True, "linear": True},
    "colours": {"event_shape": (3, 4, 4), "scales": 2, "depth": 2},
    "spline": {"event_shape": (1, 4, 4), "kind": "spline", "actnorm": True},
    "condition": {"event_shape": (2,), "condition": 3},
    "image-condition": {"event_shape": (1, 4, 4), "condition": 3, "scales": 2, "kind": "spline", "linear": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_realnvp_of_every_shape(options):
    options = {"depth": 3, "hidden": 8, **options}
    model, shape = lively(RealNVP(**options), 0.1).double(), options["event_shape"]
    y = torch.tensor([0, 2, 1, 1]) if model.condition else None
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).double()
    z, log_det = model(x, y)
    assert z.shape == x.shape and model.event_shape == shape and model.levels is None
    close(model.inverse(z, y), x, 1e-8)
    features = None if y is None else F.one_hot(y, 3).double()
    close(log_det, jacobian_of(model, x, features), 1e-8)
    np.testing.assert_allclose(
        model.log_prob(x, y).detach(),
        scipy.stats.norm.logpdf(z.detach()).reshape(4, -1).sum(1) + log_det.detach().numpy(),
    )
    assert torch.equal(model.loss(x, y), -model.log_prob(x, y))
    assert model.sample(4, y).shape == x.shape
    if y is not None:
        close(model.log_prob(x, features), model.log_prob(x, y))
        assert (model.log_prob(x, y) - model.log_prob(x, (y + 1) % 3)).abs().min() > 1e-6


def test_fresh_couplings_are_the_identity():
    model, x = RealNVP((1, 4, 4), kind="spline", scales=2).double(), torch.randn(5, 1, 4, 4).double()
    close(model.log_prob(x), StandardNormal((1, 4, 4)).log_prob(x))


@pytest.mark.parametrize(
    "shape, depth", [((2,), 2), ((5,), 4), ((6,), 4), ((1, 4, 4), 4), ((1, 8, 8), 4), ((3, 4, 4), 4)]
)
def test_every_output_depends_on_every_input(shape, depth):
    model = lively(RealNVP(shape, depth, hidden=8), 0.3).double()
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).double()
    slopes = torch.func.jacrev(lambda x: model(x)[0].flatten())(x).flatten(1)
    assert (slopes != 0).all(), f"{(slopes == 0).double().mean():.0%} of the slopes are zero"


def test_without_flip_some_outputs_depend_on_one_input_only():
    model = lively(normal_flow((4,), *(Coupling(4, mlp) for _ in range(6))), 0.3).double()
    slopes = torch.func.jacrev(lambda x: model(x)[0].flatten())(torch.randn(1, 4).double())[:, 0]
    assert torch.equal(slopes[:2] != 0, torch.eye(4).bool()[:2])


def test_seed_fixes_the_weights_and_leaves_the_global_state():
    before = torch.get_rng_state()
    options = {"event_shape": (1, 4, 4), "depth": 4, "hidden": 8, "actnorm": True, "linear": True}
    a, b, c = (RealNVP(**options, seed=seed).state_dict() for seed in (5, 5, 6))
    orders = [RealNVP((9,), 4, seed=seed).state_dict()["transforms.0.inner.2.order"] for seed in (5, 5, 6)]
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])


def test_layers_of_one_model_differ():
    model = RealNVP((6,), depth=3, linear=True)
    first, second, _ = (module.W for module in model.modules() if isinstance(module, LinearLU))
    assert not torch.allclose(first, second)


def test_trained_on_two_moons_it_comes_close_to_the_exact_density():
    moons = data.two_moons()
    x, test = moons.sample(2000, seed=0), moons.sample(20_000, seed=1)
    model = RealNVP((2,), depth=10, hidden=32)
    fit(model, x, epochs=30, lr=0.01, average=0.98, device="cpu", progress=False)
    with torch.no_grad():
        missing = (moons.log_prob(test) - model.log_prob(test)).mean().item()  # KL(data ‖ model), in nats
        low = model.sample(5000)
    assert 0 < missing < 0.2, missing
    assert moons.log_prob(low).median() > -2.5  # samples are where data are


# Levels.


def states(shape, levels):
    return torch.cartesian_prod(*[torch.arange(levels)] * math.prod(shape)).reshape(-1, *shape)


@torch.no_grad()
def in_cells(model, y=None, n=80):
    """log P(x) and the mean of log p(x + u) over the cell, for all x in two dimensions, by Gauss-Legendre quadrature.

    In the space that the flow sees, the cells are boxes between normal quantiles, and the flow's density is smooth.
    """
    p = (1 - 1e-6 * model.levels) * model.gaussianise.logits.softmax(-1).numpy() + 1e-6
    edges = scipy.stats.norm.ppf(np.insert(np.cumsum(p, -1), 0, 0, -1).clip(0, 1)).clip(-12, 12)
    node, weight = np.polynomial.legendre.leggauss(n)
    log_P, mean = [], []
    for x in itertools.product(range(model.levels), repeat=2):
        z, dz, base = [], 1.0, 0.0
        for d, level in enumerate(x):
            half = (edges[d, level + 1] - edges[d, level]) / 2
            z.append(edges[d, level] + half * (1 + node))
            on = (slice(None), None) if d == 0 else (None, slice(None))
            dz = dz * (half * weight)[on]
            base = base + (scipy.stats.norm.logpdf(z[-1]) - np.log(p[d, level]))[on]  # du = e^base dz
        points = torch.tensor(np.stack(np.meshgrid(*z, indexing="ij"), -1).reshape(-1, 2))
        log_p = model.flow.log_prob(points, None if y is None else torch.full((n**2,), y)).numpy().reshape(n, n)
        log_P.append(np.log((np.exp(log_p) * dz).sum()))
        mean.append(((log_p - base) * np.exp(base) * dz).sum())
    return torch.tensor(log_P), torch.tensor(mean)


def log_mean(log_w):
    return log_w.logsumexp(0) - math.log(len(log_w))


@pytest.mark.parametrize(
    "kind, noise, strength", [("affine", False, 0.2), ("spline", False, 0.1), ("affine", True, 0.2)]
)
@torch.no_grad()
def test_weights_against_quadrature_over_the_cell(kind, noise, strength):
    flow = RealNVP((2,), depth=4, hidden=16, kind=kind)
    with seeded(0):
        model = lively(Dequantised(flow, 3, learned_noise(2) if noise else None), strength).double()
    x = states((2,), 3)
    exact, mean = in_cells(model)
    assert exact.exp().sum().item() == pytest.approx(1, abs=2e-4)
    with seeded(0):
        log_w = model.log_weight(x, 20_000)
    assert log_w.shape == (20_000, 9)
    relative = (log_w - exact).exp()
    assert ((relative.mean(0) - 1).abs() < 5 * relative.std(0) / 20_000**0.5).all()
    assert (log_w.mean(0) < exact).all()  # a bound
    assert (log_w.mean(0).exp().sum()) < 1
    if not noise:
        assert ((log_w.mean(0) - mean).abs() < 5 * log_w.std(0) / 20_000**0.5).all()
    with seeded(0):
        loss = torch.cat([model.loss(x[4:5].expand(5000, 2)) for _ in range(4)])
    assert -loss.mean().item() == pytest.approx(log_w[:, 4].mean().item(), abs=5 * log_w[:, 4].std().item() / 100)


@torch.no_grad()
def test_one_dimension_has_a_closed_form():
    """P(x) = Φ((zᵣ − μ) / σ) − Φ((zₗ − μ) / σ), where z are the normal quantiles of the edges of the cell."""
    model = lively(Dequantised(normal_flow((1,), Affine((1,))), 6), 0.3).double()
    affine, p = model.flow.transforms[0], model.gaussianise.logits.softmax(-1)[0].numpy()
    edges = scipy.stats.norm.ppf(np.insert(np.cumsum(p), 0, 0).clip(0, 1))
    exact = np.diff(scipy.stats.norm.cdf(edges, affine.loc.item(), math.exp(affine.log_scale.item())))
    with seeded(0):
        log_w = model.log_weight(torch.arange(6)[:, None], 100_000)
    np.testing.assert_allclose(log_mean(log_w).exp(), exact, rtol=5e-3)
    with seeded(0):
        x = model.sample(50_000)
    assert scipy.stats.chisquare(np.bincount(x[:, 0], minlength=6), 50_000 * exact).pvalue > 1e-3


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("shape", [(2,), (1, 4, 4)])
def test_a_constant_model_needs_log_levels(levels, shape):
    model, size = Dequantised(RealNVP(shape), levels), math.prod(shape)
    x = torch.randint(levels, (20, *shape), generator=torch.Generator().manual_seed(0))
    bits = model.log_weight(x, 7) / math.log(2) / size
    close(bits, torch.full((7, 20), -math.log2(levels)), 5e-6)


@pytest.mark.parametrize("linear", [False, True])
def test_initialised_it_is_the_model_of_independent_levels(linear):
    """Laplace's counts: each level once more than it was seen. A rotation of normal noise changes nothing."""
    x = torch.randint(5, (50, 1, 2, 2), generator=torch.Generator().manual_seed(0)) // torch.tensor([1, 2])
    model = Dequantised(RealNVP((1, 2, 2), 2, linear=linear), 5).double()
    assert not model.initialised
    model.initialise(x)
    assert model.initialised
    p = np.stack([np.bincount(column, minlength=5) + 1 for column in x.flatten(1).T]) / 55
    expected = torch.tensor(np.log(p[range(4), x.flatten(1)]).sum(1))
    close(model.log_weight(x, 6).detach(), expected.expand(6, 50), 1e-4)
    other = Dequantised(RealNVP((1, 2, 2), 2, linear=linear), 5).double()
    other.load_state_dict(load(save(model.state_dict())))
    with seeded(0):
        weights = model.log_weight(x, 2)
    with seeded(0):
        assert other.initialised and torch.equal(other.log_weight(x, 2), weights)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("levels", [2, 17, 33, 256, 65_536])
def test_extreme_noise_in_extreme_cells_is_finite_in_float32(levels, uniform):
    """x + u is rounded: 255 + 0.999999 may become 256."""
    model = Dequantised(RealNVP((2,), 1), levels)
    x = torch.tensor([[0, 0], [levels - 1, levels - 1], [0, levels - 1]])
    with mock.patch.object(torch, "rand", lambda *size, **more: torch.full(size[0], uniform, **more)):
        close(model.log_weight(x, 1), torch.full((1, 3), -2 * math.log(levels)), 1e-3)
        model.loss(x).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_density_of_learned_noise():
    """Against automatic differentiation of u ↦ ε; and the mean of 1 / q(u) over draws in a square is its area."""
    with seeded(0):
        model = lively(Dequantised(RealNVP((2,), 1), 3, learned_noise(2)), 0.3).double()
    means = []
    for x in torch.tensor([[0, 0], [2, 1]]):
        with seeded(0), torch.no_grad():
            u, log_q = model._noise(x.expand(100_000, 2))
        assert 0 < u.min() and u.max() < 1

        def back(u, x=x):
            w = torch.special.ndtri((u[None] - 1e-6) / (1 - 2e-6))
            return model.noise.inverse(w, x[None] / 2.0)[0]

        for i in range(5):
            log_det = torch.linalg.slogdet(torch.func.jacrev(back)(u[i])).logabsdet
            expected = scipy.stats.norm.logpdf(back(u[i]).detach()).sum() + log_det.item()
            assert log_q[i].item() == pytest.approx(expected, abs=1e-6)
        for a, b in itertools.product(((0.1, 0.5), (0.5, 0.9)), repeat=2):
            inside = (a[0] < u[:, 0]) & (u[:, 0] < a[1]) & (b[0] < u[:, 1]) & (u[:, 1] < b[1])
            area = (-log_q).exp() * inside
            assert area.mean().item() == pytest.approx(0.16, abs=5 * area.std().item() / 316)
        means.append(u.mean(0))
    assert (means[0] - means[1]).abs().max() > 0.01  # it looks at x


def test_learned_noise_raises_the_bound():
    x = torch.randint(2, (400, 1), generator=torch.Generator().manual_seed(0)).expand(400, 2) * 2
    bounds = []
    for noise in (None, learned_noise(2)):
        with seeded(0):
            model = Dequantised(RealNVP((2,), 4, hidden=16), 3, noise)
            fit(model, x, epochs=40, lr=0.01, device="cpu", progress=False)
            bounds.append(-model.loss(x.repeat(20, 1)).mean().item())
    assert bounds[0] + 0.02 < bounds[1] < -math.log(2) + 0.01, bounds


@torch.no_grad()
@pytest.mark.parametrize("levels, shape", [(17, (1, 4, 4)), (256, (3,)), (2, (2, 3))])
def test_data_survive_encode_and_decode(levels, shape):
    model = lively(Dequantised(RealNVP(shape, 4, hidden=16, actnorm=True), levels), 0.1)
    x = torch.randint(levels, (200, *shape), generator=torch.Generator().manual_seed(0))
    model.initialise(x)
    z = model.encode(x)
    assert z.shape == x.shape and torch.equal(model.encode(x), z)  # no noise
    assert torch.equal(model.decode(z), x)
    samples = model.sample(500)
    assert samples.dtype == torch.long and 0 <= samples.min() and samples.max() < levels
    far = model.decode(torch.cat((torch.full_like(z, -30), torch.full_like(z, 30))))
    assert 0 <= far.min() and far.max() < levels


@torch.no_grad()
def test_condition_of_a_dequantised_flow():
    model = lively(Dequantised(RealNVP((2,), 4, hidden=16, condition=2), 3), 0.2).double()
    x = states((2,), 3)
    p = []
    for label in (0, 1):
        y = torch.full((9,), label)
        exact = in_cells(model, label)[0]
        assert exact.exp().sum().item() == pytest.approx(1, abs=2e-4)
        with seeded(0):
            close(log_mean(model.log_weight(x, 20_000, y)), exact, 0.03)
        with seeded(0):
            n = np.bincount(model.sample(9000, y.repeat(1000)) @ torch.tensor([3, 1]), minlength=9)
        assert scipy.stats.chisquare(n, 9000 * exact.softmax(0)).pvalue > 1e-3
        assert torch.equal(model.decode(model.encode(x, y), y), x)
        p.append(exact)
    assert (p[0] - p[1]).abs().max() > 0.05
    mixed = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 0])  # weights of row i belong to y of row i
    with seeded(0):
        close(log_mean(model.log_weight(x, 20_000, mixed)), torch.stack(p, 1)[range(9), mixed], 0.03)


# What is refused.

PAIR = RealNVP((2,), 1)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: RealNVP((1,)), r"\(1,\) does not allow 1 scales"),
        (lambda: RealNVP((2,), scales=2), "does not allow 2 scales"),
        (lambda: RealNVP((1, 8, 8), scales=4), "does not allow 4 scales"),
        (lambda: RealNVP((1, 6, 6), scales=2), "does not allow 2 scales"),
        (lambda: RealNVP(()), "event_shape must"),
        (lambda: RealNVP(2), "event_shape must"),
        (lambda: RealNVP((2,), depth=0), "depth must"),
        (lambda: RealNVP((2,), scales=0), "scales must"),
        (lambda: RealNVP((2,), hidden=0.5), "hidden must"),
        (lambda: RealNVP((2,), condition=-1), "condition must"),
        (lambda: RealNVP((2,), kind="cubic"), "kind must be"),
        (lambda: RealNVP((2,), kind=None), "kind must be"),
        (lambda: RealNVP((2,), seed=-1), "seed must"),
        (lambda: Coupling(1, mlp), "size must"),
        (lambda: Coupling(2, mlp, bound=0), "bound must"),
        (lambda: Coupling(2, mlp, "spline", bins=1), "bins must"),
        (lambda: Affine(3), "shape must"),
        (lambda: Affine(()), "shape must"),
        (lambda: Permutation([0, 0]), "order must"),
        (lambda: Permutation([0.5]), "order must"),
        (lambda: Permutation([1, 2]), "order must"),
        (lambda: Reverse(0), "size must"),
        (lambda: LinearLU(0), "size must"),
        (lambda: Planar(0), "size must"),
        (lambda: StandardNormal(()), "event_shape must"),
        (lambda: Flow(StandardNormal((2,)), [], condition=-1), "condition must"),
        (lambda: Dequantised(PAIR, 1), "levels must"),
        (lambda: PAIR.log_prob(torch.zeros(3, 2).long()), "x must be floating"),
        (lambda: PAIR.log_prob(torch.zeros(2)), "x must have shape"),
        (lambda: PAIR.loss(torch.full((1, 2), math.nan)), "x contains NaN"),
        (lambda: PAIR.initialise([1.0, 2.0]), "x must be a torch tensor"),
        (lambda: PAIR.inverse(torch.zeros(3, 3)), "z must have shape"),
        (lambda: PAIR.sample(0), "n must"),
        (lambda: PAIR.log_prob(torch.zeros(3, 2), torch.zeros(3).long()), "without condition"),
        (lambda: PAIR.sample(3, torch.zeros(3).long()), "without condition"),
        (lambda: RealNVP((2,), 1, condition=2).log_prob(torch.zeros(3, 2)), "y must be"),
        (lambda: RealNVP((2,), 1, condition=2).sample(3, torch.tensor([0, 1, 2])), "y must hold"),
        (lambda: Dequantised(PAIR, 3).log_weight(torch.zeros(3, 2), 1), "x must hold integer levels"),
        (lambda: Dequantised(PAIR, 3).loss(torch.full((3, 2), 3)), "x must hold levels"),
        (lambda: Dequantised(PAIR, 3).log_weight(torch.zeros(3, 2).long(), 0), "k must"),
        (lambda: Dequantised(PAIR, 3).loss(torch.zeros(3, 2).long(), torch.zeros(3).long()), "without condition"),
        (lambda: Dequantised(PAIR, 3).sample(2, torch.zeros(2).long()), "without condition"),
        (lambda: Dequantised(PAIR, 3).encode(torch.zeros(3, 3).long()), "x must have shape"),
        (lambda: Dequantised(PAIR, 3).decode(torch.zeros(3)), "z must have shape"),
        (lambda: Dequantised(RealNVP((2,), 1, condition=2), 3).loss(torch.zeros(3, 2).long()), "y must be"),
    ],
)
def test_what_is_impossible_is_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()
