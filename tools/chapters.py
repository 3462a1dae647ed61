"""What a chapter says about itself: parse_chapter reads a notebook's first cell, chapters() lists them in order.

The first cell is the only place where this is written; the book's map, the slides and the tests read it here:

    # Title

    One paragraph of promise.

    **Minutes:** 20

    **Needs:** nothing                (or links: [Start here](../0_start/1_start_here.ipynb), …)

    **You will be able to**

    - derive …
    - measure …
"""

import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FORM = re.compile(
    r"# (?P<title>[^\n]+)\n\n"
    r"(?P<promise>[^\n]+)\n\n"
    r"\*\*Minutes:\*\* (?P<minutes>\d+)\n\n"
    r"\*\*Needs:\*\* (?P<needs>[^\n]+)\n\n"
    r"\*\*You will be able to\*\*\n\n"
    r"(?P<objectives>(?:- [^\n]+\n?)+)"
)
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+\.ipynb)\)")
CHECK = re.compile(r'check\("\w+\.(\d+)"')
ASKED = re.compile(r"\*\*(?P<stars>★+) (?P<number>\d+)\.\*\* ")
ASKS = re.compile(r"(?:return|write|then write the|squeeze)\b|.*, return\b", re.IGNORECASE | re.DOTALL)
LINE = 170  # letters that an exercise's entry in the list may have, or half as many more if it leaves something out


@dataclass(frozen=True)
class Chapter:
    """One chapter, as its first cell describes it; `needs` are paths of the chapters to read before."""

    path: Path
    title: str
    promise: str
    minutes: int
    needs: tuple[Path, ...]
    objectives: tuple[str, ...]

    @property
    def docname(self) -> str:
        """The path from the repository's root without the suffix, as book and table of contents name it."""
        return self.path.relative_to(ROOT).with_suffix("").as_posix()


@dataclass(frozen=True)
class Exercise:
    """One exercise, as its cells say: its difficulty (no stars where none is given), what to write, what is asked."""

    number: int
    stars: str
    name: str
    ask: str


def parse_chapter(path: Path | str) -> Chapter:
    """Read a chapter's first cell. Raises ValueError, naming file and line, where it lacks the form above."""
    path = Path(path).resolve()
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    if not cells or cells[0]["cell_type"] != "markdown":
        raise ValueError(f"{path.name}: the first cell must be the markdown cell that describes the chapter")
    text = "".join(cells[0]["source"]).strip()
    if not (found := FORM.match(text)):
        raise ValueError(f"{path.name}: the first cell lacks {_missing(text)}; tools/chapters.py shows the form")
    if rest := text[found.end() :].strip():
        raise ValueError(f"{path.name}: nothing may follow the objectives in the first cell, found {rest[:50]!r}")
    needs = []
    if found["needs"] != "nothing":
        links = LINK.findall(found["needs"])
        if not links or LINK.sub("", found["needs"]).strip(" ,"):
            raise ValueError(f"{path.name}: Needs must be 'nothing' or links to chapters, got {found['needs']!r}")
        for title, link in links:
            needs.append((path.parent / link).resolve())
            if not needs[-1].is_file():
                raise ValueError(f"{path.name}: Needs links to {link} ({title}), which does not exist")
    objectives = tuple(line[2:].strip() for line in found["objectives"].splitlines())
    return Chapter(path, found["title"], found["promise"], int(found["minutes"]), tuple(needs), objectives)


def parse_exercises(path: Path | str) -> list[Exercise]:
    """Read a chapter's exercises, in its order: a cell tagged `exercise`, and the text in the cell before it."""
    cells = json.loads(Path(path).read_text(encoding="utf8"))["cells"]
    found = []
    for before, cell in itertools.pairwise(cells):
        if "exercise" not in cell["metadata"].get("tags", []):
            continue
        code, text = "".join(cell["source"]), "".join(before["source"])
        number, asked = int(CHECK.search(code)[1]), ASKED.match(text)
        if asked and int(asked["number"]) != number:
            raise ValueError(f"{Path(path).name}: the text of exercise {asked['number']} stands before check {number}")
        name = re.search(r"^def (\w+\(.*\)):|^(\w+) = \.\.\.", code, re.MULTILINE)
        told = re.search(r'"""(.+?)"""', code, re.DOTALL)
        ask = told[1] if told else _one_line(ASKED.sub("", text))
        found.append(Exercise(number, asked["stars"] if asked else "", name[1] or name[2], ask))
    return found


def _one_line(text: str) -> str:
    """Return what a text asks: all of it if it is short, else how it begins and the sentence that asks."""
    text = re.sub(r"\*\*Predict\.\*\* |\n\n<details>.*|\[([^\]]+)\]\([^)]+\)", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"\*\*([^*]+)\*\*", r"\1", text)
    text = re.sub(r"\n\n\$\$(.*?)\$\$\n\n", r" $\1$ ", text, flags=re.DOTALL).replace("\n", " ")
    if len(text) <= LINE:
        return text
    sentences = re.split(r"(?<=[.?])\)? (?=[A-Z$`(])", text)
    asks = next((s for s in sentences if ASKS.match(s)), None) or next((s for s in sentences if s.endswith("?")), None)
    if asks is None:
        while len(" ".join(sentences)) > LINE:
            sentences.pop()
        return " ".join(sentences)
    begins = sentences[0] if len(sentences[0]) <= LINE / 2 else sentences[0].split(": ")[0]
    if asks == sentences[0] or len(begins) + len(asks) > 1.5 * LINE:
        asks = asks.removeprefix("Then ")
        return asks[0].upper() + asks[1:]
    return f"{begins} … {asks}"


def _missing(text: str) -> str:
    for pattern, name in (
        (r"\A# \S", "a title (# Title) in its first line"),
        (r"\A# [^\n]+\n\n[^\n*]", "one paragraph of promise under the title"),
        (r"\n\n\*\*Minutes:\*\* \d+\n\n", "a line **Minutes:** with a whole number between blank lines"),
        (r"\n\n\*\*Needs:\*\* [^\n]+\n\n", "a line **Needs:** between blank lines"),
        (r"\n\n\*\*You will be able to\*\*\n\n- ", "**You will be able to** and a list of objectives"),
    ):
        if not re.search(pattern, text):
            return name
    return "the order title, promise, Minutes, Needs, You will be able to, with one blank line between"


def parts() -> dict[str, list[Chapter]]:
    """Return the chapters under the captions of book/_toc.yml, in its order; pages such as quizzes are left out."""
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text(encoding="utf8"))
    listed = {
        part["caption"]: [c["file"] for c in part["chapters"] if c["file"].startswith("notebooks/")]
        for part in toc["parts"]
    }
    return {
        caption: [parse_chapter(ROOT / f"{file}.ipynb") for file in files] for caption, files in listed.items() if files
    }


def chapters() -> list[Chapter]:
    """Return all chapters in the course's order."""
    return [chapter for part in parts().values() for chapter in part]
