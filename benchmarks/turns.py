"""What the benchmarks of training steps share: contenders that take turns, and ratios within each turn."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn


def compare(what: str, makers: dict[str, Callable], x: torch.Tensor, rounds: int) -> dict[str, float]:
    """Time steps of loss, backward and Adam of the contenders on x, print times and ratios, return their losses.

    makers: name → function that returns a model and its loss, the first of them ours; one whose library is missing is
    left out. All must have the same number of parameters to train.
    """
    losses, steps, sizes = {}, {}, set()
    for name, make in makers.items():
        try:
            model, loss_of = make()
        except ImportError as error:
            print(f"{name} is left out ({error}): see the top of this file")
            continue
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        sizes.add(sum(parameter.numel() for parameter in trained))
        losses[name], steps[name] = loss_of, stepper(trained, loss_of)
    assert len(sizes) == 1, sizes
    times = take_turns(
        {name: lambda step=step: [step(x) for _ in range(5)] for name, step in steps.items()}, rounds, 10
    )
    print(f"{what}, batches of {len(x)}, {sizes.pop()} parameters")
    ours = next(iter(times))
    for name, seconds in times.items():
        line = f"  {name:10}{1e3 * statistics.median(seconds) / 5:8.2f} ms"
        print(line if name == ours else f"{line}   {ours} / {name} = {quartiles(times[ours], seconds)}")
    return {name: loss_of(x).item() for name, loss_of in losses.items()}


def take_turns(steps: dict[str, Callable], rounds: int, warm: int = 2) -> dict[str, list[float]]:
    """Return the seconds that each of the steps took in each round, after `warm` rounds that do not count."""
    times = {name: [] for name in steps}
    for turn in range(rounds + warm):
        names = list(steps)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            steps[name]()
            if turn >= warm:
                times[name].append(time.process_time() - start)
    return times


def quartiles(numerators: list[float], denominators: list[float]) -> str:
    low, median, high = statistics.quantiles([a / b for a, b in zip(numerators, denominators)], n=4)
    return f"{median:.3f} (quartiles {low:.3f} to {high:.3f})"


def stepper(parameters: list[nn.Parameter], loss_of: Callable) -> Callable:
    optimiser = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def step(x):
        loss = loss_of(x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step
