"""ReceptiveField without a browser: what it takes, what it keeps, and what it refuses."""

import json

import numpy as np
import pytest
import torch

from dgmlite.widgets import ReceptiveField

PAST = np.tri(6, k=-1)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.ndarray.tolist])
def test_any_kind_of_array_is_taken(kind):
    widget = ReceptiveField({"all": kind(PAST)}, (2, 3), order=[5, 4, 3, 2, 1, 0], sample=torch.arange(6))
    assert widget.shades == [(100 * PAST).astype(int).tolist()]
    assert widget.orders == [[5, 4, 3, 2, 1, 0]] and widget.sample == [0, 1, 2, 3, 4, 5] and widget.step == 3


def test_each_network_may_have_its_order():
    spiral = [0, 1, 2, 5, 4, 3]
    widget = ReceptiveField({"a": PAST, "b": PAST}, (2, 3), order={"b": np.array(spiral), "a": None})
    assert widget.names == ["a", "b"] and widget.orders == [[0, 1, 2, 3, 4, 5], spiral]


def test_shades_are_roots_relative_to_the_strongest_and_zero_for_nothing_only():
    strength = np.array([[0, 0, 0, 0], [4, 0, 0, 0], [0.25, 1, 0, 0], [1e-30, 0, 1e6, 0]])
    widget = ReceptiveField({"a": torch.tensor(strength, requires_grad=True)}, (2, 2))
    assert widget.shades == [[[0, 0, 0, 0], [100, 0, 0, 0], [50, 100, 0, 0], [1, 0, 100, 0]]]


def test_what_a_notebook_stores_is_small_and_plain():
    fields = {f"network {k}": np.random.default_rng(k).random((64, 64)) for k in range(4)}
    state = ReceptiveField(fields, (8, 8)).get_state()
    state = {name: value for name, value in state.items() if name[0] != "_" and name != "layout"}
    assert len(json.dumps(state, allow_nan=False)) < 80_000


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"fields": PAST, "shape": (2, 3)}, "fields must be a dict from names to matrices"),
        ({"fields": {}, "shape": (2, 3)}, "fields must be a dict"),
        ({"fields": {3: PAST}, "shape": (2, 3)}, "fields must be a dict"),
        ({"fields": {"a": PAST}, "shape": (3, 3)}, r"the field of 'a' must have shape \(9, 9\), .* got \(6, 6\)"),
        ({"fields": {"a": -PAST}, "shape": (2, 3)}, "take absolute values of gradients"),
        ({"fields": {"a": PAST * np.nan}, "shape": (2, 3)}, "the field of 'a' must be finite"),
        ({"fields": {"a": "all"}, "shape": (2, 3)}, "the field of 'a' must hold real numbers"),
        ({"fields": {"a": [[1], [1, 2]]}, "shape": (2, 3)}, "rows differ in length"),
        ({"shape": (1, 6, 6)}, r"shape must be \(rows, columns\) of at most 12"),
        ({"shape": (13, 2)}, "at most 12"),
        ({"shape": 4}, "shape must be a tuple"),
        ({"shape": (2, 2), "order": [0, 1, 2, 2]}, "order must list each of the 4 pixels once"),
        ({"shape": (2, 2), "order": [0, 1, 2]}, "order must list each of the 4 pixels once"),
        ({"shape": (2, 2), "order": [0.0, 1.0, 2.0, 3.0]}, "order must list each of the 4 pixels once"),
        ({"shape": (2, 2), "order": "raster"}, "order must hold real numbers"),
        ({"shape": (2, 2), "order": {"a": None}}, "order must name the same networks as fields"),
        ({"shape": (2, 2), "sample": [0, 1, 2]}, "sample must hold 4 integer levels"),
        ({"shape": (2, 2), "sample": [0, 1, 2, -1]}, "sample must hold 4 integer levels"),
        ({"shape": (2, 2), "sample": [0, 0.5, 1, 1]}, "sample must hold 4 integer levels"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        ReceptiveField(**arguments)
