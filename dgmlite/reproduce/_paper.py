"""What the runs at paper scale share: rows are trained, resumed, scored, kept, and stand beside the published ones."""

import functools
import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from safetensors.torch import save
from torch import Tensor, nn

import dgmlite.data
from dgmlite import parallel, plotting
from dgmlite.data import Dataset, Split
from dgmlite.evaluation import Evaluation, evaluate
from dgmlite.networks import seeded
from dgmlite.training import History, fit

SMOKE = dict(epochs=3, batch_size=20, lr=0.01)
IMAGES = (120, 20, 20)  # of each split


@dataclass(frozen=True)
class Row:
    """One line of a table: `build(seed, **sizes)` is what `fit` trains, `score(model, data)` what is measured then.

    `small` are the sizes of a smoke test, `published` what the source says of the quantity "test", and rows with `cpu`
    take less than two hours on two cores. With `home`, (table, row), the model is that row's, and is not trained twice.
    """

    build: Callable[..., nn.Module]
    score: Callable[[nn.Module, Dataset], dict]
    fit: dict
    sizes: dict = field(default_factory=dict)
    small: dict = field(default_factory=dict)
    published: float | None = None
    cpu: bool = False
    home: tuple[str, str] | None = None


class Binarised(nn.Module):
    """A model of binary pixels that sees an image of 256 levels through coins: a pixel is 1 with probability x / 255.

    The coins fall anew whenever an image is used (dynamic binarisation), so no two passes see the same pixels.
    Source: Salakhutdinov & Murray 2008, On the quantitative analysis of deep belief networks (ICML).
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.event_shape, self.levels = model, model.event_shape, 256

    @staticmethod
    def binarise(x: Tensor) -> Tensor:
        """Return 0 and 1, of the shape and type of x."""
        return (torch.rand(x.shape, device=x.device) * 255 < x).to(x.dtype)

    def initialise(self, x: Tensor) -> None:
        self.model.initialise(self.binarise(x))

    def loss(self, x: Tensor) -> Tensor:
        return self.model.loss(self.binarise(x))

    def sample(self, n: int) -> Tensor:
        return 255 * self.model.sample(n)

    def evaluate(self, x: Tensor, draws: int = 5, **how) -> Evaluation:
        """Return what the model inside is worth on `draws` binarisations of x, averaged image by image."""
        results = []
        for draw in range(draws):
            with seeded(draw):
                results.append(evaluate(self.model, self.binarise(x), **how))
        each = torch.stack([result.per_example for result in results]).mean(0)
        mean, bits = each.mean().item(), results[0].bits_per_dim / results[0].nats
        error = each.std().item() / len(x) ** 0.5
        return replace(results[0], nats=mean, stderr=error, bits_per_dim=bits * mean, per_example=each)


def mnist() -> Dataset:
    """MNIST as bytes, which take an eighth of the room."""
    data = dgmlite.data.mnist()
    splits = (Split(split.x.to(torch.uint8), split.y) for split in (data.train, data.valid, data.test))
    return Dataset(*splits, data.levels)


def run(name: str, table, rows: list[str], seed: int, out: Path, smoke: bool, **options) -> dict:
    """Train and score the rows that the folder `out` does not hold yet; write, print and return what it holds."""
    data, options = table.data(), {key: value for key, value in options.items() if value}
    results = {"command": f"python -m dgmlite.reproduce {name} --seed {seed}", "versions": versions(), "seed": seed}
    results |= {"references": table.references(data), "rows": {}}
    if smoke:
        splits = zip((data.train, data.valid, data.test), IMAGES)
        data = Dataset(*(Split(split.x[:n], split.y[:n]) for split, n in splits), data.levels)
        options |= SMOKE
    for which, row in table.ROWS.items():
        folder, sizes, how = out / name / f"{which}, seed {seed}", row.small if smoke else row.sizes, row.fit | options
        if smoke:
            how.pop("steps", None)
        settings = json.loads(json.dumps({"seed": seed, **sizes, **how}, default=lambda f: f.__qualname__))
        if (kept := folder / "result.json").is_file():
            results["rows"][which] = json.loads(kept.read_text(encoding="utf8"))
            if which in rows and results["rows"][which]["settings"] != settings:
                raise ValueError(f"{kept} is of another setting: give another --out, or remove it")
        elif which in rows:
            build = functools.partial(row.build, seed, **sizes)
            if smoke:
                _rehearse(build, data, seed, how)
            trained = out / row.home[0] / f"{row.home[1]}, seed {seed}" if row.home else folder
            model, facts = train(build, data, seed, trained, **how)
            result = {"settings": settings} | facts | row.score(model, data)
            results["rows"][which] = result
            if parallel.rank() == 0:
                put(folder / "weights.safetensors", save(model.state_dict()))
                picture(model, folder / "samples.png")
                put(kept, json.dumps(result, indent=1).encode())
                print(line(table, which, result), flush=True)
    if parallel.rank() == 0:
        put(out / f"{name}.json", json.dumps(results, indent=1).encode())
        print("a smoke test: these numbers mean nothing" if smoke else "the table")
        show(table, results)
    return results


def train(build: Callable[[], nn.Module], data: Dataset, seed: int, folder: Path, **how) -> tuple[nn.Module, dict]:
    """Train, or go on from the checkpoint in `folder`, with a line in its log and, now and then, samples."""
    folder.mkdir(parents=True, exist_ok=True)

    def note(model: nn.Module, history: History) -> None:
        epoch = len(history.train)
        with open(folder / "log.txt", "a", encoding="utf8") as log:
            log.write(f"{epoch} {history.train[-1]:.4f} {history.valid[-1]:.4f} {history.seconds:.0f}\n")
        if epoch & (epoch - 1) == 0:  # 1, 2, 4, 8, …
            picture(model, folder / "samples.png")

    model, checkpoint = build(), folder / "checkpoint.safetensors"
    history = fit(model, data.train.x, data.valid.x, seed=seed, checkpoint=checkpoint, on_epoch=note, **how)
    if history.interrupted:
        raise KeyboardInterrupt
    if torch.accelerator.is_available() and str(how.get("device")) != "cpu":
        model.to(how.get("device") or torch.accelerator.current_accelerator())
    place = next(model.parameters()).device
    device = torch.cuda.get_device_name(place) if place.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    facts = {"device": device, "processes": parallel.size()}
    facts |= {"seconds": history.seconds, "epochs": len(history.train), "best epoch": history.best_epoch}
    return model, facts | {"parameters": sum(p.numel() for p in model.parameters())}


def _rehearse(build, data, seed, how):
    """Assert that the loss falls, and that a run that is interrupted and continued is the same to the last bit."""
    how = how | {"progress": False}

    def interrupt(model, history):
        raise KeyboardInterrupt

    whole, broken, continued = build(), build(), build()
    history = fit(whole, data.train.x, data.valid.x, seed=seed, **how)
    if not history.train[-1] < history.train[0]:
        raise AssertionError(f"the loss does not fall: {history.train}")
    with tempfile.TemporaryDirectory() as folder:
        how["checkpoint"] = Path(folder) / "run.safetensors"
        fit(broken, data.train.x, data.valid.x, seed=seed, on_epoch=interrupt, **how)
        again = fit(continued, data.train.x, data.valid.x, seed=seed, **how)
    same = (torch.equal(a, b) for a, b in zip(whole.state_dict().values(), continued.state_dict().values()))
    if again.train != history.train or not all(same):
        raise AssertionError(f"resuming is not exact: {history.train} at one go, {again.train} when interrupted")


def picture(model: nn.Module, path: Path, n: int = 40) -> None:
    """Write samples as an image file."""
    with seeded(0, next(model.parameters()).device):
        axes = plotting.images(model.sample(n).cpu(), model.levels)
    axes.figure.savefig(path)
    plt.close(axes.figure)


def put(path: Path, contents: bytes) -> None:
    """Write a file as a whole, or leave the one before as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    try:
        unfinished.write_bytes(contents)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    return {"dgmlite": dgmlite.__version__, "torch": torch.__version__, "python": platform.python_version()}


def line(table, which: str, result: dict | None) -> str:
    """One row beside the published one."""
    published = table.ROWS[which].published
    published = "" if published is None else f"published {published:g}"
    if result is None:
        return f"{which:30} {'not measured':46} {published}".rstrip()
    ours = f"{result['test']:8.3f} ± {result['stderr']:.3f} {table.UNIT} ({result['kind']})"
    return f"{which:30} {ours:46} {published:16} {result['seconds']:7.0f} s, {result['device']}"


def show(table, results: dict) -> None:
    """Print the table."""
    for what, value in results["references"].items():
        print(f"{what:30} {value:8.3f} {table.UNIT}")
    for which in table.ROWS:
        print(line(table, which, results["rows"].get(which)))
