"""Widgets as learners push them: their numbers against Python's, by keyboard, mouse and finger, in every place."""

import base64
import contextlib
import json
import math
import re
import types
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from dgmlite import evaluation
from dgmlite import information as info
from dgmlite.models.autoregressive import MADE, CausalConv, PixelCNN
from dgmlite.models.gan import OBJECTIVES
from dgmlite.networks import seeded
from dgmlite.widgets import (
    Completion,
    Duel,
    JointTable,
    RangeCoder,
    ReceptiveField,
    Scores,
    SurpriseEntropy,
    TwoDensities,
)

playwright = pytest.importorskip("playwright.sync_api")
ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "book/_static/vendor/.axe.min.js"
MODEL = """
const state = STATE, listeners = {}, model = {
  get: (name) => state[name],
  set(name, value) {
    const changed = JSON.stringify(value) !== JSON.stringify(state[name]);
    state[name] = value;
    if (changed) for (const action of listeners[`change:${name}`] ?? []) action();
  },
  save_changes() { window.saved = { ...state }; },
  on: (event, action) => (listeners[event] ??= []).push(action),
  off: (event, action) => { listeners[event] = listeners[event].filter((other) => other !== action); },
};
const module = await import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })));
window.listeners = listeners;
window.remove = module.default.render({ model, el: document.querySelector("main") });
"""
LETTERS = "abcdefghijklmnopqrstuvwxyz "
BIGRAM = np.random.default_rng(0).dirichlet(np.ones(27), 27).clip(1e-9)
BIGRAM = (BIGRAM / BIGRAM.sum(1, keepdims=True)).tolist()


def conv(condition=0):
    """A causal convolution whose weights are far from zero and exact in 16 bits."""
    model = CausalConv((1, 5, 4), levels=6, channels=7, kernel=2, dilations=(1, 2, 4, 8), condition=condition)
    with torch.no_grad(), seeded(1):
        for parameter in model.parameters():
            parameter.copy_((parameter + 0.5 * torch.randn_like(parameter)).half())
    return model.double().eval()


def influence(model):
    """|∂ prediction of pixel i / ∂ pixel j|, (D, D), pixels in raster order."""
    with seeded(0):
        x, mix = torch.rand(4, len(model.order), model.levels).requires_grad_(), torch.randn(model.levels)
    predictions = model.network(x) @ mix  # (4, D), in the order of generation
    rows = [torch.autograd.grad(p, x, retain_graph=True)[0].abs().sum((0, 2)) for p in predictions.sum(0)]
    rank = model.order.argsort()
    return torch.stack(rows)[rank][:, rank].numpy()


CONV, TOLD = conv(), conv(condition=3)
PIXELS = np.random.default_rng(0).integers(6, size=(2, 20))
LEAK = influence(PixelCNN((1, 6, 6), 3, channels=6, depth=4)) + np.eye(36) + 0.1 * np.eye(36, k=2)
FIELDS = {
    "MADE": influence(MADE((1, 6, 6), 3)),
    "PixelCNN": influence(PixelCNN((1, 6, 6), 3, channels=6, depth=4)),
    "leak": LEAK,
}
SPIRAL = [
    0,
    1,
    2,
    3,
    4,
    5,
    11,
    17,
    23,
    29,
    35,
    *(i for i in range(36) if i not in (0, 1, 2, 3, 4, 5, 11, 17, 23, 29, 35)),
]
ALL = [
    SurpriseEntropy(),
    SurpriseEntropy([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01]),
    JointTable([[0.36, 0.04], [0.2, 0.1], [0.06, 0.24]], ["clear", "cloudy", "dark"], ["dry", "rain"]),
    JointTable(np.full((4, 4), 1 / 16)),
    RangeCoder("to be or not", LETTERS, BIGRAM[0]),
    RangeCoder("to be or not", LETTERS, BIGRAM),
    TwoDensities(),
    TwoDensities([(1, -1, 0.7)], (1, 1.4)),
    Completion(CONV.state_dict(), (5, 4), 6, (1, 2, 4, 8), examples=PIXELS),
    Completion(TOLD.state_dict(), (5, 4), 6, (1, 2, 4, 8), y=2, kept=7),
    ReceptiveField(FIELDS, (6, 6), sample=np.arange(36)),
    ReceptiveField(FIELDS, (6, 6), order=SPIRAL),
    Duel(strength=0.5),
    Duel([(0.3, -1, 0.4), (0.7, 2, 0.8)], (5, 0.6), strength=0.9),
    Scores(k=2, dropped=2, noise=0.1),
    Scores([(-1, 0), (1, 0.5), (0, -2), (2, -2)], n=41, std=0.3, k=5, seed=1, memorised=0.4, shrink=0.5),
]
NAMES = [f"{repr(w).split('(')[0]}-{i}" for i, w in enumerate(ALL)]


def document(widget, dark=False) -> str:
    """Return a bare page, without Jupyter, that holds the widget."""
    state = {k: v for k, v in widget.get_state().items() if k[0] != "_" and k not in ("layout", "tabbable", "tooltip")}
    script = MODEL.replace("STATE", json.dumps(state)).replace("SOURCE", json.dumps(widget._esm).replace("</", "<\\/"))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A widget</title>
<meta name="viewport" content="width=device-width">
<style>:root {{ color-scheme: {"dark" if dark else "light"} }} {widget._css}</style></head>
<body><main></main><script type="module">{script}</script></body></html>"""


def show(page, widget, dark=False):
    page.set_content(document(widget, dark))
    page.wait_for_selector(".dgm[data-values]")
    return page.locator(".dgm")


def values(root) -> dict:
    return json.loads(root.get_attribute("data-values"))


def name(widget) -> str:
    return repr(widget).split("(")[0]  # its class is one that traitlets derived


def floats(array):
    return np.array(array, dtype=float)  # "Infinity" too


def check_entropy(v):
    p = v["probabilities"]
    assert np.allclose(floats(v["surprise"]), [-math.log(q) if q else math.inf for q in p], rtol=1e-12, atol=1e-12)
    words = {i: word for i, word in enumerate(v["words"]) if word}
    assert words == info.huffman(p).words
    for mine, reference in (
        (v["entropy"], info.entropy(p)),
        (v["entropy"], stats.entropy(p)),
        (v["entropy_bits"], info.entropy(p, base=2)),
        (v["bound"], math.log(len(p))),
        (v["mean_length"], sum(p[i] * len(word) for i, word in words.items())),
    ):
        assert math.isclose(mine, reference, abs_tol=1e-9)


def check_joint(v):
    p = np.array(v["joint"])
    for mine, reference in (
        (v["H_x"], info.entropy(p.sum(1))),
        (v["H_y"], info.entropy(p.sum(0))),
        (v["H_xy"], info.joint_entropy(p)),
        (v["H_xy"], stats.entropy(p.ravel())),
        (v["H_y_given_x"], info.conditional_entropy(p)),
        (v["H_x_given_y"], info.conditional_entropy(p.T)),
        (v["I"], info.mutual_information(p)),
    ):
        assert math.isclose(mine, reference, abs_tol=1e-9)


def check_coder(v, probabilities):
    table, encoder, ideal = np.array(probabilities), info.RangeEncoder(), 0.0
    symbols = [LETTERS.index(letter) for letter in v["text"][: v["position"]]]
    for j, symbol in enumerate(symbols):
        first = np.full(27, 1 / 27) if j == 0 else table[symbols[j - 1]] if table.ndim == 2 else table
        p = table if table.ndim == 1 else first
        encoder.encode(symbol, p)
        ideal -= math.log2(p[symbol])
    assert bytes(v["bytes"]) == encoder.finish()
    assert math.isclose(v["ideal_bits"], ideal, abs_tol=1e-9)
    code = "".join(f"{byte:08b}" for byte in v["bytes"][:-4]).ljust(len(v["settled"]), "0")
    assert code.startswith(v["settled"]) and len(v["settled"]) <= ideal + 1e-6


def check_densities(v):
    def log_density(parts):
        w, m, s = np.array(parts).T
        return lambda x: float(np.logaddexp.reduce(np.log(w) + stats.norm.logpdf(x, m, s)))

    def kl(a, b):
        options = {"points": [-4, -2, 0, 2, 4], "limit": 800, "epsabs": 1e-12, "epsrel": 1e-12}
        return integrate.quad(lambda x: math.exp(a(x)) * (a(x) - b(x)), -36, 36, **options)[0]

    log_p, log_q = log_density(v["p"]), log_density([[1, *v["q"]]])
    log_m = lambda x: np.logaddexp(log_p(x), log_q(x)) - math.log(2)  # noqa: E731
    assert math.isclose(v["kl_pq"], kl(log_p, log_q), abs_tol=1e-9)
    assert math.isclose(v["kl_qp"], kl(log_q, log_p), abs_tol=1e-9)
    assert math.isclose(v["js"], (kl(log_p, log_m) + kl(log_q, log_m)) / 2, abs_tol=1e-9)
    assert v["closed"] == (len(v["p"]) == 1)


def uniform(seed, t):
    """mulberry32, as in completion.js."""
    a = (seed * 0x9E3779B1 + (t + 1) * 0x6D2B79F5) % 2**32
    a = (a ^ a >> 15) * (a | 1) % 2**32
    a ^= (a + (a ^ a >> 7) * (a | 61)) % 2**32
    return (a ^ a >> 14) / 2**32


def unfolded(widget) -> CausalConv:
    """The model whose weights the widget carries; a condition has become a part of the positions."""
    D, C = math.prod(widget.shape), widget.channels
    model = CausalConv((1, *widget.shape), widget.levels, C, widget.kernel, widget.dilations).double().eval()
    network = model.network
    parts = [network.embed.weight, network.embed.bias, network.position]
    for block in network.blocks:
        parts += [*block.norm.parameters(), *block.conv.parameters(), *block.out.parameters()]
    parts += [*network.head.parameters(), model.bias]
    numbers = torch.frombuffer(bytearray(base64.b64decode(widget.weights)), dtype=torch.float16)
    assert len(numbers) == sum(part.numel() for part in parts) and D == len(model.bias)
    with torch.no_grad():
        for part, piece in zip(parts, numbers.split([part.numel() for part in parts])):
            part.copy_(piece.view_as(part))
    return model


@torch.no_grad()
def check_completion(v, widget):
    model, D = unfolded(widget), math.prod(widget.shape)
    x = torch.tensor(v["image"]).view(1, 1, *widget.shape)
    log_p = model.logits(x).log_softmax(-1)[0].numpy()
    known = v["filled"]
    assert len(v["log_p"]) == min(known + 1, D)
    np.testing.assert_allclose(v["log_p"], log_p[: known + 1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(v["cost"], model.surprise(x).flatten()[:known], rtol=0, atol=1e-9)
    # Each completion takes the level in whose part of [0, 1) the uniform number falls.
    made = torch.tensor(v["completions"])
    assert (made[:, : v["kept"]] == x.flatten()[: v["kept"]]).all()
    below = model.conditionals(made.view(6, 1, *widget.shape)).cumsum(-1).numpy()
    for k in range(6):
        for t in range(v["kept"], D):
            level, u = made[k, t], uniform(v["seed"] + k, t)
            assert (below[k, t, level - 1] if level else 0) - 1e-9 <= u <= below[k, t, level] + 1e-9
    assert v["image"][v["kept"] : known] in [c[v["kept"] : known] for c in v["completions"]]


def check_field(v, widget):
    shades, order = np.array(widget.shades[v["network"]]), widget.orders[v["network"]]
    i, past = order[v["step"]], order[: v["step"]]
    assert v["pixel"] == i
    assert v["seen"] == sorted(j for j in past if shades[i, j] > 0)
    assert v["blind"] == sorted(j for j in past if shades[i, j] == 0)
    assert v["leaks"] == sorted(j for j in range(len(order)) if j not in past and shades[i, j] > 0)


def check_duel(v):
    """The losses are the library's, slopes and pushes their derivatives by autograd, expectations sums over noise."""
    p, (mean, std) = (torch.tensor(v[name], dtype=torch.float64) for name in "pq")
    strength, z = v["strength"], torch.linspace(-12, 12, 50_001, dtype=torch.float64)
    chance = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])

    def log_ratio(x):
        parts = torch.distributions.Normal(p[:, 1], p[:, 2]).log_prob(x[..., None]) + p[:, 0].log()
        return parts.logsumexp(-1) - torch.distributions.Normal(mean, std).log_prob(x)

    def under_p(f):
        return sum(w * (chance * f(m + s * z)).sum() for w, m, s in p)

    def seen(a):  # what a critic of this strength says of JS
        cost = OBJECTIVES["minimax"][0]
        nothing = torch.tensor(math.inf, dtype=torch.float64)  # where one part costs nothing
        real = under_p(lambda x: cost(a * log_ratio(x), -nothing))
        return math.log(2) - (real + (chance * cost(nothing, a * log_ratio(mean + std * z))).sum()).item() / 2

    assert v["js"] == pytest.approx(seen(1), abs=1e-8)
    assert v["seen"] == pytest.approx(seen(strength), abs=1e-8)
    assert v["value"] == pytest.approx(2 * v["seen"] - 2 * math.log(2), abs=1e-12)
    assert v["seen"] <= v["js"] + 1e-12 and 0 <= v["js"] <= math.log(2)
    assert v["kl_pq"] == pytest.approx(under_p(log_ratio).item(), rel=1e-8, abs=1e-8)
    assert v["kl_qp"] == pytest.approx(-(chance * log_ratio(mean + std * z)).sum().item(), rel=1e-8, abs=1e-8)
    m, x = mean.clone().requires_grad_(), torch.tensor(v["samples"], dtype=torch.float64)
    np.testing.assert_allclose(stats.norm(mean, std).cdf(x), [0.1, 0.3, 0.5, 0.7, 0.9], rtol=0, atol=1e-9)
    np.testing.assert_allclose(v["D"], torch.sigmoid(strength * log_ratio(x)), rtol=1e-9, atol=1e-12)
    slopes = []
    for n, (key, kind) in enumerate((("minimax", "minimax"), ("nonsaturating", "non-saturating"))):
        loss = OBJECTIVES[kind][1]
        (slope,) = torch.autograd.grad((chance * loss(strength * log_ratio(m + std * z))).sum(), m)
        assert v[key] == pytest.approx(slope.item(), rel=1e-6, abs=1e-9), key
        at = x.clone().requires_grad_()
        (push,) = torch.autograd.grad(-loss(strength * log_ratio(at)).sum(), at)
        np.testing.assert_allclose([pair[n] for pair in v["pushes"]], push, rtol=1e-6, atol=1e-9)
        slopes.append(v[key])
    if abs(slopes[1]) > 1e-9:
        assert v["share"] == pytest.approx(slopes[0] / slopes[1], rel=1e-9)


def check_scores(v, widget):
    """The samples again by numpy, and of them each score by dgmlite.evaluation."""
    table, centres = np.frombuffer(base64.b64decode(widget.table)).reshape(-1, 12), np.array(widget.centres)
    train, test, n, kept = table[:, :2], table[:, 3:5], len(table), len(centres) - v["dropped"]
    mode = np.where(table[:, 5] < kept, table[:, 5], np.floor(table[:, 8] * kept)).astype(int)
    samples = centres[mode] + (1 - v["shrink"]) * table[:, 6:8]
    copies = [j for j in table[:, 11].astype(int) if table[j, 2] < kept]
    for i in range(math.floor(v["memorised"] * n + 0.5)):
        samples[i] = train[copies[i % len(copies)]]
    samples += v["noise"] * table[:, 9:11]
    np.testing.assert_allclose(v["samples"], samples, rtol=0, atol=1e-12)
    samples, train, test, centres = (torch.tensor(x) for x in (np.array(v["samples"]), train, test, centres))
    found = evaluation.modes(samples, centres, 3 * widget.std)
    ratio = evaluation.nearest(samples, train)[0].mean() / evaluation.nearest(test, train)[0].mean()
    wanted = [*evaluation.precision_recall(samples, test, widget.k), evaluation.mmd(samples, test)]
    wanted += [evaluation.frechet_distance(samples, test), found.covered, found.good, ratio.item()]
    np.testing.assert_allclose(v["scores"], wanted, rtol=1e-9, atol=1e-9)
    for score, (low, high), mark in zip(v["scores"], widget.honest, v["noticed"]):
        assert mark == ("▼" if score < low - 1e-9 else "▲" if score > high + 1e-9 else "")


def check(root, widget):
    """Compare the numbers that the widget shows now with Python's; return them."""
    v = values(root)
    if name(widget) == "RangeCoder":
        check_coder(v, widget.probabilities)
    elif name(widget) in INVARIANTS:  # whose numbers have tests of their own
        assert np.isclose(*INVARIANTS[name(widget)](v), rtol=1e-6)
    elif name(widget) in ("Completion", "ReceptiveField", "Scores"):
        checks = {"Completion": check_completion, "ReceptiveField": check_field, "Scores": check_scores}
        checks[name(widget)](v, widget)
    else:
        checks = {"SurpriseEntropy": check_entropy, "JointTable": check_joint, "TwoDensities": check_densities}
        {**checks, "Duel": check_duel}[name(widget)](v)
    return v


INVARIANTS = {
    "Clouds": lambda v: (np.logaddexp(*v["log_joint"]), v["log_p"]),
    "Families": lambda v: (len(v["remaining"]) + sum(map(bool, v["lacks"])), 5),
    "Guide": lambda v: (len(v["stay"]) + sum(map(bool, v["failed"].values())), 5),
    "Bend": lambda v: (v["p_x"] * v["area_x"], v["p_z"] * v["area"]),
    "Morph": lambda v: (v["base"] + sum(v["contributions"]), v["log_p"]),
    "LatentPad": lambda v: (v["nats"] > max(v["line"][0], v["line"][-1]), v["more"]),
    "LatentPlane": lambda v: (sum(v["probabilities"]), len(v["mean"])),
    "ElboSplit": lambda v: (v["elbo"] + v["kl_posterior"], v["log_px"]),
    "Reparameterise": lambda v: (v["path"]["mean"], v["score"]["mean"]),
    "Diffusion": lambda v: (v["alpha"] ** 2 + v["sigma"] ** 2, 1),
    "Noising": lambda v: (v["alpha"] ** 2 + v["sigma"] ** 2, 1),
    "ReverseStep": lambda v: (sum(v["posterior"]), 1),
    "Game": lambda v: (sum(v["counts"]), v["good"] * v["samples"]),
}
STEPS = {  # sliders by place in the widget, and a key
    "Families": [(0, "ArrowRight"), (0, "End"), (5, "ArrowDown"), (5, "End")],
    "Guide": [(0, "ArrowRight"), (1, "ArrowUp"), (0, "End"), (2, "ArrowRight"), (5, "End"), (1, "Home")],
    "Clouds": [(0, "ArrowRight"), (1, "ArrowLeft"), (2, "ArrowLeft"), (3, "End"), (4, "Home")],
    "SurpriseEntropy": [(0, "ArrowUp"), (1, "Shift+ArrowDown"), (2, "End"), (2, "ArrowDown")],
    "JointTable": [(0, "ArrowUp"), (3, "Home"), (1, "ArrowRight"), (2, "ArrowLeft"), (1, "Shift+ArrowUp")],
    "RangeCoder": [(0, "ArrowRight"), (0, "ArrowRight"), (0, "End"), (0, "ArrowLeft")],
    "TwoDensities": [(-2, "ArrowLeft"), (-1, "ArrowUp"), (-2, "Home"), (-1, "Home")],
    "Completion": [(0, "ArrowRight"), (0, "End"), (0, "ArrowLeft"), (0, "Home"), (0, "ArrowUp")],
    "ReceptiveField": [(0, "ArrowRight"), (0, "End"), (0, "ArrowLeft"), (0, "Home")],
    "Bend": [(0, "ArrowRight"), (1, "ArrowUp")],
    "Morph": [(0, "ArrowRight"), (0, "ArrowLeft")],
    "LatentPad": [(0, "ArrowRight"), (0, "ArrowDown"), (0, "End")],
    "LatentPlane": [(0, "ArrowRight"), (0, "ArrowUp"), (0, "Home")],
    "ElboSplit": [(0, "ArrowRight"), (1, "ArrowUp"), (0, "Home"), (1, "End")],
    "Reparameterise": [(0, "ArrowRight"), (1, "ArrowUp"), (0, "Home"), (1, "End")],
    "Diffusion": [(0, "ArrowRight"), (0, "End"), (0, "ArrowLeft")],
    "Noising": [(0, "ArrowRight"), (0, "End"), (0, "ArrowLeft")],
    "ReverseStep": [(0, "ArrowRight"), (1, "ArrowLeft"), (2, "ArrowRight")],
    "Game": [(0, "ArrowRight"), (1, "ArrowLeft"), (2, "Home")],
    "Duel": [(0, "ArrowRight"), (1, "ArrowUp"), (2, "ArrowLeft"), (0, "End"), (1, "Home"), (0, "Home"), (2, "Home")],
    "Scores": [(0, "ArrowUp"), (1, "ArrowRight"), (2, "ArrowUp"), (3, "Shift+ArrowUp"), (3, "End"), (0, "End")],
}
SLIDERS = {
    "Clouds",
    "ElboSplit",
    "Reparameterise",
    "Diffusion",
    "Noising",
    "ReverseStep",
    "Game",
    "Guide",
}  # of those in INVARIANTS; the others are moved over a plane


def drive(root, widget) -> dict:
    """Push the widget by keyboard; each key changes its numbers, and all agree with Python's."""
    before = check(root, widget)
    for slider, key in STEPS[name(widget)]:
        role = "application" if name(widget) in INVARIANTS.keys() - SLIDERS else "slider"
        root.get_by_role("radio" if name(widget) == "Families" else role).nth(slider).focus()
        root.page.keyboard.press(key)
        after = check(root, widget)
        assert after != before, f"{key} on slider {slider} changed nothing"
        before = after
    return before


@pytest.mark.parametrize("widget", ALL, ids=NAMES)
def test_numbers_equal_python_after_each_key(page, widget):
    root = show(page, widget)
    last = drive(root, widget)
    buttons = root.get_by_role("group", name="examples").get_by_role("button")
    for i in range(buttons.count()):
        buttons.nth(i).focus()
        page.keyboard.press("Enter")
        check(root, widget)
    root.get_by_role("button", name="reset").click()
    reset = check(root, widget)
    assert reset != last
    for trait in {"probabilities", "joint", "p", "q", "text"} & set(reset):
        assert reset[trait] == getattr(widget, trait)


def test_a_bar_follows_the_mouse(page):
    root = show(page, SurpriseEntropy())
    grip = root.locator(".dgm-knob").first.bounding_box()
    axis = root.locator(".dgm-axis").first.bounding_box()["y"]  # the line that the bars stand on
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, axis - 1.6 * (axis - y), steps=5)
    page.mouse.up()
    page.mouse.move(x, axis - 20)  # released: nothing more
    v = values(root)
    assert v["probabilities"][0] == pytest.approx(0.8, abs=0.011)
    assert v["probabilities"][1:] == pytest.approx([0.1, 0.06, 0.04], abs=0.006)  # their old proportions
    check_entropy(v)
    assert page.evaluate("saved.probabilities") == v["probabilities"]


@pytest.mark.parametrize("widget", ALL, ids=NAMES)
def test_every_handle_can_be_dragged(page, widget):
    root = show(page, widget)
    for i in range(root.get_by_role("slider").count()):
        before = values(root)
        box = root.get_by_role("slider").nth(i).locator(".dgm-touch").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 45, y - 30, steps=3)
        page.mouse.up()
        assert check(root, widget) != before


def test_a_finger_sets_a_bar(browser):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    try:
        root = show(context.new_page(), SurpriseEntropy())
        box = root.locator(".dgm-area").nth(2).bounding_box()
        root.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        assert check(root, SurpriseEntropy())["probabilities"][2] > 0.5
    finally:
        context.close()


def test_the_coder_takes_what_is_typed(page):
    widget = ALL[4]
    root = show(page, widget)
    field = root.get_by_role("textbox")
    field.fill("Hello, World")
    assert check(root, widget)["text"] == "hello world" and values(root)["position"] == 11
    for message in ("e" * 12, "z" * 40, "", "q"):
        field.fill(message)
        v = check(root, widget)
        assert v["text"] == message[:32] == field.input_value() and v["position"] == len(v["text"])
    field.fill("abc")
    root.get_by_role("button", name="play").click()
    page.wait_for_function("JSON.parse(document.querySelector('.dgm').dataset.values).position === 3")
    root.get_by_role("button", name="back").click()
    assert check(root, widget)["position"] == 2


@torch.no_grad()
def test_the_widget_carries_the_model():
    x, two = torch.as_tensor(PIXELS).view(2, 1, 5, 4), torch.full((2,), 2)
    torch.testing.assert_close(unfolded(ALL[8]).logits(x), CONV.logits(x))
    torch.testing.assert_close(unfolded(ALL[9]).logits(x), TOLD.logits(x, two), rtol=0, atol=0.02)  # a sum, rounded


def test_shades_are_zero_where_influence_is():
    assert all(((np.array(shades) > 0) == (f > 0)).all() for shades, f in zip(ALL[10].shades, FIELDS.values()))


def test_a_drawing_by_keyboard(page):
    widget = ALL[8]
    root = show(page, widget)
    drawing = root.get_by_role("application")
    drawing.focus()
    for key in ("Home", "Space", "ArrowRight", "+", "+", "ArrowDown", "-"):
        page.keyboard.press(key)
        check(root, widget)
    v = values(root)
    assert v["image"][:2] == [5, min(PIXELS[0, 1] + 2, 5)] and v["cursor"] == 5 and v["kept"] == 10
    page.keyboard.press("n")
    v = check(root, widget)
    assert v["filled"] == 11 and v["image"][10] == v["completions"][0][10]
    page.keyboard.press("n")
    assert check(root, widget)["filled"] == 12
    root.get_by_role("button", name="take completion 4").focus()
    page.keyboard.press("Enter")
    v = check(root, widget)
    assert v["image"] == v["completions"][3] and v["filled"] == 20
    root.get_by_role("button", name="empty").click()
    assert check(root, widget)["kept"] == 0
    root.get_by_role("button", name="example 2").click()
    assert check(root, widget)["image"][:10] == PIXELS[1, :10].tolist()


def test_the_model_finishes_and_begins_anew(page):
    widget = ALL[8]
    root = show(page, widget)
    root.get_by_role("button", name="finish").click()
    page.wait_for_function("JSON.parse(document.querySelector('.dgm').dataset.values).filled === 20")
    first = check(root, widget)
    assert first["image"] == first["completions"][0]
    root.get_by_role("button", name="others").click()
    v = check(root, widget)
    assert v["filled"] == 10 and v["completions"] != first["completions"]


def test_painting_with_the_mouse(page):
    widget = ALL[8]
    root = show(page, widget)
    box = root.locator(".dgm-sheet .dgm-area").bounding_box()
    side = box["width"] / 4
    page.mouse.move(box["x"] + side / 2, box["y"] + side / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 2.5 * side, box["y"] + side / 2, steps=6)
    page.mouse.up()
    assert check(root, widget)["image"][:3] == [5, 5, 5]
    page.mouse.move(box["x"] + side / 2, box["y"] + 1.5 * side)
    assert values(root)["cursor"] == 4  # pointing shows, without painting
    assert values(root)["image"][4] == PIXELS[0, 4]


def test_the_order_plays_to_its_end(page):
    widget = ALL[10]
    root = show(page, widget)
    root.get_by_role("button", name="leak").click()
    assert values(root)["leaks"] == [18, 20] and "A leak" in root.locator(".dgm-sentence").inner_text()
    root.get_by_role("button", name="play").click()
    page.wait_for_function("JSON.parse(document.querySelector('.dgm').dataset.values).step === 35")
    check(root, widget)
    box = root.locator(".dgm-point").bounding_box()
    page.mouse.move(box["x"] + 2.5 * box["width"] / 6, box["y"] + 1.5 * box["height"] / 6)
    assert check(root, widget)["pixel"] == 8


@pytest.mark.parametrize("widget", ALL[::2], ids=NAMES[::2])
def test_text_alternative_tells_what_is_seen(page, widget):
    root = show(page, widget)
    spoken, slider = root.get_by_role("status"), root.get_by_role("slider").last
    page.wait_for_function("document.querySelector('[role=status]').textContent.length > 40")
    said, told = spoken.text_content(), slider.get_attribute("aria-valuetext")
    slider.focus()
    page.keyboard.press("PageUp")
    assert slider.get_attribute("aria-valuetext") != told
    page.wait_for_function("old => document.querySelector('[role=status]').textContent !== old", arg=said)
    assert spoken.text_content() == root.locator(".dgm-sentence").text_content()
    for attribute in ("aria-label", "aria-valuenow", "aria-valuemin", "aria-valuemax"):
        assert slider.get_attribute(attribute)


def test_a_finger_drags(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1200}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, TwoDensities())
        before, box = values(root)["q"], root.locator(".dgm-grip").last.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = context.new_cdp_session(page)
        for kind, step in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchMove", 60)):
            point = {"x": x + step, "y": y}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)  # moves are told once for each frame
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        moved = root.locator(".dgm-grip").last.bounding_box()["x"] - box["x"]
        assert moved > 50 and values(root)["q"] != before, "the browser took the finger away after the first move"
    finally:
        context.close()


def test_bits_are_nats_over_log_2(page):
    root = show(page, SurpriseEntropy([0.5, 0.5]))
    before = values(root)
    assert "0.693" in root.locator(".dgm-figures").inner_text()
    root.get_by_role("button", name="bits").click()
    assert root.locator(".dgm-figures b").first.inner_text() == "1.000" and values(root) == before


def test_keys_used_here_do_nothing_elsewhere(page):
    root = show(page, ALL[0])
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    root.get_by_role("slider").first.focus()
    keys = ("ArrowUp", "PageDown", "Home", "End", "d", "Escape")
    for key in keys:
        page.keyboard.press(key)
    assert page.evaluate("seen.splice(0)") == ["Escape"]
    page.evaluate("document.body.classList.add('reveal')")
    for key in keys:
        page.keyboard.press(key)
    assert page.evaluate("seen.splice(0)") == ["PageDown", "d", "Escape"]  # a remote control sends PageDown
    root.get_by_role("button", name="uniform").focus()
    page.keyboard.press("Space")
    assert page.evaluate("seen") == [] and values(root)["probabilities"] == [0.25] * 4


def test_nothing_is_left_when_removed(page):
    show(page, ALL[4])
    page.get_by_role("button", name="play").click()
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


@pytest.mark.parametrize("width, dark", [(390, False), (1000, True)], ids=["phone light", "wide dark"])
@pytest.mark.parametrize("widget", ALL, ids=NAMES)
def test_fits_and_is_accessible(page, widget, width, dark):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    root.get_by_role("slider").last.focus()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = """all => all.map((t) => [t.textContent, t.getBoundingClientRect()])
        .filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text)"""
    assert root.locator("text").evaluate_all(outside) == []
    assert (
        root.locator("text").evaluate_all("all => Math.min(...all.map((t) => t.getBoundingClientRect().height))") > 12
    )
    if AXE.is_file():
        page.add_script_tag(path=AXE)
        found = page.evaluate("async () => (await axe.run('main')).violations")
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []


def test_the_duel_is_that_of_jensen_and_shannon(page):
    """At the best critic the slopes are those of 2 JS and of KL(q ‖ p) − 2 JS; what the task asks, and its ends."""
    mean, width, strength = (show(page, Duel(q=(5, 1))).get_by_role("slider").nth(i) for i in range(3))
    root, walk = page.locator(".dgm"), {}

    def press(slider, *keys):
        slider.focus()
        for key in keys:
            page.keyboard.press(key)
        return check(root, Duel())

    press(mean, *["ArrowLeft"] * 2)
    for _ in range(3):
        v = press(mean, "ArrowRight")
        walk[v["q"][0]] = v
    for m, share in ((4.9, 0.0110), (5.0, 0.0096)):
        assert walk[m]["share"] == pytest.approx(share, abs=1e-4)
    assert math.log(2) - walk[5.0]["js"] == pytest.approx(0.0172, abs=1e-4)
    two = [2 * walk[m]["js"] for m in (4.9, 5.1)], [walk[m]["kl_qp"] - 2 * walk[m]["js"] for m in (4.9, 5.1)]
    for key, (below, above) in zip(("minimax", "nonsaturating"), two):
        assert walk[5.0][key] == pytest.approx((above - below) / 0.2, rel=5e-3)
    press(mean, "ArrowLeft")
    steep = {}
    for _ in range(20):
        v = press(strength, "ArrowLeft") if steep else press(strength, *["PageDown"] * 8)
        steep[v["strength"]] = v["minimax"]
    assert max(steep, key=steep.get) == 0.12 and steep[0.12] > 2.5 * walk[5.0]["minimax"]
    heights = [root.locator(f"circle.dgm-{kind}").last.get_attribute("cy") for kind in ("mark", "dot")]
    of_js, of_seen, most = map(float, (*heights, root.locator("line.dgm-guide").last.get_attribute("y1")))
    wanted = (v["js"] - v["seen"]) / (math.log(2) - v["seen"])
    assert (of_seen - of_js) / (of_seen - most) == pytest.approx(wanted, abs=1e-6)
    press(strength, "End")
    v = press(mean, "End")
    assert v["q"][0] == 8 and 0 < math.log(2) - v["js"] < 2e-4 and v["minimax"] < 1e-3 < 7.9 < v["nonsaturating"]
    dot, curve = root.locator("circle.dgm-mark").last, root.locator("path.dgm-edge.dgm-blue").last
    y = float(curve.get_attribute("d").split()[-1])
    assert float(dot.get_attribute("cy")) == pytest.approx(y, abs=0.1)
    for key in ("Home", "End"):  # both widths, with the narrow parts of the picture's curve
        press(width, key)
        places = [pair.split() for pair in curve.get_attribute("d")[1:].split("L")]
        assert float(dot.get_attribute("cy")) == pytest.approx(float(places[-1][1]), abs=0.1)
    press(width, "Home")
    root.get_by_role("button", name="q near").click()
    root.get_by_role("slider").first.focus()
    page.keyboard.press("PageDown")
    v = check(root, Duel())
    assert v["q"] == [0, 1] and v["js"] < 1e-12 and "q equals p" in root.locator(".dgm-sentence").inner_text()
    assert press(strength, "Home")["minimax"] == 0


def test_what_each_score_notices(page):
    widget, seen = Scores(), {}
    root = show(page, widget)
    for label in ("honest", "memorised", "modes dropped", "noise", "variety lost"):
        root.get_by_role("button", name=label, exact=True).click()
        seen[label] = "".join(mark or "·" for mark in check(root, widget)["noticed"])
        if label == "memorised":  # copies of real points are real
            assert values(root)["scores"][:6] == pytest.approx(widget.real[:6], abs=1e-9)
    assert seen == {
        "honest": "·······",  # precision, recall, MMD², Fréchet, modes, near a mode, distance to train
        "memorised": "······▼",
        "modes dropped": "·▼▲▲▼··",
        "noise": "▼····▼▲",
        "variety lost": "▲▼····▼",
    }
    root.get_by_role("button", name="reset").click()
    root.get_by_role("slider").first.focus()
    for share in range(1, 21):  # however many are memorised, no other score tells
        page.keyboard.press("ArrowRight")
        v = values(root)
        assert v["memorised"] == share / 20 and not any(v["noticed"][:6]) and (v["noticed"][6] == "▼") == (share >= 5)
    for balls, count in (("balls around samples", 1), ("no balls", 0), ("around real", 1)):
        root.get_by_role("button", name=balls).click()
        assert root.locator(".dgm-balls").count() == count


@pytest.mark.parametrize("widget", ALL[12::2], ids=NAMES[12::2])
def test_a_finger_drags_new_handles(browser, widget):
    context = browser.new_context(viewport={"width": 390, "height": 1500}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, widget)
        before, box = values(root), root.locator(".dgm-grip").first.bounding_box()
        touch, y = context.new_cdp_session(page), box["y"] + box["height"] / 2
        for kind, step in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchMove", 60)):
            point = {"x": box["x"] + box["width"] / 2 + step, "y": y}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert root.locator(".dgm-grip").first.bounding_box()["x"] - box["x"] > 50
        assert check(root, widget) != before
    finally:
        context.close()


# In the three places where people meet them.

CHAPTERS = {
    "1_why/1_information": ["SurpriseEntropy", "JointTable", "RangeCoder", "TwoDensities"],
    "1_why/2_why_generative": ["Clouds", "Families"],
    "2_autoregressive/1_autoregressive": ["ReceptiveField", "Completion"],
    "3_flows/1_change_of_variables": ["Bend"],
    "3_flows/2_realnvp": ["Morph", "LatentPad"],
    "4_latent/2_vae": ["LatentPlane", "ElboSplit", "Reparameterise"],
    "5_diffusion/1_ddpm": ["Diffusion", "Noising", "ReverseStep"],
    "6_implicit/1_gan": ["Game", "Duel", "Scores"],
}


def titled(page, widget):
    title = {
        "SurpriseEntropy": "Surprise and entropy",
        "JointTable": "Joint table and its entropies",
        "RangeCoder": "Range coder, letter by letter",
        "TwoDensities": "Two densities and both KL divergences",
        "Clouds": "Two clouds and strangers",
        "Families": "Five families of generative models",
        "Completion": "Draw half, the model finishes",
        "ReceptiveField": "Which pixels a prediction sees",
        "Bend": "A plane to bend",
        "Morph": "A flow from data to noise",
        "LatentPad": "A walk through the latent space",
        "LatentPlane": "A walk over the plane of codes",
        "ElboSplit": "Both splits of the evidence lower bound",
        "Reparameterise": "The gradient through the sample",
        "Diffusion": "Diffusion, there and back",
        "Noising": "A picture drowns in noise",
        "ReverseStep": "One step back from noise",
        "Game": "The game of generator and critic",
        "Duel": "The critic’s duel on a line",
        "Scores": "What scores of samples see",
    }[name(widget)]
    return page.locator(f'.dgm[aria-label="{title}"]').first


class Stored(types.SimpleNamespace):
    """A widget by the state that a notebook stores of it."""

    def __repr__(self):
        return self.class_name + "()"


def stored(chapter):
    """The chapter's widgets."""
    notebook = json.loads((ROOT / f"notebooks/{chapter}.ipynb").read_text(encoding="utf8"))
    kept = notebook["metadata"].get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
    states = {m["state"].get("_anywidget_id", "").split(".")[-1]: m["state"] for m in kept.get("state", {}).values()}
    assert set(CHAPTERS[chapter]) <= set(states), f"{chapter} stores no widgets: run it with `make run`"
    return [Stored(class_name=kind, **states[kind]) for kind in CHAPTERS[chapter]]


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_the_page_without_a_kernel(page, site, chapter, theme):
    page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    page.goto(f"{site}/notebooks/{chapter}.html")
    for widget in stored(chapter):
        root = titled(page, widget)
        root.wait_for(timeout=30_000)
        drive(root, widget)
        colours = root.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        ink, paper = (float(c.split("(")[1].split(",")[0]) for c in colours)
        assert (ink < 90 and paper > 220) if theme == "light" else (ink > 170 and paper < 60)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_in_the_slides(page, site, chapter):
    page.goto(f"{site}/slides/{chapter}.html")
    for widget in stored(chapter):
        root = titled(page, widget)
        root.wait_for(state="attached", timeout=30_000)
        place = root.evaluate("""e => {
            const inner = e.closest("section"), outer = inner.parentElement.closest("section") ?? inner;
            const number = (s) => [...s.parentElement.children].filter((c) => c.tagName === "SECTION").indexOf(s);
            return `#/${number(outer)}${inner === outer ? "" : "/" + number(inner)}`; }""")
        page.evaluate("place => { location.hash = place; }", place)
        for _ in range(20):
            if root.is_visible():
                break
            page.keyboard.press("Space")  # the next fragment
            page.wait_for_timeout(100)
        drive(root, widget)
        assert root.evaluate("e => e.closest('section').matches('.present')")  # the arrows turned no slide
        page.evaluate("document.activeElement.blur()")


@pytest.mark.slow
def test_in_jupyterlab_with_a_kernel(page, lab):
    widgets = [ALL[0], ALL[2], RangeCoder("to be or not"), ALL[6]]
    sources = [
        "from dgmlite.widgets import *\nimport json",
        *(f"w{i} = {w!r}\nw{i}" for i, w in enumerate(widgets)),
        "print('told', json.dumps([w0.probabilities, w1.joint, w2.position, w3.q]))",
    ]
    sources[3] = sources[3].replace(", position=0", "")  # which is for the learner to set
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for i, s in enumerate(sources)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    body = json.dumps({"type": "notebook", "format": "json", "content": notebook}).encode()
    url = lab.replace("/lab?", "/api/contents/widgets.ipynb?")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="PUT")
    urllib.request.urlopen(request, timeout=20)

    page.goto(lab.replace("/lab?", "/lab/tree/widgets.ipynb?"))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    for _ in range(30):  # until the kernel answers: keys pressed before are lost
        with contextlib.suppress(playwright.TimeoutError):  # JupyterLab still moves its cells about
            page.locator(".jp-Notebook .jp-InputArea-editor:visible").first.click(timeout=2000)
            page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1000)
        if re.search(r"\d", page.locator(".jp-InputPrompt").first.inner_text()):
            break
    for _ in widgets:
        page.keyboard.press("Shift+Enter")
    seen = []
    for widget in widgets:
        root = titled(page, widget)
        root.wait_for(timeout=90_000)
        root.scroll_into_view_if_needed()
        seen.append(drive(root, widget))
    page.keyboard.press("d")  # on the last slider; dd is JupyterLab's key for deleting the cell
    page.keyboard.press("d")
    field = page.get_by_role("textbox", name="message")
    field.fill("")
    page.keyboard.type("added bad")
    assert field.input_value() == "added bad"
    assert page.get_by_text(re.compile(r"^Cell \d/\d$")).inner_text().endswith(f"/{len(cells)}")
    seen[2] = check(titled(page, widgets[2]), widgets[2])
    page.get_by_text("print('told'").click()
    page.keyboard.press("Shift+Enter")
    told = page.locator(".jp-OutputArea-output", has_text="told [").last
    told.wait_for(timeout=30_000)
    wanted = [v[trait] for v, trait in zip(seen, ("probabilities", "joint", "position", "q"))]
    assert json.loads(told.inner_text().removeprefix("told ")) == wanted  # Python knows what the learner set
