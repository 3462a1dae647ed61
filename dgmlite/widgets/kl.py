"""Two densities that the learner drags over each other, and what each direction of the KL divergence punishes."""

import math

import traitlets as t

from dgmlite import checks
from dgmlite.widgets.base import Widget


class TwoDensities(Widget):
    """Drag a Gaussian q over a density p; watch KL(p ‖ q), KL(q ‖ p), their integrands, and Jensen–Shannon.

    Task: find the q with the smallest KL(p ‖ q), then the one with the smallest KL(q ‖ p); which would you sample from?

    p: one or two (weight, mean, std), the weights sum to 1; a single Gaussian, [(1, mean, std)], can be dragged too.
    q: (mean, std). Means lie in −5..5, stds in 0.2..3. `p` and `q` follow what the learner sets. Between two Gaussians
    in closed form, else by the trapezoid rule. Raises ValueError or TypeError for anything else.
    Kullback & Leibler (1951); Minka (2005), Divergence measures and message passing (MSR-TR-2005-173).

    >>> TwoDensities(q=(1, 0.5))
    TwoDensities(p=[[0.5, -2.5, 0.6], [0.5, 2.5, 0.9]], q=[1.0, 0.5])
    """

    p = t.List(t.List(t.Float())).tag(sync=True)
    q = t.List(t.Float()).tag(sync=True)
    initial_p = t.List(t.List(t.Float())).tag(sync=True)
    initial_q = t.List(t.Float()).tag(sync=True)
    _script, _shown = "kl.js", ("p", "q")

    def __init__(self, p=((0.5, -2.5, 0.6), (0.5, 2.5, 0.9)), q=(0, 1)):
        p, q = (v.tolist() if hasattr(v, "tolist") else v for v in (p, q))  # arrays
        if not hasattr(p, "__len__") or isinstance(p, str):
            raise TypeError(f"p must be a list of (weight, mean, std), got {p!r}")
        if not 1 <= len(p) <= 2:
            raise ValueError(f"p must have one or two components (weight, mean, std), got {len(p)}")
        parts = [_numbers("each component of p", part, ("weight", "mean", "std")) for part in p]
        total = math.fsum(weight for weight, _, _ in parts)
        if not math.isclose(total, 1, abs_tol=1e-8):
            raise ValueError(f"the weights of p must sum to 1, got a sum of {total:.6g}; divide by the sum first")
        q = _numbers("q", q, ("mean", "std"))
        super().__init__(p=parts, q=q, initial_p=parts, initial_q=q)


_RANGE = {"weight": (0.01, 1), "mean": (-5, 5), "std": (0.2, 3)}


def _numbers(what: str, given, wanted: tuple[str, ...]) -> list[float]:
    if not hasattr(given, "__len__") or isinstance(given, str):
        raise TypeError(f"{what} must be ({', '.join(wanted)}), got {given!r}")
    if len(given) != len(wanted):
        raise ValueError(f"{what} must be ({', '.join(wanted)}), got {len(given)} numbers")
    return [checks.finite_number(f"the {name} in {what}", value, *_RANGE[name]) for name, value in zip(wanted, given)]
