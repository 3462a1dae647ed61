"""The test images of MNIST as real files, raw and binarised: models and an entropy coder beside general formats."""

import bz2
import gzip
import io
import lzma
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from dgmlite.compression import compress, decompress, describe
from dgmlite.data import Dataset
from dgmlite.evaluation import evaluate
from dgmlite.models.autoregressive import PixelCNN
from dgmlite.models.vae import VAE
from dgmlite.networks import seeded
from dgmlite.reproduce import mnist_autoregressive
from dgmlite.reproduce._paper import Binarised, Row
from dgmlite.reproduce._paper import mnist as data
from dgmlite.reproduce._run import Grey

__all__ = ["ROWS", "UNIT", "data", "references"]

UNIT, SHAPE, D = "bits per pixel", (1, 28, 28), 784


def coins(x: Tensor) -> Tensor:
    """The one binarisation that all files hold."""
    with seeded(0):
        return Binarised.binarise(x)


def score(model: nn.Module, data: Dataset) -> dict:
    """Bits per pixel of a file that was written and read again, and what the model's own nats promise.

    The initial bits of bits back, which are there again after reading, count for themselves.
    """
    inner, x = (model.model, coins(data.test.x)) if isinstance(model, Binarised) else (model, data.test.x)
    file = compress(inner.cpu(), x)
    if not torch.equal(decompress(inner, file), x):
        raise AssertionError("the file does not hold the images")
    promise, about = evaluate(inner, x), describe(file)
    result = {"test": (8 * about.header + about.payload) / x.numel(), "kind": "a file"}
    result |= {"stderr": promise.stderr / promise.nats * promise.bits_per_dim, "initial bits": about.initial}
    return result | {"bytes": len(file), f"test, {promise.kind}": promise.bits_per_dim}


def references(data: Dataset) -> dict[str, float]:
    """Return the bits per pixel of general formats, each the best of several layouts of the same pixels."""
    raw, binary = (x[:, 0].numpy().astype(np.uint8) for x in (data.test.x, coins(data.test.x)))
    sizes = {f"{name}, raw": size for name, size in _sizes([raw.tobytes()], raw, "L").items()}
    layouts = [binary.tobytes(), np.packbits(binary).tobytes()]
    sizes |= {f"{name}, binarised": size for name, size in _sizes(layouts, 255 * binary, "1").items()}
    return {name: 8 * size / raw.size for name, size in sizes.items()}


def _sizes(layouts: list[bytes], x: np.ndarray, mode: str) -> dict[str, int]:
    rows = round(len(x) ** 0.5)
    square = Image.fromarray(x.reshape(rows, rows, 28, 28).swapaxes(1, 2).reshape(rows * 28, rows * 28))
    strip = Image.fromarray(x.reshape(-1, 28))  # too long for WebP

    def picture(image: Image.Image, kind: str, **options) -> int:
        image.save(file := io.BytesIO(), kind, **options)
        return len(file.getvalue())

    return {
        "gzip": min(len(gzip.compress(v, 9)) for v in layouts),
        "bz2": min(len(bz2.compress(v)) for v in layouts),
        "xz": min(len(lzma.compress(v, preset=9 | lzma.PRESET_EXTREME)) for v in layouts),
        "PNG": min(picture(image.convert(mode, dither=0), "PNG", optimize=True) for image in (square, strip)),
        "WebP": picture(square.convert("RGB"), "WEBP", lossless=True, quality=100, method=6),
    }


def binary_vae(seed: int, **sizes) -> Binarised:
    return Binarised(VAE(SHAPE, 2, likelihood="bernoulli", **sizes, seed=seed))


def raw_vae(seed: int, latent: int, hidden: tuple[int, ...]) -> VAE:
    with seeded(seed):
        encoder = Grey(D, 2 * latent, hidden)
    return VAE(SHAPE, 256, latent, encoder, hidden=hidden, likelihood="logistic", seed=seed)


def raw_pixelcnn(seed: int, **sizes) -> PixelCNN:
    return PixelCNN(SHAPE, 256, **sizes, seed=seed)


# Published: Townsend et al. 2019, Practical lossless compression with latent variables using bits back coding
# (arXiv:1901.04866), table 2: BB-ANS with a VAE, 0.19 binarised and 1.41 raw.
FIT = dict(batch_size=100, lr=1e-3, schedule="cosine", average=0.999)
VAES = dict(latent=50, hidden=(400,)), dict(latent=3, hidden=(20,))
ROWS = {
    "VAE, bits back, binarised": Row(binary_vae, score, FIT | dict(epochs=60), *VAES, 0.19, cpu=True),
    "VAE, bits back, raw": Row(raw_vae, score, FIT | dict(epochs=25), *VAES, 1.41, cpu=True),
    "PixelCNN, binarised": replace(
        mnist_autoregressive.ROWS["PixelCNN"], score=score, published=0.19, home=("mnist_autoregressive", "PixelCNN")
    ),
    "PixelCNN, raw": Row(
        raw_pixelcnn,
        score,
        FIT | dict(epochs=100),
        dict(channels=96, depth=10, kernel=7, dropout=0.1),
        dict(channels=4, depth=1),
        1.41,
    ),
}
