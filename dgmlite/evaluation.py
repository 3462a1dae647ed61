"""What a model is worth: its negative log-likelihood in nats, and what kind of number that is."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dgmlite import checks
from dgmlite.networks import seeded


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Negative log-likelihood of data: its mean in nats, what kind of number it is, and how sure.

    `kind` is "exact", "upper bound" or "none" (then all numbers are NaN). `stderr` is sd/√N, NaN for one example.
    `bits_per_dim` is nats / (D ln 2). `per_example` (N,) holds the nats of each example, float64 on the CPU. `k` is
    the number of importance samples in the bound, else None.
    """

    nats: float
    kind: str
    stderr: float
    bits_per_dim: float
    per_example: Tensor = field(repr=False)
    k: int | None = None

    def __str__(self) -> str:
        if self.kind == "none":
            return "no likelihood: the model has neither log_prob nor log_weight nor elbo"
        error = "" if math.isnan(self.stderr) else f" ± {self.stderr:.2f}"
        kind = self.kind if self.k is None else f"{self.kind}, k = {self.k}"
        return f"{self.nats:.2f}{error} nats ({kind}), {self.bits_per_dim:.3f} bits per dimension"


@torch.no_grad()
def evaluate(
    model: nn.Module, x: Tensor, y: Tensor | None = None, *, k: int = 1, batch_size: int = 500, seed: int = 0
) -> Evaluation:
    """Return the mean negative log-likelihood of x, (N, *event_shape), by the best means that the model has.

    - `log_prob(x)`: −log p(x), exact.
    - `log_weight(x, k)`: −log (1/k) Σ_i w_i, whose expectation is an upper bound that tightens with k (Burda et al.
      2016, arXiv:1509.00519, theorem 1); for k = 1 it is −ELBO, and `elbo(x)` is used where there is one.
    - neither: kind "none".

    `y`, one entry per example, goes to the model as `y=`. The model is in eval mode meanwhile and then as before; the
    noise comes from `seed`, and the caller's random state is left alone. Raises ValueError or TypeError for bad input,
    ValueError if the model gives NaN or not one value per example.

    >>> class FairDie(nn.Module):
    ...     event_shape, levels = (3,), 6
    ...     def log_prob(self, x):
    ...         return torch.full((len(x),), -3 * math.log(6))
    >>> print(evaluate(FairDie(), torch.randint(6, (100, 3))))
    5.38 ± 0.00 nats (exact), 2.585 bits per dimension
    """
    k = checks.positive_int("k", k)
    if hasattr(model, "log_prob"):
        return _evaluation(model, x, y, "log_prob", model.log_prob, batch_size, seed, "exact", None)
    if hasattr(model, "elbo") and k == 1:
        return _evaluation(model, x, y, "elbo", model.elbo, batch_size, seed, "upper bound", 1)
    if hasattr(model, "log_weight"):
        return iwae(model, x, k, y, batch_size=batch_size, seed=seed)
    if hasattr(model, "elbo"):
        raise ValueError(
            f"k must be 1, got {k}: the model has elbo but no log_weight, so its bound cannot be tightened"
        )
    return _evaluation(model, x, y, "", None, batch_size, seed, "none", None)


@torch.no_grad()
def elbo(
    model: nn.Module, x: Tensor, k: int = 1, y: Tensor | None = None, *, batch_size: int = 500, seed: int = 0
) -> Evaluation:
    """Return −ELBO of x, (N, *event_shape), with k draws of the latent variable for each example.

    −(1/k) Σ_i log w_i for log w = `model.log_weight(x, k)`: an upper bound on −log p(x) on average; draws make it more
    precise, not tighter. With the same k and seed the weights are those of `iwae`. The rest is as in `evaluate`.
    """

    def estimate(x, **y):
        return model.log_weight(x, k, **y).mean(0)

    return _bound(model, x, k, y, estimate, batch_size, seed, 1)


@torch.no_grad()
def iwae(
    model: nn.Module, x: Tensor, k: int, y: Tensor | None = None, *, batch_size: int = 500, seed: int = 0
) -> Evaluation:
    """Return −log (1/k) Σ_i w_i of x, (N, *event_shape), an upper bound on −log p(x) on average that tightens with k.

    Source: Burda et al. 2016 (arXiv:1509.00519), theorem 1. The rest is as in `evaluate`.
    """

    def estimate(x, **y):
        return model.log_weight(x, k, **y).logsumexp(0) - math.log(k)

    return _bound(model, x, k, y, estimate, batch_size, seed, k)


def _bound(model, x, k, y, estimate, batch_size, seed, tightness):
    if isinstance(model, nn.Module) and not hasattr(model, "log_weight"):
        raise TypeError(f"model must have log_weight, got {type(model).__name__}; evaluate scores models of any kind")
    k, batch_size = checks.positive_int("k", k), checks.positive_int("batch_size", batch_size)
    batch_size = max(1, batch_size // k)  # k · batch_size weights at a time
    return _evaluation(model, x, y, "log_weight", estimate, batch_size, seed, "upper bound", tightness)


def _evaluation(model, x, y, name, estimate, batch_size, seed, kind, k):
    """Return the Evaluation of −estimate(x, y=y), batch after batch."""
    x, batch_size = _checked(model, x, y), checks.positive_int("batch_size", batch_size)
    if kind == "none":
        nan = torch.full((len(x),), math.nan, dtype=torch.float64)
        return Evaluation(math.nan, "none", math.nan, math.nan, nan)
    values = []
    with _looking(model, x, seed) as device:
        for some in torch.arange(len(x)).split(batch_size):
            condition = {} if y is None else {"y": y[some].to(device)}
            value = estimate(x[some].to(device), **condition)
            if value.shape != some.shape:
                raise ValueError(
                    f"model.{name} must return one value per example, expected shape {tuple(some.shape)}, got "
                    f"{tuple(value.shape)}: sum over the dimensions of the event, not over the batch"
                )
            values.append(value.double().cpu())
    per_example = -torch.cat(values)
    if per_example.isnan().any():
        raise ValueError(f"model.{name} is NaN for {int(per_example.isnan().sum())} of {len(x)} examples")
    nats = per_example.mean().item()
    stderr = per_example.std().item() / len(x) ** 0.5 if len(x) > 1 else math.nan
    bits = nats / (math.prod(model.event_shape) * math.log(2))
    return Evaluation(nats, kind, stderr, bits, per_example, k)


def _checked(model, x, y):
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module with event_shape and levels, got {type(model).__name__}")
    x = checks.data(x, model.event_shape, model.levels)
    if y is not None and (not isinstance(y, Tensor) or y.shape[:1] != x.shape[:1]):
        raise ValueError(f"y must be a tensor with one entry for each of the {len(x)} examples of x, got {y!r:.60}")
    return x


@dataclass(frozen=True, eq=False)
class AggregatePosterior:
    """How a model with latent variables uses them on N examples: q(z) = (1/N) Σ_n q(z | x_n), against the prior p(z).

    All in nats: rate = mean_n KL(q(z | x_n) ‖ p(z)) = mutual_information + marginal_kl, of which mutual_information is
    I_q[n; z], which tells how much z says about which of the examples it belongs to (at most log N), and marginal_kl is
    KL(q(z) ‖ p(z)). `variance` (latent,) is Var_n(E_q[z | x_n]); `active` counts the dimensions in which it exceeds
    0.01.
    """

    rate: float
    mutual_information: float
    marginal_kl: float
    active: int
    variance: Tensor = field(repr=False)


@torch.no_grad()
def aggregate_posterior(
    model: nn.Module, x: Tensor, y: Tensor | None = None, *, draws: int = 10, seed: int = 0
) -> AggregatePosterior:
    """Return what the latent variable of `model`, which has encode(x) and a prior, knows of x, (N, *event_shape).

    Expectations are means over `draws` of z for each example, q(z) is the whole sum. Raises as `evaluate`.
    Source: Hoffman & Johnson 2016, ELBO surgery; active: Burda et al. 2016 (arXiv:1509.00519), section 5.2.
    """
    draws, N = checks.positive_int("draws", draws), len(_checked(model, x, y))
    if not hasattr(model, "encode") or not hasattr(model, "prior"):
        raise TypeError(f"model must have encode(x) and a prior, got {type(model).__name__}")
    with _looking(model, x, seed) as device:
        q = model.encode(x.to(device), **({} if y is None else {"y": y.to(device)}))
        rates, informations = [], []
        for _ in range(draws):
            z = q.sample()  # (N, latent)
            log_own = q.log_prob(z)
            log_all = torch.cat([q.log_prob(some[:, None]).logsumexp(1) for some in z.split(100)]) - math.log(N)
            rates.append((log_own - model.prior.log_prob(z)).double().mean().item())
            informations.append((log_own - log_all).double().mean().item())
        variance = q.mean.var(0, correction=0).cpu()
    rate, information = sum(rates) / draws, sum(informations) / draws
    return AggregatePosterior(rate, information, rate - information, int((variance > 0.01).sum()), variance)


@torch.no_grad()
def mmd(a: Tensor, b: Tensor, bandwidth: float | None = None) -> float:
    """Return how far two sets of samples are apart, (N, *event_shape) and (M, *event_shape): an unbiased MMD².

    E k(a, a') + E k(b, b') − 2 E k(a, b) with k(x, y) = exp(−|x − y|² / 2h²), over pairs of different members: 0 on
    average for samples of one distribution, so at times below 0, and above 0 on average for any two others. h is the
    bandwidth in the units of the data, by default the median distance of two members of b, so let b be the reference.
    Source: Gretton et al. 2012, A kernel two-sample test, equation 3. Raises ValueError or TypeError for bad input.

    >>> grid = torch.linspace(-2, 2, 100)[:, None]
    >>> round(mmd(grid, grid), 2), round(mmd(grid + 1, grid), 2)
    (-0.01, 0.11)
    """
    a, b = (_set(name, x) for name, x in (("a", a), ("b", b)))
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"a and b must hold examples of the same shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    within = torch.nn.functional.pdist(a), torch.nn.functional.pdist(b)
    if bandwidth is None and (bandwidth := within[1].median().item()) == 0:
        raise ValueError("b must hold different examples, or give a bandwidth: most of its pairs are equal")
    scale = 2 * checks.finite_number("bandwidth", bandwidth, 1e-12) ** 2
    same_a, same_b, cross = (
        (-(d**2) / scale).exp().mean()
        for d in (*within, torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist"))
    )
    return (same_a + same_b - 2 * cross).item()


def _set(name, x):
    if not isinstance(x, Tensor) or x.dim() < 2 or len(x) < 2 or x.numel() == 0:
        raise TypeError(f"{name} must be a tensor of at least two examples, (N, *event_shape), got {x!r:.60}")
    if x.is_floating_point() and not x.isfinite().all():
        raise ValueError(f"{name} holds NaN or infinity")
    return x.flatten(1).double()


@contextlib.contextmanager
def _looking(model: nn.Module, x: Tensor, seed: int) -> Iterator[torch.device]:
    """Hold the model in eval mode and the noise at a seed; yield where the model is."""
    device = next((tensor.device for tensor in model.state_dict().values()), x.device)
    with seeded(seed, device), _eval_mode(model):
        yield device


@contextlib.contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
