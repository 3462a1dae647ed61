"""How long a training step of our VAE takes, beside others: python benchmarks/vae_step.py [--rounds N] [--batch B]

One step is loss, backward and Adam, on one thread, for binary images of 784 pixels, 512 hidden units, 10 latent
dimensions. The others are pythae 0.1.2's VAE and a loop written by hand, all with the same networks (one hidden layer,
ReLU). They take turns, and the ratio is taken within each turn. The aims: no slower than pythae, and at most 1.10 times
the loop.

Without pythae that row is left out. To have it, without touching what is installed:
pip install --no-deps --target peers pythae==0.1.2; pip install --target peers pydantic cloudpickle;
PYTHONPATH=peers python benchmarks/vae_step.py
"""

import argparse
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from dgmlite.models.vae import VAE, Decoder

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


def pythae():
    from pythae.models import VAE as Theirs
    from pythae.models import VAEConfig

    model = Theirs(VAEConfig((PIXELS,), LATENT, reconstruction_loss="bce"))
    return model, lambda x: model({"data": x.float()}).loss


def stepper(model: nn.Module, loss_of):
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-3, fused=True)

    def step(x):
        loss = loss_of(x)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--batch", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.rand(50, PIXELS).round().repeat(arguments.batch // 50 + 1, 1)[: arguments.batch].long()
    contenders = {}
    for make in (ours, by_hand, pythae):
        try:
            model, loss_of = make()
        except ImportError as error:
            print(f"{make.__name__} is left out ({error}): see the top of this file")
            continue
        parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        contenders[make.__name__] = stepper(model, loss_of), parameters, loss_of
    assert len({parameters for _, parameters, _ in contenders.values()}) == 1, contenders
    times = {name: [] for name in contenders}
    for turn in range(arguments.rounds + 10):
        names = list(contenders)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.process_time()
            for _ in range(5):
                contenders[name][0](x)
            if turn >= 10:  # the first turns warm up
                times[name].append((time.process_time() - start) / 5)
    learned = [loss_of(x).item() for _, _, loss_of in contenders.values()]
    assert all(math.isclose(value, learned[0], rel_tol=0.1) for value in learned), learned
    print(f"{PIXELS} pixels, {HIDDEN} hidden units, batches of {arguments.batch}, {parameters} parameters")
    for name, seconds in times.items():
        line = f"  {name:10}{1e3 * statistics.median(seconds):8.2f} ms"
        if name != "ours":
            low, median, high = statistics.quantiles([a / b for a, b in zip(times["ours"], seconds)], n=4)
            line += f"   ours / {name} = {median:.3f} (quartiles {low:.3f} to {high:.3f})"
        print(line)


if __name__ == "__main__":
    main()
