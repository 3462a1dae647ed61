"""GANs on a ring of eight narrow Gaussians and on a grid of 25: which of the known repairs mends mode collapse."""

import time

import torch

from dgmlite.data import Density, ring_of_gaussians
from dgmlite.evaluation import modes
from dgmlite.models.gan import GAN
from dgmlite.networks import seeded
from dgmlite.reproduce._run import over_seeds, train_all
from dgmlite.training import fit

RADIUS, STD, N = 2.0, 0.05, 25_600
BASE = dict(latent=2, hidden=(40,) * 5)
R1 = dict(penalty="r1", weight=0.02)
MODELS = {  # name: (what differs in the model, what differs in training)
    "no penalty": ({}, {}),
    "R1": (R1, {}),
    "Wasserstein": (dict(objective="wasserstein", penalty="gradient", weight=0.1), {}),
    "packs of 4": (dict(pack=4), {}),
    "R1, long memory": (R1, dict(betas=(0.9, 0.999))),
    "hasty generator": ({}, dict(steps_per_player={"generator": 5}, schedule="constant", average=None)),
    "grid, R1": (R1 | dict(weight=1.0), {}),
}
FIT = dict(steps=20_000, batch_size=256, lr=3e-3, betas=(0.5, 0.99), schedule="cosine", average=0.99)


def target(name: str) -> Density:
    """Return what a row learns."""
    if name.startswith("grid"):
        side = torch.linspace(-4, 4, 5, dtype=torch.float64)
        return Density(torch.cartesian_prod(side, side), STD)
    return ring_of_gaussians(8, RADIUS, STD)


def train(job: tuple) -> dict:
    """Train the model of a job, (kind, which, seed), and return what was measured."""
    torch.set_num_threads(1)
    _, name, seed = job
    options, training = MODELS[name]
    density, model = target(name), GAN((2,), None, **BASE, **options, seed=seed)
    start = time.process_time()  # of this one thread, whatever else the machine does
    fit(model, density.sample(N, seed=100 + seed), seed=seed, device="cpu", progress=False, **FIT | training)
    result = {"seconds": time.process_time() - start}
    with seeded(seed):
        samples = model.sample(10_000)
    found = modes(samples, density.centres, 3 * STD, least=20)
    shares = found.counts / found.counts.sum().clamp(min=1)
    near = modes(samples, density.centres, 6 * STD)
    return result | {
        "modes": found.covered,
        "good": found.good,
        "within 6 std": near.good,
        "largest share": shares.max().item(),
        "smallest share": shares.min().item(),
    }


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, and return the table."""
    return over_seeds(train_all(train, [("model", name, seed) for name in MODELS for seed in range(seeds)], workers))


def show(results: dict) -> None:
    """Print the table."""
    for name, row in results["models"].items():
        found, good, seconds = (row[key] for key in ("modes", "good", "seconds"))
        print(f"{name:20} modes {found['all']}, good {good['mean']:.3f} ± {good['sd']:.3f}, {seconds['mean']:.0f} s")
