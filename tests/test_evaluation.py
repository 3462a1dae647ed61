"""evaluate: numbers with a closed form, the kind of number, and nothing changed on the way."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dgmlite.evaluation import Evaluation, evaluate


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
