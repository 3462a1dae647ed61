"""Clouds as learners move them: densities against scipy, costs against quadrature, closed forms and chance."""

import base64
import json
import math
import re

import numpy as np
import pytest
from scipy import special, stats

from dgmlite.widgets import Clouds
from dgmlite.widgets.clouds import MAPS, RULES

from .test_morph import fits, on_a_slide
from .test_widgets import show, values

U, SIDE = 1 / 100, 200  # density of strangers; cells of the map
STATES = {
    "as given": Clouds(),
    "no strangers": Clouds(strangers=0, cost=0.1),
    "wide and narrow": Clouds([(-1, 2), (1.5, 0)], spreads=(1.2, 0.3), prior=0.8, strangers=0.3, cost=0.4),
    "in the corners": Clouds([(-4, -4), (4, 4)], spreads=(1.2, 1.2), prior=0.1, strangers=0.5, cost=0.05),
    "one on the other": Clouds([(1, 1), (1, 1)], spreads=(0.5, 0.9), strangers=0.02, cost=0.5, n=1, seed=3),
}


def classes(v):
    """log p(x, y) of both classes as functions of many x (…, 2)."""
    weights = 1 - v["prior"], v["prior"]
    normals = [stats.multivariate_normal(m, s**2) for m, s in zip(v["centres"], v["spreads"])]
    return lambda x: np.stack([np.log(w) + normal.logpdf(x) for w, normal in zip(weights, normals)])


def judged(v, x, u):
    """Of many x: p(x, y) without strangers, π u, r, and where each rule abstains."""
    log_joint, pi, c = classes(v)(x), v["strangers"], v["cost"]
    joint = (1 - pi) * np.exp(log_joint)
    r = joint.sum(0) + pi * u
    unsure = 1 - special.softmax(log_joint, 0).max(0) > c
    with np.errstate(invalid="ignore"):
        rest = [pi * u / r > c, 1 - joint.max(0) / r > c]
    return joint, pi * u, r, [np.zeros_like(unsure), unsure, *rest]


def expected(v, h=0.025):
    """The expected costs of the rules in their parts, on a turned grid: no border of a rule or a cell lies along it."""
    axis, turn = np.arange(-13, 13, h) + h / 2, 0.3
    x = np.stack(np.meshgrid(axis, axis), -1) @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    joint, strange, r, rules = judged(v, x, U * (abs(x) < 5).all(-1))
    parts = [[strange * ~a, joint.min(0) * ~a, v["cost"] * r * a] for a in rules]
    return h * h * np.array([[part.sum() for part in row] for row in parts])


def check_costs(v):
    parts = expected(v)
    np.testing.assert_allclose(v["costs"], parts.sum(1), rtol=0, atol=1e-4)
    np.testing.assert_allclose(v["parts"], parts, rtol=0, atol=1e-3)  # what jumps within cells moves between parts


def drawn(v, n=10**6):
    """The mean cost of each rule over n inputs, and its standard error."""
    rng = np.random.default_rng(5)
    y = rng.choice(3, n, p=[(1 - v["strangers"]) * (1 - v["prior"]), (1 - v["strangers"]) * v["prior"], v["strangers"]])
    noise = rng.standard_normal((n, 2))
    x = np.array([*v["centres"], (0, 0)])[y] + np.array([*v["spreads"], 0])[y, None] * noise
    x[y == 2] = rng.uniform(-5, 5, ((y == 2).sum(), 2))
    joint, _, _, rules = judged(v, x, U * (abs(x) < 5).all(-1))
    costs = [np.where(a, v["cost"], joint.argmax(0) != y) for a in rules]
    return np.mean(costs, 1), np.std(costs, 1) / math.sqrt(n)


def check(root) -> dict:
    """Compare what is told of the probe with scipy; return all."""
    v = values(root)
    x, pi, c = np.array(v["probe"]), v["strangers"], v["cost"]
    log_joint = classes(v)(x)
    log_p = np.logaddexp(*log_joint)
    log_strange = math.log(pi * U) if pi else -math.inf
    log_r = np.logaddexp(math.log(1 - pi) + log_p, log_strange)
    wrong = np.exp(np.logaddexp(log_strange, math.log(1 - pi) + log_joint.min()) - log_r)
    posterior = special.softmax(log_joint)
    for mine, wanted in (
        (v["log_joint"], log_joint),
        (v["log_p"], log_p),
        (v["log_r"], log_r),
        (v["posterior"], posterior),
        (v["stranger"], np.exp(log_strange - log_r)),
        (v["familiar"], np.exp(math.log(1 - pi) + log_p - log_r)),
        (v["wrong"], wrong),
    ):
        np.testing.assert_allclose(mine, wanted, rtol=1e-9, atol=1e-300)
    best = str(log_joint.argmax())
    abstains = [False, 1 - posterior.max() > c, np.exp(log_strange - log_r) > c, wrong > c]
    assert v["rules"] == ["abstain" if a else best for a in abstains]
    np.testing.assert_allclose(v["costs_here"], np.where(abstains, c, wrong), rtol=1e-9)
    assert v["costs_here"][3] <= min(v["costs_here"]) + 1e-12 and v["costs"][3] <= min(v["costs"]) + 1e-12
    assert v["best"] == [cost < min(v["costs"]) + 1e-9 for cost in v["costs"]]
    np.testing.assert_allclose(np.sum(v["parts"], 1), v["costs"], rtol=1e-12)
    return v


def at(root, place):
    """Where a place of the plane is in the window."""
    area = root.locator(".dgm-sheet .dgm-area").bounding_box()
    return area["x"] + (place[0] + 5) / 10 * area["width"], area["y"] + (5 - place[1]) / 10 * area["height"]


def handle(root, name):
    return root.get_by_role("application", name=name)


def press(root, name):
    root.get_by_role("button", name=name, exact=True).click()


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


def shown(value, digits) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()


@pytest.mark.parametrize("name", STATES)
def test_numbers_are_those_of_scipy(page, name):
    root = show(page, STATES[name])
    for place in ((-2.4, -1.5), (0.02, 0.3), (4.9, -4.9), (-4.9, 4.9), (2.2, 1.9)):
        page.mouse.click(*at(root, place))
        v = check(root)
        np.testing.assert_allclose(v["probe"], place, atol=0.03)
    for widget, trait in ((STATES[name], trait) for trait in ("centres", "spreads", "prior", "strangers", "cost")):
        assert v[trait] == getattr(widget, trait)


@pytest.mark.parametrize("name", STATES)
def test_costs_are_those_of_another_grid_and_of_a_million_draws(page, name):
    v = check(show(page, STATES[name]))
    check_costs(v)
    mean, error = drawn(v)
    assert (abs(v["costs"] - mean) < 4 * error + 1e-5).all()


@pytest.mark.parametrize("cost", [0.02, 0.25, 0.5])
def test_costs_in_closed_form(page, cost):
    """Without strangers and with equal spreads, log p(x|1) − log p(x|0) is a normal number."""
    widget = Clouds([(-0.5, 0.2), (0.7, -1.1)], spreads=(0.8, 0.8), prior=0.3, strangers=0, cost=cost)
    v = check(show(page, widget))
    d = math.hypot(1.2, 1.3) / 0.8  # between the centres, in spreads
    odds = [stats.norm(sign * d**2 / 2 + math.log(0.3 / 0.7), d) for sign in (-1, 1)]
    error = 0.7 * odds[0].sf(0) + 0.3 * odds[1].cdf(0)
    bound = math.log((1 - cost) / cost)
    chow = 0.7 * odds[0].sf(bound) + 0.3 * odds[1].cdf(-bound)
    middle = [one.cdf(bound) - one.cdf(-bound) for one in odds]
    chow += cost * (0.7 * middle[0] + 0.3 * middle[1])
    np.testing.assert_allclose(v["costs"], [error, chow, error, chow], atol=1e-4)
    assert v["costs"][0] == v["costs"][2] and v["costs"][1] == pytest.approx(v["costs"][3], abs=1e-9)
    assert v["best"] == ([False, True, False, True] if cost < 0.5 else [True] * 4)


def test_the_default_tells_the_story(page):
    root = show(page, Clouds())
    v = check(root)
    np.testing.assert_allclose(v["costs"], [0.1249, 0.1176, 0.0691, 0.0640], atol=1e-4)
    assert v["posterior"][1] > 1 - 1e-12 and v["stranger"] > 0.9999 and v["rules"] == ["1", "1", "abstain", "abstain"]
    assert "rarer here" in sentence(root) and "sure of class 1 all the same" in sentence(root)
    press(root, "no strangers")
    v = check(root)
    assert v["costs"][0] == v["costs"][2] and v["costs"][1] == pytest.approx(v["costs"][3], abs=1e-9)
    assert v["rules"] == ["1"] * 4
    press(root, "reset")
    page.mouse.click(*at(root, (0, 0)))
    v = check(root)
    assert v["rules"][1::2] == ["abstain"] * 2 and v["rules"][0] == v["rules"][2] != "abstain"
    assert sentence(root).startswith("Both classes come here")
    press(root, "class 0 wider")
    page.mouse.click(*at(root, (4.5, 4.5)))  # behind class 1 the wider class wins
    assert check(root)["posterior"][0] > 0.999
    for name, costs in (
        ("overlapping", [0.2521, 0.2144, 0.1922, 0.1587]),
        ("far apart", [0.1006, 0.0986, 0.0476, 0.0476]),
    ):
        press(root, name)
        np.testing.assert_allclose(check(root)["costs"], costs, atol=1e-4)


def test_what_is_written_is_what_is_told(page):
    root = show(page, Clouds(rule=RULES[2], cost=0.3))
    for place in ((4, 3.5), (-0.1, 0.4), (1, 1)):
        page.mouse.click(*at(root, place))
        v, read = check(root), root.locator(".dgm-figures b").all_inner_texts()
        assert read[1:4] == [shown(-v["log_p"], 1), *(shown(log, 1) for log in v["log_joint"])]
        for told, p in ((read[0], v["posterior"][1]), (read[4], v["stranger"])):
            base, power = re.fullmatch(r"(?:1 − )?([\d.]+)(?: · 10⁻(.*))?", told).groups()
            p = 1 - p if told.startswith("1 − ") else p
            power = -int("".join(str("⁰¹²³⁴⁵⁶⁷⁸⁹".index(digit)) for digit in power)) if power else 0
            assert float(base) * 10.0**power == pytest.approx(p, rel=0.1 if power else 1e-9, abs=0 if power else 6e-4)
        what = v["rules"][2]
        assert read[5] == ("abstains" if what == "abstain" else f"decides {what}") and read[5] in sentence(root)
        assert f"cost {v['costs_here'][2]:.3f}" in root.locator(".dgm-figures").inner_text()
        assert f"expects to pay {v['costs_here'][2]:.3f}" in sentence(root)
    rows = [text.strip() for text in root.locator(".dgm-scene > text").all_text_contents()]
    for name, cost, best in zip(RULES, v["costs"], v["best"]):
        assert rows[rows.index(name) + 1] == ("least " if best else "") + f"{cost:.3f}"


def test_bars_are_as_long_as_costs(page):
    root = show(page, STATES["wide and narrow"])
    v = values(root)
    for colour, part in (("red", 0), ("purple", 1)):
        wide = root.locator(f".dgm-scene > rect.dgm-fill.dgm-{colour}").evaluate_all(
            "all => all.map((e) => +e.getAttribute('width'))"
        )[:4]
        np.testing.assert_allclose(
            np.array(wide) / wide[0] * v["parts"][0][part], np.array(v["parts"])[:, part], rtol=1e-9
        )
    hatches = root.locator(".dgm-scene > svg:has(.dgm-slanted)").evaluate_all(
        "all => all.map((e) => +e.getAttribute('width'))"
    )[:4]
    frames = root.locator(".dgm-scene > rect.dgm-fill + svg + rect.dgm-frame").evaluate_all(
        "all => all.map((e) => +e.getAttribute('width'))"
    )
    np.testing.assert_allclose(np.array(frames) / frames[0] * v["costs"][0], v["costs"], rtol=1e-9)
    assert hatches[0] == 0 and hatches[3] / frames[3] == pytest.approx(v["parts"][3][2] / v["costs"][3])


@pytest.mark.parametrize("dark", [False, True])
def test_maps_show_what_they_say(page, dark):
    """Each pixel, from the upper left: hue and strength from scipy's densities at the middle of its cell."""
    root = show(page, Clouds(spreads=(0.9, 0.6), prior=0.6), dark)
    v = values(root)
    middle = (np.arange(SIDE) + 0.5) * 10 / SIDE - 5
    x = np.stack(np.meshgrid(middle, -middle), -1)
    log_joint = classes(v)(x)
    p1, strength = special.softmax(log_joint, 0)[1], 0.8 * np.clip(1 + np.logaddexp(*log_joint) / 12, 0, 1)
    blue, orange, green = np.array([(86, 180, 233) if dark else (0, 114, 178), (230, 159, 0), (0, 158, 115)])
    sides = np.where((p1 > 0.5)[..., None], orange, blue)
    wanted = [
        (sides, 0.8 * abs(2 * p1 - 1)),
        (np.broadcast_to(green, sides.shape), strength),
        (blue + p1[..., None] * (orange - blue), strength),
    ]
    *_, rules = judged(v, x, U)

    def pixels():
        read = """e => {
            const data = e.getContext('2d').getImageData(0, 0, e.width, e.height).data;
            return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")); }"""
        data = base64.b64decode(root.locator("canvas").evaluate(read))
        return np.frombuffer(data, np.uint8).reshape(SIDE, SIDE, 4).astype(int)

    for name, (colour, alpha) in zip(MAPS, wanted):
        press(root, name)
        data = pixels()
        assert values(root)["map"] == name and abs(data[..., 3] - 255 * alpha).max() < 0.51
        visible = alpha > 0.4
        assert abs(data[..., :3] - colour)[visible].max() < 2.6  # canvases keep colours times alpha
    press(root, "decision")
    for name, abstains in zip(RULES, rules):
        press(root, name)
        data = pixels()
        assert ((abs(data[..., :3] - 128).max(-1) < 6) == abstains).all()
        assert abs(data[..., :3] - sides)[~abstains].max() < 2.6 and set(data[..., 3][~abstains]) <= {153}
        if abstains.any():
            assert {31, 230} <= set(data[..., 3][abstains])  # stripes
    box, frame = root.locator("canvas").bounding_box(), root.locator(".dgm-sheet .dgm-area").bounding_box()
    assert all(abs(box[key] - frame[key]) < 2 for key in box)


def test_the_mouse_moves_clouds_and_probe(page):
    root = show(page, Clouds())
    before = np.array(values(root)["seen"])
    drag(page, at(root, (-1.2, -0.6)), at(root, (-3, 2)))
    v = check(root)
    np.testing.assert_allclose(v["centres"], [(-3, 2), (1.2, 0.6)], atol=0.03)
    moved = np.array(v["seen"]) - before
    np.testing.assert_allclose(
        moved[0], np.broadcast_to(np.subtract(v["centres"][0], (-1.2, -0.6)), (60, 2)), atol=1e-9
    )
    assert not moved[1].any()
    check_costs(v)
    drag(page, at(root, (1.2, 0.6)), at(root, (1.2, 8)))  # no farther than 4
    v = check(root)
    assert v["centres"][1] == pytest.approx([1.2, 4], abs=0.03) and v["centres"][1][1] == 4
    drag(page, at(root, (4.2, 3.4)), at(root, (2.2, -2.1)))  # held beside its middle
    assert check(root)["probe"] == pytest.approx([2, -2], abs=0.03)
    page.mouse.move(*at(root, (0, 0)))  # released
    page.mouse.click(*at(root, (-4.5, 3)))
    v = check(root)
    assert v["probe"] == pytest.approx([-4.5, 3], abs=0.03)
    told = page.evaluate("saved")
    assert told["probe"] == v["probe"] and told["centres"] == v["centres"]
    press(root, "reset")
    v = values(root)
    assert v["probe"] == [4, 3.5] and v["centres"] == [[-1.2, -0.6], [1.2, 0.6]]


def test_a_finger_moves_clouds_and_scrolls(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1600}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, Clouds())
        assert root.locator(".dgm-sheet .dgm-area").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"
        assert root.locator(".dgm-grip").first.evaluate("e => getComputedStyle(e).touchAction") == "none"
        touch, (x, y) = context.new_cdp_session(page), at(root, (1.2, 0.6))
        for kind, step in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40), ("touchMove", 60)):
            point = {"x": x + step, "y": y + step}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)  # moves are told once for each frame
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        centre = check(root)["centres"][1]
        far = 60 * 10 / root.locator(".dgm-sheet .dgm-area").bounding_box()["width"]
        assert centre == pytest.approx([1.2 + far, 0.6 - far], abs=0.03)
        x, y = at(root, (-4, 4))
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        page.wait_for_timeout(60)
        assert check(root)["probe"] == [4, 3.5]  # this finger may want to scroll
        touch.send("Input.dispatchTouchEvent", {"type": "touchCancel", "touchPoints": []})
        page.touchscreen.tap(*at(root, (-3, -3)))
        assert check(root)["probe"] == pytest.approx([-3, -3], abs=0.03)
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, Clouds())
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    zero, probe = handle(root, "centre of class 0"), handle(root, "probe x")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowUp"):
        zero.press(key)
        check(root)
    assert check(root)["centres"] == [[-1.3, -0.49], [1.2, 0.6]] and "(−1.30, −0.49)" in zero.get_attribute(
        "aria-label"
    )
    zero.press("Home")
    handle(root, "centre of class 1").press("ArrowDown")
    assert check(root)["centres"] == [[-1.2, -0.6], [1.2, 0.5]]
    said = probe.get_attribute("aria-label")
    assert "(4.00, 3.50)" in said and f"surprise {-values(root)['log_p']:.1f} nats" in said
    for _ in range(12):
        probe.press("ArrowRight")
    assert check(root)["probe"] == [5, 3.5] and probe.get_attribute("aria-label") != said
    assert set(page.evaluate("seen")) == {"Shift"}
    sliders, changed = root.get_by_role("slider"), []
    for i, key in enumerate(("ArrowRight", "ArrowLeft", "End", "Home", "ArrowUp")):
        sliders.nth(i).press(key)
        v = check(root)
        changed.append((*v["spreads"], v["prior"], v["strangers"], v["cost"]))
        assert sliders.nth(i).get_attribute("aria-valuetext").startswith(f"{changed[-1][i]:.2f}; p(y = ")
    assert changed[-1] == (0.75, 0.65, 0.95, 0, 0.26)
    check_costs(v)
    root.get_by_role("button", name="least expected cost").focus()
    page.keyboard.press("Enter")
    assert values(root)["rule"] == RULES[3]
    assert root.get_by_role("button", name="least expected cost").get_attribute("aria-pressed") == "true"
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('least expected cost')")
    assert root.get_by_role("status").text_content() == sentence(root)


def test_every_slider_can_be_dragged(page):
    root = show(page, Clouds())
    for i in range(5):
        before = values(root)
        box = root.get_by_role("slider").nth(i).locator(".dgm-touch").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        drag(page, (x, y), (x + 45, y))
        after = check(root)
        assert after["costs"] != before["costs"]


def test_moves_are_smooth(page):
    """All cells are added up again for each move of a cloud, and only then."""
    root = show(page, Clouds())
    took = page.evaluate("""() => {
        const began = performance.now(), node = document.querySelector('.dgm-kind');
        const key = () => node.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp', bubbles: true }));
        for (let k = 0; k < 20; k++) key();
        return (performance.now() - began) / 20; }""")
    assert took < 150, f"{took} ms for each move"
    assert check(root)["centres"][0] == [-1.2, 1.4]


def test_nothing_is_left_when_removed(page):
    show(page, Clouds())
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


def test_the_data_are_those_that_python_drew(page):
    widget = Clouds(n=7, seed=4, spreads=(0.5, 1))
    offsets = np.random.default_rng(4).standard_normal((2, 7, 2))
    wanted = np.array(widget.centres)[:, None] + np.array(widget.spreads)[:, None, None] * offsets
    root = show(page, widget)
    np.testing.assert_allclose(values(root)["seen"], wanted, atol=1e-6)
    side = float(root.locator(".dgm-scene > svg").first.get_attribute("width"))
    for sign, points in zip((".dgm-sign.dgm-blue", ".dgm-sign.dgm-orange"), wanted):
        d = root.locator(f".dgm-scene > svg {sign}").first.get_attribute("d")
        starts = np.array(re.findall(r"M([-\d.]+) ([-\d.]+)", d), dtype=float)
        np.testing.assert_allclose(
            starts, [(2 + (a + 5) * side / 10, 26 + (5 - b) * side / 10) for a, b in points], atol=0.06
        )


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (900, False)])
@pytest.mark.parametrize("map", [MAPS[2], MAPS[3]])
def test_fits_and_is_accessible(page, map, width, dark):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, Clouds(map=map, rule=RULES[3]), dark)
    root.get_by_role("slider").last.press("End")
    fits(page, root, width)


@pytest.mark.parametrize("name", STATES)
def test_fits_a_slide(page, name):
    root = on_a_slide(page, STATES[name])
    for rule in RULES:
        press(root, rule)
        assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    assert json.loads(root.get_attribute("data-values"))["rule"] == RULES[3]
