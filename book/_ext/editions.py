"""After the pages, make what they link to: the slides and the student edition's archive."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import slides
import student


def make_editions(app, exception):
    if exception is None and app.builder.name == "html":
        slides.build(Path(app.outdir))
        student.archive(Path(app.outdir) / "student")


def setup(app):
    app.connect("build-finished", make_editions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
