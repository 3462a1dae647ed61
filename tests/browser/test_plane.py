"""LatentPlane as learners push it: pictures and densities against PyTorch and SciPy, by mouse, finger and keys."""

import itertools

import numpy as np
import pytest
import torch
from scipy import special, stats

from dgmlite.models.vae import Decoder
from dgmlite.networks import seeded
from dgmlite.widgets import LatentPlane

from .test_completion import button, mulberry32, press
from .test_morph import fits, on_a_slide
from .test_widgets import document, show, values

N, D, L = 40, 64, 17
RANDOM = np.random.default_rng(0)
LABELS = np.arange(N) % 10
IMAGES = RANDOM.integers(L, size=(N, 8, 8))
TURN = LABELS * 0.63 + 0.1 * RANDOM.normal(size=N)
RING = np.stack([2 * np.cos(TURN), 1.5 * np.sin(TURN)], 1) + 0.2 * RANDOM.normal(size=(N, 2))
CODES = {  # well-behaved with a hole in the middle, collapsed, and far out with next to no noise
    "β = 1": (RING, 0.15 + 0.2 * RANDOM.random((N, 2))),
    "collapsed": (0.01 * RING, np.full((N, 2), 0.999)),
    "autoencoder": (6 * RING, np.full((N, 2), 0.01)),
}


def lively(seed, condition=2, hidden=(9, 6), shape=(1, 8, 8), levels=L) -> Decoder:
    """A decoder in which no weight is zero, and whose pictures change from place to place."""
    model = Decoder(shape, levels, condition, hidden=hidden)
    with torch.no_grad(), seeded(seed):
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model.eval()


def rounded(model: Decoder, y=()) -> Decoder:
    """The decoder that the widget should carry: of 16 bits, one last bias, no step to level 0, and no condition."""
    state = {name: value.detach().double() for name, value in model.state_dict().items()}
    numbers = sorted(int(name.split(".")[2]) for name in state if name.endswith("weight"))
    first, last = f"network.layers.{numbers[0]}.", f"network.layers.{numbers[-1]}."
    state[first + "bias"] = state[first + "bias"] + state[first + "weight"][:, 2:] @ torch.tensor(
        y, dtype=torch.float64
    )
    state[first + "weight"] = state[first + "weight"][:, :2]
    bias = state[last + "bias"] + state["bias"].flatten()
    state["bias"] = torch.zeros_like(state["bias"])
    keep = torch.arange(len(bias)) % model.levels > 0
    state[last + "bias"], state[last + "weight"] = bias * keep, state[last + "weight"] * keep[:, None]
    plain = Decoder(
        model.event_shape, model.levels, 2, hidden=[len(state[first + "bias"]), len(state[last + "weight"].T)]
    )
    plain.double().load_state_dict({name: value.half() for name, value in state.items()})
    return plain.eval()


MODELS = {name: lively(seed) for seed, name in enumerate(CODES)}
WIDGET = LatentPlane({n: (MODELS[n].state_dict(), *CODES[n]) for n in CODES}, (8, 8), L, IMAGES, LABELS)
ROUNDED = {name: rounded(model) for name, model in MODELS.items()}
TOLD = lively(5, condition=5)
CONDITION = LatentPlane({"told": (TOLD.state_dict(), *CODES["β = 1"])}, (8, 8), L, IMAGES, LABELS, y=[0.3, -2, 1.5])


def log_posteriors(z, codes) -> np.ndarray:
    """log q(z|x_n) at places z (…, 2), of shape (…, N)."""
    means, stds = (np.asarray(c, "f4").astype(float) for c in codes)  # numbers travel as float32
    return stats.norm.logpdf(np.asarray(z)[..., None, :], means, stds).sum(-1)


def log_ratio(z, codes) -> np.ndarray:
    return special.logsumexp(log_posteriors(z, codes), axis=-1) - np.log(N) - stats.norm.logpdf(z).sum(-1)


def mesh() -> np.ndarray:
    """Middles of cells of side 0.1 from −4 to 4, (6400, 2)."""
    side = np.arange(-39.5, 40) / 10
    return np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)


def share_in_holes(codes) -> float:
    p = stats.norm.pdf(mesh()).prod(-1)
    return p[log_ratio(mesh(), codes) < -np.log(20)].sum() / p.sum()


HOLES = {name: share_in_holes(codes) for name, codes in CODES.items()}


@torch.no_grad()
def check(root, models=ROUNDED, codes=CODES) -> dict:
    """Compare all that is exposed with PyTorch and SciPy; return it."""
    v = values(root)
    model, code = models[v["chosen"]], codes[v["chosen"]]
    given = model.given(torch.tensor([v["z"]], dtype=torch.float64))
    each = log_posteriors(v["z"], code)
    log_p, log_q = stats.norm.logpdf(v["z"]).sum(), special.logsumexp(each) - np.log(N)
    means, stds = (np.asarray(c, "f4").astype(float) for c in code)
    kl = (0.5 * (means**2 + stds**2 - 1) - np.log(stds)).sum(1).mean()
    best = int(each.argmax())
    cost = -given.log_prob(torch.as_tensor(IMAGES[best]).view(1, 1, 8, 8)).sum()
    probabilities = given.probs.view(D, L).numpy()
    for mine, reference in (
        (v["probabilities"], probabilities.ravel()),
        (v["mean"], given.mean.flatten()),
        (v["open"], stats.entropy(probabilities, axis=1)),
        (v["entropy"], given.entropy().sum()),
        (v["cost"], cost),
        (v["log_p"], log_p),
        (v["log_q"], log_q),
        (v["difference"], log_q - log_p),
        (v["share"], np.exp(each[best] - special.logsumexp(each))),
        (v["kl"], kl),
        (v["holes"], HOLES.get(v["chosen"], v["holes"])),
    ):
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-9)
    assert v["nearest"] == best and v["outside"] == (abs(means) > v["edge"]).any(1).sum()
    u = np.array(list(itertools.islice(mulberry32(v["seed"] * 0x9E3779B1), D)))
    below = probabilities.cumsum(1)
    assert v["drawn"] == np.minimum((below <= u[:, None]).sum(1), L - 1).tolist()
    bits = root.get_by_role("button", name="bits").get_attribute("aria-pressed") == "true"
    unit = np.log(2) if bits else 1
    figures = [text.replace("−", "-") for text in root.locator(".dgm-figures b").all_inner_texts()]
    short = lambda nats: f"{nats / unit:.{1 if abs(nats) < 1000 else 0}f}"  # noqa: E731
    assert figures[1:4] == [short(log_p), short(log_q), f"{kl / unit:.2f}"]
    assert figures[0] == f"{v['z'][0]:.2f}, {v['z'][1]:.2f}".replace("-0.00", "0.00")
    return v


def spot(root, z, edge=4):
    """Where a place of the plane is in the window."""
    box = root.locator(".dgm-sheet .dgm-area").bounding_box()
    return box["x"] + (z[0] / edge + 1) * box["width"] / 2, box["y"] + (1 - z[1] / edge) * box["height"] / 2


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


@pytest.mark.parametrize("name", CODES)
def test_each_model_is_its_own_at_every_place(page, name):
    root = show(page, WIDGET)
    button(root, name).click()
    assert button(root, name).get_attribute("aria-pressed") == "true"
    root.get_by_role("application").focus()
    seen = set()
    for keys in (["Home"], ["ArrowRight"] * 7, ["ArrowUp"] * 12, ["Shift+ArrowLeft"] * 3, ["ArrowDown"] * 25):
        press(page, *keys)
        v = check(root)
        assert v["chosen"] == name == page.evaluate("saved.chosen")
        seen.add(tuple(v["z"]))
    assert (0, 0) in seen and (0.67, 1.2) in seen and (0.67, -1.3) in seen


def test_a_condition_is_carried(page):
    root = show(page, CONDITION)
    assert root.get_by_role("group", name="model").count() == 0
    root.get_by_role("application").press("ArrowRight")
    check(root, {"told": rounded(TOLD, [0.3, -2, 1.5])}, {"told": CODES["β = 1"]})


def test_by_keyboard_alone(page):
    root = show(page, WIDGET)
    start = check(root)["z"]
    np.testing.assert_allclose(start, RING[0], atol=5.1e-4)
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    for _ in range(30):
        press(page, "Tab")
        if root.get_by_role("application").evaluate("e => e === document.activeElement"):
            break
    for key, z in (("Home", [0, 0]), ("ArrowRight", [0.1, 0]), ("ArrowUp", [0.1, 0.1]), ("ArrowLeft", [0, 0.1])):
        press(page, key)
        assert check(root)["z"] == z
    for key, z in (("ArrowDown", [0, 0]), ("Shift+ArrowDown", [0, -0.01]), ("Shift+ArrowRight", [0.01, -0.01])):
        press(page, key)
        assert check(root)["z"] == z == page.evaluate("saved.z")
    press(page, *["ArrowRight"] * 45)
    assert check(root)["z"] == [4, -0.01]  # the plane's edge
    assert set(page.evaluate("seen")) <= {"Tab", "Shift"}
    for name in ("prior draw", "deepest hole", "draw x again", "holes", "only class 3", "collapsed"):
        before = values(root)
        root.get_by_role("button", name=name, exact=True).focus()
        press(page, "Enter")
        assert check(root) != before
    button(root, "reset").focus()
    press(page, "Space")
    v = check(root)
    assert (v["z"], v["chosen"], v["seed"], v["shade"], v["only"], v["walks"]) == (start, "β = 1", 1, "q(z)", None, 0)


def test_dragging(page):
    root = show(page, WIDGET)
    before = check(root)["z"]
    page.mouse.move(*spot(root, (0.5, -1)))
    assert check(root)["z"] == before  # pointing does nothing
    page.mouse.down()
    np.testing.assert_allclose(check(root)["z"], (0.5, -1), atol=0.01)
    page.mouse.move(*spot(root, (-2, 3)), steps=4)
    np.testing.assert_allclose(check(root)["z"], (-2, 3), atol=0.01)
    page.mouse.move(*spot(root, (9, 3)))
    assert check(root)["z"][0] == 4
    page.mouse.move(*spot(root, (-2, 3)))
    page.mouse.up()
    page.mouse.move(*spot(root, (0, 0)))
    np.testing.assert_allclose(check(root)["z"], (-2, 3), atol=0.01)
    x, y = spot(root, values(root)["z"])
    page.mouse.move(x + 5, y + 5)  # taken beside its middle, the handle does not jump
    page.mouse.down()
    np.testing.assert_allclose(check(root)["z"], (-2, 3), atol=0.01)
    page.mouse.move(x + 55, y + 5)
    page.mouse.up()
    scale = root.locator(".dgm-sheet .dgm-area").bounding_box()["width"] / 8
    np.testing.assert_allclose(check(root)["z"], (-2 + 50 / scale, 3), atol=0.01)


def test_a_finger_taps_and_drags(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1300}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, WIDGET)
        page.touchscreen.tap(*spot(root, (0.5, -1)))
        np.testing.assert_allclose(check(root)["z"], (0.5, -1), atol=0.02)
        touch = context.new_cdp_session(page)
        x, y = spot(root, (0.5, -1))
        for kind, step in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchMove", 60)):
            point = {"x": x - step, "y": y - 2 * step}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        scale = root.locator(".dgm-sheet .dgm-area").bounding_box()["width"] / 8
        np.testing.assert_allclose(check(root)["z"], (0.5 - 60 / scale, -1 + 120 / scale), atol=0.05)
    finally:
        context.close()


@pytest.mark.parametrize("name", CODES)
def test_the_deepest_hole_within_two_sigma(page, name):
    root = show(page, WIDGET)
    button(root, name).click()
    button(root, "deepest hole").click()
    v, near = check(root), mesh()[np.linalg.norm(mesh(), axis=-1) <= 2]
    depths = log_ratio(near, CODES[name])
    assert v["difference"] == pytest.approx(depths.min(), rel=1e-9, abs=1e-9)
    assert np.linalg.norm(v["z"]) <= 2
    if name == "β = 1":
        np.testing.assert_allclose(v["z"], near[depths.argmin()])
        assert sentence(root).startswith(
            f"A hole, {np.linalg.norm(v['z']):.1f} σ from the middle: draws from the prior"
        )


def test_draws_from_the_prior_are_normal(page):
    root = show(page, WIDGET)
    seen = []
    for walk in range(1, 41):
        button(root, "prior draw").click()
        u, w = list(itertools.islice(mulberry32(walk * 0x9E3779B1), D + 2))[D:]
        wanted = np.sqrt(-2 * np.log(1 - u)) * np.array([np.cos(2 * np.pi * w), np.sin(2 * np.pi * w)])
        seen.append(values(root)["z"])
        np.testing.assert_allclose(seen[-1], wanted.clip(-4, 4), atol=1e-9)
    assert stats.kstest(np.ravel(seen), "norm").pvalue > 0.01


def test_draws_of_x_follow_their_seed(page):
    root = show(page, WIDGET)
    drawn = [check(root)["drawn"]]
    for seed in (2, 3, 4):
        button(root, "draw x again").click()
        v = check(root)
        assert v["seed"] == seed == page.evaluate("saved.seed")
        drawn.append(v["drawn"])
    assert len(set(map(tuple, drawn))) == 4


def test_what_is_drawn_is_what_is_told(page):
    """The four pictures, read off the screen."""
    root = show(page, WIDGET)
    v = check(root)
    pages = root.locator("rect.dgm-page").evaluate_all("a => a.map((b) => [b.x.baseVal.value, b.y.baseVal.value])")
    groups = root.locator(".dgm-scene > g[shape-rendering]").evaluate_all(
        """all => all.map((g) => [...g.children].map((b) =>
            ["x", "y", "width", "fill-opacity"].map((a) => Number(b.getAttribute(a)))))"""
    )
    shades = (v["mean"], IMAGES[v["nearest"]].ravel(), v["drawn"], np.array(v["open"]) / np.log(L) * (L - 1))
    assert len(pages) == len(groups) == 4
    for (x0, y0), boxes, wanted in zip(pages, groups, shades):
        picture = np.zeros((8, 8))
        for x, y, side, shade in boxes:
            picture[round((y - y0) / side), round((x - x0) / side)] = 16 * shade
        np.testing.assert_allclose(picture.ravel(), wanted, atol=0.04)


def ellipses(root):
    found = root.locator(".dgm-codes ellipse").evaluate_all(
        "all => all.map((e) => ['cx', 'cy', 'rx', 'ry'].map((a) => Number(e.getAttribute(a))))"
    )
    side = float(root.locator("svg.dgm-codes").get_attribute("width"))
    return np.array(found) / side * 8 - [4, 4, 0, 0]


def test_codes_are_drawn_where_they_are(page):
    root = show(page, WIDGET)
    x, y, rx, ry = ellipses(root).T
    means, stds = CODES["β = 1"]
    np.testing.assert_allclose(np.stack([x, -y], 1), means, atol=2e-3)
    np.testing.assert_allclose(np.stack([rx, ry], 1), stds, atol=2e-3)
    glyphs = root.locator(".dgm-codes .dgm-glyph")
    assert glyphs.all_text_contents() == [str(label) for label in LABELS]
    root.get_by_role("button", name="only class 3").click()
    assert glyphs.count() == N and root.locator(".dgm-dim").count() == 36 and values(root)["only"] == "3"
    assert root.locator(".dgm-lit .dgm-glyph").all_text_contents() == ["3"] * 4
    root.get_by_role("button", name="only class 3").click()
    assert root.locator(".dgm-dim").count() == 0 and values(root)["only"] is None


def pixels(root) -> np.ndarray:
    return np.array(
        root.locator("canvas").evaluate(
            """c => ({ size: [c.height, c.width, 4],
                data: [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data] })"""
        )["data"]
    )


def test_shading(page):
    root = show(page, WIDGET)
    codes = CODES["β = 1"]
    wide = (codes[0], np.hypot(codes[1], 0.04))  # as `aggregate` widens them
    z = mesh().reshape(80, 80, 2)[::-1]  # from the top
    log_q = special.logsumexp(log_posteriors(z, wide), axis=-1) - np.log(N)
    np.testing.assert_allclose(
        pixels(root).reshape(80, 80, 4)[..., 3] / 255, 0.7 * ((log_q + 8) / 8).clip(0, 1), atol=0.004
    )
    button(root, "holes").click()
    ratio, colours = log_ratio(z, wide), pixels(root).reshape(80, 80, 4)
    fade = (4 - np.linalg.norm(z, axis=-1)).clip(0, 1)
    alpha = 0.7 * fade * np.where(ratio > 0, ratio / 4, -ratio / 6).clip(0, 1)
    np.testing.assert_allclose(colours[..., 3] / 255, alpha, atol=0.004)
    strong = alpha > 0.2
    assert ((colours[..., 0] > colours[..., 2]) == (ratio < 0))[strong].all()  # holes are orange
    button(root, "decoder").click()
    tiles = pixels(root).reshape(12, 9, 12, 9, 4).transpose(0, 2, 1, 3, 4)
    at = (np.arange(12) + 0.5) * 8 / 12 - 4
    places = torch.tensor([[(a, -b) for a in at] for b in at]).double()
    with torch.no_grad():
        mean = ROUNDED["β = 1"].mean(places.view(144, 2)).view(12, 12, 8, 8).numpy()
    np.testing.assert_allclose(tiles[:, :, :8, :8, 0], 255 * (1 - mean / 16), atol=0.51)
    assert (tiles[:, :, 8, :, 3] == 0).all() and root.locator(".dgm-glyph").count() == 0
    root.get_by_role("button", name="only class 3").click()
    assert root.locator(".dgm-glyph").count() == 4


def test_codes_far_away_come_into_view(page):
    root = show(page, WIDGET)
    button(root, "autoencoder").click()
    v = check(root)
    assert (
        v["edge"] == 4 and v["outside"] > 30 and f"{v['outside']} outside" in root.locator("text").all_text_contents()
    )
    assert v["holes"] > 0.9
    button(root, "all codes").click()
    v = check(root)
    assert v["edge"] == 16 and v["outside"] == 0
    page.mouse.click(*spot(root, (-12, 3), edge=16))
    np.testing.assert_allclose(check(root)["z"], (-12, 3), atol=0.05)
    press(page, "ArrowRight")
    np.testing.assert_allclose(check(root)["z"], (-11.6, 3), atol=0.05)
    button(root, "all codes").click()
    assert check(root)["z"][0] == -4
    assert show(page, CONDITION).get_by_role("button", name="all codes").count() == 0


def test_bits_are_nats_over_log_2(page):
    root = show(page, WIDGET)
    before = check(root)
    button(root, "bits").click()
    assert check(root) == before and "nats" not in sentence(root) + root.locator(".dgm-figures").inner_text()
    assert not any("nats" in t for t in root.locator("text").all_text_contents())


def test_what_is_seen_is_told(page):
    root = show(page, WIDGET)
    plane = root.get_by_role("application")
    plane.press("Home")
    assert sentence(root).startswith("A hole, 0.0 σ from the middle")
    page.wait_for_function("document.querySelector('[role=status]').textContent.startsWith('A hole')")
    assert root.get_by_role("status").text_content() == sentence(root)
    assert "z = (0.00, 0.00)" in plane.get_attribute("aria-label")
    v = values(root)
    ratio = np.exp(-v["difference"])
    told = f"{ratio:.1f}" if ratio < 9.95 else f"{float(f'{ratio:.2g}'):g}"
    assert f"{told} times as often as codes of these {N} images" in sentence(root)
    label = LABELS[v["nearest"]]
    assert f"Nearest is {'an' if label == 8 else 'a'} {label}, with " in sentence(root)
    button(root, "reset").click()
    assert sentence(root).startswith("Crowded: codes of these 40 images")
    button(root, "collapsed").click()
    assert sentence(root).startswith("Collapsed: each posterior is nearly the prior, mean KL 0.000 nats")
    assert root.locator(".dgm-task").inner_text().startswith("Task: Find a place within the second circle")


def test_two_on_a_page_do_not_mix(page):
    text = document(WIDGET)
    script = text.split('<script type="module">')[1].split("</script>")[0]
    body = "<body><main></main><div id=second></div>"
    second = script.replace('document.querySelector("main")', 'document.querySelector("#second")')
    page.set_content(
        text.replace("<body><main></main>", body).replace("</body>", f'<script type="module">{second}</script></body>')
    )
    page.wait_for_selector("#second .dgm[data-values]")
    one, two = page.locator("main .dgm"), page.locator("#second .dgm")
    before = check(two)
    button(one, "collapsed").click()
    one.get_by_role("application").press("ArrowRight")
    button(one, "holes").click()
    assert check(one)["chosen"] == "collapsed" and check(two) == before
    button(two, "deepest hole").click()
    assert check(two)["chosen"] == "β = 1"


def test_nothing_is_left_when_removed(page):
    show(page, WIDGET)
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


BINARY = lively(3, shape=(1, 28, 28), levels=2)
MANY = RANDOM.normal(size=(600, 2))
PLACES = {
    "all": WIDGET,
    "codes alone": LatentPlane({"β = 1": (MODELS["β = 1"].state_dict(), *CODES["β = 1"])}, (8, 8), task=""),
    "labels alone": LatentPlane({"β = 1": (MODELS["β = 1"].state_dict(), *CODES["β = 1"])}, (8, 8), labels=LABELS),
    "large pictures, long names": LatentPlane(
        {f"a long name, it is {k}": (BINARY.state_dict(), 9 * MANY, 0.01 + 0 * MANY) for k in range(5)},
        (28, 28),
        2,
    ),
}


def collisions(root) -> list:
    """Pairs of texts that overlap, those among the codes left out."""
    return root.locator("svg.dgm-picture").evaluate(
        """svg => {
            const all = [...svg.querySelectorAll("text")].filter((t) => !t.closest(".dgm-codes") && t.textContent);
            const boxes = all.map((t) => t.getBoundingClientRect()), found = [];
            boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b, j) => {
                const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (wide > 1 && high > 3) found.push([all[i].textContent, all[i + 1 + j].textContent]);
            }));
            return found; }"""
    )


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (700, False), (900, False)])
@pytest.mark.parametrize("widget", PLACES.values(), ids=PLACES)
def test_fits_and_is_accessible(page, width, dark, widget):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    for name in ("holes", "decoder", "q(z)"):
        button(root, name).click()
        assert collisions(root) == []
    button(root, "deepest hole").click()
    button(root, "bits").click()
    assert collisions(root) == []
    root.get_by_role("application").focus()
    fits(page, root, width)


def test_fits_a_slide(page):
    root = on_a_slide(page, WIDGET)
    for name in ("deepest hole", "autoencoder", "holes", "collapsed"):
        button(root, name).click()
        root.get_by_role("application").press("ArrowRight")
        assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700 and collisions(root) == []
    check(root)
