"""Widgets as learners push them: their numbers against Python's, by keyboard, mouse and finger, in every place."""

import json
import math
import re
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from dgmlite import information as info
from dgmlite.widgets import JointTable, RangeCoder, SurpriseEntropy, TwoDensities

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "book/_static/vendor/.axe.min.js"
MODEL = """
const state = STATE, listeners = {}, model = {
  get: (name) => state[name],
  set(name, value) {
    const changed = JSON.stringify(value) !== JSON.stringify(state[name]);
    state[name] = value;
    if (changed) for (const action of listeners[`change:${name}`] ?? []) action();
  },
  save_changes() { window.saved = { ...state }; },
  on: (event, action) => (listeners[event] ??= []).push(action),
  off: (event, action) => { listeners[event] = listeners[event].filter((other) => other !== action); },
};
const module = await import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })));
window.listeners = listeners;
window.remove = module.default.render({ model, el: document.querySelector("main") });
"""
LETTERS = "abcdefghijklmnopqrstuvwxyz "
BIGRAM = np.random.default_rng(0).dirichlet(np.ones(27), 27).clip(1e-9)
BIGRAM = (BIGRAM / BIGRAM.sum(1, keepdims=True)).tolist()
ALL = [
    SurpriseEntropy(),
    SurpriseEntropy([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.04, 0.01]),
    JointTable([[0.36, 0.04], [0.2, 0.1], [0.06, 0.24]], ["clear", "cloudy", "dark"], ["dry", "rain"]),
    JointTable(np.full((4, 4), 1 / 16)),
    RangeCoder("to be or not", LETTERS, BIGRAM[0]),
    RangeCoder("to be or not", LETTERS, BIGRAM),
    TwoDensities(),
    TwoDensities([(1, -1, 0.7)], (1, 1.4)),
]
NAMES = [f"{repr(w).split('(')[0]}-{i}" for i, w in enumerate(ALL)]


def document(widget, dark=False) -> str:
    """Return a bare page, without Jupyter, that holds the widget."""
    state = {k: v for k, v in widget.get_state().items() if k[0] != "_" and k not in ("layout", "tabbable", "tooltip")}
    script = MODEL.replace("STATE", json.dumps(state)).replace("SOURCE", json.dumps(widget._esm).replace("</", "<\\/"))
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A widget</title>
<meta name="viewport" content="width=device-width">
<style>:root {{ color-scheme: {"dark" if dark else "light"} }} {widget._css}</style></head>
<body><main></main><script type="module">{script}</script></body></html>"""


def show(page, widget, dark=False):
    page.set_content(document(widget, dark))
    page.wait_for_selector(".dgm[data-values]")
    return page.locator(".dgm")


def values(root) -> dict:
    return json.loads(root.get_attribute("data-values"))


def name(widget) -> str:
    return repr(widget).split("(")[0]  # its class is one that traitlets derived


def floats(array):
    return np.array(array, dtype=float)  # "Infinity" too


def check_entropy(v):
    p = v["probabilities"]
    assert np.allclose(floats(v["surprise"]), [-math.log(q) if q else math.inf for q in p], rtol=1e-12, atol=1e-12)
    words = {i: word for i, word in enumerate(v["words"]) if word}
    assert words == info.huffman(p).words
    for mine, reference in (
        (v["entropy"], info.entropy(p)),
        (v["entropy"], stats.entropy(p)),
        (v["entropy_bits"], info.entropy(p, base=2)),
        (v["bound"], math.log(len(p))),
        (v["mean_length"], sum(p[i] * len(word) for i, word in words.items())),
    ):
        assert math.isclose(mine, reference, abs_tol=1e-9)


def check_joint(v):
    p = np.array(v["joint"])
    for mine, reference in (
        (v["H_x"], info.entropy(p.sum(1))),
        (v["H_y"], info.entropy(p.sum(0))),
        (v["H_xy"], info.joint_entropy(p)),
        (v["H_xy"], stats.entropy(p.ravel())),
        (v["H_y_given_x"], info.conditional_entropy(p)),
        (v["H_x_given_y"], info.conditional_entropy(p.T)),
        (v["I"], info.mutual_information(p)),
    ):
        assert math.isclose(mine, reference, abs_tol=1e-9)


def check_coder(v, probabilities):
    table, encoder, ideal = np.array(probabilities), info.RangeEncoder(), 0.0
    symbols = [LETTERS.index(letter) for letter in v["text"][: v["position"]]]
    for j, symbol in enumerate(symbols):
        first = np.full(27, 1 / 27) if j == 0 else table[symbols[j - 1]] if table.ndim == 2 else table
        p = table if table.ndim == 1 else first
        encoder.encode(symbol, p)
        ideal -= math.log2(p[symbol])
    assert bytes(v["bytes"]) == encoder.finish()
    assert math.isclose(v["ideal_bits"], ideal, abs_tol=1e-9)
    code = "".join(f"{byte:08b}" for byte in v["bytes"][:-4]).ljust(len(v["settled"]), "0")
    assert code.startswith(v["settled"]) and len(v["settled"]) <= ideal + 1e-6


def check_densities(v):
    def log_density(parts):
        w, m, s = np.array(parts).T
        return lambda x: float(np.logaddexp.reduce(np.log(w) + stats.norm.logpdf(x, m, s)))

    def kl(a, b):
        options = {"points": [-4, -2, 0, 2, 4], "limit": 800, "epsabs": 1e-12, "epsrel": 1e-12}
        return integrate.quad(lambda x: math.exp(a(x)) * (a(x) - b(x)), -36, 36, **options)[0]

    log_p, log_q = log_density(v["p"]), log_density([[1, *v["q"]]])
    log_m = lambda x: np.logaddexp(log_p(x), log_q(x)) - math.log(2)  # noqa: E731
    assert math.isclose(v["kl_pq"], kl(log_p, log_q), abs_tol=1e-9)
    assert math.isclose(v["kl_qp"], kl(log_q, log_p), abs_tol=1e-9)
    assert math.isclose(v["js"], (kl(log_p, log_m) + kl(log_q, log_m)) / 2, abs_tol=1e-9)
    assert v["closed"] == (len(v["p"]) == 1)


def check(root, widget):
    """Compare the numbers that the widget shows now with Python's; return them."""
    v = values(root)
    if isinstance(widget, SurpriseEntropy):
        check_entropy(v)
    elif isinstance(widget, JointTable):
        check_joint(v)
    elif isinstance(widget, RangeCoder):
        check_coder(v, widget.probabilities)
    else:
        check_densities(v)
    return v


STEPS = {  # sliders by place in the widget, and a key
    "SurpriseEntropy": [(0, "ArrowUp"), (1, "Shift+ArrowDown"), (2, "End"), (2, "ArrowDown")],
    "JointTable": [(0, "ArrowUp"), (3, "Home"), (1, "ArrowRight"), (2, "ArrowLeft"), (1, "Shift+ArrowUp")],
    "RangeCoder": [(0, "ArrowRight"), (0, "ArrowRight"), (0, "End"), (0, "ArrowLeft")],
    "TwoDensities": [(-2, "ArrowLeft"), (-1, "ArrowUp"), (-2, "Home"), (-1, "Home")],
}


def drive(root, widget) -> dict:
    """Push the widget by keyboard; each key changes its numbers, and all agree with Python's."""
    before = check(root, widget)
    for slider, key in STEPS[name(widget)]:
        root.get_by_role("slider").nth(slider).focus()
        root.page.keyboard.press(key)
        after = check(root, widget)
        assert after != before, f"{key} on slider {slider} changed nothing"
        before = after
    return before


@pytest.mark.parametrize("widget", ALL, ids=NAMES)
def test_numbers_equal_python_after_each_key(page, widget):
    root = show(page, widget)
    last = drive(root, widget)
    buttons = root.get_by_role("group", name="examples").get_by_role("button")
    for i in range(buttons.count()):
        buttons.nth(i).focus()
        page.keyboard.press("Enter")
        check(root, widget)
    root.get_by_role("button", name="reset").click()
    reset = check(root, widget)
    assert reset != last
    for trait in {"probabilities", "joint", "p", "q", "text"} & set(reset):
        assert reset[trait] == getattr(widget, trait)


def test_a_bar_follows_the_mouse(page):
    root = show(page, SurpriseEntropy())
    grip = root.locator(".dgm-knob").first.bounding_box()
    axis = root.locator(".dgm-axis").first.bounding_box()["y"]  # the line that the bars stand on
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, axis - 1.6 * (axis - y), steps=5)
    page.mouse.up()
    page.mouse.move(x, axis - 20)  # released: nothing more
    v = values(root)
    assert v["probabilities"][0] == pytest.approx(0.8, abs=0.011)
    assert v["probabilities"][1:] == pytest.approx([0.1, 0.06, 0.04], abs=0.006)  # their old proportions
    check_entropy(v)
    assert page.evaluate("saved.probabilities") == v["probabilities"]


@pytest.mark.parametrize("widget", ALL, ids=NAMES)
def test_every_handle_can_be_dragged(page, widget):
    root = show(page, widget)
    for i in range(root.get_by_role("slider").count()):
        before = values(root)
        box = root.get_by_role("slider").nth(i).locator(".dgm-touch").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 45, y - 30, steps=3)
        page.mouse.up()
        assert check(root, widget) != before


def test_a_finger_sets_a_bar(browser):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    try:
        root = show(context.new_page(), SurpriseEntropy())
        box = root.locator(".dgm-area").nth(2).bounding_box()
        root.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        assert check(root, SurpriseEntropy())["probabilities"][2] > 0.5
    finally:
        context.close()


def test_the_coder_takes_what_is_typed(page):
    widget = ALL[4]
    root = show(page, widget)
    field = root.get_by_role("textbox")
    field.fill("Hello, World")
    assert check(root, widget)["text"] == "hello world" and values(root)["position"] == 11
    for message in ("e" * 12, "z" * 40, "", "q"):
        field.fill(message)
        v = check(root, widget)
        assert v["text"] == message[:32] == field.input_value() and v["position"] == len(v["text"])
    field.fill("abc")
    root.get_by_role("button", name="play").click()
    page.wait_for_function("JSON.parse(document.querySelector('.dgm').dataset.values).position === 3")
    root.get_by_role("button", name="back").click()
    assert check(root, widget)["position"] == 2


@pytest.mark.parametrize("widget", ALL[::2], ids=NAMES[::2])
def test_text_alternative_tells_what_is_seen(page, widget):
    root = show(page, widget)
    spoken, slider = root.get_by_role("status"), root.get_by_role("slider").last
    page.wait_for_function("document.querySelector('[role=status]').textContent.length > 40")
    said, told = spoken.text_content(), slider.get_attribute("aria-valuetext")
    slider.focus()
    page.keyboard.press("PageUp")
    assert slider.get_attribute("aria-valuetext") != told
    page.wait_for_function("old => document.querySelector('[role=status]').textContent !== old", arg=said)
    assert spoken.text_content() == root.locator(".dgm-sentence").text_content()
    for attribute in ("aria-label", "aria-valuenow", "aria-valuemin", "aria-valuemax"):
        assert slider.get_attribute(attribute)


def test_bits_are_nats_over_log_2(page):
    root = show(page, SurpriseEntropy([0.5, 0.5]))
    before = values(root)
    assert "0.693" in root.locator(".dgm-figures").inner_text()
    root.get_by_role("button", name="bits").click()
    assert root.locator(".dgm-figures b").first.inner_text() == "1.000" and values(root) == before


def test_keys_used_here_do_nothing_elsewhere(page):
    root = show(page, ALL[0])
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    root.get_by_role("slider").first.focus()
    keys = ("ArrowUp", "PageDown", "Home", "End", "d", "Escape")
    for key in keys:
        page.keyboard.press(key)
    assert page.evaluate("seen.splice(0)") == ["Escape"]
    page.evaluate("document.body.classList.add('reveal')")
    for key in keys:
        page.keyboard.press(key)
    assert page.evaluate("seen.splice(0)") == ["PageDown", "d", "Escape"]  # a remote control sends PageDown
    root.get_by_role("button", name="uniform").focus()
    page.keyboard.press("Space")
    assert page.evaluate("seen") == [] and values(root)["probabilities"] == [0.25] * 4


def test_nothing_is_left_when_removed(page):
    show(page, ALL[4])
    page.get_by_role("button", name="play").click()
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


@pytest.mark.parametrize("width, dark", [(390, False), (1000, True)], ids=["phone light", "wide dark"])
@pytest.mark.parametrize("widget", ALL, ids=NAMES)
def test_fits_and_is_accessible(page, widget, width, dark):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    root.get_by_role("slider").last.focus()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = """all => all.map((t) => [t.textContent, t.getBoundingClientRect()])
        .filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text)"""
    assert root.locator("text").evaluate_all(outside) == []
    assert (
        root.locator("text").evaluate_all("all => Math.min(...all.map((t) => t.getBoundingClientRect().height))") > 12
    )
    if AXE.is_file():
        page.add_script_tag(path=AXE)
        found = page.evaluate("async () => (await axe.run('main')).violations")
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in found] == []


# In the three places where people meet them.

CHAPTER = "1_why/1_information"


def titled(page, widget):
    title = {
        "SurpriseEntropy": "Surprise and entropy",
        "JointTable": "Joint table and its entropies",
        "RangeCoder": "Range coder, letter by letter",
        "TwoDensities": "Two densities and both KL divergences",
    }[name(widget)]
    return page.locator(f'.dgm[aria-label="{title}"]').first


@pytest.fixture(scope="module")
def stored():
    """The chapter's widgets, made again from the state that its notebook stores."""
    notebook = json.loads((ROOT / f"notebooks/{CHAPTER}.ipynb").read_text(encoding="utf8"))
    models = (
        notebook["metadata"].get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    )
    states = {m["state"].get("_anywidget_id", "").split(".")[-1]: m["state"] for m in models.values()}
    assert {name(w) for w in ALL} <= set(states), "the chapter stores no widgets: run it with `make run CH=information`"
    given = {
        SurpriseEntropy: ("probabilities", "labels"),
        JointTable: ("joint", "x_labels", "y_labels"),
        RangeCoder: ("text", "alphabet", "probabilities"),
        TwoDensities: ("p", "q"),
    }
    return [widget(*(states[widget.__name__][trait] for trait in traits)) for widget, traits in given.items()]


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_the_page_without_a_kernel(page, site, stored, theme):
    page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    page.goto(f"{site}/notebooks/{CHAPTER}.html")
    for widget in stored:
        root = titled(page, widget)
        root.wait_for(timeout=30_000)
        drive(root, widget)
        colours = root.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
        ink, paper = (float(c.split("(")[1].split(",")[0]) for c in colours)
        assert (ink < 90 and paper > 220) if theme == "light" else (ink > 170 and paper < 60)


@pytest.mark.slow
def test_in_the_slides(page, site, stored):
    page.goto(f"{site}/slides/{CHAPTER}.html")
    for widget in stored:
        root = titled(page, widget)
        root.wait_for(state="attached", timeout=30_000)
        place = root.evaluate("""e => {
            const inner = e.closest("section"), outer = inner.parentElement.closest("section") ?? inner;
            const number = (s) => [...s.parentElement.children].filter((c) => c.tagName === "SECTION").indexOf(s);
            return `#/${number(outer)}${inner === outer ? "" : "/" + number(inner)}`; }""")
        page.evaluate("place => { location.hash = place; }", place)
        for _ in range(20):
            if root.is_visible():
                break
            page.keyboard.press("Space")  # the next fragment
            page.wait_for_timeout(100)
        drive(root, widget)
        assert root.evaluate("e => e.closest('section').matches('.present')")  # the arrows turned no slide
        page.evaluate("document.activeElement.blur()")


@pytest.mark.slow
def test_in_jupyterlab_with_a_kernel(page, lab):
    widgets = [ALL[0], ALL[2], RangeCoder("to be or not"), ALL[6]]
    sources = [
        "from dgmlite.widgets import *\nimport json",
        *(f"w{i} = {w!r}\nw{i}" for i, w in enumerate(widgets)),
        "print('told', json.dumps([w0.probabilities, w1.joint, w2.position, w3.q]))",
    ]
    sources[3] = sources[3].replace(", position=0", "")  # which is for the learner to set
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for i, s in enumerate(sources)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    body = json.dumps({"type": "notebook", "format": "json", "content": notebook}).encode()
    url = lab.replace("/lab?", "/api/contents/widgets.ipynb?")
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="PUT")
    urllib.request.urlopen(request, timeout=20)

    page.goto(lab.replace("/lab?", "/lab/tree/widgets.ipynb?"))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    for _ in range(30):  # until the kernel answers: keys pressed before are lost
        page.locator(".jp-Notebook .jp-InputArea-editor:visible").first.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1000)
        if re.search(r"\d", page.locator(".jp-InputPrompt").first.inner_text()):
            break
    for _ in widgets:
        page.keyboard.press("Shift+Enter")
    seen = []
    for widget in widgets:
        root = titled(page, widget)
        root.wait_for(timeout=90_000)
        root.scroll_into_view_if_needed()
        seen.append(drive(root, widget))
    page.keyboard.press("d")  # on the last slider; dd is JupyterLab's key for deleting the cell
    page.keyboard.press("d")
    field = page.get_by_role("textbox", name="message")
    field.fill("")
    page.keyboard.type("added bad")
    assert field.input_value() == "added bad"
    assert page.get_by_text(re.compile(r"^Cell \d/\d$")).inner_text().endswith(f"/{len(cells)}")
    seen[2] = check(titled(page, widgets[2]), widgets[2])
    page.get_by_text("print('told'").click()
    page.keyboard.press("Shift+Enter")
    told = page.locator(".jp-OutputArea-output", has_text="told [").last
    told.wait_for(timeout=30_000)
    wanted = [v[trait] for v, trait in zip(seen, ("probabilities", "joint", "position", "q"))]
    assert json.loads(told.inner_text().removeprefix("told ")) == wanted  # Python knows what the learner set
