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
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module with log_prob or log_weight, got {type(model).__name__}")
    x = checks.data(x, model.event_shape, model.levels)
    if y is not None and (not isinstance(y, Tensor) or y.shape[:1] != x.shape[:1]):
        raise ValueError(f"y must be a tensor with one entry for each of the {len(x)} examples of x, got {y!r:.60}")
    k, batch_size = checks.positive_int("k", k), checks.positive_int("batch_size", batch_size)

    kind = "upper bound"
    if hasattr(model, "log_prob"):
        name, estimate, kind = "log_prob", model.log_prob, "exact"
    elif hasattr(model, "elbo") and k == 1:
        name, estimate = "elbo", model.elbo
    elif hasattr(model, "log_weight"):
        name, batch_size = "log_weight", max(1, batch_size // k)  # k·batch_size weights at a time

        def estimate(x, **y):
            return model.log_weight(x, k, **y).logsumexp(0) - math.log(k)
    elif hasattr(model, "elbo"):
        raise ValueError(
            f"k must be 1, got {k}: the model has elbo but no log_weight, so its bound cannot be tightened"
        )
    else:
        nan = torch.full((len(x),), math.nan, dtype=torch.float64)
        return Evaluation(math.nan, "none", math.nan, math.nan, nan)

    device = next((tensor.device for tensor in model.state_dict().values()), x.device)
    values = []
    with seeded(seed, device), _eval_mode(model):
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
    return Evaluation(nats, kind, stderr, bits, per_example, k if kind == "upper bound" else None)


@contextlib.contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
