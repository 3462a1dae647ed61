"""A training step of autoregressive models, beside plain torch: python -m benchmarks autoregressive_step

One step is loss, backward and Adam. MADE of the digits and CausalTransformer are compared with the same computation and
the same weights: the aim is at most 1.10 times plain torch. MADE of binary images is compared with one that is written
for two levels only: a number in and a logit out for each pixel, where ours has two.
"""

import copy
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.turns import OURS, PLAIN, compare
from dgmlite.data import digits
from dgmlite.models.autoregressive import MADE, CausalTransformer

LEVELS, PIXELS, CHANNELS, SIZE = 17, 64, 48, 12


class Made(nn.Module):
    """`MADE` with one hidden layer, with nothing to spare."""

    def __init__(self, ours: MADE):
        super().__init__()
        first, last = ours.network.layers
        self.into, self.b, self.out = (nn.Parameter(v.data.clone()) for v in (first.weight, first.bias, last.weight))
        self.bias = nn.Parameter(ours.bias.data.clone())
        self.masks = first.mask, last.mask

    def loss(self, x):
        x = x.flatten(1)
        code = (x[..., None] >= torch.arange(LEVELS)).float().flatten(1)
        h = F.linear(code, self.into * self.masks[0], self.b).tanh()
        steps = F.linear(h, self.out * self.masks[1]).view(-1, PIXELS, LEVELS)
        logits = (self.bias + steps).cumsum(-1) * LEVELS**-0.5
        return F.cross_entropy(logits.flatten(0, 1), x.flatten(), reduction="none").view(x.shape).sum(1)


class BinaryMade(nn.Module):
    """The same function as a `MADE` of two levels, from half as many numbers: the code of x ≥ 0 is always one."""

    def __init__(self, ours: MADE):
        super().__init__()
        first, last = ours.network.layers
        always = (first.weight * first.mask)[:, ::2].sum(1)
        self.scale, self.masks = 2**-0.5, (first.mask[:, 1::2], last.mask[1::2])
        self.into, self.out = nn.Parameter(first.weight.data[:, 1::2].clone()), nn.Parameter(last.weight.data[1::2])
        self.b, self.bias = nn.Parameter((first.bias + always).data), nn.Parameter(ours.bias.data[:, 1].clone())

    def loss(self, x):
        u = x.float()
        h = F.linear(u, self.into * self.masks[0], self.b).tanh()
        logits = F.linear(h, self.out * self.masks[1], self.bias) * self.scale
        return F.binary_cross_entropy_with_logits(logits, u, reduction="none").sum(1)


class Transformer(nn.Module):
    """`CausalTransformer` with nothing to spare."""

    def __init__(self, ours: CausalTransformer):
        super().__init__()
        theirs = copy.deepcopy(ours.network)
        self.embed, self.position, self.head = theirs.embed, theirs.position, theirs.head
        self.layers = nn.ModuleList(nn.ModuleList((b.norm, b.qkv, b.out, b.mlp)) for b in theirs.blocks)
        self.bias = nn.Parameter(ours.bias.data.clone())

    def loss(self, x):
        x = x.flatten(1)
        code = (x[..., None] >= torch.arange(LEVELS)).float()
        h = F.pad(self.embed(code[:, :-1]), (0, 0, 1, 0)) + self.position
        for norm, qkv, out, mlp in self.layers:
            q, k, v = qkv(norm(h)).split((CHANNELS, SIZE, SIZE), -1)
            q, k, v = q.view(*q.shape[:2], -1, SIZE).transpose(1, 2), k[:, None], v[:, None]
            read = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            h = h + out(read.transpose(1, 2).flatten(2))
            h = h + mlp(h)
        logits = (self.bias + self.head(h)).cumsum(-1) * LEVELS**-0.5
        return F.cross_entropy(logits.flatten(0, 1), x.flatten(), reduction="none").view(x.shape).sum(1)


def run(rounds: int, batch: int = 100) -> Iterator[dict]:
    image, binary = digits().train.x[:batch], torch.rand(batch, 784).round().long()
    transformer = CausalTransformer((1, 8, 8), LEVELS, CHANNELS, heads=CHANNELS // SIZE)
    for what, model, plain, x, same in (
        ("MADE of the digits", MADE((1, 8, 8), LEVELS), Made, image, True),
        ("CausalTransformer of the digits", transformer, Transformer, image[: batch // 4], True),
        ("MADE of 784 binary pixels", MADE((784,), 2, hidden=(1000,)), BinaryMade, binary, False),
    ):
        models = {OURS: model, PLAIN: plain(model)}
        torch.testing.assert_close(*(each.loss(x) for each in models.values()), rtol=1e-4, atol=1e-3)
        makers = {name: partial(_contender, each) for name, each in models.items()}
        yield from compare(f"step of {what}", makers, x, rounds, {PLAIN: 0.05} if same else None, same_size=same)


def _contender(model: nn.Module):
    return model, lambda x: model.loss(x).mean()
