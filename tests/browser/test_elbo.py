"""ElboSplit as learners push it: both splits of the bound against sums in numpy, by mouse, finger and keys."""

import base64

import numpy as np
import pytest
from scipy import integrate, optimize, special, stats

from dgmlite.widgets import ElboSplit

from .test_bend import fits, sentence
from .test_widgets import document, show, values

Z = np.linspace(-4, 4, 161)
FEW = np.linspace(0.5, 4.5, 50)
STATES = {
    "as given": ElboSplit(),
    "two humps": ElboSplit(Z, stats.norm.logpdf(Z), stats.norm.logpdf(1.5, Z**2 + 0.4 * Z, 0.6), -1, 0.3),
    "a digit": ElboSplit(Z, stats.norm.logpdf(Z), -83.2 - 6 * (Z - 0.7) ** 2 + np.sin(3 * Z)),
    "a Gaussian": ElboSplit(Z, stats.norm.logpdf(Z), stats.norm.logpdf(1, Z, 0.5), task=""),
    "few points": ElboSplit(FEW, stats.norm.logpdf(FEW, 2.5, 0.4), 12 * FEW, 2, 0.2),
}


def grid(widget):
    """z, log p(z), a distribution over the grid, and log p(x | z)."""
    return (np.frombuffer(base64.b64decode(v), "<f8") for v in (widget.z, widget.log_prior, widget.log_likelihood))


def terms(widget, m, s):
    z, log_prior, log_likelihood = grid(widget)
    log_q = special.log_softmax(-0.5 * ((z - m) / s) ** 2)
    q, log_px = np.exp(log_q), special.logsumexp(log_prior + log_likelihood)
    return {
        "log_px": log_px,
        "elbo": (q * (log_prior + log_likelihood - log_q)).sum(),
        "kl_posterior": (q * (log_q - log_prior - log_likelihood + log_px)).sum(),
        "expected": (q * log_likelihood).sum(),
        "kl_prior": (q * (log_q - log_prior)).sum(),
    }


def check(root, widget) -> dict:
    """Compare what is shown with numpy; return it."""
    v = values(root)
    m, s = v["mean"], v["std"]
    for name, value in terms(widget, m, s).items():
        assert v[name] == pytest.approx(value, rel=0, abs=1e-9), name
    assert v["elbo"] + v["kl_posterior"] == pytest.approx(v["log_px"], rel=0, abs=1e-9)
    assert v["expected"] - v["kl_prior"] == pytest.approx(v["elbo"], rel=0, abs=1e-9)
    assert min(v["kl_posterior"], v["kl_prior"]) >= -1e-12
    for name, step in (("mean", np.array([1e-4, 0])), ("std", np.array([0, 1e-4]))):
        up, down = (terms(widget, *(np.array([m, s]) + sign * step)) for sign in (1, -1))
        for term, key, sign in (("likelihood", "expected", 1), ("prior", "kl_prior", -1)):
            slope = sign * (up[key] - down[key]) / 2e-4
            assert v["pulls"][name][term] == pytest.approx(slope, rel=1e-3, abs=1e-4), (name, term)
    return v


def read(root) -> list[float]:
    shown = root.locator(".dgm-figure b").all_inner_texts()
    return [float(text.replace("−", "-")) for text in shown]


@pytest.mark.parametrize("name", STATES)
def test_both_splits_hold_along_a_walk(page, name):
    widget = STATES[name]
    root = show(page, widget)
    before, rng = check(root, widget), np.random.default_rng(0)
    assert [before["mean"], before["std"]] == widget.initial
    for _ in range(40):
        root.get_by_role("slider").nth(rng.integers(2)).focus()
        page.keyboard.press(rng.choice(["ArrowUp", "ArrowLeft", "Shift+ArrowUp", "PageUp", "PageDown", "Home", "End"]))
        v = check(root, widget)
        assert v["log_px"] == before["log_px"] and v["best"] == before["best"]
        assert v["elbo"] <= v["best"]["elbo"] + 1e-9


def test_sums_are_close_to_integrals(page):
    """Of the continuous model, by scipy's quadrature."""
    v = values(show(page, STATES["as given"]))
    joint = lambda z: stats.norm.pdf(z) * stats.norm.pdf(0.8, np.tanh(1.5 * z), 0.35)  # noqa: E731
    assert v["log_px"] == pytest.approx(np.log(integrate.quad(joint, -9, 9, epsabs=1e-12)[0]), abs=1e-5)
    expected = lambda z: stats.norm.pdf(z) * stats.norm.logpdf(0.8, np.tanh(1.5 * z), 0.35)  # noqa: E731
    assert v["expected"] == pytest.approx(integrate.quad(expected, -9, 9, epsabs=1e-12)[0], abs=2e-5)
    page.get_by_role("button", name="best q").click()
    v = values(page.locator(".dgm"))
    m, s = v["mean"], v["std"]
    q = stats.norm(m, s)
    assert v["kl_prior"] == pytest.approx((s * s + m * m - 1) / 2 - np.log(s), abs=1e-6)  # the prior ends at ±5
    expected = lambda z: q.pdf(z) * stats.norm.logpdf(0.8, np.tanh(1.5 * z), 0.35)  # noqa: E731
    assert v["expected"] == pytest.approx(integrate.quad(expected, m - 9 * s, m + 9 * s, epsabs=1e-12)[0], abs=1e-8)


@pytest.mark.parametrize("name", STATES)
def test_best_q_is_the_best(page, name):
    """Against L-BFGS from many places, within the limits of the handles."""
    widget = STATES[name]
    root = show(page, widget)
    limits = [[float(h.get_attribute(f"aria-value{end}")) for end in ("min", "max")] for h in sliders(root)]
    starts = [(m, s) for m in np.linspace(*limits[0], 9) for s in np.geomspace(*limits[1], 4)]
    runs = [optimize.minimize(lambda t: -terms(widget, *t)["elbo"], start, bounds=limits) for start in starts]
    best = min(runs, key=lambda run: run.fun)
    root.get_by_role("button", name="best q").click()
    v = check(root, widget)
    assert v["elbo"] == v["best"]["elbo"] == pytest.approx(-best.fun, abs=1e-7)
    assert [v["mean"], v["std"]] == pytest.approx(list(best.x), abs=2e-3)
    inside = all(low + 1e-6 < at < high - 1e-6 for at, (low, high) in zip((v["mean"], v["std"]), limits))
    if inside:  # the pulls cancel
        assert all(abs(sum(force.values())) < 1e-5 for force in v["pulls"].values())
    assert ("pull equally hard, in opposite directions" if inside else "as small as the handles allow") in sentence(
        root
    )
    assert inside == (name != "few points")
    if name == "a Gaussian":  # the posterior is N(0.8, 0.2)
        assert v["kl_posterior"] < 1e-6 and "q is the posterior" in sentence(root)
        assert [v["mean"], v["std"]] == pytest.approx([0.8, 0.2**0.5], abs=1e-3)


def sliders(root):
    return root.get_by_role("slider").all()


def test_the_sentence_says_what_pulls_where(page):
    widget = STATES["two humps"]
    root = show(page, widget)
    assert "likelihood pulls q left and narrows it; the prior pulls q right and widens it" in sentence(root)
    other = optimize.minimize(lambda t: -terms(widget, *t)["elbo"], (-1.2, 0.3)).x  # the smaller hump
    root = show(page, ElboSplit(Z, stats.norm.logpdf(Z), stats.norm.logpdf(1.5, Z**2 + 0.4 * Z, 0.6), *other))
    v = values(root)
    assert f"elsewhere the gap is {v['best']['elbo'] - v['elbo']:.2f} nats smaller" in sentence(root)
    root = show(page, ElboSplit())
    assert "the prior does not pull, as q is the prior" in sentence(root)
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('does not pull')")
    assert root.get_by_role("status").text_content() == root.locator(".dgm-sentence").text_content()


def test_numbers_are_read_and_drawn_in_nats_and_bits(page):
    root = show(page, STATES["two humps"])
    v = values(root)
    names = ("log_px", "elbo", "kl_posterior", "expected", "kl_prior")
    for unit, scale in (("nats", 1), ("bits", np.log(2))):
        root.get_by_role("button", name=unit).click()
        assert values(root) == v
        assert read(root) == pytest.approx([v[n] / scale for n in names], abs=6e-4)
        sums = [text.replace("−", "-") for text in root.locator("text.dgm-strong").all_text_contents()]
        shown = {n: f"{v[n] / scale:.3f}" for n in names}
        assert sums == [
            f"{shown['log_px']} = {shown['elbo']} + {shown['kl_posterior']}",
            f"{shown['elbo']} = {shown['expected']} - {shown['kl_prior']}",
        ]
        assert f"{v['kl_posterior'] / scale:.2f} {unit} below" in sentence(root)


def test_bars_share_one_scale(page):
    """Their lengths are as the two KL divergences, both begin at the ELBO, and log p(x) never moves."""
    root = show(page, STATES["two humps"])
    place = lambda: root.locator("line.dgm-chosen:not(.dgm-green)").get_attribute("x1")  # noqa: E731
    first = place()
    for key in ("ArrowLeft", "ArrowRight", "ArrowRight", "PageUp"):
        sliders(root)[0].focus()
        page.keyboard.press(key)
        v = values(root)
        gap, cost = (root.locator(f"rect.dgm-tint.dgm-{colour}") for colour in ("blue", "purple"))
        lengths = [float(bar.get_attribute("width")) for bar in (gap, cost)]
        assert lengths[0] / lengths[1] == pytest.approx(v["kl_posterior"] / v["kl_prior"], rel=1e-6)
        assert gap.get_attribute("x") == cost.get_attribute("x") and place() == first


def test_an_elbo_beyond_the_scale_is_said_to_be(page):
    root = show(page, STATES["a Gaussian"])
    sliders(root)[0].focus()
    page.keyboard.press("Home")
    assert check(root, STATES["a Gaussian"])["kl_posterior"] > 10
    assert "← ELBO" in root.locator("text").all_text_contents()


def test_handles_by_mouse(page):
    root = show(page, ElboSplit())
    for k, name in enumerate(("mean", "std")):
        box = sliders(root)[k].locator(".dgm-touch").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        width = root.locator(".dgm-picture").bounding_box()["width"]
        before = values(root)[name]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + width / 20, y - 20, steps=3)
        page.mouse.up()
        v = check(root, ElboSplit())
        assert v[name] == pytest.approx(before + 0.5, abs=0.03)
        assert page.evaluate(f"saved.{name}") == v[name]
    root.get_by_role("button", name="reset").click()
    v = check(root, ElboSplit())
    assert (v["mean"], v["std"]) == (0, 1)


def test_handles_by_finger(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1000}, has_touch=True)
    try:
        page = context.new_page()
        root = show(page, ElboSplit())
        touch, box = context.new_cdp_session(page), sliders(root)[1].locator(".dgm-touch").bounding_box()
        for kind, move in (("touchStart", 0), ("touchMove", 20), ("touchMove", 37.4)):
            point = {"x": box["x"] + box["width"] / 2 + move, "y": box["y"] + box["height"] / 2}
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
            page.wait_for_timeout(60)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert check(root, ElboSplit())["std"] == pytest.approx(2, abs=0.05)  # a tenth of the grid wider
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, ElboSplit())
    for k, (name, low, high) in enumerate((("mean", -4, 4), ("std", 0.05, 2))):
        handle = sliders(root)[k]
        handle.focus()
        page.keyboard.press("Home")
        assert check(root, ElboSplit())[name] == low
        for key, to in (("ArrowUp", low + 0.05), ("Shift+ArrowRight", low + 0.055), ("End", high)):
            page.keyboard.press(key)
            v = check(root, ElboSplit())
            assert v[name] == pytest.approx(to, abs=1e-12)
            told = handle.get_attribute("aria-valuetext").replace("−", "-")
            assert told == f"{v[name]:.2f}; gap {v['kl_posterior']:.3f}, ELBO {v['elbo']:.3f} nats"
    root.get_by_role("button", name="best q").focus()
    page.keyboard.press("Enter")
    assert check(root, ElboSplit())["kl_posterior"] < 0.1


def test_nothing_is_left_when_removed(page):
    show(page, ElboSplit())
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (600, False), (900, True)])
@pytest.mark.parametrize("name", ["as given", "two humps", "a digit"])
def test_fits_and_is_accessible(page, width, dark, name):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, STATES[name], dark)
    for button in (None, "best q", "bits"):
        if button:
            root.get_by_role("button", name=button).click()
        assert overlaps(root) == []
    sliders(root)[1].focus()
    fits(page, root, width)


def overlaps(root) -> list:
    """Pairs of words that lie over each other in the picture."""
    return root.locator(".dgm-scene text").evaluate_all("""all => {
        const boxes = all.filter((t) => t.textContent).map((t) => [t.textContent, t.getBoundingClientRect()]);
        return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([, b]) =>
            a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 5 && b.top < a.bottom - 5)
            .map(([other]) => [one, other])); }""")


@pytest.mark.parametrize("name", ["as given", "two humps"])
def test_fits_a_slide(page, name):
    slide(page, STATES[name])
    root = page.locator(".dgm")
    root.get_by_role("button", name="best q").click()
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    assert page.evaluate("document.documentElement.scrollWidth") == 1280 and overlaps(root) == []
    check(root, STATES[name])


def slide(page, widget):
    page.set_viewport_size({"width": 1280, "height": 720})
    body = '<body><div class="reveal" style="padding: 0 20px 0 28px"><main></main></div>'
    bare = document(widget).replace("<body><main></main>", body)
    page.set_content(bare.replace("<style>", "<style>body{margin:0}"))
    page.wait_for_selector(".dgm[data-values]")
