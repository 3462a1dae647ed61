"""Diffusion models on the digits: what is predicted, schedules, the paper's recipe, few steps, and training sizes."""

import time

import numpy as np
import torch
from sklearn.svm import SVC

from dgmlite.data import digits, shifts
from dgmlite.evaluation import elbo, evaluate, mmd, nearest
from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.networks import MLP, seeded
from dgmlite.reproduce._run import over_seeds, train_all, unshifted
from dgmlite.training import fit

SHAPE, LEVELS, MARKS, T, ENDS = (1, 8, 8), 17, 9, 256, (7, -6)
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
SIZES = (125, 250, 500, 1000)
STEPS = (1, 2, 5, 10, 25, 50, 100, T)
FIT = dict(steps=2160, lr=8e-3, schedule="cosine", average=0.99)  # 24 epochs of all training images, moved by a pixel


def jobs(seeds: int) -> list[tuple]:
    """(kind, which, seed) of everything to be trained."""
    kinds = [("model", name) for name in MODELS] + [("size", size) for size in SIZES[:-1]]
    return [(*kind, seed) for kind in kinds for seed in range(seeds)]


def build(kind: str, which, seed: int) -> DDPM:
    """Return the model of a job, with its first weights."""
    given = BASE | (MODELS[which] if kind == "model" else {})
    given["schedule"] = Schedule(T, given.get("schedule", "log-snr"), ENDS)
    if "network" in given:
        with seeded(seed):
            given["network"] = MLP(64, 64 * LEVELS, given["network"], 32 + MARKS, 0.1)
    return DDPM(SHAPE, LEVELS, **given, seed=seed)


def train(job: tuple) -> dict:
    """Train the model of a job, and return what was measured."""
    torch.set_num_threads(1)
    (kind, which, seed), data = job, digits()
    model = build(*job)
    x = data.train.x[: which if kind == "size" else None]
    start = time.process_time()  # of this one thread, whatever else the machine does
    history = fit(model, shifts(x), (data.valid.x, unshifted(data.valid.x)), seed=seed, progress=False, **FIT)
    result = {"seconds": time.process_time() - start, "epochs": history.best_epoch}
    for name, part in {"valid": data.valid.x, "test": data.test.x}.items():
        result[name] = elbo(model, part, 1, unshifted(part)).nats
    many = x.repeat(40_000 // len(x), 1, 1, 1)  # one t each
    result["train"] = evaluate(model, many, unshifted(many)).nats
    if job[:2] == ("model", "DDPM"):
        result |= quality(model, data)
        for other in (64, 1024):  # the same weights
            model.schedule = Schedule(other, ends=ENDS)
            result[f"test, T = {other}"] = elbo(model, data.test.x, 1, unshifted(data.test.x)).nats
    return result | {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def quality(model: DDPM, data) -> dict:
    """Return the scores of 1000 samples with few steps and with all, and those of the training images themselves."""
    judge = SVC(gamma=0.001).fit(data.train.x.flatten(1), data.train.y)
    result = {f"training images, {name}": value for name, value in scores(data.train.x, data, judge).items()}
    y = unshifted(data.train.x)
    for eta in (1, 0):
        for n in STEPS:
            with seeded(0):
                if n == 1:
                    z = torch.randn(len(y), *SHAPE)
                    samples = model.denoise(z, T, y).round().long()
                else:
                    samples = model.sample(len(y), y, steps=n, eta=eta)
            result |= {f"η = {eta}, {n} steps, {name}": value for name, value in scores(samples, data, judge).items()}
    return result


def scores(samples: torch.Tensor, data, judge: SVC) -> dict[str, float]:
    """MMD² to the test images; half the sum of differences of class shares; mean distances to the nearest image."""
    test, (made, real) = data.test.x, (judge.predict(v.flatten(1)) for v in (samples, data.test.x))
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
    for kind in ("models", "sizes"):
        for name, row in results[kind].items():
            mean = {key: value["mean"] for key, value in row.items()}
            print(
                f"{kind[:-1]:6} {name!s:27} {mean['test']:7.2f} ± {row['test']['sd']:.2f} nats, valid "
                f"{mean['valid']:6.2f}, train {mean['train']:6.2f}, {mean['seconds']:4.0f} s"
            )
    for name, value in results["models"]["DDPM"].items():
        if "," in name:
            print(f"{name:45} {value['mean']:8.4f} ± {value['sd']:.4f}")
