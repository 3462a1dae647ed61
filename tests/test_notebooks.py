"""What the comparison of outputs does not see: whether chapters are stored whole, and whether comparing bites."""

import copy
import importlib
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import run_notebooks
from chapters import parse_chapter
from run_notebooks import ROOT, STATE, VIEW, masked

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.ipynb"))
EXEMPT = 0  # cells that are not compared; each states why in its metadata, {"exempt": "reason"}
NBVAL = ["--nbval", "--nbval-current-env", f"--nbval-sanitize-with={ROOT}/tests/sanitize.cfg"]

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(nb) -> list:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def texts(nb):
    """Yield each stored text that is compared, with its cell's id."""
    for cell in code_cells(nb):
        for output in cell.outputs:
            if text := output.get("text") or output.get("data", {}).get("text/plain"):
                yield cell.id, text


@every_notebook
def test_runs_in_order_and_has_all_its_outputs(path):
    nb = read(path)
    nbformat.validate(nb)
    cells = code_cells(nb)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run it: make run CH=…"
    state = nb.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    for cell in cells:
        errors = [output for output in cell.outputs if output.output_type == "error"]
        assert bool(errors) == ("raises-exception" in tags(cell)), (cell.id, "error and tag raises-exception differ")
        for output in cell.outputs:
            assert output.get("name") != "stderr", (cell.id, output.text[:80])
            data = output.get("data", {})
            text = data.get("text/plain", "") + output.get("text", "")
            assert not re.search(r"\bat 0x[0-9a-f]+", text), (cell.id, text, "an address differs in each run")
            assert not re.search(r"(?<!\w)/(home|root|Users|tmp|work)/", text), (cell.id, "a path of one machine")
            if text.startswith("<Figure"):
                assert "image/png" in data, (cell.id, "the picture is missing")
            if "image/png" in data:
                alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
                assert len(alt) >= 20, (cell.id, "no alternative text that says what to see")
            if VIEW in data:
                assert data[VIEW]["model_id"] in state, (cell.id, "the widget's model is missing")


@every_notebook
def test_stored_widgets_are_the_package_s(path):
    for model in read(path).metadata.get("widgets", {}).get(STATE, {}).get("state", {}).values():
        stored = model["state"]
        assert not [o for o in stored.get("outputs", []) if o["output_type"] == "error"]
        if "_esm" in stored:
            module, _, name = stored["_anywidget_id"].rpartition(".")
            widget = getattr(importlib.import_module(module), name)
            assert stored["_esm"] == str(widget._esm), f"{name}'s JavaScript has changed: make run"
            assert stored["_css"] == str(widget._css), f"{name}'s style sheet has changed: make run"


@every_notebook
def test_form(path):
    nb = read(path)
    parse_chapter(path)
    ids = [cell.id for cell in nb.cells]
    assert len(set(ids)) == len(ids)
    for cell in code_cells(nb):
        assert cell.source.strip(), (cell.id, "an empty cell")
        assert len(cell.source.splitlines()) <= 25, (cell.id, "longer than 25 lines")
        assert all(len(line) <= 80 for line in cell.source.splitlines()), (cell.id, "a line of code over 80 characters")
        assert not cell.source.rstrip().endswith(";"), (cell.id, "the comparison does not honour a last ;")
    for cell in nb.cells:
        note = cell.metadata.get("slideshow", {}).get("slide_type") == "notes"
        assert note == ("remove-cell" in tags(cell)), (
            cell.id,
            "speaker notes are of type notes and tagged remove-cell",
        )
    prose = "\n".join(c.source for c in nb.cells if c.cell_type == "markdown" and "remove-cell" not in tags(c))
    levels = [len(mark) for mark in re.findall(r"^(#+) ", re.sub(r"```.*?```", "", prose, flags=re.DOTALL), re.M)]
    assert levels[0] == 1 and levels.count(1) == 1, "one title"
    assert all(b <= a + 1 for a, b in pairwise(levels)), ("a level of headings is skipped", levels)


def test_every_cell_is_compared():
    exempt = 0
    for path in NOTEBOOKS:
        for cell in code_cells(read(path)):
            marks = [tag for tag in tags(cell) if tag.startswith("nbval")]
            assert "NBVAL_" not in cell.source, (path.name, cell.id)
            assert bool(marks) == bool(cell.metadata.get("exempt")), (path.name, cell.id, "an exemption has a reason")
            exempt += bool(marks)
    assert exempt == EXEMPT


@every_notebook
def test_every_digit_is_compared(path):
    """Change any one stored digit, and what is compared changes, but in a measured value and in progress."""
    for cell, text in texts(read(path)):
        free = set()
        for line in re.finditer(r"^training .*$", text, re.M):
            free |= set(range(*line.span()))
        for line in re.finditer(r"^.*: (\S+)(?: [^\[\n]+)?  \[(?:between|at least|at most) .* ✓\]$", text, re.M):
            free |= set(range(*line.span(1)))
        for digit in re.finditer(r"\d", text):
            i = digit.start()
            tampered = text[:i] + str((int(text[i]) + 1) % 10) + text[i + 1 :]
            assert (masked(tampered) == masked(text)) == (i in free), (cell, text[max(i - 40, 0) : i + 40])


@every_notebook
def test_bands_of_losses_are_narrow(path):
    """A loss that is 10 % worse leaves its band."""
    for cell, text in texts(read(path)):
        line = r"^.*: (\S+) nats  \[between \S+ and (\S+) ✓\]$"
        for value, high in re.findall(line, text, re.M):
            if float(value) > 30:  # the surprise at an image or a text, not a difference of two
                assert float(high) < 1.1 * float(value), (cell, value, high)


DRIVE = """
import sys
import ipywidgets
from ipywidgets.widgets.widget import _instances

errors, driven, shell = [], 0, get_ipython()
show, shell.showtraceback = shell.showtraceback, lambda *a, **k: errors.append(repr(sys.exc_info()[1]))
for control in list(_instances.values()):
    if hasattr(control, "min") and hasattr(control, "max") and hasattr(control, "description"):
        values = [] if isinstance(control, ipywidgets.IntProgress) else [control.min, control.max]
        if isinstance(getattr(control, "value", None), tuple):
            values = [(control.min, control.min), (control.max, control.max), (control.min, control.max)]
    elif hasattr(control, "options") and hasattr(control, "index"):
        values = [value for _, value in control._options_full]
    elif isinstance(control, (ipywidgets.Checkbox, ipywidgets.ToggleButton)):
        values = [True, False]
    elif isinstance(control, ipywidgets.Button):
        control.click()
        values = []
        driven += 1
    else:
        continue
    for value in [*values, *([control.value] if values else [])]:
        control.value = value
        driven += 1
shell.showtraceback = show
assert not errors, errors
print("driven", driven)
"""


def drive(nb, folder: Path) -> int:
    """Move each control of ipywidgets to its ends; return how many moves that took. `interact` swallows errors."""
    nb.cells.append(new_code_cell(DRIVE))
    place = {"metadata": {"path": str(folder)}}
    for patience in (120, 300):  # seconds for a cell: very rarely a kernel never answers its first one
        try:
            done = NotebookClient(copy.deepcopy(nb), timeout=patience, kernel_name="python3", resources=place).execute()
            return int(done.cells[-1].outputs[-1].text.split()[1])
        except CellTimeoutError as error:
            silent = error
    raise silent


def has_controls(path: Path) -> bool:
    state = read(path).metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    return any(model["model_module"] == "@jupyter-widgets/controls" for model in state.values())


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if has_controls(p)], ids=lambda path: path.stem)
def test_every_control_at_its_ends(path):
    assert drive(read(path), path.parent) > 0


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "fails"), [("0", True), ("9", False)])
def test_driving_finds_what_fails_at_an_end(tmp_path, bad, fails):
    source = f"from ipywidgets import interact\n@interact(k=(0, 4))\ndef show(k=2):\n    print(1 / (k - {bad}))"
    nb = new_notebook(cells=[new_code_cell(source)])
    if fails:
        with pytest.raises(Exception, match="ZeroDivisionError"):
            drive(nb, tmp_path)
    else:
        assert drive(nb, tmp_path) == 3


CHAPTER = [
    "import math\n\nimport torch\n\nfrom dgmlite.checks import measured\nfrom dgmlite.data import digits\n"
    "from dgmlite.evaluation import evaluate\nfrom dgmlite.models.autoregressive import MADE\n"
    "from dgmlite.training import fit",
    "print(f'{math.log(2):.6f} nats')",
    "{'levels': digits().levels}",
    "data = digits()\nmodel = MADE((1, 8, 8), data.levels, hidden=(100,))\n"
    "history = fit(model, data.train, data.valid, epochs=4)",
    "measured('test surprise', evaluate(model, data.test.x).nats, 0, 999, 'nats')",
]
WIDEN = "plain = MADE.log_prob\nMADE.log_prob = lambda self, x, y=None: 1.1 * plain(self, x)"


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """A chapter as small as can be, executed; its band is 5 % to either side of what it measures."""
    path = tmp_path_factory.mktemp("course") / "1_tiny.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Tiny"), *map(new_code_cell, CHAPTER)]), path)
    run_notebooks.run(path)
    nb = read(path)
    last = nb.cells[-1]
    value = float(re.search(r"surprise: (\S+) nats", last.outputs[0].text)[1])
    low, high = (str(round(share * value)) for share in (0.95, 1.05))
    last.source = last.source.replace("0, 999", f"{low}, {high}")
    last.outputs[0].text = last.outputs[0].text.replace("between 0 and 999", f"between {low} and {high}")
    path.write_text(nbformat.writes(nb) + "\n", encoding="utf8")
    return path


def compare(nb, folder: Path) -> tuple[int, str]:
    """Run the comparison on a notebook; return how many cells failed, and what was said."""
    shutil.copy(ROOT / "conftest.py", folder)
    nbformat.write(nb, folder / "1_tiny.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *NBVAL, "1_tiny.ipynb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    failed = re.search(r"(\d+) failed", done.stdout)
    assert bool(failed) == bool(done.returncode), done.stdout
    return int(failed[1]) if failed else 0, done.stdout


@pytest.mark.slow
def test_unchanged_chapter_passes_also_on_another_machine(chapter, tmp_path):
    nb = read(chapter)
    measured = nb.cells[-1].outputs[0]
    measured.text = re.sub(r": \S+ nats", ": 99.99 nats", measured.text)  # elsewhere training ends elsewhere
    assert compare(nb, tmp_path)[0] == 0


@pytest.mark.slow
def test_changed_digits_fail(chapter, tmp_path):
    nb = read(chapter)
    printed, result, band = nb.cells[2].outputs[0], nb.cells[3].outputs[0], nb.cells[5].outputs[0]
    printed.text = printed.text.replace("0.693147", "0.693148")
    result.data["text/plain"] = result.data["text/plain"].replace("17", "16")
    band.text = re.sub(r"between \d", "between 0", band.text)
    assert "0.693147" not in printed.text and "16" in result.data["text/plain"] and "between 0" in band.text
    assert compare(nb, tmp_path)[0] == 3


@pytest.mark.slow
def test_a_loss_that_is_ten_percent_worse_fails(chapter, tmp_path):
    nb = read(chapter)
    nb.cells[1].source += "\n" + WIDEN
    failed, said = compare(nb, tmp_path)
    assert failed == 1 and "test surprise" in said and "is outside the expected band" in said


@pytest.mark.slow
def test_executing_again_changes_nothing(chapter, tmp_path):
    elsewhere = re.compile(r"(surprise: )(\S+)( nats)")
    before = chapter.read_text(encoding="utf8")
    before, count = elsewhere.subn(lambda m: f"{m[1]}{float(m[2]) + 0.2:.4g}{m[3]}", before)
    path = tmp_path / chapter.name
    path.write_text(before, encoding="utf8")
    run_notebooks.run(path)
    assert path.read_text(encoding="utf8") == before and count == 1


@pytest.mark.slow
def test_a_chapter_that_fails_stays_as_it_was(chapter, tmp_path):
    nb = read(chapter)
    nb.cells[2].source += "\n1 / 0"
    path = tmp_path / "1_tiny.ipynb"
    nbformat.write(nb, path)
    before = path.read_text(encoding="utf8")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run_notebooks.run(path)
    assert path.read_text(encoding="utf8") == before and list(tmp_path.iterdir()) == [path]


def test_chapters_are_found_by_name():
    (path,) = run_notebooks.find(["information"])
    assert path.name.endswith("_information.ipynb")
    for names, said in ((["nonsense"], "no chapter 'nonsense': .* information"), ([], "Which chapter: .* start_here")):
        with pytest.raises(SystemExit, match=said):
            run_notebooks.find(names)


def test_stored_text_is_kept_only_if_it_is_still_about_right():
    loss, speed = "sieve: off: 83.2 nats  [between 82 and 85 ✓]", "speed: 2,000  [between 1 and 9,000 ✓]"
    text = f"training finished: 9 epochs, loss 80\n{loss}\n{speed}"
    assert run_notebooks.close(text, text)
    for change in (("83.2", "83.3"), ("2,000", "2,400")):
        assert run_notebooks.close(text.replace(*change), text), change
    for change in (("83.2", "83.5"), ("2,000", "2,500"), ("loss 80", "loss 81"), ("82 and", "81 and")):
        assert not run_notebooks.close(text.replace(*change), text), change


def test_masks_hide_the_value_and_nothing_else():
    line = "what: 83.2 nats  [between 82 and 85 ✓]"
    assert masked(line) == masked(line.replace("83.2", "1.2e+03")) == masked(line.replace("83.2", "1,234"))
    for other in ("what: 83.2 bits  [between 82 and 85 ✓]", "that: 83.2 nats  [between 82 and 85 ✓]"):
        assert masked(line) != masked(other)
    assert masked(line) != masked(line.replace("85", "86")) and masked("loss: 83.2 nats") != masked("loss: 83.3 nats")
    assert masked("ratio: 2.5  [between 1 and 3 ✓]") == masked("ratio: -1e-05  [between 1 and 3 ✓]")
    assert masked("training 1/9") == masked("training 2/9 epochs") != masked("trained 1/9")
