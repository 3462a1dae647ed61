"""What all widgets share: one self-contained JavaScript module, one style sheet, and checks at the door."""

import base64
from pathlib import Path

import anywidget
import numpy as np
import traitlets as t

from dgmlite import checks
from dgmlite.information import _array, _table

_HERE = Path(__file__).parent


class Widget(anywidget.AnyWidget):
    """A picture to push. It computes in the browser from the numbers it is given, so it needs no running kernel.

    A subclass names its `_script`, which defines `render({ model, el })`, and the traits that `_shown` in its repr.
    """

    _css = (_HERE / "common.css").read_text(encoding="utf8")
    bits = t.Bool(False, help="Show bits instead of nats.").tag(sync=True)

    def __init_subclass__(cls, **kwargs):
        if "_script" in cls.__dict__:  # traitlets derives further classes of its own
            source = "\n".join((_HERE / name).read_text(encoding="utf8") for name in ("common.js", cls._script))
            cls._esm = source + "\nexport default { render };\n"
        super().__init_subclass__(**kwargs)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
        return f"{type(self).__name__}({shown})"


class Probabilities(t.TraitType):
    """A trait that holds a distribution (or joint table, with axes=2) as plain lists; refuses what is none."""

    def __init__(self, axes: int = 1):
        super().__init__(default_value=[])
        self.axes = axes
        self.tag(sync=True)

    def validate(self, obj, value):
        p = _table(value, self.name, self.axes)
        if p.dim() != self.axes:
            wanted = "one distribution of shape (K,)" if self.axes == 1 else "one table of shape (Kx, Ky)"
            raise ValueError(f"{self.name} must be {wanted}, got {tuple(p.shape)}; pass one at a time")
        return p.tolist()


def grid(shape) -> tuple[int, int]:
    """Return shape as (rows, columns) of a picture that can be drawn, or say what was wrong."""
    shape = checks.shape("shape", shape)
    if len(shape) != 2 or max(shape) > 12:
        raise ValueError(f"shape must be (rows, columns) of at most 12 each to be drawn, got {shape}")
    return shape


def names(what: str, given, count: int, default) -> list[str]:
    """Return `count` labels as a list of str, those of `default` when none are given, or say what was wrong."""
    if given is None:
        return list(default[:count])
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"{what} must be a list of strings, got {given!r}")
    if len(given) != count:
        raise ValueError(f"{what} must name each state once: {count} are needed, got {len(given)}")
    return list(given)


def sentence(task, default: str) -> str:
    """Return the task that stands above a picture, `default` when none is given, or say what was wrong."""
    if task is not None and not isinstance(task, str):
        raise TypeError(f'task must be a string, "" for none, got {task!r:.60}')
    return default if task is None else task


def packed(values: np.ndarray, kind: str = "<f4") -> str:
    """Return numbers as base64 of `kind`: in a notebook, a list of numbers would take a line for each."""
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def finite(what: str, given) -> np.ndarray:
    """Return any kind of array as float64, finite also in 32 bits, or say what was wrong."""
    values = _array(given, what).astype(float)
    if not (abs(values) < 3e38).all():
        raise ValueError(f"{what} contains NaN or infinity; look for a division by zero or log of zero upstream")
    return values
