"""Fixtures for the tests that look at the course as people see it: in a browser, in the book and in JupyterLab."""

import contextlib
import functools
import http.server
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "book/_build/html"
NO_CHROMIUM = "no Chromium found: install one (Debian: apt install chromium; macOS: brew install --cask chromium)"
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "file:", "data:", "blob:", "about:")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(item.fspath).is_relative_to(Path(__file__).parent):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser():
    """Chromium, found by path."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    mac = [Path("/Applications") / f"{n}.app/Contents/MacOS/{n}" for n in ("Chromium", "Google Chrome")]
    path = path or next((str(m) for m in mac if m.exists()), None)
    if path is None:
        pytest.skip(NO_CHROMIUM)
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: pip install playwright")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=[*flags, "--disable-sync"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page that fails its test on any request to another machine and on any error in the console."""
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page, troubles = context.new_page(), []

    def route(route):
        if route.request.url.startswith(LOCAL):
            route.continue_()
        else:
            troubles.append(f"request to {route.request.url}")
            route.abort()

    context.route("**/*", route)

    def console(message):
        # Chromium never preloads a font for a page from a file; the page then loads the same font without trouble.
        preload = message.location["url"].startswith("file:") and (
            "font at 'file:" in message.text or message.location["url"].endswith(".woff2")
        )
        # JupyterLab asks the kernel for its debugger when the page is closed, and may get no answer.
        closing = "Could not restore the debugger state" in message.text or (
            "/api/" in message.location["url"] and "status of 500" in message.text
        )
        if message.type == "error" and not preload and not closing:
            troubles.append(f"console: {message.text}")

    page.on("console", console)
    page.on("pageerror", lambda e: troubles.append(f"page error: {e}"))

    def response(response):
        if response.status >= 400 and not (response.status == 500 and "/api/" in response.url):
            troubles.append(f"{response.status} for {response.url}")

    page.on("response", response)
    yield page
    context.close()
    assert not troubles, troubles


def newest_source() -> float:
    """Return when anything that the book is made of last changed."""
    sources = [ROOT / "_config.yml", *(ROOT / "notebooks").glob("*/*.ipynb")]
    sources += [
        p for p in (ROOT / "book").rglob("*") if p.suffix in (".md", ".yml", ".bib", ".py", ".j2", ".css", ".js")
    ]
    made = {"_build", "vendor", "__pycache__"}
    return max(p.stat().st_mtime for p in sources if made.isdisjoint(p.parts))


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of the built book."""
    last = HTML / "student/dgmlite-student.zip"  # the last thing that a build writes
    if not last.is_file():
        pytest.skip("the book is not built: run `make book` first")
    if last.stat().st_mtime < newest_source():
        pytest.skip("the built book is older than its sources: run `make book` first")
    return HTML


@pytest.fixture(scope="session")
def site(built):
    """The base URL of the built book, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=built))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """The URL, with its token, of a running JupyterLab on a copy of the notebooks: http://127.0.0.1:…/lab?token=…

    A notebook is at lab.replace("/lab?", "/lab/tree/notebooks/1_why/1_information.ipynb?").
    """
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "root/notebooks", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(home / name.lower()) for name in (*folders, "IPYTHONDIR", "DGMLITE_HOME")}
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    token = secrets.token_hex(16)
    url = f"http://127.0.0.1:{port}"
    with (home / "log").open("w") as log:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": home / "root",
            "ServerApp.allow_root": True,
            "IdentityProvider.token": token,
            "LabApp.extension_manager": "readonly",
            "LabApp.news_url": "",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", *(f"--{k}={v}" for k, v in options.items())]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | own)
        try:
            for _ in range(300):
                if server.poll() is not None:
                    break
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{url}/api/status?token={token}", timeout=2)
                    break
                time.sleep(0.2)
            else:
                server.terminate()
            assert server.poll() is None, "JupyterLab did not start:\n" + (home / "log").read_text()[-2000:]
            yield f"{url}/lab?token={token}"
        finally:
            server.terminate()
            server.wait(20)
