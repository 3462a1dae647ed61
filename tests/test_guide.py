"""Guide without a browser: limits that always leave somebody, verdicts by the means, and the stored numbers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmlite.reproduce import results
from dgmlite.widgets import Guide
from dgmlite.widgets.guide import (
    FEW,
    FILE,
    KINDS,
    LIKELIHOODS,
    NATS,
    PROBLEMS,
    QUANTITIES,
    SPEED,
    TIGHT,
    failed,
    limits_for,
)

AR, FLOW, VAE, DIFFUSION, GAN = KINDS
LACKS = {AR: {TIGHT}, FLOW: {FILE}, VAE: set(), DIFFUSION: {TIGHT, FILE}, GAN: {NATS, TIGHT, FILE}}


def table(seed: int, seeds: int = 3, lacks=LACKS) -> dict:
    """Return made-up measurements with the stored table's gaps: what a family lacks, no retraining brings."""
    rng = np.random.default_rng(seed)
    middle = {SPEED: 1e3, NATS: 90, TIGHT: 85, FILE: 130, "samples, MMD²": 0.003, "samples, Fréchet distance": 1.2}

    def numbers(key):
        mean = middle.get(key, 0.6) * rng.uniform(0.7, 1.3) * (10 ** rng.uniform(-2, 2) if key == SPEED else 1)
        return {"all": (mean * rng.uniform(0.97, 1.03, seeds)).tolist()}

    return {name: {key: numbers(key) for key in QUANTITIES if key not in lacks[name]} for name in KINDS}


def stays(widget, limits, likelihood) -> list[str]:
    """Said a second time: who meets all, from what the widget carries."""
    units = {q["key"]: q["better"] for q in widget.quantities}
    left = []
    for family in widget.models:
        means = {key: np.mean(v["all"]) for key, v in family["values"].items()}
        good = [key in means and (means[key] >= v if units[key] else means[key] <= v) for key, v in limits.items()]
        allowed = {"not needed": ("exact", "bound", "none"), "bound": ("exact", "bound"), "exact": ("exact",)}
        if all(good) and family["kind"] in allowed[likelihood]:
            left.append(family["name"])
    return left


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6))
def test_each_problem_leaves_some_and_takes_some_whatever_the_numbers(seed):
    widget = Guide(models=table(seed))
    assert [p["name"] for p in widget.problems] == list(PROBLEMS)
    for problem in widget.problems:
        left = stays(widget, problem["limits"], problem["likelihood"])
        assert 1 <= len(left) <= 4, problem
        axes = {q["key"]: q for q in widget.quantities}
        for key, value in problem["limits"].items():
            place = math.log10(value) if axes[key]["log"] else value
            assert axes[key]["low"] < place < axes[key]["high"]
        Guide(**{k: problem[k] for k in ("x", "y", "likelihood", "limits")}, models=table(seed))  # is taken back


def test_each_problem_leaves_some_and_takes_some_of_the_stored_table():
    widget = Guide()
    for problem in widget.problems:
        assert 1 <= len(stays(widget, problem["limits"], problem["likelihood"])) <= 4, problem
    (archive,) = [p for p in widget.problems if p["y"] == FILE]
    assert set(stays(widget, archive["limits"], archive["likelihood"])) <= {AR, VAE}
    (known,) = [p for p in widget.problems if p["likelihood"] == "exact"]
    assert stays(widget, known["limits"], "exact") == [AR]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), likelihood=st.sampled_from(list(LIKELIHOODS)), data=st.data())
def test_verdicts_at_any_limits(seed, likelihood, data):
    widget = Guide(models=table(seed))
    models = {family["name"]: family["values"] for family in widget.models}
    some = data.draw(st.lists(st.sampled_from(list(QUANTITIES)), unique=True))
    axes = {q["key"]: q for q in widget.quantities}
    limits = {}
    for key in some:
        u = data.draw(st.floats(axes[key]["low"], axes[key]["high"]))
        limits[key] = 10**u if axes[key]["log"] else u
    lacks = failed(models, limits, likelihood)
    assert [name for name, out in lacks.items() if not out] == stays(widget, limits, likelihood)
    for name, out in lacks.items():  # each need by itself
        alone = [key for key in limits if name not in stays(widget, {key: limits[key]}, "not needed")]
        assert set(out) - {"likelihood"} == set(alone)
        assert ("likelihood" in out) == (name not in stays(widget, {}, likelihood))


def test_a_limit_lies_in_the_widest_gap():
    models = table(0)
    for name, value in zip(KINDS, (10, 12, 400, 500, 700)):
        models[name][SPEED] = {"mean": value, "all": [value]}
    assert 12 < limits_for(models, "not needed", [SPEED])[SPEED] < 400
    assert limits_for(models, "not needed", [SPEED])[SPEED] == 70  # √(12 · 400), in few digits
    assert limits_for(models, "exact", [SPEED]) == {}  # the only exact one is the slowest of all
    models[AR][SPEED]["mean"] = 30
    assert 12 < limits_for(models, "exact", [SPEED])[SPEED] < 30


def test_numbers_are_those_of_the_stored_table():
    stored, widget = results("digits_showdown")["models"], Guide()
    for family in widget.models:
        row = stored[family["name"]]
        for key, value in family["values"].items():
            source = key if key in row else NATS  # an exact number, or the only bound, is the tightest
            assert value["mean"] == pytest.approx(row[source]["mean"] * QUANTITIES[key][-1], rel=1e-9, abs=1e-12)
            assert len(value["all"]) == len(row[source]["all"])
        assert {key for key in QUANTITIES if key in row} <= set(family["values"])
        assert (TIGHT in family["values"]) == (NATS in row)
    assert {f["name"]: f["kind"] for f in widget.models} == {AR: "exact", GAN: "none"} | dict.fromkeys(
        (FLOW, VAE, DIFFUSION), "bound"
    )
    seconds = [row["seconds"]["mean"] for row in stored.values()]
    assert f"{min(seconds):.0f}" in widget.note and f"{max(seconds):.0f}" in widget.note
    assert "8 × 8" in widget.note and "can change" in widget.note and Guide(models=stored).note == ""


def test_axes_show_all_that_was_measured():
    for widget in (Guide(), *(Guide(models=table(seed)) for seed in range(20))):
        for axis in widget.quantities:
            every = [v for f in widget.models if axis["key"] in f["values"] for v in f["values"][axis["key"]]["all"]]
            every = np.log10(every) if axis["log"] else np.array(every)
            assert axis["low"] <= every.min() and every.max() <= axis["high"] and axis["low"] < axis["high"]
        assert next(q["log"] for q in widget.quantities if q["key"] == SPEED)


def test_what_nobody_has_is_no_axis():
    lacks = {name: keys | {FILE, FEW} for name, keys in LACKS.items()}
    widget = Guide(models=table(1, lacks=lacks))
    assert {q["key"] for q in widget.quantities} == set(QUANTITIES) - {FILE, FEW}
    assert len(widget.problems) == len(PROBLEMS) - 2
    with pytest.raises(ValueError, match="y must be one of"):
        Guide(y=FILE, models=table(1, lacks=lacks))


def test_state_is_as_asked():
    widget = Guide(SPEED, FILE, "bound", {FILE: 130}, models=table(2))
    assert widget.initial == {"x": SPEED, "y": FILE, "likelihood": "bound", "limits": {FILE: 130.0}}
    assert "limits={'file': 130.0}" in repr(widget) and Guide(models=table(2), task="").task == ""


BROKEN = {**table(3), FLOW: {NATS: {"mean": 3}}}


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"x": "beauty"}, "x must be one of images per second; test; .*, got 'beauty'"),
        ({"y": None}, "y must be one of"),
        ({"x": NATS}, "x and y must differ, got 'test' twice"),
        ({"likelihood": "none"}, "likelihood must be one of not needed; bound; exact, got 'none'"),
        ({"limits": {"beauty": 1}}, "limits must be a dict of some of"),
        ({"limits": [SPEED]}, "limits must be a dict of some of"),
        ({"limits": {NATS: 1e9}}, "limits: test must be a finite number between"),
        ({"limits": {NATS: "low"}}, "limits: test must be a number"),
        ({"models": {}}, "models must hold a dict for each of autoregressive, flow, VAE, diffusion, GAN"),
        ({"models": dict.fromkeys(KINDS, 3)}, "models must hold a dict for each"),
        ({"models": BROKEN}, 'models: test of flow must be {"all": one number for each seed}'),
        ({"models": {**BROKEN, FLOW: {NATS: {"all": [math.nan]}}}}, "models: test of flow must be a finite number"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Guide(**arguments)
