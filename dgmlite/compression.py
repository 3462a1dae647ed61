"""A model and an entropy coder make a file, and back: lossless, at the model's own surprise."""

import contextlib
import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from dgmlite import checks
from dgmlite.information import RangeDecoder, RangeEncoder
from dgmlite.models.autoregressive import Autoregressive


def compress(model: Autoregressive, x: Tensor, y: Tensor | None = None) -> bytes:
    """Return the bytes from which `decompress` restores x, (n, *event_shape): about −Σ log2 p(x) / 8 of them, and 5.

    All images are coded at once, dimension after dimension in the model's order, each by its conditional. The length of
    the file and the model's weights are not in it. Raises ValueError or TypeError for data that the model cannot score.

    >>> from dgmlite.models.autoregressive import MADE
    >>> model, x = MADE((2, 2), levels=3), torch.randint(3, (10, 2, 2))
    >>> torch.equal(decompress(model, compress(model, x), n=10), x)
    True
    """
    x = checks.data(x, model.event_shape, model.levels).flatten(1).cpu()
    encoder = RangeEncoder()

    def encode(r: int, p: Tensor) -> Tensor:
        values = x[:, model.order[r]]
        for value, probabilities in zip(values.tolist(), p.numpy()):
            encoder.encode(value, probabilities)
        return values.long()

    _walk(model, len(x), encode, y)
    return encoder.finish()


def decompress(model: Autoregressive, data: bytes, n: int, y: Tensor | None = None) -> Tensor:
    """Return the n images that `compress` wrote, torch.long of shape (n, *event_shape).

    The model must be the same to the last bit, and so must n and y: probabilities are computed here as they were there,
    for all n images together, in float64, on one thread of the CPU. Another machine or another version of torch may
    round differently; then the result can be garbage. Raises ValueError for damaged data.
    """
    decoder = RangeDecoder(data)

    def decode(r: int, p: Tensor) -> Tensor:
        return torch.tensor([decoder.decode(probabilities) for probabilities in p.numpy()])

    return _walk(model, checks.positive_int("n", n), decode, y)


def _walk(model, n, choose, y):
    with _one_thread():
        model = copy.deepcopy(model).cpu().double().eval()
        return model.walk(n, lambda r, logits: choose(r, logits.softmax(-1)), None if y is None else y.cpu())


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
