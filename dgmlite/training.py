"""The training loop: one function, for models with a loss and for games between players."""

import contextlib
import copy
import functools
import itertools
import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import torch
import torch._dynamo  # the first optimiser would import it, for seconds, and an interruption then would leave it broken
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from dgmlite import checks, parallel
from dgmlite.checkpoint import Checkpoint
from dgmlite.networks import seeded
from dgmlite.plotting import Live


@dataclass
class History:
    """What happened in training: `train` and `valid` hold one mean loss an epoch, in the loss's unit (nats).

    For a game the entries of `train` are dicts, player → mean loss. `best_epoch`, counted from 1, has the smallest
    validation loss, and is None without validation. `seconds` includes the runs that a checkpoint continued.
    """

    train: list[float] | list[dict[str, float]] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    best_epoch: int | None = None
    seconds: float = 0.0
    interrupted: bool = False


def fit(
    model: nn.Module,
    train,
    valid=None,
    *,
    epochs: int = 100,
    steps: int | None = None,
    batch_size: int = 100,
    lr: float | dict[str, float] = 1e-3,
    schedule: str | Callable[[int, int], float] = "constant",
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    patience: int | None = None,
    average: float | None = None,
    steps_per_player: dict[str, int] | None = None,
    device: str | torch.device | None = None,
    bf16: bool = False,
    compile: bool = False,
    checkpoint: str | os.PathLike | None = None,
    seed: int = 0,
    progress: bool = True,
    on_epoch: Callable[[nn.Module, History], object] | None = None,
) -> History:
    """Minimise the mean of `model.loss(x)`, shape (B,), over the training data by Adam (Kingma & Ba 2015, alg. 1).

    `train` and `valid` are a tensor x, a tuple (x, y) (then `y=y` goes to the loss too), or an object with a tensor
    `.x`. Each epoch visits them in a new random order, in whole batches: the N mod batch_size examples left out are
    others each time. `steps`, the number of optimiser steps in all, replaces `epochs`.

    - valid: the epoch with the smallest loss on it, measured with the same noise each time, gives the final weights;
      training stops after `patience` epochs without improvement.
    - schedule: "constant", or "cosine": the learning rate rises in a straight line to `lr` over the first twentieth of
      the steps and falls along half a cosine to 0 at the end (Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5). Or
      a function share(step, total) ≥ 0, by which `lr` is multiplied at step 0 … total − 1; a checkpoint knows its name.
      The number of steps is then part of the run, and a checkpoint is continued with the same one only.
    - betas: Adam's, how much of the mean slope and of the mean square stays in each step. In a game the slopes turn,
      and a long memory of them leads astray: 0 to 0.5 is usual for the first (Radford et al. 2016, arXiv:1511.06434).
    - eps: Adam's ε, in the slope's unit: weights whose slopes stay well below it hardly move.
    - average: the decay d of w̄ ← d·w̄ + (1 − d)·w after each step; validation and the final weights then use w̄.
    - A game is a model with `players` (name → parameters or module) and `loss(x, player)`. The players take turns of
      `steps_per_player[name]` steps (1), each on the next batch, the weights of the others frozen; `lr` may be a dict.
    - device: if not given, the accelerator of this machine, else the CPU; the model returns to where it was.
    - checkpoint: a file, replaced as a whole after each epoch. If it exists, training continues from it with the same
      losses to the last bit (same machine, versions and threads); `epochs` and `patience` may have changed.
    - on_epoch(model, history) sees the weights that validation saw and the same random seed each time; drawing from
      the model there does not change how training goes on.

    Started by `torchrun`, within `dgmlite.parallel.start()`, the processes train together: each takes its share of
    every batch, with noise of its own, and all hold the same weights and history, but for `seconds`. Each must be given
    the same arguments and data, and see the same checkpoint, which holds for this number of processes. `batch_size`
    is that of all together, and a multiple of their number. Without noise the result is that of one process, to
    rounding, unless a layer mixes the examples of a batch: it sees its share only. Every weight must matter for its
    player's loss. Process 0 alone shows progress, writes the checkpoint and calls `on_epoch`, which must not wait for
    the others: they wait for it. Ctrl-C ends them all.

    `model.initialise(x)` is called first, on one batch, unless `model.initialised` is true or a checkpoint continues.
    The model ends in eval mode. Ctrl-C ends training early. Raises ValueError or TypeError for arguments, data or a
    checkpoint that do not fit, FloatingPointError for a loss that is not finite, OSError for a full disk.

    >>> class Line(nn.Linear):
    ...     def loss(self, x):
    ...         return (self(x[:, :1]) - x[:, 1:]).square().sum(1)
    >>> x = torch.linspace(-1, 1, 100)[:, None]
    >>> history = fit(line := Line(1, 1), torch.cat((x, 2 * x), 1), epochs=200, lr=0.1, progress=False)
    >>> round(line.weight.item(), 3)
    2.0
    """
    players = _players(model)
    rates = _per_player("lr", lr, players, lambda name, value: checks.finite_number(name, value, 0))
    counts = _per_player("steps_per_player", steps_per_player or {}, players, checks.positive_int, default=1)
    turns = [player for player in players for _ in range(counts[player])]
    data = _data("train", train, model)
    held_out = [] if valid is None else _data("valid", valid, model)
    batch_size = min(checks.positive_int("batch_size", batch_size), len(data[0]))
    per_epoch = len(data[0]) // batch_size
    total = per_epoch * checks.positive_int("epochs", epochs) if steps is None else checks.positive_int("steps", steps)
    patience = math.inf if patience is None else checks.positive_int("patience", patience)
    if not isinstance(betas, Sequence) or len(betas) != 2:
        raise TypeError(f"betas must be a pair of numbers from 0 to less than 1, got {betas!r}")
    betas = [checks.finite_number("each of betas", beta, 0, 1) for beta in betas]
    eps = checks.finite_number("eps", eps, 0)
    average = checks.finite_number("average", 0 if average is None else average, 0, 1)
    seed = checks.positive_int("seed", seed, 0)
    device, home, processes = _device(device), next(model.parameters()).device, parallel.size()
    share = _PACES.get(schedule) if isinstance(schedule, str) else schedule
    paces = f"{', '.join(map(repr, _PACES))} or a function of (step, total)"
    for wrong, sentence in (
        (not callable(share), f"schedule must be {paces}, got {schedule!r}"),
        (seed >= 2**63, f"seed must be less than 2**63, got {seed}"),
        (on_epoch and not callable(on_epoch), f"on_epoch must be a function of (model, history), got {on_epoch!r}"),
        (1 in betas, f"each of betas must be less than 1, or the first slope stays for ever, got {betas}"),
        (eps == 0, "eps must be more than 0, or a slope of 0 moves a weight by 0/0"),
        (average == 1, "average must be less than 1, or the first weights stay for ever; 0.99 to 0.9999 is usual"),
        (patience < math.inf and not held_out, "patience counts epochs by validation: pass valid as well"),
        (held_out and None not in players, "a game has no one loss by which valid could choose: leave valid out"),
        (len(turns) > per_epoch, f"a round takes {len(turns)} batches, train has {per_epoch}: lower batch_size"),
        (batch_size % processes, f"batch_size, here {batch_size}, must be a multiple of the {processes} processes"),
    ):
        if wrong:
            raise ValueError(sentence)
    file = saved = None
    if checkpoint is not None:
        fixed = total if steps or schedule != "constant" else None  # else more epochs may follow
        settings = {"batch_size": batch_size, "steps": fixed, "lr": list(rates.values()), "turns": turns}
        kind = schedule if hasattr(schedule, "__qualname__") else type(schedule)  # of a functools.partial
        name = schedule if isinstance(schedule, str) else f"{kind.__module__}.{kind.__qualname__}"
        settings |= {"schedule": name, "betas": betas, "average": average, "seed": seed}
        settings |= {"device": device.type, "bf16": bool(bf16), "compile": bool(compile)}
        settings |= {"eps": None if eps == 1e-8 else eps, "processes": None if processes == 1 else processes}
        file = Checkpoint(checkpoint, settings, model, data, held_out)
        saved = file.read()
    sizes = {"train": len(data[0]), "valid": len(held_out and held_out[0]), "steps": total}
    told = parallel.gathered(sizes | {"checkpoint": saved[1]["step"] if saved else 0})
    if any(sizes != told[0] for sizes in told):  # one would wait for the other for ever
        raise ValueError(f"all processes must be given the same data, arguments and checkpoint, got {told}")

    cast = torch.autocast(device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
    live, state = Live() if progress and parallel.rank() == 0 else None, None
    history, began = History(), time.perf_counter()
    try:
        with seeded(parallel.own(seed), device) as generators:
            model.to(device)
            data, held_out = ([tensor.to(device) for tensor in tensors] for tensors in (data, held_out))
            if not saved and hasattr(model, "initialise") and not getattr(model, "initialised", False):
                some = parallel.same(torch.randperm(len(data[0])).to(device))[:batch_size]
                _call(model.initialise, [tensor[some] for tensor in data])
            loss_of = _losses(model, players, torch.compile(model.loss) if compile else model.loss)
            pace = functools.partial(_share, share, total)
            state = _State(model, players, rates, pace, betas, eps, average, generators)
            if saved:
                state.load(*saved)
            history, began = state.history, began - state.history.seconds
            while state.step < total and len(history.valid) - (history.best_epoch or 0) < patience:
                length = min(per_epoch, total - state.step)
                batches = parallel.same(torch.randperm(len(data[0])).to(device)).split(batch_size)
                order = [turns[(state.step + i) % len(turns)] for i in range(length)]
                train_loss, valid_loss = _epoch(state, loss_of, data, batches, order, cast, live), None
                state.unite()
                if held_out:
                    with seeded(parallel.own(seed), device):
                        valid_loss = _validate(state.kept, held_out, batch_size, cast, history)
                state.close_epoch(length, train_loss, valid_loss)
                history.seconds = time.perf_counter() - began
                if file:
                    parallel.first_alone(file.write, *state.save())
                if on_epoch:
                    with seeded(seed, device):
                        parallel.first_alone(on_epoch, state.kept.eval(), history)
    except KeyboardInterrupt:
        if processes > 1:  # it reaches the processes at different steps
            raise
        history.interrupted = True
    finally:
        _free(None, players)
        model.to(home).eval()
    if state:
        model.load_state_dict(state.best or state.kept.state_dict())
    history.seconds = time.perf_counter() - began
    if live:
        live.close(_result(history))
    return history


def _epoch(state, loss_of, data, batches, order, cast, live):
    """Let the players in `order` take a step each on one of the batches (indices); return the mean loss, by player."""
    state.model.train()
    losses = torch.zeros(len(order), device=data[0].device)  # read rarely: each reading waits for the device
    began, shown = time.perf_counter(), 0.0
    for i, (player, some) in enumerate(zip(order, batches)):
        if player is not None:
            _free(player, state.players)
        mine = parallel.share(some)
        loss = _loss(loss_of[player], [tensor[mine] for tensor in data], player, cast).mean()
        optimiser = state.optimisers[player]
        optimiser.param_groups[0]["lr"] = state.rates[player] * state.pace(state.step + i)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        state.follow(state.step + i)
        losses[i] = loss.detach()
        now = time.perf_counter()
        due = now - shown > 0.2 if parallel.size() == 1 else i % 100 == 0  # all processes at one time
        if due:
            shown, mean = now, _mean(losses[: i + 1], order, state.history)
            if live:
                live.update(_progress(mean, state.history, (i + 1) / (now - began)))
    return _mean(losses, order, state.history)


def _cosine(step, total):
    """Return the share of the learning rate that step 0 … total−1 takes."""
    rising = max(total // 20, 1)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2


_PACES = {"constant": lambda step, total: 1.0, "cosine": _cosine}


def _share(function, total, step):
    return checks.finite_number("the share of lr given by schedule", function(step, total), 0)


def _losses(model, players, function):
    """Return player → the loss, in whose slopes all processes share."""
    losses = {}
    for player in players:
        _free(player, players)
        losses[player] = parallel.averaging(model, function)
    _free(None, players)
    return losses


def _loss(function, batch, player, cast):
    """Return the loss of each example, (B,), at least in float32."""
    with cast:
        loss = _call(function, batch, player)
    if getattr(loss, "shape", None) != batch[0].shape[:1]:
        raise ValueError(
            f"model.loss must return one loss per example, shape ({len(batch[0])},), got "
            f"{tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__}: sum over the dimensions of the "
            "event, and leave the mean over the batch to fit"
        )
    return loss.float() if loss.dtype == torch.bfloat16 else loss


def _call(function, batch, player=None):
    x, *y = batch
    return function(*([x] if player is None else [x, player]), **({"y": y[0]} if y else {}))


def _free(player, players):
    """Let this player's weights be trained and freeze the others'; None frees all."""
    for parameters in players.values():
        for parameter in parameters:
            parameter.requires_grad_(player is None)
    for parameter in players.get(player, ()):
        parameter.requires_grad_(True)


@torch.no_grad()
def _validate(model, data, batch_size, cast, history):
    model.eval()
    parts = (tensor.split(batch_size // parallel.size())[parallel.rank() :: parallel.size()] for tensor in data)
    total = sum(_loss(model.loss, batch, None, cast).sum().item() for batch in zip(*parts))
    return _finite(sum(parallel.gathered(total)) / len(data[0]), history, "on the validation data")


def _mean(losses, order, history):
    """Return the mean of the losses so far, for a game of each player; all must be finite."""
    by_player = defaultdict(list)
    for i, (player, loss) in enumerate(zip(order, parallel.mean(losses.tolist()))):
        _finite(loss, history, f"at step {i + 1}" + ("" if player is None else f" by player {player!r}"))
        by_player[player].append(loss)
    means = {player: statistics.fmean(values) for player, values in by_player.items()}
    return means.get(None, means)


def _finite(loss, history, where):
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss became {loss} in epoch {len(history.train) + 1} {where}: look for a learning rate that is too "
            "large, extreme values in the data, and log(0), 0/0 or exp of a large number in model.loss"
        )
    return loss


def _progress(loss, history, speed):
    valid = f", valid {history.valid[-1]:.5g}" if history.valid else ""
    return f"training epoch {len(history.train) + 1}: {_show(loss)}{valid}, {speed:.3g} steps/s"


def _result(history):
    """Return the line that stays; no timing."""
    end = "interrupted after" if history.interrupted else "finished:"
    last = f", {_show(history.train[-1])}" if history.train else ""
    best = f", best validation {min(history.valid):.5g} in epoch {history.best_epoch}" if history.valid else ""
    return f"training {end} {len(history.train)} epochs{last}{best}"


def _show(loss):
    return ", ".join(f"{k} {v:.5g}" for k, v in loss.items()) if isinstance(loss, dict) else f"loss {loss:.5g}"


def _players(model):
    """Return name → parameters; a model that is no game is one of a single player, None."""
    if not isinstance(model, nn.Module) or not callable(getattr(model, "loss", None)):
        raise TypeError(f"model must be a torch.nn.Module with a method loss(x), got {type(model).__name__}")
    players = getattr(model, "players", {None: model})
    players = {k: list(v.parameters() if isinstance(v, nn.Module) else v) for k, v in players.items()}
    players = {k: [p for p in v if p.requires_grad] for k, v in players.items()}
    if not players or not all(players.values()):
        raise ValueError(f"{type(model).__name__} has nothing to train: no parameters (of some player) need gradients")
    owned = {id(p) for v in players.values() for p in v}
    if idle := [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in owned]:
        raise ValueError(f"no player trains {', '.join(idle)}: add to model.players or freeze them")
    return players


def _per_player(name, value, players, check, default=None):
    """Return player → checked value, from one value for all or a dict by player."""
    values = dict.fromkeys(players, default) | value if isinstance(value, dict) else dict.fromkeys(players, value)
    if len(values) > len(players) or None in values.values():
        known = "this model has no players" if None in players else f"the players are {', '.join(players)}"
        raise ValueError(f"{name} must be a number or a dict by player ({known}), got {value!r}")
    return {player: check(name, each) for player, each in values.items()}


def _data(name, given, model):
    """Return [x] or [x, y], or say what was wrong."""
    data = list(given) if isinstance(given, tuple) else [getattr(given, "x", given)]
    if not 1 <= len(data) <= 2 or not all(isinstance(tensor, Tensor) and tensor.dim() for tensor in data):
        kinds = ", ".join(type(tensor).__name__ for tensor in data)
        raise TypeError(f"{name} must be a tensor x, a tuple of tensors (x, y) or have a tensor .x, got {kinds}")
    if len({len(tensor) for tensor in data}) > 1 or len(data[0]) == 0:
        sizes = " and ".join(str(len(tensor)) for tensor in data)
        raise ValueError(f"{name} must hold at least one example, and a y for each x; got {sizes}")
    if hasattr(model, "event_shape"):
        checks.data(data[0], model.event_shape, model.levels, name)
    if not all(torch.isfinite(tensor).all() for tensor in data):
        raise ValueError(f"{name} contains NaN or infinity; look for a division by zero or log of zero upstream")
    return data


def _device(device):
    """Return the device asked for, or by default the accelerator of this machine, else the CPU."""
    if device is None and parallel.size() > 1:
        device = parallel.device()
    elif device is None:
        device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    try:
        probe = torch.zeros(1, device=device)
        probe.item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {device!r} cannot be used ({reason}); leave it out to use what there is") from error
    return probe.device


class _State:
    """What a checkpoint must hold for training to continue exactly: `save` gives it, `load` takes it back."""

    def __init__(self, model, players, rates, pace, betas, eps, average, generators):
        self.model, self.players, self.rates, self.pace, self.generators = model, players, rates, pace, generators
        settings = {"betas": betas, "eps": eps, "fused": True}
        self.optimisers = {k: torch.optim.Adam(players[k], lr=rates[k], **settings) for k in players}
        self.kept = copy.deepcopy(model) if average else model  # whose weights are validated, shown and returned
        self.weights = [list(each.parameters()) for each in (self.kept, model)]
        self.average = average
        self.history, self.best, self.step = History(), {}, 0

    def follow(self, step):
        """Move the averaged weights towards the model's, which they take over after step 0; copy its buffers."""
        if self.average:
            get_ema_multi_avg_fn(self.average if step else 0.0)(*self.weights, None)
            for kept, now in zip(self.kept.buffers(), self.model.buffers()):
                kept.copy_(now)

    def unite(self):
        """Give all processes the buffers of the first, since each has seen other examples."""
        for buffer in (*self.model.buffers(), *self.kept.buffers()):
            parallel.same(buffer)

    def close_epoch(self, steps, train_loss, valid_loss):
        if valid_loss is not None:
            if valid_loss < min(self.history.valid, default=math.inf):
                self.best = {k: tensor.clone() for k, tensor in self.kept.state_dict().items()}
                self.history.best_epoch = len(self.history.valid) + 1
            self.history.valid.append(valid_loss)
        self.history.train.append(train_loss)
        self.step += steps

    def save(self):
        parts = {"model": self.model.state_dict(), "best": self.best}
        everywhere = parallel.gathered([generator.get_state() for generator in self.generators])
        parts["random"] = {str(i): random for i, random in enumerate(itertools.chain(*everywhere))}
        parts["averaged"] = self.kept.state_dict() if self.average else {}
        for player, optimiser in self.optimisers.items():
            moments = [(name, optimiser.state.get(p, {})) for name, p in self.model.named_parameters()]
            parts[f"adam {player}"] = {f"{name} {k}": tensor for name, m in moments for k, tensor in m.items()}
        return parts, {"step": self.step, "history": asdict(self.history)}

    def load(self, parts, scalars):
        self.model.load_state_dict(parts["model"])
        if self.average:
            self.kept.load_state_dict(parts["averaged"])
        parameters = dict(self.model.named_parameters())
        for player, optimiser in self.optimisers.items():
            for key, tensor in parts[f"adam {player}"].items():
                name, k = key.rsplit(" ", 1)
                optimiser.state[parameters[name]][k] = tensor.to(parameters[name].device)
        for i, generator in enumerate(self.generators, parallel.rank() * len(self.generators)):
            generator.set_state(parts["random"][str(i)])
        self.history, self.best, self.step = History(**scalars["history"]), parts["best"], scalars["step"]
