"""Make the student edition, the course without its solutions: python tools/student.py

What can be run in the repository can be run in it: the notebooks lose their solutions (hints, checks and skeletons
stay) and the speaker's notes, everything else is a copy.
"""

import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
STUDENT = ROOT / "book/_build/student"
COPIED = (
    "README.md",
    "LICENSE",
    "LICENSE-text",
    "CITATION.cff",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    "environment.yml",
    "dgmlite",
    "tools",
    "book/notation.md",
    "book/glossary.md",
    "book/bibliography.md",
    "book/references.bib",
    "book/_static/first_samples.png",
)
SOLUTION = re.compile(r"<details>\s*<summary>\s*Solution.*?</details>\s*", re.DOTALL | re.IGNORECASE)


def without_solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop the solutions and speaker's notes of a notebook, in place; a solution cell's hints stay."""
    kept = []
    for cell in notebook.cells:
        if cell.metadata.get("slideshow", {}).get("slide_type") == "notes":
            continue
        if "solution" in cell.metadata.get("tags", []):
            cell.source = SOLUTION.sub("", cell.source).strip() if "<summary>Hint" in cell.source else ""
            if not cell.source:
                continue
            cell.metadata["tags"].remove("solution")
        kept.append(cell)
    notebook.cells = kept
    return notebook


def build(target: Path = STUDENT) -> Path:
    """Write the student edition into target, replacing what was there; return target."""
    shutil.rmtree(target, ignore_errors=True)
    for name in COPIED:
        source = ROOT / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copyfile(source, target / name)
    for path in sorted((ROOT / "notebooks").glob("*/*.ipynb")):
        copy = target / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(without_solutions(nbformat.read(path, as_version=4)), copy)
    return target


def archive(folder: Path) -> Path:
    """Write the student edition as folder/dgmlite-student.zip, the same bytes for the same content."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "dgmlite-student.zip"
    with tempfile.TemporaryDirectory() as temporary:
        edition = build(Path(temporary) / "dgmlite-student")
        with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as z:
            for path in sorted(p for p in edition.rglob("*") if p.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(temporary).as_posix(), date_time=(2026, 1, 1, 0, 0, 0))
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                z.writestr(entry, path.read_bytes())
    return result


if __name__ == "__main__":
    print(build().relative_to(ROOT))
