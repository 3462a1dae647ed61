"""What models are made with: weights and noise from a seed."""

import contextlib
from collections.abc import Iterator

import torch

from dgmlite import checks


@contextlib.contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[list[torch.Generator]]:
    """Draw from `seed` inside, on the CPU and on `device`; afterwards go on as if nothing had been drawn.

    Yields the random generators, one or two, that are drawn from.

    >>> with seeded(0):
    ...     a = torch.rand(2)
    >>> with seeded(0):
    ...     print(torch.equal(a, torch.rand(2)))
    True
    """
    if checks.positive_int("seed", seed, 0) >= 2**63:
        raise ValueError(f"seed must be less than 2**63, got {seed}")
    device = torch.device(device)
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    if device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    states = [generator.get_state() for generator in generators]
    for generator in generators:
        generator.manual_seed(seed)
    try:
        yield generators
    finally:
        for generator, state in zip(generators, states):
            generator.set_state(state)
