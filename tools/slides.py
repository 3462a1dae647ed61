"""Make reveal.js slides of every chapter, beside the built book whose scripts they share: python tools/slides.py

A cell is on the slides if its `slideshow` metadata say so: slide and subslide begin one, fragment appears on the one
before; a fragment of code gets a slide to itself, since text, code and picture together are too much for one. Cells
that say nothing are for readers. book/slides_template says how slides look.
"""

import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nbformat
from chapters import ROOT, Chapter, chapters
from nbconvert import SlidesExporter

HTML = ROOT / "book/_build/html"
WIDGET = "application/vnd.jupyter.widget-view+json"
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s]+?)\.(ipynb|md|png|svg)(#[^)\s]*)?\)")


def link_to_pages(text: str, chapter: Chapter, target: Path) -> str:
    """Turn links to notebooks, Markdown files and pictures, as JupyterLab follows them, into links within the book."""

    def page(found: re.Match) -> str:
        linked = (chapter.path.parent / found[1]).resolve()
        if found[2] in ("png", "svg"):  # Sphinx publishes book/_static as _static
            return f"]({Path(os.path.relpath(ROOT / '_static' / linked.name, target.parent)).as_posix()}.{found[2]})"
        return f"]({Path(os.path.relpath(linked, target.parent)).as_posix()}.html{found[3] or ''})"

    return LINK.sub(page, text)


def build(html: Path = HTML) -> list[Path]:
    """Write html/slides/<part>/<chapter>.html for every chapter of the table of contents; return the paths."""
    exporter = SlidesExporter(
        extra_template_basedirs=[str(ROOT / "book/slides_template")],
        template_name="reveal_offline",
        reveal_url_prefix="../../_static/vendor/reveal",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    made = []
    for chapter in chapters():
        name = chapter.path.relative_to(ROOT / "notebooks").with_suffix(".html")
        notebook = nbformat.read(chapter.path, as_version=4)
        notebook.metadata["title"] = chapter.title
        for cell in notebook.cells:
            show = cell.metadata.setdefault("slideshow", {})
            if show.get("slide_type", "-") == "-":
                show["slide_type"] = "skip"
            elif show["slide_type"] == "fragment" and cell.cell_type == "code":
                show["slide_type"] = "subslide"
            shown = any(WIDGET in output.get("data", {}) for output in cell.get("outputs", []))
            if shown or "hide-input" in cell.metadata.get("tags", []):
                cell.metadata["transient"] = {"remove_source": True}  # room for the widget, or the picture
            if cell.cell_type == "markdown":
                # relative to where the page of this chapter will be: slides/<part>/ is as deep as notebooks/<part>/
                cell.source = link_to_pages(cell.source, chapter, ROOT / "slides" / name)
        body, _ = exporter.from_notebook_node(notebook)
        made.append(html / "slides" / name)
        made[-1].parent.mkdir(parents=True, exist_ok=True)
        made[-1].write_text(body, encoding="utf8")
    return made


if __name__ == "__main__":
    if not (HTML / "_static/vendor/reveal").is_dir():
        raise SystemExit("The slides use the book's scripts: run `make book` first.")
    for path in build():
        print(path.relative_to(ROOT))
