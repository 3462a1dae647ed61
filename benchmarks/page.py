"""The page of the book with the results: python -m benchmarks.page writes its table from results.json again."""

import json
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[1] / "book/benchmarks.md"
BEGIN, END = "% written by python -m benchmarks.page\n", "% end\n"


def line(row: dict) -> list[str]:
    """Return the cells of a row: what, ours, its time, the other, its time, their ratio."""
    low, median, high = (f"{value:.3f}" if value >= 0.1 else f"{value:.2g}" for value in row["ratio"])
    ours, other = (f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1000:,.1f} s" for ms in row["ms"])
    return [row["what"], row["ours"], ours, row["other"], other, f"{median} ({low} to {high})"]


HEAD = ["what", "ours", "time", "beside", "time", "ratio (quartiles)"]


def table(results: dict) -> str:
    """Return the results as Markdown."""
    lines = [HEAD, ["---"] * 6, *(line(row) for row in results["rows"])]
    facts = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    machine = results["machine"]
    return "\n".join(
        [
            f"`{results['command']}`: {facts}; {machine['system']} on {machine['processor']}, "
            f"{machine['cores']} cores, of which {machine['threads']} is used.\n",
            *("| " + " | ".join(cells) + " |" for cells in lines),
            "",
        ]
    )


def filled(page: str, results: dict) -> str:
    """Return the page with its table made from the results."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table(results)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf8"))
    PAGE.write_text(filled(PAGE.read_text(encoding="utf8"), results), encoding="utf8")


if __name__ == "__main__":
    main()
