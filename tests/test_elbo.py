"""ElboSplit without a browser: what it takes, what it carries, and what it refuses."""

import base64
import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from dgmlite.widgets import ElboSplit

Z = np.linspace(-4, 4, 161)
PRIOR, LIKELIHOOD = stats.norm.logpdf(Z), stats.norm.logpdf(1.5, Z**2 + 0.4 * Z, 0.6)


def carried(text):
    return np.frombuffer(base64.b64decode(text), "<f8")


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple, lambda v: torch.tensor(v, requires_grad=True)])
def test_any_kind_of_array_is_taken(kind):
    widget = ElboSplit(kind(Z), kind(PRIOR), kind(LIKELIHOOD), 0.5, 0.25)
    np.testing.assert_array_equal(carried(widget.z), Z)
    np.testing.assert_array_equal(carried(widget.log_likelihood), LIKELIHOOD)
    assert widget.initial == [widget.mean, widget.std] == [0.5, 0.25]


def test_a_grid_of_32_bits_is_even_enough():
    ElboSplit(torch.linspace(-4, 4, 400), stats.norm.logpdf(np.linspace(-4, 4, 400)), np.zeros(400))


def test_the_prior_becomes_a_distribution_over_the_grid():
    for widget in (ElboSplit(), ElboSplit(Z, PRIOR, LIKELIHOOD)):
        p, z = np.exp(carried(widget.log_prior)), carried(widget.z)
        assert p.sum() == pytest.approx(1, abs=1e-14)
        np.testing.assert_allclose(p / (z[1] - z[0]), stats.norm.pdf(z), rtol=1e-3)


def test_the_default_is_what_the_docstring_says():
    z = np.linspace(-5, 5, 201)
    np.testing.assert_allclose(carried(ElboSplit().z), z)
    np.testing.assert_allclose(carried(ElboSplit().log_likelihood), stats.norm.logpdf(0.8, np.tanh(1.5 * z), 0.35))


def test_what_a_notebook_stores_is_small_and_plain():
    z = np.linspace(-4, 4, 400)
    state = ElboSplit(z, stats.norm.logpdf(z), z).get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 60_000  # code included
    assert ElboSplit(task="Look.").task == "Look." and ElboSplit(task="").task == "" and "gap" in ElboSplit().task


def given(**changes):
    return {"z": Z, "log_prior": PRIOR, "log_likelihood": LIKELIHOOD} | changes


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"z": Z}, "z must come with both log_prior and log_likelihood, got only some"),
        ({"log_prior": PRIOR, "log_likelihood": LIKELIHOOD}, "z must come with both"),
        (given(z=Z[:40]), r"z must have shape \(G,\), 50 to 400 points of a grid, got \(40,\)"),
        (given(z=Z[:, None]), r"z must have shape \(G,\)"),
        (given(z=np.linspace(-4, 4, 401)), r"got \(401,\)"),
        (given(z=Z**3), "z must be evenly spaced and rise, got steps from .* np.linspace"),
        (given(z=Z[::-1]), "z must be evenly spaced and rise"),
        (given(z=np.zeros(161)), "z must be evenly spaced and rise"),
        (given(z=[math.nan] * 161), "z contains NaN or infinity"),
        (given(z="grid"), "z must hold real numbers"),
        (given(log_prior=PRIOR[:-1]), r"log_prior must have shape \(161,\), one number for each point of z, got"),
        (given(log_prior=np.exp(PRIOR)), "log_prior must be the log of a density .* are these not logarithms"),
        (given(log_prior=np.full(161, 1e5)), "log_prior must be the log of a density"),
        (given(log_prior=PRIOR + 0.01), "integral over the grid is 1, got 1.01; is the grid too short"),
        (given(log_prior=stats.norm.logpdf(Z, 0, 2)), "got 0.95"),
        (given(log_likelihood=LIKELIHOOD[None]), r"log_likelihood must have shape \(161,\)"),
        (given(log_likelihood=np.full(161, -math.inf)), "log_likelihood contains NaN or infinity"),
        (given(mean=3.3), "mean must be a finite number between -3.2 and 3.2"),
        (given(std=0.01), "std must be a finite number between 0.05 and 1.6"),
        ({"mean": "left"}, "mean must be a number"),
        ({"std": 2.5}, "std must be a finite number between 0.05 and 2"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        ElboSplit(**arguments)
