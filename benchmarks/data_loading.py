"""The way of batches to a model, beside torch's DataLoader: python -m benchmarks data_loading

`fit` has the data in one tensor on the device, and takes a batch by its indices. The others are `DataLoader` on a
`TensorDataset` in the same process (workers only pay where reading or changing an example is work), as it is usually
called, one example at a time, and told to take a batch at a time. First an epoch of batches alone, then training with
them: `fit` beside the bare loop on a `DataLoader`.
"""

import copy
from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from benchmarks.fit_overhead import BATCH, Network, bare, data, indexed
from benchmarks.turns import rows
from dgmlite.training import fit


def loader(x: Tensor) -> Iterator[Tensor]:
    return (batch for (batch,) in DataLoader(TensorDataset(x), BATCH, shuffle=True))


def batched(x: Tensor) -> Iterator[Tensor]:
    sampler = BatchSampler(RandomSampler(x), BATCH, drop_last=False)
    return (batch for (batch,) in DataLoader(TensorDataset(x), batch_size=None, sampler=sampler))


WAYS = {"indices": indexed, "DataLoader": loader, "DataLoader, whole batches": batched}


def use(batches: Iterable[Tensor]) -> None:
    for _ in batches:
        pass


def run(rounds: int, examples: int = 5000) -> Iterator[dict]:
    for way in WAYS.values():
        visited = list(way(torch.arange(1000)))
        assert {len(batch) for batch in visited} == {BATCH}
        assert torch.equal(torch.cat(visited).sort().values, torch.arange(1000))
    for shape in ((1, 8, 8), (1, 28, 28)):
        x = torch.randint(0, 17, (examples, *shape))
        steps = {name: lambda way=way, x=x: use(way(x)) for name, way in WAYS.items()}
        yield from rows(f"batches of {examples} × {shape}", steps, rounds)
    x, model = data(), Network(500, 17)
    ways = {name: partial(bare, epochs=5, batches=WAYS[name]) for name in ("DataLoader", "DataLoader, whole batches")}
    ways = {"fit": partial(fit, epochs=5, device="cpu", progress=False)} | ways
    steps = {name: lambda train=train: train(copy.deepcopy(model), x) for name, train in ways.items()}
    yield from rows("training with batches, 64 → 500 → 1088", steps, rounds)
