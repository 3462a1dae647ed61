"""What the book is made of: chapters that describe themselves, editions made from them, nothing twice."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import chapters
import slides
import student

ROOT = chapters.ROOT

GOOD = """# A title

What it promises.

**Minutes:** 20

**Needs:** nothing

**You will be able to**

- do this
- do that
"""


def write(folder, text, kind="markdown"):
    path = folder / "1_chapter.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": kind, "source": text.splitlines(keepends=True)}]}))
    return path


def test_a_chapter_describes_itself(tmp_path):
    other = tmp_path / "2_other.ipynb"
    other.write_text("{}")
    needs = f"[Other](2_other.ipynb), [Other again](../{tmp_path.name}/2_other.ipynb)"
    found = chapters.parse_chapter(write(tmp_path, GOOD.replace("nothing", needs)))
    assert (found.title, found.promise, found.minutes) == ("A title", "What it promises.", 20)
    assert found.needs == (other, other)
    assert found.objectives == ("do this", "do that")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("# A title", "A title", "a title"),
        ("What it promises.\n\n", "", "promise"),
        ("**Minutes:** 20", "**Minutes:** twenty", "Minutes"),
        ("**Minutes:** 20\n\n", "**Minutes:** 20\n", "Minutes"),
        ("**Needs:** nothing\n\n", "", "Needs"),
        ("nothing", "some patience", "'some patience'"),
        ("nothing", "[Gone](gone.ipynb)", "gone.ipynb"),
        ("nothing", "[Gone](gone.ipynb) or so", "or so"),
        ("- do this\n- do that\n", "", "objectives"),
        ("- do that\n", "- do that\n\nAnd more.\n", "And more."),
    ],
)
def test_a_malformed_first_cell_is_named(tmp_path, old, new, says):
    assert old in GOOD
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        chapters.parse_chapter(write(tmp_path, GOOD.replace(old, new)))
    assert "1_chapter.ipynb" in str(error.value)


def test_the_first_cell_must_be_text(tmp_path):
    with pytest.raises(ValueError, match="first cell must be the markdown cell"):
        chapters.parse_chapter(write(tmp_path, GOOD, kind="code"))


def test_every_notebook_is_in_the_book_after_what_it_needs():
    listed = [c.path for c in chapters.chapters()]
    assert sorted(listed) == sorted((ROOT / "notebooks").glob("*/*.ipynb"))
    for chapter in chapters.chapters():
        for need in chapter.needs:
            assert listed.index(need) < listed.index(chapter.path), f"{chapter.title} stands before what it needs"


def test_what_exists_is_not_announced_as_coming():
    coming = (ROOT / "book/map.md").read_text(encoding="utf8").partition("## Coming")[2].lower()
    names = {re.sub(r"\W+", " ", n).strip() for n in re.split(r"[;\n]|\*\*", coming)}
    for chapter in chapters.chapters():
        assert re.sub(r"\W+", " ", chapter.title.lower()) not in names, f"take {chapter.title} from the list"


def test_glossary_defines_each_term_once():
    text = (ROOT / "book/glossary.md").read_text(encoding="utf8")
    blocks = re.findall(r"```\{glossary\}\n(.*?)```", text, re.DOTALL)
    terms = [line.lower() for b in blocks for line in b.splitlines() if line and not line.startswith(" ")]
    assert len(terms) == len(set(terms)) > 40


def test_citations_exist():
    keys = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "book/references.bib").read_text(encoding="utf8"), re.MULTILINE))
    files = [*(ROOT / "notebooks").glob("*/*.ipynb"), *(ROOT / "book").glob("*.md")]
    cited = {k for f in files for k in re.findall(r"bibliography\.md#(\w+)", f.read_text(encoding="utf8"))}
    assert cited and cited <= keys, cited - keys


def test_libraries_are_pinned_with_hashes_and_without_addresses():
    lock = json.loads((ROOT / "package-lock.json").read_text())
    wanted = json.loads((ROOT / "package.json").read_text())
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert not name or package.get("integrity", "").startswith("sha512-"), name


def test_the_repository_is_named_in_one_place():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"].startswith("https://github.com/")
    assert config["execute"]["execute_notebooks"] == "off"


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def markdown(text, **metadata):
    return nbformat.v4.new_markdown_cell(text, metadata=metadata)


HINT = "<details>\n<summary>Hint</summary>\n\nThink.\n\n</details>\n\n"
SOLUTION = "<details>\n<summary>Solution</summary>\n\n```python\nanswer = 42\n```\n\n</details>"


def test_student_edition_loses_solutions_and_notes_and_nothing_else():
    skeleton = nbformat.v4.new_code_cell("answer = ...\n\n\ncheck('x.1', answer)", metadata={"tags": ["exercise"]})
    answer = "<details>\n<summary>Answer</summary>\n\nYes.\n\n</details>"
    made = student.without_solutions(
        notebook(
            markdown("# Title", slideshow={"slide_type": "slide"}),
            markdown("Say hello.", slideshow={"slide_type": "notes"}, tags=["remove-cell"]),
            markdown("**Predict.** Really?\n\n" + answer),
            skeleton,
            markdown(HINT + SOLUTION, tags=["solution"]),
            markdown(SOLUTION, tags=["solution"]),
            nbformat.v4.new_code_cell("answer = 42", metadata={"tags": ["solution"]}),
        )
    )
    assert [c.source for c in made.cells] == [
        "# Title",
        "**Predict.** Really?\n\n" + answer,
        skeleton.source,
        HINT.strip(),
    ]


def test_student_archive_is_whole_and_stable(tmp_path):
    archive = student.archive(tmp_path)
    first = archive.read_bytes()
    with zipfile.ZipFile(archive) as z:
        names = z.namelist()
        for path in (ROOT / "notebooks").glob("*/*.ipynb"):
            text = z.read(f"dgmlite-student/{path.relative_to(ROOT).as_posix()}").decode()
            cells = json.loads(text)["cells"]
            assert "<summary>Solution" not in text
            assert not [c for c in cells if "solution" in c["metadata"].get("tags", [])]
            checks = sum("check(" in "".join(c["source"]) for c in json.loads(path.read_text())["cells"])
            assert sum("check(" in "".join(c["source"]) for c in cells) == checks
    assert "dgmlite-student/pyproject.toml" in names and "dgmlite-student/dgmlite/__init__.py" in names
    assert not [n for n in names if "__pycache__" in n]
    assert student.archive(tmp_path).read_bytes() == first


def test_slides_keep_what_nbconvert_loses(tmp_path):
    made = slides.build(tmp_path)
    assert [p.relative_to(tmp_path / "slides").with_suffix("") for p in made] == [
        c.path.relative_to(ROOT / "notebooks").with_suffix("") for c in chapters.chapters()
    ]
    for path, chapter in zip(made, chapters.chapters(), strict=True):
        text = path.read_text(encoding="utf8")
        assert f"<title>{chapter.title}" in text
        assert not re.findall(r"""<(?:script|link|img)\b[^>]*(?:src|href)=["']?(?:https?:)?//""", text)
        alts = re.findall(r'<img [^>]*alt="([^"]*)', text)
        assert len(alts) == text.count("<img") and all(alts), f"{chapter.title}: an image without alt text"
        assert "No description has been provided" not in text, "nbconvert's own words in the place of the alt text"
        assert ".ipynb" not in "".join(re.findall(r'href="([^"]*)"', text)), "links lead to pages, not to notebooks"


@pytest.mark.parametrize(
    ("link", "becomes"),
    [
        ("../0_start/1_start_here.ipynb", "../../notebooks/0_start/1_start_here.html"),
        ("../../book/bibliography.md#huffman1952", "../../book/bibliography.html#huffman1952"),
        ("../../book/_static/first_samples.png", "../../_static/first_samples.png"),
        ("https://example.org/a.md", "https://example.org/a.md"),
        ("#here", "#here"),
    ],
)
def test_links_in_slides_lead_into_the_book(link, becomes):
    chapter = chapters.chapters()[-1]
    target = ROOT / "slides" / chapter.path.relative_to(ROOT / "notebooks").with_suffix(".html")
    assert slides.link_to_pages(f"see [it]({link}).", chapter, target) == f"see [it]({becomes})."


def test_vendoring_again_is_instant():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/vendor.py")], capture_output=True, text=True, check=True, timeout=300
    )
    again = subprocess.run(
        [sys.executable, str(ROOT / "tools/vendor.py")], capture_output=True, text=True, check=True, timeout=2
    )
    assert done.returncode == 0 and again.stdout == ""
