"""Reparameterise without a browser: what it takes, what it carries, and what it refuses."""

import json
import math

import numpy as np
import pytest
import torch

from dgmlite.widgets import Reparameterise


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple, list])
def test_any_kind_of_array_is_taken(kind):
    assert Reparameterise(kind([4, -4, 1])).coefficients == [4.0, -4.0, 1.0]
    assert Reparameterise(kind([0.0, 0.5])).coefficients == [0.0, 0.5]


def test_where_it_begins():
    widget = Reparameterise((1, 2), mean=-3, std=2, draws=30)
    assert widget.initial == [widget.mean, widget.std] == [-3, 2] and widget.draws == 30
    assert widget.by == "μ" and not widget.raised and widget.seed == 15
    with pytest.raises(Exception, match="by"):
        widget.by = "variance"


def test_a_task_fits_what_is_given():
    assert "over 100 times" in Reparameterise().task and "100" not in Reparameterise((1, 2)).task
    assert Reparameterise(task="Look.").task == "Look." and Reparameterise(task="").task == ""


def test_what_a_notebook_stores_is_small_and_plain():
    state = Reparameterise().get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 45_000  # code included


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"coefficients": [1]}, r"coefficients must be 2 to 5 numbers .* such as \(4, -4, 1\) .* got \[1.0\]"),
        ({"coefficients": [1] * 6}, "coefficients must be 2 to 5 numbers"),
        ({"coefficients": []}, "coefficients must be 2 to 5 numbers"),
        ({"coefficients": 3}, "coefficients must be 2 to 5 numbers .* got 3.0"),
        ({"coefficients": [[1, 2]]}, "coefficients must be 2 to 5 numbers"),
        ({"coefficients": [0, 101]}, "in −100..100"),
        ({"coefficients": [0, math.nan]}, "coefficients contains NaN or infinity"),
        ({"coefficients": [7, 0, 0]}, "besides the constant that is not 0, or there is no gradient"),
        ({"coefficients": "z²"}, "coefficients must hold real numbers"),
        ({"coefficients": None}, "coefficients must hold real numbers"),
        ({"mean": 3.1}, "mean must be a finite number between -3 and 3"),
        ({"std": 0}, "std must be a finite number between 0.2 and 2"),
        ({"std": "one"}, "std must be a number"),
        ({"draws": 1}, "draws must be at least 2"),
        ({"draws": 31}, "draws must be at most 30 to be drawn one by one, got 31"),
        ({"draws": 2.5}, "draws must be an integer"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Reparameterise(**arguments)
