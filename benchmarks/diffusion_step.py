"""How long steps of our diffusion models take, beside others: python -m benchmarks diffusion_step

Against diffusers 0.42.1 and loops written by hand:

- Training, a step being loss, backward and Adam: predicting noise of (1, 8, 8) and (1, 28, 28) with a UNet, which all
  contenders have with the same weights, diffusers being `DDPMScheduler.add_noise` and the mean squared error; and the
  chapter's model of the digits, beside a loop. The aims: no slower than diffusers, and at most 1.10 times the loop.
- Sampling (1, 8, 8) in T = 256 steps, eta = 1 (`DDPMScheduler`) and eta = 0 (`DDIMScheduler`), with a network that
  returns at once, so that only the arithmetic is left. The aim: at most half of the scheduler's time; "told t" is its
  time with the features of t, which the network needs and ours has. Then how much of sampling with a network that is.

That all compute the same is checked first: losses with the same t and noise, steps with the same noise.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.turns import OURS, PLAIN, compare, leave_out, rows
from dgmlite.data import digits, shifts
from dgmlite.models.diffusion import DDPM, TIME, Schedule
from dgmlite.networks import sinusoids

LEVELS, MOVES, T = 17, 9, 256


def noise_model(shape: tuple, channels: int) -> DDPM:
    model = DDPM(shape, None, schedule=Schedule(T), predict="noise", weighting="simple", channels=channels)
    return moved(model)


def digits_model() -> DDPM:
    model = DDPM((1, 8, 8), LEVELS, schedule=Schedule(T, ends=(7, -6)), channels=16, condition=MOVES)
    model.initialise(digits().train.x, torch.zeros(1000, dtype=torch.long))
    return moved(model)


@torch.no_grad()
def moved(model: DDPM) -> DDPM:
    """Move the weights: as they start, networks return zeros, and any two losses are the same."""
    for parameter in model.parameters():
        parameter += 0.02 * torch.randn_like(parameter)
    return model


class ByHand(nn.Module):
    """Predicts noise with nothing to spare: all that depends on t alone is in tables."""

    def __init__(self, ours: DDPM):
        super().__init__()
        self.network, schedule = copy.deepcopy(ours.network), ours.schedule
        self.alpha, self.sigma = (v.float().view(-1, 1, 1, 1) for v in (schedule.alpha, schedule.sigma))
        self.features = sinusoids(torch.arange(T + 1) / T, TIME)

    def loss(self, x):
        t, noise = evenly(len(x)), torch.randn_like(x)
        output = self.network(self.alpha[t] * x + self.sigma[t] * noise, self.features[t])
        return (output - noise).square().flatten(1).sum(1)


def evenly(n: int) -> Tensor:
    """Return t for n examples as ours draws them."""
    share = (torch.rand(1, dtype=torch.float64) + torch.arange(n, dtype=torch.float64) / n) % 1
    return (share * T).long() + 1


class Diffusers(nn.Module):
    """The loop of diffusers' training guide, around the same network."""

    def __init__(self, ours: DDPM):
        super().__init__()
        self.network, self.scheduler = copy.deepcopy(ours.network), scheduler("DDPM", ours.schedule)

    def loss(self, x):
        noise = torch.randn_like(x)
        return self.error(x, torch.randint(0, T, (len(x),)), noise)

    def error(self, x, t, noise):
        output = self.network(self.scheduler.add_noise(x, noise, t), sinusoids((t + 1) / T, TIME))
        return F.mse_loss(output, noise)


def scheduler(kind: str, schedule: Schedule):
    """Return diffusers' scheduler of these β; its t are ours minus 1."""
    import diffusers

    more = {"variance_type": "fixed_small"} if kind == "DDPM" else {}
    betas = schedule.beta[1:].tolist()
    return getattr(diffusers, f"{kind}Scheduler")(schedule.T, trained_betas=betas, clip_sample=False, **more)


class DigitsByHand(nn.Module):
    """The chapter's model of the digits with nothing to spare."""

    def __init__(self, ours: DDPM):
        super().__init__()
        self.network, self.bias = copy.deepcopy(ours.network), nn.Parameter(ours.bias.data.movedim(-1, 1).clone())
        schedule, self.last = ours.schedule, ours.schedule.alpha_bar[-1].item()
        tables = schedule.alpha, schedule.sigma, schedule.weight, schedule.log_snr.exp() / schedule.alpha
        self.alpha, self.sigma, self.weight, self.slope = (v.float().view(-1, 1, 1, 1) for v in tables)
        self.features = sinusoids(torch.arange(T + 1) / T, TIME)
        self.values = (2 * torch.arange(LEVELS) / (LEVELS - 1) - 1).view(-1, 1, 1)

    def loss(self, x, y):
        u = x * (2 / (LEVELS - 1)) - 1
        t, noise = evenly(len(x)), torch.randn_like(u)
        alpha = self.alpha[t]
        z = alpha * u + self.sigma[t] * noise
        output = self.network(z, torch.cat((self.features[t], F.one_hot(y, MOVES)), 1))
        logits = (self.bias + output).cumsum(1) * LEVELS**-0.5  # + log q(z | x), but for what all levels share
        logits = logits + self.slope[t] * (z - 0.5 * alpha * self.values) * self.values
        x_hat = (logits.softmax(1) * self.values).sum(1, keepdim=True)
        term = (self.weight[t] * (u - x_hat) ** 2).flatten(1).sum(1)
        if (first := t == 1).any():
            surprise = F.cross_entropy(logits[first], x[first, 0], reduction="none")
            term = term.masked_scatter(first, surprise.flatten(1).sum(1))
        return 0.5 * (self.last * (u**2 - 1) - math.log1p(-self.last)).flatten(1).sum(1) + T * term


def contenders(model: DDPM, others: dict[str, type], *y: Tensor) -> dict[str, Callable]:
    """Return what `compare` takes: ours and the others, all from the same weights."""
    make = {OURS: lambda: model} | {name: partial(other, model) for name, other in others.items()}
    return {name: partial(_contender, build, *y) for name, build in make.items()}


def _contender(build, *y):
    model = build()
    return model, lambda x: model.loss(x, *y).mean()


def train(batch: int, rounds: int) -> Iterator[dict]:
    for shape, channels in (((1, 8, 8), 32), ((1, 28, 28), 4)):
        model, x = noise_model(shape, channels), torch.randn(batch, *shape)
        same(model, ByHand(model), x)
        try:
            theirs = Diffusers(model)
        except ImportError:
            pass  # `compare` says so
        else:
            torch.manual_seed(0)
            wanted = model.loss(x).mean()
            torch.manual_seed(0)
            t, noise = evenly(batch), torch.randn_like(x)
            torch.testing.assert_close(theirs.error(x, t - 1, noise) * x[0].numel(), wanted, rtol=1e-4, atol=0)
        makers = contenders(model, {PLAIN: ByHand, "diffusers": Diffusers})
        yield from compare(f"step of noise prediction, {shape}", makers, x, rounds)
    (x, y), some, model = shifts(digits().train.x), torch.randperm(9000)[:batch], digits_model()
    x, y = x[some], y[some]
    for _ in range(20):  # t = 1 is in some
        same(model, DigitsByHand(model), x, y)
    makers = contenders(model, {PLAIN: DigitsByHand}, y)
    yield from compare("step of a DDPM of the digits, the chapter's", makers, x, rounds)


def same(ours: DDPM, other: nn.Module, *batch: Tensor) -> None:
    """Check that the losses are the same with the same t and noise."""
    seed = torch.randint(10**6, ()).item()
    losses = []
    for model in (ours, other):
        torch.manual_seed(seed)
        losses.append(model.loss(*batch))
    torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-4)


class Constant(nn.Module):
    """A network that takes no time."""

    def __init__(self, output: Tensor):
        super().__init__()
        self.output = output

    def forward(self, z, h=None):
        return self.output


def by_hand(model: DDPM, n: int, eta: float) -> Callable:
    """Return sampling with nothing to spare: the numbers of each step are ready, and nothing tells the network t."""
    schedule, network, rows = model.schedule, model.network, []
    for t in range(T, 0, -1):
        alpha, sigma = schedule.alpha[t].item(), schedule.sigma[t].item()
        a, b, c = schedule.posterior(t, eta=eta) if t > 1 else (1.0, 0.0, eta * sigma / alpha)
        rows.append((sigma / alpha, 1 / alpha, a, b, c))

    @torch.no_grad()
    def sample():
        z = torch.randn(n, *model.event_shape)
        for of_output, of_z, a, b, c in rows:
            x_hat = of_z * z - of_output * network(z)
            z = a * x_hat + b * z
            if c:
                z = z + c * torch.randn_like(z)
        return z

    return sample


def diffusers(model: DDPM, n: int, eta: float, told: bool) -> Callable:
    """Return sampling as diffusers' pipelines do it; it adds no noise in the last step.

    told: the network gets the features of t that ours gets too; else only the steps of the scheduler are left.
    """
    theirs, network = scheduler("DDPM" if eta else "DDIM", model.schedule), model.network
    theirs.set_timesteps(T)
    z = torch.randn(n, *model.event_shape)
    for t in (T, T // 2, T // 4, 2):
        torch.manual_seed(t)
        _, (_, wanted, _) = itertools.islice(model.trajectory(z, steps=range(1, t + 1), eta=eta), 2)
        torch.manual_seed(t)
        torch.testing.assert_close(theirs.step(network(z), t - 1, z).prev_sample, wanted, rtol=1e-4, atol=1e-4)

    @torch.no_grad()
    def sample():
        z = torch.randn(n, *model.event_shape)
        for t in theirs.timesteps:
            h = sinusoids(((t + 1) / T).expand(n), TIME) if told else None
            z = theirs.step(network(z, h), t, z).prev_sample
        return z

    return sample


def sample(batch: int, rounds: int) -> Iterator[dict]:
    torch.empty(2**22)  # once 16 MB were freed, glibc keeps memory; else steps, by chance, pay 20 µs to have it back
    model = DDPM((1, 8, 8), None, Constant(torch.randn(batch, 1, 8, 8)), Schedule(T))
    for eta in (1.0, 0.0):
        steps = {OURS: lambda eta=eta: model.sample(batch, eta=eta), PLAIN: by_hand(model, batch, eta)}
        torch.manual_seed(0)
        wanted = steps[PLAIN]()
        torch.manual_seed(0)
        torch.testing.assert_close(steps[OURS](), wanted, rtol=1e-3, atol=1e-3)
        try:
            for name in ("diffusers", "diffusers, told t"):
                steps[name] = diffusers(model, batch, eta, "told" in name)
        except ImportError as error:
            leave_out("diffusers", error)
        yield from rows(f"{T} steps of sampling without a network, eta = {eta:g}, {batch} × (1, 8, 8)", steps, rounds)


def share(batch: int, rounds: int, steps: int = 32) -> Iterator[dict]:
    """How much of sampling is not the network: what it takes with a `Constant` one."""
    for what, model, *y in (
        ("noise prediction", noise_model((1, 8, 8), 32)),
        ("the digits", digits_model(), torch.zeros(batch, dtype=torch.long)),
    ):
        rest = copy.deepcopy(model.eval())
        rest.network = Constant(model.network.last.bias.detach().view(-1, 1, 1).expand(batch, -1, 8, 8).contiguous())
        models = {"without its network": rest, "with it": model}
        runs = {name: partial(each.sample, batch, *y, steps=steps) for name, each in models.items()}
        yield from rows(f"{steps} steps of sampling, {what}, {batch} × (1, 8, 8)", runs, rounds)


def run(rounds: int, batch: int = 100) -> Iterator[dict]:
    yield from sample(batch, rounds)
    yield from share(batch, max(3, rounds // 4))
    yield from train(batch, rounds)
