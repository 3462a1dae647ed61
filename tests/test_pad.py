"""LatentPad without a browser: what it takes, what it carries, and what it refuses."""

import base64
import json

import numpy as np
import pytest
import torch

from dgmlite.widgets import LatentPad

RANDOM = np.random.default_rng(0)
IMAGES, PIXELS = RANDOM.integers(17, size=(2, 5, 5, 8, 6))
SCORES, OTHERS = 100 * RANDOM.random((2, 5, 5))


def pad(images=IMAGES, **more):
    return LatentPad(images, **more)


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.ndarray.tolist])
def test_any_kind_of_array_is_taken(kind):
    anchors = kind(IMAGES[2, :4])
    widget = LatentPad(kind(IMAGES), anchors, kind(PIXELS), kind(SCORES), kind(OTHERS), corners=["3", "8", "5", "0"])
    for found, given in ((widget.images, IMAGES), (widget.compare, PIXELS), (widget.anchors, IMAGES[2, :4])):
        np.testing.assert_array_equal(numbers(found, "u1"), given.ravel())
    for found, given in ((widget.scores, SCORES), (widget.compare_scores, OTHERS)):
        np.testing.assert_array_equal(numbers(found, "<f4"), given.ravel().astype("f4"))
    assert widget.place == [0, 0] and widget.shape == [8, 6] and widget.size == 5 and widget.levels == 17


def test_anchors_are_by_default_the_corners():
    corners = numbers(pad().anchors, "u1").reshape(4, 8, 6)
    np.testing.assert_array_equal(corners, [IMAGES[0, 0], IMAGES[0, 4], IMAGES[4, 0], IMAGES[4, 4]])


def test_a_task_fits_what_is_given():
    full = pad(compare=PIXELS, scores=SCORES, compare_scores=OTHERS, corners=["a 3", "an 8", "c", "d"]).task
    assert full.startswith("Walk from a 3 to an 8 along the upper edge: is the mixture of pixels anywhere more")
    assert "mixture" not in pad(scores=SCORES).task and "surprising" not in pad().task
    assert pad(task="Look.").task == "Look." and pad(task="").task == ""


def test_what_a_notebook_stores_is_small_and_plain():
    images, scores = np.full((25, 25, 8, 8), 16), np.full((25, 25), 91.7)
    state = LatentPad(images, None, images, scores, scores).get_state()
    state.pop("layout")
    assert len(json.dumps(state, allow_nan=False)) < 160_000  # code included


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"images": IMAGES[0]}, r"images must have shape \(R, R, H, W\)"),
        ({"images": IMAGES[:4]}, r"images must have shape \(R, R, H, W\), .* got \(4, 5, 8, 6\)"),
        ({"images": IMAGES[:1, :1]}, "2 ≤ R ≤ 25"),
        ({"images": np.zeros((26, 26, 2, 2), int)}, "2 ≤ R ≤ 25"),
        ({"images": np.zeros((2, 2, 33, 8), int)}, "H and W at most 32"),
        ({"images": IMAGES / 16}, "images must hold integer levels 0..16.*round and clip"),
        ({"images": IMAGES - 1}, "integer levels 0..16, .* from -1 to 15"),
        ({"levels": 16}, "integer levels 0..15"),
        ({"levels": 257}, "at most 256 of them"),
        ({"levels": 1}, "levels must be at least 2"),
        ({"images": "digits"}, "images must hold real numbers"),
        ({"anchors": IMAGES[0]}, r"anchors must have shape \(4, 8, 6\), got \(5, 8, 6\)"),
        ({"compare": PIXELS[:, :4]}, r"compare must have shape \(5, 5, 8, 6\)"),
        ({"compare": PIXELS + 1}, "compare must hold integer levels"),
        ({"scores": SCORES[0]}, r"scores must have shape \(5, 5\), one number for each picture"),
        ({"scores": SCORES * np.inf}, "scores contains NaN or infinity"),
        ({"scores": SCORES, "compare_scores": OTHERS}, "give compare and scores too"),
        ({"compare": PIXELS, "compare_scores": OTHERS}, "give compare and scores too"),
        ({"corners": ["3", "8"]}, "corners must name .* 4 are needed, got 2"),
        ({"corners": [3, 8, 5, 0]}, "corners must be a list of strings"),
        ({"kind": "lower bound"}, 'kind must be "exact" or "upper bound"'),
        ({"task": 3}, "task must be a string"),
        ({"images": np.zeros((25, 25, 28, 28), int)}, "350 kB, got 657; take a coarser mesh"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        pad(**arguments)
