"""What the tables share: jobs in processes of one thread each, means over seeds, and the mark of unmoved images."""

import multiprocessing
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch


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


def unshifted(x: torch.Tensor) -> torch.Tensor:
    """Return the mark that `shifts` gives to images that are not moved, for each of x."""
    return torch.zeros(len(x), dtype=torch.long)
