"""Checks pass on the solution, and fail on the skeleton, on each usual mistake, and on everything else."""

import contextlib
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgmlite import exercises

ROOT = Path(__file__).resolve().parents[1]
ALL = [(f"{chapter}.{i}", e) for chapter, rows in exercises.chapters().items() for i, e in rows.items()]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DGMLITE_HOME", str(tmp_path))
    return tmp_path


def said(name, answer):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), np.errstate(all="ignore"):
        exercises.check(name, answer)
    lines = out.getvalue().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("name, exercise", ALL, ids=[n for n, _ in ALL])
def test_right_skeleton_and_every_mistake(name, exercise):
    assert said(name, exercise.right).startswith("✓")
    assert said(name, ...) == f"○ {name}: not answered yet"
    if exercise.probes:
        assert said(name, lambda *args: ...) == f"○ {name}: not answered yet"
    assert len(exercise.mistakes) >= 3, (name, "list three usual mistakes")
    for wrong, sentence in exercise.mistakes:
        assert said(name, wrong) == f"✗ {name}: {sentence}"


@pytest.mark.parametrize("name, exercise", ALL, ids=[n for n, _ in ALL])
def test_unlisted_wrong_answers_are_refused(name, exercise):
    """The right answer scaled, shifted or rounded a little is wrong in a way that nobody listed."""
    right = exercise.right if exercise.probes else lambda: exercise.right
    for spoil in (lambda v: v * 1.013, lambda v: v + 0.01 * (1 + abs(v)), lambda v: -v - 0.3, lambda v: v * 0 + 7.7):

        def wrong(*args, spoil=spoil):
            return spoil(np.asarray(right(*args), dtype=float))

        line = said(name, wrong if exercise.probes else wrong())
        assert line.startswith("✗"), line


JUNK = st.one_of(
    st.none(),
    st.text(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.binary(),
    st.lists(st.floats(), max_size=3),
    st.dictionaries(st.text(), st.integers()),
    st.just(object()),
    st.just(lambda: 1),
    st.just(lambda *a: a[99]),
    st.just(lambda *a: "text"),
    st.just(lambda *a: [1, [2]]),
    st.just(lambda *a: None),
    st.just(np.zeros((2, 0))),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([n for n, _ in ALL]), JUNK)
def test_check_never_raises_and_never_accepts_junk(name, junk):
    assert said(name, junk)[0] in "✗○"


@given(st.one_of(st.text(), st.none(), st.integers(), st.just("information.99"), st.just("information.x")))
def test_unknown_names_get_a_line(name):
    assert "no such exercise" in said(name, 1.0)


def test_answers_are_not_changed_by_a_function_that_writes_into_its_arguments():
    def rude(p, q):
        p *= 0
        return 0.0

    assert said("information.5", rude).startswith("✗")
    assert said("information.5", exercises.chapters()["information"][5].right).startswith("✓")


def test_progress_is_kept_and_survives_a_broken_file(home, capsys):
    exercises.check("start_here.1", 64 * np.log(17))
    assert (home / "progress.json").exists()
    capsys.readouterr()
    exercises.progress()
    assert f"0 of {len(exercises.chapters())} chapters, 1 of {len(ALL)} exercises" in capsys.readouterr().out
    (home / "progress.json").write_text("{broken")
    exercises.progress()
    assert ", 0 of" in capsys.readouterr().out


def test_a_home_that_cannot_be_written_loses_nothing_but_the_record(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DGMLITE_HOME", str(tmp_path / "file"))
    exercises.check("start_here.1", 64 * np.log(17))
    assert "✓" in (out := capsys.readouterr().out) and "not recorded" in out


def name_of(cell):
    found = re.search(r"^check\([\"'](.+?)[\"'], \w+\)$", cell.source, re.M)
    assert found, (cell.id, 'an exercise ends in check("<chapter>.<number>", answer)')
    return found[1]


def exercise_cells():
    for path in NOTEBOOKS:
        cells = nbformat.read(path, 4).cells
        for i, cell in enumerate(cells):
            if "exercise" in cell.metadata.get("tags", []):
                imports = next(c.source for c in cells if c.cell_type == "code")
                yield pytest.param(imports, cell, cells[i + 1], id=name_of(cell))


@pytest.mark.parametrize("imports, skeleton, solution", list(exercise_cells()))
def test_the_folded_solution_passes_where_the_skeleton_does_not(imports, skeleton, solution):
    """Exercises need only the chapter's first code cell, so a reader can begin with any of them."""
    wanted = "the cell after an exercise must be its folded solution, tagged solution"
    assert "solution" in solution.metadata.get("tags", []) and "<details>" in solution.source, (skeleton.id, wanted)
    (code,) = re.findall(r"```python\n(.*?)```", solution.source, flags=re.S)
    (call,) = re.findall(r"^check\(.*\)$", skeleton.source, flags=re.M)
    for source, sign in ((skeleton.source.replace(call, ""), "○"), (code, "✓")):
        scope, out = {}, io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(imports, scope)
            exec(source, scope)
            out.seek(0), out.truncate()
            exec(call, scope)
        assert out.getvalue().startswith(sign), out.getvalue()


def test_every_exercise_stands_in_its_chapter():
    placed, known = {name_of(c.values[1]) for c in exercise_cells()}, {name for name, _ in ALL}
    assert placed == known, (placed ^ known, "exercise cells and dgmlite/exercises/<chapter>.py differ")
