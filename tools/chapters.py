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
    """Return the chapters under the captions of book/_toc.yml, in its order."""
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text(encoding="utf8"))
    listed = {part["caption"]: [c["file"] for c in part["chapters"]] for part in toc["parts"]}
    return {
        caption: [parse_chapter(ROOT / f"{file}.ipynb") for file in files]
        for caption, files in listed.items()
        if all(file.startswith("notebooks/") for file in files)
    }


def chapters() -> list[Chapter]:
    """Return all chapters in the course's order."""
    return [chapter for part in parts().values() for chapter in part]
