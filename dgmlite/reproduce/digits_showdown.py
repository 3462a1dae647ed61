"""Every family on the same digits with the same seconds and about the same number of weights, and what each gives.

Training takes 30 to 42 seconds of one thread, validation after each epoch included; weights are 200 000 ± 15 %, for the
GAN those of the generator. What a linear classifier is given is the mean of q(z | x) for the VAE, z for the flow. The
others have no code, but layers: the last of the PixelCNN, averaged over each quarter of the image; the narrowest of the
U-net, for one draw of z_t at a moderate noise; the last of the GAN's critic. Quarters, t and the classifier's
strength were chosen on the validation split, as all settings were.
"""

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
from dgmlite.evaluation import Evaluation, elbo, evaluate, iwae, mmd, nearest
from dgmlite.models.autoregressive import PixelCNN
from dgmlite.models.diffusion import DDPM, TIME, Schedule
from dgmlite.models.flow import Dequantised, RealNVP
from dgmlite.models.gan import GAN
from dgmlite.models.vae import VAE
from dgmlite.networks import UNet, seeded
from dgmlite.reproduce import digits_autoregressive, digits_flows, digits_gan, results
from dgmlite.reproduce._run import Grey, Wide, over_seeds, train_all, unshifted
from dgmlite.training import History, fit

SHAPE, LEVELS, MARKS, LATENT = (1, 8, 8), 17, 9, 16
SECONDS, PARAMETERS, SAMPLES = 42, 200_000, 1000
WEIGHTS = Path(__file__).with_suffix(".safetensors")  # of seed 0, in half precision, as they were measured
LABELLED = {50: 10, 1000: 1}  # examples whose labels a linear classifier sees: draws of them
SEEN = 64  # the t at which a diffusion model looks at an image that is to be classified


def pixelcnn(seed: int) -> PixelCNN:
    return PixelCNN(SHAPE, LEVELS, channels=53, depth=5, kernel=5, dropout=0.15, condition=MARKS, seed=seed)


def flow(seed: int) -> Dequantised:
    real = RealNVP(SHAPE, depth=4, hidden=34, kind="spline", actnorm=True, condition=MARKS, seed=seed)
    return Dequantised(real, LEVELS, digits_flows.variational(seed))


def vae(seed: int) -> VAE:
    with seeded(seed):
        encoder = Grey(64, 2 * LATENT, (200,), MARKS, dropout=0.1)
    rest = dict(hidden=(170,), likelihood="logistic", dropout=0.1, condition=MARKS, seed=seed)
    return VAE(SHAPE, LEVELS, LATENT, encoder, **rest)


def ddpm(seed: int) -> DDPM:
    with seeded(seed):
        network = UNet(1, LEVELS, channels=16, condition=TIME + MARKS)
        network.down[-1] = Wide(network.down[-1], (32, 4, 4), hidden=160)
    return DDPM(SHAPE, LEVELS, network, Schedule(256, ends=(7, -6)), condition=MARKS, seed=seed)


def gan(seed: int) -> GAN:
    with seeded(seed):
        generator, critic = digits_gan.networks(latent=32)
    return GAN(SHAPE, LEVELS, generator, critic, 32, penalty="r1", weight=0.3, seed=seed)


FAMILIES = {  # name: (first weights, training), chosen on the validation split
    "autoregressive": (pixelcnn, dict(steps=1390, lr=6e-3, batch_size=12)),
    "flow": (flow, dict(steps=1100, lr=8e-3, batch_size=25)),
    "VAE": (vae, dict(steps=4200, lr=3e-3)),
    "diffusion": (ddpm, dict(steps=1320, lr=8e-3)),
    "GAN": (gan, dict(steps=3700, lr=2.5e-3, batch_size=50, betas=(0.0, 0.99), average=0.998)),
}
COMMON = dict(schedule="cosine", average=0.99)
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the steps, for curves of quality by seconds of training


def learn(name: str, seed: int, **more) -> tuple[nn.Module, History]:
    """Train a family's model as for the table, and return it with its history; `more` goes to `fit`."""
    data, (build, how) = digits(), FAMILIES[name]
    model, train, valid = build(seed), data.train.x, None
    if name != "GAN":  # moved images only if the model can be told that they are
        train, valid = shifts(train), (data.valid.x, unshifted(data.valid.x))
    return model, fit(model, train, valid, seed=seed, **COMMON | how | more)


def load(name: str) -> nn.Module:
    """Return the model of a family that seed 0 of the table has trained.

    Raises ValueError for an unknown name, and if the stored weights are not those of the table.

    >>> load("VAE").sample(3, torch.zeros(3).long()).shape
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
    """Train the model of a job and return what was measured; keep weights and each test image's nats in the folder."""
    torch.set_num_threads(1)
    (kind, name, which), data = job, digits()
    seed, share = (0, which) if kind == "curve" else (which, 1)
    start = time.process_time()  # of this one thread, whatever else the machine does
    model, _ = learn(name, seed, steps=round(share * FAMILIES[name][1]["steps"]), progress=False)
    result = {"seconds": time.process_time() - start}
    if kind == "curve":
        return result | {"valid": quality(model, data)}
    result["parameters"] = count(model.generator if name == "GAN" else model)
    result |= {"parameters of the critic": count(model.critic)} if name == "GAN" else {}
    state = {key: v.half() if v.is_floating_point() else v for key, v in model.state_dict().items()}
    model.load_state_dict(state)
    save_file(state, folder / f"{name} {seed}.safetensors")
    measured, nats = measure(model, data)
    (folder / f"{name} {seed}.json").write_text(json.dumps(nats))
    return result | measured


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def quality(model: nn.Module, data: Dataset) -> float:
    """Return the nats of the validation images, for a GAN the MMD² of as many samples as ever from them."""
    return mmd(draw(model), data.valid.x) if isinstance(model, GAN) else surprise(model, data.valid.x).nats


def surprise(model: nn.Module, x: Tensor) -> Evaluation:
    """Return the nats of x: exact ones, or −ELBO with ten draws, with one for diffusion, of z_t at each of 256 t."""
    y, draws = unshifted(x), 1 if isinstance(model, DDPM) else 10
    return evaluate(model, x, y) if hasattr(model, "log_prob") else elbo(model, x, draws, y)


@torch.no_grad()
def measure(model: nn.Module, data: Dataset) -> tuple[dict, list[float]]:
    """Return nats, files, samples and probes of a model, as far as its family has them, and the nats by test image."""
    valid = "samples, MMD², valid" if isinstance(model, GAN) else "valid"
    result, nats, test = {valid: quality(model, data)}, [], data.test.x
    if not isinstance(model, GAN):
        found = surprise(model, test)
        result["test"] = found.nats
        nats = [round(v, 2) for v in found.per_example.tolist()]
    if isinstance(model, VAE | Dequantised):  # a hundred weights of diffusion would take half an hour
        result["test, 100 weights"] = iwae(model, test, 100, unshifted(test)).nats
    if isinstance(model, VAE | PixelCNN):
        about = describe(compress(model, test, unshifted(test)))
        result |= {"file": (8 * about.header + about.payload) / about.n, "initial bits": about.initial}
    return result | samples(model, data) | probe(partial(encode, model), data), nats


def draw(model: nn.Module) -> Tensor:
    with seeded(0):
        return model.sample(SAMPLES, **{} if isinstance(model, GAN) else {"y": torch.zeros(SAMPLES, dtype=torch.long)})


def samples(model: nn.Module, data: Dataset) -> dict:
    """Return how fast the model draws, and what the scores of the GAN's chapter say of its images."""
    times = []
    while sum(times) < 0.5:  # the first is slower
        start = time.process_time()
        made = draw(model)
        times.append(time.process_time() - start)
    scores = digits_gan.Scores(data)(made, data.test.x) | {"copies": copies(made, data)}
    return {"images per second": SAMPLES / min(times)} | {f"samples, {key}": value for key, value in scores.items()}


def copies(x: Tensor, data: Dataset) -> float:
    """Return the share of x nearer to a training image than all but 1 % of the training images are to another one."""
    train = data.train.x.flatten(1).double()
    own = torch.cdist(train, train).fill_diagonal_(torch.inf).min(1).values
    return (nearest(x, data.train.x)[0] < own.quantile(0.01)).double().mean().item()


def encode(model: nn.Module, x: Tensor) -> Tensor:
    """Return what stands for x in the model, (N, F)."""
    y = unshifted(x)
    if isinstance(model, VAE):
        return model.encode(x, y).mean
    if isinstance(model, Dequantised):
        return model.encode(x, y).flatten(1)
    if isinstance(model, PixelCNN):
        places = inside(model.network.blocks[-1], lambda: model.log_prob(x, y))  # (N, rows, columns, channels)
        return places.unflatten(2, (2, 4)).unflatten(1, (2, 4)).mean((2, 4)).flatten(1)
    if isinstance(model, DDPM):
        with seeded(0):
            return inside(model.network.down[-1], lambda: model.denoise(model.diffuse(x, SEEN), SEEN, y)).flatten(1)
    return inside(model.critic[-2], lambda: model.judge(x))


def inside(layer: nn.Module, look) -> Tensor:
    """Return what the layer gives while look() runs, the last time if it is used for several things."""
    seen = []
    with layer.register_forward_hook(lambda module, inputs, output: seen.append(output)):
        look()
    return seen[-1]


def probe(features, data: Dataset) -> dict:
    """Return the accuracy on test images of logistic regression on features(x), for few and for many labels."""
    (train, test), result = (features(part.x) for part in (data.train, data.test)), {}
    for n, draws in LABELLED.items():
        found = []
        for seed in range(draws):
            some = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))[:n]
            judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
            found.append(judge.fit(train[some], data.train.y[some]).score(test, data.test.y))
        result[f"accuracy, {n} labels"] = sum(found) / draws
    return result


def references(data: Dataset) -> dict:
    """Return what needs no deep model: nats, files, scores of the training images, features to compare with."""
    pixels, flat = data.train.x, partial(torch.flatten, start_dim=1)
    pca = PCA(LATENT).fit(flat(pixels))
    return {
        "nats": digits_autoregressive.baselines(data),
        "files": digits_autoregressive.files(data),
        "training images": digits_gan.Scores(data)(pixels, data.test.x),
        "copies": {"validation images": copies(data.valid.x, data), "test images": copies(data.test.x, data)},
        "pixels": probe(flat, data),
        f"{LATENT} principal components": probe(lambda x: torch.from_numpy(pca.transform(flat(x))), data),
    }


def run(seeds: int, workers: int) -> dict:
    """Train everything, `workers` models at a time, write the weights of seed 0, and return the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = [("model", name, seed) for name in FAMILIES for seed in range(seeds)]
        jobs += [("curve", name, share) for name in FAMILIES for share in SHARES]
        table = over_seeds(train_all(partial(train, folder=folder), jobs, workers))
        kept = {name: load_file(folder / f"{name} 0.safetensors") for name in FAMILIES}
        nats = {name: json.loads((folder / f"{name} 0.json").read_text()) for name in FAMILIES}
    for name, row in table["models"].items():
        last = {"seconds": row["seconds"], "valid": row["samples, MMD², valid" if name == "GAN" else "valid"]}
        curve = table["curves"][name]
        table["curves"][name] = {key: [*curve[key]["all"], last[key]["all"][0]] for key in last}
    table["per image"] = {name: each for name, each in nats.items() if each}
    table["references"] = references(digits())
    save_file({f"{name}/{key}": v for name, state in kept.items() for key, v in state.items()}, WEIGHTS)
    return table | {"weights": {"sha256": digest(WEIGHTS), "bytes": WEIGHTS.stat().st_size}}


def show(results: dict) -> None:
    """Print the table."""
    for name, row in results["models"].items():
        for key, value in row.items():
            print(f"{name:15} {key:36} {value['mean']:10.4f} ± {value['sd']:.4f}")
    print(f"weights: {results['weights']['bytes'] / 1e6:.2f} MB")
