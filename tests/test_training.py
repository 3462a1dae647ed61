"""fit against a hand-written loop, against being killed, and against everything that can be wrong with its input."""

import copy
import errno
import functools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

import dgmlite.checkpoint
from dgmlite import training
from dgmlite.training import fit

quiet = functools.partial(fit, progress=False, device="cpu")


class Noisy(nn.Module):
    """Everything that random streams can break: dropout, noise in the loss, and running statistics."""

    event_shape, levels = (2,), None

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))

    def loss(self, x):
        return (self.net(x + 0.1 * torch.randn_like(x)) - x).square().sum(1)


class Plain(nn.Module):
    """The distance to one point, as deterministic as can be."""

    event_shape, levels = (2,), None

    def __init__(self, start=0.0):
        super().__init__()
        self.w = nn.Parameter(torch.full((2,), start))

    def loss(self, x):
        return (x - self.w).square().sum(1)


class Game(nn.Module):
    """A least-squares GAN of two linear maps, which notes who had gradients when."""

    event_shape, levels = (2,), None

    def __init__(self):
        super().__init__()
        self.critic, self.generator = nn.Linear(2, 1), nn.Linear(2, 2)
        self.calls = []

    @property
    def players(self):
        return {"critic": self.critic, "generator": self.generator.parameters()}

    def loss(self, x, player):
        self.calls.append((player, {n for n, p in self.named_parameters() if p.requires_grad}))
        fake = self.generator(torch.randn_like(x))
        if player == "critic":
            return (self.critic(x) - 1).square().sum(1) + self.critic(fake).square().sum(1)
        return (self.critic(fake) - 1).square().sum(1)


def points(n=200, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([1.0, 0.5]) + 2.0


def seeded(model, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model()


def equal_weights(a, b):
    return all(torch.equal(u, v) for u, v in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# What training computes


def test_equals_the_loop_one_would_write_by_hand():
    x, ours, bare = points(250), seeded(Noisy), seeded(Noisy)
    history = quiet(ours, x, epochs=5, batch_size=100, lr=1e-2, seed=7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        optimiser, means = torch.optim.Adam(bare.parameters(), lr=1e-2, fused=True), []
        for _ in range(5):
            losses = []
            for some in torch.randperm(250).split(100)[:2]:
                loss = bare.loss(x[some]).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
            means.append(sum(losses) / 2)
    assert history.train == means
    assert equal_weights(ours, bare)
    assert not ours.training and history.valid == [] and history.best_epoch is None and not history.interrupted


def test_the_caller_s_random_stream_goes_on_undisturbed():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    quiet(seeded(Noisy), points(), points(seed=1), epochs=2)
    assert torch.equal(torch.rand(2), expected)


def test_validation_and_on_epoch_do_not_change_the_training_stream():
    drawn = []
    alone = quiet(seeded(Noisy), points(), epochs=4)
    watched = quiet(
        seeded(Noisy), points(), points(30, seed=1), epochs=4, on_epoch=lambda *_: drawn.append(torch.rand(3).tolist())
    )
    assert alone.train == watched.train
    assert len(drawn) == 4 and all(d == drawn[0] for d in drawn)


def test_validation_is_the_mean_over_all_examples_whatever_the_batches():
    x, v = points(), points(70, seed=1)
    model, by_hand = Plain(), []
    history = quiet(model, x, v, epochs=3, batch_size=50, on_epoch=lambda m, h: by_hand.append(m.loss(v).mean().item()))
    assert history.valid == pytest.approx(by_hand, rel=1e-6)


def test_early_stopping_keeps_the_epoch_with_the_best_validation():
    target, weights = torch.full((200, 2), 10.0), []
    valid = torch.full((5, 2), 0.5)  # reached on the way to 10, then left behind
    model = Plain()
    history = quiet(
        *(model, target, valid),
        **dict(epochs=100, lr=0.05, patience=3, on_epoch=lambda m, h: weights.append(m.w.detach().clone())),
    )
    best = min(range(len(history.valid)), key=history.valid.__getitem__)
    assert history.best_epoch == best + 1 and len(history.valid) == len(history.train) == best + 1 + 3
    assert torch.equal(model.w, weights[best]) and abs(model.w[0] - 0.5) < 0.1


def test_averaging_is_the_exponential_moving_average():
    x, model, plain, d = points(), Plain(), Plain(), 0.9
    quiet(model, x, epochs=3, batch_size=40, lr=0.1, average=d)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        optimiser, ema = torch.optim.Adam(plain.parameters(), lr=0.1, fused=True), None
        for _ in range(3):
            for some in torch.randperm(200).split(40):
                optimiser.zero_grad()
                plain.loss(x[some]).mean().backward()
                optimiser.step()
                w = plain.w.detach().clone()
                ema = w if ema is None else d * ema + (1 - d) * w
    torch.testing.assert_close(model.w.detach(), ema)
    assert (plain.w - ema).abs().max() > 0.1


def rates(model, **arguments):
    """Train and return the learning rate of each step."""
    used, step = [], torch.optim.Adam.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", lambda self: (used.append(self.param_groups[0]["lr"]), step(self)))
        quiet(model, points(), batch_size=20, **arguments)
    return used


@pytest.mark.parametrize("length, total", [({"epochs": 10}, 100), ({"steps": 47}, 47)])
def test_the_cosine_is_that_of_pytorch_s_schedulers(length, total):
    assert rates(Plain(), lr=0.3, **length) == [0.3] * total
    optimiser, rising, expected = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3), total // 20, []
    parts = torch.optim.lr_scheduler
    line = parts.LinearLR(optimiser, 1 / rising, total_iters=rising - 1)
    scheduler = parts.SequentialLR(optimiser, [line, parts.CosineAnnealingLR(optimiser, total - rising)], [rising])
    for _ in range(total):
        expected += scheduler.get_last_lr()
        optimiser.step()
        scheduler.step()
    assert rates(Plain(), lr=0.3, schedule="cosine", average=0.9, **length) == pytest.approx(expected)


def test_the_cosine_of_a_few_steps_and_of_a_game():
    assert rates(Plain(), steps=1, lr=0.3, schedule="cosine") == [0.3]
    assert rates(Plain(), steps=3, lr=0.2, schedule="cosine") == pytest.approx([0.2, 0.2, 0.1])
    used = rates(seeded(Game), epochs=4, lr={"critic": 1.0, "generator": 2.0}, schedule="cosine")  # one for both
    shares = [0.5, 1.0] + [(1 + math.cos(math.pi * i / 38)) / 2 for i in range(38)]
    assert used == pytest.approx([share * (1 + i % 2) for i, share in enumerate(shares)])


def falling(step, total):
    return 1 - step / total


def test_a_schedule_of_one_s_own():
    assert rates(Plain(), lr=0.2, steps=4, schedule=falling) == pytest.approx([0.2, 0.15, 0.1, 0.05])
    for wrong in (-0.1, math.nan, "half"):
        with pytest.raises((ValueError, TypeError), match="the share of lr given by schedule"):
            quiet(Plain(), points(), schedule=lambda step, total, wrong=wrong: wrong)


def test_epsilon_is_adams():
    """The first step by hand, Kingma & Ba 2015, algorithm 1."""
    x, model = points(10), Plain().double()
    quiet(model, x, steps=1, lr=0.1, eps=0.5)
    g = -2 * x.double().mean(0)
    torch.testing.assert_close(model.w.detach(), -0.1 * g / (g.abs() + 0.5))


def test_betas_are_adams():
    """The first two steps by hand, Kingma & Ba 2015, algorithm 1."""
    x, betas, rate, slopes = points(10), (0.3, 0.6), 0.1, []

    class Recording(Plain):
        def loss(self, x):
            value = super().loss(x)
            slopes.append(torch.autograd.grad(value.mean(), list(self.parameters()), retain_graph=True))
            return value

    model = Recording().double()
    before = [p.detach().clone() for p in model.parameters()]
    quiet(model, x, epochs=2, batch_size=10, lr=rate, betas=betas)
    for p, w, g, h in zip(model.parameters(), before, *slopes):
        first = w - rate * g / (g.abs() + 1e-8)
        m, v = 0.7 * (0.3 * g + h) / (1 - 0.3**2), 0.4 * (0.6 * g**2 + h**2) / (1 - 0.6**2)
        torch.testing.assert_close(p.detach(), first - rate * m / (v.sqrt() + 1e-8))


def test_averaging_copies_what_is_no_weight():
    model, x = Noisy(), points()
    quiet(model, x, epochs=3, batch_size=40, average=0.9)
    assert model.net[1].num_batches_tracked == 15


def test_validation_sees_the_average():
    v, seen = points(50, seed=1), []
    history = quiet(Plain(), points(), v, epochs=3, lr=0.1, average=0.9, on_epoch=lambda m, h: seen.append(m.loss(v)))
    raw = quiet(Plain(), points(), v, epochs=3, lr=0.1)
    assert history.valid == pytest.approx([s.mean().item() for s in seen]) and history.valid[0] > raw.valid[0]
    assert history.train == raw.train


def test_steps_replace_epochs():
    assert len(quiet(Plain(), points(), batch_size=40, steps=12).train) == 3  # 5 + 5 + 2
    ours, longer = Plain(), Plain()
    quiet(ours, points(), batch_size=40, steps=5)
    quiet(longer, points(), batch_size=40, epochs=1)
    assert equal_weights(ours, longer)


def test_labels_are_passed_on_and_splits_are_taken_apart():
    x, y = points(), torch.arange(200)

    class Labelled(Plain):
        def loss(self, x, y=None):
            seen.append((x, y))
            return super().loss(x)

    seen = []
    quiet(Labelled(), (x, y), (x, y), epochs=1)
    assert len(seen) == 4 and all(torch.equal(a, x[b]) for a, b in seen)
    seen.clear()
    quiet(Labelled(), SimpleNamespace(x=x, y=y), epochs=1)
    assert all(b is None for _, b in seen)


def test_initialise_is_called_once_on_one_batch_and_not_again():
    class Lazy(Plain):
        initialised = False

        def initialise(self, x):
            calls.append(x)
            self.w.data = x.mean(0)
            self.initialised = True

    calls, model = [], Lazy()
    history = quiet(model, points(), epochs=1, batch_size=50)
    assert [len(c) for c in calls] == [50] and history.train[0] < 1.5
    quiet(model, points(), epochs=1)
    assert len(calls) == 1


def test_bf16_runs_in_bf16_and_keeps_float32_weights_and_losses():
    dtypes = set()

    class Half(Noisy):
        def loss(self, x):
            out = self.net[0](x)
            dtypes.add(out.dtype)
            return out.square().sum(1, dtype=out.dtype)

    model = seeded(Half)
    history = quiet(model, points(), points(seed=1), epochs=3, bf16=True)
    assert dtypes == {torch.bfloat16} and {p.dtype for p in model.parameters()} == {torch.float32}
    assert history.train[-1] < history.train[0]
    assert history.train[0] != torch.tensor(history.train[0], dtype=torch.bfloat16).item()


@pytest.mark.slow
def test_compiled_training_is_the_same_training(monkeypatch):
    compiled, with_backend = [], functools.partial(torch.compile, backend="eager")  # needs no C++ compiler
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or with_backend(function))
    a, b = seeded(Game), seeded(Game)
    assert quiet(a, points(), epochs=2, compile=True).train == quiet(b, points(), epochs=2).train
    assert compiled == [a.loss] and equal_weights(a, b)


# Games


def test_players_take_turns_and_the_others_are_frozen():
    model = seeded(Game)
    history = quiet(model, points(), epochs=2, batch_size=20, steps_per_player={"critic": 3})
    assert [p for p, _ in model.calls[:9]] == (["critic"] * 3 + ["generator"]) * 2 + ["critic"]
    for player, trained in model.calls:
        assert trained == {f"{player}.weight", f"{player}.bias"}
    assert all(p.requires_grad for p in model.parameters())
    assert [set(e) for e in history.train] == [{"critic", "generator"}] * 2


def test_a_game_trains_both_players_each_at_its_own_rate():
    model = seeded(Game)
    before = copy.deepcopy(model)
    quiet(model, points(), epochs=1, batch_size=100, lr={"critic": 1e-2, "generator": 1e-4})  # one step each
    change = {n: (p - q).abs() for (n, p), q in zip(model.named_parameters(), before.parameters())}
    assert 0.9e-2 < change["critic.weight"].max() < 1.1e-2  # Adam's first step has the size of the rate
    assert 0.9e-4 < change["generator.weight"].max() < 1.1e-4
    model = seeded(Game)
    quiet(model, points(1000), epochs=40, batch_size=50, lr=1e-2)
    mean = model.generator.bias.detach()  # of what it generates; the data's is 2; it circles there, as such games do
    assert (mean - 2).abs().max() < 1 < (before.generator.bias - 2).abs().min()


def test_weights_that_no_player_trains_are_refused():
    model = Game()
    model.forgotten = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"forgotten\.weight"):
        quiet(model, points())
    model.forgotten.requires_grad_(False)
    quiet(model, points(), epochs=1)
    assert not model.forgotten.weight.requires_grad


# Ends before the end


@pytest.mark.parametrize("where", ["on_epoch", "step", "validation"])
@pytest.mark.parametrize("average", [None, 0.5])
def test_interruption_returns_what_was_learned(where, average):
    class Stopped(Plain):
        def loss(self, x):
            if where == "step" and self.training and len(self.seen) == 3 and x[0, 0] != 0:
                raise KeyboardInterrupt
            if where == "validation" and len(self.seen) == 3 and len(x) == 7:
                raise KeyboardInterrupt
            return super().loss(x)

    def on_epoch(model, history):
        seen.append(model.w.detach().clone())
        if where == "on_epoch" and len(seen) == 3:
            raise KeyboardInterrupt

    Stopped.seen = seen = []
    model = Stopped()
    history = quiet(model, points(), points(7, seed=1), epochs=50, lr=0.1, average=average, on_epoch=on_epoch)
    assert history.interrupted and history.seconds > 0
    assert len(history.train) == len(history.valid) == len(seen) == 3
    assert torch.equal(model.w, seen[history.best_epoch - 1]) and model.w.requires_grad and not model.training


def test_interruption_before_the_first_step_changes_nothing(capsys):
    class Stopped(Plain):
        def initialise(self, x):
            raise KeyboardInterrupt

    model = Stopped()
    history = fit(model, points(), device="cpu")
    assert history.interrupted and history.train == [] and torch.equal(model.w, torch.zeros(2))
    assert capsys.readouterr().err == "training interrupted after 0 epochs\n"


@pytest.mark.parametrize("at", [2, 13])
def test_a_loss_that_is_not_finite_stops_with_where_and_what_to_check(at, tmp_path):
    class Bad(Plain):
        steps = 0

        def loss(self, x):
            self.steps += 1
            return super().loss(x) / (0 if self.steps == at else 1)

    with pytest.raises(FloatingPointError, match=rf"inf in epoch {1 + at // 10} at step {at % 10}: .*rate"):
        quiet(Bad(), points(), batch_size=20, epochs=3, checkpoint=tmp_path / "run")
    assert (tmp_path / "run").exists() == (at > 10)
    with pytest.raises(FloatingPointError, match="nan in epoch 1 on the validation data"):
        Bad.loss = lambda self, x: Plain.loss(self, x) * (1 if self.training else math.nan)
        quiet(Bad(), points(), points(), epochs=1)


def test_a_loss_that_is_not_finite_names_the_player():
    class Bad(Game):
        def loss(self, x, player):
            return super().loss(x, player) * (math.nan if player == "generator" else 1)

    with pytest.raises(FloatingPointError, match="nan in epoch 1 at step 2 by player 'generator'"):
        quiet(Bad(), points(), epochs=1)


@pytest.mark.parametrize("loss", [lambda x: x.mean(), lambda x: x, lambda x: 1.0])
def test_a_loss_that_is_not_one_number_per_example_is_refused(loss):
    model = Plain()
    model.loss = loss
    with pytest.raises(ValueError, match="one loss per example, shape"):
        quiet(model, points())


# Checkpoints


def options(kind, **more):
    """Return the model and the arguments of a run that uses all the state there is."""
    if kind == "game":
        game = dict(train=points(), batch_size=10, epochs=30, lr=1e-2, steps_per_player={"critic": 2})
        return seeded(Game), game | more
    both = dict(train=points(), valid=points(40, seed=1), batch_size=10, epochs=30, lr=1e-2, average=0.95)
    return seeded(Noisy), both | more


@pytest.mark.parametrize("kind", ["one", "game"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_resume_after_an_interruption_is_exact(kind, schedule, tmp_path):
    whole, arguments = options(kind, epochs=8, schedule=schedule)
    expected = quiet(whole, **arguments)

    def stop(model, history):
        if len(history.train) == 3:
            raise KeyboardInterrupt

    path = tmp_path / "new folder" / "run.safetensors"
    quiet(options(kind)[0], **arguments, checkpoint=path, on_epoch=stop)
    resumed = seeded(type(whole), seed=99)
    history = quiet(resumed, **arguments, checkpoint=path)
    assert history.train == expected.train and history.valid == expected.valid
    assert history.best_epoch == expected.best_epoch and equal_weights(resumed, whole)
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.safetensors"]
    again = quiet(seeded(type(whole), seed=99), **arguments, checkpoint=path)  # nothing is left to do
    assert again.train == history.train and again.best_epoch == history.best_epoch
    if schedule == "cosine":  # the learning rates of all steps would be others
        with pytest.raises(ValueError, match="belongs to another run: steps differ"):
            quiet(seeded(type(whole)), **arguments | {"epochs": 10}, checkpoint=path)
        return
    longer = quiet(seeded(type(whole), seed=99), **arguments | {"epochs": 10}, checkpoint=path)
    assert longer.train == quiet(options(kind)[0], **arguments | {"epochs": 10}).train


def test_early_stopping_survives_a_resume(tmp_path):
    arguments = dict(train=torch.full((200, 2), 10.0), valid=torch.full((5, 2), 0.5), epochs=100, lr=0.05)
    quiet(Plain(), **arguments | {"epochs": 6}, checkpoint=tmp_path / "run")
    resumed, whole = Plain(), Plain()
    a = quiet(resumed, **arguments, patience=3, checkpoint=tmp_path / "run")
    b = quiet(whole, **arguments, patience=3)
    assert (a.valid, a.best_epoch) == (b.valid, b.best_epoch) and equal_weights(resumed, whole)


def test_initialise_is_not_called_on_resume(tmp_path):
    class Lazy(Plain):
        def initialise(self, x):
            calls.append(len(x))

    calls = []
    for epochs in (1, 2):
        quiet(Lazy(), points(), epochs=epochs, checkpoint=tmp_path / "run")
    assert calls == [100]


@pytest.mark.parametrize(
    "change, named",
    [
        (dict(train=points(seed=5)), "train"),
        (dict(train=(points(), torch.zeros(200))), "train"),
        (dict(valid=points(41)), "valid"),
        (dict(lr=1e-3), "lr"),
        (dict(batch_size=20), "batch_size"),
        (dict(average=None), "average"),
        (dict(betas=(0.5, 0.999)), "betas"),
        (dict(eps=1e-6), "eps"),
        (dict(seed=1), "seed"),
        (dict(bf16=True), "bf16"),
        (dict(schedule="cosine"), "steps, schedule"),
        (dict(schedule=falling), "steps, schedule"),
        (dict(schedule=functools.partial(falling)), "steps, schedule"),
        (dict(steps=100), "steps"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_left_alone(change, named, tmp_path):
    path = tmp_path / "run"
    model, arguments = options("one", epochs=1)
    quiet(model, **arguments, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"belongs to another run: {named} differ"):
        quiet(options("one")[0], **arguments | change, checkpoint=path)
    assert path.read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "run"
    model, arguments = options("one", epochs=1)
    quiet(model, **arguments, checkpoint=path)
    before, wider, softer = path.read_bytes(), seeded(Noisy), seeded(Noisy)
    wider.net[4] = nn.Linear(8, 2, bias=False)
    softer.net[3] = nn.Dropout(0.3)
    for other in (wider, softer):
        with pytest.raises(ValueError, match="belongs to another run: model differ"):
            quiet(other, **arguments, checkpoint=path)
        assert other.training
    assert path.read_bytes() == before


def test_a_damaged_checkpoint_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "run"
    model, arguments = options("one", epochs=1)
    quiet(model, **arguments, checkpoint=path)
    whole, chance = path.read_bytes(), random.Random(0)
    damaged = [b"", b"not a checkpoint", whole[: len(whole) // 2], whole[:-1]]
    for _ in range(40):
        place = chance.randrange(len(whole))
        damaged.append(whole[:place] + bytes([whole[place] ^ (1 << chance.randrange(8))]) + whole[place + 1 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"checkpoint .* is damaged"):
            quiet(options("one")[0], **arguments, checkpoint=path)
        assert path.read_bytes() == content
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is damaged or not one of fit's"):
        quiet(options("one")[0], **arguments, checkpoint=path)


def test_a_checkpoint_is_plain_safetensors_and_json(tmp_path):
    model, arguments = options("one", epochs=2)
    quiet(model, **arguments, checkpoint=tmp_path / "run")
    tensors = load_file(tmp_path / "run")
    assert torch.equal(tensors["best: net.4.bias"], model.net[4].bias)
    assert torch.equal(tensors["adam None: net.4.bias step"], torch.tensor(40.0))


class FullDisk:
    """A file on a disk that is full after half of what is written."""

    def __init__(self, path, mode):
        self.file = open(path, mode)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_the_previous_checkpoint_and_says_so(tmp_path, monkeypatch):
    path = tmp_path / "run"
    model, arguments = options("one")
    expected = quiet(options("one")[0], **arguments | {"epochs": 6})
    quiet(model, **arguments | {"epochs": 3}, checkpoint=path)
    before = path.read_bytes()
    monkeypatch.setattr(dgmlite.checkpoint, "open", FullDisk, raising=False)
    with pytest.raises(OSError, match="No space left on device: the checkpoint was not written") as caught:
        quiet(options("one")[0], **arguments | {"epochs": 6}, checkpoint=path)
    assert caught.value.errno == errno.ENOSPC and str(path) in str(caught.value)
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["run"]
    if os.path.exists("/dev/full"):  # the same with the real error
        os.symlink("/dev/full", tmp_path / "run.tmp")
        with pytest.raises(OSError, match="No space left on device"):
            quiet(options("one")[0], **arguments | {"epochs": 6}, checkpoint=path)
        assert path.read_bytes() == before
    assert quiet(options("one")[0], **arguments | {"epochs": 6}, checkpoint=path).train == expected.train


class SlowFile(FullDisk):
    """A file that takes some 30 ms to write."""

    def write(self, content):
        for part in range(0, len(content), len(content) // 10):
            self.file.write(content[part : part + len(content) // 10])
            self.file.flush()
            time.sleep(0.003)

    def flush(self):
        self.file.flush()

    def fileno(self):
        return self.file.fileno()


def run_in_a_child(kind, checkpoint, result, slow=False):
    """Fork, train to the end in the child, and let it write the losses; return the child's process id."""
    if child := os.fork():
        return child
    try:
        torch.set_num_threads(1)
        if slow:
            dgmlite.checkpoint.open = SlowFile
        model, arguments = options(kind)
        history = quiet(model, **arguments, checkpoint=checkpoint)
        weights = [tensor.tolist() for tensor in model.state_dict().values()]
        result.write_text(json.dumps([history.train, history.valid, history.best_epoch, weights]))
        os._exit(0)
    finally:
        os._exit(1)


def kill_many_times(folder, kind, kills, seed):
    """Kill runs at random times until there were `kills`, resume each; return how many kills fell into a writing."""
    folder, chance = Path(folder), random.Random(seed)
    checkpoint, unfinished, result = folder / f"{kind}.run", folder / f"{kind}.run.tmp", folder / f"{kind}.json"
    assert os.waitpid(run_in_a_child(kind, None, result), 0)[1] == 0
    expected, during_write, done = result.read_text(), 0, 0
    while done < kills:
        result.unlink(missing_ok=True)
        slow = done % 2 == 1
        child = run_in_a_child(kind, checkpoint, result, slow)
        if slow:
            time.sleep(chance.uniform(0, 0.2))
            while not unfinished.exists() and not result.exists():
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.03))
        else:
            time.sleep(chance.uniform(0, 0.3))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if os.WIFSIGNALED(status):
            done += 1
            during_write += unfinished.exists()
        else:
            assert status == 0 and result.read_text() == expected
            checkpoint.unlink()
    assert os.waitpid(run_in_a_child(kind, checkpoint, result), 0)[1] == 0
    assert result.read_text() == expected, f"{kind}: resumed losses differ"
    return during_write


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("kind", ["one", "game"])
def test_killed_at_random_times_and_resumed_the_losses_are_the_same_to_the_last_bit(kind, tmp_path):
    script = "import sys, test_training as t; print(t.kill_many_times(sys.argv[1], sys.argv[2], 10, 0))"
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, kind],
        env=os.environ | {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parents[1]}"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3, "too few of the kills fell into the writing of a checkpoint"


# What one sees


class Recorder:
    shown = None

    def __init__(self):
        Recorder.shown = []

    def update(self, text):
        self.shown.append(text)

    close = update


def test_progress_shows_loss_validation_and_speed_and_ends_without_timing(monkeypatch):
    monkeypatch.setattr(training, "Live", Recorder)
    monkeypatch.setattr(training.time, "perf_counter", iter(range(10**6)).__next__)  # a second a step
    history = fit(Plain(), points(), points(seed=1), epochs=3, device="cpu")
    *running, last = Recorder.shown
    line = r"training epoch \d: loss [\d.]+(, valid [\d.]+)?, [\d.]+ steps/s"
    assert all(re.fullmatch(line, text) for text in running)
    assert "valid" in running[-1]
    expected = f"training finished: 3 epochs, loss {history.train[-1]:.5g}"
    assert last == f"{expected}, best validation {min(history.valid):.5g} in epoch {history.best_epoch}"
    fit(seeded(Game), points(), epochs=1, device="cpu")
    assert re.fullmatch(r"training epoch 1: critic [\d.]+, generator [\d.]+, [\d.]+ steps/s", Recorder.shown[-2])


def test_progress_is_shown_five_times_a_second_at_most(monkeypatch):
    monkeypatch.setattr(training, "Live", Recorder)
    start = time.perf_counter()
    fit(Plain(), points(2000), batch_size=1, epochs=1, device="cpu")
    assert len(Recorder.shown) <= (time.perf_counter() - start) * 5 + 2


def test_no_progress_prints_nothing_and_progress_one_line(capsys):
    quiet(Plain(), points(), epochs=2)
    assert capsys.readouterr() == ("", "")
    fit(Plain(), points(), epochs=2, device="cpu")
    out, err = capsys.readouterr()
    assert out == "" and re.fullmatch(r"training finished: 2 epochs, loss [\d.]+\n", err)


# Doors


x = points(20)
integers = st.one_of(st.integers(max_value=0), st.floats(), st.text(), st.booleans(), st.just([]))
unreal = st.one_of(st.floats(max_value=-1e-9), st.sampled_from([math.inf, math.nan, []]), st.text(), st.booleans())
tensors = st.sampled_from(
    [None, 3, "x", [1.0], x.numpy(), torch.tensor(1.0), x[:0], x[0], x[:, :1], x.long(), x * math.nan, x / 0]
    + [(), (x,) * 3, (x, x[:3]), (x, None), (x, x * math.nan), SimpleNamespace(x=3), SimpleNamespace(x=x[0])]
)
bad = {
    "model": st.sampled_from([None, 3, "model", nn.Linear(2, 2), Plain, torch.zeros(2)]),
    "train": tensors,
    "valid": tensors.filter(lambda value: value is not None),
    "epochs": integers,
    "steps": integers.filter(lambda value: value is not None),
    "batch_size": integers,
    "lr": st.one_of(unreal, st.dictionaries(st.text(), st.floats())),
    "schedule": st.one_of(st.text(), st.sampled_from([None, 1, 0.5, [], "Cosine", "linear"])),
    "patience": st.one_of(integers, st.integers()),  # without valid
    "average": st.one_of(unreal, st.floats(min_value=1)),
    "eps": st.one_of(unreal, st.just(0)),
    "betas": st.one_of(unreal, st.floats(), st.tuples(st.floats(min_value=1), st.just(0.9)), st.just((0.9,))),
    "steps_per_player": st.one_of(st.dictionaries(st.text(), st.integers(), min_size=1), st.integers(max_value=-1)),
    "device": st.sampled_from(["", "gpu", "cuda:99", "meta", 99, -1, [], 1.5]),
    "checkpoint": st.sampled_from([3, "/", [], 1.5]),
    "seed": st.one_of(st.integers(max_value=-1), st.integers(min_value=2**63), st.floats(), st.text()),
    "on_epoch": st.sampled_from([3, "print", [1]]),
}


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(bad)).flatmap(lambda name: st.tuples(st.just(name), bad[name])))
@example(("lr", 1e400))
def test_bad_input_is_refused_at_the_door(named):
    name, value = named
    model = Plain()
    arguments = {"model": model, "train": x, "epochs": 1, "progress": False, "device": "cpu"} | {name: value}
    with pytest.raises((ValueError, TypeError)) as caught:
        fit(**arguments)
    where = traceback.extract_tb(caught.value.__traceback__)[-1].filename
    assert Path(where).parent.name == "dgmlite" or name == "checkpoint", where
    assert len(str(caught.value)) > 30
    assert torch.equal(model.w, torch.zeros(2)) and model.training


def test_bad_input_to_a_game_is_refused():
    for arguments, sentence in (
        (dict(lr={"critic": 1e-3}), "the players are critic, generator"),
        (dict(lr={"critic": 1e-3, "generator": 1e-3, "judge": 1e-3}), "the players are critic, generator"),
        (dict(steps_per_player={"judge": 1}), "the players are critic, generator"),
        (dict(steps_per_player={"critic": 0}), "steps_per_player must be at least 1"),
        (dict(valid=points()), "a game has no one loss"),
        (dict(batch_size=100, steps_per_player={"critic": 5}), "a round takes 6 batches, train has 2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            quiet(Game(), points(), **arguments)


def test_a_model_without_anything_to_train_is_refused():
    with pytest.raises(ValueError, match="nothing to train"):
        quiet(Plain().requires_grad_(False), points())
