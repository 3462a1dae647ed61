"""Instant checks of a chapter's exercises, and the record of what has been solved.

An exercise knows one right answer and the usual wrong ones, each with the sentence that helps. Answers are
numbers, arrays, or functions; functions are compared by their values on the exercise's probes. A chapter's
exercises are in the module of its name: `EXERCISES = {1: Exercise(…), …}`.
"""

import contextlib
import importlib
import json
import os
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Exercise:
    """One exercise: its right answer, the usual wrong ones with what to say, and how answers are compared.

    probes: for answers that are functions, the tuples of arguments they are tried on.
    mistakes: pairs (wrong answer, sentence that names the mistake without giving the answer away).
    """

    right: Any
    mistakes: tuple[tuple[Any, str], ...]
    probes: tuple[tuple, ...] = ()
    praise: str = ""
    tolerance: float = 1e-6

    def values(self, answer) -> list[np.ndarray]:
        """The numbers by which an answer is judged."""
        if not self.probes:
            return [_array(answer)]
        return [_array(answer(*_copied(arguments))) for arguments in self.probes]

    def same(self, a: list[np.ndarray], b: list[np.ndarray]) -> bool:
        return all(
            x.shape == y.shape and np.allclose(x, y, rtol=self.tolerance, atol=self.tolerance * 1e-3, equal_nan=True)
            for x, y in zip(a, b, strict=True)
        )


class Unanswered(Exception):
    """The answer still has its placeholder `...`."""


def _copied(arguments: tuple) -> tuple:
    return tuple(a.copy() if isinstance(a, np.ndarray) else list(a) if isinstance(a, list) else a for a in arguments)


def _array(value) -> np.ndarray:
    if value is ...:
        raise Unanswered
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype == object and any(v is ... for v in array.ravel()):
        raise Unanswered
    if array.dtype.kind not in "biuf":
        raise TypeError(f"a number or an array of numbers is wanted, got {type(value).__name__}")
    return array.astype(np.float64)


def chapters() -> dict[str, dict[int, Exercise]]:
    """All chapters with exercises, by name, in alphabetical order."""
    names = [m.name for m in pkgutil.iter_modules(__path__)]
    return {name: importlib.import_module(f"{__name__}.{name}").EXERCISES for name in names}


def check(name: str, answer) -> None:
    """Say in one line whether an answer is right, and if it is a usual mistake, which; never raises.

    name: chapter and number, such as "information.3". What is solved is recorded in one local file.

    >>> check("start_here.1", ...)
    ○ start_here.1: not answered yet
    """
    try:
        sign, text = _verdict(name, answer)
    except Exception as error:  # whatever the answer does when it is looked at, the reader gets a line
        sign, text = "✗", f"the answer could not be read ({type(error).__name__})"
    print(f"{sign} {_short(name)}: {text}")
    if sign == "✓":
        _record(name)


def _verdict(name: str, answer) -> tuple[str, str]:
    chapter, _, number = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    exercises = chapters()
    if chapter not in exercises or not number.isdecimal() or int(number) not in exercises[chapter]:
        return "✗", "no such exercise; the names look like " + ", ".join(f"{c}.1" for c in exercises)
    exercise = exercises[chapter][int(number)]
    if answer is ...:
        return "○", "not answered yet"
    if exercise.probes and not callable(answer):
        return "✗", f"a function is wanted, got {type(answer).__name__}; pass the function itself, without calling it"
    try:
        values = exercise.values(answer)
    except Unanswered:
        return "○", "not answered yet"
    except Exception as error:
        asked = f" when called with one of {_short(exercise.probes)}" if exercise.probes else ""
        return "✗", f"this raised {type(error).__name__}{asked}: {_short(error)}"
    right = exercise.values(exercise.right)
    if exercise.same(values, right):
        return "✓", "right. " + exercise.praise if exercise.praise else "right."
    for wrong, sentence in exercise.mistakes:
        if exercise.same(values, exercise.values(wrong)):
            return "✗", sentence
    for x, y in zip(values, right):
        if x.shape != y.shape:
            return "✗", f"an answer of shape {y.shape} is wanted (() is a single number), got {x.shape}"
    if any(np.isnan(x).any() for x in values):
        return "✗", "the answer contains NaN: look for log of zero, or zero divided by zero"
    return "✗", "not yet. Work a tiny case by hand and compare; the hints below the question go step by step"


def _short(value, limit: int = 100) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _file() -> Path:
    return Path(os.environ.get("DGMLITE_HOME") or Path.home() / ".dgmlite") / "progress.json"


def _solved() -> set[str]:
    try:
        return set(json.loads(_file().read_text(encoding="utf8")))
    except (OSError, ValueError, TypeError):
        return set()


def _record(name: str) -> None:
    solved = _solved() | {name}
    temporary = _file().with_suffix(f".{os.getpid()}")
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(sorted(solved)), encoding="utf8")
        os.replace(temporary, _file())
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        print(f"  (not recorded: {error.strerror}; set DGMLITE_HOME to a folder you can write to)")


def progress() -> None:
    """Print what has been solved so far, chapter by chapter, from the local record."""
    solved, rows = _solved(), chapters()
    done = {name: sum(f"{name}.{i}" in solved for i in exercises) for name, exercises in rows.items()}
    finished = sum(done[name] == len(exercises) for name, exercises in rows.items())
    total = sum(map(len, rows.values()))
    print(f"{finished} of {len(rows)} chapters, {sum(done.values())} of {total} exercises")
    for name, exercises in rows.items():
        print(f"  {name:<16}{'●' * done[name]}{'○' * (len(exercises) - done[name])}")
