"""What tables share: jobs in processes of one thread, means over seeds, what models are told, parts of networks."""

import multiprocessing
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dgmlite.networks import MLP, zero


def train_all(train: Callable[[tuple], dict], jobs: list[tuple], workers: int) -> dict[tuple, dict]:
    """Return job → train(job) for jobs (kind, which, seed), `workers` at a time; train is a function of a module."""
    done = {}
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for job, result in zip(jobs, pool.map(train, jobs)):
            done[job] = result
            print(*job, {k: round(v, 2) for k, v in result.items()}, flush=True)
    return done


def over_seeds(done: dict[tuple, dict]) -> dict[str, dict]:
    """Return kind + "s" → which → quantity → its summary over seeds."""
    groups: dict = {}
    for (kind, which, _), result in done.items():
        groups.setdefault(f"{kind}s", {}).setdefault(which, []).append(result)
    return {
        kind: {which: {key: summary([each[key] for each in row]) for key in row[0]} for which, row in rows.items()}
        for kind, rows in groups.items()
    }


def summary(values: list[float]) -> dict:
    return {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0, "all": values}


def unshifted(x: Tensor) -> Tensor:
    """Return the mark that `shifts` gives to images that are not moved, for each of x."""
    return torch.zeros(len(x), dtype=torch.long)


def features(y: Tensor, mark: Tensor) -> Tensor:
    """Return the classes of digits, (N,), with the marks that `shifts` gives to their copies, (M,): (M, 19)."""
    return torch.cat((F.one_hot(y.repeat(len(mark) // len(y)), 10), F.one_hot(mark, 9)), 1)


class Grey(MLP):
    """An MLP of grey values in [0, 1], for an encoder that is given levels − 1 numbers for each of its pixels."""

    def __init__(self, pixels: int, *arguments, **more):
        super().__init__(pixels, *arguments, **more)
        self.pixels = pixels

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().forward(x.unflatten(1, (self.pixels, -1)).mean(2), y)


class Wide(nn.Module):
    """A block of a U-net that fully connected units follow: many weights for little work, as each is used once."""

    def __init__(self, block: nn.Module, shape: tuple[int, int, int], hidden: int):
        super().__init__()
        size, silu = torch.Size(shape).numel(), nn.SiLU()
        dense = nn.Linear(size, hidden), silu, zero(nn.Linear(hidden, size))
        self.block, self.dense = block, nn.Sequential(silu, nn.Flatten(), *dense, nn.Unflatten(1, shape))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (h := self.block(x, y)) + self.dense(h)
