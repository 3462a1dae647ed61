"""Morph without a browser: what it takes, what it carries, and what it refuses."""

import base64
import json
import math

import numpy as np
import pytest
import torch

from dgmlite.widgets import Morph

X = np.random.default_rng(0).normal(size=(40, 2))
STATES = np.stack([X, X * [1, 2] + [0, 1], X[:, ::-1] * [2, 1] + [1, 0], X * [3, 3]])  # (4, 40, 2)
LOG_DET = np.random.default_rng(1).normal(size=(3, 40))
GRID = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), -1)[None].repeat(4, 0)  # (4, 5, 5, 2)
LOG_PROB = LOG_DET.sum(0) - (STATES[-1] ** 2).sum(1) / 2 - math.log(2 * math.pi)


def numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")


@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.ndarray.tolist])
def test_any_kind_of_array_is_taken_and_carried_in_32_bits(kind):
    widget = Morph(kind(STATES), log_det=kind(LOG_DET), log_prob=kind(LOG_PROB), grid=kind(GRID))
    for found, given in ((widget.states, STATES), (widget.log_det, LOG_DET), (widget.grid, GRID)):
        np.testing.assert_array_equal(numbers(found), given.ravel().astype("f4"))
    assert widget.position == widget.point == 0


def test_a_gradient_is_left_behind():
    assert Morph(torch.tensor(STATES, requires_grad=True)).states == Morph(STATES).states


def test_what_a_layer_leaves_alone_is_found():
    a, b = X.T
    states = [X, np.stack([a, b**3], 1), np.stack([-a, b**3], 1), np.stack([b**3, -a], 1)]
    states += [states[-1], states[-1] + [1, 2], states[-1] + [1, 2 + 1e-9]]
    widget = Morph(np.array(states))
    assert widget.stays == [1, 2, 0, 3, 0, 3]
    assert widget.names == [
        "coupling: x₂ moves, x₁ stays",
        "coupling: x₁ moves, x₂ stays",
        "x₁ and x₂ change places",
        "nothing moves",
        "x₁ and x₂ move",
        "nothing moves",
    ]
    assert Morph(STATES, names=["a", "b", "c"]).names == ["a", "b", "c"]


def test_colours_are_labels_or_sectors_around_the_mean():
    turn = (np.arange(12) + 0.5) / 12 * 2 * np.pi - np.pi
    around = np.stack([np.cos(turn), np.sin(turn)], 1) + [5, -3]
    assert Morph(np.stack([around, around])).labels == "001122334455"
    given = Morph(np.stack([around, around]), labels=torch.arange(12) % 6)
    assert given.labels == "012345012345" and not given.sectors


def test_a_task_fits_what_is_given():
    assert "log N(z)" in Morph(STATES, log_det=LOG_DET).task and "log" not in Morph(STATES).task
    assert Morph(STATES, task="Look.").task == "Look." and Morph(STATES, task="").task == ""


def test_what_a_notebook_stores_is_small_and_plain():
    states, grid = np.random.default_rng(0).normal(size=(9, 500, 2)), np.zeros((9, 21, 21, 2))
    state = Morph(states, log_det=np.zeros((8, 500)), grid=grid).get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 160_000  # code included
    state = Morph(np.zeros((17, 1000, 2)), log_det=np.zeros((16, 1000)), grid=np.zeros((17, 21, 21, 2))).get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 400_000


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"states": X}, r"states must have shape \(L \+ 1, N, 2\).*torch.stack"),
        ({"states": STATES[:1]}, "1 to 24 layers"),
        ({"states": np.zeros((26, 3, 2))}, "1 to 24 layers"),
        ({"states": np.zeros((2, 1001, 2))}, "at most 1000 points"),
        ({"states": np.zeros((2, 3, 3))}, r"got \(2, 3, 3\)"),
        ({"states": STATES * np.nan}, "states contains NaN or infinity"),
        ({"states": STATES * 1e300}, "states contains NaN or infinity"),
        ({"states": "spiral"}, "states must hold real numbers"),
        ({"states": [[[0, 1]], [[0, 1], [1, 2]]]}, "rows differ in length"),
        ({"names": ["a", "b"]}, "3 are needed, got 2"),
        ({"names": ["a", "b", "c" * 41]}, "at most 40 letters"),
        ({"names": "abc"}, "names must be a list of strings"),
        ({"log_det": LOG_DET.T}, r"log_det must have shape \(3, 40\), one number for each layer and point"),
        ({"log_det": LOG_DET * np.nan}, "log_det contains NaN"),
        ({"log_prob": LOG_PROB}, "give log_det too"),
        ({"log_prob": LOG_PROB, "log_det": -LOG_DET}, "those of data → noise"),
        ({"log_prob": LOG_PROB[1:], "log_det": LOG_DET}, r"log_prob must have shape \(40,\)"),
        ({"grid": GRID[1:]}, r"grid must have shape \(4, G, G, 2\)"),
        ({"grid": GRID[:, 1:]}, r"grid must have shape \(4, G, G, 2\)"),
        ({"grid": GRID.reshape(4, 25, 2)}, r"grid must have shape \(4, G, G, 2\)"),
        ({"grid": np.zeros((4, 42, 42, 2))}, "G ≤ 41"),
        ({"labels": np.arange(40)}, "40 integers 0..5"),
        ({"labels": [0, 1]}, "40 integers 0..5"),
        ({"labels": [0.0] * 40}, "40 integers 0..5"),
        ({"task": 3}, "task must be a string"),
        (
            {"states": np.zeros((25, 1000, 2)), "log_det": np.zeros((24, 1000)), "grid": np.zeros((25, 41, 41, 2))},
            "small enough for a notebook, 350 kB, got 8.*take fewer points",
        ),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Morph(**{"states": STATES} | arguments)


def test_rounding_of_a_model_in_32_bits_is_no_difference():
    Morph(STATES, log_det=LOG_DET, log_prob=torch.tensor(LOG_PROB).float() * (1 + 3e-5))
