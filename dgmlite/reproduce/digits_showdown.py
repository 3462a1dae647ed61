"""Every family on the same digits with the same seconds and about the same number of weights, and what each gives."""

import hashlib
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from dgmlite.compression import compress, describe
from dgmlite.data import Dataset, digits, shifts
from dgmlite.evaluation import elbo, evaluate, iwae
from dgmlite.models.autoregressive import PixelCNN
from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.models.flow import Dequantised, RealNVP
from dgmlite.models.gan import GAN
from dgmlite.models.vae import VAE
from dgmlite.networks import seeded
from dgmlite.reproduce import digits_autoregressive, digits_flows, digits_gan, results
from dgmlite.reproduce._run import over_seeds, train_all, unshifted
from dgmlite.training import History, fit

SHAPE, LEVELS, MARKS, T, LATENT = (1, 8, 8), 17, 9, 256, 16
SECONDS = 40  # of one thread, for each; the steps below take about as long
WEIGHTS = Path(__file__).with_suffix(".safetensors")  # of seed 0, in half precision, as they were measured
LABELLED = (50, 1000)  # examples whose labels a linear classifier sees


def pixelcnn(seed: int) -> PixelCNN:
    return PixelCNN(SHAPE, LEVELS, channels=54, depth=5, dropout=0.5, condition=MARKS, seed=seed)


def flow(seed: int) -> Dequantised:
    real = RealNVP(SHAPE, depth=8, hidden=24, condition=MARKS, seed=seed)
    return Dequantised(real, LEVELS, digits_flows.variational(seed))


def vae(seed: int) -> VAE:
    return VAE(SHAPE, LEVELS, latent=LATENT, hidden=(90,), dropout=0.1, condition=MARKS, seed=seed)


def ddpm(seed: int) -> DDPM:
    return DDPM(SHAPE, LEVELS, channels=40, schedule=Schedule(T, ends=(7, -6)), condition=MARKS, seed=seed)


def gan(seed: int) -> GAN:
    return digits_gan.build("model", "GAN", seed)


FAMILIES = {  # name: (first weights, training), chosen on the validation split
    "autoregressive": (pixelcnn, dict(steps=450, lr=1.5e-2)),
    "flow": (flow, dict(steps=900, lr=4e-3)),
    "VAE": (vae, dict(steps=4500, lr=2e-3)),
    "diffusion": (ddpm, dict(steps=900, lr=4e-3)),
    "GAN": (gan, dict(steps=4500, lr=2.5e-3, batch_size=50, betas=(0.0, 0.99), average=0.998)),
}
COMMON = dict(schedule="cosine", average=0.99)


def learn(name: str, seed: int, **more) -> tuple[nn.Module, History]:
    """Train a family's model as for the table, and return it with its history."""
    data, (build, how) = digits(), FAMILIES[name]
    model, train, valid = build(seed), data.train.x, None
    if name != "GAN":  # moved images only if the model can be told that they are
        train, valid = shifts(train), (data.valid.x, unshifted(data.valid.x))
    return model, fit(model, train, valid, seed=seed, **COMMON | how | more)


def load(name: str) -> nn.Module:
    """Return the model of a family that seed 0 of the table has trained.

    Raises ValueError for an unknown name, and if the stored weights are not those of the table.

    >>> load("VAE").sample(3).shape
    torch.Size([3, 1, 8, 8])
    """
    if name not in FAMILIES:
        raise ValueError(f"name must be one of {', '.join(FAMILIES)}, got {name!r}")
    wanted = results("digits_showdown")["weights"]["sha256"]
    if (found := digest(WEIGHTS)) != wanted:
        raise ValueError(f"{WEIGHTS.name} has the SHA-256 {found}, the table was made with {wanted}: install again")
    model, first = FAMILIES[name][0](0), len(name) + 1
    model.load_state_dict({k[first:]: v for k, v in load_file(WEIGHTS).items() if k.startswith(f"{name}/")})
    return model.eval()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def train(job: tuple, folder: Path) -> dict:
    """Train the model of a job, keep its weights in the folder, and return what was measured of them."""
    torch.set_num_threads(1)
    (_, name, seed), data = job, digits()
    start = time.process_time()  # of this one thread, whatever else the machine does
    model, history = learn(name, seed, progress=False)
    result = {"seconds": time.process_time() - start, "parameters": sum(p.numel() for p in model.parameters())}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    parameters = dict(model.named_parameters())
    state = {key: v.half() if key in parameters else v for key, v in model.state_dict().items()}
    save_file(state, folder / f"{name} {seed}.safetensors")
    (folder / f"{name} {seed}.json").write_text(json.dumps(history.valid))
    return result | measure(model, data)


@torch.no_grad()
def measure(model: nn.Module, data: Dataset) -> dict:
    """Return nats, samples, files and representation of a model, as far as its family has them."""
    result, marks = {}, {} if isinstance(model, GAN) else {"y": unshifted(data.test.x)}
    for split, part in {"valid": data.valid.x, "test": data.test.x}.items():
        y = unshifted(part)
        if hasattr(model, "log_prob"):
            result[split] = evaluate(model, part, y).nats
        elif hasattr(model, "log_weight"):
            draws = 1 if isinstance(model, DDPM) else 10  # one of its trajectories has a draw for each of T steps
            result[split] = elbo(model, part, draws, y).nats
    if hasattr(model, "log_weight") and not isinstance(model, DDPM):  # whose hundred trajectories take an hour
        result["test, 100 weights"] = iwae(model, data.test.x, 100, **marks).nats
    try:
        about = describe(compress(model, data.test.x, **marks))
        result |= {"file": (8 * about.header + about.payload) / about.n, "initial bits": about.initial}
    except TypeError:
        pass  # this family has no files, and says why
    result |= samples(model, data)
    if hasattr(model, "encode"):
        result |= probe(partial(encode, model), data)
    return result


def samples(model: nn.Module, data: Dataset, n: int = 1000) -> dict:
    """Return how fast the model draws, and what the scores of the GAN's chapter say of its images."""
    y = {} if isinstance(model, GAN) else {"y": torch.zeros(n, dtype=torch.long)}
    with seeded(0):
        start = time.process_time()
        made = model.sample(n, **y)
        speed = n / (time.process_time() - start)
    scores = digits_gan.Scores(data)(made, data.test.x)
    return {"images per second": speed} | {f"samples, {key}": value for key, value in scores.items()}


def encode(model: nn.Module, x: Tensor) -> Tensor:
    """Return what stands for x in the model, (N, F): the mean of q(z | x), or the noise that x belongs to."""
    z = model.encode(x, unshifted(x))
    return (z if isinstance(z, Tensor) else z.mean).flatten(1)


def probe(features, data: Dataset) -> dict:
    """Return the accuracy on test images of logistic regression on features(x), for few and for many labels."""
    result = {}
    for n in LABELLED:
        judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        judge.fit(features(data.train.x[:n]), data.train.y[:n])
        result[f"accuracy, {n} labels"] = judge.score(features(data.test.x), data.test.y)
    return result


def references(data: Dataset) -> dict:
    """Return what needs no deep model: nats, files, scores of the training images, features to compare with."""
    pixels, flat = data.train.x, partial(torch.flatten, start_dim=1)
    pca = PCA(LATENT).fit(flat(pixels))
    return {
        "nats": digits_autoregressive.baselines(data),
        "files": digits_autoregressive.files(data),
        "training images": digits_gan.Scores(data)(pixels, data.test.x),
        "pixels": probe(flat, data),
        f"{LATENT} principal components": probe(lambda x: pca.transform(flat(x)), data),
    }


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, write the weights of seed 0, and return the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = [("model", name, seed) for name in FAMILIES for seed in range(seeds)]
        table = over_seeds(train_all(partial(train, folder=folder), jobs, workers))
        kept = {name: load_file(folder / f"{name} 0.safetensors") for name in FAMILIES}
        curves = {name: json.loads((folder / f"{name} 0.json").read_text()) for name in FAMILIES}
    save_file({f"{name}/{key}": v for name, state in kept.items() for key, v in state.items()}, WEIGHTS)
    weights = {"sha256": digest(WEIGHTS), "bytes": WEIGHTS.stat().st_size}
    return table | {"curves": curves, "references": references(digits()), "weights": weights}


def show(results: dict) -> None:
    """Print the table."""
    for name, row in results["models"].items():
        for key, value in row.items():
            print(f"{name:15} {key:36} {value['mean']:10.4f} ± {value['sd']:.4f}")
    print(f"weights: {results['weights']['bytes'] / 1e6:.2f} MB")
