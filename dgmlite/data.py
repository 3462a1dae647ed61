"""Data sets and 2-D densities: arrays in, tensors out, every file checked by the hash of its contents.

`digits`, the 2-D densities and `TEXT` need no network. `mnist` and `shakespeare` look in the folder that the
environment variable DGMLITE_DATA names, then download once into the user's cache.
"""

import gzip
import hashlib
import io
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
import torch
from sklearn.datasets import load_digits

from dgmlite import checks

# The opening of Shakespeare's Coriolanus: small enough to count by hand, always there.
TEXT = Path(__file__).with_name("data_text.txt").read_text(encoding="ascii")

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Examples x (N, …) with labels y (N,).

    >>> Split(torch.zeros(5, 1, 8, 8).long(), torch.arange(5))
    Split(x: (5, 1, 8, 8), y: (5,))
    """

    x: torch.Tensor
    y: torch.Tensor

    def __post_init__(self):
        for name, value in (("x", self.x), ("y", self.y)):
            if not isinstance(value, torch.Tensor) or value.dim() == 0:
                raise TypeError(f"{name} must be a tensor with one entry per example, got {type(value).__name__}")
        if len(self.x) != len(self.y):
            raise ValueError(f"x and y must have one entry per example, got {len(self.x)} and {len(self.y)}")

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"Split(x: {tuple(self.x.shape)}, y: {tuple(self.y.shape)})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """Three splits of images with integer levels 0..levels − 1. Test data never choose anything."""

    train: Split
    valid: Split
    test: Split
    levels: int


class Text(NamedTuple):
    """The two parts of a text, as strings."""

    train: str
    valid: str


def digits() -> Dataset:
    """Handwritten digits, 8 × 8 pixels with 17 grey levels 0..16, from the file inside scikit-learn.

    x is (N, 1, 8, 8) and y is (N,), both torch.long. In file order: train [0:1000), valid [1000:1350), test
    [1350:1797). They stand in the order of their writers, so the parts are not exchangeable.
    Source: Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI.

    >>> digits().train
    Split(x: (1000, 1, 8, 8), y: (1000,))
    """
    file = load_digits()
    x, y = torch.from_numpy(file.images).long()[:, None], torch.from_numpy(file.target).long()
    train, valid, test = (Split(x[part], y[part]) for part in (slice(1000), slice(1000, 1350), slice(1350, None)))
    return Dataset(train, valid, test, levels=17)


def shifts(x: torch.Tensor, unmoved: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images moved by at most one pixel in each direction, and by which move each was made.

    x: (N, C, H, W) → (M, C, H, W), (M,) with labels 0 (not moved) to 8, M = (8 + unmoved) N: each of the 8 moves once,
    and the images as they are `unmoved` times. What leaves the picture is lost, and level 0 comes in. A model that is
    told the label learns from all of them, and when asked with label 0 is one of images that were not moved.

    >>> moved, move = shifts(digits().train.x)
    >>> moved.shape, torch.equal(moved[move == 0], digits().train.x)
    (torch.Size([9000, 1, 8, 8]), True)
    """
    if not isinstance(x, torch.Tensor) or x.dim() != 4:
        raise ValueError(f"x must be a tensor of images of shape (N, C, H, W), got {getattr(x, 'shape', x)!s:.60}")
    more = checks.positive_int("unmoved", unmoved) - 1
    padded, (height, width) = torch.nn.functional.pad(x, (1, 1, 1, 1)), x.shape[2:]
    moves = [(1, 1)] + [(down, right) for down in range(3) for right in range(3) if (down, right) != (1, 1)]
    moved = [padded[:, :, down : down + height, right : right + width] for down, right in moves]
    move = torch.arange(9).repeat_interleave(len(x))
    return torch.cat([*moved, *[x] * more]), torch.cat((move, move.new_zeros(more * len(x))))


def mnist() -> Dataset:
    """MNIST: handwritten digits, 28 × 28 pixels with 256 grey levels 0..255.

    x is (N, 1, 28, 28) and y is (N,), both torch.long (440 MB in all). Train is [0:50000) and valid
    [50000:60000) of the original training file, test the original 10000.
    The four IDX files are taken from DGMLITE_DATA (in it or in its folder mnist/, gzipped or not), else downloaded
    once. Raises ValueError for a file in DGMLITE_DATA with other contents than the original, OSError when the
    download fails. Source: LeCun, Cortes & Burges (1998), The MNIST database.

    >>> mnist().valid  # doctest: +SKIP
    Split(x: (10000, 1, 28, 28), y: (10000,))
    """
    labels, images, test_labels, test_images = (
        _idx("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60000),
        _idx("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 60000),
        _idx("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10000),
        _idx("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 10000),
    )
    train, valid = Split(images[:50000], labels[:50000]), Split(images[50000:], labels[50000:])
    return Dataset(train, valid, Split(test_images, test_labels), levels=256)


def shakespeare() -> Text:
    """1,115,394 characters of Shakespeare, the usual text for character models: first 90 % train, last 10 % valid.

    Taken from DGMLITE_DATA (in it or in its folder text/), else downloaded once; errors as in `mnist`.
    Source: Karpathy (2015), The unreasonable effectiveness of recurrent neural networks. `TEXT` is its beginning.

    >>> train, valid = shakespeare()  # doctest: +SKIP
    """
    sha256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
    text = _contents("tinyshakespeare.txt", "text", SHAKESPEARE_URL + "input.txt", sha256, 1_115_394).decode("ascii")
    cut = len(text) * 9 // 10
    return Text(text[:cut], text[cut:])


def _idx(name: str, sha256: str, n: int) -> torch.Tensor:
    """An MNIST file: big-endian integers (2051, n, 28, 28) for images or (2049, n) for labels, then one byte each."""
    magic, *shape = (2051, n, 28, 28) if "images" in name else (2049, n)
    header = struct.pack(f">{1 + len(shape)}I", magic, *shape)
    size = len(header) + math.prod(shape)
    contents = _contents(name, "mnist", f"{MNIST_URL}{name}.gz", sha256, size, header)
    values = torch.from_numpy(np.frombuffer(contents, np.uint8, offset=len(header)).astype(np.int64))
    return values.reshape(n, 1, 28, 28) if "images" in name else values


def _contents(name: str, folder: str, url: str, sha256: str, size: int, header: bytes = b"") -> bytes:
    """The uncompressed bytes of a file: from DGMLITE_DATA where it is there, else from the cache or the network."""
    if root := os.environ.get("DGMLITE_DATA"):
        base = Path(root).expanduser()
        if not base.is_dir():
            raise ValueError(f"DGMLITE_DATA must name a folder, got {root!r}; correct it or unset it")
        for path in (base / folder / f"{name}.gz", base / folder / name, base / f"{name}.gz", base / name):
            if path.is_file():
                return _checked(path, sha256, size, header)
    cache = pooch.os_cache("dgmlite")
    try:  # pooch writes under a temporary name, and renames only what has the right hash
        return Path(pooch.retrieve(url, f"sha256:{sha256}", name, cache, downloader=_download)).read_bytes()
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise OSError(
            f"{name} could not be downloaded from {url} into {cache} ({error}); "
            f"without a network, set DGMLITE_DATA to a folder that holds {name}"
        ) from error


def _download(url: str, output_file: str, pooch_: pooch.Pooch | None) -> None:
    """Write what url holds, uncompressed: mirrors differ in the gzip wrapping, so the hash is one of contents."""
    received = io.BytesIO()
    pooch.HTTPDownloader()(url, received, pooch_)
    contents = received.getvalue()
    Path(output_file).write_bytes(gzip.decompress(contents) if url.endswith(".gz") else contents)


def _checked(path: Path, sha256: str, size: int, header: bytes) -> bytes:
    contents = path.read_bytes()
    try:
        if path.suffix == ".gz":
            contents = gzip.decompress(contents)
        if contents[: len(header)] != header:
            cause = f"it starts with {contents[: len(header)].hex(' ', 4)} where the original has {header.hex(' ', 4)}"
        elif len(contents) != size:
            cause = f"it holds {len(contents):,} bytes where the original has {size:,}"
        elif hashlib.sha256(contents).hexdigest() != sha256:
            cause = "its length is right, but bytes were changed"
        else:
            return contents
    except (OSError, EOFError, zlib.error) as error:
        cause = f"it cannot be decompressed: {error}"
    raise ValueError(f"{path} is not the original file: {cause}; replace it, or remove it to have it downloaded")


@dataclass(frozen=True, eq=False, repr=False)
class Density:
    """A density on the plane: an equal mixture of copies of one bump, with exact log_prob and exact samples.

    p(x) = 1/K Σₖ q(x − cₖ), where q is a Gaussian of standard deviation `spread` in both directions, or with
    square=True the uniform density on the square |x₁|, |x₂| ≤ spread. Squares must not overlap.
    `centres` is (K, 2).

    >>> standard_normal = Density(torch.zeros(1, 2), spread=1.0)
    >>> standard_normal.log_prob(torch.zeros(1, 2))  # −log 2π
    tensor([-1.8379])
    """

    centres: torch.Tensor
    spread: float
    square: bool = False

    def __post_init__(self):
        checks.data(self.centres, (2,), None, "centres")
        checks.finite_number("spread", self.spread, 1e-6, 1e6)

    def sample(self, n: int, seed: int = 0) -> torch.Tensor:
        """Draw n independent points, (n, 2) float32; the same seed gives the same points."""
        n, seed = checks.positive_int("n", n), checks.positive_int("seed", seed, minimum=0)
        if seed >= 2**63:
            raise ValueError(f"seed must be below 2**63, got {seed}")
        generator = torch.Generator().manual_seed(seed)
        k = torch.randint(len(self.centres), (n,), generator=generator)
        if self.square:
            noise = 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1
        else:
            noise = torch.randn(n, 2, generator=generator, dtype=torch.float64)
        return (self.centres[k] + self.spread * noise).float()

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log-density in nats, (n,), at points x (n, 2); −inf outside all squares."""
        checks.data(x, (2,), None)
        centres = self.centres.to(x)
        u, v = ((x[:, None, i] - centres[:, i]) / self.spread for i in (0, 1))  # (n, K)
        log_k = math.log(len(centres))
        if self.square:
            inside = ((u.abs() <= 1) & (v.abs() <= 1)).any(1)
            return torch.where(inside, -log_k - 2 * math.log(2 * self.spread), -math.inf).to(x)
        return torch.logsumexp(-(u**2 + v**2) / 2, 1) - log_k - math.log(2 * math.pi * self.spread**2)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """A box (x_low, x_high, y_low, y_high) to plot, with at least 99.9 % of the mass."""
        reach = self.spread if self.square else 4 * self.spread
        (x_low, y_low), (x_high, y_high) = self.centres.amin(0).tolist(), self.centres.amax(0).tolist()
        return x_low - reach, x_high + reach, y_low - reach, y_high + reach

    def __repr__(self) -> str:
        bump = f"squares of side {2 * self.spread:g}" if self.square else f"Gaussians of std {self.spread:g}"
        return f"Density({len(self.centres)} {bump})"


def two_moons(std: float = 0.1) -> Density:
    """Two interleaved half circles of radius 1, the second upside down and moved by (1, ½), with Gaussian noise.

    Exact: the curves are replaced by equally spaced points, at most one std apart, and the density is that of the
    Gaussian mixture around them. The geometry is that of scikit-learn's make_moons.

    >>> two_moons()
    Density(64 Gaussians of std 0.1)
    """
    std = _std(std)
    t = math.pi * _midpoints(math.pi / std)
    outer = torch.stack([t.cos(), t.sin()], 1)
    return Density(torch.cat([outer, torch.tensor([1.0, 0.5]) - outer]), std)


def ring_of_gaussians(components: int = 8, radius: float = 3.0, std: float = 0.3) -> Density:
    """Equal Gaussians at equal distances on a circle: mean 0 and covariance (radius²/2 + std²)·I for ≥ 3 of them.

    Exact: p(x) = 1/K Σₖ N(x; cₖ, std²·I) with cₖ = radius·(cos 2πk/K, sin 2πk/K).

    >>> ring_of_gaussians().sample(3).shape
    torch.Size([3, 2])
    """
    components = checks.positive_int("components", components)
    radius = checks.finite_number("radius", radius, 0, 1000)
    t = 2 * math.pi * torch.arange(components, dtype=torch.float64) / components
    return Density(radius * torch.stack([t.cos(), t.sin()], 1), _std(std))


def checkerboard() -> Density:
    """Uniform on the eight dark squares, of side 2, of a 4 × 4 board over [−4, 4]².

    Exact: log p is −log 32 on the dark squares, edges included, and −inf elsewhere.

    >>> checkerboard().log_prob(torch.tensor([[-3.0, -3.0], [-3.0, -1.0]]))
    tensor([-3.4657,    -inf])
    """
    centres = [(x, y) for x in (-3, -1, 1, 3) for y in (-3, -1, 1, 3) if (x + y) % 4 == 2]
    return Density(torch.tensor(centres, dtype=torch.float64), 1.0, square=True)


def spirals(std: float = 0.1) -> Density:
    """Two spiral arms ±t/3·(cos t, sin t), 0 ≤ t ≤ 3π, uniform in arc length, with Gaussian noise.

    Exact: the arms are replaced by equally spaced points, at most one std apart, and the density is that of the
    Gaussian mixture around them.

    >>> spirals().log_prob(torch.zeros(1, 2)).shape
    torch.Size([1])
    """
    std = _std(std)
    t = np.linspace(0, 3 * math.pi, 10_001)
    length = (t * np.sqrt(1 + t**2) + np.arcsinh(t)) / 6  # ∫ |d/dt t/3·(cos t, sin t)| dt
    t = torch.from_numpy(np.interp(length[-1] * _midpoints(length[-1] / std), length, t))
    arm = t[:, None] / 3 * torch.stack([t.cos(), t.sin()], 1)
    return Density(torch.cat([arm, -arm]), std)


def _std(value: float) -> float:
    return checks.finite_number("std", value, 0.01, 100)


def _midpoints(count: float) -> torch.Tensor:
    """The midpoints of ⌈count⌉ equal pieces of [0, 1]."""
    count = math.ceil(count)
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
