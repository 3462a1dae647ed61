"""Widgets without a browser: what Python promises before anything is drawn."""

import base64
import functools
import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmlite import evaluation, widgets
from dgmlite.models.autoregressive import CausalConv
from dgmlite.models.vae import Decoder
from dgmlite.widgets import (
    Bend,
    Clouds,
    Completion,
    Diffusion,
    Duel,
    ElboSplit,
    Families,
    Game,
    Guide,
    JointTable,
    LatentPad,
    LatentPlane,
    Morph,
    Noising,
    RangeCoder,
    ReceptiveField,
    Reparameterise,
    ReverseStep,
    Scores,
    SurpriseEntropy,
    TwoDensities,
)
from dgmlite.widgets.scores import scores

CODES = (Decoder((1, 4, 4), 3, 2, hidden=(4,)).state_dict(), np.zeros((5, 2)), np.ones((5, 2)))
STATE = CausalConv((1, 4, 4), levels=3, channels=4, dilations=(1, 2)).state_dict()


@functools.wraps(Completion, updated=())
def completion(state=STATE, shape=(4, 4), levels=3, dilations=(1, 2), **more):
    return Completion(state, shape, levels, dilations, **more)


@functools.wraps(LatentPlane, updated=())
def plane(models=None, shape=(4, 4), levels=3, **more):
    return LatentPlane({"β = 1": CODES} if models is None else models, shape, levels, **more)


ALL = [SurpriseEntropy, JointTable, RangeCoder, TwoDensities, ReceptiveField, completion, LatentPad, Morph, Bend]
ALL += [plane, ElboSplit, Reparameterise, Noising, ReverseStep, Diffusion]
ALL += [Duel, Scores]
ALL += [Game, Clouds, Families, Guide]
JUNK = st.one_of(
    st.none(), st.text(max_size=3), st.floats(), st.integers(), st.lists(st.floats(), max_size=9),
    st.lists(st.lists(st.floats(-1, 2), max_size=5), max_size=5), st.lists(st.text(max_size=2), max_size=4),
)  # fmt: skip


def test_all_widgets_are_tested():
    assert sorted(w.__name__ for w in ALL) == sorted(widgets.__all__)


@pytest.mark.parametrize("widget", ALL)
def test_module_is_self_contained(widget):
    source = widget()._esm
    assert "function frame(" in source and "function render(" in source
    assert source.count("export") == 1 and source.endswith("export default { render };\n")
    assert not re.search(r"^\s*import\b|\bimport\(|https?://(?!www\.w3\.org/)|\bfetch\(", source, re.M)
    assert "url(" not in widget()._css and "@import" not in widget()._css


@pytest.mark.parametrize("widget", ALL)
def test_state_is_plain_json_and_repr_is_stable(widget):
    first, second = widget(), widget()
    assert repr(first) == repr(second) and "0x" not in repr(first) and repr(first).startswith(widget.__name__ + "(")
    state = {k: v for k, v in first.get_state().items() if k not in ("layout", "_dom_classes")}
    assert json.loads(json.dumps(state, allow_nan=False)) == state
    assert first._repr_mimebundle_()[0]["text/plain"] == repr(first)


@pytest.mark.parametrize("widget", ALL)
def test_each_widget_comes_with_a_task(widget):
    assert re.search(r"^ +Task: .+[.?]$", widget.__doc__.replace("\n    ", "\n "), re.M | re.S)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_any_kind_of_array_is_taken(kind):
    assert SurpriseEntropy(kind([0.5, 0.25, 0.25])).probabilities == [0.5, 0.25, 0.25]
    assert JointTable(kind([[0.5, 0.25], [0.25, 0.0]])).joint == [[0.5, 0.25], [0.25, 0.0]]
    assert RangeCoder("ab", "ab", kind([0.75, 0.25])).probabilities == [0.75, 0.25]
    assert TwoDensities(kind([[1.0, 0.0, 2.0]]), kind([1.0, 0.5])).q == [1.0, 0.5]


BAD = [
    (SurpriseEntropy, {"probabilities": [0.5, 0.4]}, "probabilities must sum to 1"),
    (SurpriseEntropy, {"probabilities": [1.5, -0.5]}, "probabilities has a negative entry"),
    (SurpriseEntropy, {"probabilities": [1.0]}, "2 to 8 states"),
    (SurpriseEntropy, {"probabilities": [1 / 9] * 9}, "2 to 8 states"),
    (SurpriseEntropy, {"probabilities": [[0.5, 0.5]]}, "one distribution of shape"),
    (SurpriseEntropy, {"probabilities": "ab"}, "must hold real numbers"),
    (SurpriseEntropy, {"probabilities": [0.5, 0.5], "labels": ["a"]}, "2 are needed, got 1"),
    (SurpriseEntropy, {"probabilities": [0.5, 0.5], "labels": "ab"}, "labels must be a list of strings"),
    (SurpriseEntropy, {"probabilities": [0.5, 0.5], "labels": 3}, "labels must be a list of strings"),
    (JointTable, {"joint": [0.5, 0.5]}, "x and y on its last two axes"),
    (JointTable, {"joint": [[0.5, 0.5], [0.5]]}, "rows differ in length"),
    (JointTable, {"joint": [[0.5, 0.5]]}, "2 to 4 rows and columns"),
    (JointTable, {"joint": [[0.5, 0.5], [0.5, 0.5]]}, "joint must sum to 1"),
    (JointTable, {"joint": [[0.5, 0.5], [0.0, 0.0]], "y_labels": ["a", "b", "c"]}, "2 are needed, got 3"),
    (RangeCoder, {"text": "To be"}, "got 'T' besides"),
    (RangeCoder, {"text": "a" * 33}, "at most 32 letters"),
    (RangeCoder, {"text": 5}, "text must be a string"),
    (RangeCoder, {"text": "a", "alphabet": "aa"}, "different letters"),
    (RangeCoder, {"text": "a", "alphabet": "ab", "probabilities": [1.0, 0.0]}, "must all be positive"),
    (RangeCoder, {"text": "a", "alphabet": "ab", "probabilities": [0.2, 0.3, 0.5]}, r"shape \(2,\) or \(2, 2\)"),
    (TwoDensities, {"p": [(1, 0, 0)]}, "the std in each component of p"),
    (TwoDensities, {"p": [(0.5, 0, 1)]}, "weights of p must sum to 1"),
    (TwoDensities, {"p": []}, "one or two components"),
    (TwoDensities, {"p": (0, 1)}, "each component of p must be"),
    (TwoDensities, {"q": (0, 1, 2)}, "q must be"),
    (TwoDensities, {"q": (9, 1)}, "the mean in q"),
    (TwoDensities, {"q": None}, "q must be"),
    (ReceptiveField, {"fields": {"a": np.eye(3)}}, r"must have shape \(16, 16\)"),
    (ReceptiveField, {"fields": {"a": -np.eye(16)}}, "without negative entries"),
    (ReceptiveField, {"shape": (13, 2)}, "at most 12"),
    (ReceptiveField, {"order": [0] * 16}, "each of the 16 pixels once"),
    (ReceptiveField, {"order": {"b": None}}, "same networks"),
    (ReceptiveField, {"sample": [1, 2]}, "16 integer levels"),
    (completion, {"dilations": (1, 2, 4)}, "3 dilations"),
    (completion, {"levels": 4}, "4 levels"),
    (completion, {"shape": (4, 5)}, "20 pixels"),
    (completion, {"y": 1}, "y must be given exactly if"),
    (completion, {"kept": 17}, "kept must be at most 16"),
    (completion, {"examples": [[3] * 16]}, "16 integer levels 0..2"),
    (Game, {"data": "rings"}, "data must be 'ring', 'two', 'one', 'spiral' or centres, got 'rings'"),
    (Game, {"data": [[0, 3]]}, r"centres of shape \(K, 2\), 1 ≤ K ≤ 40, from −2.7 to 2.7"),
    (Game, {"data": np.zeros((41, 2))}, "1 ≤ K ≤ 40"),
    (Game, {"data": [[0.0, np.nan]]}, "data contains NaN"),
    (Game, {"std": 0.01}, "std must be a finite number between 0.05 and 0.5"),
    (Game, {"objective": "saturating"}, "objective must be 'minimax' or"),
    (Game, {"penalty": "l2"}, "penalty must be None or 'r1' or 'gradient'"),
    (Game, {"weight": -1}, "weight must be"),
    (Game, {"lr": {"critic": 1}}, "lr must be a finite number between 1e-05 and 0.1"),
    (Game, {"lr": {"judge": 0.1}}, "lr must be a number or a dict by player"),
    (Game, {"steps_per_player": {"critic": 2}}, "steps_per_player must be critic : generator = 1 : 0, .*, got 2 : 1"),
    (Game, {"hidden": (128, 128)}, "hidden must be 1 to 3 layers of at most 64 each"),
    (Game, {"hidden": ()}, "hidden must be 1 to 3 layers"),
    (Game, {"latent": 17}, "latent must be at most 16"),
    (Game, {"batch": 30}, "batch must be a multiple of 4"),
    (Game, {"seed": -1}, "seed must be"),
    (Game, {"task": 3}, "task must be a string"),
    (Duel, {"p": [(1, 0)]}, r"p must be one or two \(weight, mean, std\), got shape \(1, 2\)"),
    (Duel, {"p": [(0.5, 0, 1)]}, "weights of p must sum to 1, got 0.5"),
    (Duel, {"p": [(1, 9, 1)]}, "the mean in p must be a finite number between -4 and 8"),
    (Duel, {"p": [(1.5, 0, 1), (-0.5, 0, 1)]}, "the weight in p"),
    (Duel, {"q": (0, 0.1)}, "the std in q must be a finite number between 0.3 and 2"),
    (Duel, {"q": 3}, r"q must be \(mean, std\)"),
    (Duel, {"strength": 1.1}, "strength must be a finite number between 0 and 1"),
    (Duel, {"task": 3}, "task must be a string"),
    (Scores, {"centres": [(0, 0)]}, r"centres must have shape \(K, 2\), 2 ≤ K ≤ 8"),
    (Scores, {"centres": [(0, 0), (4, 0)]}, "from −3 to 3"),
    (Scores, {"centres": [(0, 0), (1, 0)]}, "at least 6 std = 1.5 apart, the closest are 1"),
    (Scores, {"n": 301}, "n must be at most 300"),
    (Scores, {"n": 19}, "n must be at least 20"),
    (Scores, {"k": 0}, "k must be at least 1"),
    (Scores, {"memorised": 50}, "memorised must be a finite number between 0 and 1"),
    (Scores, {"dropped": 6}, "dropped must leave one of the 6 modes, got 6"),
    (Scores, {"noise": -1}, "noise must be"),
    (Scores, {"shrink": "all"}, "shrink must be a number"),
    (Scores, {"seed": 0.5}, "seed must be an integer"),
]


@pytest.mark.parametrize("widget, arguments, sentence", BAD)
def test_bad_input_is_answered_with_a_sentence(widget, arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        widget(**arguments)


@pytest.mark.parametrize("widget", ALL)
@settings(deadline=None)  # Scores draws its honest sets
@given(junk=JUNK)
def test_junk_never_fails_deep_inside(widget, junk):
    try:
        widget(junk)
    except (ValueError, TypeError) as error:
        firsts = (
            "probabilities joint text p each the fields state states images handles z models coefficients means stds"
            " centres data needs x"
        )
        assert str(error).split()[0] in firsts.split(), str(error)


def test_bad_values_are_refused_later_too():
    widget = SurpriseEntropy()
    with pytest.raises(ValueError, match="sum to 1"):
        widget.probabilities = [0.5, 0.4, 0.0, 0.0]
    assert widget.probabilities == [0.5, 0.25, 0.15, 0.1]


def test_ranges_of_scores_are_those_of_honest_samples():
    """Of real points the scores are the library's; of further honest sets about one in twenty lies outside."""
    widget = Scores(seed=3, n=60)
    table, centres = np.frombuffer(base64.b64decode(widget.table)).reshape(60, 12), np.array(widget.centres)
    train, test = table[:, :2], table[:, 3:5]
    pair = torch.tensor(train), torch.tensor(test)
    assert widget.real[:2] == pytest.approx(evaluation.precision_recall(*pair), abs=1e-12)
    assert widget.real[2:4] == pytest.approx([f(*pair) for f in (evaluation.mmd, evaluation.frechet_distance)])
    assert widget.real[4] == 6 and widget.real[6] == 1 and sorted(table[:, 11]) == list(range(60))
    rng, outside = np.random.default_rng(99), []
    for _ in range(100):
        samples = centres[rng.integers(6, size=60)] + 0.25 * rng.standard_normal((60, 2))
        values = scores(samples, train, test, centres, 0.25, 3)
        outside.append([not low <= value <= high for value, (low, high) in zip(values, widget.honest)])
    assert 0.005 < np.mean(outside) < 0.1
    assert np.allclose(np.linalg.norm(table[:, :2] - centres[table[:, 2].astype(int)], axis=1).mean(), 0.313, atol=0.05)
