"""Diffusion models on the digits: predictions, schedules, few steps, training sizes, samples learned and copied."""

import time

import numpy as np
import torch
from sklearn.svm import SVC

from dgmlite.data import Dataset, digits, shifts
from dgmlite.evaluation import elbo, evaluate, mmd, nearest
from dgmlite.models.diffusion import DDPM, TIME, Schedule
from dgmlite.networks import MLP, UNet, seeded
from dgmlite.reproduce._run import Wide, features, over_seeds, train_all, unshifted
from dgmlite.training import fit

SHAPE, LEVELS, MARKS, T, ENDS = (1, 8, 8), 17, 9, 256, (7, -6)
CONDITION = 10 + MARKS  # features of a model that is told the class
BASE = dict(channels=16, condition=MARKS)
MODELS = {  # name: what differs from BASE; settings chosen on the validation split
    "DDPM": {},
    "simple loss": {"weighting": "simple"},
    "x0": {"predict": "x0"},
    "noise": {"predict": "noise"},
    "v": {"predict": "v"},
    "linear": {"schedule": "linear"},
    "cosine": {"schedule": "cosine"},
    "noise, simple loss, linear": {"predict": "noise", "weighting": "simple", "schedule": "linear"},  # Ho et al.
    "MLP": {"network": (500, 500)},
}
LABELS = {  # name: hidden units in the middle, dropout, copies unmoved, steps, whether validation may end training
    "class": (0, 0.0, 1, 2160, True),
    "wide, dropout": (300, 0.2, 5, 2160, True),
    "wide": (600, 0.0, 20, 2160, True),
    "wide, to the end": (600, 0.0, 20, 2160, False),
    "wide, hardly moved": (600, 0.0, 200, 2160, False),
    "wide, hardly moved, longer": (600, 0.0, 200, 5000, False),
}
SIZES = (125, 250, 500, 1000)
STEPS = (1, 2, 5, 10, 25, 50, 100, T)
FIT = dict(steps=2160, lr=8e-3, schedule="cosine", average=0.99)  # 24 epochs of all training images, moved by a pixel


def jobs(seeds: int) -> list[tuple]:
    """(kind, which, seed) of everything to be trained."""
    kinds = [("model", name) for name in MODELS] + [("label", name) for name in LABELS]
    kinds += [("size", size) for size in SIZES[:-1]]
    return [(*kind, seed) for kind in kinds for seed in range(seeds)]


def build(kind: str, which, seed: int) -> DDPM:
    """Return the model of a job, with its first weights."""
    given = BASE | (MODELS[which] if kind == "model" else {})
    given["schedule"] = Schedule(T, given.get("schedule", "log-snr"), ENDS)
    with seeded(seed):
        if "network" in given:
            given["network"] = MLP(64, 64 * LEVELS, given["network"], TIME + MARKS, 0.1)
        elif kind == "label":
            hidden, dropout, *_ = LABELS[which]
            network = UNet(1, LEVELS, 16, 1, TIME + CONDITION, dropout)
            if hidden:
                network.down[-1] = Wide(network.down[-1], (32, 4, 4), hidden)
            given |= {"network": network, "condition": CONDITION}
    return DDPM(SHAPE, LEVELS, **given, seed=seed)


def train(job: tuple) -> dict:
    """Train the model of a job, and return what was measured."""
    torch.set_num_threads(1)
    (kind, which, seed), data = job, digits()
    unmoved, steps, stop = LABELS[which][2:] if kind == "label" else (1, FIT["steps"], True)
    model, first = build(*job), which if kind == "size" else None
    x, y = data.train.x[:first], data.train.y[:first]
    moved, mark = shifts(x, unmoved)
    start = time.process_time()  # of this one thread, whatever else the machine does
    settings = FIT | {"steps": steps, "valid": (data.valid.x, condition(kind, data.valid.y)) if stop else None}
    history = fit(model, (moved, condition(kind, y, mark)), seed=seed, progress=False, **settings)
    result = {"seconds": time.process_time() - start, "epochs": history.best_epoch or len(history.train)}
    for name, part in {"valid": data.valid, "test": data.test}.items():
        result[name] = elbo(model, part.x, 1, condition(kind, part.y)).nats
    many = 40_000 // len(x)  # one t each
    result["train"] = evaluate(model, x.repeat(many, 1, 1, 1), condition(kind, y.repeat(many))).nats
    if kind == "label":
        y = condition(kind, torch.arange(len(data.train.x)) % 10)
        result |= named(f"η = 1, {T} steps", scores(draw(model, y, T, 1), data, judge(data)))
    elif which == "DDPM":
        result |= quality(model, data)
        for other in (64, 1024):  # the same weights
            model.schedule = Schedule(other, ends=ENDS)
            result[f"test, T = {other}"] = elbo(model, data.test.x, 1, unshifted(data.test.x)).nats
    return result | {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def condition(kind: str, y: torch.Tensor, mark: torch.Tensor | None = None) -> torch.Tensor:
    """What a model of this kind is told about images of classes y, not moved unless marks are given."""
    mark = unshifted(y) if mark is None else mark
    return features(y, mark) if kind == "label" else mark


def draw(model: DDPM, y: torch.Tensor, steps: int, eta: float) -> torch.Tensor:
    """Return a sample for each of y; the guess at T, rounded, if there is one step only."""
    with seeded(0):
        if steps == 1:
            return model.denoise(torch.randn(len(y), *SHAPE), T, y).round().long()
        return model.sample(len(y), y, steps=steps, eta=eta)


def judge(data: Dataset) -> SVC:
    """Return a classifier of images."""
    return SVC(gamma=0.001).fit(data.train.x.flatten(1), data.train.y)


def named(name: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{name}, {key}": value for key, value in values.items()}


def quality(model: DDPM, data: Dataset) -> dict[str, float]:
    """Return the scores of 1000 samples with few steps and with all, and those of the training images themselves."""
    classifier, y = judge(data), unshifted(data.train.x)
    result = named("training images", scores(data.train.x, data, classifier))
    for eta in (1, 0):
        for n in STEPS:
            result |= named(f"η = {eta}, {n} steps", scores(draw(model, y, n, eta), data, classifier))
    return result


def scores(samples: torch.Tensor, data: Dataset, classifier: SVC) -> dict[str, float]:
    """MMD² to the test images; half the sum of differences of class shares; mean distances to the nearest image."""
    test, (made, real) = data.test.x, (classifier.predict(v.flatten(1)) for v in (samples, data.test.x))
    shares = [np.bincount(classes, minlength=10) / len(classes) for classes in (made, real)]
    return {
        "MMD²": mmd(samples, test),
        "classes": 0.5 * np.abs(shares[0] - shares[1]).sum(),
        "nearest test image": nearest(samples, test)[0].mean().item(),
        "nearest sample": nearest(test, samples)[0].mean().item(),
        "nearest training image": nearest(samples, data.train.x)[0].median().item(),
    }


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, and return the table."""
    return over_seeds(train_all(train, jobs(seeds), workers))


def show(results: dict) -> None:
    """Print the table."""
    for kind in ("models", "labels", "sizes"):
        for name, row in results[kind].items():
            mean = {key: value["mean"] for key, value in row.items()}
            print(
                f"{kind[:-1]:6} {name!s:28} {mean['test']:7.2f} ± {row['test']['sd']:.2f} nats, valid "
                f"{mean['valid']:6.2f}, train {mean['train']:6.2f}, {mean['seconds']:4.0f} s"
            )
    for row in (results["models"]["DDPM"], *results["labels"].values()):
        for name, value in row.items():
            if "," in name:
                print(f"{name:45} {value['mean']:8.4f} ± {value['sd']:.4f}")
