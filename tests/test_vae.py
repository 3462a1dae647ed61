"""VAEs against quadrature, enumeration, closed forms, finite differences and scikit-learn's PCA."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import torch
from safetensors.torch import load, save
from sklearn.decomposition import PCA
from test_laws import lively, shared_noise
from torch import nn
from torch.distributions import MultivariateNormal

from dgmlite.evaluation import aggregate_posterior, elbo, evaluate, iwae
from dgmlite.models.autoregressive import MADE, PixelCNN
from dgmlite.models.flow import Affine, Flow, RealNVP
from dgmlite.models.vae import VAE, Decoder, LinearVAE, StandardNormal
from dgmlite.networks import seeded
from dgmlite.training import fit


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def states(shape, levels):
    return torch.cartesian_prod(*[torch.arange(levels)] * math.prod(shape)).reshape(-1, *shape)


def line(n=1000, width=9.0, dimensions=1):
    """Points and weights of a grid over z, whose trapezoid rule is exact to many digits for smooth densities."""
    side = torch.linspace(-width, width, n, dtype=torch.float64)
    points = torch.cartesian_prod(*[side] * dimensions).view(-1, dimensions)
    return points, (2 * width / (n - 1)) ** dimensions


def log_joint(model, x, z, y=None):
    """log p(z) + log p(x | z), (len(z), len(x)), from densities of scipy and the decoder's distribution alone."""
    prior = torch.tensor(scipy.stats.norm.logpdf(z).sum(1))
    p = model.decoder.given(z if y is None else torch.cat((z, y.expand(len(z), -1)), 1))
    x = x.double() if getattr(model.decoder, "likelihood", "") == "bernoulli" else x
    return torch.stack([prior + p.log_prob(one).flatten(1).sum(1) for one in x], 1)


# The linear model, of which all is known.


def linear(shape=(3,), latent=2, best=False, strength=0.5):
    """A LinearVAE in float64; if best, with q = posterior: orthogonal columns of W, and V, s to match."""
    model = lively(LinearVAE(shape, latent), strength).double()
    with torch.no_grad():
        model.decoder.bias.add_(2.0)
        if best:
            W, variance = model.decoder.weight, model.decoder.log_var.exp()
            W.copy_(torch.linalg.qr(W)[0] * torch.tensor([1.7, 0.6])[:latent])
            scale = W.square().sum(0) + variance
            model.encoder.mean.weight.copy_((W / scale).T)
            model.encoder.log_var.copy_((variance / scale).log())
    return model


@torch.no_grad()
@pytest.mark.parametrize("shape, latent", [((3,), 1), ((3,), 2), ((1, 2, 2), 2)])
def test_linear_density_and_posterior_are_those_of_bayes_on_a_grid(shape, latent):
    model = linear(shape, latent)
    x = 2 * torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).double() + 2
    z, cell = line({1: 4000, 2: 500}[latent], 10.0, latent)
    W, b = model.decoder.weight.numpy(), model.decoder.bias.numpy()
    means = z.numpy() @ W.T + b
    sigma = math.exp(model.decoder.log_var.item() / 2)
    likelihood = scipy.stats.norm.logpdf(x.flatten(1).numpy()[None], means[:, None], sigma).sum(-1)
    joint = np.exp(scipy.stats.norm.logpdf(z).sum(1)[:, None] + likelihood)
    np.testing.assert_allclose(model.log_prob(x), np.log(joint.sum(0) * cell), rtol=1e-9)
    density, posterior = joint / joint.sum(0), model.posterior(x)
    mean = density.T @ z.numpy()
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-8, atol=1e-10)
    for i in range(4):
        around = z.numpy() - mean[i]
        np.testing.assert_allclose(posterior.covariance_matrix[i], around.T @ (density[:, i, None] * around), atol=1e-9)
    ours = torch.stack([posterior.log_prob(point.expand(4, -1)) for point in z[:: len(z) // 50]])
    shown = joint[:: len(z) // 50] / (joint.sum(0) * cell)
    np.testing.assert_allclose(ours.exp(), shown, rtol=1e-7, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("shape, latent", [((3,), 1), ((3,), 2)])
def test_elbo_of_the_linear_model_by_moments(shape, latent):
    """E_q[log p(x, z)] is a quadratic form's mean: (A m − c)ᵀ(A m − c) + tr(A S Aᵀ); q's entropy is known."""
    model = linear(shape, latent)
    x = 2 * torch.randn(4, *shape, generator=torch.Generator().manual_seed(0)).double() + 2
    W, b, sigma = model.decoder.weight, model.decoder.bias, (model.decoder.log_var / 2).exp()
    A = torch.cat((W / sigma, torch.eye(latent).double()))  # rows of standardised x and of z
    c = torch.cat(((x - b) / sigma, torch.zeros(4, latent).double()), 1)
    m, s2 = (x - b) @ model.encoder.mean.weight.T, model.encoder.log_var.exp()
    quadratic = (m @ A.T - c).square().sum(1) + (A.square() @ s2).sum()
    D = math.prod(shape)
    expected = -0.5 * quadratic - 0.5 * (D + latent) * math.log(2 * math.pi) - D * sigma.log()
    expected = expected + 0.5 * (latent * (1 + math.log(2 * math.pi)) + s2.log().sum())
    with seeded(0):
        log_w = model.log_weight(x, 100_000)
    assert log_w.shape == (100_000, 4)
    assert ((log_w.mean(0) - expected).abs() < 4 * log_w.std(0) / 100_000**0.5).all()
    with seeded(0):
        loss = torch.stack([model.loss(x) for _ in range(4000)])
    assert ((loss.mean(0) + expected).abs() < 4 * loss.std(0) / 4000**0.5).all()
    gap = torch.distributions.kl_divergence(
        MultivariateNormal(m, torch.diag_embed(s2.expand(4, -1))), model.posterior(x)
    )
    close(model.log_prob(x) - expected, gap)


@torch.no_grad()
def test_weights_of_the_exact_posterior_are_all_the_probability():
    model = linear(best=True)
    x = 2 * torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    q, posterior = model.encode(x), model.posterior(x)
    close(q.mean, posterior.mean)
    close(torch.diag_embed(q.variance), posterior.covariance_matrix)
    close(model.log_weight(x, 7), model.log_prob(x).expand(7, 5))
    known = MultivariateNormal(
        model.decoder.bias,
        model.decoder.weight @ model.decoder.weight.T + model.decoder.log_var.exp() * torch.eye(3).double(),
    )
    close(model.log_prob(x), known.log_prob(x))
    with seeded(0):
        samples = model.sample(100_000)
    close(samples.mean(0), known.mean, 0.03)
    close(samples.T.cov(), known.covariance_matrix, 0.05)


@torch.no_grad()
def test_gap_of_k_weights_is_half_the_variance_over_k():
    """Var[w/p] by quadrature over z; k (log p − IWAE_k) from many draws, less noisy since the mean of w/p is 1."""
    model, k, n = linear(latent=1, strength=0.2), 40, 20_000
    with torch.no_grad():
        model.encoder.mean.weight.copy_(torch.linalg.solve(*_normal_equations(model)) + 0.02)
        model.encoder.log_var.copy_(model.posterior(torch.zeros(1, 3).double()).variance[0].log() + 0.3)
    x = torch.tensor([[1.0, 3.5, 2.0]]).double()
    z, cell = line(4000)
    q = scipy.stats.norm.pdf(z[:, 0], model.encode(x).mean.item(), model.encode(x).stddev.item())
    p = model.posterior(x).log_prob(z).exp().numpy()
    variance = (p**2 / q)[q > 1e-250].sum() * cell - 1
    with seeded(0):
        mean = (model.log_weight(x, k * n) - model.log_prob(x)).exp().view(k, n).mean(0)
    gap = k * (mean - 1 - mean.log())
    slope, error = gap.mean().item(), 4 * gap.std().item() / n**0.5
    assert variance > 0.02 and slope == pytest.approx(variance / 2, abs=0.05 * variance + error)
    assert error < 0.05 * variance


def _normal_equations(model):
    W, _, variance = model.decoder.parts()
    return W.T @ W + variance * torch.eye(model.latent).to(W), W.T


@pytest.mark.parametrize("latent", [1, 2])
def test_the_best_linear_vae_is_probabilistic_pca(latent):
    """The likelihood is that of scikit-learn's PCA, the bound reaches it, and W's columns are orthogonal."""
    with seeded(0):
        mix = torch.randn(4, 4).double() @ torch.diag(torch.tensor([2.5, 1.5, 0.7, 0.4]).double())
        x = torch.randn(1000, 4).double() @ mix.T + torch.tensor([3.0, -2.0, 0.5, 10.0]).double()
        model = LinearVAE((4,), latent).double()
        model.initialise(x)
        optimiser = torch.optim.LBFGS(model.parameters(), max_iter=1000, line_search_fn="strong_wolfe")

        def closure():
            optimiser.zero_grad()
            loss = sum(_exact_terms(model, x)).mean()
            loss.backward()
            return loss

        optimiser.step(closure)
    pca = PCA(latent).fit(x.numpy())
    with torch.no_grad(), seeded(0):
        assert model.log_prob(x).mean().item() == pytest.approx(pca.score(x.numpy()), abs=1e-3)
        assert model.log_weight(x, 50).mean().item() == pytest.approx(pca.score(x.numpy()), abs=2e-3)
        assert model.loss(x.repeat(50, 1)).mean().item() == pytest.approx(-pca.score(x.numpy()), abs=0.02)
        W, b, variance = model.decoder.parts()
        angle = (W.T @ W - torch.diag(W.square().sum(0))).abs().max() / W.square().sum(0).min()
        assert angle < 1e-2 and variance.item() == pytest.approx(pca.noise_variance_, rel=5e-3)
        lengths = np.sort(W.square().sum(0))[::-1]
        np.testing.assert_allclose(lengths, pca.explained_variance_ - pca.noise_variance_, rtol=1e-2)
        np.testing.assert_allclose(b, pca.mean_, atol=0.02)


def _exact_terms(model, x):
    """Distortion in expectation, where the model has a closed form, so that the optimum is not blurred by noise."""
    q, (W, b, variance) = model.encode(x), model.decoder.parts()
    error = (x - q.mean @ W.T - b).square().sum(1) + (q.variance @ W.T.square()).sum(1)
    distortion = 0.5 * error / variance + 0.5 * x.shape[1] * (2 * math.pi * variance).log()
    return distortion, model.terms(x)[1].sum(1)


def test_fit_finds_probabilistic_pca_by_the_loss():
    with seeded(1):
        x = torch.randn(2000, 3) @ torch.tensor([[2.0, 0, 0], [1.0, 1, 0], [0.5, 0.3, 0.4]]).T + 4
    model = LinearVAE((3,), 2)
    fit(model, x, epochs=60, batch_size=200, lr=0.02, average=0.98, device="cpu", progress=False)
    score = PCA(2).fit(x.numpy()).score(x.numpy())
    with torch.no_grad():
        assert score - 0.02 < model.log_prob(x).mean().item() < score + 1e-4
    assert elbo(model, x, 20).nats == pytest.approx(-score, abs=0.03)


# Bounds of other models.

SMALL = {  # name: (arguments, x as small as can be)
    "categorical": ({"event_shape": (2,), "levels": 3}, None),
    "logistic": ({"event_shape": (2,), "levels": 4, "likelihood": "logistic"}, None),
    "bernoulli": ({"event_shape": (3,), "levels": 2, "likelihood": "bernoulli"}, None),
    "image": ({"event_shape": (1, 2, 2), "levels": 2}, None),
    "normal": ({"event_shape": (2,), "levels": None}, torch.tensor([[0.3, -1.0], [2.0, 0.1], [-1.5, -0.7]]).double()),
}


def small(name, latent=1, strength=0.3, **options):
    arguments, x = SMALL[name]
    model = lively(VAE(**{"hidden": (8,), "latent": latent, **arguments, **options}), strength).double()
    return model, states(model.event_shape, model.levels) if x is None else x


@torch.no_grad()
@pytest.mark.parametrize("name", SMALL)
def test_weights_against_quadrature_over_z(name):
    """log p(x), the ELBO and the sum of all p(x), where z has one dimension."""
    model, x = small(name, strength=0.2)
    z, cell = line()
    joint = log_joint(model, x, z)
    exact = joint.logsumexp(0) + math.log(cell)
    if model.levels:
        assert exact.exp().sum().item() == pytest.approx(1, abs=1e-6)
    q = model.encode(x)
    log_q = torch.tensor(scipy.stats.norm.logpdf(z, q.mean[:, 0], q.stddev[:, 0]))
    bound = (log_q.exp() * (joint - log_q)).sum(0) * cell
    with seeded(0):
        log_w = model.log_weight(x, 20_000)
    assert log_w.shape == (20_000, len(x))
    relative = (log_w - exact).exp()
    assert ((relative.mean(0) - 1).abs() < 5 * relative.std(0) / 20_000**0.5).all()
    assert ((log_w.mean(0) - bound).abs() < 5 * log_w.std(0) / 20_000**0.5).all()
    assert (bound < exact).all() and (exact - bound).max() > 0.01
    with seeded(0):
        loss = torch.stack([model.loss(x) for _ in range(2000)])
    assert ((loss.mean(0) + bound).abs() < 5 * loss.std(0) / 2000**0.5).all()


@torch.no_grad()
@pytest.mark.parametrize("name", SMALL)
def test_mean_of_log_weights_is_minus_distortion_and_rate(name):
    """With the rate by torch's own divergence between normal distributions."""
    model, x = small(name, latent=3)
    q = model.encode(x)
    rate = torch.distributions.kl_divergence(q.base_dist, torch.distributions.Normal(torch.zeros(3).double(), 1.0))
    with seeded(0):
        terms = [model.terms(x) for _ in range(2000)]
    distortion = torch.stack([one for one, _ in terms])
    assert terms[0][1].shape == rate.shape and distortion.shape == (2000, len(x))
    close(terms[0][1], rate)
    with seeded(1):
        log_w = model.log_weight(x, 4000)
    error = (log_w.var(0) / 4000 + distortion.var(0) / 2000).sqrt()
    assert ((log_w.mean(0) + distortion.mean(0) + rate.sum(1)).abs() < 5 * error).all()


@torch.no_grad()
@pytest.mark.parametrize("name", SMALL)
def test_samples_follow_the_quadrature(name):
    model, x = small(name)
    z, cell = line()
    seen = []
    model.decoder.network.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    with seeded(0):
        samples = model.sample(20_000)
    assert scipy.stats.kstest(seen[0][:, 0].numpy(), "norm").pvalue > 1e-3
    assert samples.shape[1:] == model.event_shape
    if model.levels:
        p = (log_joint(model, x, z).logsumexp(0) + math.log(cell)).exp()
        assert samples.dtype == torch.long
        number = samples.flatten(1) @ model.levels ** torch.arange(x[0].numel()).flip(0)
        counts = np.bincount(number, minlength=len(x))
        assert scipy.stats.chisquare(counts, 20_000 * p.numpy() / p.sum().item()).pvalue > 1e-3
    else:  # the distribution function of the first dimension
        p, weight = model.decoder.given(z), torch.tensor(scipy.stats.norm.pdf(z[:, 0])) * cell

        def cdf(v):
            return (weight @ torch.distributions.Normal(p.mean[:, :1], p.stddev[:, :1]).cdf(torch.tensor(v))).numpy()

        assert samples.dtype == torch.float64
        assert scipy.stats.kstest(samples[:, 0].numpy(), cdf).pvalue > 1e-3


@torch.no_grad()
@pytest.mark.parametrize(
    "likelihood, levels", [("categorical", 4), ("logistic", 4), ("bernoulli", 2), ("normal", None)]
)
def test_what_the_parameters_of_a_decoder_mean(likelihood, levels):
    """Added to the bias, dimension after dimension, and read by scipy."""
    size = {"categorical": 4, "logistic": 15, "bernoulli": 1, "normal": 2}[likelihood]
    network = lively(nn.Linear(2, 3 * size), 0.3).double()
    decoder = lively(Decoder((1, 3), levels, 2, likelihood=likelihood, network=network), 0.3).double()
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    parameters = (network(z).view(5, 3, size) + decoder.bias).numpy()
    x = torch.randint(levels or 9, (5, 3), generator=torch.Generator().manual_seed(1))
    if likelihood == "categorical":
        log_p = np.log(scipy.special.softmax(parameters.cumsum(-1) / 2, -1))
    elif likelihood == "logistic":
        logits, loc, log_scale = np.split(parameters[..., None, :], 3, -1)
        edges = np.array([-np.inf, 0.5, 1.5, 2.5, np.inf])[:, None]
        cdf = scipy.stats.logistic.cdf(edges, 4 * loc - 0.5, np.exp(log_scale))
        log_p = np.log((scipy.special.softmax(logits, -1) * np.diff(cdf, axis=-2)).sum(-1))
    elif likelihood == "bernoulli":
        one = scipy.special.expit(parameters)
        log_p = np.log(np.concatenate((1 - one, one), -1))
    if levels:
        expected = np.take_along_axis(log_p, x.numpy()[..., None], -1)[..., 0].sum(1)
    else:
        x = x / 3.0 - 1
        expected = scipy.stats.norm.logpdf(x, parameters[..., 0], np.exp(parameters[..., 1])).sum(1)
    np.testing.assert_allclose(decoder.log_prob(x.view(5, 1, 3), z), expected, rtol=1e-6)


class Kinds(nn.Module):
    """z is one of three kinds: log_weight with draws from q(z | x), which can be enumerated."""

    event_shape, levels = (1,), 4

    def __init__(self):
        super().__init__()
        with seeded(0):
            self.prior, self.likelihood, self.q = torch.randn(3), torch.randn(3, 4), torch.randn(4, 3)

    def parts(self):
        return (v.double().log_softmax(-1) for v in (self.prior, self.likelihood, self.q))

    def log_weight(self, x, k):
        prior, likelihood, q = self.parts()
        x = x[:, 0]
        z = torch.multinomial(q[x].exp(), k, replacement=True).T  # (k, B)
        return prior[z] + likelihood[z, x] - q[x, z]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_elbo_and_iwae_of_a_discrete_latent_by_enumeration(k):
    """E[log w] over 3 kinds, and E[log (1/k) Σ w] over all 3^k draws."""
    model = Kinds()
    prior, likelihood, q = model.parts()
    with torch.no_grad():
        log_w = prior + likelihood.T - q  # (x, z)
        mean, bound, exact = ((q.exp() * log_w).sum(1), 0, (prior + likelihood.T).logsumexp(1))
        for z in itertools.product(range(3), repeat=k):
            z = list(z)
            bound = bound + q[:, z].sum(1).exp() * (log_w[:, z].logsumexp(1) - math.log(k))
    x = torch.arange(4).repeat_interleave(20_000)[:, None]
    for result, expected, kind in ((elbo(model, x, k), mean, 1), (iwae(model, x, k), bound, k)):
        values = -result.per_example.view(4, -1)
        assert ((values.mean(1) - expected).abs() < 5 * values.std(1) / 20_000**0.5 + 1e-12).all()
        assert result.k == kind and result.kind == "upper bound" and (expected < exact + 1e-12).all()


# Gradients.


@pytest.mark.parametrize("options", [{}, {"beta": 0.3}, {"free_bits": 0.2}, {"k": 3}], ids=str)
@pytest.mark.parametrize("name", ["categorical", "logistic", "normal"])
def test_gradient_is_that_of_finite_differences_with_the_same_noise(name, options):
    model, x = small(name, latent=2, **options)

    def loss():
        with seeded(3):
            return model.loss(x).sum()

    loss().backward()
    for parameter in model.parameters():
        flat, gradient = parameter.detach().view(-1), parameter.grad.view(-1)
        for i in range(0, len(flat), max(1, len(flat) // 5)):
            values = []
            for step in (1e-5, -2e-5):
                flat[i] += step
                values.append(loss().item())
            flat[i] += 1e-5
            assert gradient[i].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-6)


def test_pathwise_and_score_function_gradients_have_the_same_mean_and_other_variances():
    """∂/∂m E_q[log w], from 4000 draws each: by z = m + s ε, and by log w · ∂ log q(z) / ∂m with z held fixed."""
    model, x = small("bernoulli", latent=1)
    x, last = x[:1].expand(4000, 3), [m for m in model.encoder.modules() if isinstance(m, nn.Linear)][-1]
    outputs = []
    last.register_forward_hook(lambda _, inputs, output: outputs.append(output))
    with seeded(0):
        log_w = model.log_weight(x, 1)[0]
    pathwise = torch.autograd.grad(log_w.sum(), outputs[-1])[0][:, 0]
    with seeded(1), torch.no_grad():
        q = model.encode(x)
        z = q.mean + q.stddev * torch.randn(4000, 1).double()
        log_w = torch.diagonal(log_joint(model, x[:1], z).expand(-1, 4000)) - q.log_prob(z)
        score = log_w * ((z - q.mean) / q.variance)[:, 0]
    error = ((pathwise.var() + score.var()) / 4000).sqrt()
    assert (pathwise.mean() - score.mean()).abs() < 4 * error
    assert pathwise.mean().abs() > 4 * pathwise.std() / 4000**0.5  # there is something to agree on
    assert score.var() / pathwise.var() > 2


# The two knobs of the loss.


@torch.no_grad()
def test_beta_and_free_bits_change_the_loss_by_what_they_say():
    model, x = small("categorical", latent=3)
    with shared_noise():
        distortion, rate = model.terms(x)
        assert (rate < 0.05).any() and (rate > 0.05).any()
        for beta, free_bits in ((1, 0), (0, 0), (0.25, 0), (4, 0), (1, 0.05), (2, 0.05)):
            model.beta, model.free_bits = beta, free_bits
            paid = np.maximum(rate.numpy(), free_bits).sum(1)
            close(model.loss(x), distortion + beta * torch.tensor(paid))
            assert torch.equal(model.log_weight(x, 2)[0], model.log_weight(x, 2)[1])  # which has no knobs


def test_below_free_bits_the_rate_has_no_gradient():
    model, x = small("categorical", latent=2, strength=0.05, free_bits=5.0)
    distortion, rate = model.terms(x)
    assert (rate < 5).all()
    with seeded(0):
        with_bits = torch.autograd.grad(model.loss(x).sum(), model.encoder.parameters())
    with seeded(0):
        distortion = torch.autograd.grad(model.terms(x)[0].sum(), model.encoder.parameters())
    for a, b in zip(with_bits, distortion):
        close(a, b)


@torch.no_grad()
def test_loss_of_k_weights_is_the_log_of_their_mean():
    model, x = small("categorical", k=6)
    with seeded(0):
        log_w = model.log_weight(x, 6).numpy()
    with seeded(0):
        np.testing.assert_allclose(model.loss(x), -np.log(np.exp(log_w).mean(0)))
    model.k = 1
    with seeded(0):
        loose = torch.stack([model.loss(x) for _ in range(2000)])
    model.k = 6
    with seeded(0):
        tight = torch.stack([model.loss(x) for _ in range(2000)])
    assert (tight.mean(0) < loose.mean(0)).all() and (tight.mean(0) < loose.mean(0) - 0.01).any()


# Priors, decoders and encoders of other kinds.


@torch.no_grad()
def test_flow_as_prior_counts_its_determinant_once():
    """Against quadrature with a density of z that is known: an affine flow of normal noise, N(1.5, 0.4²)."""
    model, x = small("categorical", prior=Flow(StandardNormal((1,)), [Affine((1,))]))
    affine = model.prior.transforms[0]
    affine.loc.fill_(1.5), affine.log_scale.fill_(math.log(0.4))
    z, cell = line()
    assert (model.prior.log_prob(z).exp().sum() * cell).item() == pytest.approx(1)
    p = torch.tensor(scipy.stats.norm.logpdf(z[:, 0], 1.5, 0.4))[:, None]
    joint = log_joint(model, x, z) - torch.tensor(scipy.stats.norm.logpdf(z)) + p
    q = model.encode(x)
    log_q = torch.tensor(scipy.stats.norm.logpdf(z, q.mean[:, 0], q.stddev[:, 0]))
    bound = (log_q.exp() * (joint - log_q)).sum(0) * cell
    with seeded(0):
        log_w, loss = model.log_weight(x, 20_000), torch.stack([model.loss(x) for _ in range(4000)])
    assert ((log_w.mean(0) - bound).abs() < 5 * log_w.std(0) / 20_000**0.5).all()
    assert ((loss.mean(0) + bound).abs() < 5 * loss.std(0) / 4000**0.5).all()
    assert model.terms(x)[1].shape == (len(x), 1)
    counts = np.bincount(model.sample(20_000) @ torch.tensor([3, 1]), minlength=9)
    exact = (joint.logsumexp(0) + math.log(cell)).exp()
    assert scipy.stats.chisquare(counts, 20_000 * exact.numpy() / exact.sum().item()).pvalue > 1e-3


@torch.no_grad()
def test_flow_prior_in_two_dimensions_integrates_to_one_and_is_what_is_drawn_from():
    model = VAE((2,), 2, latent=2, prior=lively(RealNVP((2,), 2, hidden=8), 0.3), hidden=(8,)).double()
    z, cell = line(500, 12.0, 2)
    density = model.prior.log_prob(z).exp() * cell
    assert density.sum().item() == pytest.approx(1, abs=1e-4)
    seen = []
    model.decoder.network.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    with seeded(0):
        model.sample(50_000)
    close(seen[0].mean(0), density @ z, 0.03)
    close((seen[0] ** 2).mean(0), density @ z**2, 0.05)


DECODERS = {
    "MADE": (lambda: MADE((2,), 3, hidden=(8,), condition=1), (2,), 3),
    "PixelCNN": (lambda: PixelCNN((1, 1, 2), 3, channels=6, depth=1, kernel=3, condition=1), (1, 1, 2), 3),
    "RealNVP": (lambda: RealNVP((2,), 2, 8, condition=1), (2,), None),
}


@torch.no_grad()
@pytest.mark.parametrize("name", DECODERS)
def test_decoders_of_other_families(name):
    make, shape, levels = DECODERS[name]
    model = lively(VAE(shape, levels, latent=1, decoder=make(), hidden=(8,)), 0.3).double()
    x = states(shape, levels) if levels else torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    z, cell = line(400)
    exact = torch.stack([model.decoder.log_prob(one.expand(len(z), *shape), z) for one in x], 1)
    exact = (exact + torch.tensor(scipy.stats.norm.logpdf(z))).logsumexp(0) + math.log(cell)
    with seeded(0):
        relative = (model.log_weight(x, 5000) - exact).exp()
        samples = model.sample(5000)
    assert ((relative.mean(0) - 1).abs() < 5 * relative.std(0) / 5000**0.5).all()
    assert samples.shape == (5000, *shape) and model.decode(torch.zeros(3, 1).double()).shape == (3, *shape)
    if levels:
        counts = np.bincount(samples.flatten(1) @ torch.tensor([3, 1]), minlength=9)
        assert scipy.stats.chisquare(counts, 5000 * exact.softmax(0).numpy()).pvalue > 1e-3
    model.initialise(x)
    assert model.initialised


def test_encoder_of_layers_in_sequence():
    network = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
    model, x = VAE((2,), 3, latent=2, encoder=network), torch.tensor([[0, 2], [1, 1]])
    code = torch.tensor([[0.0, 0, 1, 1], [1, 0, 1, 0]])
    q, expected = model.encode(x), network(code)
    close(q.mean, expected[:, :2])
    close(q.variance, expected[:, 2:].exp(), 1e-5)


# Conditions.


@torch.no_grad()
@pytest.mark.parametrize("name", ["categorical", "normal"])
def test_condition(name):
    model, x = small(name, condition=2)
    z, cell = line()
    exact = []
    for label in (0, 1):
        y = torch.full((len(x),), label)
        features = nn.functional.one_hot(y, 2).double()
        exact.append(log_joint(model, x, z, features[:1]).logsumexp(0) + math.log(cell))
        with seeded(0):
            log_w = model.log_weight(x, 5000, y)
        relative = (log_w - exact[-1]).exp()
        assert ((relative.mean(0) - 1).abs() < 5 * relative.std(0) / 5000**0.5).all()
        for call in (
            lambda y: model.log_weight(x, 5000, y),
            lambda y: model.loss(x, y),
            lambda y: model.encode(x, y).mean,
            lambda y: model.terms(x, y)[1],
            lambda y: model.sample(len(x), y),
            lambda y: model.decode(torch.ones(len(x), 1).double(), y),
        ):
            with seeded(0):
                by_label = call(y)
            with seeded(0):
                assert torch.equal(call(features), by_label)
    assert (exact[0] - exact[1]).abs().max() > 0.05
    mixed = torch.arange(len(x)) % 2  # the weights of row i belong to y of row i
    with seeded(0):
        weights = model.log_weight(x, 5000, mixed)
    close(weights.logsumexp(0) - math.log(5000), torch.stack(exact, 1)[range(len(x)), mixed], 0.1)
    model.initialise(x, mixed)
    with pytest.raises(ValueError, match="y must be"):
        model.loss(x)


# Where training starts.


@torch.no_grad()
@pytest.mark.parametrize("likelihood", ["categorical", "bernoulli"])
def test_initialised_it_is_the_model_of_independent_levels(likelihood):
    levels = 2 if likelihood == "bernoulli" else 5
    x = torch.randint(levels, (50, 1, 2, 2), generator=torch.Generator().manual_seed(0)) // torch.tensor([1, 2])
    model = VAE((1, 2, 2), levels, latent=3, hidden=(8,), likelihood=likelihood).double()
    assert not model.initialised
    model.initialise(x)
    p = np.stack([np.bincount(column, minlength=levels) + 1 for column in x.flatten(1).T]) / (50 + levels)
    expected = torch.tensor(np.log(p[range(4), x.flatten(1)]).sum(1))
    close(model.log_weight(x, 6), expected.expand(6, 50), 1e-6)  # q = prior as well
    close(model.loss(x), -expected, 1e-6)
    other = VAE((1, 2, 2), levels, latent=3, hidden=(8,), likelihood=likelihood).double()
    other.load_state_dict(load(save(model.state_dict())))
    assert other.initialised
    close(other.loss(x), -expected, 1e-6)


@torch.no_grad()
def test_initialised_it_is_the_model_of_independent_normal_variables():
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([2.0, 0.1]) + 3
    expected = scipy.stats.norm.logpdf(x, x.mean(0), x.std(0, correction=0)).sum(1)
    model = VAE((2,), None, latent=1).double()
    model.initialise(x)
    np.testing.assert_allclose(model.log_weight(x, 2), [expected] * 2, rtol=1e-6)
    model = LinearVAE((2,), 1).double()
    model.initialise(x)
    close(model.decoder.bias, x.mean(0))
    close(model.decoder.log_var, x.var(0, correction=0).mean().log())
    for model in (VAE((2,), None), LinearVAE((2,))):  # constant data, one example
        model.initialise(torch.full((1, 2), 7.0))
        assert model.loss(torch.full((1, 2), 7.0)).isfinite().all()


def test_logistic_decoder_starts_near_the_frequencies():
    x = torch.randint(17, (500, 2), generator=torch.Generator().manual_seed(0)) // torch.tensor([1, 4])
    model = VAE((2,), 17, likelihood="logistic")
    model.initialise(x)
    p = Decoder.given(model.decoder, torch.zeros(1, 16))
    close(p.mean[0], x.float().mean(0), 0.6)
    frequencies = [np.bincount(x[:, d], minlength=17) / 500 for d in range(2)]
    entropy = sum(scipy.stats.entropy(f) for f in frequencies)
    assert entropy < model.loss(x).mean().item() < entropy + 0.4


def test_seed_fixes_the_weights_and_leaves_the_global_state():
    before = torch.get_rng_state()
    a, b, c = (VAE((2,), 3, latent=2, hidden=(8,), seed=seed).state_dict() for seed in (5, 5, 6))
    d, e = (LinearVAE((3,), seed=seed).state_dict() for seed in (5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a[name], b[name]) for name in a)
    for name in ("encoder.layers.0.weight", "decoder.network.layers.0.weight"):
        assert not torch.equal(a[name], c[name])
    assert not torch.equal(d["decoder.weight"], e["decoder.weight"])
    assert not torch.equal(a["encoder.layers.0.weight"][:, :2], a["decoder.network.layers.0.weight"])


def test_dropout_is_for_training_only():
    model = lively(VAE((2,), 3, latent=2, hidden=(32,), dropout=0.5), 0.3)
    x = states((2,), 3)
    with shared_noise():
        losses = [model.train(mode).loss(x) for mode in (True, True, False, False)]
    assert not torch.equal(losses[0], losses[1]) and torch.equal(losses[2], losses[3])
    assert model.train().decoder.mean(torch.ones(1, 2)).ne(model.decoder.mean(torch.ones(1, 2))).any()
    assert model.encode(x).mean[0].ne(model.encode(x).mean[0]).any()
    assert evaluate(model.train(), x).nats == evaluate(model.eval(), x).nats


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_precisions(name, device, dtype):
    model, x = small(name)
    model, x = model.to(device, dtype), x.to(device)
    model.initialise(x.to(dtype) if model.levels is None else x)
    x = x.to(dtype) if model.levels is None else x.to(torch.uint8)
    for value in (model.loss(x), *model.terms(x), model.log_weight(x, 3), model.encode(x).mean):
        assert value.dtype == dtype and value.device.type == device
    samples = model.sample(3)
    assert samples.device.type == device and samples.dtype == (torch.long if model.levels else dtype)
    mean = model.decoder.mean(torch.zeros(3, 1).to(device, dtype))
    assert mean.shape == (3, *model.event_shape) and mean.device.type == device and mean.dtype == dtype
    model.loss(x).sum().backward()


@torch.no_grad()
def test_float64_data_go_into_a_float32_model():
    model, linear = VAE((2,), None, hidden=(8,)), LinearVAE((2,))
    for some in (model, linear):
        assert some.loss(torch.zeros(3, 2).double()).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("name", SMALL)
def test_mean_of_the_decoder_is_that_of_its_draws(name):
    model, _ = small(name)
    z = torch.tensor([[0.7]]).double()
    with seeded(0):
        draws = model.decode(z.expand(20_000, 1)).double()
    error = draws.std(0) / 20_000**0.5
    assert ((draws.mean(0) - model.decoder.mean(z)[0]).abs() < 5 * error).all()


# Learning.


@pytest.mark.parametrize("k", [1, 8])
def test_fit_learns_a_toy_and_never_goes_below_its_entropy(k):
    """Two bits that are equal, and one that is free: the entropy is 2 log 2, of which independent bits need 3."""
    with seeded(0):
        bits = torch.randint(2, (2000, 2))
    x = bits[:, [0, 0, 1]]
    model = VAE((3,), 2, latent=1, hidden=(16,), k=k)
    history = fit(model, x, epochs=60, batch_size=200, lr=0.02, device="cpu", progress=False)
    entropy = scipy.stats.entropy(np.bincount(bits @ torch.tensor([2, 1])))
    assert history.train[0] > 3 * math.log(2) - 0.05 and history.train[-1] < history.train[0] - 0.4
    bound, tight = iwae(model, x, k), iwae(model, x, 200)
    assert entropy - 0.01 < tight.nats < bound.nats + 0.01 < 3 * math.log(2) - 0.4
    assert tight.nats < entropy + 0.15, tight
    with seeded(0):
        samples = model.sample(2000)
    assert (samples[:, 0] == samples[:, 1]).float().mean() > 0.93
    assert aggregate_posterior(model, x[:200]).active == 1


# What is refused.

PAIR, LINE = VAE((2,), 3, latent=2, hidden=(4,)), LinearVAE((2,))
GIVEN = VAE((2,), 3, latent=2, hidden=(4,), condition=3)
X, Z = torch.zeros(4, 2).long(), torch.zeros(4, 2)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: VAE(2, 3), "event_shape must"),
        (lambda: VAE((), 3), "event_shape must"),
        (lambda: VAE((2,), 1), "levels must be at least 2"),
        (lambda: VAE((2,), 3.0), "levels must be an integer"),
        (lambda: VAE((2,), 3, latent=0), "latent must be at least 1"),
        (lambda: VAE((2,), 3, condition=-1), "condition must be at least 0"),
        (lambda: VAE((2,), 3, beta=-0.1), "beta must be"),
        (lambda: VAE((2,), 3, beta=None), "beta must be a number"),
        (lambda: VAE((2,), 3, free_bits=math.nan), "free_bits must be"),
        (lambda: VAE((2,), 3, k=0), "k must be at least 1"),
        (lambda: VAE((2,), 3, hidden=4), "hidden must be a sequence"),
        (lambda: VAE((2,), 3, hidden=(0,)), "hidden must be at least 1"),
        (lambda: VAE((2,), 3, seed=-1), "seed must"),
        (lambda: VAE((2,), 3, dropout=1.5), "dropout"),
        (lambda: VAE((2,), 3, likelihood="bernoulli"), "'categorical' or 'logistic' for levels=3, got 'bernoulli'"),
        (lambda: VAE((2,), 3, likelihood="normal"), "got 'normal'"),
        (lambda: VAE((2,), None, likelihood="categorical"), "must be 'normal' for levels=None"),
        (lambda: VAE((2,), 2, likelihood="gauss"), "'categorical' or 'logistic' or 'bernoulli'"),
        (lambda: VAE((2,), 3, k=2, beta=2), "k > 1 is a bound of its own"),
        (lambda: VAE((2,), 3, k=2, free_bits=1), "k > 1 is a bound of its own"),
        (lambda: VAE((2,), 3, latent=2, free_bits=1, prior=RealNVP((2,), 1)), "needs the standard normal prior"),
        (lambda: VAE((2,), 3, latent=2, prior=RealNVP((3,), 1)), r"prior must be a model with event_shape=\(2,\)"),
        (lambda: VAE((2,), 3, latent=2, prior=nn.Linear(2, 2)), "prior must be a model with .*got event_shape=None"),
        (lambda: VAE((2,), 3, latent=2, prior=MADE((2,), 3)), "prior must be .*levels=None, got .*levels=3"),
        (lambda: VAE((2,), 3, 2, decoder=MADE((2,), 3)), "decoder must be .*condition=2, got .*condition=0"),
        (lambda: VAE((2,), 3, 2, decoder=MADE((2,), 3, condition=2), condition=1), "decoder must be .*condition=3"),
        (lambda: VAE((2,), 3, 2, decoder=MADE((2,), 5, condition=2)), "decoder must be .*levels=3.*got .*levels=5"),
        (lambda: VAE((2,), 3, 2, decoder=MADE((3,), 3, condition=2)), r"decoder must be .*got event_shape=\(3,\)"),
        (lambda: VAE((2,), 3, 2, decoder=nn.Linear(2, 6)), "decoder must be a model with"),
        (lambda: VAE((2,), 3, 2, decoder=MADE((2,), 3, condition=2), likelihood="logistic"), "likelihood belongs"),
        (lambda: VAE((2,), 3, 2, encoder=nn.Linear(4, 2)).encode(X), r"encoder must return \(B, 4\), .*got \(4, 2\)"),
        (lambda: Decoder((2,), 3, 2, network=nn.Linear(2, 5)).given(Z), r"network must return \(B, 6\), got \(4, 5\)"),
        (lambda: Decoder((2,), 3, 0), "condition must be at least 1"),
        (lambda: Decoder((2,), 3, 2).log_prob(X, Z[:1]), "y must be 4 labels"),
        (lambda: Decoder((2,), 3, 2).log_prob(X, None), "y must be 4 labels"),
        (lambda: Decoder((2,), 3, 2).given(None), "y must be"),
        (lambda: Decoder((2,), 3, 2).mean(torch.zeros(4, 3)), "y must be"),
        (lambda: Decoder((2,), 3, 2).sample(3, Z), "y must be 3 labels"),
        (lambda: Decoder((2,), 3, 2).initialise(X + 3), "x must hold levels"),
        (lambda: PAIR.loss(X.float()), "x must hold integer levels"),
        (lambda: PAIR.loss(X + 3), "x must hold levels"),
        (lambda: PAIR.loss(X[0]), "x must have shape"),
        (lambda: PAIR.terms(X[:0]), "x is empty"),
        (lambda: PAIR.encode([0, 1]), "x must be a torch tensor"),
        (lambda: PAIR.log_weight(X, 0), "k must be at least 1"),
        (lambda: PAIR.log_weight(X, 2.0), "k must be an integer"),
        (lambda: PAIR.sample(0), "n must"),
        (lambda: PAIR.sample(2.5), "n must"),
        (lambda: PAIR.decode(torch.tensor([0, 1])), "z must have shape"),
        (lambda: PAIR.decode(torch.zeros(2, 3)), "z must have shape"),
        (lambda: PAIR.decode(X), "z must be floating point"),
        (lambda: PAIR.decode(Z * math.nan), "z contains NaN"),
        (lambda: PAIR.initialise(X.float()), "x must hold integer levels"),
        (lambda: PAIR.loss(X, torch.zeros(4).long()), "without condition"),
        (lambda: PAIR.log_weight(X, 2, torch.zeros(4).long()), "without condition"),
        (lambda: PAIR.sample(4, torch.zeros(4).long()), "without condition"),
        (lambda: PAIR.decode(Z, torch.zeros(4).long()), "without condition"),
        (lambda: GIVEN.loss(X), "y must be 4 labels"),
        (lambda: GIVEN.loss(X, torch.zeros(3).long()), "y must be 4 labels"),
        (lambda: GIVEN.log_weight(X, 2, torch.full((4,), 3)), r"y must hold levels 0\.\.2"),
        (lambda: GIVEN.encode(X, torch.zeros(4)), "y must hold integer"),
        (lambda: GIVEN.sample(4), "y must be 4 labels"),
        (lambda: GIVEN.initialise(X), "y must be 4 labels"),
        (lambda: LinearVAE((2,), latent=0), "latent must be at least 1"),
        (lambda: LinearVAE((), 1), "event_shape must"),
        (lambda: LINE.log_prob(X), "x must be floating"),
        (lambda: LINE.posterior(Z[:, :1]), "x must have shape"),
        (lambda: LINE.loss(Z * math.nan), "x contains NaN"),
        (lambda: LINE.encode(X), "x must be floating"),
        (lambda: LINE.initialise(X), "x must be floating"),
        (lambda: LINE.loss(Z, torch.zeros(4).long()), "without condition"),
    ],
)
def test_what_is_impossible_is_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()


def test_free_bits_go_with_the_standard_normal_prior_given_by_name():
    assert VAE((2,), 3, latent=2, free_bits=1.0, prior=StandardNormal((2,))).free_bits == 1
