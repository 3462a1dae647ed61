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
    times = {name: [] for name in steps}
    for turn in range(rounds + 10):
        names = list(steps)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            for _ in range(5):
                steps[name](x)
            if turn >= 10:  # the first turns warm up
                times[name].append((time.process_time() - start) / 5)
    print(f"{what}, batches of {len(x)}, {sizes.pop()} parameters")
    ours = next(iter(times))
    for name, seconds in times.items():
        line = f"  {name:10}{1e3 * statistics.median(seconds):8.2f} ms"
        if name != ours:
            low, median, high = statistics.quantiles([a / b for a, b in zip(times[ours], seconds)], n=4)
            line += f"   {ours} / {name} = {median:.3f} (quartiles {low:.3f} to {high:.3f})"
        print(line)
    return {name: loss_of(x).item() for name, loss_of in losses.items()}


def stepper(parameters: list[nn.Parameter], loss_of: Callable) -> Callable:
    optimiser = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def step(x):
        loss = loss_of(x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step
