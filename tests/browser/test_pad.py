"""LatentPad as learners push it: pictures and nats against the arrays, by mouse, finger and keys."""

import numpy as np
import pytest

from dgmlite.widgets import LatentPad

from .test_morph import fits, on_a_slide
from .test_widgets import show, values

R, H, W = 7, 8, 6
RANDOM = np.random.default_rng(0)
IMAGES, PIXELS = RANDOM.integers(17, size=(2, R, R, H, W))
SCORES, OTHERS = 70 + 40 * RANDOM.random((2, R, R))
CORNERS = ["3", "8", "5", "0"]
WIDGET = LatentPad(IMAGES, None, PIXELS, SCORES, OTHERS, CORNERS)
ATOL = 1e-5  # numbers travel as float32
EDGES = {("row", 0): "upper", ("row", R - 1): "lower", ("column", 0): "left", ("column", R - 1): "right"}


def check(root, unit=1.0) -> dict:
    """Compare what is shown with the arrays; return it."""
    v = values(root)
    r, c = v["place"]
    assert v["image"] == IMAGES[r, c].ravel().tolist() and v["compare"] == PIXELS[r, c].ravel().tolist()
    along = (lambda a: a[r]) if v["along"] == "row" else (lambda a: a[:, c])
    for mine, reference in (
        (v["nats"], SCORES[r, c]),
        (v["compare_nats"], OTHERS[r, c]),
        (v["line"], along(SCORES)),
        (v["compare_line"], along(OTHERS)),
    ):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=ATOL)
    assert v["more"] == (SCORES[r, c] > max(along(SCORES)[0], along(SCORES)[-1]))
    assert v["compare_more"] == (OTHERS[r, c] > max(along(OTHERS)[0], along(OTHERS)[-1]))
    figures = root.locator(".dgm-figures b").all_inner_texts()
    difference = f"{(OTHERS[r, c] - SCORES[r, c]) / unit:+.1f}".replace("-", "−")
    across, down = (f"{round(100 * i / (R - 1))} %" for i in (c, r))
    assert figures == [f"{across}, {down}", f"{SCORES[r, c] / unit:.1f}", f"{OTHERS[r, c] / unit:.1f}", difference]
    return v


def middle(root, r, c):
    """Where a place of the mesh is in the window."""
    box = root.locator(".dgm-sheet .dgm-area").bounding_box()
    return box["x"] + (c + 0.5) * box["width"] / R, box["y"] + (r + 0.5) * box["height"] / R


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


def drawn(root) -> list[np.ndarray]:
    """Levels of the two large pictures, as they are drawn, and where."""
    groups = root.locator(".dgm-scene > g[shape-rendering]").evaluate_all(
        """all => all.map((g) => [...g.children].map((b) =>
            ["x", "y", "width", "fill-opacity"].map((a) => Number(b.getAttribute(a)))))"""
    )
    pages = root.locator(".dgm-scene > rect.dgm-page").evaluate_all(
        "all => all.map((b) => ['x', 'y'].map((a) => Number(b.getAttribute(a))))"
    )
    pictures = []
    for boxes, (x0, y0) in zip(groups, pages):
        picture = np.zeros((H, W), int)
        for x, y, side, shade in boxes:
            picture[round((y - y0) / side), round((x - x0) / side)] = round(16 * shade)
        pictures.append(picture)
    return pictures


def test_every_place_shows_its_pictures_and_nats(page):
    root = show(page, WIDGET)
    root.get_by_role("application").focus()
    for r in range(R):
        for c in range(R):
            assert check(root)["place"] == [r, c]
            if r == c:
                np.testing.assert_array_equal(drawn(root), [IMAGES[r, c], PIXELS[r, c]])
            page.keyboard.press("ArrowRight")
        assert check(root)["place"] == [r, R - 1]  # stays in its row
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")


def test_by_keyboard_alone(page):
    root = show(page, WIDGET)
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    root.get_by_role("application").focus()
    moves = (("ArrowUp", 0, 0), ("ArrowDown", 1, 0), ("End", 1, R - 1), ("ArrowLeft", 1, R - 2), ("ArrowUp", 0, R - 2))
    for key, r, c in (*moves, ("ArrowRight", 0, R - 1), ("ArrowRight", 0, R - 1), ("Home", 0, 0)):
        page.keyboard.press(key)
        assert check(root)["place"] == [r, c]
    assert page.evaluate("seen") == [] and page.evaluate("saved.place") == [0, 0]
    for name, place in zip(CORNERS, ([0, 0], [0, R - 1], [R - 1, 0], [R - 1, R - 1])):
        corner = root.get_by_role("group", name="corners").get_by_role("button", name=name, exact=True)
        corner.focus()
        page.keyboard.press("Enter")
        assert check(root)["place"] == place and corner.get_attribute("aria-pressed") == "true"
        assert sentence(root).startswith(f"At the corner {name}: ")
    root.get_by_role("button", name="reset").focus()
    page.keyboard.press("Space")
    assert check(root)["place"] == [0, 0]


def test_dragging_goes_to_the_nearest_place(page):
    root = show(page, WIDGET)
    page.mouse.move(*middle(root, 2, 3))
    assert check(root)["place"] == [0, 0]  # pointing does nothing
    page.mouse.down()
    assert check(root)["place"] == [2, 3]
    x, y = middle(root, 4, 5)
    side = root.locator(".dgm-sheet .dgm-area").bounding_box()["width"] / R
    page.mouse.move(x - 0.4 * side, y + 0.4 * side, steps=5)
    assert check(root)["place"] == [4, 5]
    page.mouse.move(x + 10 * side, y - 20 * side)  # outside: the nearest all the same
    assert check(root)["place"] == [0, R - 1]
    page.mouse.up()
    page.mouse.move(*middle(root, 3, 3))
    assert check(root)["place"] == [0, R - 1] == page.evaluate("saved.place")


def test_a_finger_chooses(browser):
    context = browser.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    try:
        root = show(context.new_page(), WIDGET)
        root.page.touchscreen.tap(*middle(root, 5, 1))
        assert check(root)["place"] == [5, 1]
    finally:
        context.close()


def test_ends_of_the_walk(page):
    """On an edge the ends are corners; inside, those of the row or the column of the last step."""
    root = show(page, WIDGET)
    root.get_by_role("application").focus()
    keys = "ArrowRight ArrowRight ArrowDown ArrowDown ArrowRight ArrowUp ArrowUp End ArrowDown ArrowDown ArrowLeft"
    for key in keys.split():
        page.keyboard.press(key)
        v = check(root)
        r, c = v["place"]
        inside = [0 < i < R - 1 for i in (r, c)]
        if all(inside):
            assert v["along"] == ("row" if key in ("ArrowRight", "ArrowLeft") else "column")
            assert f"{round(100 * c / (R - 1))} % to the right and {round(100 * r / (R - 1))} % down: " in sentence(
                root
            )
        elif any(inside):
            along, n = ("column", r) if inside[0] else ("row", c)
            edge = EDGES[along, c if inside[0] else r]
            ends = {"upper": "3 to 8", "lower": "5 to 0", "left": "3 to 5", "right": "8 to 0"}[edge]
            way = f"{round(100 * n / (R - 1))} % of the way from {ends}, along the {edge} edge: "
            assert v["along"] == along and sentence(root).startswith(way)
            assert f"along the {edge} edge" in root.locator("text").all_text_contents()
        if any(inside):
            ends = [f"{v[line][0]:.1f} and {v[line][-1]:.1f}" for line in ("line", "compare_line")]
            for more, end in zip((v["more"], v["compare_more"]), ends):
                assert f"({'more' if more else 'not more'} than both ends, {end})" in sentence(root)
        else:
            assert "both ends" not in sentence(root)


def test_the_curves_are_the_nats_along_the_line(page):
    root = show(page, WIDGET)
    root.get_by_role("application").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    v, low, high = check(root), min(SCORES.min(), OTHERS.min()), max(SCORES.max(), OTHERS.max())
    curves = root.locator(".dgm-curve").evaluate_all("all => all.map((p) => p.getAttribute('d'))")
    assert len(curves) == 2
    heights = np.array([[float(p.split(" ")[1]) for p in d[1:].split("L")] for d in curves])
    bottom, top = (
        root.locator("line.dgm-line").evaluate_all(f"all => Math.{f}(...all.map((l) => l.y1.baseVal.value))")
        for f in ("max", "min")
    )
    ticks = [f"{tick:.0f}" for tick in (low, (low + high) / 2, high)]
    assert set(ticks) <= set(root.locator("text").all_text_contents())
    nats = low + (bottom - heights) / (bottom - top) * (high - low)
    np.testing.assert_allclose(nats, [v["line"], v["compare_line"]], rtol=0, atol=0.05)  # a tenth of a pixel
    guides = sorted(root.locator("line.dgm-guide").evaluate_all("all => all.map((l) => l.y1.baseVal.value)"))
    ends = sorted(max(v[line][0], v[line][-1]) for line in ("line", "compare_line"))[::-1]
    np.testing.assert_allclose(low + (bottom - np.array(guides)) / (bottom - top) * (high - low), ends, atol=0.05)


def test_shades_are_nats(page):
    root = show(page, WIDGET)
    low, high = min(SCORES.min(), OTHERS.min()), max(SCORES.max(), OTHERS.max())
    shades = "all => all.slice(0, 49).map((b) => Number(b.getAttribute('fill-opacity')))"
    cells = root.locator(".dgm-scene > g:not([shape-rendering]) .dgm-heat")
    for name, scores in (("pixels", OTHERS), ("latent", SCORES)):
        button = root.get_by_role("group", name="shading").get_by_role("button", name=name)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        np.testing.assert_allclose(
            cells.evaluate_all(shades), ((scores - low) / (high - low)).ravel(), rtol=0, atol=1e-6
        )
        assert f"{low:.0f}" in root.locator("text").all_text_contents()
        assert any(t.startswith(f"{high:.0f} nats") for t in root.locator("text").all_text_contents())
    root.get_by_role("group", name="shading").get_by_role("button", name="none").click()
    assert cells.count() == 0


def test_bits_are_nats_over_log_2(page):
    root = show(page, WIDGET)
    before = check(root)
    root.get_by_role("button", name="bits").click()
    assert check(root, unit=np.log(2)) == before and "nats" not in sentence(root)


def test_a_bound_is_called_one(page):
    root = show(page, LatentPad(IMAGES, None, PIXELS, SCORES, OTHERS, CORNERS, kind="upper bound"))
    assert f"the latent picture costs ≤ {SCORES[0, 0]:.1f} nats" in sentence(root)
    assert "nats, upper bound" in root.locator(".dgm-figures").inner_text()
    assert f"≤ {OTHERS[0, 0]:.1f} nats" in root.locator("text").all_text_contents()


def test_what_is_seen_is_told(page):
    root = show(page, WIDGET)
    root.get_by_role("application").press("ArrowRight")
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('of the way from 3 to 8')")
    assert root.get_by_role("status").text_content() == sentence(root)
    assert "the mixture of pixels" in sentence(root)
    assert f"nearest of {R} × {R} places; only they are the model's" in root.locator("text").all_text_contents()
    assert f"{R} by {R} places" in root.get_by_role("application").get_attribute("aria-label")
    assert root.locator(".dgm-task").inner_text().startswith("Task: Walk from 3 to 8")


def test_nothing_is_left_when_removed(page):
    show(page, WIDGET)
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


LARGE = RANDOM.integers(256, size=(11, 11, 28, 28))
PLACES = {
    "all": WIDGET,
    "pictures alone": LatentPad(IMAGES, task=""),
    "scores": LatentPad(IMAGES, scores=SCORES, corners=["a rather long name"] * 4),
    "the finest mesh": LatentPad(
        np.zeros((25, 25, 8, 8), int), None, np.full((25, 25, 8, 8), 16), np.zeros((25, 25)), np.zeros((25, 25))
    ),
    "large pictures": LatentPad(
        LARGE,
        None,
        LARGE,
        RANDOM.random((11, 11)) * 900,
        2500 * RANDOM.random((11, 11)),
        levels=256,
        kind="upper bound",
    ),
}


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (900, False)])
@pytest.mark.parametrize("widget", PLACES.values(), ids=PLACES)
def test_fits_and_is_accessible(page, width, dark, widget):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    pad = root.get_by_role("application")
    pad.press("ArrowRight")
    pad.press("ArrowDown")
    fits(page, root, width)


def test_fits_a_slide(page):
    root = on_a_slide(page, WIDGET)
    pad = root.get_by_role("application")
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        pad.press(key)
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    check(root)
