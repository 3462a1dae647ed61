"""How long a training step of our RealNVP takes, beside others: python -m benchmarks flow_step

One step is loss, backward and Adam, for data of 2 and of 64 dimensions. The others are nflows 0.14,
normflows 1.7.3 and a loop written by hand for this one model. All have the same couplings, networks (two hidden layers
of 64, SiLU) and permutations; each squashes its log-scales in its own way, the loop as ours. The aims: no slower than
the faster library, and at most 1.10 times the loop.
"""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from benchmarks.turns import OURS, PLAIN, compare
from dgmlite.models.flow import Permutation, RealNVP

HIDDEN = 64


def network(inputs: int, outputs: int) -> nn.Sequential:
    widths = [nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs)]
    return nn.Sequential(*widths)


class ByHand(nn.Module):
    """The same model with nothing to spare; `order` holds what is permuted before each coupling, or None."""

    def __init__(self, size: int, orders: list):
        super().__init__()
        self.sizes, self.orders = (size - size // 2, size // 2), orders
        self.networks = nn.ModuleList(network(self.sizes[i % 2], 2 * self.sizes[1 - i % 2]) for i in range(len(orders)))

    def loss(self, x):
        log_det = 0.0
        for i, (net, order) in enumerate(zip(self.networks, self.orders)):
            if order is not None:
                x = x[:, order]
            a, b = x.split(self.sizes, 1)
            if i % 2:
                a, b = b, a
            s, t = net(a).chunk(2, 1)
            s = 2 * torch.tanh(s / 2)
            b = b * s.exp() + t
            x = torch.cat((b, a) if i % 2 else (a, b), 1)
            log_det = log_det + s.sum(1)
        return 0.5 * x.square().sum(1) + 0.5 * x.shape[1] * math.log(2 * math.pi) - log_det


def ours(size: int, depth: int):
    model = RealNVP((size,), depth=depth, hidden=HIDDEN)
    return model, lambda x: model.loss(x).mean()


def by_hand(size: int, depth: int):
    """With the weights of ours, so that the two must learn the same."""
    ours_now = ours(size, depth)[0]
    orders, steps = [], iter(ours_now.transforms[0].inner)
    for step in steps:
        orders.append(step.order if isinstance(step, Permutation) else None)
        if isinstance(step, Permutation):
            next(steps)
    model = ByHand(size, orders)
    for parameter, same in zip(model.parameters(), ours_now.parameters(), strict=True):
        parameter.data.copy_(same.data)
    return model, lambda x: model.loss(x).mean()


def nflows(size: int, depth: int):
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform
    from nflows.transforms.permutations import RandomPermutation

    class Network(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.layers = network(inputs, outputs)

        def forward(self, x, context=None):
            return self.layers(x)

    first, steps = size - size // 2, []
    for i in range(depth):
        steps += [RandomPermutation(size)] if i and i % 2 == 0 and size > 2 else []
        steps.append(AffineCouplingTransform([(j >= first) != (i % 2 == 1) for j in range(size)], Network))
    model = Flow(CompositeTransform(steps), StandardNormal([size]))
    return model, lambda x: -model.log_prob(x).mean()


def normflows(size: int, depth: int):
    import normflows

    steps = []
    for i in range(depth):
        steps += [normflows.flows.Permute(size, mode="shuffle")] if i and i % 2 == 0 and size > 2 else []
        net, mode = network(size // 2, 2 * (size // 2)), ("channel", "channel_inv")[i % 2]
        steps.append(normflows.flows.AffineCouplingBlock(net, split_mode=mode))
    model = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(size, trainable=False), steps[::-1])
    return model, model.forward_kld


def run(rounds: int, batch: int = 100, depth: int = 8) -> Iterator[dict]:
    contenders = {OURS: ours, PLAIN: by_hand, "nflows": nflows, "normflows": normflows}
    for size in (2, 64):
        x = 0.5 * torch.randn(batch, size)
        makers = {name: partial(make, size, depth) for name, make in contenders.items()}
        what = f"step of RealNVP, {size} dimensions, {depth} couplings"
        yield from compare(what, makers, x, rounds, {PLAIN: 0.02})
