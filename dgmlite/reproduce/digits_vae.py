"""VAEs on the digits: decoders, priors, tighter training bounds, rate against distortion, and training sizes."""

import time

import torch

from dgmlite.data import digits, shifts
from dgmlite.evaluation import aggregate_posterior, elbo, iwae
from dgmlite.models.autoregressive import MADE
from dgmlite.models.flow import RealNVP
from dgmlite.models.vae import VAE
from dgmlite.networks import seeded
from dgmlite.reproduce._run import over_seeds, train_all, unshifted
from dgmlite.training import fit

SHAPE, LEVELS, MARKS, LATENT = (1, 8, 8), 17, 9, 16
BASE = dict(latent=LATENT, hidden=(500,), dropout=0.1, condition=MARKS)
MODELS = {  # name: what differs from BASE; settings chosen on the validation split
    "VAE": {},
    "two hidden layers": {"hidden": (250, 250)},
    "logistic mixture": {"likelihood": "logistic"},
    "trained with k = 5": {"k": 5},
    "flow as prior": {"prior": "flow"},
    "two latent dimensions": {"latent": 2, "likelihood": "logistic"},
    "MADE as decoder": {"decoder": "MADE"},
    "MADE as decoder, free bits": {"decoder": "MADE", "free_bits": 0.5},
}
BETAS = (0.1, 0.3, 2.0, 4.0, 8.0)
SIZES = (125, 250, 500, 1000)
FIT = dict(steps=1800, lr=2e-3, average=0.99)  # 20 epochs of all training images, moved by up to one pixel


def jobs(seeds: int) -> list[tuple]:
    """(kind, which, seed) of everything to be trained."""
    kinds = [("model", name) for name in MODELS] + [("beta", beta) for beta in BETAS]
    kinds += [("size", size) for size in SIZES[:-1]]
    return [(*kind, seed) for kind in kinds for seed in range(seeds)]


def build(kind: str, which, seed: int) -> VAE:
    """Return the model of a job, with its first weights."""
    given = BASE | (MODELS[which] if kind == "model" else {}) | ({"beta": which} if kind == "beta" else {})
    if "decoder" in given:
        given["decoder"] = MADE(SHAPE, LEVELS, hidden=(500,), condition=given["latent"] + MARKS, seed=seed)
    if "prior" in given:
        given["prior"] = RealNVP((given["latent"],), depth=4, hidden=64, seed=seed)
    return VAE(SHAPE, LEVELS, **given, seed=seed)


def train(job: tuple) -> dict:
    """Train the model of a job, and return what was measured."""
    torch.set_num_threads(1)
    (kind, which, seed), data = job, digits()
    model = build(*job)
    x = data.train.x[: which if kind == "size" else None]
    splits = {"train": x, "valid": data.valid.x, "test": data.test.x}
    start = time.process_time()  # of this one thread, whatever else the machine does
    history = fit(model, shifts(x), (data.valid.x, unshifted(data.valid.x)), seed=seed, progress=False, **FIT)
    result = {"seconds": time.process_time() - start, "epochs": history.best_epoch}
    for name, part in splits.items():
        result[name] = elbo(model, part, 10, unshifted(part)).nats
    result["test IW"] = iwae(model, data.test.x, 1000 if kind == "model" else 100, unshifted(data.test.x)).nats
    with torch.no_grad(), seeded(0):
        distortion, rate = (term.mean(0).sum().item() for term in model.terms(data.test.x, unshifted(data.test.x)))
    use = aggregate_posterior(model, data.test.x, unshifted(data.test.x))
    result |= {"distortion": distortion, "rate": rate, "mutual information": use.mutual_information}
    result |= {"marginal KL": use.marginal_kl, "active": use.active}
    return result | {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, and return the table."""
    return over_seeds(train_all(train, jobs(seeds), workers))


def show(results: dict) -> None:
    """Print the table."""
    for kind in ("models", "betas", "sizes"):
        for name, row in results[kind].items():
            mean = {key: value["mean"] for key, value in row.items()}
            k = 1000 if kind == "models" else 100
            print(
                f"{kind[:-1]:6} {name!s:27} {mean['test']:7.2f} ± {row['test']['sd']:.2f} nats, {mean['test IW']:6.2f} "
                f"with {k} weights; rate {mean['rate']:5.2f}, {mean['active']:4.1f} active, {mean['seconds']:4.0f} s"
            )
