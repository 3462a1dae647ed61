"""What training reaches of the machine's limits: python -m benchmarks.roofline [--device D] [--models …] [--batches …]

A step is loss, backward and fused Adam, on batches taken by index from data on the device. It is timed in these ways:

- loop: a bare eager loop, float32; "TF32": with TF32 in matrix products and convolutions (CUDA only);
- fit, with `bf16=True`, with `compile=True`, with both;
- graphs: the bare loop around torch.compile(model.loss, mode="reduce-overhead"), which captures CUDA graphs, in float32
  and in bf16. `fit` does not offer this mode.

"float32" is float32 throughout: TF32 is off in convolutions too, where PyTorch has it on by default.

The machine's limits are measured in the same run: FLOP/s of a large matrix product, by precision, and bytes/s of a
large copy (read and written). The FLOPs of a step are those of its matrix products, convolutions and attention, counted
by `FlopCounterMode` (causal attention as if nothing were masked); its bytes are an estimate, see `traffic`. No step can
take less than roof = max(FLOPs / (FLOP/s), bytes / (bytes/s)); "of roof" is roof / measured time, and the limit is the
larger of the two. Bytes are counted eagerly and in float32, so that compiled and bf16 ways, which move less, look
better than they are.

What cannot be run is left out with a line. The numbers for GPUs are to be measured: none are stored. Compiling takes
about a minute for each model, batch and way; `--models` and `--ways` divide the work.
"""

import argparse
import contextlib
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dgmlite.models.autoregressive import MADE, CausalTransformer, PixelCNN
from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.models.flow import RealNVP
from dgmlite.models.vae import VAE
from dgmlite.training import fit

NOISE = {"predict": "noise", "weighting": "simple"}
MODELS = {
    "MADE": lambda: MADE((784,), 2, hidden=(8000,)),
    "PixelCNN": lambda: PixelCNN((1, 28, 28), 2, channels=64, depth=5),
    "CausalTransformer": lambda: CausalTransformer((784,), 2, channels=128, heads=4, depth=8),
    "VAE": lambda: VAE((784,), 2, latent=50, hidden=(200, 200)),
    "RealNVP": lambda: RealNVP((1, 28, 28)),
    "DDPM": lambda: DDPM((1, 32, 32), None, schedule=Schedule(1000, "linear"), channels=64, **NOISE),
}
SMOKE = {
    "MADE": lambda: MADE((16,), 2, hidden=(16,)),
    "PixelCNN": lambda: PixelCNN((1, 4, 4), 2, channels=8, depth=1),
    "CausalTransformer": lambda: CausalTransformer((16,), 2, channels=8, heads=2, depth=1),
    "VAE": lambda: VAE((16,), 2, latent=2, hidden=(8,)),
    "RealNVP": lambda: RealNVP((1, 4, 4), depth=2, hidden=8),
    "DDPM": lambda: DDPM((1, 8, 8), None, schedule=Schedule(10, "linear"), channels=4, **NOISE),
}
# way: (what runs it, torch.compile's mode or None, precision)
WAYS = {
    "loop": ("loop", None, "float32"),
    "loop TF32": ("loop", None, "TF32"),
    "fit": ("fit", None, "float32"),
    "fit bf16": ("fit", None, "bf16"),
    "fit compile": ("fit", "default", "float32"),
    "fit compile bf16": ("fit", "default", "bf16"),
    "graphs": ("loop", "reduce-overhead", "float32"),
    "graphs bf16": ("loop", "reduce-overhead", "bf16"),
}
WARM, WINDOWS, EXAMPLES = 3, 5, 2**17


def now(device: torch.device) -> float:
    """Return the time at which all that was given to the device is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


def seconds(run: Callable, device: torch.device, least: float) -> list[float]:
    """Return the seconds of one run in each of a few windows of at least so many seconds, after some to warm up."""
    for _ in range(WARM):
        run()
    start = now(device)
    run()
    count = max(1, math.ceil(least / (now(device) - start)))
    times = []
    for _ in range(WINDOWS):
        start = now(device)
        for _ in range(count):
            run()
        times.append((now(device) - start) / count)
    return times


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """Set TF32 in all or none of the float32 operations inside."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = name == "TF32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def cast(name: str, device: torch.device):
    return torch.autocast(device.type, torch.bfloat16) if name == "bf16" else contextlib.nullcontext()


def limits(device: torch.device, size: int, least: float) -> dict[str, float]:
    """Return FLOP/s by precision of a size³ matrix product, and "bytes" per second of a copy of as many bytes · 16."""
    found = {}
    for name in ("float32", "TF32", "bf16"):
        if name == "TF32" and device.type != "cuda":
            continue
        a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if name == "bf16" else torch.float32)
        out = torch.empty_like(a)
        with precision(name):
            found[name] = 2 * size**3 / min(seconds(lambda a=a, out=out: torch.mm(a, a, out=out), device, least))
    a = torch.zeros(16 * size**2, device=device, dtype=torch.uint8)
    b = torch.empty_like(a)
    found["bytes"] = 2 * len(a) / min(seconds(lambda: b.copy_(a), device, least))
    return found


def flops(loss_of: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Return the FLOPs of the loss of x and its slope, an addition and a multiplication counting as two."""
    with FlopCounterMode(display=False) as counter:
        loss_of(x).mean().backward()
    return counter.get_total_flops()


def traffic(model: nn.Module, loss_of: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Estimate the bytes that a step must move, in float32.

    A parameter moves ten times: read by the loss and its slope, the slope written, then Adam reads it with its slope
    and two moments and writes three of these. What the loss keeps for its slope is written once and read once.
    """
    parameters = {p.untyped_storage().data_ptr(): p.numel() * p.element_size() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss_of(x).mean()  # the graph goes with the loss
    return 10 * sum(parameters.values()) + 2 * sum(kept.values())


def examples(model: nn.Module, n: int, device: torch.device) -> Tensor:
    shape = n, *model.event_shape
    if model.levels is None:
        return torch.randn(shape, device=device)
    return torch.randint(0, model.levels, shape, dtype=torch.uint8, device=device)


def loop(model: nn.Module, x: Tensor, batch: int, mode: str | None, kind: str, least: float) -> list[float]:
    """Return the seconds of a step of the bare loop, in each window."""
    loss_of = torch.compile(model.loss, mode=mode) if mode else model.loss
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    batches = itertools.cycle(torch.randperm(len(x), device=x.device).split(batch))

    def step():
        optimiser.zero_grad()  # before the loss: slopes lie in the memory of the graph that is about to run
        if mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        with cast(kind, x.device):
            loss = loss_of(x[next(batches)]).mean()
        loss.backward()
        optimiser.step()

    return seconds(step, x.device, least)


def fitted(model: nn.Module, x: Tensor, batch: int, mode: str | None, kind: str, least: float) -> list[float]:
    """Return the seconds of a step of `fit`, in each epoch but the first ones, which warm up."""
    per_epoch, marks = len(x) // batch, []
    epochs = WARM + WINDOWS
    options = {"batch_size": batch, "lr": 1e-4, "bf16": kind == "bf16", "compile": bool(mode), "progress": False}
    fit(model, x, epochs=epochs, device=x.device, on_epoch=lambda *_: marks.append(now(x.device)), **options)
    return [(after - before) / per_epoch for before, after in itertools.pairwise(marks[WARM - 1 :])]


def measure(name: str, make: Callable, batch: int, way: str, device: torch.device, roofs: dict, least: float) -> dict:
    runner, mode, kind = WAYS[way]
    torch.manual_seed(0)
    torch._dynamo.reset()
    model = make().to(device).train()
    if hasattr(model, "initialise"):
        model.initialise(examples(model, batch, device))
    x = examples(model, batch, device)
    count, moved = flops(model.loss, x), traffic(model, model.loss, x)
    with precision(kind):
        start = now(device)
        model.loss(x).mean().backward()
        steps = max(4, min(math.ceil(least / (now(device) - start)), EXAMPLES // batch))
        run = fitted if runner == "fit" else loop
        times = run(model, examples(model, steps * batch, device), batch, mode, kind, least)
    low, median, high = statistics.quantiles(times, n=4)
    by_flops, by_bytes = count / roofs[kind], moved / roofs["bytes"]
    return {
        "model": name,
        "batch": batch,
        "way": way,
        "seconds": [low, median, high],
        "steps/s": 1 / median,
        "examples/s": batch / median,
        "FLOPs": count,
        "bytes": moved,
        "FLOP/s": count / median,
        "limit": "FLOPs" if by_flops > by_bytes else "bytes",
        "of roof": max(by_flops, by_bytes) / median,
    }


def unavailable(ways: list[str], device: torch.device) -> dict[str, str]:
    """Return way → why it cannot be run here."""

    def compiled():
        torch.compile(lambda x: x + 1)(torch.zeros(2, device=device))

    def in_bf16():
        with cast("bf16", device):
            torch.zeros(2, 2, device=device) @ torch.zeros(2, 2, device=device)

    cuda_only = [way for way in ways if "TF32" in way or "graphs" in way]
    reasons = {} if device.type == "cuda" else dict.fromkeys(cuda_only, "needs CUDA")
    for concerned, probe in (([w for w in ways if WAYS[w][1]], compiled), ([w for w in ways if "bf16" in w], in_bf16)):
        try:
            if concerned := [way for way in concerned if way not in reasons]:
                probe()
        except Exception as error:
            reasons |= dict.fromkeys(concerned, first_line(error))
    return reasons


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]:.100}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.roofline", description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="by default the accelerator, else the CPU")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), metavar="MODEL")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), metavar="WAY", help=f"of {', '.join(WAYS)}")
    parser.add_argument("--batches", nargs="+", type=int, metavar="B", help="16, 128 and 1024; on the CPU 16")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each window that is timed (0.5)")
    parser.add_argument("--smoke", action="store_true", help="tiny models, to see that all runs; compile only if asked")
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    given = parser.parse_args(arguments)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    device = torch.device(given.device or device)
    models, size, least, batches = MODELS, 8192 if device.type != "cpu" else 2048, given.seconds, given.batches
    ways = [way for way in WAYS if (way in given.ways if given.ways else not (given.smoke and WAYS[way][1]))]
    if given.smoke:
        torch.set_num_threads(1)
        models, size, least, batches = SMOKE, 128, 0.005, batches or [8]
    batches = batches or ([16] if device.type == "cpu" else [16, 128, 1024])

    roofs = limits(device, size, least)
    shown = [f"{name} {value / 1e9:,.3g} G{'B' if name == 'bytes' else 'FLOP'}/s" for name, value in roofs.items()]
    print(f"limits of this {device.type}: {', '.join(shown)}")
    reasons = unavailable(ways, device)
    for way, reason in reasons.items():
        print(f"{way} is left out: {reason}")
    print(f"{'model':18}{'batch':>6}  {'way':18}{'steps/s':>10}{'spread':>9}{'examples/s':>12}{'× loop':>8}", end="")
    print(f"{'GFLOP/s':>10}{'FLOP/byte':>10}{'limit':>7}{'of roof':>9}")
    rows = []
    for name, batch in itertools.product(given.models, batches):
        bare = None
        for way in (way for way in ways if way not in reasons):
            try:
                row = measure(name, models[name], batch, way, device, roofs, least)
            except Exception as error:
                print(f"{name}, batch {batch}, {way} is left out: {first_line(error)}")
                continue
            finally:
                if device.type == "cuda":
                    torch.cuda.empty_cache()
            rows.append(row)
            low, median, high = row["seconds"]
            bare = median if way == "loop" else bare
            print(f"{name:18}{batch:6}  {way:18}{row['steps/s']:10.1f}{(high - low) / median:9.0%}", end="")
            print(f"{row['examples/s']:12,.0f}{bare / median if bare else math.nan:8.2f}", end="")
            print(f"{row['FLOP/s'] / 1e9:10,.3g}{row['FLOPs'] / row['bytes']:10.1f}", end="")
            print(f"{row['limit']:>7}{row['of roof']:9.1%}", flush=True)
    if given.out:
        machine = {"device": device.type, "threads": torch.get_num_threads(), "torch": torch.__version__}
        if device.type == "cuda":
            machine["name"] = torch.cuda.get_device_name(device)
        results = {"machine": machine, "limits": roofs, "rows": rows}
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")


if __name__ == "__main__":
    sys.exit(main())
