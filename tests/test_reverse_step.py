"""ReverseStep without a browser: what it takes, what it carries, and what it refuses."""

import json
import math

import numpy as np
import pytest
import torch

from dgmlite.widgets import ReverseStep


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple, list])
def test_any_kind_of_array_is_taken(kind):
    widget = ReverseStep(kind([-2.0, 0, 1]), kind([0.5, 0.25, 1]), kind([0.25, 0.5, 0.25]), kind([4.0, -1]), -0.5)
    assert (widget.means, widget.stds, widget.weights) == ([-2, 0, 1], [0.5, 0.25, 1], [0.25, 0.5, 0.25])
    assert widget.log_snr == [4, -1] and widget.z == -0.5 and widget.initial == [4, -1, -0.5]


def test_weights_of_32_bits_sum_to_1_well_enough():
    ReverseStep((-1, 0, 1), (0.1, 0.1, 0.1), torch.tensor([0.7, 0.2, 0.1]))


def test_what_a_notebook_stores_is_small_and_plain():
    state = ReverseStep().get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 50_000  # code included
    assert ReverseStep(task="Look.").task == "Look." and ReverseStep(task="").task == ""
    assert "two humps" in ReverseStep().task


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"means": [1]}, "means must be those of 2 or 3 Gaussians, got 1"),
        ({"means": [0, 1, 1, 2]}, "means must be those of 2 or 3 Gaussians, got 4"),
        ({"means": [[0, 1]]}, r"the list means must hold 2 or 3 numbers, got shape \(1, 2\)"),
        ({"means": 1}, "the list means must hold 2 or 3 numbers"),
        ({"means": [0, 2.5]}, "each of means must be a finite number between -2 and 2"),
        ({"means": [0, math.nan]}, "means contains NaN or infinity"),
        ({"means": "ab"}, "means must hold real numbers"),
        ({"means": [-1, 0, 1]}, r"the list stds must hold 3 numbers, got shape \(2,\)"),
        ({"stds": [0.1]}, "the list stds must hold 2 numbers"),
        ({"stds": [0.04, 0.1]}, "each of stds must be a finite number between 0.05 and 1"),
        ({"weights": [0.5, 0.4]}, "weights must sum to 1, got 0.9; divide by the sum first"),
        ({"weights": [1, 0]}, "each of weights must be a finite number between 0.01 and 1"),
        ({"weights": [0.5, 0.25, 0.25]}, "the list weights must hold 2 numbers"),
        ({"log_snr": [1, 2]}, r"log_snr must fall by at least 0.01, from that of z_s to that of z_t, got \[1.0, 2.0\]"),
        ({"log_snr": [1, 1]}, "log_snr must fall"),
        ({"log_snr": [9, 1]}, "each of log_snr must be a finite number between -8 and 8"),
        ({"log_snr": 2}, "the list log_snr must hold 2 numbers"),
        ({"z": 4.1}, "z must be a finite number between -4 and 4"),
        ({"z": "left"}, "z must be a number"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        ReverseStep(**arguments)
