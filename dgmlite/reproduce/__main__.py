"""python -m dgmlite.reproduce NAME [--seeds N] [--workers N] [--out FILE]: compute a table, store and print it."""

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import torch

import dgmlite
from dgmlite import checks, reproduce


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m dgmlite.reproduce", description=reproduce.__doc__)
    parser.add_argument("name", choices=reproduce.names())
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--out", type=Path, help="the JSON file, by default the one that the package reads")
    given = parser.parse_args(arguments)
    seeds, workers = checks.positive_int("--seeds", given.seeds), checks.positive_int("--workers", given.workers)
    out = given.out or Path(reproduce.__file__).with_name(f"{given.name}.json")
    table = importlib.import_module(f"dgmlite.reproduce.{given.name}")
    results = {
        "command": f"python -m dgmlite.reproduce {given.name} --seeds {seeds}",
        "versions": {"dgmlite": dgmlite.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "seeds": seeds,
        "threads": 1,
    } | table.run(seeds, workers)
    with tempfile.NamedTemporaryFile("w", encoding="utf8", dir=out.parent, delete=False) as file:
        json.dump(results, file, indent=1)
    os.replace(file.name, out)
    table.show(results)


if __name__ == "__main__":
    sys.exit(main())
