"""Flows on the digits: RealNVP with what later flows added, ways to make levels continuous, and training sizes."""

import math
import time
from functools import partial

import torch

from dgmlite.data import digits, shifts
from dgmlite.evaluation import elbo, evaluate, iwae
from dgmlite.models.flow import Affine, Coupling, Dequantised, RealNVP, Sequential
from dgmlite.networks import MLP, seeded
from dgmlite.reproduce._run import over_seeds, train_all, unshifted
from dgmlite.training import fit

SHAPE, LEVELS, MARKS, D = (1, 8, 8), 17, 9, 64
BASE = dict(depth=8, hidden=32)
MODELS = {  # name: what differs from BASE; settings chosen on the validation split
    "RealNVP": {},
    "actnorm": {"actnorm": True},
    "1 × 1 convolutions": {"linear": True},
    "two scales": {"scales": 2, "depth": 6},
    "variational dequantisation": {"noise": True},
    "splines": {"kind": "spline"},
    "all but scales": {"kind": "spline", "actnorm": True, "linear": True, "noise": True},
}
SPREADS = ("even", "scaled", "scaled, half cells")  # of the levels over the reals; MODELS start from frequencies
SIZES = (125, 250, 500, 1000)
FIT = dict(steps=1080, lr=4e-3, average=0.99)  # 12 epochs of all training images, moved by up to one pixel


def jobs(seeds: int) -> list[tuple]:
    """(kind, which, seed) of everything to be trained."""
    kinds = [("model", name) for name in reversed(MODELS)] + [("spread", name) for name in SPREADS]
    kinds += [("size", size) for size in SIZES[:-1]]
    return [(*kind, seed) for kind in kinds for seed in range(seeds)]


class HalfCells(Dequantised):
    """u = (1 − r) / 2 with r uniform: a bound too, if log q(u | x) = D ln 2 is paid. The usual mistake forgets it."""

    def _noise(self, x):
        return (1 - torch.rand(x.shape)) / 2, D * math.log(2)


def build(kind: str, which, seed: int) -> Dequantised:
    """Return the model of a job, with its first weights."""
    given = BASE | (MODELS[which] if kind == "model" else {})
    noise = variational(seed) if given.pop("noise", False) else None
    make = HalfCells if which == "scaled, half cells" else Dequantised
    model = make(RealNVP(SHAPE, **given, condition=MARKS, seed=seed), LEVELS, noise)
    if kind == "spread":  # nothing starts from data
        model.initialised.fill_(True)
        if which.startswith("scaled"):
            model.gaussianise = scaled()
        model.gaussianise.requires_grad_(False)
    return model


def variational(seed: int, hidden: int = 64) -> Sequential:
    """A small flow for the noise within the cells, given the levels."""
    with seeded(seed):
        network = partial(MLP, hidden=(hidden,), condition=D)
        return Sequential(Coupling(D, network), Coupling(D, network, flip=True))


def scaled() -> Affine:
    """(0, levels) → (−1, 1), as much code does; the mass that a flow puts beyond is lost."""
    scale = Affine(SHAPE)
    scale.loc.data.fill_(LEVELS / 2)
    scale.log_scale.data.fill_(math.log(LEVELS / 2))
    scale.logits = scale.loc  # knows the device and the precision
    return scale


def train(job: tuple) -> dict:
    """Train the model of a job, and return what was measured."""
    torch.set_num_threads(1)
    (kind, which, seed), data = job, digits()
    model = build(*job)
    x, valid, test = data.train.x[: which if kind == "size" else None], data.valid.x, data.test.x
    start = time.process_time()  # of this one thread, whatever else the machine does
    history = fit(model, shifts(x), (valid, unshifted(valid)), seed=seed, progress=False, **FIT)
    seconds = time.process_time() - start
    result = {name: evaluate(model, part, unshifted(part)).nats for name, part in (("train", x), ("valid", valid))}
    result["test"] = elbo(model, test, 100, unshifted(test), batch_size=1000).nats
    result["test IW"] = iwae(model, test, 100, unshifted(test), batch_size=1000).nats
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return result | {"seconds": seconds, "epochs": history.best_epoch, "parameters": count}


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, and return the table."""
    return over_seeds(train_all(train, jobs(seeds), workers))


def show(results: dict) -> None:
    """Print the table."""
    for kind in ("models", "spreads", "sizes"):
        for name, row in results[kind].items():
            bound, tighter, seconds = row["test"], row["test IW"]["mean"], row["seconds"]["mean"]
            print(
                f"{kind[:-1]:7} {name!s:26} {bound['mean']:7.2f} ± {bound['sd']:.2f} nats, {tighter:7.2f} with 100",
                end="",
            )
            print(f" importance samples, {seconds:4.0f} s")
