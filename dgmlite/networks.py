"""The parts models plug in: networks that turn features into parameters, and weights and noise from a seed."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence

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
    """Fully connected layers: x, of `inputs` numbers each, and y (B, condition) or None → (B, outputs).

    `hidden` are the widths of the layers between. The last layer starts at zero, so that what it parametrises starts
    as the same for all inputs. While training, `dropout` is the share of hidden units that are zero. `activation` is
    what makes the module between two layers.

    >>> MLP(3, 2, hidden=(16,))(torch.randn(5, 3))[0].tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (64, 64),
        condition: int = 0,
        dropout: float = 0.0,
        activation: Callable[[], nn.Module] = nn.SiLU,
    ):
        super().__init__()
        widths, after = [inputs + condition, *hidden], [nn.Dropout(dropout)] if dropout else []
        layers = [layer for pair in itertools.pairwise(widths) for layer in (nn.Linear(*pair), activation(), *after)]
        self.layers = nn.Sequential(*layers, zero(nn.Linear(widths[-1], outputs)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.layers(x.flatten(1) if y is None else torch.cat((x.flatten(1), y), 1))


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


class UNet(nn.Module):
    """Convolutions at several resolutions: x (B, inputs, H, W) and y (B, condition) → (B, outputs, H, W).

    H and W are halved `halvings` times and doubled again; each time the channels double, from `channels`, and at each
    size what was there on the way down is seen again on the way up. The last layer starts at zero, as in MLP.

    Source: Ronneberger et al. 2015 (arXiv:1505.04597), figure 1; blocks as in Ho et al. 2020, without attention.

    >>> UNet(1, 3, channels=8, condition=2)(torch.randn(5, 1, 8, 8), torch.randn(5, 2)).shape
    torch.Size([5, 3, 8, 8])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: int = 32,
        halvings: int = 1,
        condition: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        widths = [channels * 2**i for i in range(halvings + 1)]
        self.first = nn.Conv2d(inputs, channels, 3, padding=1)
        pairs = list(zip([channels, *widths], widths))
        self.down = nn.ModuleList(_Block(a, b, condition, dropout) for a, b in pairs)
        self.up = nn.ModuleList(_Block(a + b, a, condition, dropout) for a, b in reversed(pairs[1:]))
        self.norm, self.last = nn.GroupNorm(1, channels), zero(nn.Conv2d(channels, outputs, 1))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h, seen = self.first(x), []
        for i, block in enumerate(self.down):
            h = block(nn.functional.avg_pool2d(h, 2) if i else h, y)
            seen.append(h)
        for block, other in zip(self.up, seen[-2::-1]):
            h = block(torch.cat((nn.functional.interpolate(h, scale_factor=2), other), 1), y)
        return self.last(nn.functional.silu(self.norm(h)))


class _Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; y shifts the channels between them."""

    def __init__(self, inputs, outputs, condition, dropout):
        super().__init__()
        self.before = nn.Sequential(nn.GroupNorm(1, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.condition = nn.Linear(condition, outputs, bias=False) if condition else None
        last = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.after = nn.Sequential(nn.GroupNorm(1, outputs), nn.SiLU(), nn.Dropout(dropout), last)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, y):
        h = self.before(x)
        if y is not None:
            h = h + self.condition(y)[:, :, None, None]
        return self.shortcut(x) + self.after(h)


def sinusoids(t: Tensor, size: int) -> Tensor:
    """Return t (B,) in [0, 1] as (B, size): cos ωt and sin ωt for size / 2 angles ω from 1 to 1000, evenly in log ω.

    Source: Vaswani et al. 2017 (arXiv:1706.03762), section 3.5, of positions; Ho et al. 2020, appendix B, of 1000 t.

    >>> sinusoids(torch.tensor([0.0, 0.5]), 4).shape
    torch.Size([2, 4])
    """
    angles = t[:, None] * torch.logspace(0, 3, size // 2, dtype=t.dtype, device=t.device)
    return torch.cat((angles.cos(), angles.sin()), 1)


def zero(layer: nn.Module) -> nn.Module:
    """Return the layer with all its parameters set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
