"""The networks that models plug in, against sums written out."""

import numpy as np
import pytest
import scipy.signal
import torch
from torch import nn

from dgmlite.networks import MLP, ConvNet, UNet, sinusoids, zero


def lively(network):
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return network.double()


def silu(x):
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize("hidden", [(), (7,), (5, 6)])
@pytest.mark.parametrize("condition", [0, 2])
def test_mlp_is_what_its_sums_say(hidden, condition):
    mlp = lively(MLP(3, 4, hidden, condition))
    x, y = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    h = np.concatenate((x, y), 1) if condition else x.numpy()
    *between, last = [layer for layer in mlp.modules() if isinstance(layer, nn.Linear)]
    for layer in between:
        h = silu(h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy())
    expected = h @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(mlp(x, y if condition else None).detach(), expected)
    assert len(between) == len(hidden)


def test_dropout_of_an_mlp_zeroes_its_share_of_the_hidden_units_in_training():
    """Units that stay count 1 / (1 − share) times, so that the mean over masks of a linear readout is that of eval."""
    mlp = lively(MLP(3, 4, (50, 40), dropout=0.25))
    x, seen = torch.randn(1, 3).double().expand(4000, 3), []
    last = mlp.layers[-1]
    last.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0]))
    assert torch.equal(mlp.eval()(x), mlp(x)) and (seen[0] != 0).all()
    one_layer = lively(MLP(3, 4, (50,), dropout=0.25))
    sure = one_layer.eval()(x[:1])
    draws = one_layer.train()(x)
    assert ((draws.mean(0) - sure[0]).abs() < 5 * draws.std(0) / 4000**0.5).all() and (draws.std(0) > 0).all()
    mlp.train()(x)
    share = (seen[-1] == 0).double().mean(0)
    assert ((share - 0.25).abs() < 0.05).all()
    assert [isinstance(layer, nn.Dropout) for layer in mlp.layers] == [False, False, True] * 2 + [False]
    assert not any(isinstance(layer, nn.Dropout) for layer in MLP(3, 4).layers)


def test_convnet_is_what_its_sums_say():
    net = lively(ConvNet(2, 3, channels=4, depth=2, condition=5))
    x, y = torch.randn(1, 2, 4, 6).double(), torch.randn(1, 5).double()

    def conv(layer, h):
        weight = layer.weight.detach().numpy()
        out = [sum(scipy.signal.correlate2d(h[i], w[i], "same") for i in range(len(h))) for w in weight]
        return np.stack(out) + layer.bias.detach().numpy()[:, None, None]

    h = conv(net.first, x[0].numpy()) + (net.condition.weight.detach().numpy() @ y[0].numpy())[:, None, None]
    for block in net.blocks:
        h = h + conv(block[3], silu(conv(block[1], silu(h))))
    np.testing.assert_allclose(net(x, y)[0].detach(), conv(net.last, silu(h)))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_convnet_sees_one_pixel_further_with_each_convolution(depth):
    net, x = lively(ConvNet(1, 1, channels=3, depth=depth)), torch.randn(1, 1, 17, 17).double().requires_grad_()
    seen = torch.autograd.grad(net(x)[0, 0, 8, 8], x)[0][0, 0] != 0
    reach = 1 + 2 * depth
    expected = torch.zeros(17, 17).bool()
    expected[8 - reach : 9 + reach, 8 - reach : 9 + reach] = True
    assert torch.equal(seen, expected)


@pytest.mark.parametrize(
    "net, shape",
    [
        (MLP(3, 4, condition=2), (5, 3)),
        (ConvNet(3, 4, condition=2), (5, 3, 4, 4)),
        (UNet(3, 4, 8, condition=2), (5, 3, 4, 4)),
    ],
)
def test_networks_start_at_zero_and_all_parameters_learn(net, shape):
    x, y = torch.randn(shape), torch.randn(5, 2)
    assert not net(x, y).any()
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(3):
        optimiser.zero_grad()
        (net(x, y) - 1).square().mean().backward()
        optimiser.step()
    assert all(parameter.grad.any() for parameter in net.parameters())


def test_zero():
    assert not any(parameter.any() for parameter in zero(nn.Linear(2, 3)).parameters())


@pytest.mark.parametrize("halvings, side", [(0, 3), (1, 2), (1, 6), (2, 8)])
def test_unet_is_what_its_parts_say(halvings, side):
    """With scipy's sums, means of 2 × 2 pixels on the way down, copies on the way up, and what was seen put behind."""
    net = lively(UNet(2, 3, channels=4, halvings=halvings, condition=5))
    x, y = torch.randn(1, 2, side, side).double(), torch.randn(1, 5).double()

    def conv(layer, h):
        weight = layer.weight.detach().numpy()
        out = [sum(scipy.signal.correlate2d(h[i], w[i], "same") for i in range(len(h))) for w in weight]
        return np.stack(out) + layer.bias.detach().numpy()[:, None, None]

    def norm(layer, h):
        h = (h - h.mean()) / np.sqrt(h.var() + 1e-5)
        return h * layer.weight.detach().numpy()[:, None, None] + layer.bias.detach().numpy()[:, None, None]

    def block(part, h):
        inner = conv(part.before[2], silu(norm(part.before[0], h)))
        inner = inner + (part.condition.weight.detach().numpy() @ y[0].numpy())[:, None, None]
        inner = conv(part.after[3], silu(norm(part.after[0], inner)))
        return inner + (conv(part.shortcut, h) if isinstance(part.shortcut, nn.Conv2d) else h)

    h, seen = conv(net.first, x[0].numpy()), []
    for i, part in enumerate(net.down):
        if i:
            h = h.reshape(len(h), h.shape[1] // 2, 2, h.shape[2] // 2, 2).mean((2, 4))
        seen.append(h := block(part, h))
    for part, other in zip(net.up, reversed(seen[:-1]), strict=True):
        h = block(part, np.concatenate((h.repeat(2, 1).repeat(2, 2), other)))
    np.testing.assert_allclose(net(x, y)[0].detach(), conv(net.last, silu(norm(net.norm, h))), rtol=1e-6)


def test_sinusoids():
    t, angles = torch.tensor([0.0, 0.3, 1.0]).double(), np.array([1.0, 10.0, 100.0, 1000.0])
    expected = np.concatenate((np.cos(t[:, None] * angles), np.sin(t[:, None] * angles)), 1)
    np.testing.assert_allclose(sinusoids(t, 8), expected, atol=1e-12)


def test_mlp_takes_events_of_any_shape():
    mlp = lively(MLP(6, 4, (5,)))
    x = torch.randn(3, 1, 2, 3).double()
    assert torch.equal(mlp(x), mlp(x.flatten(1)))
