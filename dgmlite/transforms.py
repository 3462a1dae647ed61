"""Bijections with their log-determinants, the parts that flows are made of; `forward` is data → noise.

`z, log_det = transform(x, y)` and `x = transform.inverse(z, y)`; log_det is log |det ∂z/∂x|, shape (B,), in nats.
x and z have the same shape (B, *event): features (B, C) or images (B, C, H, W). What acts on features acts on the
channels of images, the same at all pixels. Only couplings look at the condition y, (B, condition) or None.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dgmlite import checks
from dgmlite.networks import seeded


class Transform(nn.Module):
    """A bijection. One whose parameters start from data also has `initialise(x, y)`, called before training."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        raise NotImplementedError


class Sequential(Transform, nn.Sequential):
    """One transform after the other: the log-determinants add up.

    >>> x = torch.randn(3, 2)
    >>> z, log_det = Sequential(Reverse(2), Affine((2,)))(x)
    >>> torch.equal(z, x.flip(1)), log_det.tolist()
    (True, [0.0, 0.0, 0.0])
    """

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = None
        for transform in self:
            x, log_det = transform(x, y)
            total = log_det if total is None else total + log_det
        return x, x.new_zeros(len(x)) if total is None else total

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        for transform in reversed(self):
            z = transform.inverse(z, y)
        return z

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        for transform in self:
            if hasattr(transform, "initialise"):
                transform.initialise(x, y)
            x = transform(x, y)[0]


class Affine(Transform):
    """z = (x − μ) / σ, elementwise: log |det| = −Σ log σ. Parameters `loc` μ and `log_scale` of the given shape.

    A shape with ones, (C, 1, 1) for images, is shared by all pixels, and its log σ counts once for each of them.
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__()
        shape = checks.shape("shape", shape)
        self.loc, self.log_scale = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = -self.log_scale.expand(x.shape[1:]).sum()
        return (x - self.loc) * torch.exp(-self.log_scale), log_det.expand(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z * torch.exp(self.log_scale) + self.loc


class ActNorm(Affine):
    """`Affine`, whose μ and σ start as the mean and the deviation of the first data seen by `initialise`, once.

    shape: (C,) for features, (C, 1, 1) for images. Source: Kingma & Dhariwal 2018, Glow (arXiv:1807.03039), section
    3.1.
    """

    def __init__(self, shape: Sequence[int]):
        super().__init__(shape)
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        if self.initialised:
            return
        shared = [0] + [d + 1 for d, size in enumerate(self.loc.shape) if size == 1]
        self.loc.copy_(x.mean(shared).view_as(self.loc))
        self.log_scale.copy_(x.std(shared, correction=0).clamp(min=1e-3).log().view_as(self.loc))
        self.initialised.fill_(True)


class Gaussianise(Transform):
    """Each dimension on its own from (0, levels) to the reals: z = Φ⁻¹(F(v)), F piecewise linear, Φ normal.

    F rises by p(l) = softmax(logits)_l, at least 10⁻⁶, on (l, l + 1), so if the level of v has probabilities p and its
    place within the cell is uniform, then z is standard normal. The logits start equal; `initialise` sets p to the
    frequencies in data, plus one each. log |det| = Σ log p(l) − log φ(z), where φ is the standard normal density.
    Source: Chen & Gopinath 2000, Gaussianization (NIPS 13), for the idea; here for levels.
    """

    def __init__(self, event_shape: Sequence[int], levels: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(*event_shape, levels))

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Set p to the frequencies of the levels in x, integers (B, *event_shape)."""
        counts = F.one_hot(x.long(), self.logits.shape[-1]).sum(0).to(self.logits) + 1  # no level is impossible
        self.logits.copy_((counts / counts.sum(-1, keepdim=True)).log())

    def forward(self, v: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        p = self._p(self.logits)
        level = v.detach().floor().long().clamp(0, p.shape[-1] - 1)
        below, above = p.cumsum(-1) - p, p.flip(-1).cumsum(-1).flip(-1) - p
        p, below, above = (t.expand(*v.shape, -1).gather(-1, level[..., None])[..., 0] for t in (p, below, above))
        place = (v - level).clamp(1e-6, 1 - 1e-6)  # rounding may have moved v to the end of its cell
        left, right = below + p * place, above + p * (1 - place)  # F and 1 − F, each exact where it is small
        z = torch.special.ndtri(left.clamp(max=0.5)) - torch.special.ndtri(right.clamp(max=0.5))
        return z, (p.log() + 0.5 * (z**2 + math.log(2 * math.pi))).flatten(1).sum(1)

    def _p(self, logits: Tensor) -> Tensor:
        return (1 - 1e-6 * logits.shape[-1]) * logits.softmax(-1) + 1e-6  # however sure, Φ⁻¹ stays finite

    @torch.no_grad()
    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        p = self._p(self.logits.double())
        F_z, total = torch.special.ndtr(z.double())[..., None], p.cumsum(-1)
        level = (F_z >= total[..., :-1]).sum(-1)
        p, total = (t.expand(*z.shape, -1).gather(-1, level[..., None])[..., 0] for t in (p, total))
        return (level + 1 - ((total - F_z[..., 0]) / p).clamp(0, 1)).to(z)


class Planar(Transform):
    """z = x + û tanh(wᵀx + b), with û = u + (softplus(wᵀu) − 1 − wᵀu) w / ‖w‖², so that wᵀû > −1: one bend.

    log |det| = log (1 + (1 − tanh²(wᵀx + b)) wᵀû). The inverse has no formula: wᵀx solves a monotone equation in one
    unknown, here by bisection. Source: Rezende & Mohamed 2015 (arXiv:1505.05770), section 4.1 and appendix A.
    """

    def __init__(self, size: int, seed: int = 0):
        super().__init__()
        size = checks.positive_int("size", size)
        with seeded(seed):
            self.w, self.u = nn.Parameter(torch.randn(size)), nn.Parameter(0.1 * torch.randn(size))
            self.b = nn.Parameter(torch.randn(()))

    def _u_hat(self) -> tuple[Tensor, Tensor]:
        """û and 1 + wᵀû, which is positive."""
        product = self.w @ self.u
        slope = F.softplus(product)
        return self.u + (slope - 1 - product) * self.w / self.w.square().sum(), slope

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u_hat, slope = self._u_hat()
        h = (x @ self.w + self.b).tanh()
        return x + h[:, None] * u_hat, torch.log(h**2 + (1 - h**2) * slope)

    @torch.no_grad()
    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        u_hat, slope = self._u_hat()
        target, product = z @ self.w, slope - 1  # a + product · tanh(a + b), which rises with a = wᵀx
        low, high = target - product.abs() - 1, target + product.abs() + 1
        for _ in range(60):
            middle = (low + high) / 2
            below = middle + product * (middle + self.b).tanh() < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return z - ((low + high) / 2 + self.b).tanh()[:, None] * u_hat


class Coupling(Transform):
    """Half of the features stay as they are, and say how each of the others is moved: z = (x₁, τ(x₂; θ(x₁))).

    The Jacobian is triangular, so log |det| is the sum of log τ′. The network for θ is never inverted. `network(inputs,
    outputs)` makes it: a module (x₁, y) → (B, outputs, …). With `flip` the second half stays and moves the first.

    - kind "affine": τ = x₂ eˢ + t, where s, within ±`bound`, and t are the outputs. Source: Dinh et al. 2017, RealNVP
      (arXiv:1605.08803), section 3.2.
    - kind "spline": τ on (−bound, bound) is a rising piecewise rational-quadratic function with `bins` pieces, and
      τ = x₂ outside. Source: Durkan et al. 2019, Neural spline flows (arXiv:1906.04032), section 3.1.

    >>> from dgmlite.networks import MLP
    >>> coupling = Coupling(5, MLP)
    >>> coupling.inverse(coupling(x := torch.randn(7, 5))[0]).shape
    torch.Size([7, 5])
    """

    def __init__(
        self,
        size: int,
        network: Callable[[int, int], nn.Module],
        kind: str = "affine",
        flip: bool = False,
        bins: int = 8,
        bound: float | None = None,
    ):
        super().__init__()
        size, self.flip = checks.positive_int("size", size, 2), flip
        if kind not in ("affine", "spline"):
            raise ValueError(f'kind must be "affine" or "spline", got {kind!r}')
        self.bins = checks.positive_int("bins", bins, 2) if kind == "spline" else 0
        self.bound = checks.finite_number("bound", (5.0 if self.bins else 2.0) if bound is None else bound, 0.01)
        first = size // 2 if flip else size - size // 2
        self.sizes = [first, size - first]
        stays, self.moves = self.sizes[::-1] if flip else self.sizes
        self.network = network(stays, self.moves * (3 * self.bins - 1 if self.bins else 2))

    def _apply_to_half(self, x: Tensor, y: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        first, second = x.split(self.sizes, 1)
        stays, moves = (second, first) if self.flip else (first, second)
        parameters = self.network(stays, y)
        if self.bins:
            parameters = parameters.unflatten(1, (self.moves, -1)).movedim(2, -1)
            moved, log_slope = spline(moves, parameters, self.bound, inverse)
        else:
            s, t = parameters.chunk(2, 1)
            s = self.bound * torch.tanh(s / self.bound)
            moved, log_slope = ((moves - t) * torch.exp(-s) if inverse else moves * torch.exp(s) + t), s
        return torch.cat((moved, stays) if self.flip else (stays, moved), 1), log_slope.flatten(1).sum(1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_to_half(x, y, inverse=False)

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self._apply_to_half(z, y, inverse=True)[0]


def spline(x: Tensor, parameters: Tensor, bound: float, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Return τ(x) and log τ′(x), or τ⁻¹(x) and log τ′ there: a rational-quadratic spline, the identity beyond ±bound.

    parameters (…, 3K − 1) for x (…): unnormalised widths and heights of K bins, and slopes at the K − 1 inner knots.
    All zero gives the identity. Source: Durkan et al. 2019 (arXiv:1906.04032), section 3.1 and equations 4 to 8.
    """
    K = (parameters.shape[-1] + 1) // 3
    widths, heights, slopes = parameters.split((K, K, K - 1), -1)
    left, width = _knots(widths, bound)
    bottom, height = _knots(heights, bound)
    d = F.pad(1e-3 + F.softplus(slopes + math.log(math.expm1(1 - 1e-3))), (1, 1), value=1.0)  # (…, K + 1)
    inside = x.abs() < bound
    v = torch.where(inside, x, 0.0)[..., None]
    edges = bottom if inverse else left
    k = (v >= edges[..., 1:]).sum(-1, keepdim=True)  # the bin of each x
    left, width, bottom, height, d0 = (t.gather(-1, k)[..., 0] for t in (left, width, bottom, height, d[..., :-1]))
    d1, slope = d[..., 1:].gather(-1, k)[..., 0], height / width
    v = v[..., 0]
    if inverse:
        rise = v - bottom
        a = height * (slope - d0) + rise * (d0 + d1 - 2 * slope)
        b = height * d0 - rise * (d0 + d1 - 2 * slope)
        c = -slope * rise
        xi = 2 * c / (-b - (b * b - 4 * a * c).clamp(min=0).sqrt())
    else:
        xi = (v - left) / width  # the place within the bin, 0 … 1
    between = xi * (1 - xi)
    denominator = slope + (d0 + d1 - 2 * slope) * between
    result = left + xi * width if inverse else bottom + height * (slope * xi**2 + d0 * between) / denominator
    numerator = slope**2 * (d1 * xi**2 + 2 * slope * between + d0 * (1 - xi) ** 2)
    log_slope = numerator.log() - 2 * denominator.log()
    return torch.where(inside, result, x), torch.where(inside, log_slope, 0.0)


def _knots(raw: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """Left ends and sizes, (…, K) each, of K bins that fill (−bound, bound), none smaller than 2·bound/1000."""
    K = raw.shape[-1]
    size = 2 * bound * (1e-3 + (1 - 1e-3 * K) * raw.softmax(-1))
    return size.cumsum(-1) - size - bound, size


class Permutation(Transform):
    """z_i = x_order[i]; volumes stay, log |det| = 0. `order` lists each of the features (channels) once."""

    def __init__(self, order: Sequence[int]):
        super().__init__()
        order = checks.integers("order", order, 0)
        self.register_buffer("order", checks.permutation("order", order, len(order)))

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x[:, self.order], x.new_zeros(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z[:, self.order.argsort()]


class Reverse(Permutation):
    """The features (channels) in reverse order."""

    def __init__(self, size: int):
        super().__init__(range(checks.positive_int("size", size) - 1, -1, -1))


class LinearLU(Transform):
    """z = W x with W = P L (U + diag(s)): all features (channels) mix; log |det| = Σ log |s|, for each pixel of images.

    L is lower triangular with ones on its diagonal, U upper triangular with zeros there; P and the signs of s stay as
    they are. W starts as a random orthogonal matrix. On images this is the invertible 1 × 1 convolution. Source:
    Kingma & Dhariwal 2018, Glow (arXiv:1807.03039), section 3.2.
    """

    def __init__(self, size: int, seed: int = 0):
        super().__init__()
        size = checks.positive_int("size", size)
        with seeded(seed):
            W = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64)).Q.float()
        P, L, U = torch.linalg.lu(W)
        self.register_buffer("P", P)
        self.register_buffer("sign", U.diagonal().sign())
        self.log_s = nn.Parameter(U.diagonal().abs().log())
        self.L, self.U = nn.Parameter(L.tril(-1)), nn.Parameter(U.triu(1))

    def _factors(self) -> tuple[Tensor, Tensor]:
        return self.L.tril(-1) + torch.eye(len(self.P)).to(self.L), self.U.triu(1) + torch.diag(
            self.sign * self.log_s.exp()
        )

    @property
    def W(self) -> Tensor:
        L, U = self._factors()
        return self.P @ L @ U

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        pixels = x[0, 0].numel()
        return torch.einsum("ij,bj...->bi...", self.W, x), (pixels * self.log_s.sum()).expand(len(x))

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        L, U = self._factors()
        columns = self.P.T @ z.transpose(0, 1).flatten(1)  # (C, B · pixels)
        columns = torch.linalg.solve_triangular(L, columns, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(U, columns, upper=True)
        return x.view(z.transpose(0, 1).shape).transpose(0, 1)


class Within(Transform):
    """A transform applied to a part or another view of its input: base class of Flatten, Squeeze and Split."""

    def __init__(self, transform: Transform):
        super().__init__()
        self.inner = transform

    def _open(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the inner transform sees of x, and the rest."""
        raise NotImplementedError

    def _close(self, part: Tensor, rest: Tensor | None, shape: torch.Size) -> Tensor:
        """The inverse of `_open`."""
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        part, rest = self._open(x)
        part, log_det = self.inner(part, y)
        return self._close(part, rest, x.shape), log_det

    def inverse(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        part, rest = self._open(z)
        return self._close(self.inner.inverse(part, y), rest, z.shape)

    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        if hasattr(self.inner, "initialise"):
            self.inner.initialise(self._open(x)[0], y)


class Flatten(Within):
    """A transform of features, applied to events of any shape: their entries in raster order."""

    def _open(self, x):
        return x.flatten(1), None

    def _close(self, part, rest, shape):
        return part.view(shape)


class Squeeze(Within):
    """A transform of images of 4C channels and half the size, applied to images (C, H, W) with H and W even.

    The four pixels of each 2 × 2 block become four channels, and pixels again afterwards. Source: Dinh et al. 2017,
    RealNVP (arXiv:1605.08803), section 3.6.
    """

    def _open(self, x):
        return F.pixel_unshuffle(x, 2), None

    def _close(self, part, rest, shape):
        return F.pixel_shuffle(part, 2)


class Split(Within):
    """A transform of the first half of the features (channels); the others are finished and stay as they are.

    Source: Dinh et al. 2017, RealNVP (arXiv:1605.08803), section 3.6, the multi-scale architecture.
    """

    def _open(self, x):
        return x.tensor_split(2, 1)

    def _close(self, part, rest, shape):
        return torch.cat((part, rest), 1)
