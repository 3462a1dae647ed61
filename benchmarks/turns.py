"""What the benchmarks share: contenders that take turns, and rows with the ratio of times within each turn."""

import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

OURS, PLAIN = "dgmlite", "plain torch"
INSTALL = "pip install --no-deps --target peers -r benchmarks/peers.txt, then PYTHONPATH=peers"


def compare(
    what: str,
    makers: dict[str, Callable],
    x: torch.Tensor,
    rounds: int,
    close: dict[str, float] | None = None,
    same_size: bool = True,
) -> Iterator[dict]:
    """Time steps of loss, backward and Adam of the contenders on x; yield a row for each but the first, which is ours.

    makers: name → function that returns a model and its loss; one whose library is missing is left out. `close` says
    how far, relatively, the loss of a contender may be from ours after the first 30 steps, which are not timed (after
    hundreds on the same x, rounding tells them apart). With `same_size` all must have as many parameters to train.
    """
    losses, steps, sizes = {}, {}, {}
    for name, make in makers.items():
        try:
            model, loss_of = make()
        except ImportError as error:
            leave_out(name, error)
            continue
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        sizes[name] = sum(parameter.numel() for parameter in trained)
        losses[name], steps[name] = loss_of, stepper(trained, loss_of)
    assert not same_size or len(set(sizes.values())) == 1, sizes
    for _ in range(30):
        for step in steps.values():
            step(x)
    learned = {name: loss_of(x).item() for name, loss_of in losses.items()}
    for name, tolerance in (close or {}).items():
        if name in learned:
            assert abs(learned[name] / learned[OURS] - 1) < tolerance, learned
    yield from rows(what, {name: lambda step=step: step(x) for name, step in steps.items()}, rounds, repeat=5)


def rows(what: str, steps: dict[str, Callable], rounds: int, repeat: int = 1, warm: int = 2) -> Iterator[dict]:
    """Let the steps, `repeat` at once, take turns; yield a row for each but the first, which is ours."""
    times = take_turns(steps, rounds, warm, repeat)
    ours, *others = times
    for other in others:
        yield row(what, ours, other, times[ours], times[other])


def take_turns(steps: dict[str, Callable], rounds: int, warm: int = 2, repeat: int = 1) -> dict[str, list[float]]:
    """Return the seconds of processor time that each step took in each round, after `warm` rounds that do not count."""
    times = {name: [] for name in steps}
    for turn in range(rounds + warm):
        names = list(steps)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            for _ in range(repeat):
                steps[name]()
            if turn >= warm:
                times[name].append((time.process_time() - start) / repeat)
    return times


def row(what: str, ours: str, other: str, our_seconds: list[float], other_seconds: list[float]) -> dict:
    """Return a row of the table: medians in milliseconds, and the quartiles of ours / other over the rounds."""
    ratios = [a / b for a, b in zip(our_seconds, other_seconds, strict=True)]
    medians = [1e3 * statistics.median(seconds) for seconds in (our_seconds, other_seconds)]
    numbers = {"ms": medians, "ratio": statistics.quantiles(ratios, n=4), "rounds": len(ratios)}
    return {"what": what, "ours": ours, "other": other} | numbers


def leave_out(name: str, error: ImportError) -> None:
    print(f"{name} is left out ({error}): {INSTALL}")


def stepper(parameters: list[nn.Parameter], loss_of: Callable) -> Callable:
    optimiser = torch.optim.Adam(parameters, lr=1e-3, fused=True)

    def step(*x):
        loss = loss_of(*x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step
