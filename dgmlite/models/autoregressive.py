"""Autoregressive models: every dimension depends on the ones before it, p(x) = Π_i p(x_i | x_<i)."""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dgmlite import checks
from dgmlite.networks import MaskedMLP, seeded


class Autoregressive(nn.Module):
    """p(x) = Π_r p(x_i | x_j, j before i), i = order[r]: exact likelihood, sampling one dimension at a time.

    x holds integer levels 0 … levels−1, shape (B, *event_shape); its D dimensions are numbered in raster order. The
    conditionals come from `self.network`, one-hot (B, D, levels) → logits (B, D, levels), in which logits[:, i] depend
    only on dimensions before i in `order`; giving it one is all that a model of this family has to do.
    """

    network: nn.Module

    def __init__(self, event_shape: Sequence[int], levels: int, order: Sequence[int] | None = None):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.levels = checks.positive_int("levels", levels, 2)
        dimensions = torch.Size(self.event_shape).numel()
        self.register_buffer("order", torch.arange(dimensions) if order is None else _permutation(order, dimensions))

    def logits(self, x: Tensor) -> Tensor:
        """Return the unnormalised log-probabilities of all levels at each dimension, (B, D, levels)."""
        x = checks.data(x, self.event_shape, self.levels)
        return self.network(self._one_hot(x.flatten(1)))

    def conditionals(self, x: Tensor) -> Tensor:
        """Return p(x_i = l | x_j, j before i in the order), (B, D, levels)."""
        return self.logits(x).softmax(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) = Σ_i log p(x_i | …), exact, in nats, (B,)."""
        logits = self.logits(x)  # (B, D, levels)
        surprise = F.cross_entropy(logits.flatten(0, 1), x.flatten().long(), reduction="none")
        return -surprise.view(len(x), -1).sum(1)

    def loss(self, x: Tensor) -> Tensor:
        """Return −log p(x) in nats, (B,)."""
        return -self.log_prob(x)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Return n samples, torch.long of shape (n, *event_shape): D calls of the network, one dimension each."""
        n = checks.positive_int("n", n)
        x = torch.zeros(n, len(self.order), dtype=torch.long, device=self.order.device)
        for i in self.order.tolist():
            probabilities = self.network(self._one_hot(x))[:, i].softmax(-1)
            x[:, i] = torch.multinomial(probabilities, 1).squeeze(1)
        return x.view(n, *self.event_shape)

    def _one_hot(self, x: Tensor) -> Tensor:
        """(B, D) → (B, D, levels) in the dtype of the parameters."""
        return F.one_hot(x.long(), self.levels).to(next(self.parameters()).dtype)


class MADE(Autoregressive):
    """Masked autoencoder: one network gives all conditionals, masks on its weights cut each off from its future.

    `hidden` are the widths of the hidden layers, each at least D−1; () is a softmax regression on the past. `order`
    lists the D dimensions in the order of generation (None: raster). `seed` fixes the initial weights without touching
    the global random state. Raises ValueError or TypeError, also in every method, for arguments that do not fit.

    Source: Germain et al. 2015, MADE (arXiv:1502.03509), sections 3 and 4, with categorical outputs.

    >>> model = MADE(event_shape=(1, 2, 2), levels=3, hidden=(16,))
    >>> model.log_prob(model.sample(5)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        hidden: Sequence[int] = (500,),
        order: Sequence[int] | None = None,
        seed: int = 0,
    ):
        super().__init__(event_shape, levels, order)
        dimensions = len(self.order)
        hidden = _integers("hidden", hidden, 1)
        if min(hidden, default=dimensions) < dimensions - 1:
            raise ValueError(
                f"each entry of hidden must be at least {dimensions - 1}, one less than the number of dimensions, got "
                f"{min(hidden)}: with fewer units some dimension could not depend on the one before it"
            )
        self.register_buffer("initialised", torch.tensor(False))
        with seeded(seed):
            self.network = MaskedMLP(self.order.argsort(), self.levels, hidden)

    def initialise(self, x: Tensor) -> None:
        """Set the output bias so that training starts from each dimension's own frequencies in x."""
        x = checks.data(x, self.event_shape, self.levels)
        counts = self._one_hot(x.flatten(1)).sum(0) + 1  # no level is impossible
        self.network.set_bias((counts / counts.sum(-1, keepdim=True)).log())
        self.initialised.fill_(True)


def _integers(name: str, values, minimum: int) -> list[int]:
    values = values.tolist() if isinstance(values, Tensor) else values
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a sequence of integers, got {values!r}")
    return [checks.positive_int(f"each entry of {name}", value, minimum) for value in values]


def _permutation(order, dimensions: int) -> Tensor:
    order = _integers("order", order, 0)
    if sorted(order) != list(range(dimensions)):
        raise ValueError(
            f"order must list each of the {dimensions} dimensions once, from 0 to {dimensions - 1}, got {len(order)} "
            f"entries, {len(set(order))} of them different, up to {max(order, default=None)}"
        )
    return torch.tensor(order)
