"""What a model is worth: its negative log-likelihood in nats, what kind of number that is, and what samples tell."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from torch import Tensor, nn

from dgmlite import checks
from dgmlite.networks import seeded


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Negative log-likelihood of data: its mean in nats, what kind of number it is, and how sure.

    `kind` is "exact", "upper bound" or "none" (then all numbers are NaN). `stderr` is sd/√N, NaN for one example.
    `bits_per_dim` is nats / (D ln 2). `per_example` (N,) holds the nats of each example, float64 on the CPU. `k` is
    the number of importance samples in the bound, else None.
    """

    nats: float
    kind: str
    stderr: float
    bits_per_dim: float
    per_example: Tensor = field(repr=False)
    k: int | None = None

    def __str__(self) -> str:
        if self.kind == "none":
            return "no likelihood: the model has neither log_prob nor log_weight nor elbo"
        error = "" if math.isnan(self.stderr) else f" ± {self.stderr:.2f}"
        kind = self.kind if self.k is None else f"{self.kind}, k = {self.k}"
        return f"{self.nats:.2f}{error} nats ({kind}), {self.bits_per_dim:.3f} bits per dimension"


@torch.no_grad()
def evaluate(
    model: nn.Module, x: Tensor, y: Tensor | None = None, *, k: int = 1, batch_size: int = 500, seed: int = 0
) -> Evaluation:
    """Return the mean negative log-likelihood of x, (N, *event_shape), by the best means that the model has.

    - `log_prob(x)`: −log p(x), exact.
    - `log_weight(x, k)`: −log (1/k) Σ_i w_i, whose expectation is an upper bound that tightens with k (Burda et al.
      2016, arXiv:1509.00519, theorem 1); for k = 1 it is −ELBO, and `elbo(x)` is used where there is one.
    - neither: kind "none".

    `y`, one entry per example, goes to the model as `y=`. The model is in eval mode meanwhile and then as before; the
    noise comes from `seed`, and the caller's random state is left alone. Raises ValueError or TypeError for bad input,
    ValueError if the model gives NaN or not one value per example.

    >>> class FairDie(nn.Module):
    ...     event_shape, levels = (3,), 6
    ...     def log_prob(self, x):
    ...         return torch.full((len(x),), -3 * math.log(6))
    >>> print(evaluate(FairDie(), torch.randint(6, (100, 3))))
    5.38 ± 0.00 nats (exact), 2.585 bits per dimension
    """
    k = checks.positive_int("k", k)
    if hasattr(model, "log_prob"):
        return _evaluation(model, x, y, "log_prob", model.log_prob, batch_size, seed, "exact", None)
    if hasattr(model, "elbo") and k == 1:
        return _evaluation(model, x, y, "elbo", model.elbo, batch_size, seed, "upper bound", 1)
    if hasattr(model, "log_weight"):
        return iwae(model, x, k, y, batch_size=batch_size, seed=seed)
    if hasattr(model, "elbo"):
        raise ValueError(
            f"k must be 1, got {k}: the model has elbo but no log_weight, so its bound cannot be tightened"
        )
    return _evaluation(model, x, y, "", None, batch_size, seed, "none", None)


@torch.no_grad()
def elbo(
    model: nn.Module, x: Tensor, k: int = 1, y: Tensor | None = None, *, batch_size: int = 500, seed: int = 0
) -> Evaluation:
    """Return −ELBO of x, (N, *event_shape), with k draws of the latent variable for each example.

    −(1/k) Σ_i log w_i for log w = `model.log_weight(x, k)`: an upper bound on −log p(x) on average; draws make it more
    precise, not tighter. With the same k and seed the weights are those of `iwae`. The rest is as in `evaluate`.
    """

    def estimate(x, **y):
        return model.log_weight(x, k, **y).mean(0)

    return _bound(model, x, k, y, estimate, batch_size, seed, 1)


@torch.no_grad()
def iwae(
    model: nn.Module, x: Tensor, k: int, y: Tensor | None = None, *, batch_size: int = 500, seed: int = 0
) -> Evaluation:
    """Return −log (1/k) Σ_i w_i of x, (N, *event_shape), an upper bound on −log p(x) on average that tightens with k.

    Source: Burda et al. 2016 (arXiv:1509.00519), theorem 1. The rest is as in `evaluate`.
    """

    def estimate(x, **y):
        return model.log_weight(x, k, **y).logsumexp(0) - math.log(k)

    return _bound(model, x, k, y, estimate, batch_size, seed, k)


def _bound(model, x, k, y, estimate, batch_size, seed, tightness):
    if isinstance(model, nn.Module) and not hasattr(model, "log_weight"):
        raise TypeError(f"model must have log_weight, got {type(model).__name__}; evaluate scores models of any kind")
    k, batch_size = checks.positive_int("k", k), checks.positive_int("batch_size", batch_size)
    batch_size = max(1, batch_size // k)  # k · batch_size weights at a time
    return _evaluation(model, x, y, "log_weight", estimate, batch_size, seed, "upper bound", tightness)


def _evaluation(model, x, y, name, estimate, batch_size, seed, kind, k):
    """Return the Evaluation of −estimate(x, y=y), batch after batch."""
    x, batch_size = _checked(model, x, y), checks.positive_int("batch_size", batch_size)
    if kind == "none":
        nan = torch.full((len(x),), math.nan, dtype=torch.float64)
        return Evaluation(math.nan, "none", math.nan, math.nan, nan)
    values = []
    with _looking(model, x, seed) as device:
        for some in torch.arange(len(x)).split(batch_size):
            condition = {} if y is None else {"y": y[some].to(device)}
            value = estimate(x[some].to(device), **condition)
            if value.shape != some.shape:
                raise ValueError(
                    f"model.{name} must return one value per example, expected shape {tuple(some.shape)}, got "
                    f"{tuple(value.shape)}: sum over the dimensions of the event, not over the batch"
                )
            values.append(value.double().cpu())
    per_example = -torch.cat(values)
    if per_example.isnan().any():
        raise ValueError(f"model.{name} is NaN for {int(per_example.isnan().sum())} of {len(x)} examples")
    nats = per_example.mean().item()
    stderr = per_example.std().item() / len(x) ** 0.5 if len(x) > 1 else math.nan
    bits = nats / (math.prod(model.event_shape) * math.log(2))
    return Evaluation(nats, kind, stderr, bits, per_example, k)


def _checked(model, x, y):
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module with event_shape and levels, got {type(model).__name__}")
    x = checks.data(x, model.event_shape, model.levels)
    if y is not None and (not isinstance(y, Tensor) or y.shape[:1] != x.shape[:1]):
        raise ValueError(f"y must be a tensor with one entry for each of the {len(x)} examples of x, got {y!r:.60}")
    return x


@dataclass(frozen=True, eq=False)
class AggregatePosterior:
    """How a model with latent variables uses them on N examples: q(z) = (1/N) Σ_n q(z | x_n), against the prior p(z).

    All in nats: rate = mean_n KL(q(z | x_n) ‖ p(z)) = mutual_information + marginal_kl, of which mutual_information is
    I_q[n; z], which tells how much z says about which of the examples it belongs to (at most log N), and marginal_kl is
    KL(q(z) ‖ p(z)). `variance` (latent,) is Var_n(E_q[z | x_n]); `active` counts the dimensions in which it exceeds
    0.01.
    """

    rate: float
    mutual_information: float
    marginal_kl: float
    active: int
    variance: Tensor = field(repr=False)


@torch.no_grad()
def aggregate_posterior(
    model: nn.Module, x: Tensor, y: Tensor | None = None, *, draws: int = 10, seed: int = 0
) -> AggregatePosterior:
    """Return what the latent variable of `model`, which has encode(x) and a prior, knows of x, (N, *event_shape).

    Expectations are means over `draws` of z for each example, q(z) is the whole sum. Raises as `evaluate`.
    Source: Hoffman & Johnson 2016, ELBO surgery; active: Burda et al. 2016 (arXiv:1509.00519), section 5.2.
    """
    draws, N = checks.positive_int("draws", draws), len(_checked(model, x, y))
    if not hasattr(model, "encode") or not hasattr(model, "prior"):
        raise TypeError(f"model must have encode(x) and a prior, got {type(model).__name__}")
    with _looking(model, x, seed) as device:
        q = model.encode(x.to(device), **({} if y is None else {"y": y.to(device)}))
        rates, informations = [], []
        for _ in range(draws):
            z = q.sample()  # (N, latent)
            log_own = q.log_prob(z)
            log_all = torch.cat([q.log_prob(some[:, None]).logsumexp(1) for some in z.split(100)]) - math.log(N)
            rates.append((log_own - model.prior.log_prob(z)).double().mean().item())
            informations.append((log_own - log_all).double().mean().item())
        variance = q.mean.var(0, correction=0).cpu()
    rate, information = sum(rates) / draws, sum(informations) / draws
    return AggregatePosterior(rate, information, rate - information, int((variance > 0.01).sum()), variance)


@torch.no_grad()
def mmd(a: Tensor, b: Tensor, bandwidth: float | None = None) -> float:
    """Return how far two sets of samples are apart, (N, *event_shape) and (M, *event_shape): an unbiased MMD².

    E k(a, a') + E k(b, b') − 2 E k(a, b) with k(x, y) = exp(−|x − y|² / 2h²), over pairs of different members: 0 on
    average for samples of one distribution, so at times below 0, and above 0 on average for any two others. h is the
    bandwidth in the units of the data, by default the median distance of two members of b, so let b be the reference.
    Source: Gretton et al. 2012, A kernel two-sample test, equation 3. Raises ValueError or TypeError for bad input.

    >>> grid = torch.linspace(-2, 2, 100)[:, None]
    >>> round(mmd(grid, grid), 2), round(mmd(grid + 1, grid), 2)
    (-0.01, 0.11)
    """
    a, b = _sets(a=a, b=b)
    within = torch.nn.functional.pdist(a), torch.nn.functional.pdist(b)
    if bandwidth is None:
        bandwidth = _median(within[1], "b")
    scale = 2 * checks.finite_number("bandwidth", bandwidth, 1e-12) ** 2
    same_a, same_b, cross = ((-(d**2) / scale).exp().mean() for d in (*within, _distances(a, b)))
    return (same_a + same_b - 2 * cross).item()


@dataclass(frozen=True, eq=False)
class TwoSampleTest:
    """The statistic of two sets of samples, those of `permuted` sets (permutations,), and how rare it is among them."""

    statistic: float
    p_value: float
    permuted: Tensor = field(repr=False)


@torch.no_grad()
def two_sample_test(
    a: Tensor,
    b: Tensor,
    kind: str = "mmd",
    permutations: int = 500,
    bandwidth: float | None = None,
    classifier=None,
    seed: int = 0,
) -> TwoSampleTest:
    """Return whether a (N, *event_shape) and b (M, *event_shape) can be of one distribution, by a permutation test.

    p = (1 + #{permuted statistic ≥ statistic}) / (1 + permutations): if they are of one, P(p ≤ α) ≤ α for each α. The
    examples of each set must be independent of each other.

    - "mmd": the statistic of `mmd`; by default h is the median distance of all pairs, so that no permutation moves it.
    - "classifier": `classifier`, as in `density_ratio`, learns from a random half of a and of b. The statistic is its
      area under the curve on the others, the share of pairs in which the member of a looks more like a: ½ by chance.

    Source: Gretton et al. 2012, A kernel two-sample test; Lopez-Paz & Oquab 2017 (arXiv:1610.06545), there with
    accuracy. Raises ValueError or TypeError for bad input.

    >>> grid = torch.linspace(-2, 2, 100)[:, None]
    >>> two_sample_test(grid + 1, grid, permutations=99).p_value
    0.01
    """
    a, b = _sets(a=a, b=b)
    permutations = checks.positive_int("permutations", permutations)
    if kind == "mmd":
        x = torch.cat((a, b))
        distance = _distances(x, x)
        if bandwidth is None:
            bandwidth = _median(torch.nn.functional.pdist(x), "a and b")
        kernel = (-(distance**2) / (2 * checks.finite_number("bandwidth", bandwidth, 1e-12) ** 2)).exp()
        kernel.fill_diagonal_(0)
    elif kind == "classifier":
        if min(len(a), len(b)) < 4:
            raise ValueError(f"a and b must hold at least 4 examples for a classifier, got {len(a)} and {len(b)}")
        with seeded(seed):
            a, b = (v[torch.randperm(len(v))] for v in (a, b))
        log_r = density_ratio(a[::2], b[::2], classifier)
        a, b = a[1::2], b[1::2]
        score = log_r(torch.cat((a, b)))
        below = torch.searchsorted(score.sort().values, score)  # ties count a half
        rank = (below + torch.searchsorted(score.sort().values, score, right=True) + 1) / 2
    else:
        raise ValueError(f"kind must be 'mmd' or 'classifier', got {kind!r}")
    n, m = len(a), len(b)
    with seeded(seed):
        in_a = torch.rand(permutations, n + m).argsort(1) < n
    in_a = torch.cat(((torch.arange(n + m) < n)[None], in_a)).double()  # the sets as they are, then permuted ones
    if kind == "mmd":
        same_a = ((in_a @ kernel) * in_a).sum(1)
        cross = in_a @ kernel.sum(1) - same_a
        same_b = kernel.sum() - same_a - 2 * cross
        values = same_a / (n * (n - 1)) + same_b / (m * (m - 1)) - 2 * cross / (n * m)
    else:
        values = (in_a @ rank.double() - n * (n + 1) / 2) / (n * m)
    statistic, permuted = values[0].item(), values[1:]
    reached = (permuted >= statistic - 1e-12).sum().item()  # equal ones may differ by rounding
    return TwoSampleTest(statistic, (1 + reached) / (1 + permutations), permuted)


def density_ratio(a: Tensor, b: Tensor, classifier=None) -> Callable[[Tensor], Tensor]:
    """Return the function log r, x (B, *event_shape) → (B,) float64, for r = p/q of a ~ p and b ~ q, in nats.

    A probabilistic classifier learns D(x), the probability that x is of a; log r = log D/(1 − D) − log N/M, as there
    are N of a and M of b. By default it is logistic regression on x and its products of two, which is right for normal
    p and q; any classifier of scikit-learn with `predict_proba` will do, on x flattened. It is not changed, but copied.
    Source: Sugiyama et al. 2012, Density Ratio Estimation in Machine Learning, chapter 4. Raises ValueError or
    TypeError for bad input.

    >>> a, b = (torch.randn(5000, 1, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    >>> log_r = density_ratio(a + 1, b)  # of N(1, 1) and N(0, 1): x − ½
    >>> bool((log_r(torch.tensor([[0.0], [0.5], [1.0]])) - torch.tensor([-0.5, 0, 0.5])).abs().max() < 0.1)
    True
    """
    shape = a.shape[1:] if isinstance(a, Tensor) else ()
    a, b = _sets(a=a, b=b)
    if classifier is None:
        scaled = StandardScaler(), PolynomialFeatures(2, include_bias=False), StandardScaler()
        classifier = make_pipeline(*scaled, LogisticRegression(C=100, max_iter=1000))
    elif not hasattr(classifier, "fit") or not hasattr(classifier, "predict_proba"):
        raise TypeError(f"classifier must have fit and predict_proba, as those of scikit-learn, got {classifier!r:.60}")
    classifier = clone(classifier).fit(torch.cat((a, b)).numpy(), np.repeat([1, 0], [len(a), len(b)]))
    prior = math.log(len(a) / len(b))

    def log_r(x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or x.shape[1:] != shape or len(x) == 0:
            raise ValueError(f"x must be a tensor of shape (B, {', '.join(map(str, shape))}), got {x!r:.60}")
        p = classifier.predict_proba(x.detach().cpu().flatten(1).double().numpy())
        log_p = np.log(p.clip(np.finfo(float).tiny))
        return torch.from_numpy(log_p[:, 1] - log_p[:, 0] - prior)

    return log_r


@dataclass(frozen=True, eq=False)
class Modes:
    """How samples spread over known modes: `covered` of them are found, and a share `good` of samples is near one.

    `counts` (modes,) are the samples near each, and nearer to it than to the others.
    """

    covered: int
    good: float
    counts: Tensor


def modes(samples: Tensor, centres: Tensor, radius: float, least: int = 1) -> Modes:
    """Return how many of the centres, (K, *event_shape), have at least `least` samples, (N, *event_shape), near.

    Near is a distance of at most `radius` from the nearest of the centres; for Gaussians three standard deviations are
    usual. Of true samples of a mixture of those in two dimensions, 1 − exp(−9/2) = 98.9 % are. Source: Lin et al. 2018
    (arXiv:1712.04086), section 4.1. Raises ValueError or TypeError for bad input.

    >>> modes(torch.tensor([[0.1, 0.0], [0.0, 0.1], [4.0, 4.0]]), torch.eye(2), radius=1.0).counts
    tensor([1, 1])
    """
    distance, near = nearest(*_sets(1, samples=samples, centres=centres))
    good = distance <= checks.finite_number("radius", radius, 0)
    counts = torch.bincount(near[good], minlength=len(centres))
    return Modes(int((counts >= checks.positive_int("least", least)).sum()), good.double().mean().item(), counts)


def nearest(samples: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far each of samples (N, *event_shape) is from the nearest of train (M, *event_shape), and which it is.

    Euclidean distances (N,) float64, and indices (N,). Raises ValueError or TypeError for bad input.

    >>> nearest(torch.tensor([[0.0], [5.0]]), torch.tensor([[4.0], [1.0]]))
    (tensor([1., 1.], dtype=torch.float64), tensor([1, 0]))
    """
    samples, train = _sets(1, samples=samples, train=train)
    return tuple(torch.cat(v) for v in zip(*(_distances(some, train).min(1) for some in samples.split(500))))


def precision_recall(samples: Tensor, real: Tensor, k: int = 3) -> tuple[float, float]:
    """Return the share of samples (N, *event_shape) among real ones (M, *event_shape), and of real ones among samples.

    An example is among the others if it is in one of the balls around them, each as large as the distance to its k-th
    neighbour of its own kind. Precision falls with bad samples, recall with modes that are missing; of two sets from
    one distribution both are below 1. Distances are Euclidean: for images give features. Source: Kynkäänniemi et al.
    2019 (arXiv:1904.06991), equations 1 and 2. Raises ValueError or TypeError for bad input.

    >>> x = torch.linspace(0, 1, 100)[:, None]
    >>> precision_recall(x[:50], x)  # every sample is good, half of the real ones have none near
    (1.0, 0.53)
    """
    samples, real = _sets(samples=samples, real=real)
    if checks.positive_int("k", k) >= min(len(samples), len(real)):
        raise ValueError(f"k must be less than the number of samples, {len(samples)}, and of real ones, {len(real)}")

    def share(some, others):
        parts = others.split(500)
        radius = torch.cat([_distances(part, others).kthvalue(k + 1, 1).values for part in parts])  # first is itself
        among = torch.cat([(_distances(part, others) <= radius).any(1) for part in some.split(500)])
        return among.double().mean().item()

    return share(samples, real), share(real, samples)


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return |m_a − m_b|² + tr(S_a + S_b − 2 (S_a S_b)^½) of features a (N, F) and b (M, F), of means m, covariances S.

    That is the squared Wasserstein distance W₂² of two normal distributions with those, and 0 also for others that
    agree in them. It is FID only for the features, the sizes and the real images of that score: say which features, and
    give the distance of two sets of real ones beside it, which is above 0 and falls with N. Source: Dowson & Landau
    1982; Heusel et al. 2017 (arXiv:1706.08500), equation 6. Raises ValueError or TypeError for bad input.

    >>> a = torch.tensor([[-1.0], [1.0]])
    >>> round(frechet_distance(3 * a + 5, a), 6)  # (5 − 0)² + (3√2 − √2)²
    33.0
    """
    a, b = _sets(a=a, b=b)
    Sa, Sb = (torch.atleast_2d(v.T.cov()) for v in (a, b))
    values, vectors = torch.linalg.eigh(Sa)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ Sb @ root).clamp(min=0).sqrt().sum()  # tr (S_a S_b)^½
    return max(((a.mean(0) - b.mean(0)) ** 2).sum().item() + (Sa.trace() + Sb.trace() - 2 * cross).item(), 0.0)


def _distances(a, b):
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def _median(distances, whose):
    if (median := distances.median().item()) == 0:
        raise ValueError(f"{whose} must hold different examples, or give a bandwidth: most of its pairs are equal")
    return median


def _sets(least=2, **sets):
    """Return the sets as (N, D) float64 on the CPU, or say what was wrong."""
    for name, x in sets.items():
        if not isinstance(x, Tensor) or x.dim() < 2 or len(x) < least or x.numel() == 0:
            wanted = "two examples" if least == 2 else "one example"
            raise TypeError(f"{name} must be a tensor of at least {wanted}, (N, *event_shape), got {x!r:.60}")
        if x.is_floating_point() and not x.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinity")
    (a, x), (b, y) = sets.items()
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(f"{a} and {b} must hold examples of the same shape, got {tuple(x.shape)} and {tuple(y.shape)}")
    return tuple(v.detach().cpu().flatten(1).double() for v in (x, y))


@contextlib.contextmanager
def _looking(model: nn.Module, x: Tensor, seed: int) -> Iterator[torch.device]:
    """Hold the model in eval mode and the noise at a seed; yield where the model is."""
    device = next((tensor.device for tensor in model.state_dict().values()), x.device)
    with seeded(seed, device), _eval_mode(model):
        yield device


@contextlib.contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
