"""Diffusion as learners push it: paths, scores and steps back against torch and numpy, by mouse, finger and keys."""

import functools
import itertools
import re
from unittest import mock

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from dgmlite.models.diffusion import DDPM, Schedule
from dgmlite.networks import MLP, seeded
from dgmlite.widgets import Diffusion

from .test_completion import button, press
from .test_morph import fits, on_a_slide
from .test_widgets import document, show, uniform, values

N, EDGE, KINDS, ETAS = 200, 3.3, ["log-snr", "linear", "cosine"], [0, 0.5, 1]
WIDGET = Diffusion()
STDS, WEIGHTS = [0.2, 0.5, 0.3, 0.25], [0.1, 0.2, 0.3, 0.4]
OTHER = Diffusion(
    [[-1, -1.0], [1, -0.5], [0.3, 1.2], [-1.5, 1]],
    STDS,
    WEIGHTS,
    steps=(2, 3, 7, None),
    schedule=Schedule(30, "cosine"),
)


def trained(T=40) -> DDPM:
    with torch.no_grad(), seeded(1):
        model = DDPM((1, 3, 5), 4, MLP(15, 60, (8,), 32), Schedule(T, "log-snr", (5, -4)))
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model


IMAGES = np.random.default_rng(0).integers(4, size=(2, 3, 5))
DIGITS = Diffusion(model=trained(), images=IMAGES)


def schedule(widget, kind) -> Schedule:
    """The schedule that is meant, not the one that is carried."""
    if widget is DIGITS:
        own = Schedule(40, "log-snr", (5, -4))
    else:
        own = Schedule(30, "cosine") if widget is OTHER else Schedule(100, "log-snr", (7, -6))
    return own if kind == own.kind else Schedule(own.T, kind)


@functools.cache
def noise(n, pairs) -> np.ndarray:
    """Standard normal numbers of the generator started at n · 0x9E3779B1, (pairs, 2)."""
    u = np.array([uniform(n, t) for t in range(2 * pairs)]).reshape(-1, 2)
    return np.sqrt(-2 * np.log(1 - u[:, :1])) * np.stack([np.cos(2 * np.pi * u[:, 1]), np.sin(2 * np.pi * u[:, 1])], 1)


def data(v, widget, t=0) -> MixtureSameFamily:
    """q(z_t), by torch."""
    A = schedule(widget, v["kind"]).alpha_bar[t]
    means, stds = torch.tensor(v["means"], dtype=torch.float64), torch.tensor(widget.stds, dtype=torch.float64)
    each = Normal(A.sqrt() * means, (A * stds**2 + 1 - A).sqrt()[:, None].expand(-1, 2))
    return MixtureSameFamily(Categorical(torch.tensor(widget.weights, dtype=torch.float64)), Independent(each, 1))


def score(q, z) -> torch.Tensor:
    z = torch.as_tensor(np.array(z)).double().requires_grad_()
    return torch.autograd.grad(q.log_prob(z).sum(), z)[0]


def x_hat(z, v, widget, t):
    """By Tweedie's formula."""
    curve = schedule(widget, v["kind"])
    if t == 0:
        return np.array(z)
    shift = curve.sigma[t] ** 2 * score(data(v, widget, t), z)
    return ((torch.as_tensor(np.array(z)) + shift) / curve.alpha[t]).numpy()


def steps_of(v, widget) -> list[int]:
    T = schedule(widget, v["kind"]).T
    if not v["back"]:
        return list(range(T + 1))
    return [0, *torch.linspace(1, T, v["steps"], dtype=torch.float64).round().int().tolist()]


def forward(v, widget) -> tuple[np.ndarray, list[int]]:
    """z_0 … z_T of each particle, one step after the other, (T + 1, N, 2), and the components."""
    beta, parts = schedule(widget, v["kind"]).beta.numpy(), []
    numbers = [1000 * v["seed"] + i + 1 for i in range(N)]
    edges = np.cumsum(widget.weights)
    parts = [int(min((edges <= uniform(n, 0)).sum(), len(edges) - 1)) for n in numbers]
    eps = np.stack([noise(n, len(beta) + 1) for n in numbers], 1)  # (T + 2, N, 2)
    path = [np.array(v["means"])[parts] + np.array(widget.stds)[parts][:, None] * eps[1]]
    for t in range(1, len(beta)):
        path.append(np.sqrt(1 - beta[t]) * path[-1] + np.sqrt(beta[t]) * eps[t + 1])
    return np.stack(path), parts


def backward(v, widget) -> np.ndarray:
    """z at each of the times, T first, (steps + 1, N, 2)."""
    curve, times = schedule(widget, v["kind"]), steps_of(v, widget)[::-1]
    eps = np.stack([noise(1000 * v["seed"] + N + 1 + i, curve.T + 1) for i in range(N)], 1)
    path = [eps[0]]
    for t, s in itertools.pairwise(times):
        x = x_hat(path[-1], v, widget, t)
        if s:
            a, b, c = curve.posterior(t, s, v["eta"])
            path.append(a * x + b * path[-1] + c * eps[t])
        else:
            std = curve.sigma[1].item() / curve.alpha[1].item()
            path.append(x + (std * eps[1] if v["eta"] else 0))
    return np.stack(path)


@functools.cache
def truth(widget, means, kind, t) -> tuple[float, float]:
    """Entropy of q(z_t) and standard deviation of −log q(z_t), summed over a fine mesh."""
    side = np.arange(-6, 6, 0.03) + 0.015
    mesh = torch.tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))
    q = data({"means": means, "kind": kind}, widget, t)
    log_q = torch.cat([q.log_prob(part) for part in mesh.split(40_000)]).numpy()
    p = np.exp(log_q) * 0.03**2
    assert abs(p.sum() - 1) < 1e-6
    mean = -p @ log_q
    return mean, np.sqrt(p @ log_q**2 - mean**2)


def check(root, widget=WIDGET) -> dict:
    """Compare all that is exposed with torch and numpy; return it."""
    v = values(root)
    curve, t, q = schedule(widget, v["kind"]), v["t"], data(v, widget, v["t"])
    assert v["times"] == steps_of(v, widget) and t in v["times"]
    z = np.array(v["z"])
    if v["back"]:
        path = backward(v, widget)
        at = v["times"][::-1].index(t)
        ends = data(v, widget)
        r = ends.mixture_distribution.logits + ends.component_distribution.log_prob(torch.tensor(path[-1])[:, None])
        parts = r.argmax(1).tolist()
        assert curve.T in v["times"] and 1 in v["times"]
    else:
        path, parts = forward(v, widget)
        at = t
    way = path[: at + 1, v["chosen"]]
    each = q.component_distribution.log_prob(torch.tensor(z)[:, None])
    r = (q.mixture_distribution.logits + each).softmax(1).numpy()
    far = (torch.tensor(z)[:, None] - q.component_distribution.mean).norm(dim=-1) / q.component_distribution.stddev[
        :, 0
    ]
    field = np.array(v["field"])
    sigma = curve.sigma[t].item()
    entropy, spread = truth(widget, tuple(map(tuple, v["means"])), v["kind"], t)
    for mine, reference in (
        (z, path[at]),
        (v["way"], way),
        (v["x_hat"], x_hat(z, v, widget, t)),
        (field[:, 2:], sigma * score(q, field[:, :2]).numpy()),
        (v["alpha"], curve.alpha[t]),
        (v["sigma"], sigma),
        (float(v["log_snr"].replace("Infinity", "inf")) if t == 0 else v["log_snr"], curve.log_snr[t]),
        (v["surprise"], -q.log_prob(torch.tensor(z)).mean()),
        (v["shares"], r.mean(0)),
        (v["guess"], r.max(1).mean()),
    ):
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose([v["entropy"], v["spread"]], [entropy, spread], rtol=0, atol=1e-5)
    assert v["components"] == parts
    assert v["stray"] == pytest.approx((far.min(1).values > 3).double().mean().item())
    figures = [text.replace("−", "-") for text in root.locator(".dgm-figures b").all_inner_texts()]
    shown = [f"{v['surprise']:.2f}", f"{v['entropy']:.2f}", f"{100 * v['stray']:.1f} %"]
    shown.append(" · ".join(str(int(100 * s + 0.5)) for s in v["shares"]))
    assert figures == ["∞" if t == 0 else f"{v['log_snr']:.1f}".replace("-0.0", "0.0"), *shown]
    return v


def start(page, widget, **traits):
    """Show the widget with other values of its traits."""
    text = document(widget).replace("window.listeners =", "window.model = model; window.listeners =")
    page.set_content(text)
    page.wait_for_selector(".dgm[data-values]")
    go(page, **traits)
    return page.locator(".dgm")


def go(page, **traits):
    page.evaluate("changes => Object.entries(changes).forEach(([name, value]) => model.set(name, value))", traits)


# Numbers.


@pytest.mark.parametrize("widget", [WIDGET, OTHER], ids=["three", "four"])
@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_added_step_by_step(page, widget, kind):
    root = start(page, widget, kind=kind)
    T = schedule(widget, kind).T
    for time in (0, 1, 7, T // 2, T):
        go(page, time=time)
        assert check(root, widget)["t"] == time
    go(page, seed=3, chosen=17)
    assert check(root, widget)["seed"] == 3


@pytest.mark.parametrize("widget", [WIDGET, OTHER], ids=["three", "four"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eta", ETAS)
def test_steps_back(page, widget, kind, eta):
    root = start(page, widget, kind=kind, eta=eta, back=True)
    for steps in widget.counts:
        go(page, steps=steps)
        times = steps_of({"back": True, "steps": steps, "kind": kind}, widget)
        for time in {times[0], times[1], times[len(times) // 2], times[-1]}:
            go(page, time=time)
            v = check(root, widget)
            assert (v["t"], v["steps"], v["eta"]) == (time, steps, eta)


@pytest.mark.parametrize("kind", KINDS)
def test_paths_have_the_moments_of_q(page, kind):
    """Given x, z_t is N(α x, σ² I), and z_s and z_t vary together by √(ᾱ_t / ᾱ_s) σ_s²."""
    root, curve = start(page, WIDGET, kind=kind), schedule(WIDGET, kind)
    found = {t: [] for t in (0, 20, 21, 70, 100)}
    for seed in range(1, 7):
        for t, z in found.items():
            go(page, seed=seed, time=t)
            z.append(values(root)["z"])
    z = {t: np.concatenate(z) for t, z in found.items()}
    rest = {t: (z[t] - curve.alpha[t].item() * z[0]) / curve.sigma[t].item() for t in z if t}
    for t, e in rest.items():
        assert stats.kstest(e.ravel(), "norm").pvalue > 1e-3, t
        assert abs(np.corrcoef(e.T)[0, 1]) < 0.1 and abs(np.corrcoef(e.ravel(), z[0].ravel())[0, 1]) < 0.08
    for s, t in ((20, 21), (20, 70), (70, 100)):
        wanted = (curve.alpha[t] / curve.alpha[s] * curve.sigma[s] / curve.sigma[t]).item()
        assert np.mean(rest[s] * rest[t]) == pytest.approx(wanted, abs=0.09)
    parts = np.bincount(
        [k for seed in range(1, 7) for k in forward({"seed": seed, "kind": kind, "means": WIDGET.means}, WIDGET)[1]]
    )
    assert stats.chisquare(parts, 1200 * np.array(WIDGET.weights)).pvalue > 1e-3


class Optimal(nn.Module):
    """The network that predicts E[x | z_t] of the mixture; t is read off its sinusoids."""

    def __init__(self, v, widget):
        super().__init__()
        self.v, self.widget = v, widget

    def forward(self, z, h):
        half, curve = h.shape[1] // 2, schedule(self.widget, self.v["kind"])
        t = round(torch.atan2(h[0, half], h[0, 0]).item() * curve.T)
        A, means, variance = (
            curve.alpha_bar[t],
            torch.tensor(self.v["means"], dtype=torch.float64),
            data(self.v, self.widget).component_distribution.variance,
        )
        gain = A.sqrt() * variance / (A * variance + 1 - A)
        q = data(self.v, self.widget, t)
        r = (q.mixture_distribution.logits + q.component_distribution.log_prob(z[:, None])).softmax(1)
        return (r[..., None] * (means + gain * (z[:, None] - A.sqrt() * means))).sum(1)


@pytest.mark.parametrize(
    "kind, eta, steps", [("log-snr", 0, 5), ("linear", 1, 10), ("cosine", 0.5, 25), ("linear", 0, 100)]
)
def test_steps_back_are_those_of_a_ddpm_with_the_best_network(page, kind, eta, steps):
    root = start(page, WIDGET, kind=kind, eta=eta, steps=steps, back=True, time=100)
    v = values(root)
    model = DDPM((2,), None, Optimal(v, WIDGET), schedule(WIDGET, kind), "x0").double()
    eps = torch.tensor(np.stack([noise(1201 + i, 101) for i in range(N)], 1))
    due = iter([eps[t] for t in sorted(v["times"], reverse=True) if t > 1] if eta else [])
    with (
        mock.patch("torch.randn_like", lambda z: next(due)),
        mock.patch("torch.normal", lambda mean, std: mean + std * eps[1]),
    ):
        path = {t: (z, x) for t, z, x in model.trajectory(eps[0], None, steps, eta)}
    assert sorted(path) == v["times"]
    for t in sorted(v["times"])[:: max(1, steps // 6)]:
        go(page, time=t)
        v = values(root)
        np.testing.assert_allclose(v["z"], path[t][0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(v["x_hat"], path[t][1], rtol=1e-9, atol=1e-9) if t else None


def test_the_task_has_its_answer(page):
    """For each seed, schedule and η: in 2 steps all end far out, in 5 many, in 25 hardly any; linear is worst in 5."""
    for widget in (WIDGET, Diffusion(schedule=Schedule(256, ends=(7, -6)))):
        root, stray = start(page, widget, back=True, time=0), {}
        for kind, eta, steps, seed in itertools.product(KINDS, (0, 1), (2, 5, 25), (1, 2)):
            go(page, kind=kind, eta=eta, steps=steps, seed=seed)
            v = values(root)
            stray[kind, eta, steps, seed] = v["stray"]
            mean = np.array(WIDGET.weights) @ np.array(v["means"])
            assert steps > 2 or np.linalg.norm(np.array(v["z"]) - mean, axis=1).mean() < 0.6
        for (kind, eta, steps, seed), share in stray.items():
            low, high = {2: (0.99, 1), 5: (0.05, 0.4), 25: (0, 0.04)}[steps]
            assert low <= share <= high, (kind, eta, steps, seed, share)
        for eta, seed in itertools.product((0, 1), (1, 2)):
            shares = [stray[kind, eta, 5, seed] for kind in KINDS]
            assert shares[1] > 1.5 * max(shares[0], shares[2])


def pictures(root, n=2, H=3, W=5) -> np.ndarray:
    """What is drawn, (2, n, H, W) of 0 … 1."""
    pages = root.locator("rect.dgm-page").evaluate_all("a => a.map((b) => [b.x.baseVal.value, b.y.baseVal.value])")
    groups = root.locator(".dgm-scene > g[shape-rendering]").evaluate_all(
        """all => all.map((g) => [...g.children].map((b) =>
            ["x", "y", "width", "fill-opacity"].map((a) => Number(b.getAttribute(a)))))"""
    )
    result = np.zeros((2 * n, H, W))
    assert len(pages) == len(groups) and len(pages) in (n, 2 * n)
    for picture, (x0, y0), boxes in zip(result, pages, groups):
        for x, y, side, ink in boxes:
            picture[round((y - y0) / side), round((x - x0) / side)] = ink
    return result.reshape(2, n, H, W)


@pytest.mark.parametrize("kind", KINDS)
def test_digits_lose_their_places_to_noise(page, kind):
    root, beta = start(page, DIGITS, kind=kind), schedule(DIGITS, kind).beta.numpy()
    u = np.pad((2 * IMAGES / 3 - 1).reshape(2, 15), ((0, 0), (0, 1))).reshape(2, 8, 2)
    eps = np.array([[noise(1401 + 128 * p + i, 42) for i in range(8)] for p in range(2)])  # (2, 8, T + 2, 2)
    for t in range(41):
        if t:
            u = np.sqrt(1 - beta[t]) * u + np.sqrt(beta[t]) * eps[:, :, t + 1]
        if t in (0, 1, 20, 40):
            go(page, time=t)
            check(root, DIGITS)
            x, z = pictures(root)
            np.testing.assert_allclose(x, IMAGES / 3, atol=5e-3)
            wanted = (u.reshape(2, 16)[:, :15].reshape(2, 3, 5) + 1) / 2
            np.testing.assert_allclose(z, wanted.clip(0, 1), atol=5e-3)


@pytest.mark.parametrize("kind, steps, eta", [("log-snr", 5, 1), ("linear", 10, 0), ("cosine", 40, 0.5)])
def test_digits_are_taken_back_by_the_model(page, kind, steps, eta):
    root, model = start(page, DIGITS, kind=kind, steps=steps, eta=eta, back=True), trained()
    curve, own = schedule(DIGITS, kind), model.schedule.log_snr
    times = [int((own[1:] - level).abs().argmin()) + 1 for level in curve.log_snr[steps_of(values(root), DIGITS)[1:]]]
    with seeded(0):
        z = torch.randn(2, 1, 3, 5)
    with seeded(1):
        path = [(t, z, x) for t, z, x in model.trajectory(z, None, sorted({*times, 1, 40}), eta)]
    path = [path[i] for i in np.unique(np.linspace(0, len(path) - 1, 12).round().astype(int))]
    for t in values(root)["times"][:: 1 if steps < 11 else 7]:
        go(page, time=t)
        v = values(root)
        close = [abs(own[s] - curve.log_snr[t]).item() for s, *_ in path[:-1]]
        frame = len(path) - 1 if t == 0 else 0 if t == 40 else int(np.argmin(close))
        assert v["digits"] == {"frame": frame, "t": path[frame][0]}
        left, right = pictures(root)
        guess = path[frame][2][:, 0].numpy() / 3
        assert not right.any() if t == 0 else np.allclose(right, guess, rtol=0, atol=5e-3)
        wanted = (path[frame][1][:, 0].numpy() + 1) / 2 if t else guess
        np.testing.assert_allclose(left, wanted.clip(0, 1), atol=5e-3)


# What is drawn.


def plot(root):
    box = root.locator(".dgm-sheet .dgm-area").first.bounding_box()
    return box["x"], box["y"], box["width"]


def spot(root, z):
    """Where a place of the plane is in the window."""
    x, y, side = plot(root)
    return x + (z[0] / EDGE + 1) * side / 2, y + (1 - z[1] / EDGE) * side / 2


def places(d, side) -> np.ndarray:
    """Of the moves of a path, in the plane."""
    pairs = np.array([[float(a), float(b)] for a, b in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", d)]).reshape(-1, 2)
    return (pairs / side * 2 - 1) * [EDGE, -EDGE]


def paths_of(root, cls):
    return root.locator(f".dgm-scene > svg path.{cls}").evaluate_all(
        "all => all.map((p) => [p.className.baseVal, p.getAttribute('d')])"
    )


@pytest.mark.parametrize("traits", [{"time": 40}, {"back": True, "steps": 5, "time": 0}])
def test_what_is_drawn_is_what_is_told(page, traits):
    root = start(page, WIDGET, **traits)
    v = check(root)
    side = float(root.locator(".dgm-scene > svg").get_attribute("width"))
    q = data(v, WIDGET, v["t"]).component_distribution
    far = ((torch.tensor(v["z"])[:, None] - q.mean).norm(dim=-1) / q.stddev[:, 0]).min(1).values.numpy() > 3
    for k, colour in enumerate(("blue", "orange", "green")):
        for cls, which in (("dgm-particles", ~far), ("dgm-stray", far)):
            drawn = [d for name, d in paths_of(root, cls) if f"dgm-{colour}" in name]
            wanted = np.array(v["z"])[which & (np.array(v["components"]) == k)]
            np.testing.assert_allclose(places("".join(drawn), side), wanted, atol=0.002)
    circles = root.locator(".dgm-scene > svg circle.dgm-ringed").evaluate_all(
        "all => all.map((c) => ['cx', 'cy', 'r'].map((a) => Number(c.getAttribute(a))))"
    )
    circles = np.array(circles) / side * 2 * EDGE
    np.testing.assert_allclose(circles[:, :2] - EDGE, q.mean.numpy() * [1, -1], atol=1e-6)
    np.testing.assert_allclose(circles[:, 2], 3 * q.stddev[:, 0], atol=1e-6)
    arrows = "".join(d for _, d in paths_of(root, "dgm-arrows"))
    guesses = "".join(d for _, d in paths_of(root, "dgm-guess"))
    if v["t"] == 0:
        assert not arrows and not guesses
        return
    ends = np.array([list(map(float, re.split("[ L]", part))) for part in arrows.split("M")[1:]])
    ends = (ends.reshape(-1, 2, 2) / side * 2 - 1) * [EDGE, -EDGE]
    field = np.array(v["field"])
    field = field[np.linalg.norm(field[:, 2:], axis=1) > 0.1]
    assert len(ends) >= len(field) > 100
    for z, e in zip(field[:, :2], field[:, 2:]):
        near = ends[np.linalg.norm(ends.mean(1) - z, axis=1).argmin()]
        length = 2 * 0.92 * EDGE * 2 / 11 * np.linalg.norm(e) / (1 + np.linalg.norm(e)) / 2
        shaft = near[1] - near[0]
        assert np.cos(np.arctan2(*shaft) - np.arctan2(*e)) > 0.95  # it points where the score does
        assert 0.4 * length < np.linalg.norm(shaft) < 1.05 * length
    some = [i for i in range(0, 200, 25) if i != v["chosen"]]
    np.testing.assert_allclose(places(guesses, side), np.array(v["z"])[some], atol=0.002)
    np.testing.assert_allclose(
        places(guesses.replace("L", "ML")[0:].replace("ML", " 0M"), side)[1::2], np.array(v["x_hat"])[some], atol=0.002
    )
    for name in ("score", "x̂, the predicted x"):
        root.get_by_role("button", name=name).click()
    assert not any(d for cls in ("dgm-arrows", "dgm-guess") for _, d in paths_of(root, cls))


# By hand.


def test_by_keyboard_alone(page):
    root = start(page, WIDGET)
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    for name, changed in (
        ("take it back", ("back", True)),
        ("cosine", ("kind", "cosine")),
        ("10 steps", ("steps", 10)),
        ("η = 0.5", ("eta", 0.5)),
        ("other noise", ("seed", 2)),
    ):
        root.get_by_role("button", name=name, exact=True).focus()
        press(page, "Enter")
        assert check(root)[changed[0]] == changed[1] == page.evaluate("saved")[changed[0]]
    times = check(root)["times"]
    assert values(root)["t"] == 100 and len(times) == 11
    slider = root.get_by_role("slider", name="time t")
    slider.focus()
    for key, t in (
        ("ArrowLeft", times[9]),
        ("ArrowDown", times[8]),
        ("Shift+ArrowLeft", times[7]),
        ("ArrowRight", times[8]),
        ("PageDown", times[7]),
        ("Home", 0),
        ("ArrowUp", 1),
        ("End", 100),
        ("ArrowRight", 100),
    ):
        press(page, key)
        assert check(root)["t"] == t == page.evaluate("saved.time"), key
        assert slider.get_attribute("aria-valuenow") == str(t)
    button(root, "add noise").click()
    slider.focus()
    for key, t in (("ArrowRight", 1), ("PageUp", 11), ("ArrowLeft", 10), ("End", 100), ("Home", 0)):
        press(page, key)
        assert check(root)["t"] == t
    plane = root.get_by_role("application", name="plane of 200 particles")
    plane.focus()
    for key, i in (("ArrowRight", 1), ("ArrowUp", 0), ("ArrowLeft", 199), ("Home", 0), ("End", 199), ("ArrowDown", 0)):
        press(page, key)
        assert check(root)["chosen"] == i
    root.get_by_role("application", name="mean 2 of the data").focus()
    for key, mean in (
        ("ArrowRight", [1.1, 1.1]),
        ("ArrowUp", [1.1, 1.2]),
        ("Shift+ArrowLeft", [1.09, 1.2]),
        ("ArrowDown", [1.09, 1.1]),
    ):
        press(page, key)
        assert check(root)["means"] == [WIDGET.means[0], mean, WIDGET.means[2]] == page.evaluate("saved.means")
    press(page, *["ArrowRight"] * 16)
    assert check(root)["means"][1] == [2.5, 1.1]
    assert set(page.evaluate("seen")) <= {"Shift"}
    button(root, "reset").focus()
    press(page, "Space")
    v = check(root)
    assert (v["means"], v["back"], v["kind"], v["steps"], v["eta"], v["t"], v["seed"], v["chosen"]) == (
        WIDGET.means,
        False,
        "log-snr",
        5,
        1,
        0,
        1,
        0,
    )


def test_steps_and_eta_are_for_the_way_back(page):
    root = start(page, WIDGET)
    for name in ("5 steps", "T = 100 steps", "η = 0"):
        node = root.get_by_role("button", name=name, exact=True)
        assert node.is_disabled()
        button(root, "take it back").click()
        assert node.is_enabled()
        button(root, "add noise").click()


def test_dragging(page):
    root = start(page, WIDGET, back=True, time=100)
    page.mouse.move(*spot(root, WIDGET.means[2]))
    page.mouse.down()
    page.mouse.move(*spot(root, (-0.5, -2)), steps=4)
    np.testing.assert_allclose(check(root)["means"][2], (-0.5, -2), atol=0.01)
    page.mouse.move(*spot(root, (9, -2)))
    page.mouse.up()
    assert check(root)["means"][2][0] == 2.5 and values(root)["means"][:2] == WIDGET.means[:2]
    page.mouse.move(*spot(root, (0, 0)))
    assert check(root)["means"][2][0] == 2.5
    v = values(root)
    i = int(np.argmax(np.array(v["z"])[:, 0] * (abs(np.array(v["z"])).max(1) < 3)))  # one at the border
    page.mouse.click(*spot(root, v["z"][i]))
    assert check(root)["chosen"] == i
    knob = root.locator(".dgm-horizontal .dgm-grip").bounding_box()
    x, y, (_, _, side) = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2, plot(root)
    page.mouse.move(x, y)
    page.mouse.down()
    for share, t in ((0.1, 100), (0.2, 75), (0.45, 50), (0.97, 1), (1.2, 0), (0.5, 50)):  # it stands on the steps only
        page.mouse.move(x - share * side * 0.95, y)
        assert check(root)["t"] == {50: v["times"][3], 75: v["times"][4]}.get(t, t)
    page.mouse.up()


def test_a_finger_drags_and_taps(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1700}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, WIDGET)
        touch = context.new_cdp_session(page)
        knob = root.locator(".dgm-horizontal .dgm-grip").bounding_box()
        starts = [spot(root, WIDGET.means[0]), (knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)]
        for x, y in starts:
            for kind, step in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchMove", 60)):
                touch.send(
                    "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x + step, "y": y + step / 2}]}
                )
                page.wait_for_timeout(60)
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        v, side = check(root), plot(root)[2]
        moved = np.array(WIDGET.means[0]) + np.array([60, -30]) / side * 2 * EDGE
        np.testing.assert_allclose(v["means"][0], moved, atol=0.03)
        assert v["t"] == pytest.approx(60 / (side - 24) * 100, abs=2)
        z = np.array(v["z"])
        i = int(np.argmin(z[:, 0]))
        page.touchscreen.tap(*spot(root, z[i]))
        assert check(root)["chosen"] == i
    finally:
        context.close()


def until(page, text):
    page.wait_for_function(f"(v => {text})(JSON.parse(document.querySelector('.dgm').dataset.values))")


def test_play_there_and_back(page):
    root = start(page, WIDGET)
    assert not values(root)["playing"]  # not by itself
    button(root, "▶ play to noise").click()
    assert values(root)["playing"] and button(root, "❚❚ pause").count() == 1
    until(page, "v.t > 3")
    button(root, "❚❚ pause").click()
    t = values(root)["t"]
    page.wait_for_timeout(300)
    assert values(root)["t"] == t == page.evaluate("saved.time")
    button(root, "▶ play to noise").click()
    until(page, "v.t === 100 && !v.playing")
    assert page.evaluate("saved.time") == 100
    button(root, "take it back").click()
    button(root, "◀ play to data").click()
    until(page, "v.t === 0 && !v.playing")
    check(root)
    button(root, "◀ play to data").click()  # once more, from noise
    assert values(root)["t"] == 100 and values(root)["playing"]
    button(root, "cosine").click()
    assert not values(root)["playing"]
    button(root, "◀ play to data").click()
    page.evaluate("remove()")
    page.wait_for_timeout(1200)
    assert page.evaluate("Object.values(listeners).flat().length") == 0 and values(root)["t"] == 100


def test_play_leaps_for_those_who_ask_for_less_motion(page):
    page.emulate_media(reduced_motion="reduce")
    root = start(page, WIDGET)
    page.clock.install(time=0)
    page.clock.pause_at(60_000)
    button(root, "▶ play to noise").click()
    for t in (13, 26, 39):
        page.clock.run_for(1000)
        assert check(root)["t"] == t


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


def test_what_is_seen_is_told(page):
    root = start(page, WIDGET)
    assert sentence(root).startswith("The data, before noise.")
    go(page, time=40)
    v = values(root)
    assert sentence(root).startswith(f"At t = 40, zₜ = {v['alpha']:.2f} x + {v['sigma']:.2f} ε: who sees only")
    assert f"in at most {100 * v['guess']:.0f} % of cases" in sentence(root)
    go(page, back=True, time=100)
    assert sentence(root).startswith("Pure noise, before the first of 5 steps")
    for steps, eta, words in (
        (2, 0, "100.0 % of particles are outside all circles"),
        (5, 0, "16.0 % of particles are outside all circles"),
        (100, 0, "the particles are about as surprising as true draws"),
    ):
        go(page, steps=steps, eta=eta, time=0)
        assert sentence(root).startswith(f"Taken back in {steps} steps with η = {eta}, {words}")
    go(page, kind="linear", steps=25, eta=1)
    assert "the particles are less surprising than true draws: too near the peaks of q" in sentence(root)
    slider, spoken = root.get_by_role("slider"), root.get_by_role("status")
    assert slider.get_attribute("aria-valuetext") == "t = 0 of 100, 25 of 25 steps taken"
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('too near')")
    assert spoken.text_content() == root.locator(".dgm-sentence").text_content()


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (900, False)])
@pytest.mark.parametrize("widget", [WIDGET, OTHER, DIGITS], ids=["three", "four", "digits"])
def test_fits_and_is_accessible(page, widget, width, dark):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    fits(page, root, width)
    button(root, "take it back").click()
    root.get_by_role("slider").press("ArrowLeft")
    root.get_by_role("application").first.focus()
    fits(page, root, width)


@pytest.mark.parametrize("widget", [WIDGET, OTHER, DIGITS], ids=["three", "four", "digits"])
def test_fits_a_slide(page, widget):
    root = on_a_slide(page, widget)
    button(root, "take it back").click()
    root.get_by_role("slider").press("Home")
    box = root.bounding_box()
    assert box["y"] + box["height"] <= 700
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    root.get_by_role("slider").press("PageUp")
    assert page.evaluate("seen") == ["PageUp"] and values(root)["t"] == 0  # for the remote control
