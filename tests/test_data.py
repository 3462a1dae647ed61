"""Data: the right numbers in the right order, damaged files refused, densities that are what they say."""

import functools
import gzip
import hashlib
import http.server
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.datasets import load_digits, make_moons

from dgmlite import data

ROOT = Path(__file__).parents[2] / "shared" / "data"
needs_files = pytest.mark.skipif(not ROOT.is_dir(), reason=f"the test data are not there: no folder {ROOT}")

# From the documentation of the data sets, not from our code: md5 of the uncompressed files, labels per class.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
TRAIN_LABELS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST_LABELS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

DENSITIES = {
    "moons": data.two_moons(),
    "broad moons": data.two_moons(0.3),
    "ring": data.ring_of_gaussians(),
    "lopsided ring": data.ring_of_gaussians(2, radius=1.5, std=0.5),
    "checkerboard": data.checkerboard(),
    "spirals": data.spirals(),
}
every_density = pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES)


# Digits


def test_digits_are_scikit_learns_in_file_order():
    d, file = data.digits(), load_digits()
    assert (len(d.train), len(d.valid), len(d.test), d.levels) == (1000, 350, 447, 17)
    for split in (d.train, d.valid, d.test):
        assert split.x.dtype == split.y.dtype == torch.long and split.x.shape == (len(split), 1, 8, 8)
    x, y = (torch.cat([getattr(s, name) for s in (d.train, d.valid, d.test)]).numpy() for name in "xy")
    assert np.array_equal(x[:, 0], file.images) and np.array_equal(y, file.target)
    assert (x.min(), x.max()) == (0, 16)


def test_digits_known_answers():
    d = data.digits()
    assert [int(s.x.sum()) for s in (d.train, d.valid, d.test)] == [314334, 108404, 138980]
    assert torch.cat([d.train.y, d.valid.y, d.test.y]).bincount().tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip
    assert d.train.x[0, 0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_shifts_are_marked_and_the_unmoved_stand_as_often_as_asked():
    x = torch.arange(1, 19).view(2, 1, 3, 3)
    moved, move = data.shifts(x, unmoved=3)
    assert move.bincount().tolist() == [3 * 2] + [2] * 8
    assert torch.equal(moved[move == 0], x.repeat(3, 1, 1, 1))
    where = [tuple((image == 5).nonzero()[0, 1:].tolist()) for image in moved[::2]]  # the middle of the first image
    assert len(set(where)) == 9 and where[9:] == where[:1] * 2
    for bad in (0, -1, 1.5, True):
        with pytest.raises((TypeError, ValueError), match="unmoved must be"):
            data.shifts(x, bad)


def test_importing_and_digits_touch_no_network():
    code = (
        "import socket\n"
        "def refuse(*a): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from dgmlite import data\n"
        "assert len(data.digits().train) == 1000 and len(data.TEXT) > 3000\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


# MNIST and text


@needs_files
def test_mnist_known_answers(monkeypatch):
    monkeypatch.setenv("DGMLITE_DATA", str(ROOT))
    d = data.mnist()
    assert (len(d.train), len(d.valid), len(d.test), d.levels) == (50000, 10000, 10000, 256)
    assert d.train.x.shape == (50000, 1, 28, 28) and d.train.x.dtype == d.train.y.dtype == torch.long
    assert (d.train.y.bincount() + d.valid.y.bincount()).tolist() == TRAIN_LABELS
    assert d.test.y.bincount().tolist() == TEST_LABELS
    assert d.train.y[:5].tolist() == [5, 0, 4, 1, 9] and d.test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert (int(d.train.x.min()), int(d.train.x.max())) == (0, 255)
    x = torch.cat([d.train.x, d.valid.x]).to(torch.uint8)
    assert x.float().mean().item() / 255 == pytest.approx(0.1307, abs=5e-5)  # the usual normalising constants
    assert hashlib.sha256(x.numpy().tobytes()).digest() == hashlib.sha256(original("train-images")[16:]).digest()
    # A 1 is thinner than a 0: images and labels belong together.
    assert all(s.x[s.y == 1].sum() / (s.y == 1).sum() < 0.5 * s.x[s.y == 0].sum() / (s.y == 0).sum()
               for s in (d.valid, d.test))  # fmt: skip


@needs_files
def test_the_pinned_files_are_the_original_ones():
    for name, md5 in MD5.items():
        assert hashlib.md5(original(name), usedforsecurity=False).hexdigest() == md5


def original(name: str) -> bytes:
    return gzip.decompress(next(ROOT.glob(f"mnist/{name}*.gz")).read_bytes())


@needs_files
@pytest.mark.parametrize("folder", ["mnist", "."])
@pytest.mark.parametrize("gzipped", [True, False])
def test_files_are_found_gzipped_or_not_in_the_folder_or_below(folder, gzipped, tmp_path, monkeypatch):
    (tmp_path / folder).mkdir(exist_ok=True)
    for name in MD5:
        path = tmp_path / folder / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(original(name), 1) if gzipped else original(name))
    monkeypatch.setenv("DGMLITE_DATA", str(tmp_path))
    monkeypatch.setattr(data.pooch, "retrieve", lambda *a, **k: pytest.fail("nothing to download"))
    assert len(data.mnist().test) == 10000


def flipped(contents: bytes, at: int) -> bytes:
    return contents[:at] + bytes([contents[at] ^ 1]) + contents[at + 1 :]


def damaged(kind: str) -> tuple[str, bytes]:
    name = "train-labels-idx1-ubyte"
    contents = original(name)
    wrapped = gzip.compress(contents, 1)
    changed = flipped(contents, 30_000)
    return {
        "truncated gzip": (f"{name}.gz", wrapped[:-2000]),
        "one bit of the gzip flipped": (f"{name}.gz", flipped(wrapped, len(wrapped) // 2)),
        "not gzip": (f"{name}.gz", b"<html>not found</html>"),
        "empty": (f"{name}.gz", b""),
        "another file": (f"{name}.gz", gzip.compress(original("t10k-labels"), 1)),
        "truncated": (name, contents[:-1]),
        "too long": (name, contents + b"\0"),
        "one bit flipped": (name, changed),
        "gzip of a flipped bit": (f"{name}.gz", gzip.compress(changed, 1)),
    }[kind]


@needs_files
@pytest.mark.parametrize("kind,cause", [
    ("truncated gzip", "cannot be decompressed: .*end-of-stream"),
    ("one bit of the gzip flipped", "cannot be decompressed"),
    ("not gzip", "cannot be decompressed: Not a gzipped file"),
    ("empty", "starts with"),
    ("another file", "starts with 00000801 00002710 where the original has 00000801 0000ea60"),
    ("truncated", "60,007 bytes where the original has 60,008"),
    ("too long", "60,009 bytes"),
    ("one bit flipped", "bytes were changed"),
    ("gzip of a flipped bit", "bytes were changed"),
])  # fmt: skip
def test_damaged_files_are_refused_by_name_with_the_cause(kind, cause, tmp_path, monkeypatch):
    name, contents = damaged(kind)
    (tmp_path / name).write_bytes(contents)
    monkeypatch.setenv("DGMLITE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=cause) as refused:
        data.mnist()
    assert str(tmp_path / name) in str(refused.value)
    assert (tmp_path / name).read_bytes() == contents  # the user's own file is never touched


def test_dgmlite_data_must_be_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DGMLITE_DATA", str(tmp_path / "typo"))
    for load in (data.mnist, data.shakespeare):
        with pytest.raises(ValueError, match=r"DGMLITE_DATA must name a folder, got .*typo"):
            load()


@needs_files
def test_shakespeare_is_split_as_usual(monkeypatch):
    monkeypatch.setenv("DGMLITE_DATA", str(ROOT))
    train, valid = data.shakespeare()
    assert (len(train), len(valid)) == (1_003_854, 111_540)  # the counts that nanoGPT's README gives
    assert (train + valid).encode() == (ROOT / "text" / "tinyshakespeare.txt").read_bytes()
    assert len(set(train)) == 65 and train.startswith(data.TEXT)


def test_embedded_text_is_fixed():
    assert len(data.TEXT) == 3700 and data.TEXT.isascii() and data.TEXT.endswith("love they bear us.\n")
    assert hashlib.md5(data.TEXT.encode(), usedforsecurity=False).hexdigest() == "057d3c2b43e88c690153030f2d7462f4"


# Downloads, from a server on this machine


class Server(http.server.ThreadingHTTPServer):
    def __init__(self, answer):
        self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):
                self.asked.append(handler.path)
                status, length, body = answer(handler.path)
                handler.send_response(status)
                handler.send_header("Content-Length", str(length))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(handler, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Start a server that gives `answer(path) -> (status, announced length, body)`; return it and the cache."""
    servers = []

    def start(answer):
        servers.append(server := Server(answer))
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(data, "MNIST_URL", url)
        monkeypatch.setattr(data, "SHAKESPEARE_URL", url)
        return server, tmp_path

    monkeypatch.setattr(data.pooch, "os_cache", lambda project: tmp_path)
    monkeypatch.delenv("DGMLITE_DATA", raising=False)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def whole(path: str):
    body = (ROOT / "mnist" / path.strip("/")).read_bytes()
    return 200, len(body), body


@needs_files
def test_download_once_then_the_cache_which_heals(download):
    server, cache = download(whole)
    assert len(data.mnist().test) == 10000
    assert sorted(server.asked) == sorted(f"/{name}.gz" for name in MD5)
    assert {path.name for path in cache.iterdir()} == set(MD5)  # no temporary file is left
    data.mnist()
    assert len(server.asked) == 4
    damaged = cache / "t10k-labels-idx1-ubyte"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert data.mnist().test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert server.asked[4:] == ["/t10k-labels-idx1-ubyte.gz"]


@needs_files
def test_the_folder_is_looked_in_first_and_at_each_call(download, monkeypatch):
    server, cache = download(lambda path: (404, 0, b""))
    monkeypatch.setenv("DGMLITE_DATA", str(ROOT))
    data.shakespeare()
    assert server.asked == []
    monkeypatch.setenv("DGMLITE_DATA", str(cache))  # a folder without the file: the network is next
    with pytest.raises(OSError):
        data.shakespeare()
    assert server.asked == ["/input.txt"]


FAILURES = {
    "not found": lambda path: (404, 0, b""),
    "cut off": lambda path: (200, 1_115_394, b"First Citizen:\n"),
    "too short": lambda path: (200, 15, b"First Citizen:\n"),
    "a page instead": lambda path: (200, 22, b"<html>please log in..."),
    "cut off inside gzip": lambda path: (200, 30, gzip.compress(bytes(range(256)))[:30]),
    "other contents, well wrapped": lambda path: (200, len(gzip.compress(b"other")), gzip.compress(b"other")),
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
@pytest.mark.parametrize("load", [data.mnist, data.shakespeare])
def test_a_failed_download_leaves_nothing_and_says_what_to_do(load, answer, download):
    server, cache = download(answer)
    with pytest.raises(OSError, match=r"could not be downloaded .* set DGMLITE_DATA to a folder that holds"):
        load()
    assert len(server.asked) == 1 and list(cache.iterdir()) == []


def test_no_network_says_what_to_do(download, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route to host")

    _, cache = download(FAILURES["not found"])
    monkeypatch.setattr(data.pooch, "HTTPDownloader", lambda: fail)
    with pytest.raises(OSError, match=r"train-labels-idx1-ubyte .*no route to host.* set DGMLITE_DATA"):
        data.mnist()
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="folder permissions work otherwise on Windows")
def test_a_cache_that_cannot_be_made_says_what_to_do(download, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    download(FAILURES["not found"])
    monkeypatch.setattr(data.pooch, "os_cache", lambda project: tmp_path / "file" / "cache")
    with pytest.raises(OSError, match="set DGMLITE_DATA"):
        data.shakespeare()


# Densities


def box(density, factor: float, points: int):
    """Midpoints of a points × points grid over the bounds, enlarged about their centre, and the area of a cell."""
    x0, x1, y0, y1 = density.bounds
    unit = (torch.arange(points, dtype=torch.float64) + 0.5) / points - 0.5
    width, height = factor * (x1 - x0), factor * (y1 - y0)
    grid = torch.cartesian_prod((x0 + x1) / 2 + width * unit, (y0 + y1) / 2 + height * unit)
    return grid, width * height / points**2


@every_density
def test_density_integrates_to_one_and_bounds_hold_the_mass(density):
    grid, area = box(density, 1.25, 120)
    assert density.log_prob(grid).exp().sum().item() * area == pytest.approx(1, abs=1e-3)
    grid, area = box(density, 1, 120)
    assert 0.999 <= density.log_prob(grid).exp().sum().item() * area <= 1.0001


@functools.cache
def cell_probabilities(density, cells: int = 40, points: int = 5) -> np.ndarray:
    """Probability of each of cells × cells over the bounds, by quadrature with points × points in each."""
    grid, area = box(density, 1, cells * points)
    return density.log_prob(grid).exp().reshape(cells, points, cells, points).sum((1, 3)).numpy() * area


def chi_square(density, x: torch.Tensor) -> float:
    """p-value of the counts of x in cells over the bounds; rare cells and all outside are pooled."""
    p = cell_probabilities(density)
    x0, x1, y0, y1 = density.bounds
    counts = np.histogram2d(*x.double().numpy().T, bins=len(p), range=[[x0, x1], [y0, y1]])[0]
    common = p * len(x) >= 5
    expected, observed = p[common] * len(x), counts[common]
    rest = len(x) - expected.sum(), len(x) - observed.sum()
    if rest[0] >= 5:
        expected, observed = np.append(expected, rest[0]), np.append(observed, rest[1])
    elif rest[1] > 25:  # many where hardly any are expected
        return 0.0
    return stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(expected) - 1)


@every_density
def test_samples_match_the_density(density):
    assert all(chi_square(density, density.sample(100_000, seed=seed)) > 1e-3 for seed in range(4))


@pytest.mark.parametrize("name", ["moons", "ring", "checkerboard", "spirals"])
def test_the_comparison_has_teeth(name):
    density = DENSITIES[name]
    x = density.sample(100_000)
    narrower = data.Density(density.centres, density.spread * 0.95, density.square)
    assert chi_square(density, narrower.sample(100_000)) < 1e-4
    assert chi_square(density, x + 0.03) < 1e-4
    x[:1000] = density.centres[0].float()  # 1 % too many in one place
    assert chi_square(density, x) < 1e-4


@every_density
def test_samples_are_seeded_float32_and_have_finite_log_prob(density):
    x = density.sample(30_000, seed=3)
    assert x.shape == (30_000, 2) and x.dtype == torch.float32
    assert torch.equal(x, density.sample(30_000, seed=3)) and not torch.equal(x, density.sample(30_000, seed=4))
    log_p = density.log_prob(x)
    assert log_p.shape == (30_000,) and log_p.dtype == torch.float32 and torch.isfinite(log_p).all()
    assert torch.allclose(log_p.double(), density.log_prob(x.double()), atol=1e-4)
    state = torch.get_rng_state()
    density.sample(2)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("components,radius,std", [(8, 3.0, 0.3), (1, 2.0, 0.5), (5, 0.0, 1.5)])
def test_ring_against_scipy(components, radius, std):
    density = data.ring_of_gaussians(components, radius, std)
    x = torch.tensor(np.random.default_rng(0).normal(0, 3, (200, 2)))
    angles = np.deg2rad(360 / components * np.arange(components))
    p = np.mean([stats.multivariate_normal([radius * np.cos(a), radius * np.sin(a)], std**2).pdf(x) for a in angles], 0)
    assert density.log_prob(x).numpy() == pytest.approx(np.log(p), rel=1e-9)


def test_ring_moments():
    x = data.ring_of_gaussians(6, radius=2.0, std=0.5).sample(200_000).double()
    assert x.mean(0).tolist() == pytest.approx([0, 0], abs=0.015)
    assert x.T.cov().ravel().tolist() == pytest.approx([2.25, 0, 0, 2.25], abs=0.02)


def test_checkerboard_known_answers():
    board = data.checkerboard()
    assert board.bounds == (-4, 4, -4, 4)
    inside = torch.tensor([[-3.5, -2.5], [1.0, 1.0], [3.9, 3.9], [-0.1, -1.9], [4.0, 4.0], [-4.0, -4.0]])
    outside = torch.tensor([[-3.5, -1.5], [1.0, -1.0], [3.9, 0.1], [4.001, 3.0], [5.0, 5.0], [-1.0, 1.0]])
    assert board.log_prob(inside).tolist() == pytest.approx([-math.log(32)] * 6)
    assert board.log_prob(outside).tolist() == [-math.inf] * 6
    x = board.sample(200_000).double()
    assert x.mean(0).tolist() == pytest.approx([0, 0], abs=0.025)
    # Centres ±1, ±3 and a uniform of variance 1/3; the diagonal squares give the covariance 1.
    assert x.T.cov().ravel().tolist() == pytest.approx([16 / 3, 1, 1, 16 / 3], abs=0.04)


def test_moons_are_scikit_learns():
    density = data.two_moons(0.15)
    x, _ = make_moons(20_000, noise=0.15, random_state=0)
    assert chi_square(density, torch.tensor(x)) > 1e-3
    fine = data.Density(torch.tensor(make_moons(2_000, noise=None)[0]), 0.15)
    grid, area = box(density, 1, 60)
    assert (density.log_prob(grid).exp() - fine.log_prob(grid).exp()).abs().sum().item() * area < 0.006


def test_spirals_are_uniform_along_archimedes_curve():
    arm, other = data.spirals(0.02).centres.chunk(2)
    assert torch.equal(arm, -other)
    radius = arm.norm(dim=1)
    # The angle is three times the radius, at most 3π.
    assert torch.allclose(arm, radius[:, None] * torch.stack([(3 * radius).cos(), (3 * radius).sin()], 1), atol=1e-6)
    assert radius.max().item() == pytest.approx(math.pi, abs=0.02) and radius.min() < 0.02
    steps = arm.diff(dim=0).norm(dim=1)
    assert steps.max() <= 0.02 and steps[10:].min() > 0.0195


@pytest.mark.parametrize("name", ["moons", "ring", "spirals"])
def test_score_is_the_gradient(name):
    x = DENSITIES[name].sample(50).double().requires_grad_()
    assert torch.autograd.gradcheck(DENSITIES[name].log_prob, x)


def test_repr_has_no_address():
    assert repr(data.checkerboard()) == "Density(8 squares of side 2)"
    assert "0x" not in repr(data.digits())


# Bad input

bad_numbers = st.one_of(
    st.none(), st.booleans(), st.text(), st.floats(max_value=-1e-9), st.sampled_from([math.nan, math.inf, 1e9, [1.0]])
)
bad_counts = st.one_of(
    st.none(), st.booleans(), st.text(), st.floats(), st.integers(max_value=-1), st.just(2**64), st.just([2])
)
bad_points = st.one_of(
    st.sampled_from([
        torch.zeros(2), torch.zeros(0, 2), torch.zeros(3, 3), torch.zeros(2, 2, 2), torch.zeros(3, 2).long(),
        torch.tensor([[0, math.nan]]), torch.tensor([[math.inf, 0]]), torch.tensor(0.0), torch.zeros(3, 2) > 0,
    ]),
    st.none(), st.text(), st.just(np.zeros((3, 2))), st.lists(st.floats()), st.complex_numbers(),
)  # fmt: skip


def refused(function, *args, **kwargs):
    with pytest.raises((ValueError, TypeError)) as error:
        function(*args, **kwargs)
    message = str(error.value)
    assert len(message) > 25 and "\n" not in message.strip(), message


@settings(max_examples=150, deadline=None, derandomize=True)
@given(value=bad_numbers, count=bad_counts, x=bad_points)
def test_bad_input_is_refused_in_a_sentence(value, count, x):
    board = DENSITIES["checkerboard"]
    for make in (data.two_moons, data.spirals):
        refused(make, value)
    refused(data.ring_of_gaussians, std=value)
    refused(data.ring_of_gaussians, radius=value)
    if count != 2**64:
        refused(data.ring_of_gaussians, count)
        refused(board.sample, count)
    refused(board.sample, 3, seed=count)
    for density in (board, DENSITIES["ring"]):
        refused(density.log_prob, x)
    refused(data.Density, x, 1.0)
    refused(data.Density, torch.zeros(1, 2), value)


def test_seeds_end_where_torchs_do():
    assert DENSITIES["ring"].sample(2, seed=2**63 - 1).shape == (2, 2)
    with pytest.raises(ValueError, match="seed must be below"):
        DENSITIES["ring"].sample(2, seed=2**64)


def test_splits_must_match():
    refused(data.Split, torch.zeros(3, 2), torch.zeros(4))
    refused(data.Split, torch.zeros(3, 2), [1, 2, 3])
    refused(data.Split, torch.tensor(1), torch.tensor(1))
