"""The built book as readers meet it: offline, searchable, readable on a phone, in light and dark, and accessible."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from chapters import ROOT, chapters

CHAPTERS = [c.docname for c in chapters()]
AROUND = ("intro", "map", "impact", "benchmarks", "paper", "teaching", "notation", "glossary", "bibliography")
PAGES = [f"book/{name}" for name in AROUND]
PAGES += [f"book/{name}" for name in ("paths", "exercises", "your_data", "errata")]
PAGES += [f"book/{path.stem}" for path in sorted((ROOT / "book").glob("quiz_*.md"))]
PAGES += CHAPTERS
AXE = ROOT / "book/_static/vendor/.axe.min.js"


def open_page(page, url):
    page.add_init_script("localStorage.setItem('mode', 'light'); localStorage.setItem('theme', 'light')")
    page.goto(url)
    page.wait_for_function("document.readyState === 'complete'")


@pytest.mark.parametrize("docname", PAGES)
def test_page(page, site, built, docname):
    """Offline and without errors (the fixture), whole, accessible in light and dark, and at home on a phone."""
    open_page(page, f"{site}/{docname}.html")
    assert page.locator("article h1").count() == 1
    assert page.locator("a.left-prev, a.right-next").count() >= 1
    if 'class="math ' in (built / f"{docname}.html").read_text(encoding="utf8"):
        page.wait_for_selector("article mjx-container", state="attached", timeout=20_000)
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    images = page.eval_on_selector_all("img", "all => all.map(i => [i.src.slice(0, 80), i.naturalWidth, i.alt])")
    assert not [src for src, width, _ in images if not width], "broken images"
    assert not re.findall(r"\{(?:term|cite|ref|doc)[^}]*\}`", page.inner_text("main")), "unprocessed MyST"
    unnamed = page.eval_on_selector_all("article img:not([alt]), article img[alt='']", "all => all.length")
    assert not unnamed, "images without alt text"

    for theme in ("light", "dark"):
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        page.set_viewport_size({"width": 1300, "height": 1000})
        assert not serious_findings(page), f"axe-core, {theme}"
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, f"scrolls sideways on a phone, {theme}"
    assert not serious_findings(page), "axe-core, on a phone"


def serious_findings(page):
    """Return what axe-core finds serious or critical."""
    if not AXE.is_file():
        pytest.skip("axe-core is not vendored: run `python tools/vendor.py`")
    if page.evaluate("typeof axe") == "undefined":
        page.add_script_tag(path=str(AXE))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return {v["id"]: [n["html"][:150] for n in v["nodes"][:3]] for v in found if v["impact"] in ("serious", "critical")}


@pytest.mark.parametrize("docname", ["index", "book/glossary", CHAPTERS[-1]])
def test_page_works_from_files(page, built, docname):
    open_page(page, f"file://{built}/{docname}.html")
    if docname != "index":
        page.wait_for_selector("article mjx-container", state="attached", timeout=20_000)
    page.wait_for_selector("article h1")


def test_chapters_are_dressed(built):
    """The extension finds what it styles and links: facts, tasks, terms, citations."""
    for docname in CHAPTERS:
        text = (built / f"{docname}.html").read_text(encoding="utf8")
        assert text.count('<p class="dgm-fact') == 2 and text.count("dgm-able") == 1, docname
        assert "dgm-lead dgm-predict" in text, docname
        assert re.search(r'href="[^"]*glossary.html#term-[^"]*"[^>]*><span class="dgm-term', text), docname
    assert re.search(r'href="[^"]*bibliography.html#\w+"', text), "the last chapter cites nothing"


def test_prev_and_next_lead_through_all_pages(page, site):
    open_page(page, f"{site}/book/intro.html")
    visited = [page.url]
    while (following := page.locator("a.right-next")).count():
        following.first.click()
        page.wait_for_load_state("load")
        visited.append(page.url)
        assert page.locator("a.left-prev").count() >= 1
    assert len(visited) == len(set(visited)) == len(PAGES)


def test_search_finds_entropy(page, site):
    open_page(page, f"{site}/search.html?q=entropy")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert "glossary" in " ".join(page.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)"))


def test_theme_can_be_switched(page, site):
    open_page(page, f"{site}/book/map.html")

    def background():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    before, seen = background(), set()
    for _ in range(3):
        page.locator("button.theme-switch-button").first.click()
        page.wait_for_timeout(300)
        seen.add(background())
    assert len(seen | {before}) == 2, "clicking goes through light and dark"


def test_launch_buttons_lead_to_the_repository(page, site):
    open_page(page, f"{site}/{CHAPTERS[-1]}.html")
    links = page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
    for start in ("https://mybinder.org/v2/gh/", "https://colab.research.google.com/github/"):
        assert any(link.startswith(start) and link.endswith(f"{CHAPTERS[-1]}.ipynb") for link in links), start
    assert any(link.endswith("_sources/" + CHAPTERS[-1] + ".ipynb") for link in links), "download"
    assert any(link.endswith(CHAPTERS[-1].replace("notebooks", "slides") + ".html") for link in links), "slides"


def test_local_links_lead_somewhere(page, site, built):
    """Every link to a page, file or place in the book exists."""
    targets = {}
    for docname in PAGES:
        page.goto(f"{site}/{docname}.html")
        for link in page.eval_on_selector_all("main a[href]", "all => all.map(a => a.href)"):
            if link.startswith(site):
                targets.setdefault(link.removeprefix(site + "/"), docname)
    missing = []
    for target, docname in targets.items():
        name, _, anchor = target.partition("#")
        file = built / (name.partition("?")[0] or "index.html")
        if not file.is_file() or (anchor and f'id="{anchor}"' not in file.read_text(encoding="utf8")):
            missing.append((docname, target))
    assert targets and not missing


SLIDE_STATE = """() => {
    const slide = document.querySelector('.slides section.present section.present');
    const room = document.querySelector('.slides').getBoundingClientRect().height;
    const wide = [...slide.querySelectorAll('pre, img, table, mjx-container')].filter(
        e => e.getBoundingClientRect().right > innerWidth + 1);
    return {text: slide.textContent.trim().slice(0, 60), tall: slide.getBoundingClientRect().height > room + 2,
            scrolls: slide.classList.contains('scrolls'), wide: wide.map(e => e.outerHTML.slice(0, 80))};
}"""


@pytest.mark.parametrize("docname", CHAPTERS)
def test_slides(page, site, docname):
    """Offline, with maths; every slide is either shown whole or can be scrolled; images keep their alt text."""
    open_page(page, f"{site}/{docname.replace('notebooks', 'slides')}.html")
    page.wait_for_function("document.querySelector('.reveal.ready') !== null", timeout=20_000)
    page.wait_for_timeout(500)
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    total = page.locator(".slides > section > section").count()
    notes = page.locator("aside.notes").count()
    assert total >= 2 and notes >= 1
    body = page.evaluate("getComputedStyle(document.querySelector('.reveal .jp-RenderedHTMLCommon')).fontSize")
    assert float(body.removesuffix("px")) >= 26
    wrong = []
    for number in range(total):
        for _ in range(10):  # widgets find their size a little later
            state = page.evaluate(SLIDE_STATE)
            if not (bad := (state["tall"] and not state["scrolls"]) or state["wide"]):
                break
            page.wait_for_timeout(200)
        if bad:
            wrong.append((number, state))
        page.keyboard.press("PageDown")
        while page.locator(".slides section.present section.present .fragment:not(.visible)").count():
            page.keyboard.press("PageDown")
    assert not wrong


def test_lab_shows_a_chapter(page, lab):
    """JupyterLab opens a chapter as it stands in the repository, offline and without errors."""
    page.goto(lab.replace("/lab?", "/lab/tree/notebooks/1_why/1_information.ipynb?"))
    page.wait_for_selector(".jp-RenderedMarkdown h1", timeout=60_000)
    page.wait_for_selector(".jp-RenderedMarkdown mjx-container", state="attached", timeout=60_000)
    assert page.locator(".jp-RenderedMarkdown details").count() >= 1
