"""Diffusion without a browser: what it takes, what it carries, and what it refuses."""

import base64
import json
import math

import numpy as np
import pytest
import torch
from test_laws import lively

from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.networks import MLP, seeded
from dgmlite.widgets import Diffusion

MEANS = [[-1.0, 0.5], [1.2, 0.0], [0.0, -1.5]]
SHAPE, LEVELS, ETAS, KINDS = (1, 3, 5), 4, (0.0, 0.5, 1.0), ("log-snr", "linear", "cosine")
IMAGES = np.random.default_rng(0).integers(LEVELS, size=(2, 3, 5))


def trained(kind="log-snr", T=40, condition=0, **more) -> DDPM:
    """A model that no step leaves where it was."""
    options = {"hidden": (8,), "condition": condition} | more
    return lively(DDPM(SHAPE, LEVELS, None, Schedule(T, kind, (5, -4)), **options), 0.5)


MODEL = trained()


def curves(widget) -> list[np.ndarray]:
    return [np.frombuffer(base64.b64decode(one), "<f8") for one in widget.alpha_bar]


def films(widget, n=2) -> dict:
    """(kind, count, η) → t, z_t and x̂ of each frame, from what the widget carries."""
    table = np.frombuffer(base64.b64decode(widget.frames), "<u2").tolist()
    pixels = np.frombuffer(base64.b64decode(widget.pictures), "u1").reshape(-1, n, *widget.shape) / 127.5 - 1
    result = {}
    for kind in KINDS:
        for count in widget.counts:
            for eta in ETAS:
                F, *table = table
                rows, table = np.array(table[: 3 * F]).reshape(F, 3), table[3 * F :]
                result[kind, count, eta] = rows[:, 0].tolist(), pixels[rows[:, 1]], pixels[rows[:, 2]]
    assert not table
    return result


@pytest.mark.parametrize("schedule", [None, Schedule(30, ends=(5, -5)), Schedule(20, "cosine"), Schedule(7, "linear")])
def test_it_carries_three_schedules(schedule):
    widget = Diffusion(MEANS, schedule=schedule, steps=(2, 5, None))
    own = schedule or Schedule(100, ends=(7, -6))
    for kind, mine in zip(KINDS, curves(widget), strict=True):
        reference = own if kind == own.kind else Schedule(own.T, kind)
        np.testing.assert_array_equal(mine, reference.alpha_bar)
    assert (widget.kind, widget.own, widget.counts) == (own.kind, own.kind, [2, 5, own.T])
    assert widget.frames == widget.pictures == widget.images == "" and widget.shape == []


@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.ndarray.tolist])
def test_any_kind_of_array_is_taken(kind):
    widget = Diffusion(kind(np.array(MEANS)), kind(np.array([0.2, 0.3, 0.4])), kind(np.array([0.5, 0.3, 0.2])))
    assert widget.means == widget.initial == MEANS
    assert (widget.stds, widget.weights) == ([0.2, 0.3, 0.4], [0.5, 0.3, 0.2])
    assert Diffusion(MEANS).stds == [0.25] * 3 and sum(Diffusion(MEANS[:2]).weights) == 1
    widget = Diffusion(model=MODEL, images=kind(IMAGES), steps=(2,))
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(widget.images), "u1"), IMAGES.ravel())
    assert (widget.shape, widget.levels) == ([3, 5], LEVELS)
    assert Diffusion(model=MODEL, images=IMAGES[:, None], steps=(2,)).images == widget.images


@pytest.mark.parametrize("own", ["log-snr", "cosine"])
def test_trajectories_are_the_models(own):
    """Each at the t whose log-SNR is nearest, from the same z_T, with the same noise."""
    model, counts = trained(own), (2, 5, 10, 25, None)
    widget = Diffusion(model=model, images=IMAGES, steps=counts)
    found, T = films(widget), 40
    log_snr = model.schedule.log_snr.tolist()
    with seeded(0):
        start = torch.randn(2, *SHAPE)
    for kind, alpha_bar in zip(KINDS, curves(widget)):
        for count in widget.counts:
            asked = sorted({round(1 + i * (T - 1) / (count - 1)) for i in range(count)})
            wanted = {1, T}
            for t in asked:
                level = math.log(alpha_bar[t] / (1 - alpha_bar[t]))
                wanted.add(min(range(1, T + 1), key=lambda s: abs(log_snr[s] - level)))
            if kind == own:
                assert wanted == set(asked)
            for eta in ETAS:
                with seeded(1):
                    path = {t: (z, x) for t, z, x in model.trajectory(start, None, sorted(wanted), eta)}
                times, z, x_hat = found[kind, count, eta]
                assert len(times) == min(12, len(path)) and times[0] == T and times[-1] == 0
                assert len(path) > 12 or times == list(path)
                for i, t in enumerate(times):
                    guess = 2 * path[t][1].float() / (LEVELS - 1) - 1
                    for mine, reference in ((z[i], path[t][0] if t else guess), (x_hat[i], guess)):
                        reference = reference[:, 0].clamp(-1, 1).numpy()
                        np.testing.assert_allclose(mine, reference, rtol=0, atol=0.5 / 127.5 + 1e-6)


def test_the_noise_of_python_is_left_alone():
    before = torch.get_rng_state()
    Diffusion(model=MODEL, images=IMAGES, steps=(2, 5))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("y", [torch.tensor([0, 2]), [0, 2], torch.tensor([[1.0, 0, 0], [0, 0, 1]])])
def test_a_condition_is_passed_on(y):
    model = trained(condition=3)
    widget = Diffusion(model=model, images=IMAGES, y=y, steps=(2,))
    assert widget.frames == Diffusion(model=model, images=IMAGES, y=torch.tensor([0, 2]), steps=(2,)).frames
    assert widget.pictures == Diffusion(model=model, images=IMAGES, y=torch.tensor([0, 2]), steps=(2,)).pictures
    assert widget.pictures != Diffusion(model=model, images=IMAGES, y=torch.tensor([1, 2]), steps=(2,)).pictures


def test_it_starts_where_it_says():
    widget = Diffusion(steps=(3, 25, 10))
    assert (widget.counts, widget.steps, widget.eta, widget.time, widget.back) == ([3, 10, 25], 3, 1, 0, False)
    assert Diffusion().steps == 5 and len(Diffusion().means) == 3
    assert Diffusion().task.startswith("Take it back in 2, in 5 and in 25 steps")
    assert Diffusion(task="Look.").task == "Look." and Diffusion(task="").task == ""


def plain(T=64) -> DDPM:
    """A quick model of 8 × 8."""
    return DDPM((1, 8, 8), 17, MLP(64, 64 * 17, (4,), 32), Schedule(T, ends=(7, -6)))


DIGITS = np.random.default_rng(1).integers(17, size=(4, 8, 8))


def test_digits_fit_a_notebook():
    kept = Diffusion(model=plain(), images=DIGITS).get_state()
    kept.pop("layout")
    assert len(kept["pictures"]) < 250_000 and len(json.dumps(kept, allow_nan=False)) < 400_000  # code included


def digits(**more):
    return {"model": MODEL, "images": IMAGES} | more


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"means": [[0, 0]]}, r"means must have shape \(K, 2\), 2 ≤ K ≤ 4"),
        ({"means": np.zeros((5, 2))}, "2 ≤ K ≤ 4"),
        ({"means": np.zeros((2, 3))}, r"means must have shape \(K, 2\)"),
        ({"means": [[0, 0], [3, 0]]}, "from −2.5 to 2.5"),
        ({"means": [[0, 0], [math.nan, 0]]}, "means contains NaN or infinity"),
        ({"means": "ab"}, "means must hold real numbers"),
        ({"stds": [0.2, 0.2]}, "stds must be one number or 3, from 0.1 to 1"),
        ({"stds": 0.05}, "stds must be one number"),
        ({"stds": [0.2, 0.2, 1.1]}, "from 0.1 to 1"),
        ({"weights": [0.5, 0.5]}, "weights must be 3 of at least 0.01 that sum to 1"),
        ({"weights": [0.5, 0.4, 0.2]}, "that sum to 1"),
        ({"weights": [0.5, 0.5, 0]}, "at least 0.01"),
        ({"task": 3}, "task must be a string"),
        ({"schedule": 100}, "schedule must be a Schedule with T from 2 to 1000"),
        ({"schedule": Schedule(1)}, "T from 2 to 1000"),
        ({"schedule": Schedule(1001)}, "T from 2 to 1000"),
        ({"steps": 5}, "steps must be a list of numbers of steps"),
        ({"steps": "all"}, "steps must be a list"),
        ({"steps": []}, "steps must be 1 to 7 different numbers"),
        ({"steps": [1, 2]}, "each of steps must be at least 2"),
        ({"steps": [2.5]}, "each of steps must be an integer"),
        ({"steps": [2, 101]}, "at most T = 100"),
        ({"steps": [100, None]}, "different numbers"),
        ({"model": 3}, "model must be a DDPM"),
        ({"model": DDPM((2,), 3)}, r"model must be one of pictures \(1, H, W\), at most 16 × 16"),
        ({"model": DDPM((1, 17, 3), 3, hidden=(4,))}, "at most 16 × 16"),
        ({"model": DDPM((1, 3, 5), None, hidden=(4,))}, "at most 256 levels, got None"),
        ({"model": MODEL}, "images must be given with a model"),
        ({"images": IMAGES}, "images and y must come with a model"),
        (digits(schedule=Schedule(10)), "schedule must be left out with a model"),
        (digits(images=IMAGES + 1), "images must be 1 to 4 of shape .* in integer levels 0..3"),
        (digits(images=IMAGES / 4), "integer levels 0..3, got float64"),
        (digits(images=IMAGES[0]), r"images must be 1 to 4 of shape \(3, 5\)"),
        (digits(images=np.repeat(IMAGES, 3, 0)), "images must be 1 to 4"),
        (digits(y=[0, 0]), "without condition"),
        (digits(model=trained(condition=3)), "y must be 2 labels"),
        (digits(model=trained(condition=3), y=[0, 3]), r"y must hold levels 0\.\.2"),
        (digits(model=trained(condition=3), y="ab"), "y must"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(arguments, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        Diffusion(**({"means": MEANS} | arguments))


def test_too_much_is_answered_with_a_sentence():
    with pytest.raises(ValueError, match=r"few enough for a notebook, 250 kB, got .*; take fewer numbers of steps"):
        Diffusion(model=plain(), images=DIGITS, steps=(2, 5, 10, 20, 30, 40, None))
