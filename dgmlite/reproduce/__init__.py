"""Tables that cost more than a chapter may: `python -m dgmlite.reproduce NAME` computes, `results(NAME)` reads one."""

import json
from pathlib import Path

_HERE = Path(__file__).parent


def names() -> list[str]:
    """The tables there are."""
    return sorted(path.stem for path in _HERE.glob("*.py") if not path.stem.startswith("_"))


def results(name: str) -> dict:
    """Return the stored results of a table, as its run wrote them.

    >>> results("digits_autoregressive")["models"]["MADE"]["test"]["mean"] < 90
    True
    """
    if name not in names():
        raise ValueError(f"name must be one of {', '.join(names())}, got {name!r}")
    return json.loads((_HERE / f"{name}.json").read_text(encoding="utf8"))
