"""RealNVP on 8-bit MNIST in bits per dimension, with uniform and with variational dequantisation; both are bounds."""

from functools import partial

from dgmlite.data import Dataset
from dgmlite.evaluation import elbo, iwae
from dgmlite.models.flow import Coupling, Dequantised, RealNVP, Sequential
from dgmlite.networks import MLP, seeded
from dgmlite.reproduce._paper import Row
from dgmlite.reproduce._paper import mnist as data

__all__ = ["ROWS", "UNIT", "data", "references"]

UNIT, SHAPE, LEVELS, D = "bits per dimension", (1, 28, 28), 256, 784


def build(seed: int, variational: bool = False, **sizes) -> Dequantised:
    """Return a model of the levels; with `variational` the noise is a small flow that sees them."""
    noise = None
    if variational:
        with seeded(seed):
            network = partial(MLP, hidden=(4 * sizes["hidden"],), condition=D)
            noise = Sequential(Coupling(D, network), Coupling(D, network, flip=True))
    return Dequantised(RealNVP(SHAPE, **sizes, seed=seed), LEVELS, noise)


def score(model: Dequantised, data: Dataset) -> dict:
    """−ELBO with ten draws of the noise, and the tighter bound that the same number of draws give as weights."""
    valid, test = (elbo(model, split.x, k=10, batch_size=1000) for split in (data.valid, data.test))
    tighter = iwae(model, data.test.x, k=10, batch_size=1000)
    result = {
        "valid": valid.bits_per_dim,
        "test": test.bits_per_dim,
        "stderr": test.stderr / test.nats * test.bits_per_dim,
    }
    return result | {"kind": test.kind, "test, 10 weights": tighter.bits_per_dim}


def references(data: Dataset) -> dict[str, float]:
    """Return what equally probable levels cost."""
    return {"uniform levels": 8.0}


# Published: Grathwohl et al. 2019, FFJORD (arXiv:1810.01367), table 2: RealNVP 1.06, Glow 1.05, FFJORD 0.99, all by
# uniform dequantisation.
FIT = dict(epochs=200, batch_size=128, lr=1e-3, schedule="cosine", average=0.999)
SIZES, SMALL = dict(depth=8, hidden=64, scales=2), dict(depth=2, hidden=4, scales=2)
GLOW = dict(actnorm=True, linear=True)
ROWS = {
    "uniform": Row(build, score, FIT, SIZES, SMALL, 1.06),
    "uniform, actnorm, 1 × 1": Row(build, score, FIT, SIZES | GLOW, SMALL | GLOW, 1.05),
    "variational": Row(build, score, FIT, SIZES | dict(variational=True), SMALL | dict(variational=True)),
    "variational, actnorm, 1 × 1": Row(
        build, score, FIT, SIZES | GLOW | dict(variational=True), SMALL | GLOW | dict(variational=True)
    ),
}
