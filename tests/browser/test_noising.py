"""Noising as learners push it: schedules and both ways against torch and numpy, noises against their generator."""

import base64

import numpy as np
import pytest
from scipy import stats

from dgmlite.models.diffusion import Schedule
from dgmlite.widgets import Noising

from .test_bend import fits, sentence
from .test_elbo import overlaps, slide, sliders
from .test_reparam import noises
from .test_widgets import show, values

RANDOM = np.random.default_rng(0)
KINDS = {"log-SNR": "log-snr", "linear": "linear", "cosine": "cosine"}
ENDS = {"odd": (5, -3)}
STATES = {
    "as given": Noising(),
    "odd": Noising(RANDOM.integers(3, size=(6, 3, 5)), levels=3, T=10, ends=ENDS["odd"], task=""),
    "MNIST's size": Noising(RANDOM.integers(256, size=(2, 28, 28)), levels=256, T=40),
}
_NOISE = {}


def epsilon(seed, count):
    if (seed, count) not in _NOISE:
        _NOISE[seed, count] = noises(seed, count)
    return _NOISE[seed, count]


def check(root, widget, ends=(8.0, -8.0)) -> dict:
    """Compare what is shown with the library's schedule, and pictures with the formulas; return it."""
    v = values(root)
    s, t, (H, W) = Schedule(widget.T, v["kind"], ends), v["t"], widget.shape
    D = H * W
    for name, array in (("alpha", s.alpha), ("sigma", s.sigma), ("beta", s.beta)):
        assert v[name] == pytest.approx(array[t].item(), rel=1e-9, abs=1e-12), name
    assert v["alpha"] ** 2 + v["sigma"] ** 2 == pytest.approx(1, abs=1e-12)
    if t:
        assert v["log_snr"] == pytest.approx(2 * np.log(v["alpha"] / v["sigma"]), rel=1e-9, abs=1e-9)
    levels = np.frombuffer(base64.b64decode(widget.images), "u1").reshape(-1, D)[v["image"]]
    x = 2.0 * levels / (widget.levels - 1) - 1
    np.testing.assert_allclose(v["epsilon"], epsilon(v["seed"], D), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(v["jumped"], v["alpha"] * x + v["sigma"] * np.array(v["epsilon"]), rtol=0, atol=1e-12)
    z, small = x, epsilon(1, widget.T * D).reshape(widget.T, D)
    for beta, noise in zip(s.beta[1 : t + 1].tolist(), small):
        z = np.sqrt(1 - beta) * z + np.sqrt(beta) * noise
    np.testing.assert_allclose(v["walked"], z, rtol=0, atol=1e-9)
    return v


def go(page, root, *keys):
    sliders(root)[0].focus()
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.parametrize("name", STATES)
def test_numbers_are_those_of_the_library(page, name):
    """At both ends and between, for each schedule and several pictures."""
    widget, ends = STATES[name], ENDS.get(name, (8.0, -8.0))
    root = show(page, widget)
    assert check(root, widget, ends)["t"] == widget.T // 2
    for words, kind in KINDS.items():
        root.get_by_role("button", name=words, exact=True).click()
        for keys, t in ((("Home",), 0), (("ArrowRight",), 1), (("ArrowUp",), 2), (("End",), widget.T)):
            go(page, root, *keys)
            v = check(root, widget, ends)
            assert (v["kind"], v["t"]) == (kind, t) and page.evaluate("saved.time") == t
        root.get_by_role("button", name="picture 2").click()
        go(page, root, "PageDown")
        v = check(root, widget, ends)
        assert v["image"] == 1 and v["t"] == max(widget.T - 10, 0)
        root.get_by_role("button", name="new jump").click()
        assert check(root, widget, ends)["seed"] == v["seed"] + 1


def test_both_ways_draw_from_the_same_distribution(page):
    """Of 28 × 28 pixels, what both ways have added to α x is N(0, σ²), by Kolmogorov and Smirnov; they are unlike."""
    widget = STATES["MNIST's size"]
    root = show(page, widget)
    v = check(root, widget)
    levels = np.frombuffer(base64.b64decode(widget.images), "u1")[: 28 * 28]
    added = [(np.array(v[way]) - v["alpha"] * (2.0 * levels / 255 - 1)) / v["sigma"] for way in ("walked", "jumped")]
    for noise in added:
        assert stats.kstest(noise, "norm").pvalue > 0.01
    assert abs(np.corrcoef(added)[0, 1]) < 0.1


def test_a_step_changes_a_picture_a_little_and_a_jump_all_of_it(page):
    root = show(page, Noising())
    before = check(root, Noising())
    go(page, root, "ArrowRight")
    after = check(root, Noising())
    assert np.corrcoef(before["walked"], after["walked"])[0, 1] > 0.95 and before["epsilon"] == after["epsilon"]
    root.get_by_role("button", name="new jump").click()
    again = check(root, Noising())
    assert again["walked"] == after["walked"]
    assert abs(np.corrcoef(again["epsilon"], after["epsilon"])[0, 1]) < 0.3


def test_pictures_are_drawn_from_white_to_black(page):
    """−1 is white, 1 black, as in the other widgets; beyond is clipped. Each pixel has its place."""
    widget = STATES["odd"]
    root = show(page, widget)
    for keys in (("Home",), ("End",)):
        go(page, root, *keys)
        v = check(root, widget, ENDS["odd"])
        levels = np.frombuffer(base64.b64decode(widget.images), "u1")[:15] / 1.0 - 1
        for n, wanted in enumerate((levels, v["walked"], v["jumped"])):
            shown = np.zeros(15)
            frame = root.locator(".dgm-scene rect.dgm-page").nth(n)
            left, top, side = (float(frame.get_attribute(key)) for key in ("x", "y", "width"))
            rects = root.locator(".dgm-scene g").nth(n).locator("rect.dgm-print")
            read = "all => all.map((r) => ['x', 'y', 'fill-opacity'].map((k) => Number(r.getAttribute(k))))"
            for x, y, ink in rects.evaluate_all(read):
                shown[round((y - top) / side * 5) * 5 + round((x - left) / side * 5)] = ink
            np.testing.assert_allclose(shown, np.clip((np.array(wanted) + 1) / 2, 0, 1), rtol=0, atol=6e-4)


def test_curves_are_those_of_the_schedules(page):
    """And the marker lies on the chosen one."""
    root = show(page, Noising())
    for words, kind in KINDS.items():
        root.get_by_role("button", name=words, exact=True).click()
        go(page, root, "PageUp")
        v = check(root, Noising())
        chosen = root.locator("path.dgm-course.dgm-on").first.get_attribute("d")
        places = np.array([pair.split() for pair in chosen[1:].split("L")], float)
        ticks = {
            round(float(e.text_content().replace("−", "-"))): float(e.get_attribute("y")) - 5
            for e in root.locator("text.dgm-small[text-anchor=end]").all()[:-1]
        }
        scale = (ticks[-8] - ticks[8]) / 16
        wanted = ticks[8] + (8 - Schedule(256, kind).log_snr[1:].numpy()) * scale
        np.testing.assert_allclose(places[:, 1], wanted, rtol=0, atol=0.06)
        dot = root.locator(".dgm-dot")
        assert float(dot.get_attribute("cy")) == pytest.approx(wanted[v["t"] - 1], abs=0.01)
        assert float(dot.get_attribute("cx")) == pytest.approx(places[v["t"] - 1, 0], abs=0.06)


def test_marks_show_what_the_three_have_in_common(page):
    """The task: at one log-SNR, the t of the schedules differ, and marks lie at one height."""
    root = show(page, Noising())
    wanted, times = -2.5, []
    for words, kind in KINDS.items():
        t = (Schedule(256, kind).log_snr - wanted).abs().argmin().item()
        times.append(t)
        root.get_by_role("button", name=words, exact=True).click()
        go(page, root, "Home", *["PageUp"] * (t // 10), *["ArrowRight"] * (t % 10))
        root.get_by_role("button", name="mark t").click()
        assert f"{words} at t = {t}, log-SNR −2." in sentence(root)
    assert check(root, Noising())["marks"] == times == [168, 129, 210]
    flags = root.locator(".dgm-flag").evaluate_all(
        "all => all.map((f) => f.getAttribute('d').match(/ ([-\\d.]+)l/)[1])"
    )
    assert np.ptp(np.array(flags, float)) < 1
    root.get_by_role("button", name="mark t").click()  # takes it away
    assert check(root, Noising())["marks"] == [168, 129, -1]
    root.get_by_role("button", name="reset").click()
    v = check(root, Noising())
    assert (v["marks"], v["t"], v["kind"], v["image"], v["seed"]) == ([-1, -1, -1], 128, "log-snr", 0, 2)


def test_what_is_seen_is_told(page):
    root = show(page, Noising())
    page.wait_for_function("document.querySelector('[role=status]').textContent")
    assert root.get_by_role("status").text_content() == root.locator(".dgm-sentence").text_content()
    go(page, root, "Home")
    assert "there is no noise" in sentence(root)
    assert sliders(root)[0].get_attribute("aria-valuetext") == "0 of 256; log-SNR ∞"
    go(page, root, "End")
    assert f"σ² is {np.exp(8):.0f} times α²" in sentence(root)
    read = root.locator(".dgm-figure b").all_inner_texts()
    assert read == ["0.018", "1.000", "−8.00", "0.0608"]
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


@pytest.mark.parametrize("width", [1000, 390])
def test_by_mouse(page, width):
    """A tap on the curve goes there, and the handle is dragged."""
    page.set_viewport_size({"width": width, "height": 1000})
    root = show(page, Noising())
    area = root.locator(".dgm-slider .dgm-area").bounding_box()
    page.mouse.click(area["x"] + area["width"] * 0.25, area["y"] + 30)
    assert check(root, Noising())["t"] == pytest.approx(64, abs=1)
    box = root.locator(".dgm-knob").bounding_box()
    x, y = box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    assert check(root, Noising())["t"] == pytest.approx(64, abs=1)
    page.mouse.move(x + area["width"] / 2, y - 9, steps=4)
    page.mouse.up()
    assert check(root, Noising())["t"] == page.evaluate("saved.time") == pytest.approx(192, abs=1)


def test_by_finger(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1000}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, Noising())
        touch, box = context.new_cdp_session(page), root.locator(".dgm-touch").bounding_box()
        unit = root.locator(".dgm-slider .dgm-area").bounding_box()["width"] / 256
        for kind, move in (("touchStart", 0), ("touchMove", -10), ("touchMove", -100 * unit)):
            point = {"x": box["x"] + box["width"] / 2 + move, "y": box["y"] + box["height"] / 2}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert check(root, Noising())["t"] == pytest.approx(28, abs=2)
        page.get_by_role("button", name="cosine").tap()
        assert check(root, Noising())["kind"] == "cosine"
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, Noising())
    for button, name, value in (("picture 2", "image", 1), ("cosine", "kind", "cosine"), ("new jump", "seed", 3)):
        root.get_by_role("button", name=button).focus()
        page.keyboard.press("Enter")
        assert check(root, Noising())[name] == value
    assert root.get_by_role("button", name="cosine").get_attribute("aria-pressed") == "true"
    go(page, root, "Shift+ArrowRight")  # there is nothing between two steps
    assert check(root, Noising())["t"] == 128


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (600, False), (900, True)])
@pytest.mark.parametrize("name", STATES)
def test_fits_and_is_accessible(page, width, dark, name):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, STATES[name], dark)
    for button in ("mark t", "linear", "cosine"):
        root.get_by_role("button", name=button).click()
        assert overlaps(root) == []
    sliders(root)[0].focus()
    fits(page, root, width)


@pytest.mark.parametrize("name", STATES)
def test_fits_a_slide(page, name):
    slide(page, STATES[name])
    root = page.locator(".dgm")
    for words in KINDS:
        root.get_by_role("button", name=words, exact=True).click()
        root.get_by_role("button", name="mark t").click()
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    assert page.evaluate("document.documentElement.scrollWidth") == 1280 and overlaps(root) == []
    check(root, STATES[name], ENDS.get(name, (8.0, -8.0)))
