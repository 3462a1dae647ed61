"""Autoregressive models on the digits: every model over seeds, orders, training sizes, labels, and real files."""

import bz2
import gzip
import io
import lzma
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import zstandard
from PIL import Image
from safetensors.torch import load_file, save_file

from dgmlite.compression import compress, describe
from dgmlite.data import Split, digits, shifts
from dgmlite.evaluation import evaluate
from dgmlite.models.autoregressive import (
    MADE,
    NADE,
    CausalConv,
    CausalTransformer,
    Ensemble,
    LogisticAR,
    PixelCNN,
)
from dgmlite.networks import seeded
from dgmlite.reproduce._run import features, over_seeds, summary, train_all, unshifted
from dgmlite.training import fit

SHAPE, LEVELS, MARKS, CLASSES = (1, 8, 8), 17, 9, 10


def rising(step: int, total: int) -> float:
    """Return the share of the learning rate: a rise over a quarter of the steps, which transformers need, then 1."""
    return min(1.0, 4 * (step + 1) / total)


MODELS = {  # name: (class, its arguments, those of fit); chosen on the validation split
    "LogisticAR": (LogisticAR, {}, dict(epochs=9, lr=2e-3, average=0.99)),
    "MADE": (MADE, {"hidden": (500,)}, dict(epochs=8, lr=2e-3, average=0.99)),
    "NADE": (NADE, {"hidden": 200}, dict(epochs=9, lr=4e-3, average=0.99)),
    "CausalConv": (CausalConv, {"dropout": 0.35}, dict(epochs=6, lr=1e-2, average=0.99, batch_size=50)),
    "CausalTransformer": (
        CausalTransformer,
        {"heads": 3, "dropout": 0.05},
        dict(epochs=4, lr=1.2e-2, schedule=rising, betas=(0.9, 0.99), average=0.99, batch_size=25),
    ),
    "PixelCNN": (
        PixelCNN,
        {"channels": 48, "depth": 6, "dropout": 0.5},
        dict(epochs=5, lr=1e-2, average=0.99, batch_size=50),
    ),
}
UNMOVED = 5  # how often the images as they are stand among their 8 moves
BEST = ("CausalConv", "CausalTransformer", "PixelCNN")
PLAIN = dict(epochs=40, patience=5, lr=4e-3, average=0.99)  # of a MADE without shifted images
EVEN = ("LogisticAR", "MADE")  # also with the images as they are once
SIZES = (125, 250, 500, 1000)


def orders() -> dict[str, list[int]]:
    """Orders of generation of an 8 × 8 image, each a list of pixels in raster numbering."""
    grid = np.arange(64).reshape(8, 8)
    spiral, rest = [], grid
    while rest.size:  # from the border to the middle
        spiral, rest = [*spiral, *rest[0]], np.rot90(rest[1:])
    shuffled = np.random.default_rng(0).permutation(64)
    named = {"raster": grid.ravel(), "reversed": grid.ravel()[::-1], "columns": grid.T.ravel()}
    named |= {"spiral": spiral, "spiral outwards": spiral[::-1], "random": shuffled}
    return {name: [int(i) for i in order] for name, order in named.items()}


def jobs(seeds: int) -> list[tuple]:
    """(kind, which, seed) of everything to be trained, the longest first."""
    kinds = [("model", name) for name in reversed(MODELS)] + [("label", "MADE")]
    kinds += [("even", name) for name in EVEN]
    kinds += [("order", name) for name in orders()] + [("size", size) for size in SIZES[:-1]]
    return [(*kind, seed) for kind in kinds for seed in range(seeds)]


def build(kind: str, which, seed: int):
    """Return the model of a job, with its first weights."""
    if kind in ("model", "even"):
        kind_of_model, arguments, _ = MODELS[which]
        return kind_of_model(SHAPE, LEVELS, **arguments, condition=MARKS, seed=seed)
    if kind == "label":
        return MADE(SHAPE, LEVELS, condition=CLASSES + MARKS, seed=seed)
    return MADE(SHAPE, LEVELS, order=orders()[which] if kind == "order" else None, seed=seed)


def condition(kind: str, split) -> torch.Tensor | None:
    """What a model of this kind is told about images that have not been shifted."""
    mark = unshifted(split.x)
    return {"model": mark, "even": mark, "label": features(split.y, mark)}.get(kind)


def train(job: tuple, folder: Path) -> dict:
    """Train the model of a job, keep its weights in the folder, and return what was measured."""
    torch.set_num_threads(1)
    (kind, which, seed), data = job, digits()
    model, settings = build(*job), PLAIN
    first = slice(which if kind == "size" else None)
    known = Split(data.train.x[first], data.train.y[first])
    seen, valid = known.x, data.valid.x
    if kind in ("model", "even", "label"):
        x, mark = shifts(known.x, 1 if kind == "even" else UNMOVED)
        given = features(known.y, mark) if kind == "label" else mark
        seen, valid = (x, given), (valid, condition(kind, data.valid))
        settings = MODELS[which][2] | {"patience": 4}
        if kind == "even":  # as many images
            settings = settings | {"epochs": settings["epochs"] * (MARKS + UNMOVED - 1) // MARKS}
    elif kind == "size":  # about as many images, whatever the size
        settings = settings | {"epochs": 40_000 // which, "patience": 5000 // which, "batch_size": which // 10}
    start = time.process_time()  # of this one thread, whatever else the machine does
    history = fit(model, seen, valid, seed=seed, progress=False, **settings)
    seconds = time.process_time() - start
    save_file(model.state_dict(), folder / f"{kind} {which} {seed}.safetensors")
    parts = {"valid": data.valid, "test": data.test, "train": known}
    result = {name: evaluate(model, part.x, condition(kind, part)).nats for name, part in parts.items()}
    if kind == "label":
        result["accuracy"] = (classify(model, data.test.x) == data.test.y).float().mean().item()
    count = sum(parameter.numel() for parameter in model.parameters())
    return result | {"seconds": seconds, "epochs": history.best_epoch, "parameters": count}


def load(job: tuple, folder: Path):
    kind, which, seed = job
    model = build(*job)
    model.load_state_dict(load_file(folder / f"{kind} {which} {seed}.safetensors"))
    return model.eval()


@torch.no_grad()
def classify(model, x: torch.Tensor) -> torch.Tensor:
    """argmax_y log p(x | y), (B,): all labels are equally probable beforehand."""
    mark = unshifted(x)
    scores = [model.log_prob(x, features(torch.full_like(mark, y), mark)) for y in range(CLASSES)]
    return torch.stack(scores).argmax(0)


def baselines(data) -> dict[str, float]:
    """Nats on the test split of models without autoregression, their settings chosen on the validation split."""
    one_hot = {
        name: F.one_hot(getattr(data, name).x.flatten(1), LEVELS).double() for name in ("train", "valid", "test")
    }

    def independent(alpha):
        counts = one_hot["train"].sum(0) + alpha
        log_p = (counts / counts.sum(-1, keepdim=True)).log()
        return {name: -(x * log_p).sum((1, 2)).mean().item() for name, x in one_hot.items()}

    def mixture(components, shrink):
        """Maximum likelihood by expectation and maximisation; every component is drawn towards the common marginals."""
        x, generator = one_hot["train"], torch.Generator().manual_seed(0)
        marginal = (x.sum(0) + 0.1) / (x.sum(0) + 0.1).sum(-1, keepdim=True)
        r = torch.rand(len(x), components, generator=generator).double().softmax(1)  # responsibilities
        for _ in range(60):
            counts = torch.einsum("nk,ndl->kdl", r, x) + shrink * marginal
            log_p, log_w = (counts / counts.sum(-1, keepdim=True)).log(), r.mean(0).log()
            r = (torch.einsum("ndl,kdl->nk", x, log_p) + log_w).softmax(1)
        score = {name: torch.einsum("ndl,kdl->nk", x, log_p) + log_w for name, x in one_hot.items()}
        return {name: -s.logsumexp(1).mean().item() for name, s in score.items()}

    factorised = min((independent(alpha) for alpha in (0.03, 0.1, 0.3, 1.0)), key=lambda nats: nats["valid"])
    grid = [(components, shrink) for components in (10, 20, 40, 80) for shrink in (2.0, 5.0, 10.0, 20.0)]
    mixed = min((mixture(*settings) for settings in grid), key=lambda nats: nats["valid"])
    return {"uniform": 64 * np.log(LEVELS), "factorised": factorised["test"], "mixture of factorised": mixed["test"]}


def files(data) -> dict[str, float]:
    """Bits per image of the test digits in general formats: the best of several layouts of the same pixels."""
    x = data.test.x.flatten(1).numpy().astype(np.uint8)  # (447, 64)
    mosaic = np.concatenate(np.pad(x, ((0, 1), (0, 0))).reshape(8, 56, 8, 8).transpose(0, 2, 1, 3)).reshape(64, 448)
    packed = np.packbits(np.unpackbits(x[..., None], axis=-1)[..., 3:], axis=None)  # five bits a pixel
    layouts = [x.tobytes(), np.ascontiguousarray(x.T).tobytes(), packed.tobytes()]
    before = data.train.x.flatten(1).numpy().astype(np.uint8).tobytes()

    def picture(kind: str, **options) -> int:
        sizes = []
        for pixels in (x, x.T, x.reshape(-1, 8), mosaic):
            for scale in (1, 15):
                file = io.BytesIO()
                Image.fromarray(np.ascontiguousarray(pixels * np.uint8(scale))).save(file, kind, **options)
                sizes.append(len(file.getvalue()))
        return min(sizes)

    trained = zstandard.train_dictionary(16_384, [before[i : i + 64] for i in range(0, len(before), 64)])
    raw = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    packers = [zstandard.ZstdCompressor(level=22, dict_data=given) for given in (trained, raw)]
    sizes = {
        "gzip": min(len(gzip.compress(v, 9)) for v in layouts),
        "PNG": picture("PNG", optimize=True),
        "WebP": picture("WebP", lossless=True, quality=100, method=6),
        "bz2": min(len(bz2.compress(v)) for v in layouts),
        "zstd": min(len(zstandard.ZstdCompressor(level=22).compress(v)) for v in layouts),
        "zstd, training images as dictionary": min(len(p.compress(v)) for v in layouts for p in packers),
        "xz": min(len(lzma.compress(v, preset=9 | lzma.PRESET_EXTREME)) for v in layouts),
    }
    return {name: 8 * size / len(x) for name, size in sizes.items()}


def completion(folder: Path, seeds: int, data) -> dict:
    """Nats of the lower half: on its own (a model that draws it first), and given the upper half."""
    alone, given = [], []
    for seed in range(seeds):
        first, last = (load(("order", name, seed), folder) for name in ("reversed", "raster"))
        with torch.no_grad():
            alone.append(first.surprise(data.test.x)[:, :, 4:].sum((1, 2, 3)).mean().item())
            given.append(last.surprise(data.test.x)[:, :, 4:].sum((1, 2, 3)).mean().item())
    return {"lower half": summary(alone), "lower half, given the upper": summary(given)}


def images_per_second(model, n: int, cache: bool) -> float:
    y = torch.zeros(n, dtype=torch.long)
    with seeded(0):
        model.sample(2, y=y[:2], cache=cache)
        start = time.process_time()
        model.sample(n, y=y, cache=cache)
    return n / (time.process_time() - start)


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, and return the table."""
    data = digits()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        done = train_all(partial(train, folder=folder), jobs(seeds), workers)
        torch.set_num_threads(1)
        results = {"baselines": baselines(data), "files": files(data), "completion": completion(folder, seeds, data)}
        results |= over_seeds(done)
        for name in MODELS:
            model = load(("model", name, 0), folder)
            speed = {"cached": images_per_second(model, 1000, True), "naive": images_per_second(model, 100, False)}
            results["models"][name]["images per second"] = speed
        ensembles = [Ensemble([load(("model", name, seed), folder) for name in BEST]) for seed in range(seeds)]
        parts = {"valid": data.valid, "test": data.test}
        nats = {k: [evaluate(e, p.x, condition("model", p)).nats for e in ensembles] for k, p in parts.items()}
        results["models"]["Ensemble"] = {key: summary(values) for key, values in nats.items()}
        made = [describe(compress(e, data.test.x, condition("model", data.test))) for e in ensembles]
        sizes = [file.payload / file.n for file in made]  # the header is another 0.7 bits an image
        weights = sum(parameter.numel() for parameter in ensembles[0].parameters()) * 16 / len(data.test.x)
        results["ensemble file"] = {"bits per image": summary(sizes), "bits per image of 16-bit weights": weights}
    return results


def show(results: dict) -> None:
    """Print the table."""
    for name, nats in results["baselines"].items():
        print(f"{name:24} {nats:7.2f}")
    for name, row in results["models"].items():
        extra = f"{row['seconds']['mean']:5.0f} s" if "seconds" in row else ""
        print(f"{name:24} {row['test']['mean']:7.2f} ± {row['test']['sd']:.2f} nats {extra}")
    for group in ("orders", "sizes", "labels", "evens"):
        for name, row in results[group].items():
            print(f"{group[:-1]} {name!s:18} {row['test']['mean']:7.2f} ± {row['test']['sd']:.2f} nats")
    for name, row in results["completion"].items():
        print(f"{name:28} {row['mean']:6.2f} nats")
    for name, bits in results["files"].items():
        print(f"{name:40} {bits:6.1f} bits an image")
    print(f"{'ensemble and entropy coder':40} {results['ensemble file']['bits per image']['mean']:6.1f} bits an image")
