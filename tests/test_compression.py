"""Files made by models: the same images back, as long as the model's surprise, and no longer."""

import math

import pytest
import torch
from test_laws import lively

from dgmlite.compression import compress, decompress
from dgmlite.models.autoregressive import MADE, CausalConv, CausalTransformer, Ensemble, PixelCNN
from dgmlite.networks import seeded

SHAPE, LEVELS = (1, 5, 4), 6
MODELS = {
    "MADE": lambda **more: MADE(SHAPE, LEVELS, hidden=(40,), **more),
    "CausalConv": lambda **more: CausalConv(SHAPE, LEVELS, channels=8, dilations=(1, 2, 4), **more),
    "CausalTransformer": lambda **more: CausalTransformer(SHAPE, LEVELS, channels=8, heads=2, **more),
    "PixelCNN": lambda **more: PixelCNN(SHAPE, LEVELS, channels=8, depth=1, **more),
    "Ensemble": lambda **more: Ensemble(
        [MADE(SHAPE, LEVELS, hidden=(40,), **more), PixelCNN(SHAPE, LEVELS, 8, **more)]
    ),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("condition", [0, 3])
def test_round_trip_at_the_models_own_surprise(name, condition):
    model, n = lively(MODELS[name](condition=condition)), 150
    with seeded(0):
        y = torch.randint(condition, (n,)) if condition else None
        x = torch.cat((model.sample(n - 50, y=None if y is None else y[50:]), torch.randint(LEVELS, (50, *SHAPE))))
    data = compress(model, x, y)
    ideal = -model.double().log_prob(x, y).sum().item() / math.log(2) / 8
    assert ideal - 1 <= len(data) <= 1.001 * ideal + 8
    assert torch.equal(decompress(model, data, n, y), x)


def test_threads_and_precision_of_the_caller_do_not_matter():
    model = lively(MODELS["CausalTransformer"]())
    with seeded(0):
        x = model.sample(20)
    threads = torch.get_num_threads()
    data = compress(model, x)
    torch.set_num_threads(2)
    try:
        assert torch.equal(decompress(model, data, 20), x) and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert next(model.parameters()).dtype == torch.float32  # the caller's model is as it was


def test_damaged_files_are_refused():
    model = lively(MODELS["MADE"]())
    data = compress(model, torch.zeros(3, *SHAPE).long())
    for bad in (data[:-1], data[:3], bytes([data[0] ^ 1]) + data[1:]):
        with pytest.raises(ValueError, match="cut off or damaged"):
            decompress(model, bad, 3)


def test_a_model_that_leaks_cannot_decompress():
    """A likelihood that is too good to be true does not survive the round trip."""
    model = lively(MODELS["MADE"]())
    model.network.step = lambda known, r, previous: 20 * torch.randn(known[0].shape[0], LEVELS).double()
    with seeded(0):
        x = torch.randint(LEVELS, (10, *SHAPE))
        assert not torch.equal(decompress(model, compress(model, x), 10), x)


@pytest.mark.parametrize(
    "call", [lambda m: compress(m, torch.full((2, *SHAPE), LEVELS)), lambda m: decompress(m, b"", 0)]
)
def test_bad_input_is_refused(call):
    with pytest.raises(ValueError):
        call(MODELS["MADE"]())
