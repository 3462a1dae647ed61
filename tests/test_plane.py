"""LatentPlane without a browser: what it takes, what it carries, and what it refuses."""

import base64
import itertools
import json

import numpy as np
import pytest
import torch

from dgmlite.models.vae import VAE, Decoder
from dgmlite.networks import seeded
from dgmlite.widgets import LatentPlane

N, H, W, L = 6, 3, 4, 5
RANDOM = np.random.default_rng(0)
MEANS, STDS = RANDOM.normal(size=(N, 2)), 0.1 + RANDOM.random((N, 2))
IMAGES, LABELS = RANDOM.integers(L, size=(N, H, W)), RANDOM.integers(10, size=N)


def lively(condition=2, hidden=(7, 4), shape=(1, H, W), levels=L, **more) -> Decoder:
    """A decoder in which no weight is zero."""
    model = Decoder(shape, levels, condition, hidden=hidden, **more)
    with torch.no_grad(), seeded(1):
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model.double().eval()


def carried(widget, k=0):
    """The function z (B, 2) → p (B, D, levels) of the weights that the widget carries, in 64 bits."""
    row = torch.frombuffer(bytearray(base64.b64decode(widget.weights[k])), dtype=torch.float16).double()
    widths, layers = widget.widths[k], []
    for before, after in itertools.pairwise(widths):
        W, b, row = row.split([before * after, after, len(row) - (before + 1) * after])
        layers.append((W.view(after, before), b))
    assert len(row) == 0
    L = widget.levels

    def p(z):
        h = torch.as_tensor(z).double()
        for n, (W, b) in enumerate(layers):
            h = h @ W.T + b
            h = torch.nn.functional.silu(h) if n < len(layers) - 1 else h
        theta = h.view(len(h), -1, L - 1)
        return (torch.cat([torch.zeros_like(theta[..., :1]), theta.cumsum(-1)], -1) / L**0.5).softmax(-1)

    return p


MODEL = lively()
STATE = MODEL.state_dict()
MODELS = {"one": (STATE, MEANS, STDS), "two": (lively(hidden=(5,)).state_dict(), 3 * MEANS, STDS)}


def plane(models=MODELS, shape=(H, W), levels=L, **more):
    return LatentPlane(models, shape, levels, **more)


@torch.no_grad()
@pytest.mark.parametrize("hidden", [(), (5,), (7, 4), (6, 5, 4)])
def test_the_widget_carries_the_decoder(hidden):
    model, z = lively(hidden=hidden), torch.as_tensor(MEANS)
    widget = plane({"one": (model.state_dict(), MEANS, STDS)})
    torch.testing.assert_close(carried(widget)(z), model.given(z).probs.flatten(1, 3), rtol=0, atol=2e-3)
    with torch.no_grad():
        for parameter in model.parameters():  # exact in 16 bits; the sum of the last two biases too
            parameter.copy_((parameter * 8).round() / 8)
    widget = plane({"one": (model.state_dict(), MEANS, STDS)})
    torch.testing.assert_close(carried(widget)(z), model.given(z).probs.flatten(1, 3), rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("y", [1, [0.3, -2, 1.5]])
def test_a_condition_becomes_part_of_the_first_bias(y):
    model, z = lively(condition=5), torch.as_tensor(MEANS)
    features = torch.tensor([0.0, 1, 0] if y == 1 else y).double().expand(N, 3)
    widget = plane({"one": (model.state_dict(), MEANS, STDS)}, y=y)
    wanted = model.given(torch.cat([z, features], 1)).probs.flatten(1, 3)
    torch.testing.assert_close(carried(widget)(z), wanted, rtol=0, atol=5e-3)


def test_dropout_changes_nothing():
    layers = [torch.nn.Linear(2, 4), torch.nn.SiLU(), torch.nn.Dropout(0.5), torch.nn.Linear(4, H * W * L)]
    dropped, plain = lively(), lively(hidden=(4,))
    dropped.network.layers = torch.nn.Sequential(*layers).double()
    plain.network.layers = torch.nn.Sequential(*layers[:2], layers[3])
    widgets = [plane({"one": (model.state_dict(), MEANS, STDS)}) for model in (dropped, plain)]
    assert widgets[0].weights == widgets[1].weights and widgets[0].widths == [[2, 4, H * W * (L - 1)]]


@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.ndarray.tolist])
def test_any_kind_of_array_is_taken(kind):
    models = {name: (state, kind(means), kind(stds)) for name, (state, means, stds) in MODELS.items()}
    widget = plane(models, (1, H, W), images=kind(IMAGES), labels=kind(LABELS))
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(widget.images), "u1"), IMAGES.ravel())
    for (_, means, stds), codes in zip(MODELS.values(), widget.codes):
        wanted = np.concatenate([means, stds], 1).astype("f4")
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(codes), "<f4").reshape(N, 4), wanted)
    assert widget.labels == "".join(map(str, LABELS)) and widget.shape == [H, W]
    assert widget.names == ["one", "two"] and widget.chosen == "one"
    np.testing.assert_allclose(widget.z, MEANS[0], atol=5e-4)  # it starts at the first image
    assert plane(images=IMAGES[:, None]).images == widget.images


def test_a_task_can_be_given():
    assert plane().task.startswith("Find a place within the second circle where no image lives")
    assert plane(task="Look.").task == "Look." and plane(task="").task == ""


def test_four_models_of_the_digits_fit_a_notebook():
    state = Decoder((1, 8, 8), 17, 2, hidden=(64, 24)).state_dict()
    codes = RANDOM.normal(size=(300, 2))
    images, labels = RANDOM.integers(17, size=(300, 8, 8)), RANDOM.integers(10, size=300)
    widget = LatentPlane({f"β = {k}": (state, codes, abs(codes)) for k in range(4)}, (8, 8), 17, images, labels)
    kept = widget.get_state()
    kept.pop("layout")
    assert len(json.dumps(kept, allow_nan=False)) < 400_000  # code included


def one(state=STATE, means=MEANS, stds=STDS):
    return {"models": {"one": (state, means, stds)}}


LOST = {key: value for key, value in STATE.items() if key != "network.layers.2.bias"}


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"models": [STATE]}, "models must be a dict, name → "),
        ({"models": {1: (STATE, MEANS, STDS)}}, "models must be a dict, name → "),
        ({"models": {}}, "models must be 1 to 5"),
        ({"models": {str(k): MODELS["one"] for k in range(6)}}, "models must be 1 to 5"),
        ({"models": {"": MODELS["one"]}}, "names of 1 to 20 letters"),
        ({"models": {"one": (STATE, MEANS)}}, r"models\['one'\] must be \(state, means, stds\)"),
        (one(MODEL), r"the state of models\['one'\] must be the state_dict\(\) of a Decoder, got Decoder"),
        (one(VAE((1, H, W), L, 2).state_dict()), r"other keys, such as .*take vae.decoder.state_dict\(\)"),
        (one(LOST), "such as network.layers.2.bias"),
        (one({"bias": STATE["bias"]}), "must be that of a Decoder whose network is an MLP"),
        (one(lively(shape=(1, 2, 2)).state_dict()), r"12 pixels and 5 levels, categorical, got .* \(4, 5\)"),
        (one(lively(likelihood="logistic").state_dict()), r"categorical, got parameters of shape \(12, 15\)"),
        (one(STATE | {"network.layers.2.bias": torch.zeros(3)}), "must be that of an MLP, got weights"),
        (one(lively(condition=1).state_dict()), "got 1 inputs and 60 outputs"),
        (
            one(lively(condition=16).state_dict()),
            "y must be given: .* 14 more numbers than z; is its latent space of two",
        ),
        (one(lively(condition=5).state_dict()) | {"y": 3}, r"y must be a label 0..2 or 3 finite features"),
        ({"y": 1}, "y must be given only if a decoder has a condition"),
        (one(STATE | {"bias": STATE["bias"] * float("inf")}), "must hold finite weights of at most 65504"),
        (one(STATE | {"bias": STATE["bias"] + 1e5}), "must hold finite weights of at most 65504"),
        (one(means=MEANS.T), r"must have shape \(N, 2\), 1 ≤ N ≤ 1000, got \(2, 6\)"),
        (one(stds=STDS[:3]), r"got \(6, 2\) and \(3, 2\)"),
        (one(means=np.zeros((1001, 2)), stds=np.ones((1001, 2))), "1 ≤ N ≤ 1000"),
        (one(means=MEANS * np.nan), r"means of models\['one'\] contains NaN or infinity"),
        (one(stds=-STDS), r"stds of models\['one'\] must be at least 1e-6, got -.*are these logarithms"),
        (one(stds=0 * STDS), "an encoder without noise"),
        ({"models": MODELS | {"two": (STATE, MEANS[:3], STDS[:3])}}, r"same images in all models, got \[6, 3\]"),
        ({"images": IMAGES[:3]}, r"images must be \(6, 3, 4\) integer levels 0..4, one image for each mean"),
        ({"images": IMAGES + 1}, "integer levels 0..4.* from 1 to 5"),
        ({"images": IMAGES / 4}, "integer levels 0..4.*got float64"),
        ({"labels": LABELS + 10}, "labels must be 6 integers 0..9"),
        ({"labels": LABELS[:2]}, "labels must be 6 integers 0..9"),
        ({"shape": (H, W, 1)}, r"shape must be \(rows, columns\) of at most 32 each"),
        ({"shape": (1, 33, W)}, "at most 32 each"),
        ({"levels": 1}, "levels must be at least 2"),
        ({"levels": 257}, "levels at most 256"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        plane(**arguments)


def test_too_much_is_answered_with_a_sentence():
    state = Decoder((1, 8, 8), 17, 2, hidden=(64, 256)).state_dict()
    with pytest.raises(ValueError, match="350 kB, got 747, of which weights 747; take a narrower last hidden layer"):
        LatentPlane({"wide": (state, MEANS, STDS)}, (8, 8))
