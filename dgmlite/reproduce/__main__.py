"""python -m dgmlite.reproduce NAME: compute a table and store it. --list says which there are."""

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

from dgmlite import checks, parallel, reproduce
from dgmlite.reproduce import _paper

OPTIONS = {  # kind of table → the options that belong to it, with what they are if not given
    "over seeds": {"seeds": 5, "workers": os.cpu_count()},
    "at paper scale": {"seed": 0, "rows": None, "smoke": False, "device": None, "bf16": False, "compile": False},
}
EPILOG = """\
Tables over seeds are made on the CPU, in processes of one thread each, and read by the chapters; --out is the folder
that gets NAME.json, by default the one that the package reads.
Tables at paper scale train for hours on a GPU (also several: torchrun --nproc-per-node N -m dgmlite.reproduce NAME).
--out (by default runs) gets NAME.json and, for each row, a checkpoint, a log, samples and weights; the same command
goes on where it was interrupted. --smoke shortens all of it to seconds, and asserts that the loss falls and that
resuming is exact."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m dgmlite.reproduce", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=reproduce.names(), metavar="NAME", help=", ".join(reproduce.names()))
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--out", type=Path, metavar="DIR")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds (5)")
    parser.add_argument("--workers", type=int, metavar="N", help="how many processes (one for each core)")
    parser.add_argument("--seed", type=int, metavar="S", help="which seed (0)")
    parser.add_argument("--rows", nargs="*", metavar="ROW", help="train only these rows (none: print the table)")
    for flag, text in (
        ("smoke", "a few steps of small models"),
        ("bf16", "train in bfloat16 where it is safe"),
        ("compile", "let torch.compile make the training step faster"),
    ):
        parser.add_argument(f"--{flag}", action="store_true", default=None, help=text)
    parser.add_argument("--device", help="such as cuda:1 or cpu (the accelerator, if there is one)")
    given = parser.parse_args(arguments)
    if given.list:
        return print("\n".join(_list()))
    if given.name is None:
        parser.error(f"which table? there are {', '.join(reproduce.names())}; --list says more")
    table = importlib.import_module(f"dgmlite.reproduce.{given.name}")
    kind = _kind(table)
    options = {key: getattr(given, key) for key in OPTIONS[kind]}
    for key in {key for keys in OPTIONS.values() for key in keys} - set(options):
        if getattr(given, key) is not None:
            parser.error(f"--{key} does not belong to {given.name}, a table {kind}: it has --{', --'.join(options)}")
    options = {key: OPTIONS[kind][key] if value is None else value for key, value in options.items()}
    if kind == "over seeds":
        return _over_seeds(given.name, table, given.out, **options)
    if unknown := set(options["rows"] or ()) - set(table.ROWS):
        parser.error(f"no row {', '.join(map(repr, unknown))} in {given.name}: there are {', '.join(table.ROWS)}")
    try:
        with parallel.start(), tempfile.TemporaryDirectory() as temporary:
            out = given.out or Path(temporary if options["smoke"] else "runs")
            options["rows"] = list(table.ROWS) if options["rows"] is None else options["rows"]
            _paper.run(given.name, table, out=out, **options)
    except KeyboardInterrupt:
        sys.exit("interrupted: the same command goes on from the last finished epoch")
    except (OSError, ValueError) as error:
        sys.exit(f"{given.name}: {error}")


def _kind(table) -> str:
    return "at paper scale" if hasattr(table, "ROWS") else "over seeds"


def _list() -> list[str]:
    lines = []
    for name in reproduce.names():
        table = importlib.import_module(f"dgmlite.reproduce.{name}")
        lines.append(f"{name}, {_kind(table)}: {table.__doc__.strip()}")
        for which, row in getattr(table, "ROWS", {}).items():
            published = "" if row.published is None else f"published {row.published:g} {table.UNIT}"
            lines.append(f"    {which:34} {published:26} {'within two hours on a CPU' if row.cpu else ''}".rstrip())
    return lines


def _over_seeds(name: str, table, out: Path | None, seeds: int, workers: int) -> None:
    seeds, workers = checks.positive_int("--seeds", seeds), checks.positive_int("--workers", workers)
    out = out or Path(reproduce.__file__).parent
    results = {"command": f"python -m dgmlite.reproduce {name} --seeds {seeds}", "versions": _paper.versions()}
    results |= {"seeds": seeds, "threads": 1} | table.run(seeds, workers)
    _paper.put(out / f"{name}.json", json.dumps(results, indent=1).encode())
    table.show(results)


if __name__ == "__main__":
    main()
