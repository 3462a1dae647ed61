"""Two processes that train together, started as a user would: one weight, one history, and no waiting for ever.

Run by torchrun, this file is what each of the two processes does; the tests read what they wrote.
"""

import contextlib
import errno
import faulthandler
import hashlib
import io
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import dgmlite.checkpoint
from dgmlite import parallel, training
from dgmlite.models.gan import GAN
from dgmlite.models.vae import VAE
from dgmlite.training import fit


class Net(nn.Module):
    """No noise but where it starts: the weights, and in `initialise`, are drawn."""

    event_shape, levels = (2,), None

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 2)).double()
        self.register_buffer("shift", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, x, y=None):
        self.shift.copy_(x.mean(0) + torch.randn(2))
        self.initialised.fill_(True)

    def loss(self, x, y=None):
        error = (self.net(x - self.shift) - x).square()
        return error.sum(1, dtype=error.dtype) * (1 if y is None else y)


class Noisy(Net):
    """Dropout, noise in the loss and running statistics, which differ between the processes' shares."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Dropout(0.2), nn.Linear(8, 2))
        self.net.double()

    def loss(self, x, y=None):
        return super().loss(x + 0.1 * torch.randn_like(x), y)


class Game(nn.Module):
    """A least-squares GAN that generates from the data's own noise, so that nothing is drawn."""

    event_shape, levels = (2,), None

    def __init__(self):
        super().__init__()
        self.players = nn.ModuleDict({"critic": nn.Linear(2, 1), "generator": nn.Linear(2, 2)}).double()

    def loss(self, x, player):
        critic, fake = self.players["critic"], self.players["generator"](x.sin())
        if player == "critic":
            return (critic(x) - 1).square().sum(1) + critic(fake).square().sum(1)
        return (critic(fake) - 1).square().sum(1)


class Watched(VAE):
    """Notes at each loss how many examples it sees, which, and where it is in its random stream."""

    def loss(self, x):
        digests = [hashlib.sha256(tensor.numpy()).hexdigest() for tensor in (x, torch.get_rng_state())]
        self.__dict__.setdefault("seen", []).append([len(x), *digests])
        return super().loss(x)


def points(n, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 2


def trained(model, train=None, **arguments):
    """Train and return all that must be the same in each process."""
    train = points(90) if train is None else train
    history = fit(model, train, **{"device": "cpu", "progress": False, "batch_size": 16} | arguments)
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    return {"weights": weights, "train": history.train, "valid": history.valid, "best": history.best_epoch}


def error(model, *data, **arguments):
    """Return with which error training ended."""
    try:
        trained(model, *data, **arguments)
    except (Exception, KeyboardInterrupt) as caught:
        return [type(caught).__name__, getattr(caught, "errno", None), str(caught)]


def without_noise():
    """What must come out the same, to rounding, whatever the number of processes."""
    both = dict(valid=points(41, seed=1), lr=1e-2)
    torch.manual_seed(parallel.rank())  # each process comes with other weights; those of the first count
    yield "five steps", trained(Net(), steps=5, **both)
    yield "average", trained(Net(), epochs=4, average=0.9, schedule="cosine", patience=2, **both)
    yield "labels", trained(Net(), (points(90), torch.arange(90) / 90), steps=7)
    yield "game", trained(Game(), steps=9, steps_per_player={"critic": 2}, lr=1e-2)


def with_noise(folder):
    """What only has to be the same in both processes."""
    seen = []
    torch.manual_seed(0)
    yield "R1", trained(GAN((2,), None, penalty="r1", hidden=(8,)), points(90).float(), epochs=2, betas=(0, 0.9))
    model = Watched((2,), None, latent=2, hidden=(8,), dropout=0.1)
    yield "VAE", trained(model, points(90).float(), epochs=2, valid=points(41, seed=1).float())
    yield "seen", model.seen

    long = dict(valid=points(41, seed=1), epochs=4, average=0.9, lr=1e-2, seed=3)
    for name, file in (("whole", None), ("resumed", folder / "two")):
        torch.manual_seed(0)
        if file:
            trained(Noisy(), **long | {"epochs": 2}, checkpoint=file)
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown):
            model, look = Noisy(), lambda model, history: seen.append(len(history.valid))
            yield name, trained(model, **long, checkpoint=file, on_epoch=look, progress=True)
        yield f"shown {name}", shown.getvalue()
    yield "epochs seen", seen

    if parallel.rank() == 1:  # a slow one, which finds each step worth showing
        training.time = SimpleNamespace(perf_counter=itertools.count().__next__)
    yield "clocks", trained(Net(), epochs=2)
    training.time = time

    torch.manual_seed(0)
    half = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 2))
    compiler, torch.compile = torch.compile, lambda function: compiler(function, backend="eager")  # needs no C++
    for name in ("bf16", "compiled"):
        model = Net()
        model.net.load_state_dict(half.state_dict())
        model.net.float()
        yield name, trained(model.float(), points(90).float(), steps=5, bf16=True, compile=name == "compiled")
    torch.compile = compiler


def refused(folder):
    """How training ends where it must, in both processes, whichever the trouble is in."""
    second, calls = parallel.rank() == 1, itertools.count()
    yield "batch_size", error(Net(), batch_size=15)
    yield "data", error(Net(), points(90 - 16 * second))
    yield "one's checkpoint", error(Net(), checkpoint=folder / "one")

    class Bad(Net):
        def loss(self, x, y=None):
            here = next(calls) == 3 if self.training else second
            return super().loss(x, y) * (math.inf if second and here else 1)

    yield "train", error(Bad(), epochs=3)
    calls = itertools.repeat(0)
    yield "valid", error(Bad(), valid=points(41))

    def interrupt(*_):
        raise KeyboardInterrupt

    Bad.loss = interrupt
    yield "Ctrl-C", error(Bad())

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    dgmlite.checkpoint.open = full
    yield "disk", error(Net(), checkpoint=folder / "full", epochs=3)
    del dgmlite.checkpoint.open
    yield "on_epoch", error(Net(), on_epoch=lambda *_: {}["key"])


def threads():
    """Return the names of all threads, those of C++ too, where the system tells (Linux)."""
    return sorted(file.read_text() for file in Path("/proc/self/task").glob("*/comm"))


def main(folder):
    faulthandler.dump_traceback_later(100, exit=True)
    torch.set_num_threads(1)
    before = threads()
    with parallel.start():
        assert parallel.size() == 2
        results = dict(itertools.chain(without_noise(), with_noise(folder), refused(folder)))
        (folder / f"{parallel.rank()}.json").write_text(json.dumps(results))
    assert parallel.size() == 1
    assert threads() == before  # those of Gloo would be cut off at the interpreter's end, which may abort it


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parallel")


@pytest.fixture(scope="module")
def both(folder):
    """Return what each of two processes found."""
    trained(Net(), epochs=1, checkpoint=folder / "one")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__, folder]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=150
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("name", ["five steps", "average", "labels", "game", "R1", "VAE", "whole", "clocks", "bf16"])
def test_both_processes_end_with_the_same_bits(both, name):
    first, second = (results[name] for results in both)
    assert first == second and first["train"]


def test_without_noise_two_processes_train_as_one(both):
    for name, one in without_noise():
        for key, value in both[0][name]["weights"].items():
            torch.testing.assert_close(torch.tensor(value), torch.tensor(one["weights"][key]), rtol=0, atol=1e-10)
        two = both[0][name]
        for key in ("train", "valid"):
            flat = [[v for e in each[key] for v in (e.values() if isinstance(e, dict) else [e])] for each in (one, two)]
            assert flat[1] == pytest.approx(flat[0], rel=1e-6)
        assert one["best"] == two["best"]
    assert both[0]["average"]["valid"]


def test_each_process_has_examples_and_noise_of_its_own(both):
    first, second = (list(zip(*results["seen"])) for results in both)
    assert first[0] == (8, 8, 8, 8, 8, 8, 8, 8) * 2 and second[0] == (8, 8, 8, 8, 8, 8, 8, 1) * 2
    for mine, yours in zip(first[1:], second[1:]):
        assert not set(mine) & set(yours)


def test_a_run_is_resumed_exactly(both):
    assert both[0]["resumed"] == both[0]["whole"] == both[1]["resumed"]


def test_a_checkpoint_belongs_to_the_number_of_processes(both, folder):
    for _, _, sentence in (results["one's checkpoint"] for results in both):
        assert "belongs to another run: processes differ" in sentence
    arguments = dict(valid=points(41, seed=1), epochs=4, average=0.9, lr=1e-2, seed=3)
    with pytest.raises(ValueError, match="belongs to another run: processes differ"):
        trained(Noisy(), **arguments, checkpoint=folder / "two")


def test_compiled_training_is_the_same_training(both):
    assert both[0]["compiled"] == both[0]["bf16"] == both[1]["compiled"]


def test_only_the_first_process_shows_progress_and_calls_on_epoch(both):
    line = r"training finished: 4 epochs, loss [\d.]+, best validation [\d.]+ in epoch \d\n"
    assert re.fullmatch(line, both[0]["shown whole"]) and both[1]["shown whole"] == ""
    assert both[0]["epochs seen"] == [1, 2, 3, 4, 3, 4] and both[1]["epochs seen"] == []


@pytest.mark.parametrize(
    "name, kind, sentence",
    [
        ("batch_size", "ValueError", "batch_size, here 15, must be a multiple of the 2 processes"),
        ("data", "ValueError", "the same data, arguments and checkpoint, got .*90.*74"),
        ("train", "FloatingPointError", "the loss became inf in epoch 1 at step 4"),
        ("valid", "FloatingPointError", "the loss became inf in epoch 1 on the validation data"),
        ("Ctrl-C", "KeyboardInterrupt", ""),
        ("disk", "OSError", "No space left on device: the checkpoint was not written"),
    ],
)
def test_both_processes_end_with_the_same_error(both, name, kind, sentence):
    first, second = (results[name] for results in both)
    assert first == second and first[0] == kind and re.search(sentence, first[2])
    assert (name == "disk") == (first[1] == errno.ENOSPC)


def test_an_error_in_on_epoch_ends_both_processes(both):
    assert both[1]["on_epoch"][0] == "RuntimeError" and "in process 0: KeyError('key')" in both[1]["on_epoch"][2]


def test_one_process_alone_is_left_as_it_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with parallel.start():
        assert (parallel.size(), parallel.rank(), parallel.own(7), parallel.gathered("x")) == (1, 0, 7, ["x"])
        assert parallel.averaging(nn.Linear(1, 1), print) is print


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert parallel.device() == "cuda:3"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert parallel.device() == "cpu"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
