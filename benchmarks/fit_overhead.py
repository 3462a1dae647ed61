"""How much longer `fit` takes than the loop one would write by hand: python benchmarks/fit_overhead.py

Prints the median ratio of times, with its quartiles, of pairs of runs that take turns, on the same model and data: a
network of MADE's size and, as the worst case, one whose step does next to nothing. The aim is a ratio of at most 1.10
for the first. The hand-written loop is as fast as it can be: it adds up its losses and reads them once an epoch.
"""

import argparse
import copy
import statistics
import time

import torch
from torch import nn

from dgmlite.training import fit


class Network(nn.Module):
    """x (B, 64) → 500 → logits of 17 levels for each of 64 pixels; the loss is their cross entropy, in nats."""

    def __init__(self, hidden: int, levels: int):
        super().__init__()
        self.levels = levels
        self.net = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 64 * levels))

    def loss(self, x):
        logits = self.net(x / self.levels).unflatten(1, (self.levels, 64))  # (B, levels, 64)
        return nn.functional.cross_entropy(logits, x.long(), reduction="none").sum(1)


class Tiny(nn.Module):
    """x (B, 64): the squared distance to one point; nothing could cost less."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(64))

    def loss(self, x):
        return (x - self.w).square().sum(1)


def bare(model, x, epochs):
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    history = []
    for _ in range(epochs):
        total = torch.zeros(())
        for some in torch.randperm(len(x)).split(100):
            loss = model.loss(x[some]).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach()
        history.append(total.item() / (len(x) // 100))
    return history


def seconds(function, model, *arguments, **options):
    model = copy.deepcopy(model)
    start = time.perf_counter()
    function(model, *arguments, **options)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    x = torch.randint(0, 17, (1000, 64), generator=torch.Generator().manual_seed(0)).float()
    for name, model, epochs in ("64 → 500 → 1088", Network(500, 17), 5), ("a single parameter", Tiny(), 100):
        for progress in (False, True):
            ratios, times = [], []
            for pair in range(arguments.pairs + 1):
                a = seconds(bare, model, x, epochs)
                b = seconds(fit, model, x, epochs=epochs, device="cpu", progress=progress)
                if pair:  # the first pair warms up
                    ratios.append(b / a)
                    times.append(a / epochs / 10)
            low, median, high = statistics.quantiles(ratios, n=4)
            print(
                f"{name}, progress {'on' if progress else 'off'}: fit / bare loop = {median:.3f} "
                f"(quartiles {low:.3f} to {high:.3f}, {arguments.pairs} pairs, "
                f"{statistics.median(times) * 1e3:.3g} ms a step)"
            )


if __name__ == "__main__":
    main()
