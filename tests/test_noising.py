"""Noising without a browser: what it takes, what it carries, and what it refuses."""

import base64
import json

import numpy as np
import pytest
import torch
from scipy import special

from dgmlite.models.diffusion import Schedule
from dgmlite.widgets import Noising

X = np.random.default_rng(0).integers(5, size=(3, 4, 6))


def carried(widget):
    """λ of the three schedules, (3, T + 1)."""
    return np.frombuffer(base64.b64decode(widget.log_snr), "<f8").reshape(3, -1)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, lambda x: torch.tensor(x)[:, None], lambda x: x.tolist()])
def test_any_kind_of_array_is_taken(kind):
    widget = Noising(kind(X), levels=5)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(widget.images), "u1"), X.ravel())
    assert widget.shape == [4, 6] and (widget.T, widget.time, widget.kind) == (256, 128, "log-snr")


@pytest.mark.parametrize("T", [2, 7, 256, 1000])
def test_schedules_are_those_of_the_library(T):
    """And, from their λ, those of the formulas."""
    curves = carried(Noising(X, 5, T))
    for row, kind in zip(curves, ("log-snr", "linear", "cosine")):
        np.testing.assert_array_equal(row, Schedule(T, kind).log_snr.numpy())
        assert np.isinf(row[0]) and np.isfinite(row[1:]).all() and (np.diff(row[1:]) < 0).all()
        np.testing.assert_allclose(special.expit(row), Schedule(T, kind).alpha_bar, rtol=1e-9)
    np.testing.assert_allclose(curves[0, 1:], np.linspace(8, -8, T), rtol=0, atol=1e-9)


def test_ends_are_those_of_one_schedule():
    for ends in ((6, -4), [6.0, -4.0], np.array([6, -4])):
        curves = carried(Noising(X, 5, 50, ends))
        np.testing.assert_allclose(curves[0, [1, -1]], [6, -4], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(curves[1:], carried(Noising(X, 5, 50))[1:])


def test_what_a_notebook_stores_is_small_and_plain():
    state = Noising().get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 50_000  # code included
    assert Noising(task="Look.").task == "Look." and Noising(task="").task == "" and "mark" in Noising().task


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"images": X[:1]}, r"images must have shape \(N, H, W\), 2 ≤ N ≤ 6, .* got \(1, 4, 6\)"),
        ({"images": np.zeros((7, 4, 4), int)}, "2 ≤ N ≤ 6"),
        ({"images": np.zeros((2, 33, 4), int)}, "H and W 1..32"),
        ({"images": np.zeros((2, 0, 4), int)}, "H and W 1..32"),
        ({"images": X[0]}, "images must have shape"),
        ({"images": X / 4}, "images must hold integer levels 0..16, not scaled, got float64 from 0 to 1"),
        ({"images": X, "levels": 4}, "integer levels 0..3, not scaled, got int64 from 0 to 4"),
        ({"images": X - 1}, "integer levels 0..16"),
        ({"images": "digits"}, "images must hold real numbers"),
        ({"levels": 1}, "levels must be at least 2"),
        ({"levels": 257}, "levels must be at most 256 and T at most 1000, got 257 and 256"),
        ({"T": 1}, "T must be at least 2"),
        ({"T": 1001}, "T at most 1000"),
        ({"T": 25.6}, "T must be an integer"),
        ({"ends": 8}, "ends must be two numbers, the log-SNR at t = 1 and at t = T"),
        ({"ends": (8, 0, -8)}, "ends must be two numbers"),
        ({"ends": "8"}, "ends must hold real numbers"),
        ({"ends": (-8, 8)}, "ends must fall"),
        ({"ends": (80, -8)}, "each of ends must be a finite number between -30 and 30"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Noising(**arguments)


def test_a_schedule_must_be_one_of_three():
    with pytest.raises(Exception, match="kind"):
        Noising().kind = "sigmoid"
