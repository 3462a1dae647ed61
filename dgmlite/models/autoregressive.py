"""Autoregressive models: every dimension depends on the ones before it, p(x) = Π_i p(x_i | x_<i)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dgmlite import causal, checks
from dgmlite.distributions import Levels
from dgmlite.networks import seeded


class Autoregressive(nn.Module):
    """p(x) = Π_r p(x_i | x_j, j before i), i = order[r]: exact likelihood, sampling one dimension at a time.

    x holds integer levels 0 … levels−1, shape (B, *event_shape); its D dimensions are numbered in raster order. A model
    of this family only has to set `self.network`, one of `dgmlite.causal`, whose output r sees the inputs before r.

    Levels are ordered, and neighbours share weights: level v goes in as the ones at x ≥ 0, …, x ≥ v and zeros beyond,
    and what comes out are differences of neighbouring logits (Agresti, Categorical Data Analysis, adjacent-categories
    logits). Any conditional can still be expressed; for a MADE on the digits this is worth 9 nats. The logits start
    from `bias`, which `initialise` sets to each dimension's own frequencies.

    With `condition` = C > 0 each method takes y: labels 0 … C−1, shape (B,), or features, shape (B, C), and the model
    is p(x | y). Raises ValueError or TypeError, also in every method, for arguments that do not fit.
    """

    network: nn.Module

    def __init__(self, event_shape: Sequence[int], levels: int, order: Sequence[int] | None = None, condition: int = 0):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.levels = checks.positive_int("levels", levels, 2)
        self.condition = checks.positive_int("condition", condition, 0)
        dimensions = torch.Size(self.event_shape).numel()
        self.register_buffer(
            "order", torch.arange(dimensions) if order is None else checks.permutation("order", order, dimensions)
        )
        self.bias = nn.Parameter(torch.zeros(dimensions, self.levels))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Let training start from each dimension's own frequencies in x."""
        x = checks.data(x, self.event_shape, self.levels).flatten(1)
        with torch.no_grad():
            self.bias.copy_(Levels.start(x, self.levels)[self.order])
        self.initialised.fill_(True)

    def logits(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the unnormalised log-probabilities of all levels at each dimension, (B, D, levels)."""
        x = checks.data(x, self.event_shape, self.levels).flatten(1)
        y = checks.condition(y, len(x), self.condition, self.bias, self)
        steps = self.network(self._code(x[:, self.order]), y)  # (B, D, levels)
        return self._logits(self.bias, steps)[:, self.order.argsort()]

    def conditionals(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return p(x_i = l | x_j, j before i in the order), (B, D, levels)."""
        return self.logits(x, y).softmax(-1)

    def surprise(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return −log p(x_i | x_j, j before i in the order) for each dimension, in nats, (B, *event_shape)."""
        logits = self.logits(x, y)  # (B, D, levels)
        return F.cross_entropy(logits.flatten(0, 1), x.flatten().long(), reduction="none").view(x.shape)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return log p(x) = Σ_i log p(x_i | …), exact, in nats, (B,)."""
        return -self.surprise(x, y).flatten(1).sum(1)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return −log p(x) in nats, (B,)."""
        return -self.log_prob(x, y)

    def sample(
        self,
        n: int,
        given: Tensor | None = None,
        y: Tensor | None = None,
        temperature: float = 1.0,
        cache: bool = True,
    ) -> Tensor:
        """Return n samples, torch.long of shape (n, *event_shape), one dimension after the other.

        given: values of the first m dimensions in the order, (m,) or (n, m), which are kept. temperature T: each
        conditional ∝ p^(1/T). cache: reuse what earlier steps have computed; False runs the whole network D times and
        gives the same samples from the same seed.
        """
        n = checks.positive_int("n", n)
        temperature = checks.finite_number("temperature", temperature, 0)
        given = self._given(given, n)

        def draw(r: int, logits: Tensor) -> Tensor:
            if r < given.shape[1]:
                return given[:, r]
            if temperature == 0:
                return logits.argmax(-1)
            return torch.multinomial((logits / temperature).softmax(-1), 1).squeeze(1)

        return self.walk(n, draw, y, cache)

    @torch.no_grad()
    def walk(
        self, n: int, choose: Callable[[int, Tensor], Tensor], y: Tensor | None = None, cache: bool = True
    ) -> Tensor:
        """Go through the dimensions in order and let choose(r, logits (n, levels)) say the values (n,) of order[r].

        Returns x, (n, *event_shape). Sampling, completing and coding are all such walks.
        """
        x = torch.zeros(n, len(self.order), dtype=torch.long, device=self.order.device)
        y, previous = checks.condition(y, n, self.condition, self.bias, self), None
        kept = self.network.start(n, y) if cache else None
        for r, i in enumerate(self.order.tolist()):
            if cache:
                steps = self.network.step(kept, r, previous)
            else:
                steps = self.network(self._code(x[:, self.order]), y)[:, r]
            x[:, i] = choose(r, self._logits(self.bias[r], steps))
            previous = self._code(x[:, i])
        return x.view(n, *self.event_shape)

    @property
    def _scale(self) -> float:
        return self.levels**-0.5  # keeps the spread of a sum over levels at that of one term

    def _logits(self, bias: Tensor, steps: Tensor) -> Tensor:
        return self._scale * (bias + steps).cumsum(-1)

    def _code(self, x: Tensor) -> Tensor:
        """Levels (…) → (…, levels), 1 where x ≥ l."""
        return (x[..., None] >= torch.arange(self.levels, device=x.device)).to(self.bias.dtype)

    def _given(self, given: Tensor | None, n: int) -> Tensor:
        """Return what is given as (n, m) levels, or say what was wrong."""
        if given is None:
            return self.order.new_zeros(n, 0)
        if not isinstance(given, Tensor) or given.dim() not in (1, 2) or given.shape[-1] > len(self.order):
            shown = tuple(given.shape) if isinstance(given, Tensor) else repr(given)
            raise ValueError(
                f"given must be a tensor of shape (m,) or (n, m) with m ≤ {len(self.order)}, the values of the first m "
                f"dimensions in the model's order, got {shown!s:.60}"
            )
        if given.dim() == 2 and len(given) != n:
            raise ValueError(f"given must have one row for each of the n = {n} samples, got {len(given)}")
        if given.shape[-1]:
            checks.data(given.reshape(-1, given.shape[-1]), (given.shape[-1],), self.levels, "given")
        return given.long().to(self.order.device).expand(n, -1)


class MADE(Autoregressive):
    """Masked autoencoder: one network gives all conditionals, masks on its weights cut each off from its future.

    `hidden` are the widths of the hidden layers, each at least D−1 (with a condition D). `order` lists the D dimensions
    in the order of generation (None: raster). `seed` fixes the initial weights without touching the global random
    state.

    Source: Germain et al. 2015, MADE (arXiv:1502.03509), sections 3 and 4, with categorical outputs.

    >>> model = MADE(event_shape=(1, 2, 2), levels=3, hidden=(16,))
    >>> model.log_prob(model.sample(5)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        hidden: Sequence[int] = (500,),
        order: Sequence[int] | None = None,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__(event_shape, levels, order, condition)
        hidden, needed = checks.integers("hidden", hidden, 1), len(self.order) - (not self.condition)
        if min(hidden, default=needed) < needed:
            raise ValueError(
                f"each entry of hidden must be at least {needed}, the number of dimensions without the last (and one "
                f"for the condition), got {min(hidden)}: with fewer units some dependency could not exist"
            )
        with seeded(seed):
            self.network = causal.MaskedMLP(len(self.order), self.levels, hidden, self.condition)


class LogisticAR(MADE):
    """Softmax regression of every dimension on its past: a MADE without hidden layers, arguments as there.

    Source: Frey 1998, Graphical Models for Machine Learning and Digital Communication, with categorical outputs.

    >>> LogisticAR(event_shape=(3,), levels=2).sample(4).shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        order: Sequence[int] | None = None,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__(event_shape, levels, (), order, condition, seed)


class NADE(Autoregressive):
    """Neural autoregressive distribution estimator: one hidden layer of `hidden` units that every dimension adds to.

    Source: Larochelle & Murray 2011 (AISTATS), with categorical outputs.

    >>> NADE(event_shape=(3,), levels=2, hidden=5).sample(4).shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        hidden: int = 200,
        order: Sequence[int] | None = None,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__(event_shape, levels, order, condition)
        hidden = checks.positive_int("hidden", hidden)
        with seeded(seed):
            self.network = causal.SharedHidden(len(self.order), self.levels, hidden, self.condition)


class CausalConv(Autoregressive):
    """Dilated causal convolutions along the order of generation, with gates, residuals and an embedding of the place.

    A dimension sees none further back than `receptive_field` = 1 + (kernel − 1)·Σ dilations places. `dropout` is the
    share of channels that training silences.

    Source: van den Oord et al. 2016, WaveNet (arXiv:1609.03499).

    >>> CausalConv(event_shape=(1, 8, 8), levels=17, kernel=3, dilations=(1, 2, 4, 8, 16)).receptive_field
    63
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        channels: int = 48,
        kernel: int = 3,
        dilations: Sequence[int] = (1, 2, 4, 8, 16),
        dropout: float = 0.0,
        order: Sequence[int] | None = None,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__(event_shape, levels, order, condition)
        channels, kernel = checks.positive_int("channels", channels), checks.positive_int("kernel", kernel)
        dilations, dropout = (
            checks.integers("dilations", dilations, 1),
            checks.finite_number("dropout", dropout, 0, 0.99),
        )
        with seeded(seed):
            blocks = [causal.DilatedBlock(channels, kernel, dilation, dropout) for dilation in dilations]
            self.network = causal.CausalSequence(len(self.order), self.levels, channels, blocks, self.condition)
        self.receptive_field = 1 + sum(block.reach for block in blocks)


class CausalTransformer(Autoregressive):
    """Masked self-attention along the order of generation: a dimension chooses which of those before it to look at.

    `depth` blocks on `channels` numbers for each dimension, in `heads` equal parts: heads, which share keys and values.

    Source: Vaswani et al. 2017 (arXiv:1706.03762); Shazeer 2019, Fast transformer decoding (arXiv:1911.02150); Chen et
    al. 2020, Generative pretraining from pixels (ICML).

    >>> CausalTransformer(event_shape=(3,), levels=2, channels=8, heads=2, depth=1).sample(4).shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        channels: int = 48,
        heads: int = 4,
        depth: int = 4,
        dropout: float = 0.0,
        order: Sequence[int] | None = None,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__(event_shape, levels, order, condition)
        channels, heads = checks.positive_int("channels", channels), checks.positive_int("heads", heads)
        depth, dropout = checks.positive_int("depth", depth), checks.finite_number("dropout", dropout, 0, 0.99)
        if channels % heads:
            raise ValueError(f"channels must be a multiple of heads, got {channels} channels and {heads} heads")
        with seeded(seed):
            blocks = [causal.AttentionBlock(channels, heads, len(self.order), dropout) for _ in range(depth)]
            self.network = causal.CausalSequence(len(self.order), self.levels, channels, blocks, self.condition)


class PixelCNN(Autoregressive):
    """Masked two-dimensional convolutions on images (rows, columns) or (colours, rows, columns).

    The order is raster, the colours of a pixel one after the other. The first layer has a `kernel` × `kernel` mask, the
    `depth` blocks after it 3 × 3. Some pixels above and to the right are never seen (the blind spot).

    Source: van den Oord et al. 2016, Pixel recurrent neural networks (arXiv:1601.06759), section 3.5, with the gates of
    van den Oord et al. 2016, Conditional image generation with PixelCNN decoders (arXiv:1606.05328).

    >>> PixelCNN(event_shape=(1, 4, 4), levels=2, channels=8, depth=1).sample(4).shape
    torch.Size([4, 1, 4, 4])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        channels: int = 64,
        depth: int = 5,
        kernel: int = 3,
        dropout: float = 0.0,
        condition: int = 0,
        seed: int = 0,
    ):
        shape = checks.shape("event_shape", event_shape)
        if len(shape) > 3:
            raise ValueError(f"event_shape must be (rows, columns) or (colours, rows, columns), got {shape}")
        shape = (1,) * (3 - len(shape)) + shape
        pixel_by_pixel = torch.arange(torch.Size(shape).numel()).view(shape).permute(1, 2, 0).flatten()
        super().__init__(event_shape, levels, pixel_by_pixel, condition)
        channels, depth = checks.positive_int("channels", channels), checks.positive_int("depth", depth)
        kernel, dropout = checks.positive_int("kernel", kernel), checks.finite_number("dropout", dropout, 0, 0.99)
        if channels % shape[0] or not kernel % 2:
            raise ValueError(
                f"kernel must be odd, and channels a multiple of the {shape[0]} colours, got kernel {kernel} and "
                f"{channels} channels"
            )
        with seeded(seed):
            self.network = causal.MaskedConvStack(shape, self.levels, channels, depth, kernel, self.condition, dropout)


class Ensemble(Autoregressive):
    """The average of several models at every step: p(x_i | past) = (1/K) Σ_k p_k(x_i | past), past in a common order.

    `models` must have the same event_shape, levels, condition and order; they become parts of this one.

    >>> ensemble = Ensemble([MADE((2, 2), levels=3, seed=0), NADE((2, 2), levels=3)])
    >>> ensemble.sample(4).shape
    torch.Size([4, 2, 2])
    """

    def __init__(self, models: Sequence[Autoregressive]):
        models = list(models)
        if not models or not all(isinstance(model, Autoregressive) for model in models):
            raise TypeError(f"models must be a list of autoregressive models, got {models!r:.60}")
        kinds = {(m.event_shape, m.levels, m.condition, tuple(m.order.tolist())) for m in models}
        if len(kinds) > 1:
            raise ValueError("models must agree in event_shape, levels, condition and order, or their steps do not fit")
        first = models[0]
        super().__init__(first.event_shape, first.levels, first.order, first.condition)
        self.network = _Mean(models, self._scale)
        self.initialised.fill_(True)


class _Mean(nn.Module):
    """Averages the probabilities of models, and gives them as a network of `dgmlite.causal` would."""

    def __init__(self, models: list[Autoregressive], scale: float):
        super().__init__()
        self.models, self.scale = nn.ModuleList(models), scale

    def _mix(self, logits: list[Tensor]) -> Tensor:
        mixed = torch.stack(logits).log_softmax(-1).logsumexp(0)
        return mixed.diff(dim=-1, prepend=torch.zeros_like(mixed[..., :1])) / self.scale

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self._mix([model._logits(model.bias, model.network(x, y)) for model in self.models])

    def start(self, n: int, y: Tensor | None = None) -> list:
        return [model.network.start(n, y) for model in self.models]

    def step(self, caches: list, r: int, previous: Tensor | None) -> Tensor:
        steps = [model.network.step(cache, r, previous) for model, cache in zip(self.models, caches)]
        return self._mix([model._logits(model.bias[r], step) for model, step in zip(self.models, steps)])
