"""Write the map of the course into the page that asks for it, from what the chapters say about themselves."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from chapters import chapters, parts

HERE = "% the chapters are written here"


def course_map(folder: Path) -> str:
    """Return the map as Markdown, with links relative to folder."""

    def link(chapter):
        return f"[{chapter.title}]({Path(os.path.relpath(chapter.path, folder)).as_posix()})"

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


def fill(app, docname, source):
    if HERE in source[0]:
        for chapter in chapters():
            app.env.note_dependency(str(chapter.path))
        source[0] = source[0].replace(HERE, course_map(Path(app.env.doc2path(docname)).parent))


def setup(app):
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
