"""Guide: what was measured of five families on the same digits, and which of them meets what a problem needs."""

import itertools
import math

import traitlets as t

from dgmlite import checks
from dgmlite.reproduce import results
from dgmlite.widgets.base import _HERE, Widget, sentence

KINDS = {"autoregressive": "exact", "flow": "bound", "VAE": "bound", "diffusion": "bound", "GAN": "none"}
LIKELIHOODS = {"not needed": set(KINDS.values()), "bound": {"exact", "bound"}, "exact": {"exact"}}
NATS, TIGHT, SPEED, FILE = "test", "test, 100 weights", "images per second", "file"
PRECISION, RECALL, FEW, MANY = "samples, precision", "samples, recall", "accuracy, 50 labels", "accuracy, 1000 labels"
# As the table names it: in words, in a sentence, whether more is better, what is said without it, and its factor here.
QUANTITIES = {
    SPEED: ("images a second", "# images a second", True, "was not timed", 1),
    NATS: ("nats a test image", "# nats", False, "gives no likelihood", 1),
    TIGHT: ("nats, tightest bound", "# nats by the tightest bound", False, "gives no likelihood", 1),
    FILE: ("file, bits an image", "# bits an image in a file", False, "makes no files here", 1),
    PRECISION: ("precision of samples", "precision #", True, "has no precision", 1),
    RECALL: ("recall of samples", "recall #", True, "has no recall", 1),
    "samples, MMD²": ("MMD² of samples × 1000", "MMD² × 1000 #", False, "has no MMD²", 1000),
    "samples, Fréchet distance": ("Fréchet distance of samples", "Fréchet distance #", False, "has none", 1),
    FEW: ("% right, 50 labels", "# % right with 50 labels", True, "gives no features", 100),
    MANY: ("% right, 1,000 labels", "# % right with 1,000 labels", True, "gives no features", 100),
    "seconds": ("seconds of training", "# seconds of training", False, "was not timed", 1),
}  # fmt: skip
USUAL = (SPEED, NATS, FILE, PRECISION, RECALL, FEW)  # always in the list of needs
# A problem: its likelihood, what it sets a limit to, one after the other, and the two axes.
PROBLEMS = {
    "store an archive without loss": ("bound", (FILE,), NATS, FILE),
    "draw previews while the user waits": ("not needed", (SPEED, PRECISION), SPEED, PRECISION),
    "score images, and draw them fast": ("bound", (SPEED, NATS), SPEED, NATS),
    "know exactly how probable an image is": ("exact", (), SPEED, NATS),
    "make more training images": ("not needed", (PRECISION, RECALL), PRECISION, RECALL),
    "leave out no kind of image": ("bound", (TIGHT, RECALL), RECALL, TIGHT),
    "learn features for few labels": ("not needed", (FEW,), MANY, FEW),
}


def failed(models: dict, limits: dict, likelihood: str) -> dict[str, list[str]]:
    """Return family → the needs that it does not meet: "likelihood" and quantities, by means over seeds."""
    lacks = {}
    for name, values in models.items():
        out = [] if KINDS[name] in LIKELIHOODS[likelihood] else ["likelihood"]
        for key in (key for key in QUANTITIES if key in limits):
            better, mean = QUANTITIES[key][2], values[key]["mean"] if key in values else None
            if mean is None or (mean < limits[key] if better else mean > limits[key]):
                out.append(key)
        lacks[name] = out
    return lacks


def limits_for(models: dict, likelihood: str, quantities) -> dict[str, float]:
    """Return a limit for each quantity, in the widest gap between families that still lets one of them stay."""
    limits = {}
    for key in quantities:
        means = {name: values[key]["mean"] for name, values in models.items() if key in values}
        order = sorted(means, key=means.get, reverse=QUANTITIES[key][2])
        left = [
            order.index(name) for name, out in failed(models, limits, likelihood).items() if not out and name in means
        ]
        log = _logarithmic(key, models)
        places = [math.log10(means[name]) if log else means[name] for name in order]
        gaps = [(abs(a - b), i) for i, (a, b) in enumerate(itertools.pairwise(places)) if left and i >= min(left)]
        if gaps:
            gap, i = max(gaps)
            limits[key] = _tidy((places[i] + places[i + 1]) / 2, gap / 4, log)
    return limits


def _tidy(middle: float, slack: float, log: bool) -> float:
    """Return the number of fewest digits at most `slack` from the middle."""
    for digits in range(17):
        value = float(f"{10**middle:.{digits}e}") if log else round(middle, digits - 4)
        if abs((math.log10(value) if log else value) - middle) <= slack:
            return value
    return 10**middle if log else middle


def _logarithmic(key: str, models: dict) -> bool:
    """Whether a quantity spans so much that its axis counts factors."""
    values = [v for values in models.values() if key in values for v in values[key]["all"]]
    return min(values) > 0 and (key == SPEED or max(values) > 10 * min(values))


def _axis(key: str, models: dict) -> dict:
    """Return a quantity for the picture: its words, and an axis that shows all that was measured."""
    words, told, better, lacks, _ = QUANTITIES[key]
    log, values = _logarithmic(key, models), [v for row in models.values() if key in row for v in row[key]["all"]]
    low, high = (math.log10(f(values)) if log else f(values) for f in (min, max))
    pad = 0.12 * (high - low) or 0.1 * abs(high) or 1
    digits = max(key in (NATS, TIGHT, FILE), math.ceil(-math.log10((high - low + 2 * pad) / 25)))
    low, high = (round(v, digits + 1) for v in (low - pad, high + pad))
    if key in (PRECISION, RECALL, FEW, MANY):  # shares
        low, high = max(low, 0), min(high, QUANTITIES[key][4])
    axis = {"key": key, "words": words, "told": told, "better": better, "lacks": lacks, "log": log, "digits": digits}
    return axis | {"low": low, "high": high, "usual": key in USUAL, "nats": key in (NATS, TIGHT)}


def _taken(models) -> dict[str, dict]:
    """Return family → quantity → {"mean", "all"} in the units of the picture, or say what was wrong."""
    fits = isinstance(models, dict) and all(isinstance(row, dict) for row in models.values())
    if not fits or list(models) != list(KINDS):
        raise ValueError(f"models must hold a dict for each of {', '.join(KINDS)}, in this order, got {models!r:.60}")
    taken = {name: {} for name in models}
    for name, key in itertools.product(models, QUANTITIES):
        if key in models[name]:
            given = models[name][key].get("all") if isinstance(models[name][key], dict) else None
            if not isinstance(given, list) or not given:
                raise ValueError(
                    f'models: {key} of {name} must be {{"all": one number for each seed}}, got {given!r:.60}'
                )
            values = [QUANTITIES[key][4] * checks.finite_number(f"models: {key} of {name}", v) for v in given]
            taken[name][key] = {"mean": math.fsum(values) / len(values), "all": values}
    for row in taken.values():
        if NATS in row:
            row.setdefault(TIGHT, row[NATS])  # where there is no tighter one
    return taken


class Guide(Widget):
    """Which model for my problem? Five families by what was measured of them on the same digits.

    Task: choose a problem, and say of each family that is out why. Then find two needs, each met by some family, that
    none meets together: which would you give up?

    x, y: the axes, keys of `QUANTITIES`. likelihood: what is needed, "not needed", "bound" or "exact". limits: quantity
    → the least (of what is better if more) or the most that will do, in the units of `QUANTITIES`. models: family →
    quantity → {"all": one number for each seed}, those of `results("digits_showdown")` if None. task: the sentence
    above the picture; "" for none.

    A family stays if its means over seeds meet all needs; what was not measured of it, or cannot be, meets none. A
    bound on −log p(x) below a limit is proof enough; above it is no proof, and counts as not met. Each of `PROBLEMS`
    sets limits in the widest gaps between families. `x`, `y`, `likelihood` and `limits` follow the learner. Raises
    ValueError or TypeError for what does not fit.

    >>> Guide(likelihood="exact")
    Guide(x='images per second', y='test', likelihood='exact', limits={})
    """

    models = t.List(t.Dict()).tag(sync=True)
    quantities = t.List(t.Dict()).tag(sync=True)
    problems = t.List(t.Dict()).tag(sync=True)
    x = t.Unicode().tag(sync=True)
    y = t.Unicode().tag(sync=True)
    likelihood = t.Unicode().tag(sync=True)
    limits = t.Dict().tag(sync=True)
    initial = t.Dict().tag(sync=True)
    note = t.Unicode().tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "guide.js", ("x", "y", "likelihood", "limits")
    _css = Widget._css + (_HERE / "guide.css").read_text(encoding="utf8")

    def __init__(self, x=SPEED, y=NATS, likelihood="not needed", limits=None, models=None, task=None):
        table = results("digits_showdown")["models"] if models is None else models
        taken = _taken(table)
        axes = {key: _axis(key, taken) for key in QUANTITIES if any(key in row for row in taken.values())}
        for what, given, known in (("x", x, axes), ("y", y, axes), ("likelihood", likelihood, LIKELIHOODS)):
            if not isinstance(given, str) or given not in known:
                raise ValueError(f"{what} must be one of {'; '.join(known)}, got {given!r:.60}")
        if x == y:
            raise ValueError(f"x and y must differ, got {x!r} twice")
        limits = {} if limits is None else limits
        if not isinstance(limits, dict) or not set(limits) <= set(axes):
            raise ValueError(f"limits must be a dict of some of {'; '.join(axes)}, got {limits!r:.60}")
        for key, value in limits.items():
            low, high = (10**v if axes[key]["log"] else v for v in (axes[key]["low"], axes[key]["high"]))
            limits = limits | {key: checks.finite_number(f"limits: {key}", value, low, high)}
        problems = [
            {"name": name, "x": a, "y": b, "likelihood": need, "limits": limits_for(taken, need, some)}
            for name, (need, some, a, b) in PROBLEMS.items()
            if {a, b, *some} <= set(axes)
        ]
        first = {"x": x, "y": y, "likelihood": likelihood, "limits": limits}
        default = (
            "choose a problem, and say of each family that is out why. Then find two needs, each met by some family, "
            "that none meets together: which would you give up?"
        )
        super().__init__(
            models=[{"name": name, "kind": KINDS[name], "values": row} for name, row in taken.items()],
            quantities=list(axes.values()),
            problems=problems,
            initial=first,
            note=_note(table) if models is None else "",
            task=sentence(task, default),
            **first,
        )


def _note(table: dict) -> str:
    """Return what the numbers stand for, and what they do not."""

    def spread(key, unit=1):
        low, high = (f"{f(row[key]['mean'] for row in table.values()) / unit:,.0f}" for f in (min, max))
        return low if low == high else f"{low} to {high}"

    return (
        f"Measured on 8 × 8 digits, with {spread('seconds')} seconds of training on one thread and "
        f"{spread('parameters', 1000)} thousand weights for each family: the order can change with the data and the "
        "budget. Not measured here: large pictures, following a text, and how much more data or time would help. No "
        "number here finds odd images: a likelihood alone does not."
    )
