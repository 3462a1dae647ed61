"""The checks at the door refuse with a sentence, and the lines about the machine have the documented form."""

import math
import os
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dgmlite import checks

fast = settings(max_examples=200, deadline=None, derandomize=True)


def test_measured_prints_value_and_band(capsys):
    for arguments, line in (
        (("test loss", 83.21, 82, 85, "nats"), "test loss: 83.21 nats  [between 82 and 85 ✓]\n"),
        (("ratio", torch.tensor(0.5), 0.5, 0.5), "ratio: 0.5  [between 0.5 and 0.5 ✓]\n"),
        (("drop", -3.14159, -4, 0, "nats"), "drop: -3.142 nats  [between -4 and 0 ✓]\n"),
        (("weights", 1234567, 1e6, 2e6), "weights: 1,234,567  [between 1,000,000 and 2,000,000 ✓]\n"),
    ):
        checks.measured(*arguments)
        assert capsys.readouterr() == (line, "")


@pytest.mark.parametrize("value", [81.99, 85.01, math.nan, math.inf, -math.inf, torch.tensor(math.nan)])
def test_measured_fails_outside_the_band_and_prints_nothing(value, capsys):
    sentence = rf"^test loss: {float(value):.5g} nats is outside the expected band, 82 to 85$"
    with pytest.raises(AssertionError, match=sentence):
        checks.measured("test loss", value, 82, 85, "nats")
    assert capsys.readouterr() == ("", "")


WANTED = {
    "Python": "at least 3.11",
    "torch": "at least 2.6",
    "CPU cores": "at least 1",
    "memory free": "at least 1",
    "disk free": "at least 0.5",
    "accelerators": "at least 0",
    "one training step": "at most 200",
}


@pytest.fixture
def ready(monkeypatch):
    """A machine that is ready: 23 steps, of 1 ms each by its clock, which is read at the start and at the end."""
    clock = iter([10.0, 10.02])
    monkeypatch.setattr(checks, "time", SimpleNamespace(perf_counter=clock.__next__))
    monkeypatch.setattr(sys, "version_info", (3, 12, 1))
    monkeypatch.setattr(torch, "__version__", "2.13.0+cpu")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2e12))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_machine_prints_a_line_each(ready, capsys):
    checks.machine()
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Python: 3.12  [at least 3.11 ✓]",
        "torch: 2.13  [at least 2.6 ✓]",
        "CPU cores: 4  [at least 1 ✓]",
        "memory free: 8.0 GB  [at least 1 ✓]",
        "disk free: 2000.0 GB  [at least 0.5 ✓]",
        "accelerators: 0  [at least 0 ✓]",
        "one training step: 1.0 ms  [at most 200 ✓]",
    ]


def test_machine_has_the_documented_form_on_this_machine(capsys):
    checks.machine()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(WANTED)
    for line, (what, band) in zip(lines, WANTED.items()):
        assert re.fullmatch(rf"{what}: [\d.,]+( GB| ms)?  \[{band} (✓|is wanted ✗: \w.*)\]", line), line


@pytest.mark.parametrize(
    "where, name, value, line",
    [
        (sys, "version_info", (3, 9, 1), "Python: 3.9  [at least 3.11 is wanted ✗: install a newer one"),
        (torch, "__version__", "2.5.1", "torch: 2.5  [at least 2.6 is wanted ✗: run `make lab`"),
        (
            shutil,
            "disk_usage",
            lambda path: SimpleNamespace(free=1e8),
            "disk free: 0.1 GB  [at least 0.5 is wanted ✗: ",
        ),
        (
            *(psutil, "virtual_memory", lambda: SimpleNamespace(available=5e8)),
            "memory free: 0.5 GB  [at least 1 is wanted ✗: close other programs]",
        ),
        (
            *(checks, "time", SimpleNamespace(perf_counter=iter([0.0, 10.0]).__next__)),
            "one training step: 500.0 ms  [at most 200 is wanted ✗: close other programs",
        ),
    ],
)
def test_machine_says_what_to_do_where_it_is_not_ready(ready, monkeypatch, capsys, where, name, value, line):
    monkeypatch.setattr(where, name, value)
    checks.machine()
    lines = capsys.readouterr().out.splitlines()
    assert [text for text in lines if text.startswith(line)] == [text for text in lines if "✗" in text] != []
    assert sum("✓" in text for text in lines) == len(WANTED) - 1


def refused(function, *arguments):
    """Return the sentence with which the arguments are refused."""
    with pytest.raises((ValueError, TypeError)) as caught:
        function(*arguments)
    sentence = str(caught.value)
    assert type(caught.value) in (ValueError, TypeError)
    assert len(sentence) > 25 and re.search(r" (must|is empty|contains) ?", sentence), sentence
    assert caught.traceback[-1].path.name == "checks.py", "refused by something else"
    return sentence


no_number = st.one_of(st.text(), st.none(), st.booleans(), st.binary(), st.lists(st.integers()), st.complex_numbers())


@fast
@given(st.one_of(no_number, st.floats(), st.integers(max_value=2)))
def test_positive_int_refuses_all_but_integers_from_the_minimum_on(value):
    assert refused(checks.positive_int, "steps", value, 3).startswith("steps must be")


@fast
@given(st.integers(min_value=3))
def test_positive_int_returns_an_int(value):
    assert checks.positive_int("steps", value, 3) == value
    small = checks.positive_int("steps", np.int64(value % 1000 + 3), 3)
    assert small == value % 1000 + 3 and type(small) is int


outside = st.one_of(st.floats(max_value=-1, exclude_max=True), st.floats(min_value=2, exclude_min=True))


@fast
@given(st.one_of(no_number, outside, st.just(math.nan), st.integers(min_value=3), st.integers(max_value=-2)))
def test_finite_number_refuses_all_outside_its_range(value):
    assert refused(checks.finite_number, "lr", value, -1, 2).startswith("lr must be")


def test_finite_number_refuses_infinity_without_limits():
    for value in (math.inf, -math.inf, math.nan):
        refused(checks.finite_number, "lr", value)


@fast
@given(st.one_of(st.floats(-1, 2), st.integers(-1, 2), st.fractions(-1, 2)))
def test_finite_number_returns_a_float(value):
    result = checks.finite_number("lr", value, -1, 2)
    assert type(result) is float and result == pytest.approx(float(value))


lengths = st.lists(st.integers(min_value=1), min_size=1)
spoiled = st.tuples(lengths, st.one_of(no_number, st.floats(), st.integers(max_value=0)), lengths)


@fast
@given(
    st.one_of(
        st.one_of(st.integers(), st.floats(), st.none(), st.text(), st.binary()),
        st.just(()),
        spoiled.map(lambda parts: (*parts[0], parts[1], *parts[2])),
    )
)
def test_shape_refuses_all_but_positive_integers(value):
    assert "event_shape must" in refused(checks.shape, "event_shape", value)


@fast
@given(lengths, st.sampled_from([list, tuple, torch.Size, iter]))
def test_shape_returns_a_tuple(value, kind):
    value = [length % 10**6 + 1 for length in value]
    assert checks.shape("event_shape", kind(value)) == tuple(value)


FLOATS, INTEGERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64), (torch.uint8, torch.int8, torch.int64)
sizes = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@fast
@given(st.one_of(no_number, st.floats(), st.just(np.zeros((5, 2)))), st.sampled_from([None, 17]))
def test_data_refuses_what_is_no_tensor(value, levels):
    assert refused(checks.data, value, (2,), levels, "train").startswith("train must be a torch tensor")


@fast
@given(sizes.filter(lambda size: size[1:] != (2, 3) or not size[0]), st.sampled_from([None, 17]))
@example((0, 2, 3), None)
@example((2, 3), 17)
def test_data_refuses_other_shapes_and_the_empty_batch(size, levels):
    sentence = refused(checks.data, torch.zeros(size, dtype=torch.int64 if levels else None), (2, 3), levels)
    assert ("empty" if size == (0, 2, 3) else str(size)) in sentence
    assert ("x[None]" in sentence) == (size == (2, 3))


def test_data_refuses_one_number_where_a_batch_of_numbers_is_wanted():
    assert "x[None]" in refused(checks.data, torch.tensor(1.0), (), None)


@fast
@given(st.sampled_from([*FLOATS, *INTEGERS, torch.bool, torch.complex64]), st.sampled_from([None, 17]))
def test_data_takes_the_right_dtypes_only(dtype, levels):
    x = torch.ones(4, 2).to(dtype)
    if dtype in (INTEGERS if levels else FLOATS):
        assert checks.data(x, [2], levels) is x
    else:
        assert str(dtype) in refused(checks.data, x, (2,), levels)


@fast
@given(st.integers(0, 7), st.integers(-(2**63), 2**63 - 1))
def test_data_takes_levels_below_the_number_of_levels_only(place, level):
    x = torch.zeros(4, 2, dtype=torch.int64)
    x.view(-1)[place] = level
    if 0 <= level < 17:
        assert checks.data(x, (2,), 17) is x
    else:
        assert str(level) in refused(checks.data, x, (2,), 17)


@fast
@given(st.integers(0, 7), st.sampled_from([math.nan, math.inf, -math.inf]), st.sampled_from(FLOATS))
def test_data_refuses_numbers_that_are_not_finite(place, number, dtype):
    x = torch.zeros(4, 2, dtype=dtype)
    x.view(-1)[place] = number
    assert refused(checks.data, x, (2,), None).startswith("x contains NaN or infinity")
