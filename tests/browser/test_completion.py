"""Completion as learners push it: every probability against PyTorch, every sample against its uniform number."""

import itertools

import numpy as np
import pytest
import torch

from dgmlite.data import digits
from dgmlite.models.autoregressive import CausalConv
from dgmlite.networks import seeded
from dgmlite.widgets import Completion

from .test_widgets import AXE, show, values

ATOL = 1e-9


def lively(condition=0, shape=(1, 8, 8), levels=17, **more) -> CausalConv:
    """A model in which no weight is zero; each conditional still leaves several levels open."""
    model = CausalConv(shape, levels, condition=condition, **more)
    with torch.no_grad(), seeded(1):
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        model.bias.add_(5 * torch.randn_like(model.bias))
    return model.eval()


def rounded(model: CausalConv, features=None) -> CausalConv:
    """The model that the widget should carry: weights of 16 bits, and no condition, which is a part of the places."""
    plain = CausalConv(model.event_shape, model.levels, model.network.embed.out_features, dilations=DILATIONS[model])
    state = {name: value.double() for name, value in model.state_dict().items()}
    if features is not None:
        state["network.position"] += state.pop("network.condition.weight") @ torch.tensor(features).double()
    half = {name: torch.from_numpy(value.numpy().astype(np.float16)) for name, value in state.items()}
    plain.double().load_state_dict(half)
    return plain.eval()


PLAIN, TOLD = lively(), lively(condition=3)
SMALL = lively(shape=(4, 5), levels=6, channels=12, dilations=(1, 2, 4))
DILATIONS = {PLAIN: (1, 2, 4, 8, 16), TOLD: (1, 2, 4, 8, 16), SMALL: (1, 2, 4)}
IMAGES = [*digits().test.x[[0, 7]].view(2, 64).tolist(), *np.random.default_rng(0).integers(17, size=(2, 64)).tolist()]
PICTURES = np.random.default_rng(1).integers(6, size=(2, 20)).tolist()
CASES = {
    "plain": (Completion(PLAIN.state_dict(), (8, 8), 17, examples=IMAGES), rounded(PLAIN)),
    "label": (Completion(TOLD.state_dict(), (1, 8, 8), 17, y=1, examples=IMAGES), rounded(TOLD, [0, 1, 0])),
    "features": (
        Completion(TOLD.state_dict(), (8, 8), 17, y=[0.3, -2, 1.5], examples=IMAGES),
        rounded(TOLD, [0.3, -2, 1.5]),
    ),
    "small": (Completion(SMALL.state_dict(), (4, 5), 6, (1, 2, 4), examples=PICTURES), rounded(SMALL)),
}
WIDGET, MODEL = CASES["small"]
D = 20


def mulberry32(seed):
    """Uniform numbers without end, as Tommy Ettinger's generator makes them."""
    state = seed % 2**32
    while True:
        state = (state + 0x6D2B79F5) % 2**32
        z = (state ^ state >> 15) * (state | 1) % 2**32
        z ^= (z + (z ^ z >> 7) * (z | 61)) % 2**32
        yield (z ^ z >> 14) / 2**32


def continued(model, first, seed):
    """What a seed makes of the first pixels: the level of pixel t is where number t + 1 falls in its distribution."""
    size = len(model.order)
    u = list(itertools.islice(mulberry32(seed * 0x9E3779B1), size))

    def choose(t, logits):
        if t < len(first):
            return torch.tensor([first[t]])
        below = logits.softmax(-1)[0].cumsum(-1)
        return torch.tensor([min(int((below <= u[t]).sum()), model.levels - 1)])

    return model.walk(1, choose).flatten().tolist()


@torch.no_grad()
def check(root, model=MODEL) -> dict:
    """Compare all numbers that the widget shows now with PyTorch's; return them."""
    v, size = values(root), len(model.order)
    x = torch.tensor(v["image"]).view(1, *model.event_shape)
    log_p = model.logits(x).log_softmax(-1).view(size, -1).numpy()
    known = v["filled"]
    np.testing.assert_allclose(v["log_p"], log_p[: known + 1], rtol=0, atol=ATOL)
    np.testing.assert_allclose(v["cost"], model.surprise(x).flatten()[:known], rtol=0, atol=ATOL)
    made = torch.tensor(v["completions"])
    assert (made[:, : v["kept"]] == x.flatten()[: v["kept"]]).all()
    rest = model.surprise(made.view(6, *model.event_shape)).view(6, size)[:, v["kept"] :].sum(1)
    np.testing.assert_allclose(v["costs"], rest, rtol=0, atol=ATOL * size)
    way = v["completions"][v["choice"]]
    assert v["image"] == way[:known] + [0] * (size - known)
    shown = root.locator(".dgm-figures b").all_inner_texts()
    unit = np.log(2) if root.get_by_role("button", name="bits").get_attribute("aria-pressed") == "true" else 1
    yours, its = sum(v["cost"][: v["kept"]]) / unit, sum(v["cost"][v["kept"] :]) / unit
    assert shown[2:] == [f"{yours:.1f}", f"{its:.1f}", f"{yours + its:.1f}"]
    if v["cursor"] < known:
        assert shown[0] == f"{v['cost'][v['cursor']] / unit:.2f}"
    if v["kept"]:
        assert shown[1] == f"{max(v['cost'][: v['kept']]) / unit:.2f}"
    return v


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def button(root, name):
    return root.get_by_role("button", name=name, exact=True)


def middle(root, t, columns=5, rows=4):
    """Where pixel t is in the window."""
    box = root.locator(".dgm-sheet .dgm-area").bounding_box()
    return box["x"] + (t % columns + 0.5) * box["width"] / columns, box["y"] + (t // columns + 0.5) * box[
        "height"
    ] / rows


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


@pytest.mark.parametrize("case", CASES)
def test_probabilities_equal_pytorch_at_all_pixels(page, case):
    widget, model = CASES[case]
    root = show(page, widget)
    for n, image in enumerate(widget.examples):
        button(root, f"example {n + 1}").click()
        root.get_by_role("slider").focus()
        press(page, "End")
        v = check(root, model)
        assert v["image"] == image and len(v["log_p"]) == len(image) == v["kept"]
        assert np.ptp(v["cost"]) > 1  # far from uniform
    button(root, "empty").click()
    assert check(root, model)["kept"] == 0


@pytest.mark.parametrize("case", ["features", "small"])
def test_samples_follow_their_uniform_numbers(page, case):
    widget, model = CASES[case]
    root = show(page, widget)
    field = root.get_by_label("seed")
    for seed, kept in ((0, "Home"), (123, None), (9999, None)):
        field.fill(str(seed))
        if kept:
            root.get_by_role("slider").focus()
            press(page, kept)
        v = check(root, model)
        assert v["seed"] == seed and len({tuple(c) for c in v["completions"]}) == 6
        for k, made in enumerate(v["completions"]):
            assert made == continued(model, made[: v["kept"]], seed + k)


def test_uniform_numbers_are_uniform_and_unrelated():
    u = np.array([list(itertools.islice(mulberry32(seed * 0x9E3779B1), 64)) for seed in range(400)])
    assert len(np.unique(u)) > 0.999 * u.size
    counts = np.histogram(u, 20, (0, 1))[0]
    assert ((counts - u.size / 20) ** 2).sum() / (u.size / 20) < 43.8  # 99.9 % of chi-squared with 19 degrees
    for other in (np.roll(u, 1, 0), np.roll(u, 6, 0), np.roll(u, 1, 1)):
        assert abs(np.corrcoef(u.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(u.size)


def test_only_what_has_changed_is_computed_again(page):
    """Random painting, back and forth: what the cache remembers is never of another picture."""
    root = show(page, WIDGET)
    rng, image = np.random.default_rng(2), PICTURES[0][:10]
    for _ in range(12):
        t, digit = int(rng.integers(len(image) + 2)), int(rng.integers(10))
        t = min(t, D - 1)
        root.get_by_role("application").focus()
        press(page, "Home", *["ArrowDown"] * (t // 5), *["ArrowRight"] * (t % 5), str(digit))
        image += [0] * (t + 1 - len(image))
        image[t] = int(digit / 9 * 5 + 0.5)
        v = check(root)
        assert v["image"][: v["kept"]] == image and v["kept"] == len(image) == v["filled"] and v["cursor"] == t
        if rng.random() < 0.4:
            button(root, "next pixel").click()
            check(root)


def test_by_keyboard_alone(page):
    root = show(page, WIDGET)
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    for _ in range(30):  # from the top of the page to the drawing
        press(page, "Tab")
        if root.get_by_role("application").evaluate("e => e === document.activeElement"):
            break
    press(page, "Home", "ArrowUp", "ArrowLeft")
    assert check(root)["cursor"] == 0
    press(page, *["ArrowRight"] * 6)
    assert check(root)["cursor"] == 4  # a row is not left to the side
    press(page, "ArrowDown", "9")
    v = check(root)
    assert v["cursor"] == 9 and v["image"][9] == 5 and v["kept"] == 10
    press(page, "-", "-")
    assert check(root)["image"][9] == 3
    press(page, "+", "+", "+")
    assert check(root)["image"][9] == 5
    press(page, "n", "n")
    v = check(root)
    assert v["filled"] == 12 and v["cursor"] == 11 and v["kept"] == 10
    press(page, "ArrowUp", "Space")  # in the learner's part: what the model added would not follow from it
    v = check(root)
    assert v["filled"] == v["kept"] == 10 and v["image"][6] == 5
    press(page, *["n"] * 10)
    v = check(root)
    assert v["filled"] == D and v["image"] == v["completions"][0] and v["seed"] == 0
    press(page, "n")  # complete: others
    v = check(root)
    assert v["seed"] == 6 and v["filled"] == 11
    assert set(page.evaluate("seen")) <= {"Tab"}
    button(root, "dark grey").focus()
    press(page, "Enter")
    assert button(root, "dark grey").get_attribute("aria-pressed") == "true"
    root.get_by_role("application").focus()
    press(page, "Home", " ")
    assert check(root)["image"][0] == 4
    third = root.get_by_role("button", name="take completion 3")
    third.focus()
    press(page, "Enter")
    v = check(root)
    assert v["choice"] == 2 and v["image"] == v["completions"][2] and third.get_attribute("aria-pressed") == "true"
    button(root, "reset").focus()
    press(page, "Enter")
    v = check(root)
    assert v["image"][:10] == PICTURES[0][:10] and (v["kept"], v["filled"], v["cursor"], v["seed"]) == (10, 10, 10, 0)
    assert (v["choice"], v["brush"], v["map"]) == (0, 5, False)


def test_painting_into_the_models_part_makes_it_yours(page):
    root = show(page, WIDGET)
    button(root, "next pixel").click()
    button(root, "next pixel").click()
    before = check(root)["image"]
    page.mouse.click(*middle(root, 14))
    v = check(root)
    assert v["kept"] == 15 and v["image"][:15] == [*before[:12], 0, 0, 5]  # seen as it was, then white
    root.get_by_role("slider").focus()
    press(page, "ArrowRight")
    assert check(root)["image"][15] == PICTURES[0][15]  # the rest of the example has waited


def test_a_stroke_of_the_mouse(page):
    root = show(page, WIDGET)
    button(root, "empty").click()
    page.mouse.move(*middle(root, 1))
    page.mouse.down()
    page.mouse.move(*middle(root, 3), steps=8)
    page.mouse.move(*middle(root, 8), steps=8)
    page.mouse.move(1, 1)  # beyond the picture
    page.mouse.up()
    v = check(root)
    assert v["image"][:9] == [0, 5, 5, 5, 0, 0, 0, 0, 5] and v["kept"] == 9
    button(root, "white").click()
    page.mouse.click(*middle(root, 2))
    assert check(root)["image"][:4] == [0, 5, 0, 5]
    assert page.evaluate("saved.image.slice(0, 4)") == [0, 5, 0, 5]


def test_a_finger_paints_without_scrolling(browser):
    context = browser.new_context(viewport={"width": 390, "height": 700}, has_touch=True)
    try:
        root = show(context.new_page(), WIDGET)
        root.page.touchscreen.tap(*middle(root, 7))
        v = check(root)
        assert v["image"][7] == 5 and v["cursor"] == 7
        assert root.locator(".dgm-canvas .dgm-area").evaluate("e => getComputedStyle(e).touchAction") == "none"
        assert root.locator(".dgm-slider:not(.dgm-canvas) .dgm-area").evaluate("e => getComputedStyle(e).touchAction")
    finally:
        context.close()


def test_pointing_looks_without_painting(page):
    root = show(page, WIDGET)
    before = check(root)
    page.mouse.move(*middle(root, 3))
    v = check(root)
    assert v["cursor"] == 3 and v["image"] == before["image"] and page.evaluate("window.saved") is None
    assert sentence(root).startswith(f"Row 1, column 4 has level {PICTURES[0][3]} of 5")
    page.mouse.move(*middle(root, 17))
    assert check(root)["cursor"] == 17 and "has not come to row 4, column 3" in sentence(root)
    page.mouse.move(1, 1)
    assert check(root)["cursor"] == before["cursor"] == 10


def test_the_histogram_is_drawn_to_scale(page):
    root = show(page, WIDGET)
    page.mouse.move(*middle(root, 6))
    v = check(root)
    p = np.exp(v["log_p"][6])
    bars = root.locator(".dgm-scene rect.dgm-tint, .dgm-scene rect.dgm-fill")
    heights = np.array(bars.evaluate_all("all => all.map((b) => [+b.getAttribute('x'), +b.getAttribute('height')])"))
    heights = heights[heights[:, 0].argsort(), 1]
    limit = next((limit for limit in (0.25, 0.5) if limit >= p.max()), 1)
    drawn = p[128 * p / limit > 0.4]
    assert len(drawn) > 2
    np.testing.assert_allclose(heights, 128 * drawn / limit, rtol=1e-6)
    assert root.locator(".dgm-scene rect.dgm-fill").count() == 1 == root.locator(".dgm-mark").count()
    page.mouse.move(1, 1)
    assert root.locator(".dgm-scene rect.dgm-fill").count() == 0 == root.locator(".dgm-mark").count()


def test_the_surprise_map_shades_each_pixel_by_its_surprise(page):
    root = show(page, WIDGET)
    button(root, "surprise map").click()
    v = check(root)
    shades = root.locator(".dgm-heat").evaluate_all("all => all.map((b) => +b.getAttribute('fill-opacity'))")
    np.testing.assert_allclose(shades[:7], np.arange(7) / 6)  # the legend
    np.testing.assert_allclose(shades[7:], np.minimum(np.array(v["cost"]) / 6, 1), atol=1e-12)
    button(root, "bits").click()
    assert root.get_by_text("8.7+ bits").is_visible()
    check(root)
    button(root, "nats").click()
    button(root, "surprise map").click()
    assert root.locator(".dgm-heat").count() == 0


def test_finish_draws_pixel_by_pixel_and_can_pause(page):
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    root = show(page, WIDGET)
    button(root, "finish").click()
    page.mouse.move(*middle(root, 3))  # a mouse in the way does not draw attention away
    page.clock.run_for(70 * 3)
    v = check(root)
    assert (v["filled"], v["cursor"], v["finishing"]) == (14, 13, True)
    button(root, "pause").click()
    page.clock.run_for(1000)
    assert check(root)["filled"] == 14
    button(root, "finish").click()
    page.clock.run_for(70 * 30)
    v = check(root)
    assert v["filled"] == D and not v["finishing"] and v["image"] == v["completions"][0]
    assert "The model's 10 pixels cost" in sentence(root)
    button(root, "finish").click()  # complete: other samples
    page.clock.run_for(70 * 2)
    assert check(root)["seed"] == 6
    page.mouse.click(*middle(root, 0))  # painting stops it
    v = check(root)
    page.clock.run_for(1000)
    assert check(root)["filled"] == v["filled"] == 10
    button(root, "finish").click()
    page.evaluate("remove()")
    page.clock.run_for(1000)
    assert values(root)["filled"] == 11 and page.evaluate("Object.values(listeners).flat().length") == 0


def test_finish_is_at_once_for_those_who_ask_for_less_motion(page):
    page.emulate_media(reduced_motion="reduce")
    root = show(page, WIDGET)
    button(root, "finish").click()
    v = check(root)
    assert v["filled"] == D and v["image"] == v["completions"][0]


def test_a_seed_gives_the_same_again(page):
    root = show(page, WIDGET)
    field = root.get_by_label("seed")
    first = check(root)["completions"]
    button(root, "others").click()
    assert field.input_value() == "6" and check(root)["completions"] != first
    field.fill("3")
    third = check(root)
    assert third["completions"][:3] == first[3:] and third["filled"] == third["kept"]
    for wrong in ("", "-1", "123456"):
        field.fill(wrong)
        assert check(root)["seed"] == 3
    field.blur()
    assert field.input_value() == "3"
    field.fill("0")
    assert check(root)["completions"] == first


def test_continuations_do_not_disturb_each_other(page):
    """Seeds there and back: the cache of the pixels shown is not that of a continuation that was tried."""
    root = show(page, WIDGET)
    for seed, pixels in (("0", 4), ("1", 0), ("0", 5), ("2", 3), ("0", 6)):
        root.get_by_label("seed").fill(seed)
        root.get_by_role("application").focus()
        press(page, *["n"] * pixels)
        assert check(root)["filled"] == 10 + pixels


def test_all_or_nothing_is_kept(page):
    root = show(page, WIDGET)
    root.get_by_role("slider").focus()
    press(page, "End")
    v = check(root)
    assert v["completions"] == [PICTURES[0]] * 6 and root.get_by_text("Nothing is left to finish").is_visible()
    button(root, "next pixel").click()
    button(root, "finish").click()
    v = check(root)
    assert v["filled"] == D and v["image"] == PICTURES[0] and not v["finishing"]
    root.get_by_role("slider").focus()
    press(page, "Home")
    v = check(root)
    assert v["kept"] == v["filled"] == 0 and len(v["log_p"]) == 1
    button(root, "finish").click()
    page.wait_for_function(f"JSON.parse(document.querySelector('.dgm').dataset.values).filled === {D}")
    assert check(root)["kept"] == 0


def test_what_is_seen_is_told(page):
    root = show(page, WIDGET)
    told = root.get_by_role("status")
    page.wait_for_function("document.querySelector('[role=status]').textContent.startsWith('Row 3, column 1 is next')")
    for t in range(10):  # the task: a level that the model holds for least likely
        v = check(root)
        if min(v["log_p"][t]) < -5:
            break
    root.get_by_role("application").focus()
    worst = int(np.argmin(v["log_p"][t]))
    digit = next(d for d in range(10) if int(d / 9 * 5 + 0.5) == worst)
    press(page, "Home", *["ArrowDown"] * (t // 5), *["ArrowRight"] * (t % 5), str(digit))
    assert check(root)["cost"][t] > 5 and sentence(root).endswith("more than 5 nats!")
    button(root, "bits").click()
    assert sentence(root).endswith("more than 7.2 bits!")
    page.wait_for_function("document.querySelector('[role=status]').textContent.endsWith('7.2 bits!')")
    assert told.text_content() == sentence(root)


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (620, False), (900, True)])
@pytest.mark.parametrize("shape", [(8, 8), (12, 12), (2, 3), (12, 3)])
def test_fits_and_is_accessible(page, width, dark, shape):
    size = shape[0] * shape[1]
    model = CausalConv(shape, 17, channels=4, dilations=(1,))
    widget = Completion(model.state_dict(), shape, 17, (1,), examples=[[16] * size] * 8)
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(reduced_motion="reduce")
    root = show(page, widget, dark)
    outside = """all => all.map((t) => [t.textContent, t.getBoundingClientRect()])
        .filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text)"""
    for act in ("nothing", "finish", "surprise map", "bits"):
        if act != "nothing":
            button(root, act).click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert root.locator("text").evaluate_all(outside) == []
    overlap = """all => {
        const boxes = all.map((t) => [t.textContent, t.getBoundingClientRect()]), found = [];
        boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
            const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
            if (across > 1 && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 4) found.push([a, b]);
        }));
        return found; }"""
    assert root.locator("text").evaluate_all(overlap) == []
    if AXE.is_file():
        page.add_script_tag(path=AXE)
        found = page.evaluate("async () => (await axe.run('main')).violations")
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []
