"""Variational autoencoders: a latent variable behind each x, an encoder that infers it, and a bound on log p(x)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, MultivariateNormal, Normal
from torch.distributions import LowRankMultivariateNormal as LowRankNormal

from dgmlite import checks
from dgmlite.distributions import DiscretisedLogistic, Levels, thermometer
from dgmlite.models.flow import StandardNormal
from dgmlite.networks import MLP, seeded

__all__ = ["VAE", "Decoder", "LinearVAE", "StandardNormal"]

COMPONENTS = 5  # of a mixture of discretised logistics


class Decoder(nn.Module):
    """p(x | z) = Π_i p(x_i | z): given z, the D dimensions of x are independent.

    A network maps z (B, condition) to P parameters for each dimension, (B, D · P); by default it is an MLP with layers
    of `hidden` units. `likelihood` says what they mean: "categorical" (P = levels, see `Levels`), "logistic" (a mixture
    of 5, see `DiscretisedLogistic`, P = 15), "bernoulli" (two levels, a logit, P = 1), or, for continuous x, which has
    levels=None, "normal" (mean and log standard deviation, P = 2). Without z they are `bias`, which `initialise` sets.

    It is a model conditioned on y = z. Raises ValueError or TypeError for arguments that do not fit.

    >>> decoder = Decoder((1, 2, 2), levels=3, condition=2)
    >>> decoder.mean(torch.zeros(5, 2)).shape
    torch.Size([5, 1, 2, 2])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int | None,
        condition: int,
        hidden: Sequence[int] = (500,),
        likelihood: str | None = None,
        network: nn.Module | None = None,
        dropout: float = 0.0,
        seed: int = 0,
    ):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.levels = None if levels is None else checks.positive_int("levels", levels, 2)
        self.condition = checks.positive_int("condition", condition)
        sizes = {"normal": 2} if levels is None else {"categorical": levels, "logistic": 3 * COMPONENTS}
        sizes |= {"bernoulli": 1} if levels == 2 else {}
        self.likelihood = next(iter(sizes)) if likelihood is None else likelihood
        if self.likelihood not in sizes:
            raise ValueError(
                f"likelihood must be {' or '.join(map(repr, sizes))} for levels={levels}, got {likelihood!r}: "
                "a Bernoulli variable has two levels, a normal one is continuous (levels=None)"
            )
        self.bias = nn.Parameter(torch.zeros(math.prod(self.event_shape), sizes[self.likelihood]))
        with seeded(seed):
            hidden = checks.integers("hidden", hidden, 1)
            self.network = network or MLP(self.condition, self.bias.numel(), hidden, dropout=dropout)

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Let training start from each dimension's own frequencies (or mean and standard deviation) in x."""
        x = checks.data(x, self.event_shape, self.levels).flatten(1)
        if self.likelihood == "categorical":
            self.bias.copy_(Levels.start(x, self.levels))
        elif self.likelihood == "logistic":
            self.bias.copy_(DiscretisedLogistic.start(x, self.levels, COMPONENTS))
        elif self.likelihood == "bernoulli":
            self.bias.copy_(((x.sum(0) + 1) / (len(x) + 2)).logit()[:, None])
        else:
            self.bias.copy_(torch.stack((x.mean(0), x.std(0, correction=0).clamp(min=1e-3).log()), 1))

    def given(self, z: Tensor) -> Distribution:
        """Return p(x_i | z) for all dimensions, a distribution of shape (B, *event_shape)."""
        z = checks.condition(z, len(z) if isinstance(z, Tensor) else 1, self.condition, self.bias, self)
        parameters = self.network(z)
        if parameters.shape != (len(z), self.bias.numel()):
            raise ValueError(f"network must return (B, {self.bias.numel()}), got {tuple(parameters.shape)}")
        parameters = (self.bias + parameters.view(len(z), *self.bias.shape)).view(len(z), *self.event_shape, -1)
        if self.likelihood == "categorical":
            return Levels(parameters)
        if self.likelihood == "logistic":
            return DiscretisedLogistic(parameters, self.levels)
        if self.likelihood == "bernoulli":
            return Bernoulli(logits=parameters[..., 0], validate_args=False)
        return Normal(parameters[..., 0], parameters[..., 1].clamp(-20, 20).exp(), validate_args=False)

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log p(x | z = y) in nats, (B,)."""
        x = checks.data(x, self.event_shape, self.levels)
        p = self.given(checks.condition(y, len(x), self.condition, self.bias, self))
        return p.log_prob(x.to(self.bias) if self.likelihood == "bernoulli" else x).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor) -> Tensor:
        """Return a draw from p(x | z) for each row z of y, (n, condition)."""
        x = self.given(checks.condition(y, n, self.condition, self.bias, self)).sample()
        return x if self.levels is None else x.long()

    @torch.no_grad()
    def mean(self, z: Tensor) -> Tensor:
        """Return E[x | z], (B, *event_shape): a picture of what z stands for, in levels."""
        return self.given(z).mean


class VAE(nn.Module):
    """p(x) = ∫ p(z) p(x | z) dz, trained by a bound with an encoder q(z | x) = N(m(x), diag(s(x)²)).

    log p(x) ≥ ELBO(x) = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z)), all in nats, z of `latent` dimensions.

    - encoder: a network from features of x to m and log s², (B, F) → (B, 2 · latent); the features are levels in
      `thermometer` code, F = D · (levels − 1), or continuous x itself, F = D. By default an MLP, layers of `hidden`.
    - decoder: a model p(x | y = z), with log_prob(x, y), sample(n, y=y) and initialise(x, y), such as `Decoder` (the
      default; `likelihood` as there), or an autoregressive model or a flow with condition = latent + condition.
    - prior: p(z), by default `StandardNormal`; any model of event_shape (latent,) with log_prob and sample, as a flow.
    - loss(x) = distortion + beta · rate, the two terms of −ELBO; at beta = 1 it is an upper bound on −log p(x). In each
      dimension of z a rate below `free_bits` nats counts as `free_bits`. With `k` > 1 the loss is −log (1/k) Σ w.

    With `condition` = C > 0 each method takes y: labels 0 … C−1, shape (B,), or features (B, C); the model is p(x | y).

    Source: Kingma & Welling 2014 (arXiv:1312.6114); Rezende et al. 2014 (arXiv:1401.4082); beta: Higgins et al. 2017;
    free bits: Kingma et al. 2016 (arXiv:1606.04934), appendix C; k: Burda et al. 2016 (arXiv:1509.00519).

    >>> model = VAE((1, 2, 2), levels=3, latent=2)
    >>> model.log_weight(model.sample(5), k=10).shape
    torch.Size([10, 5])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int | None,
        latent: int = 16,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        prior: nn.Module | None = None,
        beta: float = 1.0,
        free_bits: float = 0.0,
        k: int = 1,
        hidden: Sequence[int] = (500,),
        likelihood: str | None = None,
        dropout: float = 0.0,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.levels = None if levels is None else checks.positive_int("levels", levels, 2)
        self.latent = checks.positive_int("latent", latent)
        self.condition = checks.positive_int("condition", condition, 0)
        self.beta, self.k = checks.finite_number("beta", beta, 0), checks.positive_int("k", k)
        self.free_bits = checks.finite_number("free_bits", free_bits, 0)
        hidden, size = checks.integers("hidden", hidden, 1), self.latent + self.condition
        for wrong, sentence in (
            (decoder is not None and likelihood, "likelihood belongs to the default decoder: give it to your own"),
            (k > 1 and (beta != 1 or free_bits), "k > 1 is a bound of its own: it goes with beta=1 and free_bits=0"),
            (free_bits and not isinstance(prior, StandardNormal | None), "free_bits needs the standard normal prior"),
        ):
            if wrong:
                raise ValueError(sentence)
        with seeded(seed):
            if encoder is None:
                features = math.prod(self.event_shape) * ((self.levels or 2) - 1)
                encoder = MLP(features, 2 * self.latent, hidden, self.condition, dropout)
            if decoder is None:
                decoder = Decoder(event_shape, levels, size, hidden[::-1], likelihood, dropout=dropout, seed=seed + 1)
        prior = StandardNormal((self.latent,)) if prior is None else prior
        for name, part, wanted in (
            ("decoder", decoder, {"event_shape": self.event_shape, "levels": self.levels, "condition": size}),
            ("prior", prior, {"event_shape": (self.latent,), "levels": None}),
        ):
            given = {attribute: getattr(part, attribute, None) for attribute in wanted}
            if given != wanted:
                raise ValueError(f"{name} must be a model with {_named(wanted)}, got {_named(given)}")
        self.encoder, self.decoder, self.prior = encoder, decoder, prior
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Let the decoder look at x: training then starts from each dimension's own frequencies."""
        self.decoder.initialise(x, self._with(self.encode(x, y).mean, y))
        self.initialised.fill_(True)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Independent:
        """Return q(z | x), a distribution of B vectors: .mean, .stddev, .log_prob(z) (B,), .sample()."""
        x, like = checks.data(x, self.event_shape, self.levels), next(self.parameters())
        y = checks.condition(y, len(x), self.condition, like, self)
        features = x.to(like) if self.levels is None else thermometer(x, self.levels, like.dtype)
        parameters = self.encoder(features.flatten(1), *([] if y is None else [y]))
        if parameters.shape != (len(x), 2 * self.latent):
            raise ValueError(f"encoder must return (B, {2 * self.latent}), m and log s², got {tuple(parameters.shape)}")
        mean, log_var = parameters.chunk(2, 1)
        log_std = 0.5 * log_var.clamp(-20, 20)  # or one strange x makes it infinite
        return Independent(Normal(mean, log_std.exp(), validate_args=False), 1)

    def terms(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return distortion −log p(x | z) with one draw of z, (B,), and rate by dimension of z, (B, latent).

        The rate KL(q(z_j | x) ‖ p(z_j)) is analytic for the standard normal prior; for another it is the same draw's
        log q(z | x) − log p(z), (B, 1).
        """
        z = _draw(q := self.encode(x, y))
        if isinstance(self.prior, StandardNormal):
            rate = 0.5 * (q.mean**2 + q.variance - 1) - q.stddev.log()
        else:
            rate = (q.log_prob(z) - self.prior.log_prob(z))[:, None]
        return -self.decoder.log_prob(x, self._with(z, y)), rate

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return distortion + beta · rate, or for k > 1 −log (1/k) Σ w, of one draw, in nats, (B,)."""
        if self.k > 1:
            return math.log(self.k) - self.log_weight(x, self.k, y).logsumexp(0)
        distortion, rate = self.terms(x, y)
        return distortion + self.beta * (rate.clamp(min=self.free_bits) if self.free_bits else rate).sum(1)

    def log_weight(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """Return log p(z) + log p(x | z) − log q(z | x) in nats for k draws of z ~ q(z | x), (k, B)."""
        z = _draw(q := self.encode(x, y), checks.positive_int("k", k))
        log_q, z = q.log_prob(z), z.flatten(0, 1)  # (k, B), (k · B, latent)
        x, y = (v if v is None else v.repeat(k, *[1] * (v.dim() - 1)) for v in (x, y))
        return (self.prior.log_prob(z) + self.decoder.log_prob(x, self._with(z, y))).view(log_q.shape) - log_q

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Return n samples, (n, *event_shape): z from the prior, x from p(x | z)."""
        return self.decode(self.prior.sample(checks.positive_int("n", n)), y)

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return a draw from p(x | z) for each row of z, (B, latent), in all (B, *event_shape)."""
        return self.decoder.sample(len(checks.data(z, (self.latent,), None, "z")), y=self._with(z, y))

    def _with(self, z: Tensor, y: Tensor | None) -> Tensor:
        y = checks.condition(y, len(z), self.condition, z, self)
        return z if y is None else torch.cat((z, y), 1)


def _draw(q: Independent, *k: int) -> Tensor:
    """Return mean + standard deviation · noise, (*k, B, latent), through which gradients pass."""
    return q.mean + q.stddev * torch.randn(*k, *q.mean.shape, dtype=q.mean.dtype, device=q.mean.device)


def _named(values: dict) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


class LinearVAE(VAE):
    """z ~ N(0, I), x = W z + b + σ ε; q(z | x) = N(V (x − b), diag(s²)): a VAE of which all is known.

    x is continuous, (B, *event_shape). log p(x), a normal density, and p(z | x) are exact. The best ELBO is the best
    log-likelihood: W then spans the principal components, as in probabilistic PCA.

    Source: Tipping & Bishop 1999, equations 4 to 7; Lucas et al. 2019 (arXiv:1911.02469), section 4.

    >>> model = LinearVAE((3,), latent=1)
    >>> bool((model.log_weight(x := model.sample(5), k=1000).mean(0) < model.log_prob(x) + 0.5).all())
    True
    """

    def __init__(self, event_shape: Sequence[int], latent: int = 1, seed: int = 0):
        D, latent = math.prod(checks.shape("event_shape", event_shape)), checks.positive_int("latent", latent)
        with seeded(seed):
            encoder, decoder = _LinearEncoder(D, latent), _LinearDecoder(event_shape, latent)
        super().__init__(event_shape, None, latent, encoder, decoder)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Independent:
        return super().encode(checks.data(x, self.event_shape, None) - self.decoder.bias.view(self.event_shape), y)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log N(x; b, W Wᵀ + σ² I), exact, in nats, (B,)."""
        x, (W, b, variance) = checks.data(x, self.event_shape, None).flatten(1), self.decoder.parts()
        return LowRankNormal(b, W, variance.expand(len(b)), validate_args=False).log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Return the exact p(z | x) = N(M⁻¹ Wᵀ (x − b), σ² M⁻¹) with M = Wᵀ W + σ² I."""
        x, (W, b, variance) = checks.data(x, self.event_shape, None).flatten(1), self.decoder.parts()
        M = W.T @ W + variance * torch.eye(self.latent).to(W)
        return MultivariateNormal(torch.linalg.solve(M, W.T @ (x - b).T).T, precision_matrix=M / variance)


class _LinearEncoder(nn.Module):
    def __init__(self, inputs: int, latent: int):
        super().__init__()
        self.mean = nn.Linear(inputs, latent, bias=False)
        self.log_var = nn.Parameter(torch.zeros(latent))

    def forward(self, x, y=None):
        return torch.cat((self.mean(x), self.log_var.expand(len(x), -1)), 1)


class _LinearDecoder(Decoder):
    def __init__(self, event_shape, condition):
        nn.Module.__init__(self)
        self.event_shape, self.levels, self.condition = checks.shape("event_shape", event_shape), None, condition
        self.weight = nn.Parameter(0.1 * torch.randn(math.prod(self.event_shape), condition))
        self.bias = nn.Parameter(torch.zeros(len(self.weight)))
        self.log_var = nn.Parameter(torch.zeros(()))
        self.likelihood = "normal"

    def parts(self):
        return self.weight, self.bias, self.log_var.exp()

    @torch.no_grad()
    def initialise(self, x, y=None):
        x = x.flatten(1)
        self.bias.copy_(x.mean(0))
        self.log_var.copy_(x.var(0, correction=0).mean().clamp(min=1e-6).log())

    def given(self, z):
        W, b, variance = self.parts()
        return Normal((z @ W.T + b).view(-1, *self.event_shape), variance.sqrt(), validate_args=False)
