"""evaluate, bounds, aggregate posterior: numbers with a closed form, their kind, and nothing changed on the way."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.distributions import Independent, Normal

from dgmlite.data import ring_of_gaussians
from dgmlite.evaluation import (
    Evaluation,
    aggregate_posterior,
    density_ratio,
    elbo,
    evaluate,
    frechet_distance,
    iwae,
    mmd,
    modes,
    nearest,
    precision_recall,
    two_sample_test,
)
from dgmlite.models.flow import Affine, Flow, StandardNormal


class Base(nn.Module):
    event_shape, levels = (2, 3), 5

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(0.0))
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.BatchNorm1d(1).eval()


class Uniform(Base):
    def log_prob(self, x):
        assert not torch.is_grad_enabled() and not self.training and not self.dropout.training
        return torch.full((len(x),), -6 * math.log(self.levels)) + self.offset


class FirstPixel(Base):
    """log p(x) = −x₀₀: what is averaged is known."""

    def log_prob(self, x):
        return -x[:, 0, 0].float() + self.offset


class Coin(Base):
    """Log-weights log 1 or log 3 with probability ½, so p(x) = 2 and the ELBO is ½ log 3."""

    def log_weight(self, x, k):
        return math.log(3) * (torch.rand(k, len(x)) < 0.5)


class CoinWithElbo(Coin):
    def elbo(self, x):
        return torch.full((len(x),), math.log(3) / 2)


class ElboOnly(Base):
    def elbo(self, x):
        return torch.full((len(x),), -2.0)


class Labelled(Base):
    def log_prob(self, x, y=None):
        return -y.float() * torch.ones(len(x))


X = torch.randint(5, (1001, 2, 3), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 256])
def test_uniform_model_has_log2_levels_bits(levels):
    model = Uniform()
    model.levels = levels
    result = evaluate(model, X % min(levels, 5) % levels)
    assert result.bits_per_dim == pytest.approx(math.log2(levels), abs=1e-6)
    assert result.kind == "exact" and result.k is None and result.stderr == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 500, 5000])
def test_mean_error_and_examples(batch_size):
    result = evaluate(FirstPixel(), X, batch_size=batch_size)
    values = X[:, 0, 0].double()
    assert torch.equal(result.per_example, values)
    assert result.nats == pytest.approx(values.mean().item())
    spread = ((values - values.mean()) ** 2).sum().item() / (len(X) - 1)
    assert result.stderr == pytest.approx(math.sqrt(spread / len(X)))
    assert result.bits_per_dim == pytest.approx(result.nats / (6 * math.log(2)))


def test_one_example_has_no_error():
    result = evaluate(FirstPixel(), X[:1])
    assert math.isnan(result.stderr) and "±" not in str(result)


def test_bound_is_the_elbo_for_one_sample_and_tightens():
    loose, tight = evaluate(Coin(), X), evaluate(Coin(), X, k=300)
    assert loose.kind == tight.kind == "upper bound" and (loose.k, tight.k) == (1, 300)
    assert loose.nats == pytest.approx(-math.log(3) / 2, abs=4 * loose.stderr)
    assert tight.nats == pytest.approx(-math.log(2) + 1 / 8 / 300, abs=1e-3)  # Var[w/p]/2k above −log p


def test_elbo_is_used_for_one_sample_and_never_in_the_mean_of_weights():
    assert evaluate(CoinWithElbo(), X).nats == pytest.approx(-math.log(3) / 2)
    assert evaluate(CoinWithElbo(), X).stderr < 1e-6
    assert evaluate(CoinWithElbo(), X, k=300).nats == pytest.approx(-math.log(2), abs=2e-3)
    assert evaluate(ElboOnly(), X).nats == 2 and evaluate(ElboOnly(), X).k == 1
    with pytest.raises(ValueError, match="k must be 1"):
        evaluate(ElboOnly(), X, k=2)


def test_exact_goes_before_bound():
    class Both(FirstPixel, Coin):
        pass

    assert evaluate(Both(), X, k=5).kind == "exact"


def test_model_without_likelihood():
    result = evaluate(Base(), X)
    assert result.kind == "none" and all(map(math.isnan, (result.nats, result.stderr, result.bits_per_dim)))
    assert result.per_example.shape == (1001,) and result.per_example.isnan().all()
    assert "no likelihood" in str(result)


def test_text():
    per_example = torch.zeros(1)
    assert str(Evaluation(83.119, "exact", 0.409, 1.8737, per_example)) == (
        "83.12 ± 0.41 nats (exact), 1.874 bits per dimension"
    )
    assert "(upper bound, k = 64)" in str(Evaluation(83.119, "upper bound", 0.409, 1.8737, per_example, 64))


def test_labels_go_along_in_batches():
    y = torch.arange(1001)
    assert torch.equal(evaluate(Labelled(), X, y, batch_size=100).per_example, y.double())
    with pytest.raises(TypeError, match="'y'"):
        evaluate(FirstPixel(), X, y)


def test_nothing_changes():
    model = Coin().train()
    model.frozen.eval()
    torch.manual_seed(11)
    before = torch.get_rng_state()
    results = [evaluate(model, X, k=3, seed=seed).nats for seed in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    assert results[0] == results[1] != results[2]
    assert model.training and model.dropout.training and not model.frozen.training
    assert not Coin().eval().training and torch.is_grad_enabled()


def test_a_failing_model_leaves_the_training_mode():
    class Failing(Base):
        def log_prob(self, x):
            raise RuntimeError("inside the model")

    model, before = Failing().train(), torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"):
        evaluate(model, X)
    assert model.training and torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "log_prob, message",
    [
        (lambda x: -torch.ones(()), "one value per example"),
        (lambda x: -torch.ones(len(x), 1), "one value per example"),
        (lambda x: torch.full((len(x),), math.nan), "NaN for 1001 of 1001"),
    ],
)
def test_wrong_models_are_named(log_prob, message):
    model = Base()
    model.log_prob = log_prob
    with pytest.raises(ValueError, match=message):
        evaluate(model, X)


bad = st.one_of(
    st.none(), st.booleans(), st.integers(max_value=0), st.floats(), st.text(max_size=3), st.lists(st.none())
)
bad_arguments = st.one_of(
    bad.map(lambda value: {"k": value}),
    bad.map(lambda value: {"batch_size": value}),
    st.one_of(st.integers(max_value=-1), st.integers(min_value=2**63), st.floats(), st.none()).map(
        lambda value: {"seed": value}
    ),
    st.one_of(bad, st.integers(0, 1000).map(torch.zeros)).filter(lambda y: y is not None).map(lambda y: {"y": y}),
    st.one_of(
        bad,
        st.lists(st.integers(0, 4), max_size=4)
        .filter(lambda s: s[1:] != [2, 3] or not s[0])
        .map(lambda s: torch.zeros(s).long()),
        st.sampled_from([torch.zeros(5, 2, 3), torch.full((5, 2, 3), math.nan), torch.full((5, 2, 3), 5), X - 1]),
    ).map(lambda value: {"x": value}),
    st.one_of(bad, st.just(FirstPixel)).map(lambda value: {"model": value}),
)


@settings(max_examples=300, deadline=None)
@given(bad_arguments)
def test_bad_arguments_are_refused(arguments):
    good = {"model": FirstPixel(), "x": X}
    with pytest.raises((TypeError, ValueError), match=r"must |is empty"):
        evaluate(**good | arguments)


# Bounds.


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_elbo_and_iwae_of_a_coin(k):
    """Heads ~ Binomial(k, ½): E[log mean w] = Σ_h C(k, h) / 2^k · log((k + 2h) / k), and the ELBO is ½ log 3."""
    loose, tight = (bound(Coin(), X.repeat(20, 1, 1), k) for bound in (elbo, iwae))
    heads = np.arange(k + 1)
    expected = scipy.stats.binom.pmf(heads, k, 0.5) @ np.log((k + 2 * heads) / k)
    assert loose.nats == pytest.approx(-math.log(3) / 2, abs=4 * loose.stderr)
    assert tight.nats == pytest.approx(-expected, abs=4 * tight.stderr)
    assert loose.stderr == pytest.approx(math.log(3) / 2 / math.sqrt(k * 20_020), rel=0.05)
    assert (loose.kind, loose.k, tight.kind, tight.k) == ("upper bound", 1, "upper bound", k)


def test_weights_of_elbo_and_iwae_are_the_same():
    """Through both, example by example, batch after batch; evaluate is one of the two."""

    class Recording(Coin):
        def log_weight(self, x, k):
            self.seen.append(super().log_weight(x, k))
            return self.seen[-1]

    model, seen = Recording(), []
    for bound in (elbo, iwae, lambda *a, **options: evaluate(*a, k=4, **options)):
        for seed in (0, 1):
            model.seen = []
            result = bound(model, X, *([] if bound not in (elbo, iwae) else [4]), batch_size=100, seed=seed)
            assert [weights.shape for weights in model.seen] == [(4, 25)] * 40 + [(4, 1)]  # 100 weights at a time
            weights = torch.cat(model.seen, 1).double()
            expected = weights.mean(0) if bound is elbo else weights.exp().mean(0).log()
            torch.testing.assert_close(-result.per_example, expected, rtol=1e-5, atol=1e-6)
            seen.append(weights)
    assert all(torch.equal(seen[i], seen[i + 2]) for i in range(4)) and not torch.equal(seen[0], seen[1])
    assert elbo(model, X).nats == iwae(model, X, 1).nats == evaluate(model, X).nats
    assert iwae(model, X[:3], 50, batch_size=10).per_example.shape == (3,)  # more weights than a batch holds


def test_bounds_take_labels_and_leave_all_as_it_was():
    class Conditioned(Coin):
        def log_weight(self, x, k, y=None):
            assert not self.training and not torch.is_grad_enabled()
            return -y.float().expand(k, -1) + 0 * super().log_weight(x, k)

    model, before = Conditioned().train(), torch.get_rng_state()
    for bound in (elbo, iwae):
        result = bound(model, X, 3, torch.arange(1001), batch_size=100)
        torch.testing.assert_close(result.per_example, torch.arange(1001).double())
    assert model.training and torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("bound", [elbo, iwae])
@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"k": 0}, "k must be at least 1"),
        ({"k": 2.5}, "k must be an integer"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed must"),
        ({"x": X[0]}, "x must have shape"),
        ({"x": X + 5}, "x must hold levels"),
        ({"y": torch.zeros(3)}, "y must be a tensor with one entry"),
        ({"model": FirstPixel()}, "model must have log_weight, got FirstPixel; evaluate scores"),
        ({"model": Coin}, "model must be a torch.nn.Module"),
    ],
)
def test_bounds_refuse_in_one_sentence(bound, arguments, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        bound(**{"model": Coin(), "x": X, "k": 2} | arguments)


# The aggregate posterior.


class Encoder(nn.Module):
    """q(z | x) = N(mean[x], std[x]²), with one example for each level."""

    event_shape = (1,)

    def __init__(self, mean, std, prior=None):
        super().__init__()
        self.mean, self.std = (nn.Parameter(torch.tensor(v, dtype=torch.float64)) for v in (mean, std))
        self.levels, self.dropout = len(mean), nn.Dropout(0.5)
        self.prior = prior or StandardNormal((self.mean.shape[1],))

    def encode(self, x, y=None):
        assert not self.training and not self.dropout.training and not torch.is_grad_enabled()
        return Independent(Normal(self.mean[x[:, 0]] + (0 if y is None else y[:, None]), self.std[x[:, 0]]), 1)

    @property
    def x(self):
        return torch.arange(self.levels)[:, None]


def by_quadrature(mean, std, prior=scipy.stats.norm):
    """KL(q(z) ‖ p(z)), I[n; z] and the mean of KL(q(z | x) ‖ p(z)) in one dimension, by the trapezoid rule."""
    z = np.linspace(-15, 15, 40_001)
    each = scipy.stats.norm.logpdf(z[:, None], np.array(mean)[:, 0], np.array(std)[:, 0])
    log_all = scipy.special.logsumexp(each, 1) - math.log(each.shape[1])
    marginal = np.trapezoid(np.exp(log_all) * (log_all - prior.logpdf(z)), z)
    information = np.trapezoid(np.exp(each) * (each - log_all[:, None]), z, axis=0).mean()
    rate = np.trapezoid(np.exp(each) * (each - prior.logpdf(z)[:, None]), z, axis=0).mean()
    return marginal, information, rate


@pytest.mark.parametrize(
    "mean, std",
    [([[-1.0], [0.5], [2.0]], [[0.5], [0.8], [0.3]]), ([[0.0], [0.1], [0.3]], [[1.1], [0.9], [1.0]])],
)
def test_aggregate_posterior_of_three_examples_against_quadrature(mean, std):
    draws = 20_000
    result = aggregate_posterior(model := Encoder(mean, std), model.x, draws=draws)
    marginal, information, rate = by_quadrature(mean, std)
    assert marginal + information == pytest.approx(rate, abs=1e-9)
    assert result.marginal_kl == pytest.approx(marginal, abs=0.02)
    assert result.mutual_information == pytest.approx(information, abs=0.02)
    assert result.rate == pytest.approx(rate, abs=0.02)
    assert result.variance.item() == pytest.approx(np.var(mean)) and result.active == int(np.var(mean) > 0.01)


def test_aggregate_posterior_against_the_prior_that_the_model_has():
    flow = Flow(StandardNormal((1,)), [Affine((1,))]).double()
    with torch.no_grad():
        flow.transforms[0].loc.fill_(1.0), flow.transforms[0].log_scale.fill_(math.log(2))
    mean, std = [[-1.0], [0.5], [2.0]], [[0.5], [0.8], [0.3]]
    result = aggregate_posterior(model := Encoder(mean, std, flow), model.x, draws=5000)
    marginal, information, rate = by_quadrature(mean, std, scipy.stats.norm(1, 2))
    assert (result.marginal_kl, result.mutual_information, result.rate) == pytest.approx(
        (marginal, information, rate), abs=0.03
    )


def test_a_collapsed_encoder_says_nothing():
    model = Encoder([[0.0, 0.0]] * 50, [[1.0, 1.0]] * 50)
    result = aggregate_posterior(model, model.x)
    assert (result.rate, result.mutual_information, result.marginal_kl) == pytest.approx((0, 0, 0), abs=1e-9)
    assert result.active == 0 and result.variance.tolist() == [0, 0]


@pytest.mark.parametrize("N", [2, 7, 250])  # more than the 100 rows that are compared at a time
def test_posteriors_far_apart_say_which_example(N):
    means = [[10.0 * n, 0.0] for n in range(N)]
    result = aggregate_posterior(model := Encoder(means, [[0.1, 1.0]] * N), model.x)
    assert result.mutual_information == pytest.approx(math.log(N), abs=1e-9) and result.active == 1
    rate = np.mean([(0.01 + (10 * n) ** 2 - 1) / 2 - math.log(0.1) for n in range(N)])
    assert result.rate == pytest.approx(rate, rel=0.02)
    assert result.marginal_kl == pytest.approx(result.rate - math.log(N))


def test_active_dimensions_by_hand():
    """Var_n of the means is ((a − b) / 2)², for two examples at a and b: 0.0121, 0.0081 and 4."""
    model = Encoder([[0.11, 0.09, 3.0], [-0.11, -0.09, -1.0]], [[0.1, 9.0, 1.0]] * 2)
    result = aggregate_posterior(model, model.x)
    np.testing.assert_allclose(result.variance, [0.0121, 0.0081, 4])
    assert result.active == 2


def test_aggregate_posterior_takes_labels_and_leaves_all_as_it_was():
    model = Encoder([[-1.0], [0.5], [2.0]], [[0.5]] * 3).train()
    torch.manual_seed(11)
    before = torch.get_rng_state()
    a, b, c = (aggregate_posterior(model, model.x, draws=2, seed=seed) for seed in (0, 0, 1))
    assert a.rate == b.rate != c.rate and a.mutual_information == b.mutual_information
    moved = aggregate_posterior(model, model.x, torch.tensor([1.0, -0.5, -2.0]), draws=5000)
    assert moved.variance.item() == pytest.approx(0) and moved.mutual_information == pytest.approx(0, abs=1e-9)
    assert model.training and model.dropout.training and torch.equal(before, torch.get_rng_state())


THREE = Encoder([[-1.0], [0.5], [2.0]], [[0.5]] * 3)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"draws": 0}, "draws must be at least 1"),
        ({"draws": 1.5}, "draws must be an integer"),
        ({"seed": -1}, "seed must"),
        ({"x": THREE.x[:0]}, "x is empty"),
        ({"x": THREE.x.float()}, "x must hold integer"),
        ({"x": THREE.x + 1}, "x must hold levels"),
        ({"y": torch.zeros(2)}, "y must be a tensor with one entry for each of the 3 examples"),
        ({"y": [0, 0, 0]}, "y must be a tensor"),
        ({"model": Coin(), "x": X}, r"model must have encode\(x\) and a prior, got Coin"),
        ({"model": Encoder, "x": X}, "model must be a torch.nn.Module"),
    ],
)
def test_aggregate_posterior_refuses_in_one_sentence(arguments, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        aggregate_posterior(**{"model": THREE, "x": THREE.x} | arguments)


def _mean_kernel(m, variance, h):
    """E exp(−|x − y|² / 2h²) where x − y is normal in each dimension: a Gaussian integral."""
    m, variance = torch.tensor(m).double(), torch.tensor(variance).double()
    return (h / (h**2 + variance).sqrt() * (-0.5 * m**2 / (h**2 + variance)).exp()).prod().item()


@pytest.mark.parametrize("h", [0.5, 2.0])
def test_mmd_of_normal_variables_is_a_gaussian_integral(h):
    a, b = (torch.randn(40, 400, 2, generator=torch.Generator().manual_seed(seed)).double() for seed in (0, 1))
    b = b * torch.tensor([1.5, 0.5]) + torch.tensor([1.0, -0.5])
    estimates = torch.tensor([mmd(one, other, h) for one, other in zip(a, b)])
    truth = _mean_kernel([0, 0], [2, 2], h) + _mean_kernel([0, 0], [4.5, 0.5], h)
    truth -= 2 * _mean_kernel([1, -0.5], [1 + 1.5**2, 1 + 0.5**2], h)
    assert abs(estimates.mean() - truth) < 4 * estimates.std() / 40**0.5
    null = torch.tensor([mmd(one[:200], one[200:], h) for one in a])
    assert abs(null.mean()) < 4 * null.std() / 40**0.5 and null.min() < 0  # unbiased
    assert null.abs().max() < truth / 4


def test_mmd_by_loops_and_its_bandwidth():
    a, b = torch.randint(17, (5, 1, 2, 2)), torch.randint(17, (7, 1, 2, 2))
    x, y = (v.flatten(1).double().numpy() for v in (a, b))
    h = np.median([np.linalg.norm(y[i] - y[j]) for i in range(7) for j in range(i)])

    def mean(pairs):
        return np.mean([np.exp(-((u - v) ** 2).sum() / (2 * h**2)) for u, v in pairs])

    within = [mean([(v[i], v[j]) for i in range(len(v)) for j in range(len(v)) if i != j]) for v in (x, y)]
    expected = sum(within) - 2 * mean([(u, v) for u in x for v in y])
    assert mmd(a, b, h) == pytest.approx(expected, rel=1e-12)
    median = mmd(a, b)  # of 21 distances
    assert median == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ((torch.zeros(5, 2), torch.zeros(5, 3)), "the same shape"),
        ((torch.zeros(5, 2), torch.zeros(5, 2)), "most of its pairs are equal"),
        ((torch.zeros(5), torch.zeros(5, 2)), "at least two examples"),
        ((torch.zeros(1, 2), torch.zeros(5, 2)), "at least two examples"),
        ((torch.full((5, 2), math.nan), torch.zeros(5, 2)), "a holds NaN"),
        ((torch.zeros(5, 2), torch.ones(5, 2), 0.0), "bandwidth must be a finite number"),
        ((np.zeros((5, 2)), torch.zeros(5, 2)), "a must be a tensor"),
    ],
)
def test_mmd_refuses_in_one_sentence(arguments, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        mmd(*arguments)


X1 = torch.arange(18.0).view(9, 2)

# Two samples.


def normal(n, *shape, seed=0, mean=0.0, std=1.0):
    return mean + std * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("kind, sizes", [("mmd", (20, 30)), ("classifier", (24, 40))])
def test_p_values_are_uniform_if_the_distributions_are_one_and_small_if_not(kind, sizes):
    x = normal(200, sum(sizes), 2, seed=1)
    null, other = [], []
    for i in range(200):
        a, b = x[i].split(sizes)
        null.append(two_sample_test(a, b, kind, permutations=99, seed=i).p_value)
        if i < 20:
            other.append(two_sample_test(a + torch.tensor([2.0, 0]), b, kind, permutations=99, seed=i).p_value)
    jitter = np.random.default_rng(0).uniform(0, 0.01, 200)  # p is one of 0.01, 0.02 … 1
    assert scipy.stats.kstest(np.array(null) - jitter, "uniform").pvalue > 1e-3
    assert min(null) >= 0.01 and np.mean(np.array(null) <= 0.05) < 0.11
    assert np.median(other) <= 0.02


def test_statistic_and_permutations_of_mmd_are_those_of_mmd():
    """Of the sets as given; and the permuted ones, of three and two, are among the ten ways to choose three."""
    a, b = normal(3, 2, 2, mean=1.0), normal(2, 2, 2, seed=1)
    result = two_sample_test(a, b, bandwidth=1.5, permutations=200)
    assert result.statistic == pytest.approx(mmd(a, b, 1.5), abs=1e-12)
    x, every = torch.cat((a, b)), []
    for some in itertools.combinations(range(5), 3):
        others = [i for i in range(5) if i not in some]
        every.append(mmd(x[list(some)], x[others], 1.5))
    off = (result.permuted[:, None] - torch.tensor(every, dtype=torch.float64)).abs()
    assert result.permuted.shape == (200,) and off.min(1).values.max() < 1e-12 and len(off.argmin(1).unique()) == 10
    reached = (result.permuted >= result.statistic - 1e-12).sum().item()
    assert result.p_value == (1 + reached) / 201 and 0.05 < result.p_value


def test_bandwidth_is_the_median_of_all_pairs_so_that_the_order_of_sets_does_not_matter():
    a, b = normal(20, 1, std=3.0), normal(30, 1, seed=1)
    h = np.median(scipy.spatial.distance.pdist(torch.cat((a, b)).numpy()))
    found = two_sample_test(a, b, permutations=1).statistic
    assert found == pytest.approx(mmd(a, b, h), rel=1e-2)  # torch takes the lower of two medians
    assert two_sample_test(b, a, permutations=1).statistic == pytest.approx(found, rel=1e-12)


def test_statistic_of_a_classifier_is_the_area_under_its_curve():
    """By scikit-learn, on the halves that it did not see; permuted ones are those of Mann and Whitney."""

    class Seen:
        def get_params(self, deep=True):
            return {}

        def __sklearn_clone__(self):
            return self

        def fit(self, x, y):
            self.seen = {v.item() for v in x[:, 0]}
            return self

        def predict_proba(self, x):
            self.asked = x[:, 0]
            p = np.round(1 / (1 + np.exp(-x[:, 0])), 1)  # with ties
            return np.stack((1 - p, p), 1)

    a, b, judge = normal(50, 1, mean=0.7), normal(31, 1, seed=1), Seen()
    result = two_sample_test(a, b, "classifier", 5000, classifier=judge)
    assert len(judge.seen) == 25 + 16 and not judge.seen & set(judge.asked.tolist())
    is_a = np.isin(judge.asked, a.numpy())
    p = judge.predict_proba(judge.asked[:, None])[:, 1]
    assert is_a.sum() == 25 and result.statistic == pytest.approx(roc_auc_score(is_a, p), abs=1e-12)
    expected = scipy.stats.mannwhitneyu(p[is_a], p[~is_a], alternative="greater").pvalue
    assert result.p_value == pytest.approx(expected, abs=0.01 + expected / 4)
    assert result.permuted.mean().item() == pytest.approx(0.5, abs=0.01)
    first = judge.seen  # of a random half: the order of the examples may mean something
    two_sample_test(a, b, "classifier", 5, classifier=judge, seed=1)
    assert judge.seen != first


def test_two_sample_test_is_from_its_seed_and_leaves_all_as_it_was():
    a, b = normal(20, 2), normal(20, 2, seed=1)
    before = torch.get_rng_state()
    for kind in ("mmd", "classifier"):
        one, same, other = (two_sample_test(a, b, kind, 50, seed=seed) for seed in (0, 0, 1))
        assert torch.equal(one.permuted, same.permuted) and not torch.equal(one.permuted, other.permuted)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("sizes", [(20_000, 20_000), (20_000, 5000)])
def test_density_ratio_of_normal_variables(sizes):
    """N(1, 4) against N(0, 1) has log r = −log 2 − (x − 1)² / 8 + x² / 2, however many there are of each."""
    a, b = normal(sizes[0], 1, mean=1.0, std=2.0), normal(sizes[1], 1, seed=1)
    log_r, x = density_ratio(a, b), torch.linspace(-2, 3, 11).double()[:, None]
    expected = -math.log(2) - (x - 1) ** 2 / 8 + x**2 / 2
    assert log_r(x).shape == (11,) and (log_r(x) - expected[:, 0]).abs().max() < 0.15
    assert log_r(a).mean().item() == pytest.approx(1.5 + 0.5 - math.log(2), abs=0.1)  # KL in closed form
    forest = density_ratio(a, b, RandomForestClassifier(min_samples_leaf=200, random_state=0))(x[3:-3])
    assert (forest - expected[3:-3, 0]).abs().max() < 0.5 and density_ratio(a, b)(x.float()).dtype == torch.float64


def test_density_ratio_of_several_dimensions_is_finite_far_away():
    a, b = normal(2000, 1, 2, 2, mean=0.3), normal(2000, 1, 2, 2, seed=1)
    log_r = density_ratio(a, b)
    x = normal(100, 1, 2, 2, seed=2)
    assert np.corrcoef(log_r(x), x.flatten(1).sum(1))[0, 1] > 0.9
    assert log_r(1e6 * x).isfinite().all()


# Samples against modes and data.


def test_modes_by_hand():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    x = torch.tensor([[0.0, 1.0], [0.5, 0.0], [9.5, 0.0], [5.0, 5.0], [0.0, 1.01]])
    found = modes(x, centres, 1.0)
    assert (found.covered, found.good, found.counts.tolist()) == (2, 0.6, [2, 1, 0])
    assert modes(x, centres, 1.0, least=2).covered == 1
    assert modes(x, centres, 0.1).covered == 0 and modes(x, centres, 100).good == 1


def test_modes_of_true_samples_of_a_ring():
    ring = ring_of_gaussians(8, 2.0, 0.05)
    found = modes(ring.sample(20_000), ring.centres, 0.15)
    assert found.covered == 8 and found.good == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert scipy.stats.chisquare(found.counts).pvalue > 1e-3


def test_nearest_by_scipy():
    x, train = torch.randn(700, 1, 2, 2), torch.randn(300, 1, 2, 2)
    expected = scipy.spatial.cKDTree(train.flatten(1).double()).query(x.flatten(1).double())
    distance, index = nearest(x, train)
    np.testing.assert_allclose(distance, expected[0])
    assert index.tolist() == expected[1].tolist()
    distance, index = nearest(train, train)
    assert distance.max() == 0 and index.tolist() == list(range(300))
    levels = torch.randint(17, (40, 3))
    assert nearest(levels[:1], levels)[0].item() == 0


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_by_loops(k):
    samples, real = normal(600, 2, std=0.7).numpy(), normal(40, 2, seed=1).numpy()

    def share(some, others):
        radius = [sorted(np.linalg.norm(o - p) for p in others)[k] for o in others]
        return np.mean([any(np.linalg.norm(s - o) <= r for o, r in zip(others, radius)) for s in some])

    found = precision_recall(torch.tensor(samples), torch.tensor(real), k)
    assert found == pytest.approx((share(samples, real), share(real, samples)))


def test_precision_falls_with_bad_samples_and_recall_with_missing_modes():
    ring = ring_of_gaussians(8, 2.0, 0.05)
    real, other = ring.sample(1000, seed=0), ring.sample(1000, seed=1)
    precision, recall = precision_recall(other, real)
    assert 0.9 < precision < 1 and 0.9 < recall < 1
    right = other[other[:, 0] > 1.75]  # one mode of eight
    precision, recall = precision_recall(right, real)
    assert precision > 0.9 and recall == pytest.approx((real[:, 0] > 1.75).double().mean().item(), abs=0.03)
    precision, recall = precision_recall(torch.cat((other, torch.rand(1000, 2).double() - 0.5)), real)
    assert precision == pytest.approx(0.5, abs=0.06) and recall > 0.9


def test_frechet_distance_by_scipy_and_in_closed_form():
    a, b = normal(500, 3) @ normal(3, 3, seed=2), normal(300, 3, seed=1) + 1
    Sa, Sb = np.cov(a.numpy().T), np.cov(b.numpy().T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(Sa + Sb - 2 * scipy.linalg.sqrtm(Sa @ Sb).real)
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected.item(), rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 2).double()  # covariance 4/3 in each dimension
    a, b = corners * torch.tensor([3.0, 1.0]) + 5, corners * torch.tensor([1.0, 2.0])
    assert frechet_distance(a, b) == pytest.approx(50 + 4 / 3 * ((3 - 1) ** 2 + (1 - 2) ** 2))
    assert frechet_distance(a[:, :1].repeat(1, 3), b[:, :1].repeat(1, 3)) == pytest.approx(3 * (25 + 4 / 3 * 4))


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: two_sample_test(X1, X1, "ks"), "kind must be 'mmd' or 'classifier', got 'ks'"),
        (lambda: two_sample_test(X1, X1, permutations=0), "permutations must be at least 1"),
        (lambda: two_sample_test(X1, X1, bandwidth=0.0), "bandwidth must be a finite number"),
        (lambda: two_sample_test(0 * X1, 0 * X1), "a and b must hold different examples"),
        (lambda: two_sample_test(X1, X1[:, :1]), "a and b must hold examples of the same shape"),
        (lambda: two_sample_test(X1[:3], X1, "classifier"), "at least 4 examples for a classifier, got 3 and 9"),
        (lambda: two_sample_test(X1, X1, seed=-1), "seed must"),
        (lambda: density_ratio(X1, X1[:1]), "b must be a tensor of at least two examples"),
        (lambda: density_ratio(None, X1), "a must be a tensor"),
        (lambda: density_ratio(X1, X1, "forest"), "classifier must have fit and predict_proba"),
        (lambda: density_ratio(X1, X1)(X1[0]), r"x must be a tensor of shape \(B, 2\)"),
        (lambda: modes(X1, X1, -1), "radius must be a finite number"),
        (lambda: modes(X1, X1, 1, least=0), "least must be at least 1"),
        (lambda: modes(X1, X1[:0], 1), "centres must be a tensor of at least one example"),
        (lambda: nearest(X1 / 0, X1), "samples holds NaN"),
        (lambda: precision_recall(X1, X1[:3]), "k must be less than the number of samples, 9, and of real ones, 3"),
        (lambda: precision_recall(X1, X1, 0), "k must be at least 1"),
        (lambda: frechet_distance(X1, X1[:, :1]), "examples of the same shape"),
    ],
)
def test_comparing_samples_refuses_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()
