"""Flows: a bijection turns data into noise, and the density follows by the change of variables, exactly."""

import math
from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from dgmlite import checks
from dgmlite.networks import MLP, ConvNet, seeded
from dgmlite.transforms import (
    ActNorm,
    Affine,
    Coupling,
    Flatten,
    Gaussianise,
    LinearLU,
    Permutation,
    Planar,
    Reverse,
    Sequential,
    Split,
    Squeeze,
    Transform,
)

__all__ = [
    "ActNorm",
    "Affine",
    "Coupling",
    "Dequantised",
    "Flatten",
    "Flow",
    "Gaussianise",
    "LinearLU",
    "Permutation",
    "Planar",
    "RealNVP",
    "Reverse",
    "Sequential",
    "Split",
    "Squeeze",
    "StandardNormal",
]


class StandardNormal(nn.Module):
    """Independent normal variables with mean 0 and variance 1, in any shape.

    >>> StandardNormal((2,)).log_prob(torch.zeros(1, 2))  # −log 2π
    tensor([-1.8379])
    """

    levels = None

    def __init__(self, event_shape: Sequence[int]):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.register_buffer("zero", torch.zeros(()), persistent=False)  # knows the device and the precision

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(z; 0, I) in nats, (B,)."""
        return -0.5 * (z**2 + math.log(2 * math.pi)).flatten(1).sum(1)

    def sample(self, n: int) -> Tensor:
        """Return n independent samples, (n, *event_shape)."""
        return torch.randn(n, *self.event_shape, dtype=self.zero.dtype, device=self.zero.device)


class Flow(nn.Module):
    """p(x) = p_base(z) |det ∂z/∂x| with z = f(x): a density, exact, and samples x = f⁻¹(z).

    base: a module with event_shape, log_prob and sample, such as StandardNormal; transforms: the steps of f, from data
    to noise, kept as one `Sequential` in `.transforms`. With `condition` = C > 0, which the networks of the couplings
    must have too, each method takes y: labels 0 … C−1, shape (B,), or features (B, C), and the model is p(x | y).

    Source: Rippel & Adams 2013 (arXiv:1302.5125); Papamakarios et al. 2021 (JMLR 22), section 2.

    >>> flow = Flow(StandardNormal((2,)), [Planar(2), Affine((2,))])
    >>> flow.log_prob(flow.sample(5)).shape
    torch.Size([5])
    """

    levels = None

    def __init__(self, base: nn.Module, transforms: Iterable[Transform], condition: int = 0):
        super().__init__()
        self.base, self.transforms = base, Sequential(*transforms)
        self.event_shape = base.event_shape
        self.condition = checks.positive_int("condition", condition, 0)

    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Let transforms whose parameters start from data look at x, one after the other."""
        x, y = self._checked(x, y)
        self.transforms.initialise(x, y)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return noise z, of the shape of x, and log |det ∂z/∂x| in nats, (B,)."""
        return self.transforms(*self._checked(x, y))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the data x that the noise z belongs to."""
        return self.transforms.inverse(*self._checked(z, y, "z"))

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return log p(x) = log p_base(z) + log |det ∂z/∂x|, exact, in nats, (B,)."""
        z, log_det = self(x, y)
        return self.base.log_prob(z) + log_det

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return −log p(x) in nats, (B,)."""
        return -self.log_prob(x, y)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Return n samples, (n, *event_shape)."""
        return self.inverse(self.base.sample(checks.positive_int("n", n)), y)

    def _checked(self, x: Tensor, y: Tensor | None, name: str = "x") -> tuple[Tensor, Tensor | None]:
        x = checks.data(x, self.event_shape, None, name)
        return x, checks.condition(y, len(x), self.condition, x, self)


class RealNVP(Flow):
    """Affine couplings, whose halves take turns: all of f and its inverse in one pass, log |det| a sum.

    Images with even sides are squeezed: the pixels of 2 × 2 blocks are the features of couplings with convolutions.
    Other events are flattened, and the networks fully connected. `depth` couplings at each of `scales` scales (after
    each but the last, half of the features are finished), the features permuted after every second; `hidden` channels
    or units. What later flows added: `kind`="spline", `actnorm`, and `linear`, before each coupling a learned mixing of
    all features (channels) in place of the permutations.

    Source: Dinh et al. 2017, Density estimation using Real NVP (arXiv:1605.08803); Kingma & Dhariwal 2018, Glow
    (arXiv:1807.03039).

    >>> model = RealNVP((5,), depth=4)
    >>> model.log_prob(model.sample(3)).shape
    torch.Size([3])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        depth: int = 8,
        hidden: int = 64,
        kind: str = "affine",
        actnorm: bool = False,
        linear: bool = False,
        scales: int = 1,
        condition: int = 0,
        seed: int = 0,
    ):
        event_shape = checks.shape("event_shape", event_shape)
        depth, scales = checks.positive_int("depth", depth), checks.positive_int("scales", scales)
        hidden, condition = checks.positive_int("hidden", hidden), checks.positive_int("condition", condition, 0)
        image = len(event_shape) == 3 and event_shape[1] % 2 == event_shape[2] % 2 == 0
        shape = event_shape if image else (math.prod(event_shape),)
        shapes = [_squeezed(shape) if image else shape]  # as the couplings see them, scale by scale
        for _ in range(scales - 1):
            half = (shapes[-1][0] + 1) // 2, *shapes[-1][1:]
            shapes.append(_squeezed(half) if image else half)
        if (
            min(shapes[-1][1:], default=1) < 1
            or any(size % 2 for s in shapes[:-1] for size in s[1:])
            or shapes[-1][0] < 2
        ):
            raise ValueError(
                f"event_shape {event_shape} does not allow {scales} scales: each coupling needs two features or more, "
                "and each scale of images after the first sides that can be halved"
            )
        network, size = (ConvNet, {"channels": hidden}) if image else (MLP, {"hidden": (hidden, hidden)})
        network = partial(network, **size, condition=condition)
        with seeded(seed):
            inner = None
            for shape in reversed(shapes):
                steps = []
                for i in range(depth):
                    steps += [ActNorm((shape[0], *[1] * (len(shape) - 1)))] if actnorm else []
                    if linear:
                        steps.append(LinearLU(shape[0], seed=int(torch.randint(2**31, ()))))
                    elif i and i % 2 == 0 and shape[0] > 2:
                        steps.append(Permutation(torch.randperm(shape[0])))
                    steps.append(Coupling(shape[0], network, kind, flip=i % 2 == 1))
                steps += [Split(inner)] if inner else []
                inner = Squeeze(Sequential(*steps)) if image else Sequential(*steps)
            super().__init__(StandardNormal(event_shape), [inner if image else Flatten(inner)], condition)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return 4 * shape[0], shape[1] // 2, shape[2] // 2


class Dequantised(nn.Module):
    """A flow on the reals becomes a model of integer levels: P(x) = ∫ p(x + u) du over the unit cell of x.

    With noise u ~ q(u | x), log p(x + u) − log q(u | x) is at most log P(x) on average, whatever q: a bound, which
    averages of weights tighten. The flow sees `Gaussianise`(x + u). Without `noise`, q is uniform on the cell. `noise`
    is a transform of D features whose couplings take a condition of D numbers: u = Φ(noise(ε; x / (levels − 1))) with
    normal ε, and q is trained with the model (variational dequantisation). Each method takes y if the flow does.

    Source: Theis et al. 2016 (arXiv:1511.01844), section 3.1; Ho et al. 2019, Flow++ (arXiv:1902.00275), section 3.1.

    >>> model = Dequantised(RealNVP((1, 2, 2), depth=2), levels=3)
    >>> model.log_weight(model.sample(5), k=10).shape
    torch.Size([10, 5])
    """

    def __init__(self, flow: Flow, levels: int, noise: Transform | None = None):
        super().__init__()
        self.event_shape, self.levels = flow.event_shape, checks.positive_int("levels", levels, 2)
        self.flow, self.noise, self.gaussianise = flow, noise, Gaussianise(self.event_shape, self.levels)
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Let training start from the frequencies of the levels in x, and the flow's transforms look at x."""
        x = checks.data(x, self.event_shape, self.levels)
        self.gaussianise.initialise(x)
        self.flow.initialise(self.gaussianise(x + self._noise(x)[0])[0], y)
        self.initialised.fill_(True)

    def log_weight(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """Return log p(x + u) − log q(u | x) in nats for k draws of the noise, (k, B)."""
        x = checks.data(x, self.event_shape, self.levels)
        y = checks.condition(y, len(x), self.flow.condition, self.gaussianise.logits, self)
        repeated = x.repeat(checks.positive_int("k", k), *[1] * (x.dim() - 1))
        u, log_q = self._noise(repeated)
        z, log_det = self.gaussianise(repeated + u)
        return (self.flow.log_prob(z, y if y is None else y.repeat(k, 1)) + log_det - log_q).view(k, len(x))

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return one draw of −ELBO in nats, (B,)."""
        return -self.log_weight(x, 1, y)[0]

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Return n samples, torch.long of shape (n, *event_shape)."""
        return self._levels(self.flow.sample(n, y))

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the noise z, of the shape of x, that the middles of the cells belong to."""
        x = checks.data(x, self.event_shape, self.levels)
        return self.flow(self.gaussianise(x + 0.5)[0], y)[0]

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the levels, torch.long, into whose cells the noise z falls."""
        return self._levels(self.flow.inverse(z, y))

    def _levels(self, reals: Tensor) -> Tensor:
        return self.gaussianise.inverse(reals).floor().long().clamp(0, self.levels - 1)

    def _noise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Draw u, strictly within the cell, and return it with log q(u | x), (B,)."""
        like, shape = self.gaussianise.logits, x.flatten(1).shape
        if self.noise is None:
            u, log_q = torch.rand(shape, dtype=like.dtype, device=like.device), 0.0
        else:
            e = torch.randn(shape, dtype=like.dtype, device=like.device)
            w, log_det = self.noise(e, (x.flatten(1) / (self.levels - 1)).to(like))
            u, log_q = torch.special.ndtr(w), 0.5 * (w**2 - e**2).sum(1) - log_det
        margin = 1e-6  # u is in (margin, 1 − margin), where its density is higher by 1 / (1 − 2 margin)
        return margin + (1 - 2 * margin) * u.view(x.shape), log_q - shape[1] * math.log1p(-2 * margin)
