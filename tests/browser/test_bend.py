"""Bend as learners push it: places, log-determinants and densities against torch, by mouse, finger and keys."""

import math
import re

import numpy as np
import pytest
import torch
from scipy import optimize

from dgmlite.widgets import Bend

from .test_widgets import AXE, document, show, values

LIMIT, TOP = 0.9 * math.sqrt(math.e), 1 / (2 * math.pi)
HANDLES = [(-1.2, 0), (1.2, 0), (0, 1.2), (0, -1.2)]


def longest(angle, width=1.0):
    return [LIMIT * width * math.cos(angle), LIMIT * width * math.sin(angle)]


STATES = {
    "as given": Bend(),
    "no bend": Bend(drags=np.zeros((4, 2))),
    "one at its limit": Bend(drags=[longest(0), *np.zeros((3, 2))]),
    "a ring": Bend(drags=[(-1.46, -0.1), (1.46, -0.02), (0.15, 1.46), (0.17, -1.46)]),
    "all at their limits": Bend(drags=[longest(a) for a in (0.1, 3.0, 4.3, 2.4)]),
    "six, narrow": Bend(
        np.random.default_rng(0).uniform(-2.5, 2.5, (6, 2)), [longest(a, 0.4) for a in range(6)], 0.4, seed=1
    ),
}


def forth(z, widget, drags=None):
    """x = f(z) of one point or many, in torch."""
    for c, d in zip(widget.handles, widget.drags if drags is None else drags):
        c, d = torch.tensor(c, dtype=torch.float64), torch.tensor(d, dtype=torch.float64)
        z = z + d * torch.exp(-((z - c) ** 2).sum(-1, keepdim=True) / (2 * widget.width**2))
    return z


def jacobian(z, widget, drags=None):
    return torch.func.jacrev(lambda z: forth(z, widget, drags))(torch.as_tensor(z).double()).numpy()


def density(z, widget, drags=None):
    """p_X at f(z), for many z (N, 2)."""
    z = torch.as_tensor(np.array(z)).double()
    J = torch.func.vmap(torch.func.jacrev(lambda z: forth(z, widget, drags)))(z)
    return (TOP * torch.exp(-(z**2).sum(-1) / 2) / torch.linalg.det(J).abs()).numpy()


def back(x, widget, drags=None):
    """f⁻¹(x), by scipy, one bend after the other."""
    x = np.array(x)
    for c, d in list(zip(widget.handles, widget.drags if drags is None else drags))[::-1]:
        excess = lambda t: t - math.exp(-(((x - t * d - c) ** 2).sum()) / (2 * widget.width**2))  # noqa: B023, E731
        c, d = np.array(c), np.array(d)
        x = x - optimize.brentq(excess, 0, 1, xtol=1e-15, rtol=1e-14) * d
    return x


def check(root, widget) -> dict:
    """Compare what is shown with torch and numpy; return it."""
    v = values(root)
    z, drags = np.array(v["z"]), v["drags"]
    J = jacobian(z, widget, drags)
    log_det = np.linalg.slogdet(J)[1]
    p_z = TOP * math.exp(-(z**2).sum() / 2)
    for mine, reference in (
        (v["x"], forth(torch.tensor(z), widget, drags).numpy()),
        (v["J"], J.ravel()),
        (v["log_det"], log_det),
        (v["det"], np.linalg.det(J)),
        (v["p_z"], p_z),
        (v["p_x"], math.exp(math.log(p_z) - log_det)),
        (v["p_x"] * v["area_x"], v["p_z"] * v["area"]),
    ):
        np.testing.assert_allclose(mine, reference, rtol=1e-9, atol=1e-12)
    assert v["det"] > 0
    read = root.locator(".dgm-figures").inner_text()
    assert f"log {v['log_det']:.3f} nats".replace("-", "−").replace("−0.000", "0.000") in read
    return v


def at(root, panel, place):
    """Where a place of the noise (0) or data (1) plane is in the window."""
    area = root.locator(".dgm-sheet .dgm-area").nth(panel).bounding_box()
    return area["x"] + (place[0] + 4) / 8 * area["width"], area["y"] + (4 - place[1]) / 8 * area["height"]


def handles(root):
    return root.locator(".dgm-slider:not(.dgm-sheet)")


def planes(root):
    return root.locator(".dgm-sheet")


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


@pytest.mark.parametrize("name", STATES)
def test_numbers_are_those_of_torch(page, name):
    """At places of both planes, the outermost included: J, log |det| and p_X; from x back to z and to x again."""
    widget = STATES[name]
    root = show(page, widget)
    for place in ((0.3, -0.7), (-1.2, 0.8), (-0.2, 0), (3.9, 3.9), (1, 0.02), (0, 2.1)):
        for panel in (0, 1):
            page.mouse.move(*at(root, panel, place))
            v = check(root, widget)
            np.testing.assert_allclose(v["x" if panel else "z"], place, rtol=0, atol=0.02)  # a pixel
            np.testing.assert_allclose(v["z"], back(v["x"], widget), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", STATES)
def test_mass_is_conserved(page, name):
    """What is added up in the data plane and what leaves it, counted in the noise plane, are 1 together."""
    widget = STATES[name]
    v = check(show(page, widget), widget)
    side = (np.arange(1200) + 0.5) / 100 - 6
    z = torch.tensor(np.stack(np.meshgrid(side, side), -1))
    leaves = (forth(z, widget).abs() > 4).any(-1)
    outside = (TOP * torch.exp(-(z**2).sum(-1) / 2) * leaves).sum().item() * 0.01**2
    assert v["outside"] == pytest.approx(outside, abs=2e-5)  # to the digits that are shown
    assert v["mass"] + v["outside"] == pytest.approx(1, abs=2e-3)
    assert page.locator(".dgm-figures").inner_text().split("mass on this picture")[1].split()[0] == "1.00"


@pytest.mark.parametrize("name", STATES)
def test_hills_are_the_highest_places(page, name):
    widget = STATES[name]
    v = check(show(page, widget), widget)
    cost = lambda z: -np.log(density(np.array(z)[None], widget)[0])  # noqa: E731
    for hill in v["hills"]:
        assert hill["p"] == pytest.approx(density([hill["z"]], widget)[0], rel=1e-9)
        np.testing.assert_allclose(hill["x"], forth(torch.tensor(np.array(hill["z"])), widget), rtol=1e-9, atol=1e-12)
        around = np.array(hill["z"]) + 1e-3 * np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])
        assert (density(around, widget) < hill["p"]).all()
    side = np.linspace(-4, 4, 161)
    z = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    start = z[density(z, widget).argmax()]
    found = optimize.minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13})
    assert v["peak"] == v["hills"][0]["p"] == pytest.approx(math.exp(-found.fun), rel=1e-9)


def test_the_task_can_be_done(page):
    """Each part within the limits; and what a search found to be impossible is."""
    flat = np.zeros((4, 2))
    for k, angle in enumerate((0, math.pi, -math.pi / 2, math.pi / 2)):
        one = flat.copy()
        one[k] = longest(angle)
        v = check(show(page, Bend(drags=one)), Bend())
        assert 8 < v["peak"] / TOP < 10 and len(v["hills"]) == 1  # at most 10: det ≥ 0.1
    v = check(show(page, Bend(drags=[(1.44, 0.35), (0, 0), (0.96, -1.13), (0, 0)])), Bend())
    assert 50 < v["peak"] / TOP < 100
    v = check(show(page, Bend(drags=[longest(math.pi), longest(0), (0, 0), (0, 0)])), Bend())
    assert len(v["hills"]) == 2
    root = show(page, STATES["a ring"])
    page.mouse.click(*at(root, 1, (0, 0)))
    middle = check(root, STATES["a ring"])["p_x"]
    turn = np.arange(0, 2 * np.pi, 0.1)
    rays = [[r * np.array([math.cos(a), math.sin(a)]) for r in np.arange(0.5, 4, 0.05)] for a in turn]
    ridge = [max(density(np.array([back(x, STATES["a ring"]) for x in ray]), STATES["a ring"])) for ray in rays[::6]]
    assert 1.5 < min(ridge) / middle < 3  # a dip, which is far from empty


def test_the_picture_shows_the_density(page):
    """Shades, cell by cell, against the mean of p_X over the cell: √ of its share of five times the noise's highest."""
    widget = STATES["as given"]
    root = show(page, widget)
    read = "c => [...c.getContext('2d').getImageData(0, 0, 128, 128).data].filter((_, i) => i % 4 === 3)"
    noise, data = (
        np.array(root.locator("canvas").nth(n).evaluate(read)).reshape(128, 128)[::-1] for n in (0, 1)
    )  # rows from below
    middle = (np.arange(128) + 0.5) / 16 - 4
    shade = lambda p: 255 * np.sqrt(np.clip(p / (5 * TOP), 0, 1))  # noqa: E731
    exact = TOP * np.exp(-(middle[:, None] ** 2 + middle**2) / 2)
    np.testing.assert_allclose(noise, shade(exact), atol=0.51)
    for row in range(4, 128, 17):
        for column in range(2, 128, 9):
            p = density([back((middle[column], middle[row]), widget)], widget)[0]
            assert data[row, column] == pytest.approx(shade(p), abs=1.6)
    box, area = root.locator("canvas").nth(1).bounding_box(), root.locator(".dgm-sheet .dgm-area").nth(1).bounding_box()
    assert box == pytest.approx(area, abs=0.6)


def test_grid_and_samples_are_carried_along(page):
    widget = STATES["all at their limits"]
    root = show(page, widget)
    side = root.locator(".dgm-scene svg").evaluate_all("all => all.map((s) => Number(s.getAttribute('width')))")
    paths = lambda part: root.locator(part).evaluate_all("all => all.map((p) => p.getAttribute('d'))")  # noqa: E731

    def drawn(d, n):
        places = np.array([[float(v) for v in p.split(" ")] for p in re.findall(r"[ML]([-\d.]+ [-\d.]+)", d)])
        return np.stack([places[:, 0], side[n] - places[:, 1]], 1) / side[n] * 8 - 4

    z, x = (drawn(d, n) for n, d in enumerate(paths(".dgm-seed-dot")))
    np.testing.assert_allclose(z, np.random.default_rng(0).standard_normal((250, 2)), rtol=0, atol=1e-3)
    np.testing.assert_allclose(x, forth(torch.tensor(z), widget), rtol=0, atol=0.01)
    t, lines = np.linspace(-5, 5, 101), drawn(paths(".dgm-weave")[1], 1).reshape(21, 2, 101, 2)
    for k, u in enumerate(np.arange(-5, 5.1, 0.5)):
        upright = forth(torch.tensor(np.stack([np.full(101, u), t], 1)), widget)
        level = forth(torch.tensor(np.stack([t, np.full(101, u)], 1)), widget)
        np.testing.assert_allclose(lines[k], np.stack([upright, level]), rtol=0, atol=1e-3)


def test_the_square_becomes_the_parallelogram_of_the_jacobian(page):
    widget = STATES["a ring"]
    root = show(page, widget)
    page.mouse.click(*at(root, 0, (0.4, 0.9)))
    v, plot = check(root, widget), root.locator(".dgm-scene svg").nth(1)
    side = float(plot.get_attribute("width"))

    def corners(cls):
        d = plot.locator(cls).get_attribute("d")
        places = np.array([[float(n) for n in p.split(" ")] for p in re.findall(r"[-\d.]+ [-\d.]+", d)])
        return np.stack([places[:, 0], side - places[:, 1]], 1) / side * 8 - 4

    def area(p):
        (a, b), (c, d) = p.T, np.roll(p, -1, 0).T
        return abs((a * d - b * c).sum()) / 2

    ends = 0.25 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    np.testing.assert_allclose(corners(".dgm-patch"), v["x"] + ends @ np.reshape(v["J"], (2, 2)).T, rtol=0, atol=1e-3)
    assert area(corners(".dgm-patch")) == pytest.approx(v["area_x"], rel=1e-2)
    rim = corners(".dgm-outline")
    np.testing.assert_allclose(rim[::8], forth(torch.tensor(v["z"] + ends), widget), rtol=0, atol=1e-3)
    assert area(rim) == pytest.approx(v["area_x"], rel=0.1)  # J is the best linear map there, no more


def test_pointing_looks_and_a_click_chooses(page):
    root = show(page, Bend())
    before = check(root, Bend())["z"]
    page.mouse.move(*at(root, 1, (1.5, -1)))
    v = check(root, Bend())
    np.testing.assert_allclose(v["x"], (1.5, -1), rtol=0, atol=0.02)
    assert v["looking"] and page.evaluate("window.saved") is None
    page.mouse.move(1, 1)
    assert check(root, Bend())["z"] == before
    page.mouse.click(*at(root, 0, (0.5, 2)))
    page.mouse.move(1, 1)
    v = check(root, Bend())
    assert v["z"] == page.evaluate("saved.point") and not v["looking"]
    np.testing.assert_allclose(v["z"], (0.5, 2), rtol=0, atol=0.02)


def test_a_handle_is_dragged_to_its_limit_and_no_farther(page):
    root = show(page, Bend())
    x, y = at(root, 1, (1.2, 0))  # handle 2
    page.mouse.move(x + 3, y - 2)  # not quite its middle: it does not jump
    page.mouse.down()
    assert check(root, Bend())["drags"][1] == [0, 0]
    unit = at(root, 1, (1, 0))[0] - at(root, 1, (0, 0))[0]
    page.mouse.move(x + 3 + unit, y - 2 - 0.5 * unit, steps=3)
    v = check(root, Bend())
    assert v["drags"][1] == pytest.approx([1, 0.5], abs=0.01) and not v["stuck"]
    assert v["drags"] == page.evaluate("saved.drags") and v["drags"][0] == [0.9, 0.5]
    page.mouse.move(x + 3 + 0.93 * unit, y - 2 + 1.24 * unit, steps=3)  # 1.55 long
    v = check(root, Bend())
    assert np.hypot(*v["drags"][1]) == pytest.approx(LIMIT, rel=1e-9) and v["stuck"] == [2]
    assert v["drags"][1] == pytest.approx([0.6 * LIMIT, -0.8 * LIMIT], abs=0.02)
    assert "limit" in root.locator("text").all_text_contents() and "Handle 2 is at its limit" in sentence(root)
    page.mouse.up()
    page.mouse.move(x, y)
    assert check(root, Bend())["drags"] == v["drags"]
    root.get_by_role("button", name="reset").click()
    v = check(root, Bend())
    assert v["drags"] == Bend().drags and "limit" not in sentence(root)


def test_a_finger_drags_and_chooses(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1400}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, Bend())
        page.touchscreen.tap(*at(root, 1, (-2, -2)))
        np.testing.assert_allclose(check(root, Bend())["x"], (-2, -2), rtol=0, atol=0.03)
        touch, places = context.new_cdp_session(page), [at(root, 1, (0, -1.2 + step)) for step in (0, 0.5, 1)]
        for kind, place in zip(("touchStart", "touchMove", "touchMove"), places):
            point = {"x": place[0], "y": place[1]}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)  # moves are told once for each frame
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert check(root, Bend())["drags"][3] == pytest.approx([0, 1], abs=0.03)
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, Bend())
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    keys = (("ArrowRight", (0.1, 0)), ("ArrowUp", (0, 0.1)), ("ArrowLeft", (-0.1, 0)), ("ArrowDown", (0, -0.1)))
    for panel, name in ((0, "z"), (1, "x")):
        planes(root).nth(panel).focus()
        page.keyboard.press("Home")
        place = np.zeros(2)
        for key, step in (*keys, ("Shift+ArrowUp", (0, 0.01)), *keys[:2]):
            page.keyboard.press(key)
            place += step
            np.testing.assert_allclose(check(root, Bend())[name], place, rtol=0, atol=1e-9)
        for _ in range(45):
            page.keyboard.press("ArrowRight")  # stays in the picture
        assert check(root, Bend())[name][0] == pytest.approx(4, abs=1e-9)
    for k, handle in enumerate(handles(root).all()):
        handle.focus()
        page.keyboard.press("Home")
        assert check(root, Bend())["drags"][k] == [0, 0]
        for key, step in (*keys, ("Shift+ArrowLeft", (-0.01, 0))):
            before = np.array(check(root, Bend())["drags"][k])
            page.keyboard.press(key)
            assert check(root, Bend())["drags"][k] == pytest.approx(list(before + step), abs=1e-9)
        for _ in range(20):
            page.keyboard.press("ArrowUp")
        v = check(root, Bend())
        assert np.hypot(*v["drags"][k]) == pytest.approx(LIMIT, rel=1e-9) and k + 1 in v["stuck"]
        assert "100 % of the limit" in handle.get_attribute("aria-label")
        page.keyboard.press("Home")
        assert f"handle {k + 1}, dragged by (0.00, 0.00), 0 % of the limit" in handle.get_attribute("aria-label")
    assert set(page.evaluate("seen")) <= {"Shift"}
    root.get_by_role("button", name="reset").focus()
    page.keyboard.press("Enter")
    v = check(root, Bend())
    assert v["drags"] == Bend().drags and v["z"] == Bend().point
    planes(root).nth(0).focus()
    order = []
    for _ in range(6):
        order.append(page.evaluate("document.activeElement.getAttribute('aria-label').split(/[,:]/)[0]"))
        page.keyboard.press("Tab")
    assert order == ["noise plane", "data plane", *(f"handle {k}" for k in (1, 2, 3, 4))]


def test_drags_beyond_the_limit_are_cut_also_when_python_sets_them(page):
    widget = Bend()
    widget.drags = [[0.96, 1.28], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert check(show(page, widget), widget)["drags"][0] == pytest.approx([0.6 * LIMIT, 0.8 * LIMIT])


def test_parts_are_shown_and_hidden(page):
    root = show(page, Bend())
    for name, part, count in (("grid", ".dgm-weave", 2), ("samples", ".dgm-seed-dot", 2), ("density", "canvas", 2)):
        button = root.get_by_role("button", name=name)
        assert root.locator(part).locator("visible=true").count() == count
        button.click()
        assert root.locator(part).locator("visible=true").count() == 0
        assert button.get_attribute("aria-pressed") == "false"
    root.get_by_role("button", name="no bend").click()
    v = check(root, Bend())
    assert v["drags"] == [[0, 0]] * 4 and v["x"] == v["z"] and v["peak"] == pytest.approx(TOP)
    root.get_by_role("button", name="reset").click()
    assert root.locator("canvas").locator("visible=true").count() == 2 and check(root, Bend())["grid"]


def test_what_is_seen_is_told(page):
    root = show(page, STATES["one at its limit"])
    planes(root).nth(0).focus()
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('(0.00, 0.00)')")
    told = root.get_by_role("status").text_content()
    v = check(root, STATES["one at its limit"])
    assert told == sentence(root) and "Handle 1 is at its limit" in told
    assert f"shrinks to {v['det']:.3g} of its area, and the density goes up from 0.159 to {v['p_x']:.3g}" in told
    root.get_by_role("button", name="no bend").click()
    assert "keeps its area, and the density stays 0.159" in sentence(root)
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


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


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (600, False), (900, True)])
@pytest.mark.parametrize("name", ["as given", "all at their limits", "six, narrow"])
def test_fits_and_is_accessible(page, width, dark, name):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, STATES[name], dark)
    handles(root).last.focus()
    fits(page, root, width)


@pytest.mark.parametrize("name", ["as given", "all at their limits"])
def test_fits_a_slide(page, name):
    page.set_viewport_size({"width": 1280, "height": 720})
    body = '<body><div class="reveal" style="padding: 0 20px 0 28px"><main></main></div>'
    bare = document(STATES[name]).replace("<body><main></main>", body)
    page.set_content(bare.replace("<style>", "<style>body{margin:0}"))
    page.wait_for_selector(".dgm[data-values]")
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    root = page.locator(".dgm")
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    check(root, STATES[name])
