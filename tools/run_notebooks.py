"""Execute chapters in place with small diffs: python tools/run_notebooks.py information start_here

Widgets' ids are renamed by their order, and models that nothing shows are dropped. If no measured value of a chapter
has moved by more than a twentieth of its band, its text stays as it is stored. A chapter that fails stays whole as it
was.
"""

import configparser
import json
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
STATE, VIEW = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("state", "view"))
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def find(names: list[str], folder: Path = ROOT / "notebooks") -> list[Path]:
    """Return the notebooks of the chapters named, `information` for <part>/<n>_information.ipynb."""
    chapters = {re.sub(r"^\d+_", "", path.stem): path for path in sorted(folder.glob("*/*.ipynb"))}
    unknown = [name for name in names if name not in chapters]
    if unknown or not names:
        what = f"There is no chapter {unknown[0]!r}" if unknown else "Which chapter"
        raise SystemExit(f"{what}: make run CH=… with one or more of {', '.join(chapters)}.")
    return [chapters[name] for name in names]


def masked(text: str) -> str:
    """Return text as the comparison of stored outputs sees it: without measured values and progress."""
    rules = configparser.RawConfigParser()
    rules.read(ROOT / "tests/sanitize.cfg", encoding="utf8")
    for name in rules.sections():
        text = re.sub(rules[name]["regex"], rules[name]["replace"], text)
    return text


def close(new: str, old: str) -> bool:
    """Tell whether two texts differ in measured values alone, each by less than a twentieth of its band."""

    def values(text):
        found = re.findall(r"(?m)^.*: (\S+)[^\n]*  \[between (\S+) and (\S+) ✓\]$", text)
        return [[float(number.replace(",", "")) for number in line] for line in found]

    def progress(text):
        return re.findall(r"(?m)^training .*$", text)

    if masked(new) != masked(old) or progress(new) != progress(old):
        return False
    return all(abs(a[0] - b[0]) <= (b[2] - b[1]) / 20 for a, b in zip(values(new), values(old), strict=True))


def keep_close_text(outputs: list[tuple]) -> None:
    """Keep the stored text of a chapter's (new, stored) outputs if all are close; if one is not, all are stale."""
    pairs = []
    for now, before in outputs:
        for here, there, key in ((now, before, "text"), (now.get("data"), before.get("data"), "text/plain")):
            if here and there and key in here and key in there:
                pairs.append((here, there, key))
    if all(close(here[key], there[key]) for here, there, key in pairs):
        for here, there, key in pairs:
            here[key] = there[key]


def stable_widgets(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep the widget models that a stored view leads to, and rename their random ids by order of appearance."""
    state = nb.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    order, todo = [], [output.data[VIEW]["model_id"] for output in outputs if VIEW in output.get("data", {})]
    while todo:
        model = todo.pop(0)
        if model in state and model not in order:
            order.append(model)
            todo += re.findall(r"IPY_MODEL_([0-9a-f]{32})", json.dumps(state[model]["state"], sort_keys=True))
    if not order:
        nb.metadata.pop("widgets", None)
        return nb
    nb.metadata["widgets"][STATE]["state"] = {model: state[model] for model in order}
    for model in order:
        if "msg_id" in state[model]["state"]:  # the running cell's, meaningless afterwards
            state[model]["state"]["msg_id"] = ""
    text = nbformat.writes(nb)
    for i, model in enumerate(order):
        text = text.replace(model, f"{i:032x}")
    return nbformat.reads(text, as_version=4)


def run(path: Path) -> None:
    """Execute one notebook; on success it is replaced in one move."""
    nb = nbformat.read(path, as_version=4)
    stored = {cell.id: cell.get("outputs", []) for cell in nb.cells}
    nb.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    for cell in nb.cells:
        cell.metadata.pop("execution", None)  # timing that JupyterLab may have left
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(
        nb,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=True,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    nb.metadata["language_info"] = nbformat.from_dict({"name": "python"})  # without the version
    nb = stable_widgets(nb)
    outputs = []
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":  # tracebacks carry paths and versions
                output.traceback = [f"{output.ename}: {output.evalue}"]
        outputs += zip(cell.get("outputs", []), stored[cell.id])
    keep_close_text(outputs)
    nbformat.validate(nb)
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(nbformat.writes(nb) + "\n", encoding="utf8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    for path in find(sys.argv[1:]):
        print(path.relative_to(ROOT), end=" … ", flush=True)
        start = time.monotonic()
        try:
            run(path)
        except CellExecutionError as error:
            raise SystemExit(f"failed, and stays as it was\n{error}") from None
        print(f"done in {time.monotonic() - start:.0f} s")
