"""Completion without a browser: what it carries, and what it refuses."""

import base64
import math

import numpy as np
import pytest
import torch

from dgmlite.models.autoregressive import MADE, CausalConv, CausalTransformer
from dgmlite.widgets import Completion

SMALL = CausalConv((1, 3, 4), levels=5, channels=6, dilations=(1, 2), seed=1)
TOLD = CausalConv((1, 3, 4), levels=5, channels=6, dilations=(1, 2), condition=3)


def small(state=None, shape=(3, 4), levels=5, dilations=(1, 2), **more):
    return Completion(SMALL.state_dict() if state is None else state, shape, levels, dilations, **more)


def told(**more):
    return small(TOLD.state_dict(), **more)


def numbers(widget) -> np.ndarray:
    return np.frombuffer(base64.b64decode(widget.weights), "<f2")


def test_the_weights_are_the_models():
    learned = sum(parameter.numel() for parameter in SMALL.parameters())
    assert len(numbers(small())) == learned
    parts = [SMALL.network.embed.weight, SMALL.network.embed.bias, SMALL.network.position]
    first = torch.cat([part.flatten() for part in parts]).detach().numpy()
    np.testing.assert_array_equal(numbers(small())[: len(first)], first.astype("<f2"))
    np.testing.assert_array_equal(numbers(small())[-60:], SMALL.bias.detach().numpy().ravel().astype("<f2"))


def test_a_condition_becomes_a_part_of_the_positions():
    learned = sum(p.numel() for p in TOLD.parameters()) - TOLD.network.condition.weight.numel()
    features = [0.5, -1.0, 2.0]
    with torch.no_grad():
        wanted = TOLD.network.position + TOLD.network.condition(torch.tensor(features))
    for y in (features, np.array(features), torch.tensor(features)):
        found = numbers(told(y=y))
        assert len(found) == learned
        start = TOLD.network.embed.weight.numel() + 6
        np.testing.assert_allclose(found[start : start + 72], wanted.flatten(), rtol=2**-11, atol=1e-7)
    for label in (1, np.int64(1), torch.tensor(1)):
        assert told(y=label).weights == told(y=[0.0, 1.0, 0.0]).weights != told(y=0).weights


def test_what_a_notebook_stores_is_small():
    model = CausalConv((1, 8, 8), 17)
    widget = Completion(model.state_dict(), (8, 8), 17, examples=np.zeros((8, 64), int))
    assert len(widget.weights) == 4 * math.ceil(2 * sum(p.numel() for p in model.parameters()) / 3)
    stored = sum(len(str(value)) for value in widget.get_state().values())
    assert stored < 300_000 and repr(widget) == "Completion(shape=[8, 8], levels=17, kept=32, filled=32)"
    wide = CausalConv((1, 8, 8), 17, channels=64)
    with pytest.raises(ValueError, match="small enough for a notebook, 350 kB of weights, got 406"):
        Completion(wide.state_dict(), (8, 8), 17)


def test_events_pictures_and_borders_in_any_form():
    assert small(shape=(1, 3, 4)).shape == small(shape=torch.Size([3, 4])).shape == [3, 4]
    pictures = np.arange(24).reshape(2, 1, 3, 4) % 5
    for examples in (pictures, torch.tensor(pictures), list(pictures.astype(np.uint8)), pictures.tolist()):
        widget = small(examples=examples)
        assert widget.examples == pictures.reshape(2, 12).tolist() and widget.image == widget.examples[0]
    assert small().image == [0] * 12 and small(examples=[]).examples == []
    for kept, found in ((None, 6), (0, 0), (12, 12), (5, 5)):
        widget = small(kept=kept)
        assert widget.kept == widget.filled == widget.initial == found


def broken(name, value):
    return {**SMALL.state_dict(), name: value}


def other(kind, **more):
    return kind((1, 3, 4), 5, **more).state_dict()


CONV = "network.blocks.1.conv.weight"
BAD = [
    (lambda: small(SMALL), TypeError, "state must be the state_dict.*got CausalConv"),
    (lambda: small({}), TypeError, "state must be the state_dict"),
    (lambda: small({"bias": 3}), TypeError, "state must be the state_dict"),
    (lambda: small(other(MADE)), TypeError, "state must be the state_dict"),
    (lambda: small(other(CausalTransformer, channels=8, heads=2)), ValueError, "2 dilations, got .* and 0"),
    (lambda: small(other(CausalTransformer, channels=8, heads=2), dilations=()), ValueError, "should be missing"),
    (lambda: small(broken(CONV, torch.zeros(12, 6, 2))), ValueError, r"should be \(12, 6, 3\), got \(12, 6, 2\)"),
    (lambda: small(broken("bias", torch.full((12, 5), math.nan))), ValueError, "finite weights"),
    (lambda: small(broken("bias", torch.full((12, 5), 1e5))), ValueError, "at most 65504"),
    (lambda: small(other(CausalConv, dilations=(1, 2), order=range(11, -1, -1))), ValueError, "raster order"),
    (lambda: small(shape=(12,)), ValueError, "shape must be"),
    (lambda: small(shape=(2, 3, 2)), ValueError, "shape must be"),
    (lambda: small(shape=(1, 13)), ValueError, "at most 12"),
    (lambda: small(levels=1), ValueError, "levels must be at least 2"),
    (lambda: small(dilations=3), TypeError, "dilations must be a sequence"),
    (lambda: small(dilations=(1, 0)), ValueError, "each entry of dilations"),
    (lambda: small(kept=-1), ValueError, "kept must be at least 0"),
    (lambda: small(kept=2.5), TypeError, "kept must be an integer"),
    (lambda: small(examples=7), TypeError, "examples must be a sequence"),
    (lambda: small(examples=[[0.5] * 12]), ValueError, "12 integer levels 0..4"),
    (lambda: small(examples=[[0] * 11]), ValueError, "12 integer levels 0..4"),
    (lambda: small(examples=[[5] * 12]), ValueError, "12 integer levels 0..4"),
    (lambda: small(examples=[[[0], [1, 2]]]), ValueError, "12 integer levels 0..4"),
    (lambda: small(examples=["a" * 12]), ValueError, "12 integer levels 0..4"),
    (lambda: small(examples=[[0] * 12] * 9), ValueError, "at most 8 pictures, got 9"),
    (lambda: small(y=0), ValueError, "y must be given exactly if"),
    (lambda: told(), ValueError, "y must be given exactly if"),
    *((lambda y=y: told(y=y), ValueError, "y must be a label 0..2 or 3 finite features") for y in
      (3, -1, 1.0, True, "a", [1, 2], [1, 2, math.inf], [[1, 2, 3]], [[1], [2, 3]], {})),
]  # fmt: skip


@pytest.mark.parametrize("make, error, sentence", BAD)
def test_bad_input_is_answered_with_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 240


def test_the_models_own_weights_stay_as_they_are():
    before = {name: value.clone() for name, value in TOLD.state_dict().items()}
    told(y=2)
    assert all(torch.equal(value, TOLD.state_dict()[name]) for name, value in before.items())
