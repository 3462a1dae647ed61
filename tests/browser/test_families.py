"""Families as learners push it: cards, questions and needs against Python's table, by mouse, keyboard and finger."""

import itertools
import re

import pytest

from dgmlite.widgets import Families
from dgmlite.widgets.families import CHAPTERS, FAMILIES, NEEDS, QUESTIONS, offers

from .test_bend import fits, sentence
from .test_elbo import overlaps, slide
from .test_widgets import document, show, values

NAMES = list(FAMILIES)
RIGHT = [next(f for f in pair if offers(f) >= set(asked)) for pair, asked, *_ in QUESTIONS]


def family(root, name):
    return root.get_by_role("radio", name=f"{name};")


def question(root, number):
    return root.get_by_role("radio", name=f"question {number},")


def need(root, key):
    return root.get_by_role("group", name="I need").get_by_role("button", name=NEEDS[key][0], exact=True)


def answer(root, name):
    return root.get_by_role("group", name="answers").get_by_role("button", name=name)


def check(root) -> dict:
    """What is shown follows from what is opened, answered and needed; return it."""
    v = values(root)
    lacks = [[key for key in v["needs"] if key not in offers(name)] for name in NAMES]
    assert v["lacks"] == lacks and v["remaining"] == [name for name, missing in zip(NAMES, lacks) if not missing]
    assert v["right"] == sum(a == b for a, b in zip(v["answers"], RIGHT)) and v["left"] == v["answers"].count("")
    checked = root.locator('[role=radio][aria-checked="true"]')
    assert checked.count() == 1 and checked.get_attribute("aria-label").startswith(v["opened"])
    assert root.locator('[role=radio][tabindex="0"]').count() == 2  # a stop for families, a stop for questions
    assert {key for key in NEEDS if need(root, key).get_attribute("aria-pressed") == "true"} == set(v["needs"])
    shown = root.locator(".dgm-scene text").all_text_contents()
    for name, missing in zip(NAMES, lacks):  # said, not by colour alone
        assert family(root, name).get_attribute("aria-label").count("does not offer") == bool(missing)
        assert all(NEEDS[key][0] in family(root, name).get_attribute("aria-label") for key in missing)
        lack = f"✗ {NEEDS[missing[0]][1]}" if len(missing) == 1 else f"✗ {len(missing)} needs"
        assert shown[shown.index(name) + 1] == (lack if missing else "")
    assert root.locator(".dgm-minus").count() == 5 - len(v["remaining"])
    assert sum(text in ("✓", "✗") for text in shown) == 10 - v["left"] and shown.count("✓") == v["right"]
    return v


@pytest.mark.parametrize("name", NAMES)
def test_cards_say_what_the_table_says(page, name):
    root = show(page, Families())
    question(root, 1).click()
    family(root, name).click()
    assert check(root)["opened"] == name and page.evaluate("saved.opened") == name
    card = root.locator(".dgm-card")
    terms, words = (card.locator(part).all_inner_texts() for part in ("dt", "dd"))
    assert words[:6] == [cell[0] for cell in FAMILIES[name]] and len(terms) == len(words) == 8
    assert words[7] == CHAPTERS[name][1] and card.get_by_role("link").count() == 0  # a bare page has no chapters
    (row,) = [f["measured"] for f in Families().families if f["name"] == name]
    numbers = [float(n) for n in re.findall(r"\d+\.\d+", words[6])]
    if row["kind"] == "none":
        assert numbers == [round(row["precision"], 2), round(row["recall"], 2)] and "no nats" in words[6]
        circle = "none"
    else:
        assert numbers == [round(row["nats"], 1)] and ("at most" in words[6]) == (row["kind"] == "bound")
        assert words[6].endswith(row["kind"])
        circle = f"{'≤ ' if row['kind'] == 'bound' else ''}{row['nats']:.1f}"
    texts = root.locator(".dgm-scene text").all_text_contents()
    assert texts[texts.index(name) - 1] == circle


def test_chapters_are_linked_where_they_lie_beside(page, tmp_path):
    folder = tmp_path / "1_why"
    folder.mkdir()
    for file, links in (("2_any.html", 1), ("any.html", 0)):
        (folder / file).write_text(document(Families()), encoding="utf8")
        page.goto((folder / file).as_uri())
        page.wait_for_selector(".dgm[data-values]")
        for name in NAMES:
            family(page.locator(".dgm"), name).click()
            link = page.locator(".dgm-card").get_by_role("link")
            assert link.count() == links
            if links:
                there = tmp_path / f"{CHAPTERS[name][2]}.html"
                assert link.evaluate("e => e.href") == there.as_uri() and link.inner_text() == CHAPTERS[name][1]


def test_all_ten_right(page):
    root = show(page, Families())
    for i, (pair, _, words, why) in enumerate(QUESTIONS):
        root.get_by_role("button", name="next question").click()
        v = check(root)
        card = root.locator(".dgm-card")
        assert v["opened"] == f"question {i + 1}" and v["question"] == i + 1 and words in card.inner_text()
        assert why not in card.inner_text() and not card.locator("dl").is_visible()
        buttons = root.get_by_role("group", name="answers").get_by_role("button")
        assert buttons.all_inner_texts() == list(pair)
        answer(root, RIGHT[i]).click()
        assert check(root)["right"] == i + 1 and f"Right: {RIGHT[i]}. {why}" in card.inner_text()
        assert answer(root, RIGHT[i]).inner_text() == f"✓ {RIGHT[i]}"
        assert question(root, i + 1).get_attribute("aria-label") == f"question {i + 1}, {' or '.join(pair)}: right"
        assert ("to go" in card.inner_text()) == (i < 9) and f"{i + 1} of {i + 1} right" in card.inner_text()
    assert page.evaluate("saved.answers") == RIGHT
    root.get_by_role("button", name="next question").click()
    assert check(root)["opened"] == "question 1"  # again from the first, when none is left
    root.get_by_role("button", name="reset").click()
    v = check(root)
    assert v["opened"] == NAMES[0] and v["left"] == 10 and v["right"] == 0
    root.get_by_role("button", name="next question").click()
    assert check(root)["opened"] == "question 1"


def test_the_first_answer_counts(page):
    root = show(page, Families())
    question(root, 4).click()
    wrong = next(name for name in QUESTIONS[3][0] if name != RIGHT[3])
    answer(root, wrong).click()
    for _ in range(2):
        v = check(root)
        assert (v["right"], v["left"], v["answers"][3]) == (0, 9, wrong)
        card = root.locator(".dgm-card").inner_text()
        assert f"No: {RIGHT[3]}. {QUESTIONS[3][3]}" in card and "0 of 1 right, 9 to go" in card
        assert answer(root, wrong).inner_text() == f"✗ {wrong}"
        assert answer(root, RIGHT[3]).inner_text() == f"✓ {RIGHT[3]}"
        answer(root, RIGHT[3]).click(force=True)  # too late
    assert "wrong" in question(root, 4).get_attribute("aria-label")
    family(root, "flow").click()
    root.get_by_role("button", name="next question").click()
    assert check(root)["opened"] == "question 5"  # on from the last one
    for number in (9, 10):
        question(root, number).click()
    answer(root, RIGHT[9]).click()
    root.get_by_role("button", name="next question").click()
    assert check(root)["opened"] == "question 1"


def test_all_64_sets_of_needs(page):
    """Each is one button away from the one before; the sentence names who remains, or what to give up for whom."""
    root, pressed = show(page, Families()), set()
    for i in range(64):
        if i:
            key = list(NEEDS)[(i & -i).bit_length() - 1]  # Gray's order
            page.evaluate("e => e.click()", need(root, key).element_handle())
            pressed ^= {key}
        v = values(root)
        assert set(v["needs"]) == pressed
        left = [name for name in NAMES if pressed <= offers(name)]
        assert v["remaining"] == left
        text = sentence(root)
        if not pressed:
            assert "All 5 families remain" in text
        elif left:
            said = re.match(r"(\d) of 5 families remains?: (.+?)\.", text)
            assert int(said[1]) == len(left) and re.split(", | and ", said[2]) == left
            for key, name in itertools.product(NEEDS, NAMES):
                if name in NEEDS[key][2]:
                    assert (NEEDS[key][2][name] in text) == (key in pressed and name in left)
        else:
            assert text.startswith("No family offers all of this: ")
            advice = {}
            for part in text.removeprefix("No family offers all of this: ").removesuffix(".").split("; "):
                some, what = re.fullmatch("for (.+) give up “(.+)”", part).groups()
                advice |= {name: what for name in re.split(", | or ", some)}
            lacks = {name: pressed - offers(name) for name in NAMES}
            assert advice == {name: NEEDS[min(keys)][0] for name, keys in lacks.items() if len(keys) == 1}
        if i % 9 == 0:
            check(root)


def test_needs_at_first_come_back(page):
    root = show(page, Families(["exact", "one pass"]))
    assert check(root)["remaining"] == ["flow"]
    need(root, "one pass").click()
    assert check(root)["remaining"] == ["autoregressive", "flow"] and page.evaluate("saved.needs") == ["exact"]
    root.get_by_role("button", name="reset").click()
    assert check(root)["needs"] == ["exact", "one pass"]


def test_by_keyboard_alone(page):
    root = show(page, Families())
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    need(root, "steady").focus()
    page.keyboard.press("Space")
    assert check(root)["needs"] == ["steady"]
    for key in ("Tab", "Tab"):  # past reset
        page.keyboard.press(key)
    walk = ["ArrowDown", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "ArrowUp"]
    for key, name in zip(walk, (1, 2, 1, 4, 0, 4)):
        page.keyboard.press(key)
        assert check(root)["opened"] == NAMES[name]
        assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "true"
    page.keyboard.press("Tab")
    assert check(root)["opened"] == "question 1"
    for key, number in (("End", 10), ("ArrowDown", 1), ("ArrowRight", 2), ("ArrowDown", 3)):
        page.keyboard.press(key)
        assert check(root)["question"] == number
    for key in ("Enter", "Space"):
        page.keyboard.press(key)
        assert check(root)["question"] == 3
    for key in ("Tab", "Tab", "Tab", "Enter"):  # next question, one answer, the other
        page.keyboard.press(key)
    v = check(root)
    assert v["answers"][2] == RIGHT[2] and v["opened"] == "question 3"
    assert page.evaluate("document.activeElement.textContent") == f"✓ {RIGHT[2]}"  # the keyboard stays where it was
    for key in ("Shift+Tab", "Shift+Tab", "Enter"):
        page.keyboard.press(key)
    assert check(root)["opened"] == "question 4"
    assert set(page.evaluate("seen")) <= {"Tab", "Shift"}
    page.keyboard.press("Control+ArrowDown")
    assert "ArrowDown" in page.evaluate("seen")


def test_lines_are_hit_off_their_numbers(page):
    """A click on a line between number and circle opens its question; on a circle, always the family."""
    root = show(page, Families())
    picture = root.locator(".dgm-picture").bounding_box()
    scale = picture["width"] / root.locator(".dgm-picture").evaluate("e => e.viewBox.baseVal.width")
    for number in range(1, 11):
        x1, y1, x2, y2 = (
            question(root, number)
            .locator("line")
            .evaluate("e => ['x1', 'y1', 'x2', 'y2'].map((name) => Number(e.getAttribute(name)))")
        )
        page.mouse.click(picture["x"] + scale * (0.9 * x1 + 0.1 * x2), picture["y"] + scale * (0.9 * y1 + 0.1 * y2))
        assert check(root)["question"] == number
    for name in NAMES:
        box = family(root, name).locator(".dgm-touch").bounding_box()
        for x, y in ((0.5, 0.5), (0.15, 0.5), (0.5, 0.85), (0.8, 0.2)):
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            assert check(root)["opened"] == name
            question(root, 1).click()


def test_by_finger(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1300}, has_touch=True)
    try:
        root = show(context.new_page(), Families())
        for target, opened in [(family(root, name), name) for name in NAMES] + [
            (question(root, n + 1).locator(".dgm-touch"), f"question {n + 1}") for n in range(10)
        ]:
            box = target.bounding_box()
            assert min(box["width"], box["height"]) >= 30
            root.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            assert check(root)["opened"] == opened
        answer(root, RIGHT[9]).tap()
        need(root, "code").tap()
        v = check(root)
        assert v["right"] == 1 and v["remaining"] == ["flow", "latent variable"]
    finally:
        context.close()


def test_what_is_seen_is_told(page):
    root = show(page, Families(["code"]))
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('2 of 5')")
    assert root.get_by_role("status").text_content() == sentence(root)
    assert root.locator(".dgm-card [aria-live=polite]").count() == 2
    page.evaluate("remove()")
    assert page.evaluate("Object.values(listeners).flat().length") == 0


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (640, False), (900, True)])
def test_fits_and_is_accessible(page, width, dark):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, Families(["exact", "any network"]), dark)
    assert (root.locator(".dgm-card").bounding_box()["x"] > width / 3) == (width > 600)
    for name in ("code", "steady", "one pass"):
        assert overlaps(root) == []
        need(root, name).click()
    question(root, 3).focus()
    answer(root, RIGHT[2]).click()
    assert overlaps(root) == []
    fits(page, root, width)
    family(root, "latent variable").focus()
    fits(page, root, width)


@pytest.mark.parametrize("number", [None, *range(1, 11)])
def test_fits_a_slide(page, number):
    slide(page, Families(["exact", "any network"]))
    root = page.locator(".dgm")
    for name in NAMES if number is None else ():
        family(root, name).click()
        assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    if number:
        question(root, number).click()
        answer(root, RIGHT[number - 1]).click()
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    assert page.evaluate("document.documentElement.scrollWidth") == 1280 and overlaps(root) == []
    check(root)
