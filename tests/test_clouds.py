"""Clouds without a browser: what Python promises before anything is drawn."""

import base64
import re

import numpy as np
import pytest
import torch

from dgmlite.widgets import Clouds
from dgmlite.widgets.clouds import MAPS, RULES

BAD = [
    ({"centres": [(0, 0)]}, r"centres must be two places .* got shape \(1, 2\)"),
    ({"centres": [(0, 0), (4.1, 0)]}, "in −4..4, got .* up to 4.1"),
    ({"centres": [(0, 0), (np.nan, 0)]}, "centres contains NaN"),
    ({"spreads": (0.2, 1)}, "each of the spreads must be a finite number between 0.3 and 1.2, got 0.2"),
    ({"spreads": 1}, "spreads must be two"),
    ({"prior": 1}, "prior must be a finite number between 0.05 and 0.95"),
    ({"strangers": 0.6}, "strangers must be a finite number between 0 and 0.5"),
    ({"cost": 0}, "cost must be a finite number between 0.01 and 0.5"),
    ({"probe": (6, 0)}, r"probe must be a place .* in −5..5, got \[6"),
    ({"probe": 3}, "probe must be a place"),
    ({"map": "p"}, r"map must be one of p\(y\|x\), p\(x\), p\(x, y\), decision, got 'p'"),
    ({"rule": "never"}, "rule must be one of always decide, .* got 'never'"),
    ({"n": 301}, "n must be at most 300"),
    ({"n": 0}, "n must be"),
    ({"seed": -1}, "seed must be"),
    ({"task": 3}, "task must be a string"),
]


@pytest.mark.parametrize("arguments, sentence", BAD)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Clouds(**arguments)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple, list])
def test_any_kind_of_array_is_taken(kind):
    widget = Clouds(kind([[0.5, 1.0], [-2.0, 0.0]]), kind([0.5, 1.0]), probe=kind([1.0, 2.0]))
    assert widget.centres == [[0.5, 1], [-2, 0]] and widget.spreads == [0.5, 1] and widget.probe == [1, 2]


def test_it_starts_and_starts_again_as_asked():
    widget = Clouds(map=MAPS[3], rule=RULES[1], strangers=0, task="")
    assert widget.initial == {name: getattr(widget, name) for name in widget.initial}
    assert set(widget.initial) == {"centres", "spreads", "prior", "strangers", "cost", "probe", "map", "rule"}
    assert widget.task == "" and Clouds().task in re.sub(r"\s+", " ", Clouds.__doc__).replace("Task: f", "f")


def test_data_are_drawn_once():
    drawn = np.frombuffer(base64.b64decode(Clouds(seed=2).points), "<f4").reshape(2, 60, 2)
    np.testing.assert_allclose(drawn, np.random.default_rng(2).standard_normal((2, 60, 2)), atol=1e-6)
    assert Clouds(seed=2).points == Clouds([(0, 0), (1, 1)], seed=2).points != Clouds(seed=3).points


def test_names_are_those_of_the_script():
    script = Clouds._esm
    for names in (MAPS, RULES):
        assert "[" + ", ".join(f'"{name}"' for name in names) + "]" in script
