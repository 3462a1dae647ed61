"""GANs on the digits: objectives and penalties, training sizes, and what each score of samples sees and misses."""

import math
import time

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from torch import nn

from dgmlite.data import digits
from dgmlite.evaluation import frechet_distance, mmd, nearest, precision_recall
from dgmlite.models.gan import GAN
from dgmlite.networks import seeded
from dgmlite.reproduce._run import over_seeds, train_all
from dgmlite.training import fit

SHAPE, LEVELS, SAMPLES = (1, 8, 8), 17, 1000
BASE = dict(latent=32, penalty="r1", weight=1.0)
MODELS = {  # name: what differs from BASE; settings chosen on the validation split
    "GAN": {},
    "no penalty": {"penalty": None},
    "minimax": {"objective": "minimax"},
    "Wasserstein": {"objective": "wasserstein", "penalty": "gradient", "weight": 10.0},
    "fully connected": {"generator": None, "critic": None, "hidden": (320,) * 3, "weight": 3.0},
}
SIZES = (125, 250, 500, 1000)
FIT = dict(steps=5000, batch_size=50, lr=2.5e-3, schedule="cosine", betas=(0.0, 0.99), average=0.998)
WIDTHS = torch.logspace(-2, 0, 21)  # of the Parzen window, for grey from 0 to 1


def jobs(seeds: int) -> list[tuple]:
    """(kind, which, seed) of everything to be trained."""
    kinds = [("model", name) for name in MODELS] + [("size", size) for size in SIZES[:-1]]
    return [(*kind, seed) for kind in kinds for seed in range(seeds)]


def build(kind: str, which, seed: int) -> GAN:
    """Return the model of a job, with its first weights."""
    with seeded(seed):
        players = dict(zip(("generator", "critic"), networks(BASE["latent"])))
    return GAN(SHAPE, LEVELS, **players | BASE | (MODELS[which] if kind == "model" else {}), seed=seed)


def networks(latent: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Return generator and critic: a convolution to smooth what is drawn, two to look at it."""
    leaky = nn.LeakyReLU(0.2)
    dense = nn.Linear(latent, 256), leaky, nn.Linear(256, 256), leaky, nn.Linear(256, 512), leaky
    generator = nn.Sequential(*dense, nn.Unflatten(1, (8, 8, 8)), nn.Conv2d(8, 1, 3, padding=1))
    look = nn.Conv2d(1, 16, 3, padding=1), leaky, nn.Conv2d(16, 32, 4, stride=2, padding=1), leaky, nn.Flatten()
    return generator, nn.Sequential(*look, nn.Linear(512, 128), leaky, nn.Linear(128, 1))


def train(job: tuple) -> dict:
    """Train the model of a job, and return what was measured."""
    torch.set_num_threads(1)
    (kind, which, seed), data = job, digits()
    model, score = build(*job), Scores(data)
    start = time.process_time()  # of this one thread, whatever else the machine does
    history = fit(model, data.train.x[: which if kind == "size" else None], seed=seed, progress=False, **FIT)
    result = {"seconds": time.process_time() - start, "epochs": len(history.train)}
    with seeded(0):
        samples, many = model.sample(SAMPLES), model.sample(5 * SAMPLES)
    for name, part in {"valid": data.valid.x, "test": data.test.x}.items():
        result |= {f"{name}, {key}": value for key, value in score(samples, part).items()}
        result[f"{name}, MMD²"] = mmd(many, part)  # with less noise
    result["train, MMD²"] = mmd(many, data.train.x)
    if job[:2] == ("model", "GAN"):
        for name, images in others(data).items():
            result |= {f"{name}: {key}": value for key, value in score(images, data.test.x).items()}
    return result | {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def others(data) -> dict[str, torch.Tensor]:
    """Return sets whose merits and faults are known, from the training images but for the validation images."""
    x, y = data.train.x, data.train.y
    with seeded(0):
        mixed = x.flatten(1).gather(0, torch.rand(len(x), 64).argsort(0)).view_as(x)
        return {
            "training images": x,
            "validation images": data.valid.x,
            "memorised": x[torch.randint(len(x), (SAMPLES,))],
            "without nines": x[y != 9],
            "noise of two levels": (x + 2 * torch.randn(x.shape)).round().clamp(0, LEVELS - 1).long(),
            "independent pixels": mixed,
        }


class Scores:
    """What tells of samples; the judge of classes and the features are learned from the training images."""

    def __init__(self, data):
        x, y = data.train.x.flatten(1), data.train.y
        self.data, self.judge = data, SVC(gamma=0.001).fit(x, y)
        self.network = MLPClassifier((32,), max_iter=500, random_state=0).fit(x / (LEVELS - 1), y)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the 32 hidden units of a small classifier of digits."""
        weights, bias = (torch.from_numpy(v[0]) for v in (self.network.coefs_, self.network.intercepts_))
        return (x.flatten(1).to(weights) / (LEVELS - 1) @ weights + bias).relu()

    def __call__(self, samples: torch.Tensor, real: torch.Tensor) -> dict[str, float]:
        """MMD² of pixels; precision, recall and Fréchet distance of features; entropy of classes, as a share of ln 10;
        median distance to the nearest training image; mean log-density of a Parzen window, in nats.
        """
        shares = np.unique(self.judge.predict(samples.flatten(1)), return_counts=True)[1] / len(samples)
        made, true = self.features(samples), self.features(real)
        precision, recall = precision_recall(made, true)
        result = {
            "MMD²": mmd(samples, real),
            "precision": precision,
            "recall": recall,
            **dict(zip(("precision of pixels", "recall of pixels"), precision_recall(samples, real))),
            "Fréchet distance": frechet_distance(made, true),
            "classes": len(shares),
            "entropy": -(shares * np.log(shares)).sum() / math.log(10),
            "nearest training image": nearest(samples, self.data.train.x)[0].median().item(),
        }
        valid = self.data.valid.x  # chooses the width
        return result if samples is valid else result | {"Parzen": parzen(samples, valid, real)}


def parzen(samples: torch.Tensor, valid: torch.Tensor, real: torch.Tensor) -> float:
    """Return the mean log-density of real images under normal bumps at the samples, as wide as is best for valid."""

    def log_p(x, width):
        d = torch.cdist(x.flatten(1).double(), samples.flatten(1).double()) / (LEVELS - 1)
        terms = -(d**2) / (2 * width**2) - 32 * math.log(2 * math.pi * width**2)
        return (terms.logsumexp(1) - math.log(len(samples))).mean().item()

    return log_p(real, max(WIDTHS.tolist(), key=lambda width: log_p(valid, width)))


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, and return the table."""
    return over_seeds(train_all(train, jobs(seeds), workers))


def show(results: dict) -> None:
    """Print the table."""
    for kind in ("models", "sizes"):
        for name, row in results[kind].items():
            print(f"{kind[:-1]} {name}: {row['seconds']['mean']:.0f} s")
            for key in [key for key in row if "," in key or ":" in key]:
                print(f"    {key:42} {row[key]['mean']:8.4f} ± {row[key]['sd']:.4f}")
