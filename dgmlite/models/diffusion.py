"""Diffusion models: noise is added to x step by step, and a network learns to take each step back."""

import itertools
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal

from dgmlite import checks
from dgmlite.distributions import Levels
from dgmlite.networks import MLP, UNet, seeded, sinusoids

TIME = 32  # features of t that the network sees
Steps = int | Sequence[int] | None  # their number, which t, or all


class Schedule:
    """How noise is added in steps t = 1 … T: q(z_t | z_{t−1}) = N(√(1 − β_t) z_{t−1}, β_t I), with z_0 the data.

    Then q(z_t | z_0) = N(α_t z_0, σ_t² I) with α_t² = ᾱ_t = Π_{i ≤ t} (1 − β_i) and σ_t² = 1 − ᾱ_t. The index of every
    array is t itself, from 0, where there is no noise, to T: `alpha_bar`, `beta`, `alpha`, `sigma`,
    `log_snr` = log(α²/σ²) and `weight`, in float64 (T + 1,).

    - "log-snr": log(α²/σ²) falls in a straight line from ends[0] at t = 1 to ends[1] at t = T. At t = 1 σ/α should be
      well below half the distance of two levels: 8 is for up to 30 levels or so, 256 take 13.
    - "linear": β grows in a straight line, from 10⁻⁴ to 0.02 if T = 1000; for other T, ᾱ is the same at t / T.
    - "cosine": ᾱ_t = f(t / T) / f(0), f(s) = cos²(π/2 · (s + 0.008) / 1.008), but β at most 0.999.

    Source: Ho et al. 2020 (arXiv:2006.11239), equations 2 to 7; linear in T: Song et al. 2021 (arXiv:2011.13456),
    appendix C; cosine: Nichol & Dhariwal 2021 (arXiv:2102.09672), equation 17; log-SNR: Kingma et al. 2021
    (arXiv:2107.00630). Raises ValueError or TypeError for arguments that do not fit.

    >>> [round(v, 4) for v in Schedule(4, ends=(6, -6)).alpha_bar.tolist()]
    [1.0, 0.9975, 0.8808, 0.1192, 0.0025]
    """

    def __init__(self, T: int = 256, kind: str = "log-snr", ends: tuple[float, float] = (8.0, -8.0)):
        self.T, self.kind = checks.positive_int("T", T), kind
        s = torch.arange(T + 1, dtype=torch.float64) / T
        if kind == "linear":
            alpha_bar = (-0.1 * s - 9.95 * s**2).exp()
        elif kind == "cosine":
            f = (math.pi / 2 * (s + 0.008) / 1.008).cos() ** 2
            alpha_bar = torch.cat((s[:1] + 1, (f[1:] / f[:-1]).clamp(min=0.001).cumprod(0)))
        elif kind == "log-snr":
            high, low = (checks.finite_number("each of ends", end, -30, 30) for end in ends)
            if high <= low:
                raise ValueError(f"ends must fall, from the log-SNR at t = 1 to that at t = T, got {ends}")
            alpha_bar = torch.cat((s[:1] + 1, torch.linspace(high, low, T, dtype=torch.float64).sigmoid()))
        else:
            raise ValueError(f"kind must be 'log-snr', 'linear' or 'cosine', got {kind!r}")
        self.alpha_bar, self.alpha, self.sigma = alpha_bar, alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        self.beta = torch.cat((0 * s[:1], 1 - alpha_bar[1:] / alpha_bar[:-1]))
        self.log_snr = alpha_bar.log() - torch.log1p(-alpha_bar)
        self.weight = torch.zeros_like(s)  # KL(q(z_{t−1} | z_t, x) ‖ the same with x̂) / |x − x̂|², for t ≥ 2
        self.weight[2:] = -0.5 * self.log_snr[1:].exp().diff()
        self._cast, self._alpha_bar = {}, alpha_bar.tolist()

    def posterior(self, t: int, s: int | None = None, eta: float = 1.0) -> tuple[float, float, float]:
        """Return a, b, c of q(z_s | z_t, x) = N(a x + b z_t, c² I) for s < t, by default s = t − 1.

        With eta = 1 that is what follows from q(z_t | z_s); then a = α_s β_t / σ_t², b = √(1 − β_t) σ_s² / σ_t² and
        c² = β̃_t = β_t σ_s² / σ_t² for s = t − 1. With a smaller eta, c is eta times as large, and q(z_s | x) is the
        same. Source: Ho et al. 2020, equation 7; Song et al. 2021, DDIM (arXiv:2010.02502), equations 7 and 16.
        """
        if not 1 <= (s := t - 1 if s is None else s) < t <= self.T:
            raise ValueError(f"t must be at most T = {self.T}, and s must be from 1 to t − 1, got t = {t}, s = {s}")
        A, B = self._alpha_bar[t], self._alpha_bar[s]
        variance = eta**2 * (1 - B) / (1 - A) * (1 - A / B)
        b = math.sqrt(max(1 - B - variance, 0) / (1 - A))
        return math.sqrt(B) - math.sqrt(A) * b, b, math.sqrt(variance)

    def at(self, t: int | Tensor, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return α, σ and weight at t (B,), each of shape (B, 1, …) with as many axes, and the dtype, of `like`.

        And the `sinusoids` of t / T, (B, TIME). For one t, an int, B is 1.
        """
        key = like.device, like.dtype, like.dim()
        if key not in self._cast:
            numbers = torch.stack((self.alpha, self.sigma, self.weight)).to(like.dtype).to(like.device)
            numbers = numbers.view(3, -1, *[1] * (like.dim() - 1)).unbind()
            numbers = *numbers, sinusoids(torch.arange(self.T + 1).to(like) / self.T, TIME)
            self._cast[key] = numbers, list(zip(*(v.split(1) for v in numbers)))
        whole, one = self._cast[key]
        return one[t] if isinstance(t, int) else tuple(v[t] for v in whole)


class DDPM(nn.Module):
    """p(x, z_1 … z_T) = N(z_T; 0, I) Π_{t ≥ 2} p(z_{t−1} | z_t) · p(x | z_1), a network behind each step.

    q(z_t | x) is that of the schedule, of x itself if it is continuous (levels=None, best near mean 0 and variance 1)
    or of u = 2x/(levels − 1) − 1. A step back is q(z_{t−1} | z_t, x) with x̂, the network's E[x | z_t], in place of x;
    its variance is β̃_t. −log p(x) ≤ L_T + Σ_{t ≥ 2} L_{t−1} + L_0: two KLs in closed form and −log p(x | z_1), in nats.

    - network(z, h): from z_t (B, *event_shape) and h (B, TIME + condition), `sinusoids` of t / T and y, to P numbers
      for each dimension, in the order of (B, P, *event_shape). By default a `UNet` with `channels` for images with even
      sides, halved while they can be and stay at least 4, else an MLP with layers of `hidden`.
    - predict: what they are. "noise", ε of z_t = α x + σ ε, "x0", x itself, or "v", α ε − σ x, all P = 1. Or "levels",
      P = levels, how probable each level is from what the other dimensions show: p(x | z_t) ∝ those, in the form of
      `Levels` with a `bias` that `initialise` sets, · q(z_t | x). "levels" is the default, for continuous x "noise".
    - p(x | z_1) is N(x̂, σ_1²/α_1²), for levels restricted to these and normalised; with "levels" it is p(x | z_t).
      Where there are levels, x̂ is kept in their range, in the bound as in samples.
    - weighting: `loss` is the "bound" of one random t, or "simple": squared error of what is predicted, for "levels"
      −log p(x | z_t), with the same weight for each t, which is no bound.

    With `condition` = C > 0 each method takes y: labels 0 … C−1, shape (B,), or features (B, C); the model is p(x | y).
    Raises ValueError or TypeError for arguments and data that do not fit.

    Source: Sohl-Dickstein et al. 2015 (arXiv:1503.03585); Ho et al. 2020 (arXiv:2006.11239), equations 5, 8 and 14; v:
    Salimans & Ho 2022 (arXiv:2202.00512), appendix D.

    >>> model = DDPM((1, 2, 2), levels=3, schedule=Schedule(10))
    >>> model.log_weight(model.sample(5), k=3).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int | None,
        network: nn.Module | None = None,
        schedule: Schedule | None = None,
        predict: str | None = None,
        weighting: str = "bound",
        hidden: Sequence[int] = (128, 128),
        channels: int = 32,
        dropout: float = 0.0,
        condition: int = 0,
        seed: int = 0,
    ):
        super().__init__()
        self.event_shape = checks.shape("event_shape", event_shape)
        self.levels = None if levels is None else checks.positive_int("levels", levels, 2)
        self.condition = checks.positive_int("condition", condition, 0)
        self.schedule = Schedule() if schedule is None else schedule
        if not isinstance(self.schedule, Schedule):
            raise TypeError(f"schedule must be a Schedule, such as Schedule(256), got {schedule!r:.60}")
        kinds = ["noise", "x0", "v"] if levels is None else ["levels", "noise", "x0", "v"]
        self.predict, self.weighting = kinds[0] if predict is None else predict, weighting
        for name, value, wanted in (("predict", self.predict, kinds), ("weighting", weighting, ["bound", "simple"])):
            if value not in wanted:
                raise ValueError(f"{name} must be {' or '.join(map(repr, wanted))} for levels={levels}, got {value!r}")
        hidden, channels = checks.integers("hidden", hidden, 1), checks.positive_int("channels", channels)
        D, P, h = math.prod(self.event_shape), levels if self.predict == "levels" else 1, TIME + self.condition
        with seeded(seed):
            if network is None and len(self.event_shape) == 3 and not any(side % 2 for side in self.event_shape[1:]):
                C, *sides = self.event_shape
                halvings = next(
                    i for i in itertools.count(1) if any(side % 2 ** (i + 1) or side < 2 ** (i + 3) for side in sides)
                )
                network = UNet(C, C * P, channels, halvings, h, dropout)
            self.network = network or MLP(D, D * P, hidden, h, dropout)
        self.bias = nn.Parameter(torch.zeros(*self.event_shape, P)) if self.predict == "levels" else None
        self.register_buffer("grid", torch.arange(self.levels or 1).float(), persistent=False)
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor, y: Tensor | None = None) -> None:
        """Let "levels" start from each dimension's own frequencies in x; it is then the best model of independent x."""
        x = checks.data(x, self.event_shape, self.levels)
        if self.bias is not None:
            self.bias.copy_(Levels.start(x, self.levels))
        self.initialised.fill_(True)

    def scale(self, x: Tensor) -> Tensor:
        """Return the u that noise is added to, (B, *event_shape): x itself, or levels moved to [−1, 1]."""
        x = checks.data(x, self.event_shape, self.levels).to(self.grid)
        return x if self.levels is None else 2 * x / (self.levels - 1) - 1

    def _unscale(self, u):
        return u if self.levels is None else (u + 1) / 2 * (self.levels - 1)

    def diffuse(self, x: Tensor, t: int | Tensor) -> Tensor:
        """Return a draw of z_t ~ q(z_t | x), (B, *event_shape), for t = 1 … T, one for all or (B,)."""
        u = self.scale(x)
        return self._diffuse(u, self._times(t, len(u)))[0]

    def _diffuse(self, u, t):
        noise, (alpha, sigma, *_) = torch.randn_like(u), self.schedule.at(t, u)
        return alpha * u + sigma * noise, noise

    def denoise(self, z: Tensor, t: int | Tensor, y: Tensor | None = None) -> Tensor:
        """Return the model's E[x | z_t = z], (B, *event_shape): for levels in levels, from 0 to levels − 1."""
        return self._unscale(self._predict(*self._at(z, t), y)[0])

    def score(self, z: Tensor, t: int | Tensor, y: Tensor | None = None) -> Tensor:
        """Return the model's ∇ log q(z_t) at z, (B, *event_shape): (α x̂ − z) / σ² = −ε̂ / σ."""
        z, t = self._at(z, t)
        alpha, sigma, *_ = self.schedule.at(t, z)
        return (alpha * self._predict(z, t, y)[0] - z) / sigma**2

    def _at(self, z, t):
        z = checks.data(z, self.event_shape, None, "z").to(self.grid)
        return z, self._times(t, len(z))

    def _predict(self, z, t, y):
        """Return x̂ in the units of z, log p(x | z_t) of each level or None, and what came from the network."""
        y = checks.condition(y, len(z), self.condition, z, self)
        alpha, sigma, _, h = self.schedule.at(t, z)
        h = h.expand(len(z), -1)
        output = self.network(z, h if y is None else torch.cat((h, y), 1)).to(z)
        P = 1 if self.bias is None else self.levels
        if output.numel() != P * z.numel():
            raise ValueError(f"network must return {P} × {z[0].numel()} numbers, got shape {tuple(output.shape)}")
        if self.predict == "levels":
            output = output.reshape(len(z), P, *self.event_shape).movedim(1, -1)
            values = self._values()
            seen = -0.5 * ((z[..., None] - alpha[..., None] * values) / sigma[..., None]) ** 2  # log q(z_t | x)
            logits = (Levels(self.bias + output).logits + seen).log_softmax(-1)
            return logits.exp() @ values, logits, None
        output = output.reshape(z.shape)
        x_hat = output
        if self.predict != "x0":
            x_hat = (z - sigma * output) / alpha if self.predict == "noise" else alpha * z - sigma * output
        if self.levels:  # gradients pass as if it were not, or nothing outside would learn to come back
            x_hat = x_hat + (x_hat.clamp(-1, 1) - x_hat).detach()
        return x_hat, None, output

    def _last(self, x_hat, logits) -> Distribution:
        """Return p(x | z_1)."""
        std = math.exp(-self.schedule.log_snr[1].item() / 2)
        if self.levels is None:
            return Normal(x_hat, std, validate_args=False)
        if logits is None:
            logits = -0.5 * ((x_hat[..., None] - self._values()) / std) ** 2
        return Categorical(logits=logits, validate_args=False)

    def _values(self):
        return 2 * self.grid / (self.levels - 1) - 1

    def prior_term(self, x: Tensor) -> Tensor:
        """Return L_T = KL(q(z_T | x) ‖ N(0, I)) in nats, (B,); nothing in it can be learned."""
        A = self.schedule.alpha_bar[-1].item()
        return 0.5 * (A * (self.scale(x) ** 2 - 1) - math.log1p(-A)).flatten(1).sum(1)

    def term(self, x: Tensor, t: int | Tensor, y: Tensor | None = None) -> Tensor:
        """Return L_{t−1} with one draw of z_t, in nats, (B,), for t = 1 … T, one for all or (B,).

        weight_t |x − x̂|² = KL(q(z_{t−1} | z_t, x) ‖ p(z_{t−1} | z_t)) for t ≥ 2, and L_0 = −log p(x | z_1) for t = 1.
        """
        u = self.scale(x)
        return self._term(x, u, self._times(t, len(u)), y)

    def _term(self, x, u, t, y):
        x_hat, logits, _ = self._predict(self._diffuse(u, t)[0], t, y)
        divergence = self.schedule.at(t, u)[2] * (u - x_hat) ** 2
        if not (first := t == 1).any():
            return divergence.flatten(1).sum(1)
        reconstruction = -self._last(x_hat, logits).log_prob(x.to(u))
        return torch.where(first, reconstruction.flatten(1).sum(1), divergence.flatten(1).sum(1))

    def elbo(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return −L_T − T · L_{t−1} for one t for each example, at random, in nats, (B,): on average the ELBO.

        Each t is uniform on 1 … T; those of a batch are spread evenly from a random start, for less noise in the mean
        (Kingma et al. 2021, appendix I.1).
        """
        u = self.scale(x)
        return -self.prior_term(x) - self.schedule.T * self._term(x, u, self._random(len(u)), y)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return −elbo(x), in nats, or with weighting="simple" the error at one random t for each example, (B,)."""
        if self.weighting == "bound":
            return -self.elbo(x, y)
        u = self.scale(x)
        t = self._random(len(u))
        z, noise = self._diffuse(u, t)
        _, logits, output = self._predict(z, t, y)
        if logits is not None:
            return -logits.gather(-1, x.long()[..., None]).flatten(1).sum(1)
        alpha, sigma, *_ = self.schedule.at(t, u)
        target = {"noise": noise, "x0": u, "v": alpha * noise - sigma * u}[self.predict]
        return ((output - target) ** 2).flatten(1).sum(1)

    def log_weight(self, x: Tensor, k: int, y: Tensor | None = None) -> Tensor:
        """Return log p(x, z_1 … z_T) − log q(z_1 … z_T | x) in nats for k draws of all z ~ q, (k, B)."""
        u, k = self.scale(x), checks.positive_int("k", k)
        B, (x, u, y) = len(u), (v if v is None else v.repeat(k, *[1] * (v.dim() - 1)) for v in (x, u, y))
        z, noise = self._diffuse(u, self.schedule.T)
        log_w = 0.5 * (noise**2 - z**2) + math.log(self.schedule.sigma[-1].item())
        for now in range(self.schedule.T, 1, -1):
            a, b, c = self.schedule.posterior(now)
            x_hat, noise = self._predict(z, now, y)[0], torch.randn_like(z)
            off = a * (u - x_hat) / c  # from one mean to the other, in standard deviations
            log_w = log_w - (noise + 0.5 * off) * off
            z = a * u + b * z + c * noise
        log_w = log_w + self._last(*self._predict(z, 1, y)[:2]).log_prob(x.to(u))
        return log_w.flatten(1).sum(1).view(k, B)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None, steps: Steps = None, eta: float = 1.0) -> Tensor:
        """Return n samples, (n, *event_shape): z_T from N(0, I), decoded in these steps."""
        if (given := self._steps(steps))[0] != self.schedule.T:
            raise ValueError(f"steps must hold T = {self.schedule.T}, where samples start, got {steps!r}")
        z = torch.randn(checks.positive_int("n", n), *self.event_shape, dtype=self.grid.dtype, device=self.grid.device)
        return self.decode(z, y, given, eta)

    def decode(self, z: Tensor, y: Tensor | None = None, steps: Steps = None, eta: float = 1.0) -> Tensor:
        """Return x for each z_t of z, (B, *event_shape), where t is the largest of the steps.

        steps: all of T … 1 (None), a number of them, spread evenly, or a list of t, which must hold 1. Each step is
        q(z_s | z_t, x̂) of `Schedule.posterior`; the last is a draw of x from p(x | z_1), without other noise. eta = 1
        with all steps is the model; eta = 0 is DDIM, which draws nothing: x is then the mode of p(x | z_1).
        """
        *_, (_, x, _) = self.trajectory(z, y, steps, eta)
        return x

    @torch.no_grad()
    def trajectory(
        self, z: Tensor, y: Tensor | None = None, steps: Steps = None, eta: float = 1.0
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield (t, z_t, E[x | z_t]) for each t of `decode`, falling, with what `denoise` returns, then (0, x, x)."""
        z = checks.data(z, self.event_shape, None, "z").to(self.grid)
        steps, eta = self._steps(steps), checks.finite_number("eta", eta, 0, 1)
        for t, s in itertools.pairwise([*steps, 0]):
            x_hat, logits, _ = self._predict(z, t, y)
            yield t, z, self._unscale(x_hat)
            if s:
                a, b, c = self.schedule.posterior(t, s, eta)
                z = a * x_hat + b * z
                z = z + c * torch.randn_like(z) if c else z
        p = self._last(x_hat, logits)
        x = p.sample() if eta else p.mode
        x = x if self.levels is None else x.long()
        yield 0, x, x

    def _steps(self, steps):
        """Return the t of the steps, falling, or say what was wrong."""
        T = self.schedule.T
        if isinstance(steps, int):
            if (n := checks.positive_int("steps", steps, min(T, 2))) > T:
                raise ValueError(f"steps must be at most T = {T}, got {n}")
            steps = torch.linspace(1, T, n, dtype=torch.float64).round().int()
        steps = range(1, T + 1) if steps is None else checks.integers("steps", steps, 1)
        if len(set(steps)) < len(steps) or 1 not in steps or max(steps) > T:
            raise ValueError(f"steps must hold 1, as x comes from p(x | z_1), and others up to T = {T}, each once")
        return sorted(steps, reverse=True)

    def _times(self, t, n) -> Tensor:
        """Return t as a tensor (n,), or say what was wrong."""
        if not isinstance(t, Tensor):
            t = torch.full((n,), checks.positive_int("t", t))
        if t.shape != (n,) or t.is_floating_point() or t.min() < 1 or t.max() > self.schedule.T:
            raise ValueError(f"t must hold integers from 1 to T = {self.schedule.T}, one or {n}, got {t!s:.60}")
        return t.to(self.grid.device)

    def _random(self, n) -> Tensor:
        """Return t for n examples, each uniform on 1 … T and together evenly spread, which makes means less noisy."""
        share = (torch.rand(1, dtype=torch.float64) + torch.arange(n, dtype=torch.float64) / n) % 1
        return (share * self.schedule.T).long().to(self.grid.device) + 1
