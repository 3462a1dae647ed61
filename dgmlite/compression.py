"""A model and an entropy coder make a file, and back: lossless, at the model's own surprise.

The coder is a stack, `constriction`'s asymmetric numeral systems: what is pushed with a probability p makes it −log2 p
bits longer, what is popped with p makes it that much shorter, and what was pushed last is popped first. A model with
p(x) pushes the image. One with a latent variable z first pops z with q(z | x), then pushes x with p(x | z) and z with
p(z): bits back, −log w bits in all. `dgmlite.information.RangeEncoder` is a coder to be read, as long to a few bytes.

A file is a header, all numbers little-endian, and the words of the stack, 32 bits each.

    bytes   what
    4       b"dgml"
    1       version of this format, 1
    1       kind, 0: exact, 1: bits back
    1       d, the number of entries of the event shape
    2       levels − 1
    2       words that were on the stack at the beginning
    4       n, the number of images
    4 d     event shape
    4       CRC-32 of the weights: names, shapes and values of the state_dict in the order of the names, all as float64
    4       CRC-32 of the images, as 16-bit levels
    4       CRC-32 of all other bytes of the file

So 39 bytes for images. The model is not in the file, nor is a condition y. `BINS`, `ROOM` and `_shift` belong to the
version: with others, files of this one could not be read.
"""

import contextlib
import copy
import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import constriction
import numpy as np
import torch
from torch import Tensor, nn

from dgmlite import checks
from dgmlite.models.flow import StandardNormal

AnsCoder, Categorical = constriction.stream.stack.AnsCoder, constriction.stream.model.Categorical
MAGIC, VERSION, KINDS = b"dgml", 1, ("exact", "bits back")
BINS = 1 << 10  # of each latent dimension, all with the same mass under the prior
PRIOR = Categorical(np.full(BINS, 1 / BINS), perfect=False)
ROWS = Categorical(perfect=False)  # a distribution for each symbol, a row of a table of probabilities
ROOM = 1 << 25  # probabilities that are held at a time, a quarter of a gigabyte
FIRST, LAST = struct.Struct("<4sBBBHHI"), struct.Struct("<III")


@dataclass(frozen=True)
class Description:
    """What a file holds: n images of event_shape and levels, and 8 · header + initial + payload bits.

    `kind` is "exact" or "bits back". `header` is in bytes. `initial` bits were on the stack before the first image, and
    `payload` bits are what the images added: −log2 p(x), or for bits back −ELBO / ln 2 on average.
    """

    kind: str
    n: int
    event_shape: tuple[int, ...]
    levels: int
    header: int
    initial: int
    payload: int


def compress(model: nn.Module, x: Tensor, y: Tensor | None = None) -> bytes:
    """Return the bytes from which `decompress` restores x, integer levels (n, *event_shape), with condition y or None.

    - A model with the conditionals of p(x) (`walk`, or `given` y) needs −Σ log2 p(x) bits, the header, at most 64 bits
      to end, and at most 1.45 levels / 2^24 bits for each dimension, since the coder rounds p to multiples of 2^−24.
    - A VAE with a standard normal prior, on average −Σ ELBO(x) / ln 2 and the initial bits, 10 for each dimension of z
      and about 64, once. Each z is one of `BINS` intervals of the same prior mass, so one far beyond 3 is known badly.

    Raises TypeError with the reason for a model that cannot do it, ValueError or TypeError for data it cannot score.

    Source: Duda 2013 (arXiv:1311.2540); bits back: Townsend et al. 2019 (arXiv:1901.04866).

    >>> from dgmlite.models.autoregressive import MADE
    >>> model, x = MADE((2, 2), levels=3), torch.randint(3, (10, 2, 2))
    >>> torch.equal(decompress(model, compress(model, x)), x)
    True
    """
    kind = _kind(model)
    x = checks.data(x, model.event_shape, model.levels).cpu().long()
    before = _initial_words(model.latent if kind else 0)
    coder = AnsCoder(before)
    with _sequential(model, len(x), y) as (model, y):
        for some in reversed(_groups(kind, model, len(x))):
            part = coder, model, x[some], None if y is None else y[some]
            _push_with_latent(*part, int(some)) if kind else _push(*part)
    words = coder.get_compressed().astype("<u4").tobytes()
    head = FIRST.pack(MAGIC, VERSION, kind, len(model.event_shape), model.levels - 1, len(before), len(x))
    head += struct.pack(f"<{len(model.event_shape)}I", *model.event_shape)
    checksums = _of_weights(model), _of_images(x)
    whole = zlib.crc32(head + LAST.pack(*checksums, 0)[:-4] + words)
    return head + LAST.pack(*checksums, whole) + words


def decompress(model: nn.Module, data: bytes, y: Tensor | None = None) -> Tensor:
    """Return the images that `compress` wrote, torch.long of shape (n, *event_shape), on the CPU.

    The model must have the same weights and y must be the same. Probabilities are computed here as they were there,
    batch by batch, in float64, on one thread of the CPU: device, precision and threads of the caller do not matter.
    Another machine or another version of torch may round differently.

    Raises ValueError for data that are damaged, come from another model, or could not be restored; TypeError as above.
    """
    kind, about, (weights, images) = _kind(model), *_read(data)
    here = (KINDS[kind], tuple(model.event_shape), model.levels)
    if here != (there := (about.kind, about.event_shape, about.levels)):
        raise ValueError(f"the file is of another model: (kind, event_shape, levels) are {there}, not {here}")
    if _of_weights(model) != weights:
        raise ValueError("the file is of another model: the weights are not those with which it was written")
    coder = AnsCoder(np.frombuffer(data, "<u4", offset=about.header).astype(np.uint32))
    with _sequential(model, about.n, y) as (model, y):
        batches = []
        for some in _groups(kind, model, about.n):
            part = coder, model, len(some), None if y is None else y[some]
            batches.append(_pop_with_latent(*part, int(some)) if kind else _pop(*part))
    x = torch.cat(batches)
    before = _initial_words(model.latent if kind else 0)
    if _of_images(x) != images or not np.array_equal(coder.get_compressed(), before):
        raise ValueError(
            "the images could not be restored, though file and weights are whole: y is another, or probabilities came "
            "out differently (another machine or version of torch, or a model whose conditionals depend on more than "
            "what is known)"
        )
    return x


def describe(data: bytes) -> Description:
    """Return what a file of `compress` holds, without the model. Raises ValueError if it is damaged.

    >>> from dgmlite.models.vae import VAE
    >>> describe(compress(VAE((1, 2, 2), levels=2, latent=4), torch.zeros(100, 1, 2, 2).long()))
    Description(kind='bits back', n=100, event_shape=(1, 2, 2), levels=2, header=39, initial=128, payload=416)
    """
    return _read(data)[0]


def _kind(model) -> int:
    """Return 0 for a model that codes x itself, 1 for bits back; or say why there is no file."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module with event_shape and levels, got {type(model).__name__}")
    if reason := _reason(model):
        raise TypeError(f"{type(model).__name__} cannot make a file: {reason}")
    return 0 if _has_conditionals(model) else 1


def _has_conditionals(model):
    return hasattr(model, "walk") or hasattr(model, "given")


def _reason(model) -> str | None:
    """Say why a model cannot make a file; None if it can."""
    if not any(hasattr(model, name) for name in ("log_prob", "log_weight", "elbo")):
        return "it gives no image a probability, so nothing says how long the code of an image should be"
    if model.levels is None:
        return "it is a density of real numbers, which have no end of digits: a file needs probabilities of levels"
    if model.levels > 1 << 16:
        return "the format has room for 65,536 levels"
    if _has_conditionals(model):
        return None
    if all(hasattr(model, name) for name in ("encode", "decoder", "prior", "log_weight")):
        if not isinstance(model.prior, StandardNormal):
            return "bits back cuts z into cells of equal prior mass, known for the standard normal prior only"
        if not _has_conditionals(model.decoder):
            return "its decoder has neither `given` nor `walk`, so there are no p(x_i | z, x_<i) to code with"
        return None
    if hasattr(model, "elbo"):
        return (
            "its bound goes through a chain of noisy images of real numbers: bits back would have to cut each of them "
            "into cells and code them one after the other"
        )
    if hasattr(model, "log_weight"):
        return (
            "its bound goes through noise that makes levels real numbers: bits back would need a flow that is inverted "
            "exactly, cell by cell (local bits back, Ho et al. 2019)"
        )
    return "it has log p(x) of whole images only: a coder asks for one p(x_i | x_<i) after the other, as `walk` gives"


def _read(data: bytes) -> tuple[Description, tuple[int, int]]:
    """Return what the header says, and the checksums of weights and images."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data must be the bytes that compress returned, got {type(data).__name__}")
    data = bytes(data)
    if data[:4] != MAGIC:
        raise ValueError(f"data must begin with {MAGIC!r}, as the files of compress do, got {data[:4]!r}")
    if data[4:5] != bytes([VERSION]):
        raise ValueError(f"data must be of version {VERSION} of the format, got {list(data[4:5])}")
    end = FIRST.size + 4 * (data[6] if len(data) > 6 else 0)
    header = end + LAST.size
    if len(data) < header or zlib.crc32(data[: header - 4] + data[header:]) != LAST.unpack_from(data, end)[2]:
        raise ValueError(f"the {len(data)} bytes are not what compress returned: cut off or damaged")
    _, _, kind, d, levels, words, n = FIRST.unpack_from(data)
    shape = struct.unpack_from(f"<{d}I", data, FIRST.size)
    payload = 8 * (len(data) - header) - 32 * words
    return Description(KINDS[kind], n, shape, levels + 1, header, 32 * words, payload), LAST.unpack_from(data, end)[:2]


def _of_weights(model: nn.Module) -> int:
    checksum = 0
    for name, tensor in sorted(model.state_dict().items()):
        checksum = zlib.crc32(f"{name} {tuple(tensor.shape)}".encode(), checksum)
        checksum = zlib.crc32(tensor.detach().cpu().double().numpy().astype("<f8").tobytes(), checksum)
    return checksum


def _of_images(x: Tensor) -> int:
    return zlib.crc32(x.numpy().astype("<u2").tobytes())


def _initial_words(latent: int) -> np.ndarray:
    """Return random words from which the first z of `latent` dimensions is popped, always the same; none for none."""
    if not latent:
        return np.zeros(0, np.uint32)
    size = math.ceil(latent * math.log2(BINS) / 32) + 2
    words = np.frombuffer(hashlib.shake_256(MAGIC).digest(4 * size), "<u4").astype(np.uint32)
    words[-1] |= 1  # the last word on a stack is not 0
    return words


@contextlib.contextmanager
def _sequential(model, n, y) -> Iterator[tuple[nn.Module, Tensor | None]]:
    """Give a copy of the model and features y, on the CPU, in float64; inside there is one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), torch.device("cpu"):
            size, like = getattr(model, "condition", 0), torch.zeros((), dtype=torch.float64)
            y = checks.condition(y, n, size, like, model)
            yield copy.deepcopy(model).cpu().double().eval(), y
    finally:
        torch.set_num_threads(threads)


def _groups(kind: int, model: nn.Module, n: int) -> tuple[Tensor, ...]:
    """Return the numbers of the images whose probabilities are computed together: as many as there is room for."""
    together = 1 if kind else max(1, ROOM // (math.prod(model.event_shape) * model.levels))
    return torch.arange(n).split(together)


def _walk(model: nn.Module, n: int, choose: Callable, y: Tensor | None) -> Tensor:
    """Let choose(places, p) say the values (m,) of n images at these dimensions, p (m, levels); return the images."""
    if hasattr(model, "walk"):
        return model.walk(n, lambda r, logits: choose(model.order[r : r + 1], _table(logits.softmax(-1))), y)
    every = torch.arange(model.levels).double().view(-1, *[1] * (1 + len(model.event_shape)))
    p = model.given(y).log_prob(every).exp().movedim(0, -1).flatten(0, -2)
    return choose(slice(None), _table(p)).view(n, *model.event_shape)


def _table(p: Tensor) -> np.ndarray:
    return p.contiguous().numpy()  # constriction reads numbers as they lie in memory, whatever their strides


def _push(coder: AnsCoder, model: nn.Module, x: Tensor, y: Tensor | None) -> None:
    values, tables = [], []

    def look(places, p):
        values.append(x.flatten(1)[:, places].flatten())
        tables.append(p)
        return values[-1]

    _walk(model, len(x), look, y)
    coder.encode_reverse(torch.cat(values).numpy().astype(np.int32), ROWS, np.concatenate(tables))


def _pop(coder: AnsCoder, model: nn.Module, n: int, y: Tensor | None) -> Tensor:
    return _walk(model, n, lambda places, p: torch.from_numpy(coder.decode(ROWS, p)).long(), y)


def _push_with_latent(coder: AnsCoder, model: nn.Module, x: Tensor, y: Tensor | None, i: int) -> None:
    cells = coder.decode(ROWS, _posterior(model, x, y))  # bits back
    _push(coder, model.decoder, x, _middle(cells, y))
    coder.encode_reverse((cells + _shift(i, model.latent)) % BINS, PRIOR)


def _pop_with_latent(coder: AnsCoder, model: nn.Module, n: int, y: Tensor | None, i: int) -> Tensor:
    cells = (coder.decode(PRIOR, model.latent) - _shift(i, model.latent)) % BINS
    x = _pop(coder, model.decoder, n, _middle(cells, y))
    coder.encode_reverse(cells, ROWS, _posterior(model, x, y))  # given back
    return x


def _shift(i: int, latent: int) -> np.ndarray:
    """Return by how much to turn the cells of image i, for nothing: all cells cost the same.

    The next image's z is read off these bits. Were they as uneven as the z of real images, it would not be a draw from
    its q(z | x), and the file could be many percent longer than the bound.
    """
    return np.frombuffer(hashlib.shake_256(b"%d" % i).digest(2 * latent), "<u2").astype(np.int32)


def _posterior(model: nn.Module, x: Tensor, y: Tensor | None) -> np.ndarray:
    """Return the mass of each cell under q(z | x), (latent, BINS)."""
    q, edges = model.encode(x, y), torch.special.ndtri(torch.arange(BINS + 1).double() / BINS)
    return _table(torch.special.ndtr((edges - q.mean[0, :, None]) / q.stddev[0, :, None]).diff())


def _middle(cells: np.ndarray, y: Tensor | None) -> Tensor:
    """Return the median of each cell under the prior, and y beside them, (1, latent + condition)."""
    z = torch.special.ndtri((torch.from_numpy(cells).double() + 0.5) / BINS)[None]
    return z if y is None else torch.cat((z, y), 1)
