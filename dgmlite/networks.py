"""The parts that models are made of."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dgmlite import checks


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[list[torch.Generator]]:
    """Draw from `seed` inside, on the CPU and on `device`; afterwards go on as if nothing had been drawn.

    Yields the random generators, one or two, that are drawn from.

    >>> with seeded(0):
    ...     a = torch.rand(2)
    >>> with seeded(0):
    ...     print(torch.equal(a, torch.rand(2)))
    True
    """
    if checks.positive_int("seed", seed, 0) >= 2**63:
        raise ValueError(f"seed must be less than 2**63, got {seed}")
    device = torch.device(device)
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    if device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield generators
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)


class MaskedLinear(nn.Linear):
    """Affine map in which only the connections of the mask exist: y = (W ⊙ M) x + b.

    `mask` M has shape (out, in); x (…, in) → y (…, out). The mask is applied in each call and never written into the
    weights. Source: Germain et al. 2015, MADE (arXiv:1502.03509), section 4.

    >>> layer = MaskedLinear(torch.tensor([[True, False]]))
    >>> torch.equal(layer(torch.tensor([[1.0, 2.0]])), layer(torch.tensor([[1.0, 5.0]])))
    True
    """

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MaskedMLP(nn.Module):
    """Logits of D conditionals p(x_i | x_j with rank_j < rank_i), one-hot (B, D, levels) → logits (B, D, levels).

    Every unit has a degree m: it sees inputs of rank ≤ m only. The degrees 0 … D−2 are spread evenly over the units of
    each hidden layer, all present, so every allowed dependency exists; all levels of a dimension share its degree.
    Levels are ordered, and neighbours share weights: the input that counts is x ≥ l, and the outputs are differences of
    neighbouring logits (Agresti, Categorical Data Analysis, adjacent-categories logits). Any conditional can still be
    expressed; on the digits it is worth 9 nats.

    Source: Germain et al. 2015, MADE (arXiv:1502.03509), sections 3 and 4.

    >>> MaskedMLP(ranks=torch.arange(4), levels=3, hidden=(8,))(torch.zeros(5, 4, 3)).shape
    torch.Size([5, 4, 3])
    """

    def __init__(self, ranks: Tensor, levels: int, hidden: Sequence[int]):
        super().__init__()
        outputs = ranks.repeat_interleave(levels)  # (D·levels,)
        layers, degrees = [], outputs
        for width in hidden:
            units = torch.arange(width) * (len(ranks) - 1) // width  # 0 … D−2
            layers += [MaskedLinear(units[:, None] >= degrees), nn.Tanh()]
            degrees = units
        self.layers = nn.Sequential(*layers, MaskedLinear(outputs[:, None] > degrees))
        self.scale = levels**-0.5  # keeps the spread of a sum over levels at that of one term

    def forward(self, one_hot: Tensor) -> Tensor:
        reached = one_hot.flip(-1).cumsum(-1).flip(-1)  # (B, D, levels), 1 where x ≥ l
        steps = self.layers(reached.flatten(1)).view_as(one_hot)
        return self.scale * steps.cumsum(-1)

    @torch.no_grad()
    def set_bias(self, logits: Tensor) -> None:
        """Let the bias alone give these logits, (D, levels)."""
        self.layers[-1].bias.copy_(logits.diff(dim=-1, prepend=logits.new_zeros(len(logits), 1)).flatten() / self.scale)
