"""Execute notebooks in place with small diffs: python tools/run_notebooks.py notebook …

Outputs are replaced; ids of widgets are renamed by order of appearance, models that nothing shows are dropped, and
nothing that varies from run to run is kept. A notebook that fails stays as it was.
"""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

STATE, VIEW = (f"application/vnd.jupyter.widget-{kind}+json" for kind in ("state", "view"))
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


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
    nb.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    folder = {"metadata": {"path": str(path.parent)}}
    options = {"record_timing": False, "store_widget_state": True, "coalesce_streams": True, "resources": folder}
    NotebookClient(nb, timeout=600, kernel_name="python3", **options).execute()
    nb.metadata["language_info"] = nbformat.from_dict({"name": "python"})  # without the version
    nb = stable_widgets(nb)
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":  # tracebacks carry paths and versions
                output.traceback = [f"{output.ename}: {output.evalue}"]
    nbformat.validate(nb)
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(nbformat.writes(nb) + "\n", encoding="utf8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(name, flush=True)
        try:
            run(Path(name).resolve())
        except CellExecutionError as error:
            raise SystemExit(f"{error}\n✗ {name} failed, see above, and stays as it was") from None
