"""ReverseStep as learners push it: the exact step back by quadrature over x, divergences by scipy's quad."""

import itertools
import re

import numpy as np
import pytest
from scipy import integrate, special, stats

from dgmlite.models.diffusion import Schedule
from dgmlite.widgets import ReverseStep

from .test_bend import fits, sentence
from .test_elbo import overlaps, slide, sliders
from .test_widgets import show, values

STATES = {
    "as given": ReverseStep(),
    "two humps": ReverseStep(log_snr=(3, 0), z=0.3),
    "three": ReverseStep((-1.5, 0, 1.5), (0.1, 0.3, 0.05), (0.3, 0.3, 0.4), (4, -1), -0.1),
    "a long step": ReverseStep((-2, 2), (0.05, 0.05), (0.99, 0.01), (8, -8), 4, task=""),
    "a small step": ReverseStep((-1, 1), (0.2, 1), (0.5, 0.5), (1.01, 1), -0.3),
}
ORDER = {"z": 0, "t": 1, "s": 2}


def noise(log_snr):
    return np.sqrt(special.expit(log_snr)), special.expit(-log_snr)


def log_mixture(x, parts):
    return special.logsumexp([np.log(p) + stats.norm.logpdf(x, m, np.sqrt(v)) for p, m, v in parts if p > 0], axis=0)


def joint(widget, v):
    """log q(z_s, z_t), by the chain q(z_s) q(z_t | z_s): the posterior's formulas are not used."""
    (a_s, v_s), (a_t, v_t) = noise(v["log_snr"][0]), noise(v["log_snr"][1])
    parts = [(w, a_s * m, a_s**2 * d**2 + v_s) for w, m, d in zip(widget.weights, widget.means, widget.stds)]
    r = a_t / a_s
    return lambda x: log_mixture(x, parts) + stats.norm.logpdf(v["z"], r * x, np.sqrt(v_t - r**2 * v_s))


def quad(f, v):
    """∫ f over all of the exact curve, cut where its parts are."""
    ends = [m + k * s for m, s in zip(v["means"], np.sqrt(v["variances"])) for k in (-14, -5, -2, 0, 2, 5, 14)]
    ends = np.unique(ends)
    return sum(integrate.quad(f, a, b, epsabs=1e-13, epsrel=1e-11, limit=200)[0] for a, b in itertools.pairwise(ends))


def check(root, widget, thorough=False) -> dict:
    """Compare what is shown with Bayes' rule by quadrature; return it."""
    v = values(root)
    (a_s, v_s), (a_t, v_t) = noise(v["log_snr"][0]), noise(v["log_snr"][1])
    assert v["log_snr"][0] - v["log_snr"][1] == pytest.approx(v["step"], abs=1e-12) and v["step"] > 0.0099
    exact, log_joint = list(zip(v["posterior"], v["means"], v["variances"])), joint(widget, v)
    noisy = [(w, a_t * m, a_t**2 * d**2 + v_t) for w, m, d in zip(widget.weights, widget.means, widget.stds)]
    log_total = log_mixture(v["z"], noisy)
    assert v["density"] == pytest.approx(np.exp(log_total), rel=1e-9)
    x = v["mean"] + np.sqrt(v["variance"]) * np.linspace(-3, 3, 25)
    curve = log_mixture(x, exact)
    seen = curve > -300
    np.testing.assert_allclose(curve[seen], log_joint(x)[seen] - log_total, rtol=1e-8, atol=1e-8)
    assert sum(v["posterior"]) == pytest.approx(1, abs=1e-12)
    assert v["ddpm"]["mean"] == pytest.approx(v["mean"], rel=1e-9, abs=1e-9)
    # DDPM's: the same Bayes with all data at x̂, as precisions add up
    r, beta = a_t / a_s, v_t - (a_t / a_s) ** 2 * v_s
    precision = 1 / v_s + r**2 / beta
    assert v["ddpm"]["variance"] == pytest.approx(1 / precision, rel=1e-7)
    mean = (a_s * v["x_hat"] / v_s + r * v["z"] / beta) / precision
    assert v["ddpm"]["mean"] == pytest.approx(mean, rel=1e-7, abs=1e-9)
    assert v["ddpm"]["variance"] < v["variance"] and v["kl_ddpm"] >= v["kl_moments"] >= 0
    if thorough:
        p = lambda x: np.exp(log_joint(x) - log_total)  # noqa: E731
        assert quad(p, v) == pytest.approx(1, abs=1e-9)
        mean = quad(lambda x: x * p(x), v)
        variance = quad(lambda x: (x - mean) ** 2 * p(x), v)
        assert (v["mean"], v["variance"]) == pytest.approx((mean, variance), rel=1e-8, abs=1e-9)
        for name, spread in (("moments", variance), ("ddpm", v["ddpm"]["variance"])):
            gauss = stats.norm(mean, np.sqrt(spread))
            kl = quad(lambda x: p(x) * (log_joint(x) - log_total - gauss.logpdf(x)), v)  # noqa: B023
            assert v[f"kl_{name}"] == pytest.approx(kl, rel=1e-6, abs=1e-8), name
    return v


@pytest.mark.parametrize("name", STATES)
def test_numbers_are_those_of_quadrature(page, name):
    widget = STATES[name]
    root = show(page, widget)
    v = check(root, widget, thorough=True)
    assert [*v["log_snr"], v["z"]] == widget.initial
    for handle, key in (("z", "PageUp"), ("t", "PageDown"), ("s", "End"), ("z", "Home"), ("t", "Home")):
        sliders(root)[ORDER[handle]].focus()
        page.keyboard.press(key)
        check(root, widget, thorough=True)


def test_numbers_along_a_walk(page):
    widget, rng = STATES["three"], np.random.default_rng(0)
    root = show(page, widget)
    for step in range(40):
        sliders(root)[rng.integers(3)].focus()
        page.keyboard.press(rng.choice(["ArrowUp", "ArrowLeft", "Shift+ArrowUp", "PageUp", "PageDown", "Home", "End"]))
        if step % 5 == 0:
            root.get_by_role("button", name=rng.choice(["half", "double"])).click()
        check(root, widget, thorough=step % 8 == 0)


def test_the_step_is_that_of_the_library(page):
    """Schedule.posterior: a, b and c of DDPM's step, from the same log-SNRs."""
    schedule = Schedule(2, ends=(2.5, -0.5))
    root = show(page, ReverseStep(log_snr=(2.5, -0.5), z=0.7))
    v = check(root, ReverseStep())
    a, b, c = schedule.posterior(2)
    assert v["ddpm"]["mean"] == pytest.approx(a * v["x_hat"] + b * 0.7, rel=1e-9)
    assert v["ddpm"]["variance"] == pytest.approx(c**2, rel=1e-9)


def test_samples_of_the_chain_agree(page):
    """x, z_s and z_t drawn forward; of those near the z_t chosen, the mean and the spread of z_s."""
    widget, rng, n = STATES["two humps"], np.random.default_rng(0), 4_000_000
    v = check(show(page, widget), widget)
    k = rng.random(n) < 0.65
    (a_s, v_s), (a_t, v_t) = noise(3.0), noise(0.0)
    z_s = a_s * (np.where(k, 1, -1) + 0.15 * rng.standard_normal(n)) + np.sqrt(v_s) * rng.standard_normal(n)
    r = a_t / a_s
    z_t = r * z_s + np.sqrt(v_t - r**2 * v_s) * rng.standard_normal(n)
    near = z_s[abs(z_t - 0.3) < 0.005]
    assert near.mean() == pytest.approx(v["mean"], abs=4 * near.std() / len(near) ** 0.5)
    assert near.var() == pytest.approx(v["variance"], rel=0.05)
    assert (near > 0).mean() == pytest.approx(v["posterior"][1], abs=0.02)


def test_the_task_can_be_done(page):
    """Two humps, and how short the step must be, at this z_t, to be Gaussian to the eye."""
    root = show(page, ReverseStep(log_snr=(3, 1), z=0))
    v = check(root, ReverseStep())
    assert v["humps"] == 2 and v["kl_moments"] > 0.5 and "Two humps, which no Gaussian has" in sentence(root)
    seen = []
    for _ in range(6):
        root.get_by_role("button", name="half the step").click()
        v = check(root, ReverseStep())
        seen.append((v["humps"], v["gap"] < 0.01, v["gap_ddpm"] < 0.01))
    assert seen[0][:2] == (2, False)
    assert [s[1] for s in seen].index(True) == 4 and v["step"] == pytest.approx(2 / 64, abs=1e-9)
    assert "no eye can tell" in sentence(root) and "it is too narrow" in sentence(root)


def test_humps_are_maxima(page):
    for widget, humps in ((STATES["as given"], 1), (STATES["two humps"], 2), (STATES["three"], 3)):
        v = check(show(page, widget), widget)
        exact = list(zip(v["posterior"], v["means"], v["variances"]))
        grid = np.linspace(-4, 4, 20001)
        log_p = log_mixture(grid, exact)
        tops = (log_p[1:-1] > log_p[:-2]) & (log_p[1:-1] > log_p[2:]) & (log_p[1:-1] > log_p.max() + np.log(0.01))
        assert v["humps"] == tops.sum() == humps
    v = check(show(page, ReverseStep(log_snr=(3, 1))), ReverseStep())
    assert v["humps"] == 1 and v["posterior"][0] == pytest.approx(0.004, abs=0.001)  # the other has less than 1 %


def test_gaps_are_measured_between_the_curves(page):
    for widget in (STATES["as given"], STATES["two humps"], STATES["a small step"]):
        v = check(show(page, widget), widget)
        x = v["mean"] + np.sqrt(v["variance"]) * np.linspace(-4, 4, 20001)
        p = np.exp(log_mixture(x, list(zip(v["posterior"], v["means"], v["variances"]))))
        for name, spread in (("gap", v["variance"]), ("gap_ddpm", v["ddpm"]["variance"])):
            gap = abs(p - stats.norm.pdf(x, v["mean"], np.sqrt(spread))).max() / p.max()
            assert v[name] == pytest.approx(gap, rel=2e-2), name


def test_curves_are_drawn_where_they_are(page):
    """The exact curve against its formula, in the units of the axis below it."""
    root = show(page, STATES["two humps"])
    v = check(root, STATES["two humps"])
    view = root.locator(".dgm-scene > svg")
    base = float(view.get_attribute("y")) + float(view.get_attribute("height"))
    d = view.locator("path.dgm-edge").first.get_attribute("d")
    x, y = np.array([pair.split() for pair in re.split("[ML]", d)[1:]], float).T
    ticks = {
        float(t.text_content().replace("−", "-")): float(t.get_attribute("x"))
        for t in root.locator("text.dgm-small[text-anchor=middle]").all()
        if float(t.get_attribute("x")) < x.max() and base < float(t.get_attribute("y")) < base + 25
    }
    (one, at_one), (two, at_two) = sorted(ticks.items())[:2]
    z_s = one + (x - at_one) * (two - one) / (at_two - at_one)
    p = np.exp(log_mixture(z_s, list(zip(v["posterior"], v["means"], v["variances"]))))
    np.testing.assert_allclose((y.max() - y) / np.ptp(y), p / p.max(), rtol=0, atol=0.01)
    styles = root.locator(".dgm-scene svg path.dgm-edge").evaluate_all(
        "all => all.map((p) => getComputedStyle(p).strokeDasharray)"
    )
    assert len(set(styles)) == 3  # not by colour alone


def test_s_stays_before_t(page):
    """t cannot pass s, nor s t: a step is at least 0.01 long."""
    root = show(page, ReverseStep())
    for name, key, pair in (("t", "End", [2, 1.99]), ("s", "Home", [2, 1.99]), ("t", "Home", [2, -8])):
        sliders(root)[ORDER[name]].focus()
        page.keyboard.press(key)
        assert check(root, ReverseStep())["log_snr"] == pytest.approx(pair, abs=1e-12)
    for _ in range(3):
        root.get_by_role("button", name="double the step").click()
    assert check(root, ReverseStep())["log_snr"] == [8, -8]
    for _ in range(12):
        root.get_by_role("button", name="half the step").click()
    assert check(root, ReverseStep(), thorough=True)["log_snr"] == pytest.approx([-7.99, -8], abs=1e-12)
    root.get_by_role("button", name="reset").click()
    v = check(root, ReverseStep())
    assert v["log_snr"] == [2, 1] and v["z"] == 0.8


def test_what_is_seen_is_told(page):
    root = show(page, STATES["as given"])
    v = check(root, STATES["as given"])
    share = 100 * v["ddpm"]["variance"] / v["variance"]
    read = root.locator(".dgm-figure b").all_inner_texts()
    assert read == ["1.00", f"{v['kl_moments']:.4f}", f"{v['kl_ddpm']:.4f}", f"{share:.1f}"]
    assert "16.0 from −8 to 8" in root.locator(".dgm-figures").inner_text()
    page.wait_for_function("document.querySelector('[role=status]').textContent")
    assert root.get_by_role("status").text_content() == root.locator(".dgm-sentence").text_content()
    assert f"up to {100 * v['gap']:.1f} % of its height away" in sentence(root)
    assert sliders(root)[0].get_attribute("aria-valuetext").startswith("0.80; step 1.00; KL from the Gaussian 0.0")
    root = show(page, ReverseStep(log_snr=(1.05, 1)))
    v = check(root, ReverseStep())
    shown = root.locator(".dgm-figure b").nth(1).inner_text()  # too small for four digits
    digits = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", range(10)))
    assert float(shown.split("·")[0]) * 10.0 ** -digits[shown[-1]] == pytest.approx(v["kl_moments"], rel=0.06)
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


@pytest.mark.parametrize("width", [1000, 390])
def test_handles_by_mouse(page, width):
    page.set_viewport_size({"width": width, "height": 1000})
    root = show(page, ReverseStep(log_snr=(1.05, 1)))  # where they are closest
    axis = (min(width - 16, 860) - 16) / 16
    for name, move, across in (("s", 2, axis), ("t", -1.5, axis), ("z", -1, None)):
        handle = sliders(root)[ORDER[name]]
        across = across or handle.locator(".dgm-area").bounding_box()["width"] / 8
        box = handle.locator(".dgm-knob").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = check(root, ReverseStep())
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + move * across, y + 4, steps=4)
        page.mouse.up()
        v = check(root, ReverseStep())
        for key, old, new in zip("stz", [*before["log_snr"], before["z"]], [*v["log_snr"], v["z"]]):
            assert new == pytest.approx(old + move * (key == name), abs=0.16), (name, key)
    area = sliders(root)[0].locator(".dgm-area").bounding_box()
    page.mouse.click(area["x"] + area["width"] / 4, area["y"] + area["height"] - 30)
    assert check(root, ReverseStep())["z"] == page.evaluate("saved.z") == pytest.approx(-2, abs=0.06)


def test_handles_by_finger(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1000}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, ReverseStep())
        touch, box = context.new_cdp_session(page), sliders(root)[2].locator(".dgm-knob").bounding_box()
        for kind, move in (("touchStart", 0), ("touchMove", 8), ("touchMove", 3 * 358 / 16)):
            point = {"x": box["x"] + box["width"] / 2 + move, "y": box["y"] + box["height"] / 2}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert check(root, ReverseStep())["log_snr"] == pytest.approx([5, 1], abs=0.11)
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, ReverseStep())
    for name, keys, wanted in (
        ("z", ("Home", "ArrowUp", "Shift+ArrowRight"), -3.89),
        ("s", ("End", "ArrowLeft", "PageDown"), 6.9),
        ("t", ("Home", "PageUp", "Shift+ArrowDown"), -7.01),
    ):
        sliders(root)[ORDER[name]].focus()
        for key in keys:
            page.keyboard.press(key)
        v = check(root, ReverseStep())
        assert dict(zip("stz", [*v["log_snr"], v["z"]]))[name] == pytest.approx(wanted, abs=1e-12)
    root.get_by_role("button", name="half the step").focus()
    page.keyboard.press("Enter")
    assert check(root, ReverseStep())["step"] == pytest.approx(13.91 / 2)


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (600, False), (900, True)])
@pytest.mark.parametrize("name", STATES)
def test_fits_and_is_accessible(page, width, dark, name):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, STATES[name], dark)
    for button in (None, "half the step", "half the step"):
        if button:
            root.get_by_role("button", name=button).click()
        assert overlaps(root) == []
    sliders(root)[0].focus()
    fits(page, root, width)


@pytest.mark.parametrize("name", STATES)
def test_fits_a_slide(page, name):
    slide(page, STATES[name])
    root = page.locator(".dgm")
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    assert page.evaluate("document.documentElement.scrollWidth") == 1280 and overlaps(root) == []
    check(root, STATES[name])
