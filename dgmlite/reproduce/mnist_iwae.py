"""The VAE and IWAE of Burda et al. 2016 with one stochastic layer, on dynamically binarised MNIST, k = 1, 5, 50."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from dgmlite.data import Dataset
from dgmlite.models.vae import VAE, Decoder
from dgmlite.networks import MLP, seeded
from dgmlite.reproduce._paper import Binarised, Row
from dgmlite.reproduce._paper import mnist as data
from dgmlite.reproduce.mnist_autoregressive import references

__all__ = ["ROWS", "UNIT", "Burda", "build", "data", "references"]

UNIT, SHAPE, LATENT = "nats", (1, 28, 28), 50
BATCH, PASS = 20, 50_000 // 20
DRAWS = 5000  # of z for each test image


class Burda(VAE):
    """A VAE on binary pixels that is trained by one of three functions of k log-weights log w_i, of which all see z_i.

    - "VAE": −(1/k) Σ log w_i, the usual bound with k draws instead of one.
    - "IWAE": −log (1/k) Σ w_i, a tighter one.
    - "DReG": the same value; the encoder's slope is Σ (w_i / Σ w)² ∂log w_i/∂z_i · ∂z_i/∂φ, without that of
      log q(z | x) at fixed z, whose mean is known. Decoder and prior have the slope of IWAE.

    Source: Burda et al. 2016 (arXiv:1509.00519), sections 3 and 5; Tucker et al. 2019 (arXiv:1810.04152), equation 8.
    """

    def __init__(self, objective: str, k: int, hidden: int = 200, seed: int = 0):
        with seeded(seed):
            widths, D = (hidden, hidden), math.prod(SHAPE)
            encoder = MLP(D, 2 * LATENT, widths, activation=nn.Tanh)
            network = MLP(LATENT, D, widths, activation=nn.Tanh)
            decoder = Decoder(SHAPE, 2, LATENT, likelihood="bernoulli", network=network)
        super().__init__(SHAPE, 2, LATENT, encoder, decoder, k=k)
        self.objective = objective

    def loss(self, x: Tensor, y: None = None) -> Tensor:
        if self.objective == "DReG":
            return self._doubly_reparameterised(x)
        log_w = self.log_weight(x, self.k)
        return -log_w.mean(0) if self.objective == "VAE" else math.log(self.k) - log_w.logsumexp(0)

    def _doubly_reparameterised(self, x: Tensor) -> Tensor:
        q = self.encode(x)
        z = q.mean + q.stddev * torch.randn(self.k, *q.mean.shape, dtype=q.mean.dtype, device=q.mean.device)
        fixed = torch.distributions.Normal(q.mean.detach(), q.stddev.detach(), validate_args=False)
        flat = z.flatten(0, 1)
        log_p = self.prior.log_prob(flat) + self.decoder.log_prob(x.repeat(self.k, 1, 1, 1), flat)
        log_w = log_p.view(self.k, len(x)) - fixed.log_prob(z).sum(-1)
        share = log_w.detach().softmax(0)
        if z.requires_grad:
            z.register_hook(lambda slope: share[..., None] * slope)
        surrogate = -(share * log_w).sum(0)
        return surrogate - surrogate.detach() + math.log(self.k) - log_w.detach().logsumexp(0)


def build(objective: str, k: int, seed: int, **sizes) -> Binarised:
    return Binarised(Burda(objective, k, **sizes, seed=seed))


def score(model: Binarised, data: Dataset) -> dict:
    """The bound of 5000 weights on one binarisation of the test split, as in the paper, and what the ELBO says."""
    test, elbo = (model.evaluate(data.test.x, draws=1, k=k, batch_size=50_000) for k in (DRAWS, 1))
    valid = model.evaluate(data.valid.x, draws=1, k=1)
    result = {"valid, −ELBO": valid.nats, "test, −ELBO": elbo.nats, "test": test.nats, "stderr": test.stderr}
    return result | {"kind": f"{test.kind}, k = {DRAWS}"}


def rate(step: int, total: int, stages: int = 8) -> float:
    """The paper's share of the learning rate: 10^(−i/7) in stage i = 0 … 7, which lasts 3^i passes through the data."""
    passes = (3**stages - 1) / 2 * step / total  # (3^i − 1) / 2 of them come before stage i
    return 10 ** (-math.floor(math.log(2 * passes + 1, 3) + 1e-9) / 7)


def first_stages(step: int, total: int) -> float:
    """The first five stages of `rate`."""
    return rate(step, total, 5)


FIT = dict(batch_size=BATCH, lr=1e-3, eps=1e-4)
LONG = FIT | dict(steps=(3**8 - 1) // 2 * PASS, schedule=rate)  # 3280 passes
SHORT = FIT | dict(steps=(3**5 - 1) // 2 * PASS, schedule=first_stages)  # 121 passes
PUBLISHED = {("VAE", 1): 86.76, ("VAE", 5): 86.47, ("VAE", 50): 86.35, ("IWAE", 5): 85.54, ("IWAE", 50): 84.78}
ROWS = {
    f"{objective}, k = {k}": Row(
        partial(build, objective, k), score, LONG, {}, {"hidden": 20}, PUBLISHED.get((objective, k))
    )
    for objective, k in (*PUBLISHED, ("DReG", 5), ("DReG", 50))
}
ROWS |= {
    f"{objective}, k = {k}, five stages": Row(
        partial(build, objective, k), score, SHORT, {}, {"hidden": 20}, None, True
    )
    for objective, k in (("VAE", 1), ("VAE", 5), ("IWAE", 5), ("DReG", 5))
}
