"""Generative adversarial networks: a generator learns from a critic that learns to tell its samples from data."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import relu, softplus

from dgmlite import checks
from dgmlite.networks import MLP, seeded

# name: (what the critic minimises, from c(x) and c(G(z)); what the generator minimises, from c(G(z)))
OBJECTIVES = {
    "minimax": (lambda real, fake: softplus(-real) + softplus(fake), lambda fake: -softplus(fake)),
    "non-saturating": (lambda real, fake: softplus(-real) + softplus(fake), lambda fake: softplus(-fake)),
    "wasserstein": (lambda real, fake: fake - real, lambda fake: -fake),
    "least-squares": (lambda real, fake: ((real - 1) ** 2 + fake**2) / 2, lambda fake: (fake - 1) ** 2 / 2),
    "hinge": (lambda real, fake: relu(1 - real) + relu(1 + fake), lambda fake: -fake),
}


class GAN(nn.Module):
    """Samples G(z) of noise z ~ N(0, I), trained by a game with a critic c; there is no density.

    Both see x itself if it is continuous (levels=None), or u = 2x/(levels − 1) − 1; G then ends in tanh, and only
    samples, not what is trained on, are rounded to levels. With D = σ(c), the probability that x is data:

    - "minimax": the critic minimises −log D(x) − log(1 − D(G(z))), the generator log(1 − D(G(z))). At the best critic,
      c = log p/q of the data's p and the samples' q, the critic's loss is 2 log 2 − 2 JS(p, q). Where D(G(z)) ≈ 0 the
      generator's slope by c is −D(G(z)), so next to nothing.
    - "non-saturating": the same for the critic; the generator minimises −log D(G(z)), of slope −(1 − D(G(z))).
    - "wasserstein": c(G(z)) − c(x) and −c(G(z)); −loss of the best critic of slope ≤ 1, for which there is
      penalty="gradient", is the distance W₁(p, q). Without a penalty the loss has no bound.
    - "least-squares": ½ (c(x) − 1)² + ½ c(G(z))² and ½ (c(G(z)) − 1)².
    - "hinge": max(0, 1 − c(x)) + max(0, 1 + c(G(z))) and −c(G(z)).

    `penalty`, times `weight`, is added to the critic's loss: "r1", ½ |∇c(x)|² at data, or "gradient", (|∇c(x̂)| − 1)²
    at x̂ = α x + (1 − α) G(z) with one α ~ U(0, 1) for each example.

    - generator(z), or with `condition` generator(z, y): from z (B, latent) and y (B, condition) to as many numbers as
      x has.
    - critic(x), or critic(x, y): from (B, *event_shape) to (B, 1). With pack = m it sees m examples at once, in the
      first axis of the event, and their y: (B / m, m · event_shape[0], …), (B / m, m · condition) → (B / m, 1); B must
      be a multiple.

    By default both are MLPs of leaky ReLUs with layers of `hidden`: modes that are narrow beside their distances take
    far longer with smooth units. The critic starts at c = 0, D = ½. No layer may mix the examples of a batch. With
    `condition` = C > 0 each method takes y: labels 0 … C−1, shape (B,), or features (B, C). Raises ValueError or
    TypeError for arguments and data that do not fit.

    Source: Goodfellow et al. 2014 (arXiv:1406.2661); W₁ and its penalty: Arjovsky et al. 2017 (arXiv:1701.07875),
    Gulrajani et al. 2017 (arXiv:1704.00028), equation 3; least squares: Mao et al. 2017 (arXiv:1611.04076), equation 9;
    hinge: Lim & Ye 2017 (arXiv:1705.02894); R1: Mescheder et al. 2018 (arXiv:1801.04406), equation 9; pack: Lin et al.
    2018 (arXiv:1712.04086).

    >>> model = GAN((1, 2, 2), levels=3)
    >>> x = model.sample(4)
    >>> [round(v, 4) for v in model.loss(x, "critic").tolist()]  # 2 log 2: it cannot tell yet
    [1.3863, 1.3863, 1.3863, 1.3863]
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int | None,
        generator: nn.Module | None = None,
        critic: nn.Module | None = None,
        latent: int = 16,
        objective: str = "non-saturating",
        penalty: str | None = None,
        weight: float = 1.0,
        pack: int = 1,
        hidden: Sequence[int] = (128, 128),
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.levels = None if levels is None else checks.positive_int("levels", levels, 2)
        self.latent, self.pack = checks.positive_int("latent", latent), checks.positive_int("pack", pack)
        self.condition = checks.positive_int("condition", condition, 0)
        self.objective, self.penalty, self.weight = objective, penalty, checks.finite_number("weight", weight, 0)
        for name, value, wanted in (
            ("objective", objective, list(OBJECTIVES)),
            ("penalty", penalty, [None, "r1", "gradient"]),
        ):
            if value not in wanted:
                raise ValueError(f"{name} must be {' or '.join(map(repr, wanted))}, got {value!r}")
        leaky = partial(nn.LeakyReLU, 0.2)
        hidden, D = checks.integers("hidden", hidden, 1), math.prod(self.event_shape)
        with seeded(seed):
            if generator is None:
                generator = MLP(self.latent, D, hidden, self.condition, activation=leaky)
                generator.layers[-1].reset_parameters()  # at zero, all samples would start as one
            self.generator = generator
            self.critic = critic or MLP(self.pack * D, 1, hidden, self.pack * self.condition, activation=leaky)
        self.register_buffer("like", torch.zeros(()), persistent=False)  # of the dtype, and where, the model is

    @property
    def players(self) -> dict[str, nn.Module]:
        """The two sides of the game, in the order in which `fit` lets them move."""
        return {"critic": self.critic, "generator": self.generator}

    def scale(self, x: Tensor) -> Tensor:
        """Return what the critic sees, (B, *event_shape): x itself, or levels moved to [−1, 1]."""
        x = checks.data(x, self.event_shape, self.levels).to(self.like)
        return x if self.levels is None else 2 * x / (self.levels - 1) - 1

    def generate(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return G(z), (B, *event_shape), for z (B, latent), on the scale of the critic, with gradients."""
        z = checks.data(z, (self.latent,), None, "z").to(self.like)
        u = self.generator(*_given(z, checks.condition(y, len(z), self.condition, z, self)))
        if u.numel() != len(z) * math.prod(self.event_shape):
            raise ValueError(f"generator must return {self.event_shape} for each z, got shape {tuple(u.shape)}")
        u = u.view(len(z), *self.event_shape)
        return u if self.levels is None else u.tanh()

    def judge(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return c(x), (B / pack,), for x (B, *event_shape)."""
        u = self.scale(x)
        return self._judge(*self._packed(u, checks.condition(y, len(u), self.condition, u, self)))

    def _judge(self, u, y, frozen=False):
        """Return c of what is packed; frozen, with no gradient for the critic's weights, only for u."""
        if frozen:
            weights = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
            c = functional_call(self.critic, weights, _given(u, y))
        else:
            c = self.critic(*_given(u, y))
        if c.numel() != len(u):
            raise ValueError(f"critic must return one number for each of {len(u)}, got shape {tuple(c.shape)}")
        return c.view(-1)

    def _packed(self, u, y):
        if len(u) % self.pack:
            raise ValueError(f"the critic sees {self.pack} examples at once, so there must be a multiple, got {len(u)}")
        u = u.view(len(u) // self.pack, self.pack * u.shape[1], *u.shape[2:])
        return u, None if y is None else y.reshape(len(u), -1)

    def loss(self, x: Tensor, player: str, y: Tensor | None = None) -> Tensor:
        """Return what this player, "critic" or "generator", minimises for each example, (B,), with new noise.

        The other player's weights get no gradient. The examples of a pack share one loss.
        """
        if player not in self.players:
            raise ValueError(f"player must be 'critic' or 'generator', got {player!r}")
        u = self.scale(x)
        y = checks.condition(y, len(u), self.condition, u, self)
        z = torch.randn(len(u), self.latent, dtype=u.dtype, device=u.device)
        of_critic, of_generator = OBJECTIVES[self.objective]
        if player == "generator":
            loss = of_generator(self._judge(*self._packed(self.generate(z, y), y), frozen=True))
        else:
            with torch.no_grad():
                fake, _ = self._packed(self.generate(z, y), None)
            real, y = self._packed(u, y)
            loss = of_critic(self._judge(real, y), self._judge(fake, y))
            if self.penalty:
                loss = loss + self.weight * self._penalty(real, fake, y)
        return loss.repeat_interleave(self.pack)

    def _penalty(self, real, fake, y):
        create_graph = torch.is_grad_enabled()
        if self.penalty == "gradient":
            alpha = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
            real = alpha * real + (1 - alpha) * fake
        with torch.enable_grad():
            at = real.detach().requires_grad_()
            slope = torch.autograd.grad(self._judge(at, y).sum(), at, create_graph=create_graph)[0].flatten(1)
        return (slope**2).sum(1) / 2 if self.penalty == "r1" else (torch.linalg.vector_norm(slope, dim=1) - 1) ** 2

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the x of each z (B, latent), (B, *event_shape): G(z), for levels rounded to these."""
        u = self.generate(z, y)
        return u if self.levels is None else ((u + 1) / 2 * (self.levels - 1)).round().long()

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Return n samples, (n, *event_shape): G(z) of z from N(0, I), for levels rounded to these."""
        z = torch.randn(checks.positive_int("n", n), self.latent, dtype=self.like.dtype, device=self.like.device)
        return self.decode(z, y)


def _given(x, y):
    return (x,) if y is None else (x, y)
