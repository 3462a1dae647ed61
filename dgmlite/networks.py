"""The parts models plug in: networks that turn features into parameters, and weights and noise from a seed."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import torch
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


class MLP(nn.Module):
    """Fully connected layers: x (B, inputs) and a condition y (B, condition) or None → (B, outputs).

    `hidden` are the widths of the layers between. The last layer starts at zero, so that what it parametrises starts
    as the same for all inputs. While training, `dropout` is the share of hidden units that are zero.

    >>> MLP(3, 2, hidden=(16,))(torch.randn(5, 3))[0].tolist()
    [0.0, 0.0]
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: Sequence[int] = (64, 64), condition: int = 0, dropout: float = 0.0
    ):
        super().__init__()
        widths, after = [inputs + condition, *hidden], [nn.Dropout(dropout)] if dropout else []
        layers = [layer for pair in itertools.pairwise(widths) for layer in (nn.Linear(*pair), nn.SiLU(), *after)]
        self.layers = nn.Sequential(*layers, zero(nn.Linear(widths[-1], outputs)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.layers(x if y is None else torch.cat((x, y), 1))


class ConvNet(nn.Module):
    """Convolutions that keep the size: x (B, inputs, H, W) and a condition y (B, condition) → (B, outputs, H, W).

    `depth` residual blocks of two 3 × 3 convolutions on `channels` channels. The last layer starts at zero, as in MLP.

    >>> ConvNet(2, 3, channels=8, depth=1)(torch.randn(5, 2, 4, 4)).shape
    torch.Size([5, 3, 4, 4])
    """

    def __init__(self, inputs: int, outputs: int, channels: int = 32, depth: int = 2, condition: int = 0):
        super().__init__()
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
        self.condition = nn.Linear(condition, channels, bias=False) if condition else None
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.SiLU(),
                zero(nn.Conv2d(channels, channels, 3, padding=1)),
            )
            for _ in range(depth)
        )
        self.last = zero(nn.Conv2d(channels, outputs, 1))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.first(x)
        if y is not None:
            h = h + self.condition(y)[:, :, None, None]
        for block in self.blocks:
            h = h + block(h)
        return self.last(nn.functional.silu(h))


def zero(layer: nn.Module) -> nn.Module:
    """Return the layer with all its parameters set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
