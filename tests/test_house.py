"""The two commands: what `make` does on a fresh machine, the second time, and when something is in its way."""

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("house", ROOT / "tools/house.py")
house = importlib.util.module_from_spec(spec)
spec.loader.exec_module(house)

# A project as small as can be: it builds without any download, and its JupyterLab says how it was called.
BACKEND = """
import os, pathlib, time, tomllib, zipfile

def build_editable(directory, config_settings=None, metadata_directory=None):
    here = pathlib.Path(__file__).parent
    while (here / "hang").exists():
        time.sleep(0.1)
    needs = tomllib.loads((here / "pyproject.toml").read_text())["project"]["dependencies"]
    extras = ["Provides-Extra: " + extra for extra in ("lab", "book", "test")]
    metadata = ["Metadata-Version: 2.1", "Name: dgmlite", "Version: 0.1", *extras]
    metadata += ["Requires-Dist: " + need for need in needs]
    files = {
        "jupyterlab.py": "import os, sys; print('LAB', os.getcwd(), os.environ.get('BROWSER'), *sys.argv[1:])",
        "dgmlite-0.1.dist-info/METADATA": "\\n".join(metadata) + "\\n",
        "dgmlite-0.1.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    record = "dgmlite-0.1.dist-info/RECORD"
    files[record] = "".join(name + ",,\\n" for name in [*files, record])
    with zipfile.ZipFile(os.path.join(directory, "dgmlite-0.1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "dgmlite-0.1-py3-none-any.whl"
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "dgmlite"
version = "0.1"
dependencies = {}
"""
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port: a refused connection
OFFLINE = {"PIP_INDEX_URL": NOWHERE, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": ""}
OFFLINE |= {"http_proxy": NOWHERE, "https_proxy": NOWHERE}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def new_project(folder: Path) -> Path:
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "tools/house", "tools/house.py"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PYPROJECT.format([]))
    (folder / "constraints.txt").write_text("")
    return folder


def command(target: str, **variables) -> tuple[list[str], dict[str, str]]:
    given = {"PYTHON": sys.executable, "PORT": str(free_port()), "BROWSER": "no"} | variables
    env = {k: v for k, v in os.environ.items() if k not in ("UNPINNED", "ONLY", "CH", "MAKEFLAGS", "MAKELEVEL")}
    return ["make", target], env | OFFLINE | {name: value for name, value in given.items() if value is not None}


def make(project: Path, target: str = "lab", **variables) -> subprocess.CompletedProcess:
    arguments, env = command(target, **variables)
    return subprocess.run(arguments, cwd=project, env=env, capture_output=True, text=True, timeout=120)


def complaint(done: subprocess.CompletedProcess) -> str:
    """The one line that a failed command said, besides make's own."""
    assert done.returncode, done.stdout
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("make")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def project(tmp_path):
    return new_project(tmp_path / "the course")  # a space: people have such folders


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    project = new_project(tmp_path_factory.mktemp("installed") / "course")
    done = make(project)
    assert not done.returncode, done.stderr
    return project, done.stdout


def fake_python(folder: Path, version: str) -> Path:
    """A Python that is too old for any program, and says so."""
    folder.mkdir(exist_ok=True)
    path = folder / "python3"
    path.write_text(f'#!/bin/sh\nif [ "$1" = -V ]; then echo "Python {version}"; else exit 1; fi\n')
    path.chmod(0o755)
    return path


def test_python_too_old(project, tmp_path):
    path = fake_python(tmp_path / "bin", "3.9.18")
    line = complaint(make(project, PYTHON=str(path)))
    assert "Python 3.11 or newer is needed" in line and "3.9.18" in line and "PYTHON=" in line
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("version", ["3.9.18", None])
def test_no_python_on_the_path(project, tmp_path, version):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "dirname"):
        (programs / name).symlink_to(shutil.which(name))
    if version:
        fake_python(programs, version)
    line = complaint(make(project, PYTHON="", PATH=str(programs)))
    assert "Python 3.11 or newer is needed" in line and (version or "none") in line


def test_a_suitable_python_is_found_behind_unsuitable_ones(project, tmp_path):
    programs = tmp_path / "bin"
    fake_python(programs, "3.13.0").rename(programs / "python3.13")  # what a version manager puts on the path
    (programs / "python3").symlink_to(sys.executable)
    done = make(project, "clean", PYTHON=None, PATH=f"{programs}:/usr/bin:/bin")
    assert not done.returncode, done.stderr


def test_venv_module_missing(project, tmp_path):
    (tmp_path / "ensurepip.py").write_text("raise ImportError")  # as on Debian without python3-venv
    line = complaint(make(project, PYTHONPATH=str(tmp_path)))
    assert re.search(r"no venv module: install it .*apt install python3\.\d+-venv", line)


@pytest.mark.parametrize("port", ["", "8888x", "0", "65536", "-1"])
def test_port_is_a_port(port):
    with pytest.raises(SystemExit, match="PORT must be a number from 1 to 65535"):
        house.check_port(port)


def test_port_in_use(project):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = complaint(make(project, PORT=str(port)))
    assert f"Port {port} is in use" in line
    suggested = int(re.search(r"make lab PORT=(\d+)", line)[1])
    assert suggested != port and house.check_port(str(suggested)) == suggested
    assert not (project / ".venv").exists()  # said before minutes of installing


def test_disk_space_is_checked_before(project, monkeypatch):
    monkeypatch.setattr(house, "ROOT", project)
    monkeypatch.setattr(house, "STAMP", project / ".venv/.installed")
    monkeypatch.setattr(house, "PYTHON", project / ".venv/bin/python")
    monkeypatch.setattr(house, "free_gigabytes", lambda: 3.94)
    with pytest.raises(SystemExit, match=r"^Not enough disk space: 4 GB are needed, 3.9 GB are free\. Free some, "):
        house.environment()
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying (…) after connection broken by 'NewConnectionError('<pip._vendor…", "No network"),
        ("pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool(…): Read timed out.", "No network"),
        ("ERROR: No matching distribution found for torch==2.13.0", "no torch==2.13.0 for this Python and machine"),
        ("noise\nERROR: something new\nmore", "failed: something new"),
        ("", "The installation failed"),
    ],
)
def test_what_pip_says_becomes_one_line(log, said):
    assert said in house.explain(log) and "\n" not in house.explain(log)


def test_progress_names_what_is_happening(tmp_path, monkeypatch):
    monkeypatch.setattr(house, "VENV", tmp_path)
    log = "Obtaining file:///x\nCollecting torch>=2.6 (from dgmlite==0.1.0)\nCollecting numpy>=2.0\n"
    assert house.progress(log) == ("collecting packages", ": 2 found")
    log += "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (812.3 MB)\n"
    assert house.progress(log) == ("collecting packages", ": 2 found, torch (812.3 MB)")
    (tmp_path / "lib/python3.11/site-packages/numpy-2.4.6.dist-info").mkdir(parents=True)
    assert house.progress(log + "Installing collected packages: numpy, torch\n") == (
        "installing 2 packages",
        ": 1 done",
    )


@pytest.mark.slow
def test_first_call_installs_and_opens_the_start_page(installed):
    project, output = installed
    for phase in ("making .venv with Python 3.", "installing the tested versions", "done in"):
        assert phase in output
    assert f"LAB {project} None --ServerApp.port=" in output  # BROWSER=no is ours, not the name of a browser
    assert "--LabApp.default_url=/lab/tree/notebooks/0_start/1_start_here.ipynb" in output
    assert "--no-browser" in output and "--LabApp.news_url=None" in output
    assert (ROOT / house.START_PAGE).is_file()


@pytest.mark.slow
def test_second_call_is_quick_and_installs_nothing(installed):
    project, _ = installed
    start = time.monotonic()
    done = make(project, PYTHON=None)
    assert time.monotonic() - start < 5
    assert not done.returncode and "installing" not in done.stdout and "LAB" in done.stdout


@pytest.mark.slow
def test_changed_versions_are_brought_up_to_date(installed):
    project, _ = installed
    (project / "constraints.txt").write_text("# changed\n")
    assert "installing the tested versions" in make(project).stdout
    assert "installing" not in make(project).stdout
    assert "installing the newest versions" in make(project, UNPINNED="1").stdout
    assert "installing the tested versions" in make(project).stdout
    (project / "pyproject.toml").write_text(PYPROJECT.format([]) + "[tool.ruff]\nline-length = 99\n")
    assert "installing" not in make(project).stdout  # a linter's option changes nothing that is installed


@pytest.mark.slow
def test_unpinned_keeps_torch(project):
    """The newest release on Linux is one for a GPU, of gigabytes."""
    (project / "constraints.txt").write_text("torchvision==7\ntorch==99\n")
    assert make(project, UNPINNED="1").returncode
    assert "requirement torch==99" in (project / ".venv/install.log").read_text()


@pytest.mark.slow
def test_no_network_is_said_quickly_and_leaves_what_works(installed):
    project, _ = installed
    before = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(PYPROJECT.format(["dgmlite-needs-this"]))
    start = time.monotonic()
    line = complaint(make(project))
    assert time.monotonic() - start < 30
    assert line.startswith("No network: pip cannot reach its package index.")
    (project / "pyproject.toml").write_text(before)
    done = make(project)
    assert not done.returncode and "installing" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_installation_is_repaired(project, how):
    (project / "hang").touch()
    arguments, env = command("lab")
    first = subprocess.Popen(
        arguments,
        **{"cwd": project, "env": env, "start_new_session": True, "stdout": -1, "stderr": -1, "text": True},
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # which a job in background ignores
    )
    log = project / ".venv/install.log"
    for _ in range(600):
        if log.is_file() and "editable" in log.read_text():
            break
        time.sleep(0.1)
    line = complaint(make(project))  # meanwhile, in a second window
    assert line.startswith("Another make is installing into .venv")
    os.killpg(first.pid, how)
    _, errors = first.communicate(timeout=120)
    assert first.returncode and "Traceback" not in errors
    assert (project / ".venv/.installed").read_text() == house.UNFINISHED
    (project / "hang").unlink()
    done = make(project)
    assert "making .venv" in done.stdout and "LAB" in done.stdout, done.stderr


@pytest.mark.slow
def test_moved_folder_still_works(installed):
    project, _ = installed
    moved = project.rename(project.with_name("moved"))
    try:
        assert f"LAB {moved}" in make(moved).stdout
    finally:
        moved.rename(project)


def test_unknown_stage(monkeypatch):
    monkeypatch.setenv("ONLY", "tset")
    with pytest.raises(SystemExit, match="no stage 'tset'; the stages are lint, tests, doctests, notebooks, book"):
        house.test()


def test_a_failing_stage_says_how_to_run_it_again(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(house, "environment", lambda: None)
    monkeypatch.setattr(house, "call", lambda *commands: ran.append(commands) or commands == house.STAGES["doctests"])
    with pytest.raises(SystemExit, match=r"Stage doctests failed. To run it alone: make test ONLY=doctests"):
        house.test()
    assert ran == [house.STAGES[stage] for stage in ("lint", "tests", "doctests")]
    ran.clear()
    monkeypatch.setenv("ONLY", "book")
    house.test()
    assert ran == [house.STAGES["book"]] and "All stages passed" in capsys.readouterr().out


def test_the_book_s_builder_is_really_called():
    done = subprocess.run([sys.executable, *house.JUPYTER_BOOK, "build", "--help"], capture_output=True, text=True)
    assert not done.returncode and "--path-output" in done.stdout


def test_every_target_is_a_command():
    targets = re.search(r"^TARGETS = (.+)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert targets == list(house.COMMANDS)


def project_table() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): version for name, version in found.items()}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_satisfy_every_requirement():
    table, pinned = project_table(), pins()
    needs = [*table["dependencies"], *(need for group in table["optional-dependencies"].values() for need in group)]
    for need in map(Requirement, needs):
        assert need.specifier.contains(pinned[canonical(need.name)]), need
    assert "+" not in pinned["torch"]  # any build of the version


def test_environment_yml_agrees():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    python = next(d for d in dependencies if isinstance(d, str) and d.startswith("python="))
    assert SpecifierSet(project_table()["requires-python"]).contains(python.split("=")[1])
    pip = next(d["pip"] for d in dependencies if isinstance(d, dict))
    assert pip == ["-c constraints.txt", "-e .[lab,book,test]"]
    assert "-e .[lab,book,test]".split() == house.REQUIREMENT
    assert set(project_table()["optional-dependencies"]) == {"lab", "book", "test"}


def test_workflow_covers_what_we_promise():
    job = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert matrix == {"python": ["3.11", "3.12", "3.13"], "versions": ["pinned", "unpinned"]}
    assert all(SpecifierSet(project_table()["requires-python"]).contains(v) for v in matrix["python"])
    assert any(step.get("run") == "bash .ci/run" for step in job["steps"])
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("exec make test")


def test_citation_and_licences_agree_with_the_package():
    table = project_table()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == table["version"] and citation["license"][0] == table["license"]
    assert "MIT License" in (ROOT / "LICENSE").read_text()
    assert "Attribution 4.0" in (ROOT / "LICENSE-text").read_text()


def test_browser_libraries_are_locked():
    lock = json.loads((ROOT / "package-lock.json").read_text())
    assert all(p.get("integrity") for name, p in lock["packages"].items() if name)
