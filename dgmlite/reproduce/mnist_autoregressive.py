"""MADE, NADE, masked convolutions and a transformer on dynamically binarised MNIST, beside published code's nats."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dgmlite.causal import MaskedMLP
from dgmlite.data import Dataset
from dgmlite.models.autoregressive import NADE, Autoregressive, CausalTransformer, PixelCNN
from dgmlite.networks import seeded
from dgmlite.reproduce._paper import Binarised, Row
from dgmlite.reproduce._paper import mnist as data

__all__ = ["ROWS", "UNIT", "data", "references"]

UNIT, SHAPE = "nats", (1, 28, 28)


class BinaryMADE(Autoregressive):
    """A MADE of two levels with one input and one logit for each pixel, where MADE has two of which one is idle."""

    def __init__(self, event_shape: tuple[int, ...], levels: int, hidden: tuple[int, ...], seed: int = 0):
        super().__init__(event_shape, levels)
        with seeded(seed):
            self.network = MaskedMLP(len(self.order), 1, hidden)

    def _code(self, x: Tensor) -> Tensor:
        return x[..., None].to(self.bias.dtype)

    def _logits(self, bias: Tensor, steps: Tensor) -> Tensor:
        return super()._logits(bias, F.pad(steps, (1, 0)))


def build(kind: type, seed: int, **sizes) -> Binarised:
    return Binarised(kind(SHAPE, 2, **sizes, seed=seed))


def score(model: Binarised, data: Dataset) -> dict:
    """Exact nats on the test split, mean of five binarisations, and on the validation split."""
    valid, test = model.evaluate(data.valid.x, draws=1), model.evaluate(data.test.x)
    return {"valid": valid.nats, "test": test.nats, "stderr": test.stderr, "kind": test.kind}


def references(data: Dataset) -> dict[str, float]:
    """Return what independent pixels cost, and what no model can save: the entropy of the coins.

    Both are expectations over the coins, without sampling. Raises AssertionError if they are not those of MNIST.
    """
    p = data.train.x.double().mean(0) / 255
    p = (p * len(data.train) + 1) / (len(data.train) + 2)  # one pixel of each kind added
    q = data.test.x.double() / 255
    factorised = -(torch.xlogy(q, p) + torch.xlogy(1 - q, 1 - p)).flatten(1).sum(1).mean().item()
    coins = -(torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q)).flatten(1).sum(1).mean().item()
    for name, value, known in (("factorised", factorised, 205.8), ("coins", coins, 45.5)):
        if abs(value - known) > 0.1:
            raise AssertionError(f"{name}: {value:.2f} nats, known are {known}: these are not the test images of MNIST")
    return {"independent pixels": factorised, "entropy of the coins": coins}


# Published: the table of pytorch-generative (github.com/EugenHotaj/pytorch-generative), which trains on 60,000 images
# and keeps the epoch that is best on the test images. Ours train on 50,000; the validation images choose.
LONG = dict(schedule="cosine", average=0.9995)
ROWS = {
    "MADE": Row(
        partial(build, BinaryMADE),
        score,
        dict(epochs=400, batch_size=128, lr=1e-3) | LONG,
        dict(hidden=(8000,)),
        dict(hidden=(800,)),
        84.87,
    ),
    "NADE": Row(
        partial(build, NADE),
        score,
        dict(epochs=270, batch_size=128, lr=1e-3) | LONG,
        dict(hidden=1000),
        dict(hidden=20),
        85.65,
    ),
    "PixelCNN": Row(
        partial(build, PixelCNN),
        score,
        dict(epochs=200, batch_size=128, lr=3e-3) | LONG,
        dict(channels=96, depth=10, kernel=7, dropout=0.1),
        dict(channels=4, depth=1, kernel=7, dropout=0.1),
        81.45,
    ),
    "CausalTransformer": Row(
        partial(build, CausalTransformer),
        score,
        dict(epochs=300, batch_size=128, lr=2e-3) | LONG,
        dict(channels=128, heads=4, depth=8, dropout=0.1),
        dict(channels=8, heads=2, depth=1, dropout=0.1),
        79.17,
    ),
    "MADE, on a CPU": Row(
        partial(build, BinaryMADE),
        score,
        dict(epochs=120, batch_size=100, lr=3e-3, schedule="cosine", bf16=True),
        dict(hidden=(4000,)),
        dict(hidden=(800,)),
        cpu=True,
    ),
}
