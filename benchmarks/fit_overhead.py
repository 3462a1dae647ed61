"""How much longer `fit` takes than the loop one would write by hand: python -m benchmarks fit_overhead

On the same model and data: a network of MADE's size and, as the worst case, one whose step does next to nothing. The
aim is a ratio of at most 1.10 for the first. The hand-written loop is as fast as it can be: it adds up its losses and
reads them once an epoch.
"""

import contextlib
import copy
import io
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.turns import rows
from dgmlite.training import fit

BATCH = 100


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


def data() -> Tensor:
    return torch.randint(0, 17, (1000, 64), generator=torch.Generator().manual_seed(0)).float()


def indexed(x: Tensor) -> Iterator[Tensor]:
    for some in torch.randperm(len(x)).split(BATCH):
        yield x[some]


def bare(model: nn.Module, x: Tensor, epochs: int, batches: Callable = indexed) -> list[float]:
    torch.manual_seed(0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    history = []
    for _ in range(epochs):
        total = torch.zeros(())
        for some in batches(x):
            loss = model.loss(some).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.detach()
        history.append(total.item() / (len(x) // BATCH))
    return history


def run(rounds: int) -> Iterator[dict]:
    x = data()
    for name, model, epochs in (("64 → 500 → 1088", Network(500, 17), 5), ("64 parameters", Tiny(), 100)):
        for progress in (False, True):

            def ours(model=model, epochs=epochs, progress=progress):
                with contextlib.redirect_stderr(io.StringIO()):
                    history = fit(copy.deepcopy(model), x, epochs=epochs, device="cpu", progress=progress)
                return history.train

            def loop(model=model, epochs=epochs):
                return bare(copy.deepcopy(model), x, epochs)

            torch.testing.assert_close(ours(), loop(), rtol=1e-4, atol=0)
            shown = f"progress {'on' if progress else 'off'}"
            yield from rows(f"{10 * epochs} steps, {name}, {shown}", {"fit": ours, "bare loop": loop}, rounds)
