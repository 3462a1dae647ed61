"""Write the map of the course and the list of exercises into the pages that ask for them, from the chapters."""

import importlib
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from chapters import chapters, parse_exercises, parts

from dgmlite import reproduce


def relative(chapter, folder):
    return Path(os.path.relpath(chapter.path, folder)).as_posix()


def course_map(folder: Path) -> str:
    """Return the map as Markdown, with links relative to folder."""

    def link(chapter):
        return f"[{chapter.title}]({relative(chapter, folder)})"

    by_path = {c.path: c for c in chapters()}
    text = []
    for caption, members in parts().items():
        text.append(f"## {caption}\n")
        for c in members:
            needs = ", ".join(link(by_path[p]) for p in c.needs) or "nothing"
            leads = ", ".join(link(other) for other in by_path.values() if c.path in other.needs)
            text += [
                f"### {link(c)}\n",
                f"{c.promise}\n",
                f"**{c.minutes} minutes** · needs {needs}" + (f" · leads to {leads}" if leads else "") + "\n",
                "{.dgm-able}\nYou will be able to\n",
                "\n".join(f"- {o}" for o in c.objectives) + "\n",
            ]
    total = sum(c.minutes for c in by_path.values())
    count = len(by_path)
    text.append(f"{count} chapter{'s' * (count > 1)}, about {total} minutes of reading and doing.\n")
    return "\n".join(text)


def exercise_list(folder: Path) -> str:
    """Return the list of all exercises as Markdown; `chapter_pages` makes the places that it links to."""
    text, stars = [], Counter()
    for c in chapters():
        path, exercises = relative(c, folder), parse_exercises(c.path)
        stars.update(e.stars for e in exercises)
        text.append(f"## {c.title}\n")
        for e in exercises:
            difficulty = f" {e.stars}" if e.stars else ""
            text.append(f"- [{e.number} · `{e.name}`]({path}#exercise-{e.number}){difficulty} · {e.ask}")
        text.append("")
    levels = ", ".join(f"{stars[s]} × {s or 'within the text'}" for s in sorted(stars, key=len))
    return "\n".join([*text, f"{stars.total()} exercises: {levels}.\n"])


def paper_tables(folder: Path) -> str:
    """Return the tables at paper scale as Markdown, from the stored results."""
    text = []
    for name in reproduce.names():
        table = importlib.import_module(f"dgmlite.reproduce.{name}")
        if not hasattr(table, "ROWS"):
            continue
        stored = reproduce.results(name)
        text += [
            f"## `{name}`\n",
            f"{table.__doc__}\n",
            f"| | {table.UNIT} | | published | hours |",
            "|---|---|---|---|---|",
        ]
        text += [f"| *{what}* | {value:.3f} | | | |" for what, value in stored["references"].items()]
        for which, row in table.ROWS.items():
            published = "" if row.published is None else f"{row.published:g}"
            result = stored["rows"].get(which)
            cells = ["not measured", "", published, ""]
            if result:
                ours = f"{result['test']:.3f} ± {result['stderr']:.3f}"
                cells = [ours, result["kind"], published, f"{result['seconds'] / 3600:.1f}, {result['device']}"]
            text.append(f"| {which} | {' | '.join(cells)} |")
        facts = ", ".join(f"{what} {version}" for what, version in stored["versions"].items())
        text.append(f"\nSeed {stored['seed']}; {facts}.\n")
    return "\n".join(text)


WRITTEN = {
    "% the chapters are written here": course_map,
    "% the exercises are written here": exercise_list,
    "% the tables at paper scale are written here": paper_tables,
}


def fill(app, docname, source):
    for here, write in WRITTEN.items():
        if here in source[0]:
            for chapter in chapters():
                app.env.note_dependency(str(chapter.path))
            source[0] = source[0].replace(here, write(Path(app.env.doc2path(docname)).parent))


def setup(app):
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
