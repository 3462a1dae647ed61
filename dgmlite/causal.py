"""Causal networks: output r sees the inputs before r only. All outputs in one pass, or one by one from a cache.

Training knows all inputs and computes all outputs at once: `network(x, y)`. Generation learns its inputs one at a time:
`cache = network.start(n, y)`, then `network.step(cache, r, previous)` for r = 0, 1, …, D−1 gives output r of n examples
and computes only what the newest input, `previous` = input r−1 (None for r = 0), has added to every layer.

Positions count along the order of generation: x (B, D, width) → (B, D, width), a vector of `width` numbers for each of
D dimensions. The condition y, (B, condition) or None, is seen by all outputs.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskedLinear(nn.Linear):
    """Affine map in which only the connections of the mask exist: y = (W ⊙ M) x + b.

    `mask` M has shape (out, in); x (…, in) → y (…, out). The mask is applied in each call and never written into the
    weights. Source: Germain et al. 2015, MADE (arXiv:1502.03509), section 4.

    >>> layer = MaskedLinear(torch.tensor([[True, False]]))
    >>> torch.equal(layer(torch.tensor([[1.0, 2.0]])), layer(torch.tensor([[1.0, 5.0]])))
    True
    """

    def __init__(self, mask: Tensor, bias: bool = True):
        super().__init__(mask.shape[1], mask.shape[0], bias)
        self.register_buffer("mask", mask.to(self.weight.dtype))  # of bools the product takes longer

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MaskedMLP(nn.Module):
    """Fully connected layers, cut by masks: every unit has a degree m, and sees the inputs 0 … m only.

    The degrees 0 … D−2 (with a condition also −1: the condition alone) are spread evenly over the units of each hidden
    layer, all present, so every allowed dependency exists; output r sees units of degree < r. In `step`, the units of
    degree r−1 become known, in all layers, so all D steps together cost one pass.

    Source: Germain et al. 2015, MADE (arXiv:1502.03509), sections 3 and 4.

    >>> MaskedMLP(dimensions=4, width=3, hidden=(8,))(torch.zeros(5, 4, 3)).shape
    torch.Size([5, 4, 3])
    """

    def __init__(self, dimensions: int, width: int, hidden: Sequence[int], condition: int = 0):
        super().__init__()
        self.width, lowest = width, -1 if condition else 0
        outputs = torch.arange(dimensions).repeat_interleave(width)  # (D·width,)
        degrees = torch.cat((outputs, torch.full((condition,), -1)))
        layers, self.units = [], []  # the units of degree r−1 are units[layer][r]
        for size in hidden:
            units = torch.arange(size) * (dimensions - 1 - lowest) // size + lowest
            layers.append(MaskedLinear(units[:, None] >= degrees))
            ends = torch.searchsorted(units, torch.arange(-2, dimensions - 1), right=True).tolist()
            self.units.append([slice(*pair) for pair in itertools.pairwise(ends)])
            degrees = units
        layers.append(MaskedLinear(outputs[:, None] > degrees, bias=False))
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = x.flatten(1) if y is None else torch.cat((x.flatten(1), y), 1)
        for layer in self.layers[:-1]:
            h = layer(h).tanh()
        return self.layers[-1](h).view_as(x)

    def start(self, n: int, y: Tensor | None = None) -> list[Tensor]:
        known = [self.layers[0].weight.new_zeros(n, layer.in_features) for layer in self.layers]
        if y is not None:
            known[0][:, -y.shape[1] :] = y
        return known

    def step(self, known: list[Tensor], r: int, previous: Tensor | None) -> Tensor:
        # What is not known yet is zero, so the masks have nothing left to hide.
        if r:
            known[0][:, (r - 1) * self.width : r * self.width] = previous
        for layer, units, before, after in zip(self.layers, self.units, known, known[1:]):
            new = units[r]
            after[:, new] = F.linear(before, layer.weight[new], layer.bias[new]).tanh()
        outputs = slice(r * self.width, (r + 1) * self.width)
        return F.linear(known[-1], self.layers[-1].weight[outputs])


class SharedHidden(nn.Module):
    """One hidden layer for each output, all with the same weights: h_r = σ(c + Σ_{s<r} W_s x_s + U y), output V_r h_r.

    Source: Larochelle & Murray 2011, The Neural Autoregressive Distribution Estimator (AISTATS).

    >>> SharedHidden(dimensions=4, width=3, hidden=8)(torch.zeros(5, 4, 3)).shape
    torch.Size([5, 4, 3])
    """

    def __init__(self, dimensions: int, width: int, hidden: int, condition: int = 0):
        super().__init__()
        self.W = nn.Parameter(torch.randn(dimensions, hidden, width) / (dimensions * width) ** 0.5)
        self.V = nn.Parameter(torch.randn(dimensions, width, hidden) / hidden**0.5)
        self.c = nn.Parameter(torch.zeros(hidden))
        self.U = nn.Linear(condition, hidden, bias=False) if condition else None

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        terms = torch.einsum("bsw,shw->bsh", x, self.W)
        a = self._first(len(x), y)[:, None] + terms.cumsum(1) - terms  # (B, D, hidden), sums over s < r
        return torch.einsum("brh,rwh->brw", a.sigmoid(), self.V)

    def _first(self, n: int, y: Tensor | None) -> Tensor:
        return self.c.expand(n, -1) if y is None else self.c + self.U(y)

    def start(self, n: int, y: Tensor | None = None) -> dict[str, Tensor]:
        return {"a": self._first(n, y)}

    def step(self, cache: dict[str, Tensor], r: int, previous: Tensor | None) -> Tensor:
        if r:
            cache["a"] = cache["a"] + previous @ self.W[r - 1].T
        return cache["a"].sigmoid() @ self.V[r].T


class CausalSequence(nn.Module):
    """A stack of causal blocks on the inputs moved on by one place, so that position r holds input r−1.

    Each position starts from the sum of what the input, the position and the condition contribute; `blocks` are modules
    h (B, D, channels) → (B, D, channels) with `start(n)` and `step(cache, r, h_r)`, in which output r sees inputs ≤ r.
    """

    def __init__(self, dimensions: int, width: int, channels: int, blocks: Sequence[nn.Module], condition: int = 0):
        super().__init__()
        self.embed = nn.Linear(width, channels)
        self.position = nn.Parameter(0.5 * torch.randn(dimensions, channels))
        self.condition = nn.Linear(condition, channels, bias=False) if condition else None
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width, bias=False))

    def _first(self, y: Tensor | None) -> Tensor | float:
        return 0.0 if y is None else self.condition(y)[:, None]

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        before = F.pad(self.embed(x[:, :-1]), (0, 0, 1, 0))
        h = before + self.position + self._first(y)
        for block in self.blocks:
            h = block(h)
        return self.head(h)

    def start(self, n: int, y: Tensor | None = None) -> dict:
        return {"first": self._first(y), "n": n, "blocks": [block.start(n) for block in self.blocks]}

    def step(self, cache: dict, r: int, previous: Tensor | None) -> Tensor:
        before = self.embed(previous)[:, None] if r else 0.0
        h = (before + self.position[r] + cache["first"]).expand(cache["n"], 1, -1)
        for block, kept in zip(self.blocks, cache["blocks"]):
            h = block.step(kept, r, h)
        return self.head(h)[:, 0]


class ChannelDropout(nn.Dropout):
    """Dropout of whole channels, the same at all places of an example: (B, …, channels)."""

    def forward(self, h: Tensor) -> Tensor:
        if not self.training or not self.p:
            return h
        return h * super().forward(h.new_ones(len(h), *[1] * (h.dim() - 2), h.shape[-1]))


class _Gated(nn.Module):
    """What gated blocks share: from twice as many channels to W (tanh(value) ⊙ σ(gate)), W = `self.out`."""

    def _gate(self, both: Tensor) -> Tensor:
        value, gate = both.chunk(2, -1)
        return self.out(self.dropout(value.tanh() * gate.sigmoid()))


class DilatedBlock(_Gated):
    """Gated dilated convolution with a residual: h + W (tanh(F * h) ⊙ σ(G * h)), `kernel` places, `dilation` apart.

    The cache of `step` is a ring: entry r mod its length is overwritten when it has become too old to be seen.
    Source: van den Oord et al. 2016, WaveNet (arXiv:1609.03499); Le Paine et al. 2016 (arXiv:1611.09482) for the cache.
    """

    def __init__(self, channels: int, kernel: int, dilation: int, dropout: float = 0.0):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv1d(channels, 2 * channels, kernel, dilation=dilation)
        self.out = nn.Linear(channels, channels)
        self.dropout = ChannelDropout(dropout)
        self.reach = (kernel - 1) * dilation

    def forward(self, h: Tensor) -> Tensor:
        past = F.pad(self.norm(h).mT, (self.reach, 0))  # zeros before the beginning, none after the end
        return h + self._gate(self.conv(past).mT)

    def start(self, n: int) -> Tensor:
        return self.conv.weight.new_zeros(self.reach + 1, n, self.norm.normalized_shape[0])

    def step(self, ring: Tensor, r: int, h: Tensor) -> Tensor:
        size, dilation = self.reach + 1, self.conv.dilation[0]
        ring[r % size] = self.norm(h[:, 0])
        seen = ring[[(r - lag) % size for lag in range(self.reach, -1, -dilation)]]  # (kernel, n, channels)
        both = torch.einsum("knc,ock->no", seen, self.conv.weight) + self.conv.bias
        return h + self._gate(both)[:, None]


class AttentionBlock(nn.Module):
    """Masked self-attention and a two-layer network, each normalised before and added to what came in.

    h ← h + A(h), h ← h + M(h); position r attends to positions ≤ r. Each of the heads has queries of its own; all share
    one key and one value for each position, so that `step` has few of them to keep and to read.
    Source: Vaswani et al. 2017, Attention is all you need (arXiv:1706.03762); normalisation first as in GPT-2; shared
    keys and values: Shazeer 2019, Fast transformer decoding (arXiv:1911.02150).
    """

    def __init__(self, channels: int, heads: int, dimensions: int, dropout: float = 0.0):
        super().__init__()
        size = channels // heads
        self.parts, self.dimensions = (channels, size, size), dimensions
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, sum(self.parts))
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels)
        )
        self.dropout = ChannelDropout(dropout)

    def _split(self, h: Tensor) -> list[Tensor]:
        """Return queries (B, heads, T, size), keys and values (B, 1, T, size)."""
        parts = self.qkv(self.norm(h)).split(self.parts, -1)
        return [part.unflatten(-1, (-1, self.parts[-1])).transpose(1, 2) for part in parts]

    def _join(self, h: Tensor, attended: Tensor) -> Tensor:
        """Add what the heads have read, (B, T, heads, size), and what the network makes of it."""
        h = h + self.dropout(self.out(attended.flatten(2)))
        return h + self.dropout(self.mlp(h))

    def forward(self, h: Tensor) -> Tensor:
        q, k, v = self._split(h)
        attended = F.scaled_dot_product_attention(q, k.expand_as(q), v.expand_as(q), is_causal=True)
        return self._join(h, attended.transpose(1, 2))

    def start(self, n: int) -> Tensor:
        return self.out.weight.new_empty(2, n, 1, self.dimensions, self.parts[-1])

    def step(self, kept: Tensor, r: int, h: Tensor) -> Tensor:
        q, *new = self._split(h)
        kept[0, :, :, r], kept[1, :, :, r] = (part[:, :, 0] for part in new)
        k, v = kept[:, :, :, : r + 1]
        return self._join(h, F.scaled_dot_product_attention(q.transpose(1, 2), k, v))  # the heads as its rows


def _colour(units: int, colours: int) -> Tensor:
    """The colour that each unit belongs to: equal parts, in order."""
    return torch.arange(units) * colours // units


class MaskedConv2d(nn.Conv2d):
    """Two-dimensional convolution that sees the pixels before its own in raster order, and of its own pixel a part.

    Units belong to the colours of a pixel in equal parts (the outputs in `copies` equal rows). At its own pixel a unit
    sees the units of colours before its own (`own=False`, mask A: the first layer) and of its own (mask B: all others).
    The cache holds the rows that can still be seen, the newest last, with zeros on both sides.

    Source: van den Oord et al. 2016, Pixel recurrent neural networks (arXiv:1601.06759), section 3.4.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, own: bool, colours: int = 1, copies: int = 1):
        self.pad = kernel // 2
        super().__init__(inputs, outputs, (self.pad + 1, kernel))  # the rows below are never seen
        out, into = _colour(outputs // copies, colours).repeat(copies)[:, None], _colour(inputs, colours)
        mask = torch.ones(outputs, inputs, self.pad + 1, kernel, dtype=torch.bool)
        mask[:, :, -1, self.pad + 1 :] = False
        mask[:, :, -1, self.pad] = out >= into if own else out > into
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Channels last: (B, rows, columns, inputs) → (B, rows, columns, outputs)."""
        padded = F.pad(x.permute(0, 3, 1, 2), (self.pad, self.pad, self.pad, 0))
        return F.conv2d(padded, self.weight * self.mask, self.bias).permute(0, 2, 3, 1)

    def start(self, n: int, columns: int) -> dict[str, Tensor]:
        rows = self.weight.new_zeros(n, self.in_channels, self.pad + 1, columns + 2 * self.pad)
        return {"rows": rows, "kernel": (self.weight * self.mask).flatten(1)}

    def put(self, cache: dict[str, Tensor], column: int, x: Tensor) -> None:
        cache["rows"][:, :, -1, column + self.pad] = x

    def at(self, cache: dict[str, Tensor], column: int) -> Tensor:
        """Return the output at this pixel of the newest row, (n, outputs)."""
        seen = cache["rows"][:, :, :, column : column + self.kernel_size[1]]
        return F.linear(seen.flatten(1), cache["kernel"], self.bias)


class MaskedConvBlock(_Gated):
    """Gated masked convolution with a residual: h + W (tanh(F * h) ⊙ σ(G * h)), in two dimensions.

    Each colour's units are normalised for themselves. Source: van den Oord et al. 2016, Conditional image generation
    with PixelCNN decoders (arXiv:1606.05328), section 2.1, for the gate.
    """

    def __init__(self, channels: int, kernel: int, colours: int, dropout: float):
        super().__init__()
        colour = _colour(channels, colours)
        self.norm = nn.LayerNorm(channels // colours)
        self.conv = MaskedConv2d(channels, 2 * channels, kernel, own=True, colours=colours, copies=2)
        self.out = MaskedLinear(colour[:, None] >= colour)
        self.dropout = ChannelDropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        return h + self._gate(self.conv(self._normalise(h)))

    def step(self, cache: dict[str, Tensor], column: int, h: Tensor) -> Tensor:
        self.conv.put(cache, column, self._normalise(h))
        return h + self._gate(self.conv.at(cache, column))

    def _normalise(self, h: Tensor) -> Tensor:
        return self.norm(h.unflatten(-1, (-1, *self.norm.normalized_shape))).flatten(-2)


class MaskedConvStack(nn.Module):
    """Masked convolutions on an image: mask A first, then `depth` residual blocks with mask B and 3 × 3 kernels.

    The D = rows · columns · colours inputs come pixel by pixel in raster order, all colours of a pixel together.
    Source: van den Oord et al. 2016, Pixel recurrent neural networks (arXiv:1601.06759), sections 3.3 to 3.5.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        channels: int,
        depth: int,
        kernel: int,
        condition: int = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.colours, self.rows, self.columns = shape
        outputs = self.colours * width
        self.first = MaskedConv2d(outputs, channels, kernel, own=False, colours=self.colours)
        self.position = nn.Parameter(0.5 * torch.randn(self.rows, self.columns, channels))
        self.condition = nn.Linear(condition, channels, bias=False) if condition else None
        self.blocks = nn.ModuleList(MaskedConvBlock(channels, 3, self.colours, dropout) for _ in range(depth))
        mask = _colour(outputs, self.colours)[:, None] >= _colour(channels, self.colours)
        self.head = MaskedLinear(mask, bias=False)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = self.first(x.reshape(len(x), self.rows, self.columns, -1)) + self.position  # (B, rows, columns, channels)
        if y is not None:
            h = h + self.condition(y)[:, None, None]
        for block in self.blocks:
            h = block(h)
        return self.head(h).reshape(x.shape)

    def start(self, n: int, y: Tensor | None = None) -> dict:
        caches = [conv.start(n, self.columns) for conv in (self.first, *(block.conv for block in self.blocks))]
        pixel = self.position.new_zeros(n, self.first.in_channels)
        return {"caches": caches, "pixel": pixel, "y": 0.0 if y is None else self.condition(y)}

    def step(self, cache: dict, r: int, previous: Tensor | None) -> Tensor:
        caches, pixel = cache["caches"], cache["pixel"]  # pixel: the colours known of the newest pixel with any
        width = len(self.head.weight) // self.colours
        place, colour = divmod(r, self.colours)
        row, column = divmod(place, self.columns)
        if r:
            before, known = divmod(r - 1, self.colours)
            pixel[:, known * width : (known + 1) * width] = previous
            self.first.put(caches[0], before % self.columns, pixel)
        if not colour:
            pixel.zero_()
            if not column:  # a new row: the oldest goes
                for kept in caches:
                    kept["rows"] = F.pad(kept["rows"][:, :, 1:], (0, 0, 0, 1))
        h = self.first.at(caches[0], column) + self.position[row, column] + cache["y"]
        for block, kept in zip(self.blocks, caches[1:]):
            h = block.step(kept, column, h)
        return self.head(h)[:, colour * width : (colour + 1) * width]
