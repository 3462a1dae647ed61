"""How long a training step of our VAE takes, beside others: python -m benchmarks vae_step

One step is loss, backward and Adam: for binary images of 784 pixels, 512 hidden units, 10 latent dimensions, beside
pythae 0.1.2's VAE and a loop written by hand, all with the same networks (one hidden layer, ReLU); and for the
chapter's model of the digits, beside a loop. The aims: no slower than pythae, and at most 1.10 times the loop.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.turns import OURS, PLAIN, compare
from dgmlite.data import digits
from dgmlite.models.vae import VAE, Decoder
from dgmlite.networks import zero

PIXELS, HIDDEN, LATENT = 784, 512, 10


def layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs))


class ByHand(nn.Module):
    """The same model with nothing to spare."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = layers(PIXELS, 2 * LATENT), layers(LATENT, PIXELS)

    def loss(self, x):
        mean, log_var = self.encoder(x.float()).chunk(2, 1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        rate = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        return F.binary_cross_entropy_with_logits(self.decoder(z), x.float(), reduction="none").sum(1) + rate


def ours():
    decoder = Decoder((PIXELS,), 2, LATENT, likelihood="bernoulli", network=layers(LATENT, PIXELS))
    decoder.bias.requires_grad_(False)  # the last layer has one
    model = VAE((PIXELS,), 2, LATENT, encoder=layers(PIXELS, 2 * LATENT), decoder=decoder)
    return model, lambda x: model.loss(x).mean()


def by_hand():
    model = ByHand()
    return model, lambda x: model.loss(x).mean()


class DigitsByHand(nn.Module):
    """The chapter's model of the digits with nothing to spare."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64 * 16, 500), nn.SiLU(), zero(nn.Linear(500, 32)))
        self.decoder = nn.Sequential(nn.Linear(16, 500), nn.SiLU(), zero(nn.Linear(500, 64 * 17)))
        self.bias = nn.Parameter(torch.zeros(64, 17))

    def loss(self, x):
        x = x.flatten(1)
        code = (x[..., None] > torch.arange(16)).float()
        mean, log_var = self.encoder(code.flatten(1)).chunk(2, 1)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        rate = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        logits = (self.bias + self.decoder(z).view(-1, 64, 17)).cumsum(-1) * 17**-0.5
        surprise = F.cross_entropy(logits.flatten(0, 1), x.flatten(), reduction="none")
        return surprise.view(-1, 64).sum(1) + rate


def digits_by_hand():
    model = DigitsByHand()
    return model, lambda x: model.loss(x).mean()


def digits_ours():
    model = VAE((1, 8, 8), 17)
    return model, lambda x: model.loss(x).mean()


def pythae():
    from pythae.models import VAE as Theirs
    from pythae.models import VAEConfig

    model = Theirs(VAEConfig((PIXELS,), LATENT, reconstruction_loss="bce"))
    return model, lambda x: model({"data": x.float()}).loss


def run(rounds: int, batch: int = 100) -> Iterator[dict]:
    binary = torch.rand(50, PIXELS).round().repeat(batch // 50 + 1, 1)[:batch].long()
    large, small = {OURS: ours, PLAIN: by_hand, "pythae": pythae}, {OURS: digits_ours, PLAIN: digits_by_hand}
    close = {PLAIN: 0.2, "pythae": 0.2}
    yield from compare(f"step of a VAE of {PIXELS} binary pixels", large, binary, rounds, close)
    yield from compare("step of a VAE of the digits", small, digits().train.x[:batch], rounds, close)
