"""python -m benchmarks [NAME …] [--rounds N] [--out FILE]: time dgmlite beside other libraries and plain torch.

Without names all benchmarks run, and what comes out is stored in benchmarks/results.json and in the book's page. All
runs on one thread; contenders take turns, and the ratio, ours / the other, is taken within each turn.
"""

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

import torch

from benchmarks import NAMES, page

LIBRARIES = ("dgmlite", "torch", "nflows", "normflows", "pythae", "diffusers")


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def run(names: list[str], rounds: int) -> list[dict]:
    """Return the rows of these benchmarks, each printed as soon as it is there."""
    found, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in names:
            torch.manual_seed(0)
            for row in importlib.import_module(f"benchmarks.{name}").run(rounds):
                found.append({"benchmark": name, **row})
                show(page.line(row))
    finally:
        torch.set_num_threads(threads)
    return found


def show(cells: list[str]) -> None:
    print("".join(cell.ljust(width) for cell, width in zip(cells, (70, 20, 10, 26, 10, 0))), flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; by default all")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each contender (20)")
    parser.add_argument("--out", type=Path, help="a JSON file; by default the stored one, if all benchmarks run")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.names) - set(NAMES)):
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if given.rounds < 2:
        parser.error("--rounds must be at least 2: there is no spread of one")
    began = time.perf_counter()
    show(page.HEAD)
    rows = run(given.names or list(NAMES), given.rounds)
    results = {
        "command": " ".join(["python -m benchmarks", *given.names, f"--rounds {given.rounds}"]),
        "versions": versions(),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": 1,
        },
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "rows": rows,
    }
    out = given.out or (None if given.names else page.RESULTS)
    if out:
        out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    if out == page.RESULTS:
        page.main()


if __name__ == "__main__":
    sys.exit(main())
