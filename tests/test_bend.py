"""Bend without a browser: what it takes, what it carries, and what it refuses."""

import base64
import json
import math

import numpy as np
import pytest
import torch

from dgmlite.widgets import Bend

HANDLES, DRAGS = [[-1.0, 0.5], [2.5, -2.5], [0.0, 0.25]], [[1.0, 1.0], [0.0, 0.0], [0.5, -0.25]]
LIMIT = 0.9 * math.sqrt(math.e)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_any_kind_of_array_is_taken(kind):
    widget = Bend(kind(HANDLES), kind(DRAGS))
    assert widget.handles == HANDLES and widget.drags == widget.initial == DRAGS


def test_a_gradient_is_left_behind():
    assert Bend(torch.tensor(HANDLES, requires_grad=True)).handles == HANDLES


def test_by_default_only_the_first_handle_is_dragged():
    widget = Bend(HANDLES, width=0.5)
    assert widget.drags == [[0.45, 0.25], [0.0, 0.0], [0.0, 0.0]]
    assert len(Bend().handles) == len(Bend().drags) == 4


def test_samples_are_those_of_the_seed():
    noise = np.frombuffer(base64.b64decode(Bend(seed=3).noise), "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(noise, np.random.default_rng(3).standard_normal((250, 2)).astype("f4"))
    assert Bend().noise == Bend(seed=0).noise != Bend(seed=3).noise


@pytest.mark.parametrize("width", [0.4, 1.0])
def test_the_longest_drag_is_just_short_of_a_fold(width):
    """Along a bend z + d exp(−z² / 2s²) the slope is least at z = s, where it is 1 − d / (s √e)."""
    z = np.linspace(-4, 4, 80_001)
    slope = lambda d: np.gradient(z + d * np.exp(-(z**2) / (2 * width**2)), z).min()  # noqa: E731
    assert slope(Bend(width=width).limit) == pytest.approx(0.1, abs=1e-5)
    assert slope(Bend(width=width).limit / 0.9 * 1.001) < 0
    turned = Bend([[0, 0]], [[LIMIT * width * math.cos(1), LIMIT * width * math.sin(1)]], width)
    assert np.hypot(*turned.drags[0]) == pytest.approx(turned.limit)


def test_a_task_fits_what_is_given():
    assert "more than 8 times" in Bend().task and "more than 8 times" not in Bend(HANDLES).task
    assert Bend(task="Look.").task == "Look." and Bend(task="").task == ""


def test_what_a_notebook_stores_is_small_and_plain():
    state = Bend(HANDLES, DRAGS).get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 60_000  # code included


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"handles": [1, 2]}, r"handles must have shape \(K, 2\), one centre .* got \(2,\)"),
        ({"handles": [[1, 2, 3]]}, r"handles must have shape \(K, 2\)"),
        ({"handles": np.zeros((0, 2))}, "handles must be 1 to 6 centres .* got 0"),
        ({"handles": np.zeros((7, 2))}, "handles must be 1 to 6 centres .* got 7"),
        ({"handles": [[0, 2.6]]}, "the farthest at 2.6; the picture shows"),
        ({"handles": [[0, math.nan]]}, "handles contains NaN or infinity"),
        ({"handles": "corners"}, "handles must hold real numbers"),
        ({"handles": [[1], [1, 2]]}, "handles must be a rectangular array"),
        ({"drags": [[0, 0]]}, "drags must be one vector for each of the 4 handles, got 1"),
        ({"handles": [[0, 0]], "drags": [0, 0]}, r"drags must have shape \(K, 2\), one vector"),
        ({"handles": [[0, 0]], "drags": [[1.2, 0.9]]}, "at most 0.9 √e · width = 1.484 long, .* got 1.5; a drag is"),
        ({"handles": [[0, 0]], "drags": [[1, 0]], "width": 0.5}, "width = 0.7419 long"),
        ({"handles": [[0, 0]], "drags": [[math.inf, 0]]}, "drags contains NaN or infinity"),
        ({"width": 1.1}, "width must be a finite number between 0.4 and 1"),
        ({"width": 0.3}, "width must be a finite number between 0.4 and 1"),
        ({"width": "wide"}, "width must be a number"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"seed": 0.5}, "seed must be an integer"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Bend(**arguments)
