"""A round of the game of GANs, beside plain torch: python -m benchmarks gan_step

One round is a step of the critic and one of the generator: loss, backward and Adam each. Both have the same weights,
and draw the same noise. The aim is at most 1.10 times plain torch.
"""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks.turns import OURS, PLAIN, rows, stepper
from dgmlite.data import digits
from dgmlite.models.gan import GAN


def ours(model: GAN, x: Tensor) -> Callable:
    steps = {
        name: stepper(list(player.parameters()), lambda x, name=name: model.loss(x, name).mean())
        for name, player in model.players.items()
    }

    def game():
        for step in steps.values():
            step(x)

    return game


def plain(model: GAN, x: Tensor) -> Callable:
    """Return the round with nothing to spare; with levels, samples end in tanh."""
    G, c, r1 = model.generator, model.critic, model.penalty == "r1"

    def generate(n):
        u = G(torch.randn(n, model.latent)).view(n, *model.event_shape)
        return u if model.levels is None else u.tanh()

    def critic_loss(x):
        u = x if model.levels is None else 2 * x / (model.levels - 1) - 1
        with torch.no_grad():
            fake = generate(len(u))
        loss = (softplus(-c(u)) + softplus(c(fake))).mean()
        if r1:
            at = u.detach().requires_grad_()
            slope = torch.autograd.grad(c(at).sum(), at, create_graph=True)[0].flatten(1)
            loss = loss + model.weight * (slope**2).sum(1).mean() / 2
        return loss

    def generator_loss(x):
        return softplus(-c(generate(len(x)))).mean()

    steps = stepper(list(c.parameters()), critic_loss), stepper(list(G.parameters()), generator_loss)

    def game():
        steps[0](x)
        c.requires_grad_(False)
        steps[1](x)
        c.requires_grad_(True)

    return game


def run(rounds: int, batch: int = 100) -> Iterator[dict]:
    for what, model, x in (
        ("2 dimensions", GAN((2,), None), torch.randn(batch, 2)),
        ("the digits, with R1", GAN((1, 8, 8), 17, penalty="r1"), digits().train.x[:batch]),
    ):
        models = model, copy.deepcopy(model)
        games = {OURS: ours(models[0], x), PLAIN: plain(models[1], x)}
        for _ in range(3):
            for game in games.values():
                torch.manual_seed(0)
                game()
        torch.testing.assert_close(*(each.state_dict() for each in models), rtol=1e-3, atol=1e-4)
        yield from rows(f"round of a GAN of {what}", games, rounds, repeat=5)
