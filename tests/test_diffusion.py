"""Diffusion against data of which all is closed form, Bayes on a grid, and steps simulated one by one."""

import itertools
import math
from unittest import mock

import numpy as np
import pytest
import scipy.stats
import torch
from safetensors.torch import load, save
from test_laws import lively, shared_noise
from torch import nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from dgmlite.evaluation import evaluate, iwae
from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.networks import MLP, UNet, seeded, sinusoids
from dgmlite.training import fit

SCHEDULES = {
    "linear": Schedule(20, "linear"),
    "cosine": Schedule(20, "cosine"),
    "log-snr": Schedule(20, "log-snr", (8, -6)),
}


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def mixture(t=None, schedule=None):
    """q(z_t) if x is a mixture of two normal variables, never with zero mean and unit variance; t = 0 is x."""
    A = 1.0 if t is None else schedule.alpha_bar[t].item()
    mean, variance = torch.tensor([-0.5, 1.5]).double(), torch.tensor([0.3, 0.05]).double()
    return MixtureSameFamily(
        Categorical(torch.tensor([0.3, 0.7]).double()), Normal(A**0.5 * mean, (A * variance + 1 - A).sqrt())
    )


class Optimal(nn.Module):
    """What the best network returns for that mixture, in each of the parametrisations; t is read off its sinusoids."""

    def __init__(self, schedule, predict, density=mixture):
        super().__init__()
        self.schedule, self.predict, self.density = schedule, predict, density

    def forward(self, z, h):
        half = h.shape[1] // 2
        times = (torch.atan2(h[:, half], h[:, 0]) * self.schedule.T).round().long()  # ω = 1 comes first
        output = torch.empty_like(z)
        for t in times.unique().tolist():
            A, some = self.schedule.alpha_bar[t].item(), times == t
            x = posterior_mean(z[some], t, self.schedule, self.density)
            noise = (z[some] - A**0.5 * x) / (1 - A) ** 0.5
            output[some] = {"noise": noise, "x0": x, "v": A**0.5 * noise - (1 - A) ** 0.5 * x}[self.predict]
        return output


def posterior_mean(z, t, schedule, density=mixture):
    """E[x | z_t = z] of the mixture: in each component a weighted mean of z and of the component's mean."""
    q, p, A = density(t, schedule), density(), schedule.alpha_bar[t].item()
    mean, variance = p.component_distribution.mean, p.component_distribution.variance
    gain = A**0.5 * variance / (A * variance + 1 - A)
    each = mean + gain * (z[..., None] - A**0.5 * mean)
    weight = (q.mixture_distribution.logits + q.component_distribution.log_prob(z[..., None])).softmax(-1)
    return (weight * each).sum(-1)


def optimal(T=20, kind="log-snr", predict="noise", ends=(8, -8), shape=(1,), density=mixture):
    schedule = Schedule(T, kind, ends)
    return DDPM(shape, None, Optimal(schedule, predict, density), schedule, predict).double()


def small(levels=3, predict=None, T=4, shape=(2,), strength=0.1, **options):
    schedule = Schedule(T, "log-snr", (2, -2))
    return lively(DDPM(shape, levels, None, schedule, predict, hidden=(16,), channels=4, **options), strength).double()


# Schedules.


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("T", [1, 2, 50, 1000])
def test_arrays_of_a_schedule(kind, T):
    s = Schedule(T, kind)
    for array in (s.alpha_bar, s.beta, s.alpha, s.sigma, s.log_snr, s.weight):
        assert array.shape == (T + 1,) and array.dtype == torch.float64
    assert s.alpha_bar[0] == 1 and s.beta[0] == 0 and s.sigma[0] == 0 and s.log_snr[0] == math.inf
    assert (s.alpha_bar.diff() < 0).all() and (0 < s.beta[1:]).all() and (s.beta < 1).all() and s.alpha_bar[-1] > 0
    close(s.alpha_bar[1:], (1 - s.beta[1:]).cumprod(0))
    close(s.alpha**2 + s.sigma**2, torch.ones(T + 1).double())
    close(s.log_snr[1:], 2 * (s.alpha / s.sigma)[1:].log(), 1e-8)


def test_schedules_are_those_of_their_papers():
    np.testing.assert_allclose(Schedule(1000, "linear").beta[1:], np.linspace(1e-4, 0.02, 1000), rtol=0.1, atol=5e-5)
    np.testing.assert_allclose(Schedule(1000, "linear").alpha_bar[::100], Schedule(10, "linear").alpha_bar)
    nichol = np.cos((np.arange(51) / 50 + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.minimum(1 - nichol[1:] / nichol[:-1], 0.999)
    np.testing.assert_allclose(Schedule(50, "cosine").beta[1:], beta, rtol=1e-9)
    np.testing.assert_allclose(Schedule(5, "log-snr", (4, -4)).log_snr[1:], [4, 2, 0, -2, -4], atol=1e-12)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_marginals_by_steps_taken_one_by_one(kind):
    """Each centred on √(1 − β) times the one before, of variance β: by moments, and by simulation of x = 2.5."""
    schedule, mean, variance = SCHEDULES[kind], 1.0, 0.0
    z, n = np.full(100_000, 2.5), 100_000
    model, rng = optimal(20, kind, ends=(8, -6)), np.random.default_rng(0)
    for t in range(1, 21):
        beta = schedule.beta[t].item()
        mean, variance = (1 - beta) ** 0.5 * mean, (1 - beta) * variance + beta
        assert mean == pytest.approx(schedule.alpha[t].item(), rel=1e-9)
        assert variance == pytest.approx(schedule.sigma[t].item() ** 2, rel=1e-9)
        z = rng.normal((1 - beta) ** 0.5 * z, beta**0.5)
        if t in (1, 2, 10, 20):
            with seeded(t):
                drawn = model.diffuse(torch.full((n, 1), 2.5).double(), t)[:, 0].numpy()
            assert scipy.stats.ks_2samp(z, drawn).pvalue > 1e-3
            assert scipy.stats.kstest(drawn, scipy.stats.norm(2.5 * mean, variance**0.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("t, s", [(2, None), (2, 1), (20, None), (20, 5), (11, 10)])
def test_posterior_of_a_step_by_bayes_on_a_grid(kind, t, s):
    schedule, x, z_t = SCHEDULES[kind], 0.7, -0.4
    a, b, c = schedule.posterior(t, s)
    s = t - 1 if s is None else s
    A, B = schedule.alpha_bar[t].item(), schedule.alpha_bar[s].item()
    center, width = a * x + b * z_t, max(c, 1e-3)
    grid = np.linspace(center - 12 * width, center + 12 * width, 20_001)
    log_p = scipy.stats.norm.logpdf(grid, B**0.5 * x, (1 - B) ** 0.5)
    log_p += scipy.stats.norm.logpdf(z_t, (A / B) ** 0.5 * grid, (1 - A / B) ** 0.5)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    assert p[[0, -1]].max() < 1e-12
    assert p @ grid == pytest.approx(center, abs=1e-7)
    assert p @ (grid - p @ grid) ** 2 == pytest.approx(c**2, rel=1e-5)
    if s == t - 1:  # as written by Ho et al.
        beta = schedule.beta[t].item()
        assert a == pytest.approx(B**0.5 * beta / (1 - A)) and b == pytest.approx((1 - beta) ** 0.5 * (1 - B) / (1 - A))
        assert c**2 == pytest.approx(beta * (1 - B) / (1 - A))
        assert schedule.weight[t].item() == pytest.approx(a**2 / (2 * c**2))


@pytest.mark.parametrize("eta", [0, 0.5, 1])
def test_every_eta_keeps_the_marginals(eta):
    schedule = SCHEDULES["cosine"]
    for t, s in ((20, 19), (20, 3), (2, 1)):
        a, b, c = schedule.posterior(t, s, eta)
        assert a + b * schedule.alpha[t].item() == pytest.approx(schedule.alpha[s].item())
        assert b**2 * schedule.sigma[t].item() ** 2 + c**2 == pytest.approx(schedule.sigma[s].item() ** 2)
        assert c == pytest.approx(eta * schedule.posterior(t, s)[2])


def test_schedule_is_cast_from_float64():
    schedule, t = Schedule(1000), torch.tensor([1, 7, 1000])
    for dtype in (torch.float32, torch.float64):
        for mine, array in zip(schedule.at(t, torch.zeros(3, 2, 2, dtype=dtype)), ("alpha", "sigma", "weight")):
            assert mine.shape == (3, 1, 1) and mine.dtype == dtype
            assert torch.equal(mine.flatten(), getattr(schedule, array)[t].to(dtype))


# The best denoiser.


@torch.no_grad()
@pytest.mark.parametrize("predict", ["noise", "x0", "v"])
@pytest.mark.parametrize("t", [1, 9, 20])
def test_denoiser_and_score_by_bayes_on_a_grid(predict, t):
    model = optimal(predict=predict)
    alpha, sigma = model.schedule.alpha[t].item(), model.schedule.sigma[t].item()
    x = np.linspace(-6, 5, 100_001)
    prior = mixture().log_prob(torch.tensor(x)).numpy()
    z = mixture(t, model.schedule).sample((6,))[:, None]
    log_p = prior + scipy.stats.norm.logpdf(z.numpy(), alpha * x, sigma)
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    expected = torch.tensor(p @ x / p.sum(1))[:, None]
    close(model.denoise(z, t), expected, 1e-6)
    close(model.denoise(z, torch.full((6,), t)), expected, 1e-6)
    with torch.enable_grad():
        slope = torch.autograd.grad(mixture(t, model.schedule).log_prob(z.requires_grad_()).sum(), z)[0]
    close(model.score(z.detach(), t), slope, 1e-7)


@torch.no_grad()
def test_what_is_predicted_makes_no_difference():
    """The same x̂ from noise, x or v gives the same bounds, weights and samples; the simple losses differ by factors."""
    models, x = [optimal(predict=predict) for predict in ("noise", "x0", "v")], mixture().sample((500,))[:, None]
    for call in (
        lambda model: model.loss(x),
        lambda model: model.elbo(x),
        lambda model: model.log_weight(x, 2),
        lambda model: model.sample(50),
        lambda model: model.sample(50, steps=7, eta=0.3),
    ):
        results = []
        for model in models:
            with seeded(0):
                results.append(call(model))
        close(results[0], results[1], 1e-6)
        close(results[0], results[2], 1e-6)
    losses = []
    for model in models:
        model.weighting = "simple"
        with seeded(0):
            losses.append(model.loss(x))
    with seeded(0):
        log_snr = models[0].schedule.log_snr[models[0]._random(500)]
    close(losses[0], losses[1] * log_snr.exp(), 1e-6)  # ε − ε̂ = −α (x − x̂) / σ, v − v̂ = −(x − x̂) / σ
    close(losses[2], losses[1] * (1 + log_snr.exp()), 1e-6)


def normal(t=None, schedule=None):
    """The same for x ~ N(1.5, 0.6)."""
    A = torch.ones(()).double() if t is None else schedule.alpha_bar[t]
    one = Normal((A.sqrt() * 1.5)[None], (A * 0.6 + 1 - A).sqrt()[None])
    return MixtureSameFamily(Categorical(torch.ones(1).double()), one)


def bound_of_normal(schedule):
    """Terms L_0 … L_T in expectation over x ~ N(1.5, 0.6), in closed form."""
    A = schedule.alpha_bar[1:]
    left = 0.6 * (1 - A) / (0.6 * A + 1 - A)  # the variance of x given z_t
    snr = A / (1 - A)
    first = 0.5 * (2 * math.pi / snr[0]).log() + left[0] * snr[0] / 2
    between = 0.5 * (snr[:-1] - snr[1:]) * left[1:]
    last = 0.5 * (A[-1] * (0.6 + 1.5**2) - A[-1] - (1 - A[-1]).log())
    return torch.cat((first[None], between, last[None]))


@torch.no_grad()
@pytest.mark.parametrize("kind", SCHEDULES)
def test_terms_of_the_bound_are_closed_form_for_normal_data(kind):
    model, n = optimal(8, kind, ends=(4, -4), density=normal), 100_000
    with seeded(0):
        x = 1.5 + 0.6**0.5 * torch.randn(n, 1).double()
        terms = torch.stack([model.term(x, t) for t in range(1, 9)] + [model.prior_term(x)])
        elbo, log_w = model.elbo(x), model.log_weight(x, 1)[0]
    expected = bound_of_normal(model.schedule)
    assert ((terms.mean(1) - expected).abs() < 4 * terms.std(1) / n**0.5).all()
    for bound in (elbo, log_w):
        assert abs(bound.mean() + expected.sum()) < 4 * bound.std() / n**0.5


def test_bound_of_the_best_denoiser_and_the_entropy():
    """It is reached like (log T) / T if the ends of log-SNR move apart. Else steps halve the SNR near x for every T:
    with α²/σ² like 1/t the gap tends to Σ ½ (1/t − log(1 + 1/t)), half of Euler's constant for each dimension."""
    entropy, gaps = 0.5 * math.log(2 * math.pi * math.e * 0.6), []
    for T in (25, 100, 400, 1600):
        schedule = Schedule(T, "log-snr", (5 + math.log(T), -5 - math.log(T)))
        gaps.append(bound_of_normal(schedule).sum().item() - entropy)
    assert 0 < gaps[3] < 0.05 and all(b < 0.4 * a for a, b in itertools.pairwise(gaps)), gaps
    for kind in ("linear", "cosine"):
        gap = bound_of_normal(Schedule(1_000_000, kind)).sum().item() - entropy
        assert gap == pytest.approx(np.euler_gamma / 2, abs=0.01), kind


@torch.no_grad()
def test_bound_on_a_mixture_is_below_log_p_and_reaches_it():
    with seeded(0):
        x, gaps = mixture().sample((4000,))[:, None], []
        for T in (10, 40, 160):
            bound = torch.cat([optimal(T, ends=(7, -7)).log_weight(x, 1)[0] for _ in range(2)])
            gap = mixture().log_prob(x[:, 0]).repeat(2) - bound
            assert gap.mean() > 0
            gaps.append(gap.mean().item())
    assert gaps[1] < 0.5 * gaps[0] and gaps[2] < 0.5 * gaps[1] and gaps[2] < 0.15, gaps


@torch.no_grad()
@pytest.mark.parametrize("steps, eta", [(None, 1.0), (100, 0.0), (100, 0.5)])
def test_samples_of_the_best_denoiser(steps, eta):
    """In many steps they follow the data's distribution, with noise or without."""
    with seeded(0):
        x = optimal(200, ends=(8, -9)).sample(4000, steps=steps, eta=eta)
    assert x.shape == (4000, 1) and x.dtype == torch.float64
    cdf = mixture().cdf
    assert scipy.stats.kstest(x[:, 0].numpy(), lambda v: cdf(torch.tensor(v)).numpy()).pvalue > 1e-3
    assert x.mean().item() == pytest.approx(mixture().mean.item(), abs=0.06)
    assert x.var().item() == pytest.approx(mixture().variance.item(), abs=0.06)


@torch.no_grad()
def test_ancestral_sampling_as_written_by_ho():
    """With β̃_t and the same noise; the last step draws from p(x | z_1) only, and asks the network at t = 1."""
    model = optimal(12, "cosine")
    beta, A = model.schedule.beta, model.schedule.alpha_bar
    with seeded(0):
        z = torch.randn(50, 1, dtype=torch.float64)
        for t in range(12, 1, -1):
            noise = (z - A[t].sqrt() * posterior_mean(z, t, model.schedule)) / (1 - A[t]).sqrt()
            mean = (z - beta[t] / (1 - A[t]).sqrt() * noise) / (1 - beta[t]).sqrt()  # equation 11
            z = mean + (beta[t] * (1 - A[t - 1]) / (1 - A[t])).sqrt() * torch.randn(50, 1, dtype=torch.float64)
        expected = torch.normal(posterior_mean(z, 1, model.schedule), ((1 - A[1]) / A[1]).sqrt().item())
    for steps in (None, 12, range(1, 13)):
        with seeded(0):
            close(model.sample(50, steps=steps, eta=1.0), expected, 1e-6)


@torch.no_grad()
def test_ddim_draws_nothing_and_is_as_written_by_song():
    model = optimal(12, "cosine")
    A, z = model.schedule.alpha_bar, torch.randn(50, 1).double()
    x, before = model.decode(z, steps=[12, 7, 1], eta=0), torch.get_rng_state()
    assert torch.equal(model.decode(z, steps=[1, 7, 12], eta=0), x) and torch.equal(torch.get_rng_state(), before)
    for t, s in ((12, 7), (7, 1)):
        mean = posterior_mean(z, t, model.schedule)
        z = A[s].sqrt() * mean + (1 - A[s]).sqrt() * (z - A[t].sqrt() * mean) / (1 - A[t]).sqrt()  # equation 12
    close(x, posterior_mean(z, 1, model.schedule), 1e-6)


@torch.no_grad()
def test_number_of_steps_is_the_number_of_passes():
    model, seen = optimal(20), []
    model.network.register_forward_hook(lambda _, inputs, output: seen.append(inputs[1]))
    for steps, times in ((None, range(20, 0, -1)), (20, range(20, 0, -1)), (2, [20, 1]), (5, [20, 15, 10, 6, 1])):
        seen.clear()
        model.sample(3, steps=steps)
        expected = [sinusoids(torch.full((3,), t).double() / 20, 32) for t in times]
        close(torch.stack(seen), torch.stack(expected))
    seen.clear()
    model.decode(torch.zeros(3, 1), steps=[4, 1])  # from half way
    close(seen[0][0], sinusoids(torch.tensor([4.0]).double() / 20, 32)[0])


# The bound as an expectation over whole trajectories.


@torch.no_grad()
@pytest.mark.parametrize(
    "levels, predict", [(2, "levels"), (3, "noise"), (2, "x0"), (3, "v"), (None, "v"), (3, "levels")]
)
def test_weights_by_trajectories_simulated_forwards(levels, predict):
    """log p(x, z_1 … z_T) − log q(z_1 … z_T | x), its densities by scipy, the z by steps from x on."""
    model, n = small(levels, predict, condition=2), 20_000
    schedule, rng, y = model.schedule, np.random.default_rng(0), torch.ones(n).long()
    x = torch.tensor([[0.3, -0.8]]).double() if levels is None else torch.tensor([[1, 0]])
    u, scale = (x, 1) if levels is None else (2 * x / (levels - 1) - 1, (levels - 1) / 2)
    u, xs = u.double().numpy(), x.expand(n, 2)

    def mean(z, t):
        x_hat = model.denoise(torch.tensor(z), t, y).numpy()
        return x_hat if levels is None else x_hat / scale - 1

    z, log_w = [np.repeat(u, n, 0)], np.zeros(n)
    for t in range(1, 5):
        beta = schedule.beta[t].item()
        z.append(rng.normal((1 - beta) ** 0.5 * z[-1], beta**0.5))
        log_w -= scipy.stats.norm.logpdf(z[t], (1 - beta) ** 0.5 * z[t - 1], beta**0.5).sum(1)
    log_w += scipy.stats.norm.logpdf(z[4]).sum(1)
    for t in range(4, 1, -1):
        a, b, c = schedule.posterior(t)
        log_w += scipy.stats.norm.logpdf(z[t - 1], a * mean(z[t], t) + b * z[t], c).sum(1)
    std, x_hat = math.exp(-schedule.log_snr[1] / 2), mean(z[1], 1)
    if levels is None:
        log_w += scipy.stats.norm.logpdf(u, x_hat, std).sum(1)
    elif predict == "levels" and levels == 2:  # the mean of a bit is its probability
        log_w += np.log(np.where(x.numpy() == 1, (x_hat + 1) / 2, (1 - x_hat) / 2)).sum(1)
    elif predict == "levels":
        output = model.network(torch.tensor(z[1]), _features(model, 1, y)).view(n, 3, 2).movedim(1, -1) + model.bias
        values, alpha, sigma = np.array([-1, 0, 1]), schedule.alpha[1].item(), schedule.sigma[1].item()
        logits = output.cumsum(-1).numpy() / 3**0.5 + scipy.stats.norm.logpdf(z[1][..., None], alpha * values, sigma)
        log_w += np.take_along_axis(scipy.special.log_softmax(logits, -1), xs.numpy()[..., None], -1)[..., 0].sum(1)
    else:
        values = np.linspace(-1, 1, levels)
        logits = scipy.special.log_softmax(scipy.stats.norm.logpdf(values, x_hat[..., None], std), -1)
        log_w += np.take_along_axis(logits, xs.numpy()[..., None], -1)[..., 0].sum(1)
    with seeded(0):
        ours = model.log_weight(x, n, y[:1])[:, 0]
        elbo = model.elbo(xs, y)
        terms = torch.stack([model.term(xs, t, y) for t in range(1, 5)])
    error = log_w.std() / n**0.5
    assert abs(ours.mean().item() - log_w.mean()) < 5 * (error + ours.std().item() / n**0.5)
    assert abs(elbo.mean().item() - log_w.mean()) < 5 * (error + elbo.std().item() / n**0.5)
    total = (terms.sum(0) + model.prior_term(xs)).mean().item()
    assert abs(total + log_w.mean()) < 5 * (error + terms.std(1).sum().item() / n**0.5)
    assert scipy.stats.ks_2samp(ours.numpy(), log_w).pvalue > 1e-3


def _features(model, t, y):
    h = sinusoids(torch.full((len(y),), t / model.schedule.T).double(), 32)
    return torch.cat((h, nn.functional.one_hot(y, 2).double()), 1)


@torch.no_grad()
def test_term_of_each_example_is_that_of_its_t():
    model, x, t = small(), torch.randint(3, (40, 2)), torch.randint(1, 5, (40,))
    with shared_noise():
        mixed, each = model.term(x, t), torch.stack([model.term(x, s) for s in range(1, 5)])
    close(mixed, each[t - 1, torch.arange(40)])


def test_random_t_are_each_uniform_and_together_evenly_spread():
    model = small()
    with mock.patch.object(torch, "rand", lambda n, **options: torch.full((n,), 1 - 2**-24, **options)):
        for T in (3, 7, 1000, 1023, 4096):  # not rounded up
            assert DDPM((1,), None, schedule=Schedule(T), hidden=(1,))._random(1).item() == T
    with seeded(0):
        assert model._random(1000).bincount().tolist() == [0, 250, 250, 250, 250]
        for i in range(3):  # of a batch that T does not divide
            counts = torch.stack([model._random(7)[i] for _ in range(2000)]).bincount()
            assert counts[0] == 0 and scipy.stats.chisquare(counts[1:]).pvalue > 1e-3


# Levels.


@torch.no_grad()
def test_initialised_it_is_the_best_model_of_independent_levels():
    """The network is zero at first: p(x | z_t) is Bayes' rule with the frequencies, whose entropy the bound reaches."""
    x = torch.randint(5, (300, 2), generator=torch.Generator().manual_seed(0)) // torch.tensor([1, 2])
    model = DDPM((2,), 5, schedule=Schedule(600, "log-snr", (6, -8)), hidden=(4,)).double()
    model.initialise(x)
    p = np.stack([np.bincount(column, minlength=5) + 1 for column in x.T]) / 305
    z, t = torch.randn(20, 2).double(), 240
    alpha, sigma = model.schedule.alpha[t].item(), model.schedule.sigma[t].item()
    posterior = p * scipy.stats.norm.pdf(z[..., None], alpha * np.linspace(-1, 1, 5), sigma)
    expected = (posterior / posterior.sum(-1, keepdims=True)) @ np.arange(5)
    np.testing.assert_allclose(model.denoise(z, t), expected, rtol=1e-6)
    cross_entropy = -np.log(p[range(2), x]).sum(1).mean()
    with seeded(0):
        bound = -model.log_weight(x, 20).mean().item()
        samples = model.sample(3000)
    assert cross_entropy < bound < cross_entropy + 0.06  # with T = 150 it would be 0.13
    for d in range(2):
        assert scipy.stats.chisquare(np.bincount(samples[:, d], minlength=5), 3000 * p[d]).pvalue > 1e-3
    other = DDPM((2,), 5, schedule=Schedule(600, "log-snr", (6, -8)), hidden=(4,)).double()
    other.load_state_dict(load(save(model.state_dict())))
    assert other.initialised and torch.equal(other.denoise(z, t), model.denoise(z, t))


@torch.no_grad()
def test_order_of_what_the_network_returns():
    """P numbers for each dimension come as P maps for each channel's worth of image: (B, P, *event_shape)."""

    class Given(nn.Module):
        def forward(self, z, h):
            return torch.arange(3 * 8).double().view(1, 6, 2, 2).expand(len(z), -1, -1, -1) / 10

    model = DDPM((2, 2, 2), 3, Given(), Schedule(3, "log-snr", (0, -3))).double()
    z = torch.randn(1, 2, 2, 2).double()
    logits = (np.arange(24).reshape(3, 2, 2, 2) / 10).cumsum(0) / 3**0.5
    values = np.array([-1.0, 0, 1]).reshape(3, 1, 1, 1)
    alpha, sigma = model.schedule.alpha[2].item(), model.schedule.sigma[2].item()
    p = scipy.special.softmax(logits + scipy.stats.norm.logpdf(z[0].numpy(), alpha * values, sigma), 0)
    np.testing.assert_allclose(model.denoise(z, 2)[0], (p * (values + 1)).sum(0))


@pytest.mark.parametrize("predict", ["noise", "x0", "v"])
def test_mean_stays_in_the_range_of_levels_and_learns_to_come_back(predict):
    model, z = small(3, predict), torch.full((1, 2), 50.0).double()
    with torch.no_grad():
        model.network.layers[-1].bias.fill_(40 if predict == "x0" else -40)
    x_hat = model.denoise(z, 2)
    close(x_hat, torch.full((1, 2), 2.0).double())
    x_hat.sum().backward()
    assert model.network.layers[-1].bias.grad.abs().min() > 0
    unbounded = DDPM((2,), None, predict=predict, hidden=(4,))
    with torch.no_grad():
        unbounded.network.layers[-1].bias.fill_(40 if predict == "x0" else -40)
        assert unbounded.denoise(torch.full((1, 2), 50.0), 128).min() > 2


@torch.no_grad()
def test_without_eta_levels_are_the_most_probable():
    model = small(5, T=6)
    z = torch.randn(30, 2).double()
    x = model.decode(z, eta=0)
    assert x.dtype == torch.long and torch.equal(x, model.decode(z, eta=0))
    assert not torch.equal(model.decode(z), model.decode(z))


# Networks, conditions, and where training starts.


def test_default_networks():
    assert isinstance(DDPM((3,), None).network, MLP) and isinstance(DDPM((1, 1, 2), 2).network, MLP)
    for shape, halvings in (((1, 8, 8), 1), ((3, 2, 6), 1), ((1, 28, 28), 2), ((1, 16, 48), 2), ((1, 32, 16), 2)):
        model = DDPM(shape, 4, channels=4, schedule=Schedule(3))
        assert isinstance(model.network, UNet) and len(model.network.up) == halvings
        assert model.loss(torch.zeros(2, *shape).long()).shape == (2,) and model.sample(2).shape == (2, *shape)


@pytest.mark.parametrize(
    "shape, levels, predict", [((2,), 3, None), ((1, 2, 2), 2, "v"), ((1, 2, 2), 2, None), ((2,), None, "x0")]
)
def test_condition_by_label_is_that_by_its_features(shape, levels, predict):
    model = small(levels, predict, shape=shape, condition=3, strength=0.3)
    x, y = model.sample(6, torch.arange(6) % 3), torch.arange(6) % 3
    features = nn.functional.one_hot(y, 3).float()
    z = torch.randn(6, *shape).double()
    for call in (
        lambda y: model.loss(x, y),
        lambda y: model.elbo(x, y=y),
        lambda y: model.log_weight(x, 3, y),
        lambda y: model.term(x, 2, y),
        lambda y: model.sample(6, y=y),
        lambda y: model.decode(z, y, steps=3),
        lambda y: model.denoise(z, 2, y),
        lambda y: model.score(z, 2, y),
    ):
        with seeded(0):
            by_label = call(y)
        with seeded(0):
            assert torch.equal(call(features), by_label)
    with shared_noise():  # the weights of row i belong to y of row i
        log_w = model.log_weight(x, 2, y)
        close(log_w, torch.stack([model.log_weight(x, 2, torch.full((6,), c)) for c in range(3)])[y, :, range(6)].T)
        assert (log_w - model.log_weight(x, 2, (y + 1) % 3)).abs().max() > 1e-3
    assert not torch.equal(model.denoise(z, 1, y), model.denoise(z, 1, (y + 1) % 3))


def test_seed_fixes_the_weights_and_leaves_the_global_state():
    before = torch.get_rng_state()
    for shape in ((2,), (1, 2, 2)):
        a, b, c = (DDPM(shape, 3, channels=4, seed=seed).state_dict() for seed in (5, 5, 6))
        assert all(torch.equal(a[name], b[name]) for name in a) and not all(torch.equal(a[n], c[n]) for n in a)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("shape", [(2,), (1, 2, 2)])
def test_dropout_is_for_training_only(shape):
    model, z = small(shape=shape, dropout=0.5, strength=0.3), torch.zeros(2, *shape).double()
    assert model.train().denoise(z, 1).ne(model.denoise(z, 1)).any()
    assert torch.equal(model.eval().denoise(z, 1), model.denoise(z, 1))


@pytest.mark.parametrize("levels, predict", [(3, "levels"), (3, "noise"), (None, "v")])
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_precisions(levels, predict, device, dtype):
    model = small(levels, predict).to(device, dtype)
    x = torch.zeros(3, 2, device=device, dtype=dtype if levels is None else torch.uint8)
    model.initialise(x)
    t, z = torch.tensor([1, 2, 3]), torch.zeros(3, 2, device=device)
    values = [model.loss(x), model.elbo(x), model.log_weight(x, 2), model.term(x, t), model.prior_term(x)]
    for value in (*values, model.diffuse(x, t), model.denoise(z, t), model.score(z, t)):
        assert value.dtype == dtype and value.device.type == device
    for samples in (model.sample(3), model.decode(z, steps=2, eta=0)):
        assert samples.device.type == device and samples.dtype == (dtype if levels is None else torch.long)
    model.loss(x).sum().backward()


# Learning.


@pytest.mark.parametrize("predict, weighting", [("levels", "bound"), ("levels", "simple"), ("v", "bound")])
def test_fit_learns_a_toy_and_never_goes_below_its_entropy(predict, weighting):
    """Two bits that are equal, and one that is free: the entropy is 2 log 2, of which independent bits need 3."""
    with seeded(0):
        x = torch.randint(2, (2000, 2))[:, [0, 0, 1]]
    model = DDPM((3,), 2, None, Schedule(100, "log-snr", (4, -5)), predict, weighting, hidden=(32, 32))
    fit(model, x, steps=600, batch_size=200, lr=0.01, schedule="cosine", device="cpu", progress=False)
    bound, tight = iwae(model, x[:500], 1), iwae(model, x[:50], 50)
    assert 2 * math.log(2) - 0.03 < bound.nats < 2 * math.log(2) + 0.15, bound
    assert tight.nats > 2 * math.log(2) - 0.05
    assert evaluate(model, x.repeat(5, 1)).kind == "upper bound"
    with seeded(0):
        samples = model.sample(1000)
        few = model.sample(1000, steps=5, eta=0)
    assert (samples[:, 0] == samples[:, 1]).float().mean() > 0.95
    assert (few[:, 0] == few[:, 1]).float().mean() > 0.9 and samples.float().mean().item() == pytest.approx(
        0.5, abs=0.06
    )


# What is refused.

PAIR = DDPM((2,), 3, schedule=Schedule(5), hidden=(4,))
LINE = DDPM((2,), None, schedule=Schedule(5), hidden=(4,))
GIVEN = DDPM((2,), 3, schedule=Schedule(5), hidden=(4,), condition=3)
X, Z = torch.zeros(4, 2).long(), torch.zeros(4, 2)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: Schedule(0), "T must be at least 1"),
        (lambda: Schedule(10.0), "T must be an integer"),
        (lambda: Schedule(10, "quadratic"), "kind must be 'log-snr', 'linear' or 'cosine', got 'quadratic'"),
        (lambda: Schedule(10, "log-snr", (-5, 5)), "ends must fall"),
        (lambda: Schedule(10, "log-snr", (math.inf, 5)), "each of ends must be"),
        (lambda: Schedule(10).posterior(3, 3), "s must be from 1 to t − 1"),
        (lambda: Schedule(10).posterior(1), "s must be from 1 to t − 1"),
        (lambda: Schedule(10).posterior(11), "t must be"),
        (lambda: DDPM(2, 3), "event_shape must"),
        (lambda: DDPM((2,), 1), "levels must be at least 2"),
        (lambda: DDPM((2,), 3.0), "levels must be an integer"),
        (lambda: DDPM((2,), 3, schedule=100), "schedule must be a Schedule"),
        (lambda: DDPM((2,), 3, predict="score"), "predict must be 'levels' or 'noise' or 'x0' or 'v' for levels=3"),
        (lambda: DDPM((2,), None, predict="levels"), "predict must be 'noise' or 'x0' or 'v' for levels=None"),
        (lambda: DDPM((2,), 3, weighting="none"), "weighting must be 'bound' or 'simple'"),
        (lambda: DDPM((2,), 3, hidden=4), "hidden must be a sequence"),
        (lambda: DDPM((2,), 3, channels=0), "channels must be at least 1"),
        (lambda: DDPM((2,), 3, condition=-1), "condition must be at least 0"),
        (lambda: DDPM((2,), 3, dropout=1.5), "dropout"),
        (lambda: DDPM((2,), 3, seed=-1), "seed must"),
        (lambda: DDPM((2,), 3, MLP(2, 5, (4,), 32)).loss(X), r"network must return 3 × 2 numbers, got shape \(4, 5\)"),
        (lambda: DDPM((2,), None, MLP(2, 3, (4,), 32)).loss(Z), "network must return 1 × 2 numbers"),
        (lambda: PAIR.loss(X.float()), "x must hold integer levels"),
        (lambda: PAIR.loss(X + 3), "x must hold levels"),
        (lambda: PAIR.elbo(X[0]), "x must have shape"),
        (lambda: PAIR.log_weight(X[:0], 1), "x is empty"),
        (lambda: PAIR.log_weight(X, 0), "k must be at least 1"),
        (lambda: PAIR.initialise(Z), "x must hold integer levels"),
        (lambda: LINE.initialise(X), "x must be floating"),
        (lambda: LINE.loss(X), "x must be floating"),
        (lambda: LINE.loss(Z * math.nan), "x contains NaN"),
        (lambda: PAIR.term(X, 0), "t must"),
        (lambda: PAIR.term(X, 6), "t must hold integers from 1 to T = 5"),
        (lambda: PAIR.term(X, torch.tensor([1, 2])), "one or 4"),
        (lambda: PAIR.diffuse(X, torch.zeros(4).long()), "t must hold integers from 1"),
        (lambda: PAIR.diffuse(X, torch.ones(4)), "t must hold integers"),
        (lambda: PAIR.diffuse(X, 1.5), "t must be an integer"),
        (lambda: PAIR.denoise(X, 1), "z must be floating"),
        (lambda: PAIR.denoise(Z[:, :1], 1), "z must have shape"),
        (lambda: PAIR.score(Z, 9), "t must hold"),
        (lambda: PAIR.decode(Z * math.inf), "z contains NaN or infinity"),
        (lambda: PAIR.sample(0), "n must"),
        (lambda: PAIR.sample(2, steps=1), "steps must be at least 2"),
        (lambda: PAIR.sample(2, steps=6), "steps must be at most T = 5"),
        (lambda: PAIR.sample(2, steps=True), "steps must be an integer"),
        (lambda: PAIR.sample(2, steps="all"), "steps must be a sequence"),
        (lambda: PAIR.sample(2, steps=[5, 3]), "steps must hold 1"),
        (lambda: PAIR.sample(2, steps=[6, 1]), "up to T = 5"),
        (lambda: PAIR.sample(2, steps=[5, 1, 1]), "each once"),
        (lambda: PAIR.sample(2, steps=[3, 1]), "steps must hold T = 5"),
        (lambda: PAIR.sample(2, eta=1.5), "eta must be"),
        (lambda: PAIR.sample(2, eta=-0.1), "eta must be"),
        (lambda: PAIR.loss(X, torch.zeros(4).long()), "without condition"),
        (lambda: PAIR.sample(4, torch.zeros(4).long()), "without condition"),
        (lambda: GIVEN.loss(X), "y must be 4 labels"),
        (lambda: GIVEN.elbo(X, torch.zeros(3).long()), "y must be 4 labels"),
        (lambda: GIVEN.log_weight(X, 2, torch.full((4,), 3)), r"y must hold levels 0\.\.2"),
        (lambda: GIVEN.denoise(Z, 1), "y must be 4 labels"),
        (lambda: GIVEN.sample(4), "y must be 4 labels"),
    ],
)
def test_what_is_impossible_is_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()
