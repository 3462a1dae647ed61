"""Checks at the door, and the one way in which notebooks print numbers that differ between machines."""

import math
import numbers
import os
import shutil
import sys
import time

import psutil
import torch


def measured(what: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Print a number that depends on the machine, and fail unless low ≤ value ≤ high.

    Training outcomes, timings and facts about the machine vary; the band that the text relies on does not. The
    line has the measured value in one fixed place, which the comparison of stored outputs masks, and the band,
    which it does not. Raises AssertionError with the value and the band when the value is outside or not finite.

    >>> measured("test loss", 83.21, 82, 85, "nats")
    test loss: 83.21 nats  [between 82 and 85 ✓]
    """
    value = float(value)
    if not (math.isfinite(value) and low <= value <= high):
        raise AssertionError(f"{what}: {value:.5g} {unit} is outside the expected band, {low:g} to {high:g}".strip())
    print(_line(what, f"{_short(value)} {unit}".strip(), f"between {_short(low)} and {_short(high)} ✓"))


def machine() -> None:
    """Print, line by line, whether this machine is ready for the course, and where it is not, what to do.

    The lines have the form of `measured`, so they compare equal on every machine that is ready.
    """
    model = torch.nn.Sequential(torch.nn.Linear(1088, 500), torch.nn.ReLU(), torch.nn.Linear(500, 1088))
    x, steps = torch.randn(100, 1088, generator=torch.Generator().manual_seed(0)), 20
    for step in range(steps + 3):
        if step == 3:  # the first steps pay for memory and threads
            start = time.perf_counter()
        model(x).square().mean().backward()
    milliseconds = (time.perf_counter() - start) / steps * 1000
    gpus = torch.cuda.device_count() + torch.backends.mps.is_available()
    memory, disk = psutil.virtual_memory().available / 1e9, shutil.disk_usage(".").free / 1e9
    torch_version = tuple(map(int, torch.__version__.split(".")[:2]))
    for what, shown, ready, band, advice in (
        ("Python", _dotted(sys.version_info), sys.version_info >= (3, 11), "at least 3.11", "install a newer one"),
        ("torch", _dotted(torch_version), torch_version >= (2, 6), "at least 2.6", "run `make lab`, which installs it"),
        ("CPU cores", str(os.cpu_count() or 1), True, "at least 1", ""),
        ("memory free", f"{memory:.1f} GB", memory >= 1, "at least 1", "close other programs"),
        ("disk free", f"{disk:.1f} GB", disk >= 0.5, "at least 0.5", "free some disk space"),
        ("accelerators", str(gpus), True, "at least 0", ""),
        ("one training step", f"{milliseconds:.1f} ms", milliseconds <= 200, "at most 200", "close other programs"),
    ):
        print(_line(what, shown, f"{band} ✓" if ready else f"{band} is wanted ✗: {advice}"))


def _dotted(version: tuple) -> str:
    return f"{version[0]}.{version[1]}"


def _short(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def _line(what: str, shown: str, band: str) -> str:
    return f"{what}: {shown}  [{band}]"


def positive_int(name: str, value, minimum: int = 1) -> int:
    """Return value as an int, or say what was wrong: an integer of at least `minimum` is wanted."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer ≥ {minimum}, got {value!r} of type {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def finite_number(name: str, value, low: float = -math.inf, high: float = math.inf) -> float:
    """Return value as a float in [low, high], or say what was wrong."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"{name} must be a finite number between {low:g} and {high:g}, got {value}")
    return float(value)


def shape(name: str, value) -> tuple[int, ...]:
    """Return an event shape as a tuple of positive ints, or say what was wrong."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{name} must be a tuple of positive integers such as (1, 8, 8), got {value!r}")
    result = tuple(positive_int(f"each entry of {name}", v) for v in value)
    if not result:
        raise ValueError(f"{name} must have at least one entry, such as (1, 8, 8) or (2,), got an empty one")
    return result


def data(x, event_shape: tuple[int, ...], levels: int | None, name: str = "x") -> torch.Tensor:
    """Return x if it is a batch of events the model is defined on, or say what was wrong.

    Wanted: a tensor of shape (B, *event_shape) with B ≥ 1; for `levels` an integer dtype and values 0..levels−1;
    for levels=None a floating dtype and finite values.
    """
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(x).__name__}; torch.as_tensor({name}) makes one")
    event_shape = tuple(event_shape)
    if tuple(x.shape[1:]) != event_shape or x.dim() != len(event_shape) + 1:
        hint = f"; for one example add the batch axis: {name}[None]" if tuple(x.shape) == event_shape else ""
        wanted = ", ".join(["B", *map(str, event_shape)])
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(x.shape)}{hint}")
    if x.shape[0] == 0:
        raise ValueError(f"{name} is empty: at least one example is needed")
    if levels is None:
        if not x.is_floating_point():
            raise TypeError(f"{name} must be floating point, since the model is one of continuous data, got {x.dtype}")
        if not torch.compiler.is_compiling() and not torch.isfinite(x).all():
            raise ValueError(f"{name} contains NaN or infinity; look for a division by zero or log of zero upstream")
        return x
    if x.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise TypeError(
            f"{name} must hold integer levels 0..{levels - 1}, got {x.dtype}; "
            "do not scale the data: models do that themselves. Use x.long() on unscaled levels"
        )
    if torch.compiler.is_compiling():  # reading values would break the graph
        return x
    low, high = map(int, x.aminmax())
    if low < 0 or high >= levels:
        raise ValueError(
            f"{name} must hold levels 0..{levels - 1}, got values from {low} to {high}; "
            "was the model built with the right `levels`?"
        )
    return x


def condition(y, n: int, size: int, like: torch.Tensor, model: torch.nn.Module) -> torch.Tensor | None:
    """Return what a model is conditioned on as features (n, size) of the kind of `like`, or say what was wrong.

    Wanted: labels 0 … size−1, shape (n,), or features, shape (n, size); None for a model without condition, size = 0.
    """
    if not size:
        if y is not None:
            raise TypeError(f"{type(model).__name__} was built without condition, so y must be left out")
        return None
    if not isinstance(y, torch.Tensor) or tuple(y.shape) not in ((n,), (n, size)):
        given = tuple(y.shape) if isinstance(y, torch.Tensor) else repr(y)
        raise ValueError(f"y must be {n} labels, shape ({n},), or features, ({n}, {size}), got {given!s:.60}")
    if y.dim() == 2:
        return y.to(like)
    return torch.nn.functional.one_hot(data(y, (), size, "y").long(), size).to(like)


def integers(name: str, values, minimum: int) -> list[int]:
    """Return values as a list of ints of at least `minimum`, or say what was wrong."""
    values = values.tolist() if isinstance(values, torch.Tensor) else values
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise TypeError(f"{name} must be a sequence of integers, got {values!r}")
    return [positive_int(f"each entry of {name}", value, minimum) for value in values]


def permutation(name: str, order, size: int) -> torch.Tensor:
    """Return order as a tensor that lists each of 0 … size−1 once, or say what was wrong."""
    order = integers(name, order, 0)
    if sorted(order) != list(range(size)):
        raise ValueError(
            f"{name} must list each of the {size} dimensions once, from 0 to {size - 1}, got {len(order)} "
            f"entries, {len(set(order))} of them different, up to {max(order, default=None)}"
        )
    return torch.tensor(order)
