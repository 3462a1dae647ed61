"""Keep the environment in .venv and run the course's tools in it: python tools/house.py lab (or test, quick, …)

Runs with any Python ≥ 3.11 and needs nothing but its standard library. The Makefile lists the variables.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin/python"
STAMP = VENV / ".installed"  # what .venv was made from, or UNFINISHED while pip is at work
LOG = VENV / "install.log"
UNFINISHED = "unfinished"
START_PAGE = "notebooks/0_start/1_start_here.ipynb"
GIGABYTES = 4
REQUIREMENT = ["-e", ".[lab,book,test]"]
UNPINNED = bool(os.environ.get("UNPINNED"))

JUPYTER_BOOK = ["-c", "from jupyter_book.cli.main import main; main()"]
BUILD = "build . --toc book/_toc.yml --path-output book --all -W -n --keep-going -q".split()
BOOK = (["tools/vendor.py"], [*JUPYTER_BOOK, *BUILD])
LINT = (["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."])
PYTEST = ["-m", "pytest"]
UNIT = [*PYTEST, "tests", "--ignore=tests/browser", "-n2", "--dist=loadfile"]
NBVAL = "--nbval --nbval-current-env --nbval-cell-timeout=300 --nbval-sanitize-with=tests/sanitize.cfg".split()
STAGES = {
    "lint": LINT,
    "tests": (UNIT,),
    "doctests": ([*PYTEST, "--doctest-modules", "dgmlite"],),
    "notebooks": ([*PYTEST, *NBVAL, "-n2", "--dist=loadfile", "notebooks"],),
    "book": BOOK,  # with the slides and the student edition, which its pages link to
    "browser": ([*PYTEST, "tests/browser", "-rs"],),
}

TROUBLE = (  # what pip says, and what to do
    (r"No space left on device|Errno 28\b", "The disk is full: free some space, then run the same command again."),
    (
        r"NewConnectionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|Max retries exceeded|Connection broken"
        r"|Read timed out|connection error|name resolution|IncompleteRead",
        "No network: pip cannot reach its package index. Check the connection (or the proxy), then run the same "
        "command again; what was downloaded is kept.",
    ),
    (
        r"No matching distribution found for (\S+)",
        "There is no {0} for this Python and machine: try a Python from 3.11 to 3.13 (PYTHON=/path/to/python3).",
    ),
)


def say(text: str) -> None:
    print(text, flush=True)


def stop(text: str):
    """End with one line that says what is wrong and what to do."""
    raise SystemExit(text)


def free_gigabytes() -> float:
    return shutil.disk_usage(ROOT).free / 1e9


def wanted(version: str) -> str:
    """Return a hash of all that decides what is in .venv; it changes, .venv is brought up to date."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))
    parts = [project["build-system"], project["project"], project.get("tool", {}).get("setuptools")]
    parts += [(ROOT / "constraints.txt").read_text(encoding="utf8"), version, UNPINNED, str(ROOT)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def made_with() -> str:
    """Return the version of .venv's Python, "" when there is none that runs and has pip."""
    code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([PYTHON, "-c", code], capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def environment() -> None:
    """Make .venv ready: nothing to do, bring it up to date, or begin again where an installation was cut off."""
    mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
    version = made_with()
    before = STAMP.read_text() if STAMP.is_file() else ""
    if before == UNFINISHED or (os.environ.get("PYTHON") and version != mine):
        version = ""
    if version and before == wanted(version):
        return
    lock = os.open(__file__, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stop("Another make is installing into .venv right now: wait until it is done, then run this again.")
    needed = 1 if version else GIGABYTES
    if (free := free_gigabytes()) < needed:
        stop(f"Not enough disk space: {needed} GB are needed, {free:.1f} GB are free. Free some, then run this again.")
    if not version:
        before = UNFINISHED
        create(mine)
    STAMP.write_text(UNFINISHED)
    say("installing the " + ("newest" if UNPINNED else "tested") + " versions (the first time takes some minutes)")
    if trouble := install(lock):
        if "Installing collected packages" not in LOG.read_text(encoding="utf8", errors="replace"):
            STAMP.write_text(before)  # pip changed nothing
        stop(trouble)
    STAMP.write_text(wanted(version or mine))
    os.close(lock)


def create(version: str) -> None:
    """Make an empty .venv, replacing what was there."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(f"This Python has no venv module: install it (Debian, Ubuntu: apt install python{version}-venv).")
    say(f"making .venv with Python {version}")
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir(exist_ok=True)
    STAMP.write_text(UNFINISHED)
    base = getattr(sys, "_base_executable", sys.executable)  # not the Python of the .venv that was just removed
    done = subprocess.run([base, "-m", "venv", VENV], capture_output=True, text=True)
    if done.returncode:
        stop(explain(done.stdout + done.stderr))


def install(lock: int) -> str:
    """Run pip, showing how far it is; return "" or what went wrong. pip's child processes hold the lock as well."""
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--progress-bar=off", *REQUIREMENT]
    if UNPINNED:  # all but torch: its newest release may be one for a GPU, of gigabytes
        command += re.findall(r"^torch==\S+", (ROOT / "constraints.txt").read_text(encoding="utf8"), re.M)
    else:
        command += ["-c", "constraints.txt"]
    env = {"PIP_RETRIES": "2", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1", **os.environ}
    with LOG.open("w") as log:
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=env, pass_fds=[lock]
        )
    start, shown, terminal = time.monotonic(), "", sys.stdout.isatty()
    try:
        while pip.poll() is None:
            phase, detail = progress(LOG.read_text(encoding="utf8", errors="replace"))
            if terminal:
                line = f"  {phase}{detail} · {time.monotonic() - start:.0f} s"
                print("\r\x1b[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
            elif phase != shown:
                say(f"  {phase}")
            shown = phase
            time.sleep(0.2)
    finally:
        if terminal:
            say("")
        if pip.poll() is None:
            pip.terminate()
            pip.wait()
    if pip.returncode:
        return explain(LOG.read_text(encoding="utf8", errors="replace"))
    say(f"  done in {time.monotonic() - start:.0f} s")
    return ""


def progress(log: str) -> tuple[str, str]:
    """Return what pip is doing and how far it is, from what it has printed."""
    if found := re.search(r"^Installing collected packages: (.*)", log, re.M):
        done = len(list(VENV.glob("lib/python*/site-packages/*.dist-info")))
        total = found[1].count(",") + 1
        return f"installing {total} packages", f": {min(done, total)} done"
    found = set(re.findall(r"^Collecting ([^\s<>=!~;[]+)", log, re.M))
    files = re.findall(r"^ +(?:Downloading|Using cached) (?:\S*/)?([^\s/-]+)-\S+ (\([^)]*\))", log, re.M)
    return "collecting packages", f": {len(found)} found" + (f", {' '.join(files[-1])}" if files else "")


def explain(log: str) -> str:
    """Return one line for what pip or venv printed before it failed."""
    for pattern, advice in TROUBLE:
        if found := re.search(pattern, log, re.I):
            return advice.format(*found.groups())
    errors = re.findall(r"^(?:ERROR|error): (.+)", log, re.M) or log.split("\n")[-1:]
    where = LOG.relative_to(ROOT)
    return f"The installation failed: {errors[-1].strip()} (all that pip said is in {where}). Run it again."


def check_port(port: str) -> int:
    """Return the port as a number, if nothing listens there."""
    if not re.fullmatch(r"\d{1,5}", port) or not 0 < int(port) < 65536:
        stop(f"PORT must be a number from 1 to 65535, got {port!r}.")
    with socket.socket() as probe, socket.socket() as other:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(port)))
        except OSError as error:
            other.bind(("127.0.0.1", 0))
            why = "is not allowed for you" if error.errno == errno.EACCES else "is in use"
            stop(f"Port {port} {why}: choose another, for example make lab PORT={other.getsockname()[1]}")
    return int(port)


def lab() -> None:
    """Open JupyterLab at the start page."""
    port = check_port(os.environ.get("PORT") or "8888")
    environment()
    options = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": ROOT,
        "LabApp.default_url": f"/lab/tree/{START_PAGE}",
        "LabApp.news_url": None,  # nothing from outside
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
    }
    arguments = ["-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]
    if os.environ.get("BROWSER") == "no":
        arguments.append("--no-browser")
        del os.environ["BROWSER"]
    if os.geteuid() == 0:
        arguments.append("--allow-root")
    say(f"JupyterLab at http://localhost:{port} (the full address is below); Ctrl-C stops it")
    os.chdir(ROOT)
    os.execv(PYTHON, [str(PYTHON), *arguments])


def call(*commands: list[str]) -> int:
    """Run commands with .venv's Python, one thread each and no trace in the reader's progress."""
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "DGMLITE_HOME": home}
        for command in commands:
            if code := subprocess.run([PYTHON, *command], cwd=ROOT, env=env).returncode:
                return code
    return 0


def test() -> None:
    """Check everything, in stages; the first one that fails ends it."""
    only = os.environ.get("ONLY")
    if only and only not in STAGES:
        stop(f"There is no stage {only!r}; the stages are {', '.join(STAGES)}.")
    environment()
    seconds = {}
    for stage in [only] if only else STAGES:
        say(f"\n── {stage} ──")
        start = time.monotonic()
        if call(*STAGES[stage]):
            stop(f"\nStage {stage} failed. To run it alone: make test ONLY={stage}")
        seconds[stage] = time.monotonic() - start
    times = ", ".join(f"{stage} {s:.0f}" for stage, s in seconds.items())
    say(f"\nAll stages passed in {sum(seconds.values()):.0f} s ({times})")


def quick() -> None:
    """Check what takes under a minute: lint, fast tests, stored outputs."""
    environment()
    sys.exit(call(*LINT, [*UNIT, "-m", "not slow and not browser"]))


def book() -> None:
    environment()
    if code := call(*BOOK):
        sys.exit(code)
    say("open book/_build/html/index.html")


def slides() -> None:
    if not (ROOT / "book/_build/html/_static/vendor").is_dir():
        book()  # whose scripts the slides use
    tool("slides.py")


def tool(name: str, *arguments: str) -> None:
    environment()
    sys.exit(call([f"tools/{name}", *arguments]))


def clean() -> None:
    """Remove what was built; .venv and the browser libraries, which need the network, stay."""
    for pattern in ("book/_build", ".hypothesis", ".ruff_cache", ".pytest_cache", "build"):
        shutil.rmtree(ROOT / pattern, ignore_errors=True)
    for folder in ("dgmlite", "tests", "tools", "book", "notebooks"):
        for cache in [*(ROOT / folder).rglob("__pycache__"), *(ROOT / folder).rglob(".ipynb_checkpoints")]:
            shutil.rmtree(cache, ignore_errors=True)


COMMANDS = {
    "lab": lab,
    "test": test,
    "quick": quick,
    "book": book,
    "slides": slides,
    "student": lambda: tool("student.py"),
    "run": lambda: tool("run_notebooks.py", *os.environ.get("CH", "").split()),
    "clean": clean,
}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        COMMANDS[sys.argv[1]]()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        stop(TROUBLE[0][1])
