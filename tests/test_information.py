"""dgmlite.information against scipy, closed forms, brute force and constriction."""

import itertools
import math
import zlib

import constriction
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmlite.information import (
    RangeDecoder,
    RangeEncoder,
    conditional_entropy,
    cross_entropy,
    entropy,
    huffman,
    jensen_shannon,
    joint_entropy,
    kl_divergence,
    mutual_information,
    mutual_information_infonce,
    mutual_information_ksg,
    mutual_information_nwj,
    mutual_information_plugin,
)

settings.register_profile("dgmlite", deadline=None, derandomize=True, database=None)
settings.load_profile("dgmlite")

ONE = (entropy,)
JOINT = (joint_entropy, conditional_entropy, mutual_information)
TWO = (cross_entropy, kl_divergence, jensen_shannon)
LN2 = math.log(2)


@st.composite
def tables(draw, *shape):
    """A table of probabilities with this shape, zeros and tiny entries included, sum 1 over all."""
    size = math.prod(shape)
    entries = st.one_of(st.just(0.0), st.floats(1e-12, 1.0), st.just(1.0))
    p = np.array(draw(st.lists(entries, min_size=size, max_size=size))).reshape(shape)
    p.flat[draw(st.integers(0, size - 1))] += 0.5
    return p / p.sum()


def gaussians(n, dims, rho, seed):
    x, noise = np.random.default_rng(seed).normal(size=(2, n, dims))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def close(a, b):
    return np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# Exact


@given(tables(7), tables(7))
def test_scipy_agrees(p, q):
    close(entropy(p), scipy.stats.entropy(p))
    close(entropy(p, base=2), scipy.stats.entropy(p, base=2))
    close(kl_divergence(p, q), scipy.stats.entropy(p, q))
    close(jensen_shannon(p, q), (scipy.stats.entropy(p, (p + q) / 2) + scipy.stats.entropy(q, (p + q) / 2)) / 2)


@given(tables(3, 5))
def test_chain_rules(pxy):
    px, py = pxy.sum(1), pxy.sum(0)
    close(joint_entropy(pxy), entropy(px) + conditional_entropy(pxy))
    close(joint_entropy(pxy), entropy(py) + conditional_entropy(pxy.T))
    close(mutual_information(pxy), entropy(py) - conditional_entropy(pxy))
    close(mutual_information(pxy), kl_divergence(pxy.ravel(), np.outer(px, py).ravel()))
    close(mutual_information(pxy), mutual_information(pxy.T))


@given(tables(6), tables(6))
def test_bounds(p, q):
    assert 0 <= entropy(p) <= math.log(6) + 1e-12
    assert 0 <= jensen_shannon(p, q) <= LN2 + 1e-12
    assert kl_divergence(p, q) >= 0
    assert cross_entropy(p, q) >= entropy(p) - 1e-12
    if np.isfinite(kl_divergence(p, q)):
        close(cross_entropy(p, q), entropy(p) + kl_divergence(p, q))
    close(jensen_shannon(p, q), jensen_shannon(q, p))


@given(tables(4), tables(5))
def test_independent_variables_share_nothing(px, py):
    shared = mutual_information(np.outer(px, py))
    assert 0 <= shared < 1e-12 and math.copysign(1, shared) == 1


def test_zeros_are_positive():
    for value in (entropy([1.0, 0.0]), kl_divergence([0.1, 0.9], [0.1, 0.9]), mutual_information([[1.0]])):
        assert str(float(value)) == "0.0"


@given(tables(2, 3, 4, 5), tables(2, 3, 4, 5))
@settings(max_examples=10)
def test_leading_axes_are_batch(p, q):
    p, q = (t + 1e-3 for t in (p, q))
    p1, q1 = (t / t.sum(-1, keepdims=True) for t in (p, q))
    p2 = p / p.sum((-2, -1), keepdims=True)
    for f, args in [(f, (p1,)) for f in ONE] + [(f, (p2,)) for f in JOINT] + [(f, (p1, q1)) for f in TWO]:
        values = f(*args)
        assert values.shape == ((2, 3) if f in JOINT else (2, 3, 4))
        for i in np.ndindex(values.shape):
            close(values[i], f(*(a[i] for a in args)))
    close(kl_divergence(p1[0, 0, 0], q1), [[[kl_divergence(p1[0, 0, 0], c) for c in b] for b in a] for a in q1])


@given(tables(3, 4), tables(3, 4))
def test_torch_agrees_and_keeps_its_kind(p, q):
    p1, q1 = p.ravel(), q.ravel()
    for f, args in [(f, (p1,)) for f in ONE] + [(f, (p,)) for f in JOINT] + [(f, (p1, q1)) for f in TWO]:
        for dtype, numpy_dtype in ((torch.float64, np.float64), (torch.float32, np.float32)):
            tensors = [torch.tensor(a, dtype=dtype) for a in args]
            from_torch, from_numpy = f(*tensors), f(*(t.numpy() for t in tensors))
            assert isinstance(from_torch, torch.Tensor) and from_torch.dtype == dtype
            assert isinstance(from_numpy, numpy_dtype)
            assert from_torch.item() == from_numpy
    a, b = [0.25, 0.75], [0.5, 0.5]
    for args in ((torch.tensor(a), b), (a, torch.tensor(b))):
        mixed = kl_divergence(*args)  # the tensor decides
        assert mixed.dtype == torch.float32 and mixed.item() == pytest.approx(kl_divergence(a, b), rel=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_in_gpu_out():
    p = torch.tensor([0.25, 0.75], device="cuda")
    for value in (entropy(p), kl_divergence([0.5, 0.5], p), mutual_information(torch.diag(p))):
        assert value.device.type == "cuda"
    close(kl_divergence([0.5, 0.5], p).item(), kl_divergence(np.float32([0.5, 0.5]), p.cpu().numpy()))


def test_zero_probabilities_are_limits_and_lost_support_is_infinite():
    assert entropy([0.5, 0.5, 0.0]) == entropy([0.5, 0.5]) == pytest.approx(LN2)
    assert entropy([5e-324, 1.0]) == pytest.approx(5e-324 * 745)
    for f in (kl_divergence, cross_entropy):
        assert f([0.5, 0.5], [1.0, 0.0]) == math.inf
        assert f([5e-324, 1.0], [0.0, 1.0]) == math.inf
        assert f([1.0, 0.0], [1.0, 0.0]) == 0
        assert f(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])).dtype == torch.float32
    assert jensen_shannon([1.0, 0.0], [5e-324, 1.0]) == pytest.approx(LN2)
    assert jensen_shannon([1.0, 5e-324], [1.0, 0.0]) < 1e-15


def test_gradients_are_right_and_finite_where_p_is_zero():
    p = torch.tensor([0.2, 0.8, 0.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(entropy(p), p)
    close(gradient.numpy(), [-math.log(0.2) - 1, -math.log(0.8) - 1, 0])
    q = torch.tensor([0.0, 0.5, 0.5], dtype=torch.float64, requires_grad=True)
    joint = torch.tensor([[0.5, 0.0], [0.5, 0.0], [0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    for value, inputs in [(f(p, q), (p, q)) for f in TWO] + [(f(joint), (joint,)) for f in JOINT]:
        for gradient in torch.autograd.grad(value, inputs):
            assert torch.isfinite(gradient).all()


@given(st.floats(0, 0.5), st.floats(0, 1))
def test_channels(flip, erased):
    """Capacity, in bits: 1 − H(flip) of the binary symmetric channel, 1 − erased of the erasure channel."""
    symmetric = np.array([[1 - flip, flip], [flip, 1 - flip]]) / 2
    close(mutual_information(symmetric, base=2), 1 - entropy([flip, 1 - flip], base=2))
    erasure = np.array([[1 - erased, 0, erased], [0, 1 - erased, erased]]) / 2
    close(mutual_information(erasure, base=2), 1 - erased)
    close(conditional_entropy(erasure.T, base=2), erased)


BAD_ROWS = {
    "sum to 1": [0.5, 0.6],
    "negative": [-0.5, 1.5],
    "NaN": [math.nan, 1.0],
    "infinity": [math.inf, 1.0],
    "empty": [],
    "last axis": 1.0,
    "rectangular": [[0.5, 0.5], [1.0]],
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_bad_probabilities_are_refused_with_the_reason(reason):
    bad = BAD_ROWS[reason]
    doors = [entropy, huffman, lambda p: kl_divergence(p, [0.5, 0.5]), lambda p: kl_divergence([0.5, 0.5], p)]
    doors += [lambda p: RangeEncoder().encode(0, p), lambda p: RangeDecoder(RangeEncoder().finish()).decode(p)]
    for door in doors:
        with pytest.raises(ValueError, match=reason):
            door(bad)
        if reason not in ("rectangular",):
            with pytest.raises(ValueError, match=reason):
                door(torch.tensor(bad))
            with pytest.raises(ValueError, match=reason):
                door(np.array(bad, dtype=np.float32))


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=4), st.sampled_from([np.float32, np.float64]))
def test_the_sum_is_checked_to_the_root_of_the_precision(p, dtype):
    p = np.array(p, dtype)
    wrong, tolerance = abs(float(p.sum()) - 1), math.sqrt(np.finfo(dtype).eps)
    if (p < 0).any() or wrong > 1.01 * tolerance:
        for f in (entropy, lambda p: joint_entropy(p[None]), huffman):
            with pytest.raises(ValueError):
                f(p)
    elif wrong < 0.99 * tolerance:
        assert entropy(p) >= 0


def test_other_bad_input_is_refused():
    for f in JOINT:
        with pytest.raises(ValueError, match="last two axes"):
            f([0.5, 0.5])
        with pytest.raises(ValueError, match="sum to 1 over its last two axes"):
            f([[0.5, 0.5], [0.5, 0.5]])
    for f in TWO:
        with pytest.raises(ValueError, match="same states"):
            f([0.5, 0.5], [1.0])
        with pytest.raises(ValueError, match="batch axes"):
            f(np.full((2, 2), 0.5), np.full((3, 2), 0.5))
    for bad in (["a", "b"], [True, False], [1j, 1], None, torch.tensor([True, False])):
        with pytest.raises(TypeError, match="real numbers"):
            entropy(bad)
    for base in (1, 0.5, 0, -2, math.inf):
        with pytest.raises(ValueError, match="base"):
            entropy([1.0], base=base)
    with pytest.raises(ValueError, match="one distribution"):
        huffman([[0.5, 0.5]])


# Codes


def kraft(code):
    return sum(2.0 ** -len(word) for word in code.words.values())


@given(st.integers(2, 5).flatmap(lambda k: tables(k)))
def test_no_prefix_code_beats_huffman(p):
    """All lengths that satisfy Kraft's inequality, up to the longest that can be optimal."""
    possible = np.flatnonzero(p)
    if len(possible) == 1:
        return
    code = huffman(p)
    shortest = min(
        np.dot(p[possible], lengths)
        for lengths in itertools.product(range(1, len(possible)), repeat=len(possible))
        if sum(2.0**-n for n in lengths) <= 1
    )
    close(sum(p[s] * len(word) for s, word in code.words.items()), shortest)


@given(st.integers(2, 300).flatmap(lambda k: tables(k)), st.data())
@settings(max_examples=50)
def test_huffman_words_are_a_full_prefix_code(p, data):
    code = huffman(p)
    assert list(np.flatnonzero(p)) == sorted(code.words)
    symbols = data.draw(st.lists(st.sampled_from(sorted(code.words))))
    assert code.decode(code.encode(symbols)) == symbols
    if len(code.words) > 1:
        assert kraft(code) == 1
        words = sorted(code.words.values())
        assert not any(b.startswith(a) for a, b in itertools.pairwise(words))
        length = sum(p[s] * len(word) for s, word in code.words.items())
        assert entropy(p, base=2) - 1e-9 <= length < entropy(p, base=2) + 1
        canonical = sorted(code.words, key=lambda s: (len(code.words[s]), s))
        assert [code.words[s] for s in canonical] == words


def test_huffman_by_hand():
    assert huffman([0.4, 0.2, 0.2, 0.1, 0.1]).words == {0: "00", 1: "01", 2: "10", 3: "110", 4: "111"}
    assert huffman([0.0, 0.1, 0.0, 0.9]).words == {1: "0", 3: "1"}
    alone = huffman(torch.tensor([0.0, 1.0]))
    assert alone.words == {1: "0"} and alone.decode(alone.encode([1, 1, 1])) == [1, 1, 1]
    fibonacci = np.array([1, 1, 2, 3, 5, 8, 13, 21]) / 54
    assert sorted(len(w) for w in huffman(fibonacci).words.values()) == [1, 2, 3, 4, 5, 6, 7, 7]


def test_huffman_refuses_what_it_cannot_code():
    code = huffman([0.5, 0.25, 0.25, 0.0])
    with pytest.raises(ValueError, match="symbol 3 has no code word"):
        code.encode([0, 3])
    for bits in ("1", "012", "abc"):
        with pytest.raises(ValueError, match="no code word"):
            code.decode(bits)


def encode(symbols, distributions):
    encoder = RangeEncoder()
    for symbol, p in zip(symbols, distributions, strict=True):
        encoder.encode(symbol, p)
    return encoder.finish()


def assert_round_trip(symbols, distributions):
    """Exact, and as short as the docstring says, which is shorter than ideal + 0.1 % + 8 bytes. Returns the bytes."""
    data = encode(symbols, distributions)
    decoder = RangeDecoder(data)
    assert [decoder.decode(p) for p in distributions] == list(symbols)
    ideal = -math.fsum(math.log2(p[s] / math.fsum(p)) for s, p in zip(symbols, distributions)) / 8
    most = sum(1.45 * (len(p) + 256) / 2**32 for p in distributions) / 8
    assert len(data) <= ideal + 5 + most + 1e-9 * ideal
    return data


@given(st.integers(1, 40).flatmap(lambda k: st.lists(tables(k), max_size=60)), st.randoms(use_true_random=False))
def test_every_message_comes_back_with_a_new_distribution_for_each_symbol(distributions, random):
    assert_round_trip([random.choice(np.flatnonzero(p).tolist()) for p in distributions], distributions)


@given(st.binary(max_size=400), st.sampled_from([1.0, 0.1, 0.003]))
def test_every_byte_string_comes_back_and_no_flipped_byte_goes_unnoticed(text, concentration):
    p = np.random.default_rng(len(text)).dirichlet(np.full(256, concentration)) + 1e-6
    data = assert_round_trip(list(text), [p / p.sum()] * len(text))
    for i, flip in itertools.product(range(len(data)), (1, 128, 255)):
        with pytest.raises(ValueError, match="damaged"):
            RangeDecoder(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
    for damaged in (data[:-1], data[: len(data) // 2], data[1:], data + b"\0", b""):
        with pytest.raises(ValueError, match="damaged"):
            RangeDecoder(damaged)


@pytest.mark.parametrize("p", [[1 - 1e-6, 1e-6], [1e-6, 1 - 1e-6], [1e-6, 0, 1 - 2e-6, 1e-6], [1e-15, 1 - 1e-15]])
def test_skewed_distributions(p):
    p = np.array(p)
    likely, rare = int(p.argmax()), int(np.flatnonzero(p)[-1])
    first = int(np.flatnonzero(p)[0])
    assert len(assert_round_trip([likely] * 20_000, [p] * 20_000)) == 5
    assert_round_trip([rare] * 500, [p] * 500)
    assert_round_trip([first] * 500, [p] * 500)
    assert_round_trip([likely] * 5000 + [first, rare] + [likely] * 5000, [p] * 10_002)


def test_one_million_bytes():
    random = np.random.default_rng(0)
    p = random.dirichlet(np.full(256, 0.3))
    symbols = random.choice(256, 1_000_000, p=p).tolist()
    data = encode(symbols, [p] * len(symbols))
    decoder = RangeDecoder(data)
    assert [decoder.decode(p) for _ in symbols] == symbols
    assert len(data) <= -np.log2(p[symbols]).sum() / 8 + 6
    stack = constriction.stream.queue.RangeEncoder()
    stack.encode(np.array(symbols, np.int32), constriction.stream.model.Categorical(p, perfect=False))
    assert len(data) <= 4 * len(stack.get_compressed()) + 8


def test_carries_agree_with_one_long_integer():
    """The same coder without bytes and carries: the whole code is one integer that grows by a factor of 256."""
    random = np.random.default_rng(1)
    distributions = random.dirichlet([0.5, 0.5, 20], 3000)
    symbols = [int(random.choice(3, p=p)) for p in distributions] + [2] * 500
    distributions = [*distributions, *[np.array([0.001, 0.001, 0.998])] * 500]
    low, width, written, carries = 0, 1 << 64, 0, 0
    for symbol, p in zip(symbols, distributions):
        units = np.floor(p / np.cumsum(p)[-1] * (2**32 - 3)).astype(int) + 1
        units[p.argmax()] += 2**32 - units.sum()
        before = low >> 64
        low += width * int(units[:symbol].sum()) >> 32
        carries += low >> 64 != before
        width = (width * int(units[: symbol + 1].sum()) >> 32) - (width * int(units[:symbol].sum()) >> 32)
        while width < 1 << 56:
            low, width, written = low << 8, width << 8, written + 1
    assert carries > 5
    code = (-(-low >> 56)).to_bytes(written + 1, "big")
    assert encode(symbols, distributions) == code + zlib.crc32(code).to_bytes(4, "big")


@pytest.mark.parametrize("symbols", list(itertools.product((1, 2), repeat=3)))
def test_a_number_at_the_very_start_of_an_interval_is_inside(symbols):
    """Symbols 0 at the end let the code shrink onto the lower ends of the intervals before."""
    distributions = [np.full(3, 1 / 3)] * 3 + [np.full(256, 1 / 256)] * 12
    assert_round_trip([*symbols] + [0] * 12, distributions)


def test_range_coder_writes_the_same_bytes_everywhere():
    """Stored bytes: files must stay readable, and the widget's JavaScript writes the same."""
    assert RangeEncoder().finish().hex() == "00d202ef8d"
    p = np.array([0.5, 0.2, 0.2, 0.1, 0.0])
    symbols = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]
    data = assert_round_trip([s % 4 for s in symbols], [p] * len(symbols))
    assert data.hex() == "f4ce127c501a4788a5"
    for other in (p.tolist(), torch.tensor(p), p[::-1].copy()[::-1]):
        assert encode([s % 4 for s in symbols], [other] * len(symbols)) == data
    half = p.astype(np.float32)
    assert encode([3, 1], [half] * 2) == encode([3, 1], [torch.tensor(half)] * 2)


def test_the_table_follows_an_array_that_changes():
    p, encoder = np.array([0.9, 0.1]), RangeEncoder()
    for _ in range(100):
        encoder.encode(1, p)
        p[:] = p[::-1]
    expected = encode([1] * 100, [np.array([0.9, 0.1]), np.array([0.1, 0.9])] * 50)
    assert encoder.finish() == expected


def test_large_alphabets():
    random = np.random.default_rng(0)
    for p in (random.dirichlet(np.ones(50_000)), np.full(1 << 20, 2.0**-20)):
        symbols = [0, len(p) - 1, int(p.argmax()), 12345]
        assert_round_trip(symbols, [p] * 4)
    with pytest.raises(ValueError, match="more than 2"):
        RangeEncoder().encode(0, np.full(1 << 21, 2.0**-21))


def test_range_coder_refuses_what_it_cannot_code():
    encoder = RangeEncoder()
    with pytest.raises(ValueError, match="probability 0"):
        encoder.encode(1, [1.0, 0.0])
    for symbol in (-1, 2, 10**30):
        with pytest.raises(ValueError, match="symbol must be in"):
            encoder.encode(symbol, [0.5, 0.5])
    for symbol in (0.0, "a", None):
        with pytest.raises(TypeError, match="symbol must be an integer"):
            encoder.encode(symbol, [0.5, 0.5])
    with pytest.raises(ValueError, match="one distribution"):
        encoder.encode(0, [[0.5, 0.5]])
    assert encoder.finish() == RangeEncoder().finish()
    with pytest.raises(TypeError, match="bytes"):
        RangeDecoder("text")


@given(st.binary(max_size=30), tables(9))
def test_reading_past_the_end_stays_inside_the_alphabet(code, p):
    decoder = RangeDecoder(code + bytes(1) + zlib.crc32(code + bytes(1)).to_bytes(4, "big"))
    for _ in range(60):
        assert p[decoder.decode(p)] > 0


# Estimates


def test_plugin_by_hand():
    x, y = [0, 0, 1, 1, 5, 5], [2, 2, 2, 7, 7, 7]
    table = np.array([[2, 0], [1, 1], [0, 2]]) / 6
    estimate = mutual_information_plugin(x, y)
    close(estimate.value, mutual_information(table))
    close(mutual_information_plugin(x, y, miller_madow=True).value, mutual_information(table) - (4 - 3 - 2 + 1) / 12)
    information = [math.log(p / (1 / 3 * 1 / 2)) for p in (2 / 6, 2 / 6, 1 / 6, 1 / 6, 2 / 6, 2 / 6)]
    close(estimate.stderr, np.std(information) / math.sqrt(6))
    close(estimate.ceiling, LN2)


def test_plugin_finds_information_in_noise_and_the_correction_takes_most_of_it_back():
    pairs = [np.random.default_rng(seed).integers(0, 20, (2, 1000)) for seed in range(5)]
    plain = [mutual_information_plugin(x, y) for x, y in pairs]
    corrected = [mutual_information_plugin(x, y, miller_madow=True).value for x, y in pairs]
    assert 0.17 < min(e.value for e in plain) and max(e.value for e in plain) < 0.23
    assert all(e.value > 8 * e.stderr for e in plain)
    assert max(map(abs, corrected)) < 0.08


def brute_force_ksg(x, y, k):
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    dx, dy = (np.abs(v[:, None] - v[None]).max(-1) for v in (x, y))
    radius = np.sort(np.maximum(dx, dy), axis=1)[:, k, None]
    psi = scipy.special.digamma
    return psi(k) + psi(len(x)) - np.mean(psi((dx < radius).sum(1)) + psi((dy < radius).sum(1)))


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ksg_agrees_with_all_distances(k):
    x, y = gaussians(300, 2, 0.7, seed=k)
    close(mutual_information_ksg(x, 1000 * y + 5, k=k).value, brute_force_ksg(x, y, k))


@pytest.mark.parametrize("rho", [0.0, 0.9])
@pytest.mark.parametrize("estimator", [mutual_information_ksg, mutual_information_infonce, mutual_information_nwj])
def test_gaussian_pairs_are_estimated(estimator, rho):
    truth = -math.log(1 - rho**2) / 2
    x, y = gaussians(2000, 1, rho, seed=0)
    estimate = estimator(x.ravel(), torch.tensor(y))
    assert abs(estimate.value - truth) < 0.03 + 3 * estimate.stderr
    assert estimate.stderr < 0.05


def plugin_of_cells(x, y):
    return mutual_information_plugin(*(np.floor(v).astype(int).ravel() for v in (x, y)))


@pytest.mark.parametrize("estimator", [mutual_information_ksg, plugin_of_cells])
def test_the_standard_error_is_the_spread_over_samples(estimator):
    estimates = [estimator(*gaussians(1000, 1, 0.8, seed)) for seed in range(60)]
    spread, stderr = np.std([e.value for e in estimates], ddof=1), np.mean([e.stderr for e in estimates])
    assert 0.7 < stderr / spread < 1.4


def test_ksg_fails_in_twenty_dimensions():
    estimate = mutual_information_ksg(*gaussians(2000, 20, 0.8, seed=0))
    assert 1.9 < estimate.value < 2.2 and estimate.stderr < 0.05  # the truth is 10.2
    assert estimate.ceiling == pytest.approx(6.68, abs=0.01)


@pytest.mark.parametrize("batch", [8, 64])
def test_infonce_stays_below_its_ceiling(batch):
    estimate = mutual_information_infonce(*gaussians(2000, 20, 0.8, seed=0), batch=batch)
    assert estimate.ceiling == math.log(batch)
    assert 0.8 * estimate.ceiling < estimate.value < estimate.ceiling  # the truth is 10.2


def test_nwj_counts_only_shuffled_pairs_as_shuffled():
    """In batches of 16 the true pairs, counted too, would take 0.3 nats off."""
    estimate = mutual_information_nwj(*gaussians(2000, 1, 0.9, seed=0), batch=16)
    assert abs(estimate.value + math.log(1 - 0.9**2) / 2) < 0.1 + 2 * estimate.stderr


def test_nwj_varies_by_nats_where_the_truth_is_large():
    estimates = [mutual_information_nwj(*gaussians(2000, 20, 0.8, seed), seed=seed) for seed in range(3)]
    values = [e.value for e in estimates]
    assert max(values) < 6 and max(values) - min(values) > 0.5  # the truth is 10.2


@pytest.mark.parametrize("estimator", [mutual_information_infonce, mutual_information_nwj])
def test_networks_are_judged_on_pairs_they_have_not_seen(estimator):
    """In 20 dimensions a network learns 1000 unrelated pairs by heart: seen pairs would give nats out of nothing."""
    state = torch.random.get_rng_state()
    x, y = gaussians(1000, 20, 0.0, seed=0)
    estimate = estimator(x, y, batch=64)
    assert estimate == estimator(x, torch.tensor(y), batch=64)
    assert abs(estimate.value) < 0.05
    assert torch.equal(torch.random.get_rng_state(), state)


def test_bad_samples_are_refused():
    random = np.random.default_rng(0)
    x = random.normal(size=1000)
    estimators = (mutual_information_ksg, mutual_information_infonce, mutual_information_nwj)
    for estimator in (*estimators, mutual_information_plugin):
        with pytest.raises(ValueError, match="rectangular"):
            estimator([[1, 2], [3]], x)
        for bad, reason in ((x[:-1], "pairs"), (np.where(x > 2, np.nan, x), "NaN"), (x[:, None, None], "shape")):
            with pytest.raises(ValueError, match=reason):
                estimator(x, bad)
        with pytest.raises(ValueError, match="shape"):
            estimator([], [])
        with pytest.raises(ValueError, match="too large"):
            estimator(x * 1e200, x)
        with pytest.raises(TypeError, match="real numbers"):
            estimator(["a"] * 1000, x)
    for estimator in estimators:
        with pytest.raises(ValueError, match="at least"):
            estimator(x[:30], x[:30])
        with pytest.raises(ValueError, match="seed"):
            estimator(x, x, seed=-1)
    with pytest.raises(TypeError, match="integers"):
        mutual_information_plugin(x, x)
    with pytest.raises(ValueError, match="equal"):
        mutual_information_ksg(random.integers(0, 3, 1000), random.integers(0, 3, 1000))
    for k in (0, -1):
        with pytest.raises(ValueError, match="k must be"):
            mutual_information_ksg(x, x, k=k)
    with pytest.raises(ValueError, match="batch"):
        mutual_information_infonce(x, x, batch=1)


def test_outliers_and_constants_give_numbers():
    x = np.random.default_rng(0).standard_cauchy(600)
    for estimator in (mutual_information_ksg, lambda x, y: mutual_information_infonce(x, y, batch=16)):
        assert math.isfinite(estimator(x, x).value)
        assert abs(estimator(x, np.zeros(600)).value) < 0.1
    assert math.isfinite(mutual_information_nwj(x, x, batch=16).value)
