"""Morph as learners push it: places, log-determinants and densities against numpy, by mouse, finger and keys."""

import re

import numpy as np
import pytest
from scipy import stats

from dgmlite.widgets import Morph

from .test_widgets import AXE, document, show, values

L, N, G = 5, 150, 9
ATOL = 1e-5  # numbers travel as float32


def flow(layers=L, points=N, lines=G):
    """Random affine couplings: states, log-determinants, and a mesh."""
    random = np.random.default_rng(2)
    turn = random.uniform(0, 2 * np.pi, points)
    x = np.stack([2 * np.cos(turn), np.sin(turn)], 1) + 0.1 * random.normal(size=(points, 2))
    side = np.linspace(-2, 2, lines)
    states, grids, log_dets = [x], [np.stack(np.meshgrid(side, side), -1)], []
    for layer in range(layers):
        stay, move = layer % 2, 1 - layer % 2
        a, b, c = random.normal(size=3)
        for kept in (states, grids):
            y = kept[-1].copy()
            s = 0.8 * np.sin(a * y[..., stay] + b)
            y[..., move] = y[..., move] * np.exp(s) + c * np.cos(y[..., stay])
            kept.append(y)
            if kept is states:
                log_dets.append(s)
    return np.array(states), np.array(log_dets), np.array(grids)


STATES, LOG_DET, GRID = flow()
BASE = stats.norm.logpdf(STATES[-1]).sum(1)
LOG_P = BASE + LOG_DET.sum(0)
WIDGET = Morph(STATES, log_det=LOG_DET, log_prob=LOG_P, grid=GRID)
CUMULATED = np.concatenate([np.zeros((1, N)), LOG_DET.cumsum(0)])


def between(states, t):
    """Where points are at position t: in a straight line from layer to layer."""
    k = min(int(t), len(states) - 2)
    return (1 - t + k) * states[k] + (t - k) * states[k + 1]


def check(root) -> dict:
    """Compare what is shown with numpy; return it."""
    v = values(root)
    t, i, k = v["position"], v["point"], int(v["position"])
    assert v["layer"] == k
    for mine, reference in (
        (v["place"], between(STATES, t)[i]),
        (v["path"], STATES[:, i]),
        (v["contributions"], LOG_DET[:, i]),
        (v["sum"], LOG_DET[:, i].sum()),
        (v["so_far"], LOG_DET[:k, i].sum()),
        (v["base"], BASE[i]),
        (v["log_p"], LOG_P[i]),
        (v["base"] + sum(v["contributions"]), LOG_P[i]),
        (v["mean"], LOG_DET[:k].sum(0).mean()),
    ):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=ATOL)
    read = root.locator(".dgm-figures").inner_text()
    assert (f"{k} of {L}" if t == k else f"{k} and {k + 1}") in read
    assert f"{LOG_P[i]:.3f}".replace("-", "−") in read and f"point {i + 1} of {N}" in read
    return v


def drawn(root, part=".dgm-dots") -> np.ndarray:
    """The middles of all dots in the units of the data, in no order."""
    side = float(root.locator(".dgm-scene svg").get_attribute("width"))
    paths = root.locator(part).evaluate_all("all => all.map((p) => p.getAttribute('d')).join('')")
    places = np.array([[float(n) for n in p.split(" ")] for p in re.findall(r"[ML]([-\d.]+ [-\d.]+)", paths)])
    low, high = STATES.min((0, 1)), STATES.max((0, 1))
    span = 1.08 * (high - low).max()
    return (low + high - span) / 2 + np.stack([places[:, 0], side - places[:, 1]], 1) / side * span


def same_places(found, wanted):
    assert len(found) == len(wanted)
    far = np.abs(found[:, None] - wanted[None]).max(-1)
    assert far.min(1).max() < 0.02 and far.min(0).max() < 0.02  # drawn to a tenth of a pixel


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


def test_whole_layers_are_the_models(page):
    root = show(page, WIDGET)
    forward, back = (root.get_by_role("button", name=name) for name in ("layer ›", "‹ layer"))
    for k in range(L + 1):
        v = check(root)
        assert v["position"] == k and v["stays"] == (0 if not L else 1 + (max(k, 1) - 1) % 2)
        same_places(drawn(root), STATES[k])
        told = "The data" if k == 0 else f"After layer {k} of {L} ({WIDGET.names[k - 1]})"
        assert sentence(root).startswith(told)
        forward.click()
    assert check(root)["position"] == L
    back.click()
    assert check(root)["position"] == L - 1 and page.evaluate("saved.position") == L - 1


def test_between_layers_lines_are_straight_and_said_to_be_drawn(page):
    root = show(page, WIDGET)
    slider = root.get_by_role("slider")
    slider.focus()
    for key, position in (("PageUp", 1), ("ArrowRight", 1.1), ("PageUp", 2.1), ("Shift+ArrowRight", 2.11), ("End", L)):
        page.keyboard.press(key)
        v = check(root)
        assert v["position"] == pytest.approx(position) == float(slider.get_attribute("aria-valuenow"))
        same_places(drawn(root), between(STATES, position))
        assert ("straight line: only whole layers are the model's" in sentence(root)) == (position not in (1, L))
    assert slider.get_attribute("aria-valuetext") == f"after layer {L} of {L}"
    page.keyboard.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == f"between layers {L - 1} and {L} of {L}"
    root.get_by_role("button", name="‹ layer").click()
    assert check(root)["position"] == L - 1


def test_the_slider_is_dragged(page):
    root = show(page, WIDGET)
    box = root.get_by_role("slider").locator(".dgm-touch").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 3, steps=4)
    page.mouse.up()
    page.mouse.move(x, y)
    reach = 384 - 24
    assert check(root)["position"] == pytest.approx(90 / reach * L, abs=0.08)


def test_the_bars_add_up(page):
    """Bars are as long as what they stand for, each begins where the last ended, and the last is the whole."""
    root = show(page, WIDGET)
    for i in (0, 7, 31):
        root.get_by_role("application").focus()
        while values(root)["point"] < i:
            page.keyboard.press("ArrowRight")
        v = check(root)
        bars = root.locator("svg > g > rect:is(.dgm-fill, .dgm-tint)").evaluate_all(
            "all => all.map((b) => ['x', 'width'].map((a) => Number(b.getAttribute(a))))"
        )
        assert len(bars) == L + 2
        nats, total = [*v["contributions"], v["base"]], 0.0
        lows = [min(a, b) for a, b in zip(np.cumsum([0, *nats]), np.cumsum(nats))] + [min(0, v["log_p"])]
        scale = bars[-1][1] / abs(v["log_p"])
        for (x, width), nat, low in zip(bars, [*nats, v["log_p"]], lows):
            assert width == pytest.approx(max(abs(nat) * scale, 1), abs=1e-6)
            assert (x - bars[-1][0]) / scale == pytest.approx(low - lows[-1], abs=1e-6)
        shown = root.locator("text").all_text_contents()
        for nat in nats:
            total += nat
            assert f"{nat:+.3f}".replace("-", "−").removeprefix("+") in [t.removeprefix("+") for t in shown]
        assert f"{total:.3f}".replace("-", "−") in shown


@pytest.mark.parametrize("t", [0, 2, 2.5])
def test_a_click_chooses_the_nearest_point(page, t):
    root = show(page, WIDGET)
    root.get_by_role("slider").focus()
    for _ in range(round(10 * t)):
        page.keyboard.press("ArrowRight")
    area, places = root.locator(".dgm-sheet .dgm-area").bounding_box(), between(STATES, t)
    low, high = STATES.min((0, 1)), STATES.max((0, 1))
    span = 1.08 * (high - low).max()
    corner = (low + high - span) / 2
    for u, v in ((0.3, 0.4), (0.55, 0.6), (0.9, 0.1)):
        page.mouse.click(area["x"] + u * area["width"], area["y"] + (1 - v) * area["height"])
        at = corner + span * np.array([u, v])
        far = np.sqrt(((places - at) ** 2).sum(1))
        assert far[check(root)["point"]] <= far.min() + span / area["width"]  # a click falls on whole pixels


def test_a_finger_chooses(browser):
    context = browser.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    try:
        root = show(context.new_page(), WIDGET)
        area = root.locator(".dgm-sheet .dgm-area").bounding_box()
        root.page.touchscreen.tap(area["x"] + 0.9 * area["width"], area["y"] + 0.3 * area["height"])
        assert check(root)["point"] != 0
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, WIDGET)
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    root.get_by_role("application").focus()
    moves = (("ArrowRight", 1), ("ArrowDown", 2), ("ArrowLeft", 1), ("Home", 0), ("ArrowUp", N - 1), ("ArrowRight", 0))
    for key, point in (*moves, ("End", N - 1)):
        page.keyboard.press(key)
        assert check(root)["point"] == point
    assert page.evaluate("seen") == []
    root.get_by_role("button", name="point ›").focus()
    page.keyboard.press("Enter")
    assert check(root)["point"] == 0
    root.get_by_role("button", name="‹ point").focus()
    page.keyboard.press("Space")
    assert check(root)["point"] == N - 1 and page.evaluate("saved.point") == N - 1
    root.get_by_role("button", name="reset").focus()
    page.keyboard.press("Enter")
    v = check(root)
    assert v["point"] == v["position"] == 0


def test_points_are_coloured_by_sector_or_by_stretch(page):
    root = show(page, WIDGET)
    for _ in range(3):
        root.get_by_role("button", name="layer ›").click()
    count = "all => all.map((p) => p.getAttribute('d').split('M').length - 1)"
    assert sorted(root.locator(".dgm-dots").evaluate_all(count)) == sorted(WIDGET.labels.count(c) for c in "012345")
    stretch = root.get_by_role("button", name="stretch")
    stretch.click()
    levels = np.floor(4 * CUMULATED[3] / abs(CUMULATED).max() + 0.5)
    wanted = [int((levels == level).sum()) for level in range(-4, 5)]
    assert root.locator(".dgm-dots").evaluate_all(count) == [n for n in wanted if n]
    assert stretch.get_attribute("aria-pressed") == "true" and check(root)["stretch"]
    assert f"+{abs(CUMULATED).max():.1f} nats" in root.locator("text").all_text_contents()
    assert len(set(root.locator(".dgm-dots").evaluate_all("all => all.map((p) => getComputedStyle(p).stroke)"))) > 4


def test_what_stays_is_marked_and_moves_are_lines(page):
    root = show(page, WIDGET)
    assert "stays" not in " ".join(root.locator("text").all_text_contents()[:14])
    root.get_by_role("button", name="what stays").click()
    for k in range(1, 4):
        root.get_by_role("button", name="layer ›").click()
        shown = root.locator("text").all_text_contents()
        stays, moves = ("x₁ stays", "x₂ moves") if k % 2 else ("x₂ stays", "x₁ moves")
        assert stays in shown and moves in shown
        ends = drawn(root, ".dgm-moves").reshape(N, 2, 2)
        np.testing.assert_allclose(ends[:, 0], STATES[k - 1], rtol=0, atol=0.02)
        np.testing.assert_allclose(ends[:, 1], STATES[k], rtol=0, atol=0.02)


def test_the_mesh_is_carried_along(page):
    root = show(page, WIDGET)
    root.get_by_role("button", name="layer ›").click()
    root.get_by_role("slider").press("ArrowRight")
    there = between(GRID, 1.1)
    wanted = np.concatenate([there.reshape(-1, 2), there.swapaxes(0, 1).reshape(-1, 2)])
    np.testing.assert_allclose(drawn(root, ".dgm-mesh"), wanted, rtol=0, atol=0.02)
    root.get_by_role("button", name="mesh").click()
    assert root.locator(".dgm-mesh").count() == 0


def test_noise_is_compared_with_circles(page):
    root = show(page, WIDGET)
    circles = root.locator("circle.dgm-guide")
    assert circles.count() == 0
    root.get_by_role("slider").press("End")
    scale = float(root.locator(".dgm-scene svg").get_attribute("width")) / (1.08 * np.ptp(STATES, (0, 1)).max())
    radii = circles.evaluate_all("all => all.map((c) => Number(c.getAttribute('r')))")
    np.testing.assert_allclose(radii, [scale, 2 * scale], rtol=1e-6)


def test_play_to_noise_and_back(page):
    page.clock.install(time=0)
    root = show(page, WIDGET)
    page.clock.pause_at(60_000)
    root.get_by_role("button", name="play to noise").click()
    page.clock.run_for(40 * 7)
    v = check(root)
    assert v["position"] == pytest.approx(0.35) and v["playing"]
    root.get_by_role("button", name="pause").click()
    page.clock.run_for(5000)
    assert check(root)["position"] == pytest.approx(0.35) == page.evaluate("saved.position")
    root.get_by_role("button", name="play to noise").click()
    page.clock.run_for(40 * (13 + 5))  # to layer 1, where it rests
    assert check(root)["position"] == 1
    page.clock.run_for(40 * 30 * L)
    v = check(root)
    assert v["position"] == L and not v["playing"]
    root.get_by_role("button", name="play to data").click()
    page.clock.run_for(40 * 3)
    assert check(root)["position"] == pytest.approx(L - 0.15)
    page.clock.run_for(40 * 30 * L)
    v = check(root)
    assert v["position"] == 0 and not v["playing"] and page.evaluate("saved.position") == 0
    root.get_by_role("button", name="play to noise").click()
    page.evaluate("remove()")
    page.clock.run_for(5000)
    assert values(root)["position"] == 0 and page.evaluate("Object.values(listeners).flat().length") == 0


def test_play_goes_by_whole_layers_for_those_who_ask_for_less_motion(page):
    page.emulate_media(reduced_motion="reduce")
    page.clock.install(time=0)
    root = show(page, WIDGET)
    page.clock.pause_at(60_000)
    root.get_by_role("button", name="play to noise").click()
    page.clock.run_for(2000)
    assert check(root)["position"] == 2


def test_what_is_seen_is_told(page):
    root = show(page, WIDGET)
    root.get_by_role("slider").press("End")
    most = abs(LOG_DET).argmax(0)
    i = int((most != LOG_DET.argmax(0)).argmax())  # where the greatest change is a loss
    for _ in range(i):
        root.get_by_role("application").press("ArrowRight")
    page.wait_for_function(f"document.querySelector('[role=status]').textContent.includes('point {i + 1} is at')")
    told = root.get_by_role("status").text_content()
    numbers = [LOG_P[i], BASE[i], LOG_DET[:, i].sum(), LOG_DET[most[i], i]]
    assert told == sentence(root) and f"from layer {most[i] + 1}." in told
    assert [float(n.replace("−", "-")) for n in re.findall(r"[+−]?\d+\.\d{3}", told)] == pytest.approx(
        numbers, abs=6e-4
    )


def fits(page, root, width):
    """No text is cut off, nothing scrolls sideways, and axe has nothing to say."""
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = """all => all.map((t) => [t.textContent, t.getBoundingClientRect()])
        .filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text)"""
    assert root.locator("text").evaluate_all(outside) == []
    if AXE.is_file():
        page.add_script_tag(path=AXE)
        found = page.evaluate("async () => (await axe.run('main')).violations")
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []


def on_a_slide(page, widget):
    """Show the widget on a slide of 1280 × 720 and check that it fits."""
    page.set_viewport_size({"width": 1280, "height": 720})
    body = '<body><div class="reveal" style="padding: 0 20px 0 28px"><main></main></div>'
    page.set_content(document(widget).replace("<body><main></main>", body).replace("<style>", "<style>body{margin:0}"))
    page.wait_for_selector(".dgm[data-values]")
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    box = page.locator(".dgm").bounding_box()
    assert box["y"] + box["height"] <= 700
    return page.locator(".dgm")


MANY = flow(24, 800, 3)
PLACES = {
    "all": WIDGET,
    "states alone": Morph(STATES[:2], labels=np.arange(N) % 6, names=["a long name of a layer, 40 letters of it"]),
    "24 layers": Morph(50 * MANY[0], log_det=100 * MANY[1]),
    "one point": Morph(np.zeros((3, 1, 2)), log_det=np.zeros((2, 1))),
}


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (900, False)])
@pytest.mark.parametrize("widget", PLACES.values(), ids=PLACES)
def test_fits_and_is_accessible(page, width, dark, widget):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    for name in ("stretch", "what stays"):
        if root.get_by_role("button", name=name).count():
            root.get_by_role("button", name=name).click()
    root.get_by_role("slider").press("End")
    root.get_by_role("application").focus()
    fits(page, root, width)


def test_fits_a_slide(page):
    root = on_a_slide(page, WIDGET)
    for name in ("stretch", "what stays", "layer ›"):
        root.get_by_role("button", name=name).click()
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    check(root)
