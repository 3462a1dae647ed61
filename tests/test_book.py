"""What the book is made of: chapters that describe themselves, editions made from them, nothing twice."""

import itertools
import json
import math
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import scipy.stats
import torch
import yaml

from dgmlite import exercises
from dgmlite import information as info
from dgmlite.models.diffusion import Schedule
from dgmlite.reproduce import results

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "book/_ext"))
import chapters
import course_map
import slides
import student

ROOT = chapters.ROOT
BOOK = ROOT / "book"
QUIZZES = sorted(BOOK.glob("quiz_*.md"))

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


def prose(chapter):
    """Return the Markdown cells of a chapter, without the speaker's notes."""
    cells = json.loads(chapter.path.read_text(encoding="utf8"))["cells"]
    shown = (c for c in cells if c["cell_type"] == "markdown" and "remove-cell" not in c["metadata"].get("tags", []))
    return ["".join(c["source"]) for c in shown]


def linked(chapter, text):
    return {(chapter.path.parent / link).resolve() for _, link in chapters.LINK.findall(text)}


def test_every_chapter_ends_with_what_comes_next():
    listed = chapters.chapters()
    for chapter, following in itertools.zip_longest(listed, listed[1:]):
        *_, card = prose(chapter)
        *_, last = card.strip().splitlines()
        assert card.startswith("## Card\n") and last.startswith("**Next.** "), chapter.title
        assert "\n".join(prose(chapter)).count("**Next.**") == 1, chapter.title
        if following:
            assert following.path in linked(chapter, last), f"{chapter.title} must lead to {following.title}"


def misled(chapter, before, after):
    """Yield the sentences that speak of a neighbour without linking it: after an insertion they are wrong."""
    for sentence in re.split(r"(?<=[.?!])\s+|\n", "\n".join(prose(chapter))):
        for which in re.findall(r"\b(last|previous|next|later) chapters?\b", sentence, re.IGNORECASE):
            meant = {"last": before, "previous": before, "next": after}.get(which.lower())
            links = linked(chapter, sentence)
            if not links or (meant and meant.path not in links):
                yield sentence


def test_neighbouring_chapters_are_linked():
    listed = [None, *chapters.chapters(), None]
    for before, chapter, after in zip(listed, listed[1:], listed[2:]):
        assert list(misled(chapter, before, after)) == [], chapter.title


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("As in the last chapters, it moves.", True),
        ("[The next chapter](2_other.ipynb) does it.", False),
        ("[The next chapter](2_other.ipynb) does it. The next chapter, too.", True),
        ("The last chapter ([Other](2_other.ipynb)) does it.", True),
        ("A [later chapter](2_other.ipynb) does it.", False),
    ],
)
def test_a_neighbour_without_its_link_is_found(tmp_path, text, wrong):
    path = write(tmp_path, GOOD)
    path.write_text(json.dumps({"cells": exercise_cells(text, SKELETON)}))
    this, after, before = (
        chapters.Chapter(path.with_name(name), "", "", 0, (), ()) for name in (path.name, "2_other.ipynb", "0.ipynb")
    )
    assert bool(list(misled(this, before, after))) == wrong


def test_table_of_the_readme_is_measured():
    text = (ROOT / "README.md").read_text(encoding="utf8")
    for name, row in results("digits_showdown")["models"].items():
        mean = {key: value["mean"] for key, value in row.items()}
        nats = f"at most {mean['test']:.1f}" if "test" in mean else "no likelihood"
        nats = f"{mean['test']:.1f}, exact" if name == "autoregressive" else nats
        nats += f" ({mean['test, 100 weights']:.1f} with 100 draws)" if "test, 100 weights" in mean else ""
        file = f"{mean['file']:.1f}" if "file" in mean else "none"
        speed = f"{float(format(mean['images per second'], '.2g')):,.0f}"
        samples = f"{mean['samples, precision']:.2f} | {mean['samples, recall']:.2f}"
        assert f"| {name} | {nats} | {file} | {speed} | {samples} |" in text


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


def test_every_exercise_is_in_the_list():
    known = exercises.chapters()
    for chapter in chapters.chapters():
        found = chapters.parse_exercises(chapter.path)
        assert [e.number for e in found] == sorted(known[chapter.path.stem[2:]]), chapter.title
        for e in found:
            assert e.name and 10 < len(e.ask) <= 1.5 * chapters.LINE and "\n" not in e.ask, e
            assert e.ask.count("$") % 2 == e.ask.count("`") % 2 == 0, e
            assert e.stars or chapter.path.stem == "1_start_here", e
    text = course_map.exercise_list(BOOK)
    assert text.count("#exercise-") == sum(map(len, known.values()))
    assert f"{sum(map(len, known.values()))} exercises: 3 × within the text, " in text
    assert (BOOK / "exercises.md").read_text(encoding="utf8").count("% the exercises are written here\n") == 1


def exercise_cells(text, code):
    return [{"cell_type": "markdown", "source": [text], "metadata": {}}] + [
        {"cell_type": "code", "source": [code], "metadata": {"tags": ["exercise"]}}
    ]


SKELETON = 'def f(x, y):\n    return ...\n\n\ncheck("x.3", f)'


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        ("Do **this**.", "Do this."),
        ("A story. " * 20 + "What then? Return the end. Prove it.", "A story. … Return the end."),
        ("A story. " * 20 + "What then?", "A story. … What then?"),
        ("Return the end. " + "A story. " * 20, "Return the end."),
        ("A story. " * 20, ("A story. " * 19).strip()),
        ("Derive " + "this and " * 30 + "that. Then write the end.", "Write the end."),
    ],
)
def test_an_exercise_fits_in_a_line(tmp_path, text, ask):
    path = tmp_path / "1_x.ipynb"
    path.write_text(json.dumps({"cells": exercise_cells(f"**★★ 3.** {text.strip()}", SKELETON)}))
    assert chapters.parse_exercises(path) == [chapters.Exercise(3, "★★", "f(x, y)", ask)]


def test_an_exercise_with_the_wrong_number_is_named(tmp_path):
    path = tmp_path / "1_x.ipynb"
    path.write_text(json.dumps({"cells": exercise_cells("**★ 2.** Do this.", SKELETON)}))
    with pytest.raises(ValueError, match=r"1_x\.ipynb: the text of exercise 2 stands before check 3"):
        chapters.parse_exercises(path)


def test_pages_link_to_places_that_exist():
    """`chapter_pages` gives sections and exercises the names that are linked to."""
    for page in BOOK.glob("*.md"):
        for link, kind, number in re.findall(
            r"\]\(([^)#]+\.ipynb)#(section|exercise)-(\d+)\)", page.read_text(encoding="utf8")
        ):
            notebook = (BOOK / link).read_text(encoding="utf8")
            place = f'"## {number} · ' if kind == "section" else f'.{number}\\", '
            assert place in notebook, (page.name, link, kind, number)


def test_paths_agree_with_the_chapters():
    text = (BOOK / "paths.md").read_text(encoding="utf8")
    minutes = {c.path: c.minutes for c in chapters.chapters()}
    said = re.findall(r"\]\(([^)#]+\.ipynb)\) \((\d+) minutes\)", text)
    assert len(said) >= len(minutes)
    for link, number in said:
        assert minutes[(BOOK / link).resolve()] == int(number), link
    assert f"together take {sum(minutes.values())} minutes" in text
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    for title in ("One evening", "One week"):
        section = next(s for s in sections if s.startswith(title))
        times = [int(n) for n in re.findall(r"\]\([^)#]+\.ipynb\) \((\d+) minutes\)", section)]
        assert f"**Sum: {sum(times)} minutes" in section, title
    week = next(s for s in sections if s.startswith("One week"))
    for row in re.findall(r"^\| \w+day \|.*", week, re.MULTILINE):
        total = sum(int(n) for n in re.findall(r"\((\d+) minutes\)", row))
        assert f"| {total} |" in row and total <= 125, row
    workshop = next(s for s in sections if s.startswith("A workshop"))
    slots = [(int(a), int(b)) for a, b in re.findall(r"^\| (\d+)–(\d+) \|", workshop, re.MULTILINE)]
    assert [a for a, _ in slots] == [0, *[b for _, b in slots[:-1]]] and slots[-1][1] == 120


def test_paths_ask_for_exercises_that_exist_once():
    text = (BOOK / "paths.md").read_text(encoding="utf8")
    course = text.partition("## A course")[2].partition("**What is assessed**")[0]
    titles = {c.title: {e.number for e in chapters.parse_exercises(c.path)} for c in chapters.chapters()}
    asked = {title: [] for title in titles}
    for row in re.findall(r"^\| \d+ \|.*", course, re.MULTILINE):
        homework = row.split(" | ")[2]
        for part in homework.split("; "):
            if found := re.match(r"([A-Z][A-Za-z ]+?) (\d.*)", part):
                for a, b in re.findall(r"(\d)(?:–(\d))?", found[2]):
                    asked[found[1]] += range(int(a), int(b or a) + 1)
    assert {title: sorted(numbers) for title, numbers in asked.items()} == {t: sorted(n) for t, n in titles.items()}
    for scheme in text.split("### Project")[1:]:
        points = [int(n) for n in re.findall(r"^\| (\d+) \|", scheme, re.MULTILINE)]
        assert f"| project {scheme.strip()[0]} | {sum(points)} |" in text


def questions(page):
    """Return the questions of a quiz: number → (question, answer)."""
    text = page.read_text(encoding="utf8")
    parts = re.split(r"^## (\d+) · [^\n]+\n", text, flags=re.MULTILINE)
    folded = "<details>\n<summary>Answer</summary>\n\n"
    return {int(n): part.partition(folded)[::2] for n, part in zip(parts[1::2], parts[2::2], strict=True)}


@pytest.mark.parametrize("page", QUIZZES, ids=lambda page: page.stem)
def test_quiz_is_whole(page):
    """Six to eight questions, each with one folded answer that leads to the passage; all options are spoken of."""
    found = questions(page)
    assert list(found) == list(range(1, len(found) + 1)) and 6 <= len(found) <= 8
    chapters_linked = set()
    for number, (question, answer) in found.items():
        assert answer.strip().endswith("</details>") and answer.count("</details>") == 1, number
        links = re.findall(r"/(\w+)\.ipynb#", answer)
        assert links, f"question {number} leads nowhere"
        chapters_linked |= set(links)
        options = re.findall(r"^- \*\*([A-D])\.\*\*", question, re.MULTILINE)
        assert options in ([], list("ABCD")), number
        for option in options:
            assert re.search(rf"\*\*{option}(\.|\*\*)|\*{option}\*|\*{option}\* and", answer), (number, option)
    assert len(chapters_linked) >= 2, "a quiz asks across chapters"
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text(encoding="utf8"))
    ends = [part["chapters"][-1]["file"] for part in toc["parts"]]
    assert f"book/{page.stem}" in ends, "it stands at the end of its part"


def sharpened(p, T):
    q = np.array(p) ** (1 / T)
    return q / q.sum()


def gap_of_a_gaussian(x, s):
    """log p(x) − ELBO(x) for z ~ N(0, 1), x | z ~ N(z, 1), q = N(x/2, s²), by sums over a grid."""
    z = np.linspace(-15, 15, 60_001)
    joint = scipy.stats.norm.logpdf(z) + scipy.stats.norm.logpdf(x, z)
    q = scipy.stats.norm.logpdf(z, x / 2, s)
    dz = z[1] - z[0]
    return np.log(np.exp(joint).sum() * dz) - (np.exp(q) * (joint - q)).sum() * dz


def information_of_noise(N, K, L, repeats=200):
    rng = np.random.default_rng(0)
    tables = (np.histogram2d(rng.integers(K, size=N), rng.integers(L, size=N), (K, L))[0] for _ in range(repeats))
    return np.mean([info.mutual_information(table / N) for table in tables])


def best_guess(z, alpha_bar, m, v):
    """E[x | z], by sums over a grid."""
    x = np.linspace(m - 20, m + 20, 40_001)
    p = scipy.stats.norm.pdf(x, m, v**0.5) * scipy.stats.norm.pdf(z, alpha_bar**0.5 * x, (1 - alpha_bar) ** 0.5)
    return (x * p).sum() / p.sum()


def price_of_step(A, B, error):
    """KL of two normal steps back, with the true x and with the guess; both have the deviation c."""
    b = (A / B) ** 0.5 * (1 - B) / (1 - A)
    a, c = B**0.5 - b * A**0.5, ((1 - B) - b**2 * (1 - A)) ** 0.5
    return a**2 * error / (2 * c**2)


def least_loss(p, q):
    """The smallest loss of a critic of two states, searched for."""
    D = np.linspace(1e-9, 1 - 1e-9, 200_001)
    with np.errstate(divide="ignore"):
        return sum((-a * np.log(D) - b * np.log(1 - D)).min() for a, b in zip(p, q))


def mse_weight(D):
    """By how much the mean squared error of D pixels is smaller than half their squared error."""
    x, y = torch.zeros(1, D), torch.ones(1, D)
    return (0.5 * (x - y).square().sum() / torch.nn.functional.mse_loss(x, y)).item()


def error_of_difference(correlation, sd=20, N=400):
    """The standard error of a mean difference, from the covariance of the two; 0.98 gives the difference an sd of 4."""
    covariance = sd**2 * np.array([[1, correlation], [correlation, 1]])
    return (np.array([1, -1]) @ covariance @ [1, -1] / N) ** 0.5


NUMBERS = [  # what an answer says, computed without the answer's formula where there is another way
    ("why", 2, "About 19,800 bytes", lambda: f"About {round(1000 * 110 * math.log2(math.e) / 8, -2):,.0f} bytes"),
    ("why", 3, "10.5 nats", lambda: f"{-scipy.stats.binom.logpmf(0, 100, 0.1):.1f} nats"),
    ("why", 3, "32.5 nats", lambda: f"{100 * info.entropy([0.9, 0.1]):.1f} nats"),
    ("why", 4, "39.4 nats", lambda: f"{sum([math.log(sum([1 / 17 + 0.05] * 17))] * 64):.1f} nats"),
    ("why", 5, "0.02 nats", lambda: f"{information_of_noise(10_000, 10, 50):.2f} nats"),
    ("why", 6, "28 times", lambda: f"{784 / np.sqrt((np.ones(784) ** 2).sum()):.0f} times"),
    ("autoregressive", 1, "6.2 bits", lambda: f"{83.2 / math.log(2) - 78.9 / math.log(2):.1f} bits"),
    ("autoregressive", 2, "44.4 nats", lambda: f"{64 * info.entropy([0.5, 0.5]):.1f} nats"),
    ("autoregressive", 4, "0.50 nats", lambda: f"{info.entropy([0.8, 0.2]):.2f} nats"),
    ("autoregressive", 4, "0.22 nats", lambda: f"{info.entropy(sharpened([0.8, 0.2], 0.5)):.2f} nats"),
    ("autoregressive", 5, "50 %", lambda: f"{100 * scipy.special.softmax([-80.0, -81.1 + math.log(3)])[0]:.0f} %"),
    ("flows", 1, "1 bit", lambda: f"{math.log2(1 / 0.5):.0f} bit"),
    ("flows", 1, "543 nats", lambda: f"{784 * math.log(1 / 0.5):.0f} nats"),
    ("flows", 3, "−0.88 nats", lambda: f"{scipy.stats.norm(0, 0.1).entropy():.2f} nats".replace("-", "−")),
    ("flows", 3, "3.72 nats", lambda: f"{scipy.stats.norm(0, 10).entropy():.2f} nats"),
    ("flows", 4, "16", lambda: f"{4 * 4}"),
    ("flows", 6, "122.6 bits", lambda: f"{85 * math.log2(math.e):.1f} bits"),
    ("latent", 1, "0.153 nats", lambda: f"{gap_of_a_gaussian(0.7, 1):.3f} nats"),
    ("latent", 1, "0.153 nats", lambda: f"{gap_of_a_gaussian(-3.0, 1):.3f} nats"),
    ("latent", 3, "129.8 bits", lambda: f"{(30 + 72 - 12) * math.log2(math.e):.1f} bits"),
    ("latent", 3, "17.3 bits", lambda: f"{12 * math.log2(math.e):.1f} bits"),
    ("latent", 4, "β = 32", lambda: f"β = {mse_weight(64):.0f}"),
    ("latent", 6, "8.1 nats", lambda: f"{15 - info.entropy([1 / 1000] * 1000):.1f} nats"),
    ("diffusion", 1, "1.2 nats", lambda: f"{price_of_step(0.5, 0.9, 0.3):.1f} nats"),
    ("diffusion", 4, "3.27", lambda: f"{best_guess(3, 0.8, 2, 4):.2f}"),
    (
        "diffusion",
        7,
        "0.43 nats",
        lambda: f"{np.linalg.solve([[1, 1 / 256], [1, 1 / 1024]], [84, 82.7])[1] / 1024:.2f} nats",
    ),
    ("implicit", 1, "9 times", lambda: f"{(0.75 / 1000) / (0.25 / 3000):.0f} times"),
    ("implicit", 3, "JS = 0.216", lambda: f"JS = {info.jensen_shannon([1, 0], [0.5, 0.5]):.3f}"),
    ("implicit", 3, "KL(p ‖ q) = 0.693", lambda: f"KL(p ‖ q) = {info.kl_divergence([1, 0], [0.5, 0.5]):.3f}"),
    ("implicit", 3, "KL(q ‖ p) inf", lambda: f"KL(q ‖ p) {info.kl_divergence([0.5, 0.5], [1, 0])}"),
    ("implicit", 3, "loss 0.955", lambda: f"loss {least_loss([1, 0], [0.5, 0.5]):.3f}"),
    ("implicit", 7, "6.9 nats", lambda: f"{info.entropy([1 / 1000] * 1000):.1f} nats"),
    ("using", 1, "About 8,700 bytes", lambda: f"About {round(600 * 80 * math.log2(math.e) / 8 + 39, -2):,.0f} bytes"),
    ("using", 3, "0.20 nats paired", lambda: f"{error_of_difference(0.98):.2f} nats paired"),
    ("using", 3, "1.41 nats unpaired", lambda: f"{error_of_difference(0):.2f} nats unpaired"),
    ("using", 6, "From 53,334 images", lambda: f"From {next(n for n in range(10**6) if 60 * n > 3_200_000):,} images"),
]


@pytest.mark.parametrize(("quiz", "number", "said", "compute"), NUMBERS, ids=[f"{q}-{n}" for q, n, *_ in NUMBERS])
def test_numbers_of_the_quizzes(quiz, number, said, compute):
    assert compute() == said
    bold = " ".join(re.findall(r"\*\*(.+?)\*\*", questions(BOOK / f"quiz_{quiz}.md")[number][1]))
    assert said in bold


def test_every_question_that_asks_for_a_number_is_computed():
    asking = {
        (p.stem[5:], int(n)) for p in QUIZZES for n in re.findall(r"^## (\d+) · Compute", p.read_text("utf8"), re.M)
    }
    assert asking <= {(quiz, number) for quiz, number, *_ in NUMBERS}


def test_schedule_of_the_quiz_is_the_library_s():
    """The price of a step, with the library's posterior."""
    schedule = Schedule(256)
    t = 100
    a, _, c = schedule.posterior(t)
    A, B = (float(schedule.alpha[i]) ** 2 for i in (t, t - 1))
    assert a**2 * 0.3 / (2 * c**2) == pytest.approx(price_of_step(A, B, 0.3), rel=1e-4)


def test_your_data_runs(tmp_path, monkeypatch):
    """The page's code, from top to bottom."""
    blocks = re.findall(r"```python\n(.*?)```", (BOOK / "your_data.md").read_text(encoding="utf8"), re.DOTALL)
    assert len(blocks) > 10
    monkeypatch.chdir(tmp_path)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    try:
        exec(compile("\n".join(blocks), "your_data.md", "exec"), {"__name__": "your_data"})
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    assert (tmp_path / "run.safetensors").is_file()


def test_errata_are_errors():
    """What the page says is wrong is wrong, and what it puts in its place is right."""
    x = np.linspace(-20, 20, 400_001)
    dx, s = x[1] - x[0], 0.75
    printed = np.exp(-((x - 1) ** 2) / s**2) / np.sqrt(2 * np.pi * s**2)
    right = np.exp(-((x - 1) ** 2) / s**2 / 2) / np.sqrt(2 * np.pi * s**2)
    assert (printed * dx).sum() == pytest.approx(1 / math.sqrt(2)) and (right * dx).sum() == pytest.approx(1)

    rng = np.random.default_rng(0)  # 4: Bayes' rule for z given x, from the joint precision
    W, variance = rng.normal(size=(5, 2)), 0.3
    M = W.T @ W + variance * np.eye(2)
    precision = np.eye(2) + W.T @ W / variance
    assert np.allclose(variance * np.linalg.inv(M), np.linalg.inv(precision))
    assert np.allclose(M / variance, precision)  # what is printed is the inverse of the covariance

    z, q = 0.4, scipy.stats.norm(1 / 2, 0.5**0.5)  # 5: x = 1 given z ~ N(0, 1), x | z ~ N(z, 1), q the posterior
    log_joint, log_q = scipy.stats.norm.logpdf(z) + scipy.stats.norm.logpdf(1, z), q.logpdf(z)
    truth = scipy.stats.norm.logpdf(1, 0, 2**0.5)
    assert log_joint - log_q == pytest.approx(truth) and abs(log_joint + log_q - truth) > 0.1

    beta = 0.3  # 6: z_1 given z_0 = 0, then z_2; E log q(z_1 | z_0) − log p(z_1 | z_2), with p centred on √(1−β) z_2
    root = math.sqrt(1 - beta)
    z1 = math.sqrt(beta) * rng.normal(size=2_000_000)
    z2 = root * z1 + math.sqrt(beta) * rng.normal(size=len(z1))

    def term(z1, z2):
        return (scipy.stats.norm.logpdf(z1, 0, beta**0.5) - scipy.stats.norm.logpdf(z1, root * z2, beta**0.5)).mean()

    assert term(z1, z2[::-1]) - term(z1, z2) == pytest.approx(1 - beta, abs=0.01)

    log_p = np.array([-3.0, -1.0, -2.0])  # 7
    mean = np.exp(log_p).mean()
    assert scipy.special.logsumexp(log_p) - math.log(3) == pytest.approx(math.log(mean))
    assert abs(scipy.special.logsumexp(np.exp(log_p)) - math.log(3) - math.log(mean)) > 0.5
    assert round(64 * math.log(2), 1) == 44.4  # 11
