"""GANs against closed forms: each loss at given logits, penalties of linear critics, the best critic, W₁ on a line."""

import copy
import math
from unittest import mock

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.special import expit, log_expit
from torch import nn

from dgmlite.evaluation import evaluate
from dgmlite.information import jensen_shannon
from dgmlite.models.gan import GAN, OBJECTIVES
from dgmlite.networks import MLP, seeded
from dgmlite.training import fit


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


class Given(nn.Module):
    """Always the same outputs; what it was asked is kept."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs, self.asked = nn.Parameter(torch.as_tensor(outputs).double()), []

    def forward(self, x, y=None):
        self.asked.append((x, y))
        return self.outputs[: len(x)]


class Quadratic(nn.Module):
    """c(x) = ½ |x|², so that ∇c = x."""

    def __init__(self):
        super().__init__()
        self.scale, self.asked = nn.Parameter(torch.ones(())), []

    def forward(self, x, y=None):
        self.asked.append(x)
        return self.scale * x.flatten(1).square().sum(1) / 2


class Itself(nn.Module):
    """c(x) = x, plus a weight that is zero."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x, y=None):
        return x + self.weight


class Linear(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.layer = nn.Linear(inputs, 1)

    def forward(self, x, y=None):
        return self.layer(x.flatten(1))


# Losses.

REAL, FAKE = np.array([-3.0, -0.5, 0.0, 2.0, 5.0]), np.array([1.0, -4.0, 0.7, 0.0, 3.0])
EXPECTED = {
    "minimax": (-log_expit(REAL) - np.log(1 - expit(FAKE)), np.log(1 - expit(FAKE))),
    "non-saturating": (-log_expit(REAL) - np.log(1 - expit(FAKE)), -np.log(expit(FAKE))),
    "wasserstein": (FAKE - REAL, -FAKE),
    "least-squares": (((REAL - 1) ** 2 + FAKE**2) / 2, (FAKE - 1) ** 2 / 2),
    "hinge": (np.maximum(0, 1 - REAL) + np.maximum(0, 1 + FAKE), -FAKE),
}


def at_logits(objective, fake=FAKE):
    return GAN((1,), None, Given(np.array(fake)[:, None]), Itself(), objective=objective).double()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_losses_at_given_logits(objective):
    model, x = at_logits(objective), torch.tensor(REAL)[:, None]
    for player, expected in zip(model.players, EXPECTED[objective]):
        close(model.loss(x, player), torch.tensor(expected))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_and_slopes_are_finite_at_extreme_logits(objective, dtype):
    ends = [[100.0], [-100.0], [100.0], [-100.0]]
    model, x = at_logits(objective, np.array(ends)[:, 0]).to(dtype), torch.tensor(ends, dtype=dtype).flip(0)
    for player in model.players:
        model.zero_grad()
        loss = model.loss(x, player)
        loss.sum().backward()
        assert loss.isfinite().all() and all(p.grad.isfinite().all() for p in model.players[player].parameters())
    if objective == "minimax":
        close(model.loss(x, "critic"), torch.tensor([200.0, 0, 200, 0], dtype=dtype))
        close(model.loss(x, "generator")[0].item(), -100.0)


def test_only_the_saturating_loss_has_no_slope_where_the_critic_is_sure():
    """−D and −(1 − D), for D = σ(c)."""
    fake = np.array([-100.0, -8.0, -1.0, 0.0, 3.0])
    for objective, expected in (("minimax", -expit(fake)), ("non-saturating", -expit(-fake))):
        model = at_logits(objective, fake)
        model.loss(torch.zeros(5, 1).double(), "generator").sum().backward()
        close(model.generator.outputs.grad[:, 0], torch.tensor(expected))


def test_real_and_fake_weigh_the_same_in_each_loss():
    """Loss and slope of an example are those of one real and one fake, whatever else is in the batch."""
    model = at_logits("non-saturating")
    for n in (1, 2, 5):
        loss = model.loss(torch.tensor(REAL[:n])[:, None], "critic")
        close(loss, torch.tensor(-log_expit(REAL[:n]) - log_expit(-FAKE[:n])))
    model = GAN((1,), None, hidden=(8,))  # c = 0 at the start: log 2 from each
    close(model.loss(torch.randn(7, 1), "critic"), torch.full((7,), 2 * math.log(2)), 1e-6)


# The best critic.

P, Q = [0.5, 0.25, 0.1875, 0.0625], [0.125, 0.125, 0.25, 0.5]


def on_four_levels(objective, critic):
    """A game whose 16 fakes are exactly as Q says, and 16 real ones exactly as P says."""
    counts = [(16 * torch.tensor(p)).long() for p in (P, Q)]
    x, fake = (torch.arange(4).repeat_interleave(n) for n in counts)
    fake = torch.atanh((2 * fake / 3 - 1).double() * (1 - 1e-15))  # what tanh takes to the levels
    return GAN((1,), 4, Given(fake[:, None]), critic, objective=objective).double(), x[:, None]


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4).double())

    def forward(self, u, y=None):
        return self.logits[((u[:, 0] + 1) / 2 * 3).round().long()]


def test_best_critic_is_the_log_ratio_and_its_loss_is_that_of_jensen_shannon():
    model, x = on_four_levels("minimax", Table())
    optimiser = torch.optim.LBFGS(model.critic.parameters(), 1.0, 200, tolerance_grad=1e-10, tolerance_change=0)

    def closure():
        optimiser.zero_grad()
        (loss := model.loss(x, "critic").mean()).backward()
        return loss

    optimiser.step(closure)
    p, q = torch.tensor(P).double(), torch.tensor(Q).double()
    close(model.critic.logits.detach(), (p / q).log(), 1e-6)
    close(model.judge(torch.arange(4)[:, None]).detach().sigmoid(), p / (p + q), 1e-6)
    expected = 2 * math.log(2) - 2 * jensen_shannon(P, Q)
    assert model.loss(x, "critic").mean().item() == pytest.approx(expected, abs=1e-9)
    assert jensen_shannon(P, Q) > 0.05
    for other in (0.1, -0.1):  # no other is better
        moved = copy.deepcopy(model)
        moved.critic.logits.data[1] += other
        assert moved.loss(x, "critic").mean() > expected + 1e-4


def test_best_critic_of_least_squares_is_d():
    """E_p ½(c − 1)² + E_q ½c² is smallest at c = p/(p + q) (Mao et al. 2017, equation 5 with a = 0, b = 1)."""
    model, x = on_four_levels("least-squares", Table())
    (model.loss(x, "critic").mean()).backward()
    p, q = torch.tensor(P).double(), torch.tensor(Q).double()
    close(model.critic.logits.grad, -p)  # at c = 0
    model.critic.logits.data = p / (p + q)
    model.zero_grad()
    model.loss(x, "critic").mean().backward()
    close(model.critic.logits.grad, torch.zeros(4).double())


def test_trained_wasserstein_critic_measures_the_distance_on_a_line():
    with seeded(0):
        x = torch.cat((torch.randn(300, 1) - 2, 0.5 * torch.randn(300, 1) + 1))
        fake = 1.5 * torch.randn(600, 1) + 0.5
        critic = MLP(1, 1, (64, 64))
        model = GAN((1,), None, Given(fake), critic, objective="wasserstein", penalty="gradient", weight=10).float()
        optimiser = torch.optim.Adam(critic.parameters(), 3e-3)
        for _ in range(300):
            optimiser.zero_grad()
            model.loss(x, "critic").mean().backward()
            optimiser.step()
        model.penalty = None
        found = -model.loss(x, "critic").mean().item()
    expected = scipy.stats.wasserstein_distance(x[:, 0].numpy(), fake[:, 0].numpy())
    assert found == pytest.approx(expected, rel=0.08), (found, expected)
    model.objective = "hinge"
    assert -model.loss(x, "critic").mean().item() != pytest.approx(expected, rel=0.08)


# Penalties.


@pytest.mark.parametrize("shape", [(3,), (1, 2, 2), (2, 3, 2)])
@pytest.mark.parametrize("pack", [1, 2])
def test_penalties_of_a_linear_critic(shape, pack):
    critic, D = Linear(pack * math.prod(shape)), math.prod(shape)
    model = GAN(shape, None, MLP(16, D), critic, objective="wasserstein", pack=pack, weight=3.0).double()
    x, w = torch.randn(6, *shape).double(), critic.layer.weight
    for penalty, expected in (("gradient", 3 * (w.norm() - 1) ** 2), ("r1", 3 * w.square().sum() / 2)):
        model.penalty = penalty
        with seeded(0):
            found = model.loss(x, "critic")
        model.penalty = None
        with seeded(0):
            found = found - model.loss(x, "critic")
        close(found.detach(), expected.detach().expand(6))
        slope = torch.autograd.grad(found.mean(), w, allow_unused=True)[0]
        assert slope is not None, "the penalty teaches the critic nothing"
        close(slope, torch.autograd.grad(expected, w)[0])


def test_gradient_penalty_is_taken_between_real_and_fake_with_one_alpha_for_each_example():
    shape, n = (2, 3, 2), 500
    fake, x = torch.randn(n, 12).double(), torch.randn(n, *shape).double()
    model = GAN(shape, None, Given(fake), Quadratic(), objective="wasserstein", penalty="gradient", weight=1.0).double()
    loss = model.loss(x, "critic")
    real_asked, fake_asked, at = model.critic.asked
    fake = fake.view_as(x)
    close(real_asked, x), close(fake_asked, fake)
    alpha = ((at - fake) / (x - fake)).flatten(1).detach()
    close(alpha, alpha[:, :1].expand_as(alpha), 1e-6)
    assert scipy.stats.kstest(alpha[:, 0].numpy(), "uniform").pvalue > 1e-3
    penalty = (at.flatten(1).norm(dim=1) - 1) ** 2
    expected = (fake.flatten(1).square().sum(1) - x.flatten(1).square().sum(1)) / 2 + penalty
    close(loss.detach(), expected.detach())


def test_r1_is_taken_at_data():
    fake, x = torch.full((5, 2), 9.0).double(), torch.randn(5, 2).double()
    model = GAN((2,), None, Given(fake), Quadratic(), objective="wasserstein", penalty="r1", weight=4.0).double()
    expected = 81 - x.square().sum(1) / 2 + 4 * x.square().sum(1) / 2
    close(model.loss(x, "critic").detach(), expected)


def test_penalties_have_finite_slopes_where_the_critic_is_flat():
    for penalty in ("r1", "gradient"):
        model = GAN((2,), None, penalty=penalty)  # its last layer is zero
        model.loss(torch.randn(8, 2), "critic").mean().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.critic.parameters())


# The players.


@pytest.mark.parametrize("penalty", [None, "r1", "gradient"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_each_loss_moves_its_own_player_only(objective, penalty):
    for player, other in (("critic", "generator"), ("generator", "critic")):
        model = GAN((2,), 5, hidden=(8,), objective=objective, penalty=penalty, pack=2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, 0, 0.3)
        model.loss(model.sample(16), player).mean().backward()
        assert all(p.grad is None for p in model.players[other].parameters())
        assert all(p.grad is not None for p in model.players[player].parameters())
        assert any(p.grad.any() for p in model.players[player].parameters())
    assert list(model.players) == ["critic", "generator"]
    assert model.players == {"critic": model.critic, "generator": model.generator}
    with torch.no_grad():
        assert not model.loss(model.sample(16), "critic").requires_grad


def test_no_layer_sees_the_batch():
    model = GAN((1, 4, 4), 5)
    assert not any("Norm" in type(module).__name__ for module in model.modules())
    with seeded(1):
        for parameter in model.parameters():
            nn.init.normal_(parameter, 0, 0.3)
    x, z = torch.randint(5, (6, 1, 4, 4)), torch.randn(6, 16)
    close(model.judge(x)[2:3], model.judge(x[2:3]), 1e-5)
    close(model.generate(z)[2:3], model.generate(z[2:3]), 1e-5)


@pytest.mark.parametrize("pack", [2, 3])
def test_a_packed_critic_sees_examples_of_one_kind_together(pack):
    with seeded(0):
        x, fake = torch.randn(6, 2, 3, 4), torch.randn(6, 24).double()
    critic = Given(torch.arange(6.0))
    model = GAN((2, 3, 4), None, Given(fake), critic, objective="wasserstein", pack=pack, condition=2).double()
    y = torch.tensor([0, 1, 1, 0, 0, 1])
    for player in model.players:
        with mock.patch("dgmlite.models.gan.functional_call", lambda module, _, arguments: module(*arguments)):
            loss = model.loss(x, player, y=y)
        assert loss.shape == (6,)
        close(loss.detach().view(-1, pack), loss.detach().view(-1, pack)[:, :1].expand(-1, pack))
    asked = critic.asked
    assert len(asked) == 3
    for (seen, label), truth in zip(asked, (x.double(), fake, fake)):
        assert seen.shape == (6 // pack, pack * 2, 3, 4)
        close(seen.reshape(6, -1), truth.reshape(6, -1))
        close(label, nn.functional.one_hot(y, 2).double().view(6 // pack, -1))
    with pytest.raises(ValueError, match=f"sees {pack} examples at once, so there must be a multiple, got 5"):
        model.loss(x[:5], "critic", y=y[:5])


# Data and samples.


def test_levels_are_scaled_rounded_and_never_rounded_in_training():
    model = GAN((1,), 5, generator=Given([[-9.0], [-0.6], [0.0], [0.1], [9.0]])).double()
    close(model.scale(torch.arange(5)[:, None])[:, 0], torch.linspace(-1, 1, 5).double())
    x, u = model.decode(torch.randn(5, 16)), model.generate(torch.randn(5, 16))
    assert x.dtype == torch.long and x[:, 0].tolist() == [0, 1, 2, 2, 4]
    close(u[:, 0], torch.tensor([-9, -0.6, 0, 0.1, 9]).double().tanh())
    with seeded(0):
        model = GAN((2, 2), 3)
        x = model.sample(500)
        assert x.shape == (500, 2, 2) and x.dtype == torch.long and x.min() >= 0 and x.max() <= 2
        x = GAN((2, 2), None).double().sample(7)
        assert x.shape == (7, 2, 2) and x.dtype == torch.float64 and not x.requires_grad and len(x.unique()) > 20


def test_samples_are_decoded_normal_noise_from_the_seed():
    model = GAN((3,), None, latent=4, seed=3)
    with seeded(0):
        x = model.sample(5)
    with seeded(0):
        assert torch.equal(model.decode(torch.randn(5, 4)), x)
    before = torch.get_rng_state()
    same, other = GAN((3,), None, latent=4, seed=3), GAN((3,), None, latent=4, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(same.generator.layers[0].weight, model.generator.layers[0].weight)
    assert not torch.equal(other.generator.layers[0].weight, model.generator.layers[0].weight)


def test_a_game_has_no_likelihood():
    model = GAN((2,), 4)
    assert not any(hasattr(model, name) for name in ("log_prob", "log_weight", "elbo"))
    result = evaluate(model, model.sample(5))
    assert result.kind == "none" and math.isnan(result.nats)


def test_training_with_labels_finds_each_mean():
    with seeded(0):
        y = torch.randint(2, (2000,))
        x = torch.randn(2000, 1) * 0.5 + torch.tensor([[-1.0], [3.0]])[y]
        model = GAN((1,), None, latent=2, hidden=(32,), penalty="r1", condition=2)
        settings = {"steps": 1200, "schedule": "cosine", "average": 0.99, "device": "cpu", "progress": False}
        fit(model, (x, y), lr={"critic": 3e-3, "generator": 1e-3}, **settings)
        for label, mean in ((0, -1.0), (1, 3.0)):
            drawn = model.sample(2000, torch.full((2000,), label))
            assert drawn.mean().item() == pytest.approx(mean, abs=0.2)
            assert drawn.std().item() == pytest.approx(0.5, abs=0.2)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"event_shape": 3}, "event_shape must be a tuple"),
        ({"levels": 1}, "levels must be at least 2"),
        ({"latent": 0}, "latent must be at least 1"),
        ({"pack": 0}, "pack must be at least 1"),
        ({"pack": 1.5}, "pack must be an integer"),
        ({"objective": "kl"}, "objective must be 'minimax' or 'non-saturating' or .* got 'kl'"),
        ({"penalty": "r2"}, "penalty must be None or 'r1' or 'gradient', got 'r2'"),
        ({"weight": -1}, "weight must be a finite number"),
        ({"hidden": [0]}, "each entry of hidden must be at least 1"),
        ({"condition": -1}, "condition must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        GAN(**{"event_shape": (2,), "levels": 3} | arguments)


def test_bad_data_is_refused_in_one_sentence():
    model, x = GAN((2,), 3), torch.zeros(4, 2).long()
    for call, sentence in (
        (lambda: model.loss(x, "judge"), "player must be 'critic' or 'generator', got 'judge'"),
        (lambda: model.loss(x[0], "critic"), "x must have shape"),
        (lambda: model.loss(x.float(), "critic"), "x must hold integer levels"),
        (lambda: model.judge(x + 3), "x must hold levels"),
        (lambda: model.loss(x, "critic", y=x[:, 0]), "built without condition"),
        (lambda: model.sample(0), "n must be at least 1"),
        (lambda: model.decode(torch.zeros(4, 3)), r"z must have shape \(B, 16\)"),
        (lambda: GAN((2,), 3, condition=2).sample(4), "y must be 4 labels"),
        (lambda: GAN((2,), 3, condition=2).loss(x, "critic"), "y must be 4 labels"),
        (lambda: GAN((2,), 3, generator=MLP(16, 3)).sample(4), "generator must return"),
        (lambda: GAN((2,), 3, critic=MLP(2, 3)).judge(x), "critic must return one number"),
    ):
        with pytest.raises((TypeError, ValueError), match=sentence):
            call()
