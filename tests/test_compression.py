"""Files made by models: the same images back, as long as the model's surprise, and no longer."""

import math
import zlib
from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_laws import lively
from torch import nn

from dgmlite import compression
from dgmlite.compression import compress, decompress, describe
from dgmlite.data import digits
from dgmlite.evaluation import elbo
from dgmlite.models.autoregressive import MADE, CausalConv, CausalTransformer, Ensemble, PixelCNN
from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.models.flow import Dequantised, RealNVP, StandardNormal
from dgmlite.models.gan import GAN
from dgmlite.models.vae import VAE, Decoder, LinearVAE
from dgmlite.networks import seeded
from dgmlite.training import fit

settings.register_profile("dgmlite", deadline=None, derandomize=True, database=None)
settings.load_profile("dgmlite")

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
VAES = {
    "categorical": lambda: VAE(SHAPE, 6, latent=3, hidden=(16,), likelihood="categorical"),
    "logistic": lambda: VAE(SHAPE, 6, latent=3, hidden=(16,), likelihood="logistic"),
    "bernoulli": lambda: VAE(SHAPE, 2, latent=3, hidden=(16,), likelihood="bernoulli"),
    "MADE": lambda: VAE(SHAPE, 6, latent=3, hidden=(16,), decoder=MADE(SHAPE, 6, hidden=(40,), condition=3)),
}


def bits(nats):
    return nats.double().sum().item() / math.log(2)


def small_file(kind="exact", n=3):
    """A model, images, and their file."""
    model = lively(MODELS["MADE"]() if kind == "exact" else VAES["categorical"](), 0.3)
    with seeded(0):
        x = model.sample(n)
    return model, x, compress(model, x)


# As long as the surprise.


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("condition", [0, 3])
def test_round_trip_at_the_models_own_surprise(name, condition):
    model, n = lively(MODELS[name](condition=condition)), 150
    with seeded(0):
        y = torch.randint(condition, (n,)) if condition else None
        x = torch.cat((model.sample(n - 50, y=None if y is None else y[50:]), torch.randint(LEVELS, (50, *SHAPE))))
    data = compress(model, x, y)
    assert torch.equal(decompress(model, data, y), x)
    ideal = -bits(model.double().log_prob(x, y))
    about = describe(data)
    assert ideal <= about.payload <= 1.001 * ideal + 64 and about.initial == 0
    assert 8 * len(data) == 8 * about.header + about.payload and about.header == 39


@pytest.mark.parametrize("likelihood", ["categorical", "logistic"])
def test_a_decoder_alone_codes_at_its_own_surprise(likelihood):
    model = lively(Decoder(SHAPE, 3, condition=2, hidden=(8,), likelihood=likelihood), 1.0)
    with seeded(0):
        y = torch.randn(200, 2)
        x = model.sample(200, y)
    data = compress(model, x, y)
    assert torch.equal(decompress(model, data, y), x)
    ideal = -bits(model.double().log_prob(x, y).detach())
    assert ideal <= describe(data).payload <= 1.001 * ideal + 64


@pytest.mark.parametrize(("levels", "n"), [(2, 2000), (17, 1000), (256, 200)])
@pytest.mark.parametrize("peak", [3, 30])
def test_rounding_costs_little_where_most_levels_are_nearly_impossible(levels, n, peak):
    model = lively(MADE((8, 8), levels, hidden=(64,)), 0.05)
    with torch.no_grad(), seeded(0):
        logits = peak * torch.randn(64, levels)
        model.bias.copy_(logits.diff(dim=1, prepend=torch.zeros(64, 1)) / model._scale)
        x = model.sample(n)
    ideal = -bits(model.double().log_prob(x).detach())
    payload = describe(compress(model, x)).payload
    assert ideal <= payload <= ideal + 64 + n * 64 * 1.45 * levels / 2**24
    assert payload <= 1.001 * ideal + 64


@pytest.mark.parametrize("name", VAES)
def test_bits_back_reaches_the_bound(name):
    model, n = lively(VAES[name](), 0.3), 500
    with seeded(0):
        x = model.sample(n)
    data = compress(model, x)
    assert torch.equal(decompress(model, data), x)
    about, bound = describe(data), n * elbo(model.double(), x, 30).nats / math.log(2)
    assert 0.99 * bound <= about.payload <= 1.01 * bound + 64
    assert about.kind == "bits back" and 0 < about.initial <= 3 * 10 + 96
    assert 8 * len(data) == 8 * about.header + about.initial + about.payload


@pytest.mark.slow
def test_bits_back_on_a_trained_model():
    data = digits()
    model = VAE((1, 8, 8), 17, latent=16, hidden=(100,))
    fit(model, data.train.x, epochs=8, lr=4e-3, progress=False)
    file = compress(model, data.test.x)
    assert torch.equal(decompress(model, file), data.test.x)
    bound = len(data.test.x) * elbo(model, data.test.x, 30).nats / math.log(2)
    rate = model.eval().terms(data.test.x)[1].sum(1).mean()
    assert 0.99 * bound <= describe(file).payload <= 1.01 * bound and rate > 5


def test_without_bits_back_the_file_would_be_longer():
    """The payload is below what z costs by the prior and x given z, by what the encoder's choice is worth."""
    model = lively(VAES["categorical"](), 0.3)
    with seeded(0):
        x = model.sample(300)
        z = model.encode(x).sample()
        cost = -bits(model.decoder.log_prob(x, z).detach()) + 300 * 3 * math.log2(compression.BINS)
    assert describe(compress(model, x)).payload < cost - 300 * 3


@pytest.mark.parametrize("features", [False, True])
def test_conditional_bits_back(features):
    model = lively(VAE((2, 3), 4, latent=2, hidden=(8,), condition=3), 0.5)
    with seeded(0):
        y = torch.rand(40, 3) if features else torch.randint(3, (40,))
        x = model.sample(40, y)
    assert torch.equal(decompress(model, compress(model, x, y), y), x)


# Whatever the images.


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    levels=st.sampled_from([2, 3, 17, 256, 1000]),
    n=st.integers(1, 6),
    latent=st.integers(0, 4),
    seed=st.integers(0, 100),
)
@settings(max_examples=60)
def test_round_trip_of_any_shape(shape, levels, n, latent, seed):
    D = math.prod(shape)
    model = VAE(shape, levels, latent, hidden=(4,)) if latent else MADE(shape, levels, hidden=(D,))
    model = lively(model, 0.3)
    with seeded(seed):
        x = torch.randint(levels, (n, *shape), dtype=torch.int16)
    data = compress(model, x)
    back, about = decompress(model, data), describe(data)
    assert torch.equal(back, x.long()) and back.dtype == torch.long
    assert (about.n, about.event_shape, about.levels) == (n, shape, levels)
    assert about.kind == ("bits back" if latent else "exact") and about.header == 27 + 4 * len(shape)


def test_images_far_from_the_prior_come_back():
    """Encodings at ±40 and spreads of e^±10: cells of hardly any mass, more bits than were there."""
    for log_var in (-20, 20):
        model, x = VAE((2, 2), 2, latent=5, hidden=(4,)), torch.eye(2).long().repeat(3, 1, 1)
        with torch.no_grad():
            model.encoder.layers[-1].bias.copy_(torch.tensor([40.0, -40, 8, -8, 0] + 5 * [log_var]))
        assert torch.equal(decompress(model, compress(model, x.view(-1, 2, 2))), x.view(-1, 2, 2))


@pytest.mark.parametrize("kind", ["exact", "bits back"])
def test_as_many_images_at_a_time_as_there_is_room_for(kind, monkeypatch):
    model, x, data = small_file(kind, n=20)
    seen = []
    monkeypatch.setattr(MADE, "walk", spy(seen, MADE.walk))
    monkeypatch.setattr(compression, "ROOM", 7 * 20 * LEVELS)
    parts = compress(model, x)
    assert torch.equal(decompress(model, parts), x)
    assert sorted(seen) == ([6, 6, 7, 7, 7, 7] if kind == "exact" else [])
    assert (len(parts) == len(data)) if kind == "bits back" else abs(len(parts) - len(data)) <= 4


def spy(seen, walk):
    def watched(self, n, *rest):
        seen.append(n)
        return walk(self, n, *rest)

    return watched


# The same path, whatever the caller does.


@pytest.mark.parametrize("make", [MODELS["CausalTransformer"], VAES["logistic"]])
def test_settings_of_the_caller_do_not_matter(make):
    model = lively(make(), 0.3)
    with seeded(0):
        x = model.sample(20)
        before = torch.get_rng_state()
        data = compress(model, x)
        assert torch.equal(torch.get_rng_state(), before)
    threads = torch.get_num_threads()
    try:
        for number, precision, device in (
            (1, nullcontext(), nullcontext()),
            (2, torch.autocast("cpu", torch.bfloat16), nullcontext()),
            (2, nullcontext(), torch.device("meta")),
        ):
            torch.set_num_threads(number)
            with precision, device:
                assert compress(model, x) == data and compress(model, x.to(torch.uint8)) == data
                assert torch.equal(decompress(model, data), x)
            assert torch.get_num_threads() == number
        assert next(model.parameters()).dtype == torch.float32  # the caller's model is as it was
        assert model.training and next(model.parameters()).requires_grad
        assert torch.equal(decompress(model.double(), data), x)  # the same weights
    finally:
        torch.set_num_threads(threads)


def test_one_thread_and_double_precision_inside():
    seen = []

    class Watched(MADE):
        def walk(self, *rest):
            seen.append((torch.get_num_threads(), self.bias.dtype, self.training))
            return super().walk(*rest)

    model, threads = Watched(SHAPE, LEVELS, hidden=(40,)), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        decompress(model, compress(model, torch.zeros(2, *SHAPE).long()))
    finally:
        torch.set_num_threads(threads)
    assert seen == 2 * [(1, torch.float64, False)]


# What is refused.

DAMAGED = r"cut off or damaged|must begin with|must be of version"


@pytest.mark.parametrize("kind", ["exact", "bits back"])
def test_every_flipped_bit_is_noticed(kind):
    model, x, data = small_file(kind)
    for i in range(8 * len(data)):
        bad = bytearray(data)
        bad[i // 8] ^= 1 << i % 8
        for use in (describe, lambda bad: decompress(model, bad)):
            with pytest.raises(ValueError, match=DAMAGED):
                use(bytes(bad))
    assert torch.equal(decompress(model, bytearray(data)), x)


def test_other_damage_is_noticed():
    model, _, data = small_file()
    swapped = data[:-8] + data[-4:] + data[-8:-4]
    for bad in (*(data[:i] for i in range(len(data))), data + b"\0", data + bytes(4), swapped, b"\0" + data):
        with pytest.raises(ValueError, match=DAMAGED):
            decompress(model, bad)
    for bad in (b"\x89PNG" + data[4:], b""):
        with pytest.raises(ValueError, match="must begin with b'dgml'"):
            describe(bad)
    for bad in ("text", None, 3):
        with pytest.raises(TypeError, match="data must be the bytes"):
            decompress(model, bad)


def test_files_of_another_version_are_refused(monkeypatch):
    monkeypatch.setattr(compression, "VERSION", 2)
    data = small_file()[2]
    assert describe(data).n == 3
    monkeypatch.undo()
    with pytest.raises(ValueError, match="must be of version 1"):
        describe(data)


def test_the_header_says_what_the_table_says():
    _, x, data = small_file("bits back")
    number = [
        int.from_bytes(data[a:b], "little") for a, b in pairwise((0, 4, 5, 6, 7, 9, 11, 15, 19, 23, 27, 31, 35, 39))
    ]
    assert data[:4] == b"dgml" and number[1:7] == [1, 1, 3, LEVELS - 1, describe(data).initial // 32, 3]
    assert tuple(number[7:10]) == SHAPE
    assert number[11] == zlib.crc32(b"".join(v.to_bytes(2, "little") for v in x.flatten().tolist()))
    assert number[12] == zlib.crc32(data[:35] + data[39:])


def forbidden(*_, **__):
    raise AssertionError("the model was asked before it was known to be the right one")


@pytest.mark.parametrize("kind", ["exact", "bits back"])
def test_another_model_is_refused_before_it_is_asked(kind, monkeypatch):
    model, _, data = small_file(kind)
    for make in (VAES["bernoulli"], MODELS["MADE"] if kind == "bits back" else VAES["categorical"]):
        with pytest.raises(ValueError, match=r"another model: .kind, event_shape, levels."):
            decompress(make(), data)
    with torch.no_grad():
        list(model.parameters())[-1].view(-1)[-1] += 1e-6
    monkeypatch.setattr(compression, "_walk", forbidden)
    with pytest.raises(ValueError, match="another model: the weights"):
        decompress(model, data)


def test_what_the_checksum_of_the_weights_covers():
    class Parts(nn.Module):
        def __init__(self, **tensors):
            super().__init__()
            for name, tensor in tensors.items():
                self.register_buffer(name, tensor)

    a, b = torch.tensor([[0.5, -2.0]]), torch.tensor([3])
    same = Parts(a=a, b=b), Parts(b=b, a=a), Parts(a=a.double(), b=b.int()), Parts(a=a.T.contiguous().T, b=b)
    other = (
        Parts(a=a, b=b + 1),
        Parts(a=a + 2**-20, b=b),
        Parts(a=a.flip(1), b=b),
        Parts(a=a.T, b=b),
        Parts(a=a, c=b),
        Parts(a=a),
        Parts(a=b, b=a),
    )
    assert len({compression._of_weights(model) for model in same}) == 1
    assert len({compression._of_weights(model) for model in (same[0], *other)}) == 1 + len(other)


def test_what_cannot_be_restored_is_not_returned():
    one, other = (  # the same weights
        lively(CausalConv(SHAPE, LEVELS, channels=8, dilations=dilations)) for dilations in ((1, 2), (2, 1))
    )
    with seeded(0):
        x = one.sample(10)
    with pytest.raises(ValueError, match="could not be restored"):
        decompress(other, compress(one, x))
    for model in (lively(MODELS["MADE"](condition=3)), lively(VAE(SHAPE, LEVELS, 2, hidden=(8,), condition=3))):
        with seeded(0):
            x, y = torch.randint(LEVELS, (10, *SHAPE)), torch.randint(3, (10,))
        with pytest.raises(ValueError, match=r"could not be restored.* y is another"):
            decompress(model, compress(model, x, y), (y + 1) % 3)


def test_the_images_themselves_are_checked_not_only_the_stack(monkeypatch):
    model, _, data = small_file()
    monkeypatch.setattr(MADE, "walk", lambda *arguments, walk=MADE.walk: walk(*arguments).flip(2))
    with pytest.raises(ValueError, match="could not be restored"):
        decompress(model, data)


@pytest.mark.parametrize("make", [MODELS["MADE"], VAES["categorical"]])
def test_blank_images_come_back_from_an_empty_stack(make):
    x = torch.zeros(4, *SHAPE).long()
    assert torch.equal(decompress(make(), compress(make(), x)), x)


def test_a_model_that_leaks_cannot_decompress():
    """A likelihood that is too good to be true does not survive the round trip."""
    model = lively(MODELS["MADE"]())
    model.network.step = lambda known, r, previous: 20 * torch.randn(known[0].shape[0], LEVELS).double()
    with seeded(0):
        x = torch.randint(LEVELS, (10, *SHAPE))
        with pytest.raises(ValueError, match="depend on more than what is known"):
            decompress(model, compress(model, x))


def test_the_initial_bits_must_come_back_too():
    """One image is right whatever its encoder says; only the borrowed bits show that it says another thing."""
    model, x, data = small_file("bits back", n=1)
    encode = model.encode
    model.encode = lambda x, y=None: encode((x + 1) % LEVELS, y)
    with pytest.raises(ValueError, match="could not be restored"):
        decompress(model, data)
    del model.encode
    assert torch.equal(decompress(model, data), x)


class Whole(nn.Module):
    """Knows log p(x), and nothing of its parts."""

    event_shape, levels = (2,), 3

    def log_prob(self, x):
        return torch.full((len(x),), -2 * math.log(3))


class Odd(nn.Module):
    event_shape, levels, condition = (2,), 3, 2


FLOW, NO_LATENT = RealNVP((2,), depth=2, hidden=8), VAE((2,), 3, latent=2, hidden=(4,))
NO_LATENT.decoder = Odd()
REFUSED = {
    "flow": (FLOW, "density of real numbers"),
    "LinearVAE": (LinearVAE((2,)), "density of real numbers"),
    "VAE of reals": (VAE((2,), None), "density of real numbers"),
    "DDPM of reals": (DDPM((2,), None, schedule=Schedule(4)), "density of real numbers"),
    "prior": (StandardNormal((2,)), "density of real numbers"),
    "Dequantised": (Dequantised(FLOW, 3), "noise that makes levels real numbers"),
    "DDPM": (DDPM((2,), 3, schedule=Schedule(4)), "chain of noisy images"),
    "GAN": (GAN((2,), 3), "no image a probability"),
    "no model of images": (nn.Linear(2, 2), "no image a probability"),
    "whole": (Whole(), r"asks for one p\(x_i . x_<i\) after the other"),
    "VAE with a flow as prior": (VAE((2,), 3, 2, prior=FLOW), "standard normal prior only"),
    "VAE with another decoder": (NO_LATENT, "neither `given` nor `walk`"),
    "too many levels": (MADE((1,), (1 << 16) + 1, hidden=(1,)), "65,536 levels"),
    "no module": (3, "must be a torch.nn.Module"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_cannot_make_a_file_are_refused_with_the_reason(name):
    model, reason = REFUSED[name]
    for use in (lambda: compress(model, torch.zeros(1, 2).long()), lambda: decompress(model, small_file()[2])):
        with pytest.raises(TypeError, match=reason):
            use()


@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (torch.full((2, *SHAPE), LEVELS), None, ValueError),
        (torch.zeros(2, *SHAPE), None, TypeError),
        (torch.zeros(0, *SHAPE).long(), None, ValueError),
        (torch.zeros(2, 3).long(), None, ValueError),
        (torch.zeros(2, *SHAPE).long(), torch.zeros(2).long(), TypeError),
    ],
)
@pytest.mark.parametrize("make", [MODELS["MADE"], VAES["categorical"]])
def test_bad_input_is_refused(make, x, y, error):
    with pytest.raises(error):
        compress(make(), x, y)


@pytest.mark.parametrize("make", [MODELS["MADE"], VAES["categorical"]])
def test_a_model_that_gives_nan_is_refused(make):
    model = make()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(ValueError):
        compress(model, torch.zeros(2, *SHAPE).long())
