"""ReceptiveField as learners push it: counts against gradients of real models, by mouse, finger and keys."""

import numpy as np
import pytest

from dgmlite.models.autoregressive import MADE, CausalConv, PixelCNN
from dgmlite.widgets import ReceptiveField

from .test_widgets import AXE, influence, show, values

SIDE, D = 6, 36
SPIRAL, _rest = [], np.arange(D).reshape(SIDE, SIDE)
while _rest.size:
    SPIRAL, _rest = SPIRAL + _rest[0].tolist(), np.rot90(_rest[1:])


CONV = CausalConv((1, SIDE, SIDE), 3, channels=4, dilations=(1, 2, 4))
PIXELCNN = influence(PixelCNN((1, SIDE, SIDE), 3, channels=6, depth=8))
FIELDS = {
    "PixelCNN": PIXELCNN,
    "CausalConv": influence(CONV),
    "MADE, spiral": influence(MADE((1, SIDE, SIDE), 3, hidden=(40,), order=SPIRAL)),
    "leaking": PIXELCNN + np.eye(D) + 0.01 * np.eye(D, k=2),
}
ORDERS = dict.fromkeys(FIELDS) | {"MADE, spiral": SPIRAL}
WIDGET = ReceptiveField(FIELDS, (SIDE, SIDE), ORDERS, sample=np.arange(D) % 17)


def check(root) -> dict:
    """Compare what is shown with the gradients; return it."""
    v = values(root)
    name = list(FIELDS)[v["network"]]
    order = ORDERS[name] or list(range(D))
    past, sees = set(order[: v["step"]]), set(np.flatnonzero(FIELDS[name][v["pixel"]]).tolist())
    assert v["pixel"] == order[v["step"]] and v["rank"] == v["step"] + 1
    assert v["seen"] == sorted(past & sees) and v["blind"] == sorted(past - sees) and v["leaks"] == sorted(sees - past)
    for shown in (
        f"{v['rank']} of {D}",
        f"{len(v['seen'])} of {v['step']}",
        str(len(v["blind"])),
        str(len(v["leaks"])),
    ):
        assert shown in root.locator(".dgm-figures b").all_inner_texts()
    return v


def middle(root, i):
    """Where pixel i is in the window."""
    box = root.locator(".dgm-sheet .dgm-area").bounding_box()
    row, column = divmod(i, SIDE)
    return box["x"] + (column + 0.5) * box["width"] / SIDE, box["y"] + (row + 0.5) * box["height"] / SIDE


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


@pytest.mark.parametrize("network", FIELDS)
def test_every_pixel_is_seen_as_gradients_say(page, network):
    root = show(page, WIDGET)
    root.get_by_role("button", name=network).click()
    root.get_by_role("slider").focus()
    page.keyboard.press("Home")
    for step in range(D):
        v = check(root)
        assert v["step"] == step
        if network == "leaking":
            assert v["pixel"] in v["leaks"] and sentence(root).startswith("A leak:")
        else:
            assert not v["leaks"] and "leak" not in sentence(root)
        if network == "MADE, spiral":
            assert not v["blind"]
        if network == "CausalConv":
            assert len(v["seen"]) == min(step, CONV.receptive_field)
        page.keyboard.press("ArrowRight")


def test_the_blind_spot_is_a_wedge_to_the_right(page):
    """With 3 × 3 kernels a step up leads at most one column to the right: |rows up| < columns right is never seen."""
    root = show(page, WIDGET)
    page.mouse.click(*middle(root, 26))  # row 5, column 3
    wedge = [r * SIDE + c for r in range(4) for c in range(SIDE) if c - 2 > 4 - r]
    assert check(root)["blind"] == wedge == [17, 22, 23] and "never the 3 hatched" in sentence(root)


def test_pointing_looks_and_a_click_chooses(page):
    root = show(page, WIDGET)
    before = check(root)["pixel"]
    page.mouse.move(*middle(root, 15))
    assert check(root)["pixel"] == 15 and page.evaluate("window.saved") is None
    page.mouse.move(1, 1)
    assert check(root)["pixel"] == before
    page.mouse.click(*middle(root, 15))
    page.mouse.move(1, 1)
    assert check(root)["pixel"] == 15 and page.evaluate("saved.step") == 15


def test_a_finger_chooses(browser):
    context = browser.new_context(viewport={"width": 390, "height": 900}, has_touch=True)
    try:
        root = show(context.new_page(), WIDGET)
        root.page.touchscreen.tap(*middle(root, 9))
        assert check(root)["pixel"] == 9
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, WIDGET)
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    root.get_by_role("application").focus()
    start = check(root)["pixel"]
    for key, move in (("ArrowUp", -SIDE), ("ArrowRight", 1), ("ArrowDown", SIDE), ("ArrowLeft", -1)):
        page.keyboard.press(key)
        start += move
        assert check(root)["pixel"] == start
    for _ in range(SIDE + 1):
        page.keyboard.press("ArrowRight")  # stays in its row
    assert check(root)["pixel"] == start // SIDE * SIDE + SIDE - 1
    assert page.evaluate("seen") == []
    spiral = root.get_by_role("button", name="MADE, spiral")
    spiral.focus()
    page.keyboard.press("Enter")
    v = check(root)
    assert v["pixel"] == start // SIDE * SIDE + SIDE - 1 and v["step"] != v["pixel"]  # the same pixel, another place
    assert spiral.get_attribute("aria-pressed") == "true"
    slider = root.get_by_role("slider")
    assert f"step {v['rank']} of {D}" in slider.get_attribute("aria-valuetext")
    slider.focus()
    page.keyboard.press("End")
    assert check(root)["rank"] == D == int(slider.get_attribute("aria-valuenow"))


def test_what_is_seen_is_told(page):
    root = show(page, WIDGET)
    root.get_by_role("button", name="leaking").click()
    told = root.get_by_role("status")
    page.wait_for_function("document.querySelector('[role=status]').textContent.startsWith('A leak')")
    assert told.text_content() == sentence(root) and "own value and 1 pixel of its future" in sentence(root)
    assert root.locator("text", has_text="!").count() == 3  # two in the picture, one in the legend: not by colour alone
    root.get_by_role("slider").focus()
    page.keyboard.press("End")
    assert "the pixel's own value, which" in sentence(root)


def test_play_ends_at_the_last_pixel(page):
    page.clock.install(time=0)
    root = show(page, WIDGET)
    page.clock.pause_at(60_000)  # else time also passes by itself
    play = root.get_by_role("button", name="play")
    play.click()
    page.mouse.move(*middle(root, 3))  # a mouse in the way does not stop it
    page.clock.run_for(180 * 5)
    v = check(root)
    assert v["step"] == D // 2 + 5 and v["playing"]
    root.get_by_role("button", name="pause").click()
    page.clock.run_for(5000)
    assert check(root)["step"] == D // 2 + 5
    root.get_by_role("button", name="play").click()
    page.clock.run_for(180 * 60)
    v = check(root)
    assert v["rank"] == D and not v["playing"] and play.is_visible()
    play.click()  # at the end: from the start
    assert check(root)["step"] == 0
    page.evaluate("remove()")
    page.clock.run_for(5000)
    assert values(root)["step"] == 0 and page.evaluate("Object.values(listeners).flat().length") == 0


def test_play_is_slow_for_those_who_ask_for_less_motion(page):
    page.emulate_media(reduced_motion="reduce")
    page.clock.install(time=0)
    root = show(page, WIDGET)
    page.clock.pause_at(60_000)
    root.get_by_role("button", name="play").click()
    page.clock.run_for(2000)
    assert check(root)["step"] == D // 2 + 2


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (900, False)])
@pytest.mark.parametrize("shape", [(6, 6), (12, 12), (4, 12)])
def test_fits_and_is_accessible(page, width, dark, shape):
    size = shape[0] * shape[1]
    widget = WIDGET if size == D else ReceptiveField({"a": np.tri(size)[:, ::-1]}, shape, sample=np.arange(size))
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    root.get_by_role("application").focus()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = """all => all.map((t) => [t.textContent, t.getBoundingClientRect()])
        .filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text)"""
    assert root.locator("text").evaluate_all(outside) == []
    if AXE.is_file():
        page.add_script_tag(path=AXE)
        found = page.evaluate("async () => (await axe.run('main')).violations")
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []
