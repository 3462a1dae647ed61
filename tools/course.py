"""What `make` calls, with whatever Python there is: python tools/course.py lab|test|quick|book|slides|student|run|clean

Uses the standard library only, since it runs before anything is installed. Every expected failure is one line that
says what happened and what to do.
"""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
OLDEST = (3, 11)
ROOM = 4e9  # bytes: what the environment takes while it is being installed, and some to spare
NO_ROOM = re.compile(r"No space left on device|Errno 28|Disk quota exceeded")
NO_NETWORK = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError|Max retries")


def stop(sentence: str) -> None:
    """End with one line on stderr."""
    raise SystemExit(f"\n✗ {sentence}")


def wanted() -> str:
    """A hash of all that decides what is installed."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"".join(parts) + f"{sys.version} {os.environ.get('UNPINNED')} {ROOT}".encode()).hexdigest()


def environment() -> None:
    """Make .venv and install what the course needs; nothing to do, and no network needed, if that has been done."""
    if sys.version_info < OLDEST:
        stop(f"Python {sys.version.split()[0]} is too old: install 3.11 or newer, or name one: make lab PYTHON=…")
    stamp = VENV / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted() and PYTHON.exists():
        return
    free = shutil.disk_usage(ROOT).free
    if free < ROOM:
        stop(f"{free / 1e9:.1f} GB of disk are free, {ROOM / 1e9:.0f} GB are needed: free some, then run make again")
    if not stamp.is_file():  # never finished: begin afresh
        print("1/2 making the environment in .venv", flush=True)
        done = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True)
        if done.returncode:
            output = done.stdout + done.stderr
            if NO_ROOM.search(output):
                stop("the disk is full: free some space, then run make again")
            stop("this Python cannot make environments: install its venv module (Debian: apt install python3-venv)")
    else:
        stamp.unlink()
    print("2/2 installing (about 0.8 GB the first time, some minutes)", flush=True)
    pins = [] if os.environ.get("UNPINNED") else ["-c", ROOT / "constraints.txt"]
    pip = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--retries", "2", "--timeout", "15"]
    process = subprocess.Popen(
        [*pip, *pins, "-e", f"{ROOT}[lab,book,test]"], stderr=subprocess.PIPE, text=True, cwd=ROOT, errors="replace"
    )
    errors = ""
    for line in process.stderr:
        sys.stderr.write(line)
        errors += line
    if process.wait():
        if NO_ROOM.search(errors):
            stop("the disk is full: free some space, then run make again")
        if NO_NETWORK.search(errors):
            stop("the package index cannot be reached: connect to the network (only this once), then run make again")
        stop("the installation failed, see above; running make again continues it")
    stamp.write_text(wanted())


def lab() -> None:
    """Open JupyterLab at the first page."""
    port = os.environ.get("PORT") or "8888"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        stop(f"PORT must be a number from 1 to 65535, got {port!r}")
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", int(port)))
        except OSError:
            stop(f"port {port} is in use, perhaps by another JupyterLab: close it, or make lab PORT={int(port) + 1}")
    options = {
        "ServerApp.root_dir": ROOT,
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "LabApp.extension_manager": "readonly",
        "LabApp.news_url": "",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [PYTHON, "-m", "jupyterlab", "notebooks/0_start/1_start_here.ipynb"]
    command += [f"--{name}={value}" for name, value in options.items()]
    command += ["--no-browser"] if os.environ.get("BROWSER") == "no" else []
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    settings = {k: v for k, v in os.environ.items() if k != "BROWSER"}  # webbrowser would take "no" for a program
    raise SystemExit(subprocess.call(command, cwd=ROOT, env=settings))


PYTEST = ["-m", "pytest", "-q"]
LINT = (["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."])
BOOK = (
    ["tools/vendor.py"],
    ["-m", "jupyter_book.cli.main", "build", ".", "--toc", "book/_toc.yml", "--path-output", "book"]
    + ["-W", "-n", "--keep-going", "-q"],
    ["tools/slides.py"],
    ["tools/student.py"],
)
STAGES = {
    "lint": LINT,
    "quick": ([*PYTEST, "tests", "--ignore=tests/browser", "-m", "not slow", "-n", "2"],),
    "tests": ([*PYTEST, "tests", "--ignore=tests/browser", "-n", "2", "--durations=8"],),
    "doctests": ([*PYTEST, "--doctest-modules", "dgmlite"],),
    "notebooks": (
        [*PYTEST, "--nbval", "--nbval-current-env", "--nbval-cell-timeout=300"]
        + ["--nbval-sanitize-with", "tests/sanitize.cfg", "-n", "2", "--dist", "loadfile", "notebooks"],
    ),
    "book": BOOK,
    "browser": ([*PYTEST, "tests/browser", "-rs"],),
}


def stages(*names: str) -> None:
    """Run stages one after the other; stop at the first that fails, with how to run just that one again."""
    with tempfile.TemporaryDirectory() as home:
        settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "DGMLITE_HOME": home}
        seconds = {}
        for name in names:
            print(f"── {name}", flush=True)
            start = time.monotonic()
            for arguments in STAGES[name]:
                if subprocess.call([PYTHON, *arguments], cwd=ROOT, env=settings):
                    stop(f"{name} failed. To run only that again: make {name}")
            seconds[name] = time.monotonic() - start
    print("   ".join(f"✓ {name} {s:.0f} s" for name, s in seconds.items()))


def run() -> None:
    """Execute chapters again, in place: those whose file name ends in the given name."""
    name = os.environ.get("CH", "")
    found = sorted((ROOT / "notebooks").glob(f"*/*_{name}.ipynb"))
    if not found:
        names = ", ".join(re.sub(r"^\d+_", "", p.stem) for p in sorted((ROOT / "notebooks").glob("*/*.ipynb")))
        stop(f"no chapter {name!r}: make run CH=… with one of {names}")
    with tempfile.TemporaryDirectory() as home:
        settings = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "DGMLITE_HOME": home}
        raise SystemExit(subprocess.call([PYTHON, "tools/run_notebooks.py", *found], cwd=ROOT, env=settings))


def clean() -> None:
    """Remove what was built; the environment stays."""
    for name in ("book/_build", ".hypothesis", ".ruff_cache"):
        shutil.rmtree(ROOT / name, ignore_errors=True)


def main(command: str) -> None:
    if command == "clean":
        return clean()
    environment()
    if command in ("lab", "run"):
        return globals()[command]()
    if command == "test":
        return stages(*(name for name in STAGES if name != "quick"))
    if command == "quick":
        return stages("lint", "quick")
    if command in ("slides", "student"):
        command = "book"
    stages(command)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        stop("interrupted; running make again continues where this left off")
