"""MADE, and its family, against facts that do not come from their own formulas."""

import copy
import itertools
import math
import time

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from test_laws import lively
from torch import nn

from dgmlite.models.autoregressive import (
    MADE,
    NADE,
    CausalConv,
    CausalTransformer,
    Ensemble,
    LogisticAR,
    PixelCNN,
)
from dgmlite.networks import seeded

LEVELS, D = 3, 4
ORDER = [2, 0, 3, 1]


def trained(order=None, hidden=(60, 60)):
    """A MADE in float64, some steps on a random table, so that it is far from uniform and from symmetric."""
    model = MADE((2, 2), LEVELS, hidden=hidden, order=order).double()
    with seeded(3):
        table = torch.softmax(2 * torch.randn(LEVELS**D).double(), 0)
    optimiser = torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(60):
        optimiser.zero_grad()
        (table * model.loss(STATES)).sum().backward()
        optimiser.step()
    return model


STATES = torch.tensor(list(itertools.product(range(LEVELS), repeat=D))).view(-1, 2, 2)


@pytest.mark.parametrize("order", [None, ORDER])
def test_conditionals_are_those_of_the_enumerated_joint(order):
    model = trained(order)
    joint = model.log_prob(STATES).detach().exp().view((LEVELS,) * D)
    assert joint.sum().item() == pytest.approx(1, abs=1e-12)
    outputs = model.conditionals(STATES).detach()  # (81, D, levels)
    order = order or list(range(D))
    for rank, i in enumerate(order):
        later = order[rank + 1 :]
        marginal = joint.sum(later, keepdim=True) if later else joint
        conditional = (marginal / marginal.sum(i, keepdim=True)).expand(joint.shape)  # p(x_i | those before i)
        for state, output in zip(STATES.flatten(1).tolist(), outputs[:, i]):
            expected = torch.stack([conditional[(*state[:i], level, *state[i + 1 :])] for level in range(LEVELS)])
            torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)


def test_samples_follow_the_enumerated_joint():
    model, n = trained(ORDER), 20_000
    expected = model.log_prob(STATES).detach().exp().numpy() * n
    with seeded(0):
        x = model.sample(n)
    assert x.shape == (n, 2, 2) and x.dtype == torch.long and not x.requires_grad
    observed = np.bincount((x.flatten(1) * torch.tensor([27, 9, 3, 1])).sum(1).numpy(), minlength=LEVELS**D)
    rare = expected < 5
    expected, observed = (np.append(v[~rare], v[rare].sum()) for v in (expected, observed))
    assert scipy.stats.chisquare(observed, expected).pvalue > 1e-3


def test_hand_set_weights():
    """x₂ copies x₁ with probability 1/(1 + e⁻²): a model without hidden layer whose only connection is set by hand."""
    model = MADE((2,), levels=2, hidden=())
    layer, scale = model.network.layers[-1], 2**-0.5
    with torch.no_grad():
        layer.weight.fill_(7.0)  # where the mask is, this must not matter
        layer.weight[3, :2] = torch.tensor([0.0, 4.0]) / scale  # logit(1) − logit(0) of x₂, given x₁ ≥ 1
        layer.weight[2, :2] = 0
        model.bias.copy_(torch.tensor([[0.0, 0.0], [0.0, -2.0]]) / scale)
    copied = 1 / (1 + math.exp(-2))
    expected = torch.tensor([copied, 1 - copied, 1 - copied, copied]) / 2
    p = model.log_prob(torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])).exp()
    torch.testing.assert_close(p, expected)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3).filter(lambda shape: 2 <= math.prod(shape) <= 9),
    st.integers(2, 4),
    st.integers(0, 2),
    st.integers(0, 40),
    st.randoms(use_true_random=False),
)
def test_receptive_field_is_all_of_the_past_and_nothing_else(shape, levels, depth, extra, random):
    d = math.prod(shape)
    order = random.sample(range(d), d)
    model = MADE(shape, levels, hidden=(d - 1 + extra,) * depth, order=order, seed=random.randrange(2**32)).double()
    inputs = torch.rand(16, d, levels, generator=torch.Generator().manual_seed(1)).double()
    weights = torch.randn(levels, generator=torch.Generator().manual_seed(2)).double()
    jacobian = torch.func.jacrev(lambda o: (model.network(o) @ weights).sum(0))(inputs)  # (D, B, D, levels)
    slopes = jacobian.abs().sum(1)  # (D, D, levels), in the order of generation
    for r, s in itertools.product(range(d), repeat=2):
        assert ((slopes[r, s] > 0) == (s < r)).all(), (r, s)
    x = torch.randint(levels, (1, d), generator=torch.Generator().manual_seed(3))
    for i, j in itertools.product(range(d), repeat=2):
        if order.index(j) >= order.index(i):  # the order is that of the caller's dimensions
            other = x.clone()
            other[0, j] = (x[0, j] + 1) % levels
            assert torch.equal(*(model.logits(v.view(1, *shape))[0, i] for v in (x, other))), (i, j)


def test_one_dimension_depends_on_its_bias_alone():
    model = MADE((1,), levels=5)
    x = torch.arange(5)[:, None]
    logits = model.logits(x)
    assert (logits == logits[0]).all()
    assert model.log_prob(x).exp().sum().item() == pytest.approx(1, abs=1e-6)
    model.initialise(torch.tensor([[4]] * 95))
    expected = torch.tensor([0.01] * 4 + [0.96])
    torch.testing.assert_close(model.conditionals(x[:1])[0, 0], expected)
    with seeded(0):
        assert (model.sample(1000) == 4).float().mean().item() == pytest.approx(0.96, abs=0.03)


def test_log_prob_of_a_uniform_model():
    model = MADE((1, 8, 8), levels=17)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    x = torch.randint(17, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.log_prob(x), torch.full((3,), -64 * math.log(17)))


def test_initialise_gives_the_frequencies():
    model = MADE((2, 2), LEVELS, hidden=(30,))
    with torch.no_grad():
        model.network.layers[-1].weight.zero_()
    x = torch.tensor([[[0, 1], [2, 2]]] * 7)
    model.initialise(x)
    expected = (F.one_hot(x[0].flatten(), LEVELS) * 7 + 1) / 10
    torch.testing.assert_close(model.conditionals(x[:1])[0], expected)
    assert model.initialised


def test_seed_fixes_the_weights_and_leaves_the_global_state():
    before = torch.get_rng_state()
    a, b, c = (MADE((2, 2), LEVELS, hidden=(8,), seed=seed).network.layers[0].weight for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_float32_agrees_with_float64():
    high = trained()
    low = copy.deepcopy(high).float()
    torch.testing.assert_close(low.log_prob(STATES).double(), high.log_prob(STATES), rtol=1e-5, atol=1e-5)


def test_safetensors_carry_weights_masks_and_order():
    model = trained(ORDER)
    other = MADE((2, 2), LEVELS, hidden=(60, 60), seed=1).double()
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(other.log_prob(STATES), model.log_prob(STATES))
    with seeded(0):
        first = model.sample(50)
    with seeded(0):
        assert torch.equal(other.sample(50), first)


def test_any_integer_dtype_gives_the_same():
    model = trained()
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(model.log_prob(STATES.to(dtype)), model.log_prob(STATES))


def test_sampling_the_digits_size_takes_less_than_a_second():
    model = MADE((1, 8, 8), levels=17)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        x = model.sample(100)
        seconds.append(time.perf_counter() - start)
    assert x.shape == (100, 1, 8, 8) and min(seconds) < 1, seconds


def test_beats_independent_pixels_on_digits():
    data = pytest.importorskip("dgmlite.data").digits()
    model = MADE((1, 8, 8), data.levels, hidden=(100,))
    model.initialise(data.train.x)
    counts = F.one_hot(data.train.x, data.levels).sum(0) + 1.0
    independent = -(counts / counts.sum(-1, keepdim=True)).log()
    baseline = independent[None].expand(len(data.test), -1, -1, -1, -1).gather(-1, data.test.x[..., None]).sum() / 447
    assert baseline.item() == pytest.approx(106.47, abs=0.01)
    optimiser = torch.optim.Adam(model.parameters(), 4e-3)
    with seeded(0):
        for _ in range(5):
            for some in torch.randperm(1000).split(100):
                optimiser.zero_grad()
                model.loss(data.train.x[some]).mean().backward()
                optimiser.step()
        with torch.no_grad():
            assert model.loss(data.test.x).mean() < baseline - 5


# The whole family.

FAMILY = {
    "MADE": lambda shape, levels, **more: MADE(shape, levels, hidden=(60,), **more),
    "LogisticAR": LogisticAR,
    "NADE": lambda shape, levels, **more: NADE(shape, levels, hidden=9, **more),
    "CausalConv": lambda shape, levels, **more: CausalConv(shape, levels, channels=6, dilations=(1, 2, 4), **more),
    "CausalTransformer": lambda shape, levels, **more: CausalTransformer(shape, levels, channels=8, heads=2, **more),
    "PixelCNN": lambda shape, levels, **more: PixelCNN(shape, levels, channels=6, depth=1, kernel=3, **more),
    "Ensemble": lambda shape, levels, **more: Ensemble(
        [NADE(shape, levels, hidden=9, **more), CausalConv(shape, levels, channels=6, dilations=(1, 2), **more)]
    ),
}


def moved(model):
    return lively(model).double()


@pytest.fixture(params=FAMILY)
def make(request):
    return lambda *shape_and_levels, **more: moved(FAMILY[request.param](*shape_and_levels, **more))


@pytest.mark.parametrize("shape, levels", [((1, 2, 2), 3), ((3,), 4), ((3, 2), 2), ((1, 1, 1), 5)])
def test_every_shape_is_a_distribution_for_every_condition(make, shape, levels):
    model = make(shape, levels, condition=2)
    x = torch.cartesian_prod(*[torch.arange(levels)] * math.prod(shape)).reshape(-1, *shape)
    p = [model.log_prob(x, torch.full((len(x),), y)).exp() for y in range(2)]
    for each in p:
        assert each.sum().item() == pytest.approx(1, abs=1e-10)
    assert (p[0] - p[1]).abs().sum() > 1e-3  # the condition matters
    mixed = torch.tensor([[0.3, 0.7]]).expand(len(x), 2)
    assert model.log_prob(x, mixed).exp().sum().item() == pytest.approx(1, abs=1e-10)
    torch.testing.assert_close(model.log_prob(x, F.one_hot(torch.ones(len(x)).long(), 2)), p[1].log())


def test_condition_reaches_the_first_dimension(make):
    model, x = make((2, 2), 3, condition=2), torch.zeros(2, 2, 2).long()
    first = model.conditionals(x, torch.tensor([0, 1]))[:, 0]
    assert (first[0] - first[1]).abs().max() > 1e-3


def test_what_is_given_stays_and_the_rest_follows_the_conditional(make):
    model, n = make((1, 2, 2), 3), 20_000
    with seeded(0):
        x = model.sample(n, given=torch.tensor([2, 0]))
    order = model.order.tolist()
    assert (x.flatten(1)[:, order[:2]] == torch.tensor([2, 0])).all()
    possible = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    states = torch.empty(9, 4, dtype=torch.long)
    states[:, order] = torch.cat((torch.tensor([[2, 0]]).expand(9, 2), possible), 1)
    expected = model.log_prob(states.view(9, 1, 2, 2)).softmax(0).detach().numpy() * n
    observed = np.bincount((x.flatten(1)[:, order[2:]] * torch.tensor([3, 1])).sum(1).numpy(), minlength=9)
    enough = expected >= 5
    pairs = [np.append(v[enough], v[~enough].sum() + 1e-9) for v in (expected, observed)]
    assert ((pairs[1] - pairs[0]) ** 2 / np.maximum(pairs[0], 1)).sum() < scipy.stats.chi2.isf(1e-4, enough.sum())
    rows = torch.randint(3, (7, 3), generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.sample(7, given=rows).flatten(1)[:, order[:3]], rows)
    full = torch.randint(3, (4,), generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.sample(2, given=full).flatten(1)[:, order], full.expand(2, 4))


def test_temperature(make):
    model, n = make((2, 1), 3), 30_000
    order = model.order.tolist()
    p = model.log_prob(torch.cartesian_prod(torch.arange(3), torch.arange(3)).view(9, 2, 1)).exp().view(3, 3).detach()
    p = p if order == [0, 1] else p.T
    sharp = (p.sum(1) ** 2 / (p.sum(1) ** 2).sum())[:, None] * p**2 / (p**2).sum(1, keepdim=True)  # per conditional
    with seeded(0):
        x = model.sample(n, temperature=0.5).flatten(1)[:, order]
    observed = torch.bincount(x[:, 0] * 3 + x[:, 1], minlength=9) / n
    torch.testing.assert_close(observed.double(), sharp.flatten(), rtol=0, atol=0.015)
    greedy = model.sample(3, temperature=0).flatten(1)[:, order]
    assert (greedy[:, 0] == p.sum(1).argmax()).all() and (greedy[:, 1] == p[greedy[0, 0]].argmax()).all()


@pytest.mark.parametrize("kernel, dilations, field", [(2, (1, 2, 4), 8), (3, (1, 1), 5), (1, (1,), 1), (2, (5,), 6)])
def test_receptive_field_is_what_gradients_say(kernel, dilations, field):
    model = moved(CausalConv((12,), 2, channels=5, kernel=kernel, dilations=dilations))
    x = torch.rand(1, 12, 2, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    slopes = torch.autograd.grad(model.network(x)[0, 11].sum(), x)[0].abs().sum(-1)[0]
    seen = slopes.nonzero().flatten().tolist()
    assert model.receptive_field == field and min(seen) == 11 - field and 11 not in seen


def test_three_by_three_pixelcnn_is_blind_to_the_upper_right():
    model = moved(PixelCNN((1, 6, 6), 2, channels=6, depth=5, kernel=3))
    x = torch.rand(1, 36, 2, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    slopes = torch.autograd.grad(model.network(x)[0, 3 * 6 + 2].sum(), x)[0].abs().sum((0, 2)).view(6, 6)
    rows, columns = np.indices((6, 6))
    reached = ((rows < 3) & (columns - 2 <= 3 - rows)) | ((rows == 3) & (columns < 2))
    assert ((slopes > 0).numpy() == reached).all()


def test_colours_of_a_pixel_come_one_after_the_other():
    assert PixelCNN((2, 1, 3), 2, channels=4, depth=1).order.tolist() == [0, 3, 1, 4, 2, 5]


def test_dropout_is_off_in_eval_mode(make):
    model = CausalTransformer((1, 2, 2), 3, channels=8, heads=2, dropout=0.5)
    x = STATES.view(-1, 1, 2, 2)
    assert not torch.equal(model.loss(x), model.loss(x))
    model.eval()
    assert torch.equal(model.loss(x), model.loss(x))


def test_ensemble_averages_the_conditionals():
    models = [moved(MADE((2, 2), 3, hidden=(9,), seed=seed)) for seed in range(3)]
    expected = torch.stack([model.conditionals(STATES) for model in models]).mean(0)
    torch.testing.assert_close(Ensemble(models).double().conditionals(STATES), expected)


def test_ensembles_of_what_does_not_fit_are_refused():
    with pytest.raises(ValueError, match="must agree"):
        Ensemble([MADE((2, 2), 3, hidden=(9,)), MADE((2, 2), 3, hidden=(9,), order=ORDER)])
    for wrong in ([], [3], 7, [nn.Linear(1, 1)]):
        with pytest.raises(TypeError, match=r"models must be|iterable"):
            Ensemble(wrong)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda m: m.sample(3), "y must be"),
        (lambda m: m.sample(3, y=torch.zeros(2).long()), "y must be"),
        (lambda m: m.log_prob(STATES, torch.full((81,), 2)), "y must hold"),
        (lambda m: m.log_prob(STATES, torch.zeros(81, 3)), "y must be"),
        (lambda m: m.log_prob(STATES, torch.zeros(81)), "y must hold integer"),
        (lambda m: m.log_prob(STATES, [0] * 81), "y must be"),
        (lambda m: m.sample(3, given=torch.zeros(5).long(), y=torch.zeros(3).long()), "given must be"),
        (lambda m: m.sample(3, given=torch.zeros(2, 2).long(), y=torch.zeros(3).long()), "given must have one row"),
        (lambda m: m.sample(3, given=torch.tensor([3]), y=torch.zeros(3).long()), "given must hold"),
        (lambda m: m.sample(3, given=[1], y=torch.zeros(3).long()), "given must be"),
        (lambda m: m.sample(3, temperature=-1, y=torch.zeros(3).long()), "temperature must be"),
    ],
)
def test_bad_conditions_and_completions_are_refused(call, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        call(MADE((2, 2), 3, hidden=(9,), condition=2))


@pytest.mark.parametrize(
    "build, sentence",
    [
        (lambda: CausalTransformer((4,), 2, channels=6, heads=4), "multiple of heads"),
        (lambda: PixelCNN((1, 2, 2, 2), 2), "event_shape must be"),
        (lambda: PixelCNN((3, 2, 2), 2, channels=7), "multiple of the 3 colours"),
        (lambda: PixelCNN((2, 2), 2, kernel=4), "kernel must be odd"),
        (lambda: CausalConv((4,), 2, dropout=1), "dropout must be"),
        (lambda: CausalConv((4,), 2, dilations=3), "dilations must be"),
        (lambda: NADE((4,), 2, hidden=(3,)), "hidden must be"),
        (lambda: MADE((4,), 2, hidden=(3,), condition=2), "at least 4"),
        (lambda: MADE((4,), 2, condition=-1), "condition must be"),
    ],
)
def test_bad_architectures_are_refused(build, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        build()


# Bad input: always one sentence at the door.

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 1),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.one_of(st.integers(-2, 0), st.floats(), st.none(), st.text(max_size=2)), max_size=4),
)
ARGUMENTS = {
    "event_shape": anything,
    "levels": anything,
    "hidden": anything.filter(lambda value: value not in ([], "", ())),
    "order": st.one_of(anything, st.lists(st.integers(0, 5), max_size=6)).filter(
        lambda v: v is not None and not (isinstance(v, list) and v and sorted(map(str, v)) == list("0123"))
    ),
    "seed": st.one_of(st.integers(max_value=-1), st.integers(2**63, 2**70), st.floats(), st.none(), st.text()),
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ARGUMENTS)).flatmap(lambda name: st.tuples(st.just(name), ARGUMENTS[name])))
def test_bad_arguments_are_refused(bad):
    good = {"event_shape": (2, 2), "levels": 3, "hidden": (8,), "order": None, "seed": 0}
    with pytest.raises((TypeError, ValueError), match=r"must "):
        MADE(**good | dict([bad]))


def test_too_narrow_layers_are_refused():
    with pytest.raises(ValueError, match="at least 783"):
        MADE((1, 28, 28), levels=256, hidden=(500,))


MODEL = MADE((2, 2), LEVELS, hidden=(8,))
METHODS = ("loss", "log_prob", "logits", "conditionals", "initialise")
bad_data = st.one_of(
    anything,
    st.sampled_from([torch.float32, torch.float64, torch.bool, torch.complex64]).map(
        lambda t: torch.zeros(5, 2, 2, dtype=t)
    ),
    st.lists(st.integers(0, 3), max_size=4)
    .filter(lambda s: s[1:] != [2, 2] or not s[0])
    .map(lambda s: torch.zeros(s).long()),
    st.tuples(st.integers(0, 3), st.one_of(st.integers(LEVELS, 2**62), st.integers(-(2**62), -1))).map(
        lambda at: torch.zeros(1, 4).long().index_fill(1, torch.tensor(at[0]), at[1]).view(1, 2, 2)
    ),
    st.just(torch.full((5, 2, 2), math.nan)),
    st.just(np.zeros((5, 2, 2), dtype=int)),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(METHODS), bad_data)
def test_bad_data_are_refused(method, x):
    with pytest.raises((TypeError, ValueError), match=r"must |is empty"):
        getattr(MODEL, method)(x)


@given(anything.filter(lambda n: n is True or n is False or not isinstance(n, int) or n < 1))
def test_bad_sample_sizes_are_refused(n):
    with pytest.raises((TypeError, ValueError), match="n must be"):
        MODEL.sample(n)


@pytest.mark.parametrize("call", [MODEL.loss, MODEL.log_prob, MODEL.logits])
def test_labels_are_refused(call):
    with pytest.raises(TypeError, match="without condition"):
        call(STATES, y=torch.zeros(81))
