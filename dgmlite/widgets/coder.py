"""The range coder at work on a text that the learner types."""

import traitlets as t

from dgmlite.information import _table
from dgmlite.widgets.base import Widget

_LETTERS = "abcdefghijklmnopqrstuvwxyz "


class RangeCoder(Widget):
    """Type a message and step through it: the interval shrinks to each letter's part, and bits come out.

    Task: find a message for which the first bit is still not settled after four letters.

    text: at most 32 letters. alphabet: the letters, each once. probabilities: (K,), by default all equal, or (K, K), a
    row for each letter that may come before (the first letter is then uniform); none may be 0. The bytes are those of
    `dgmlite.information.RangeEncoder`. `text` and `position`, the letters coded, follow the learner. Raises ValueError
    or TypeError for anything else. Martin (1979).

    >>> RangeCoder("abba", alphabet="ab", probabilities=[0.75, 0.25])
    RangeCoder(text='abba', alphabet='ab', position=0)
    """

    text = t.Unicode().tag(sync=True)
    initial = t.Unicode().tag(sync=True)
    alphabet = t.Unicode().tag(sync=True)
    probabilities = t.List().tag(sync=True)
    position = t.Int(0).tag(sync=True)
    _script, _shown = "coder.js", ("text", "alphabet", "position")

    def __init__(self, text="to be or not", alphabet=_LETTERS, probabilities=None):
        for name, value in (("text", text), ("alphabet", alphabet)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a string, got {value!r} of type {type(value).__name__}")
        if len(alphabet) < 2 or len(set(alphabet)) < len(alphabet) or max(alphabet) > "\uffff":
            raise ValueError(f"alphabet must be two or more different letters, none twice, no emoji, got {alphabet!r}")
        if unknown := sorted(set(text) - set(alphabet)):
            raise ValueError(f"text must be made of the alphabet's letters, got {''.join(unknown)!r} besides")
        if len(text) > 32:
            raise ValueError(f"text must have at most 32 letters to be drawn, got {len(text)}")
        k = len(alphabet)
        p = _table([1 / k] * k if probabilities is None else probabilities, "probabilities")
        if tuple(p.shape) not in ((k,), (k, k)):
            wanted = f"({k},) or ({k}, {k})"
            raise ValueError(f"probabilities must have shape {wanted} for {k} letters, got {tuple(p.shape)}")
        if (p == 0).any():
            raise ValueError("probabilities must all be positive, or some text has no code; add 1 to each count first")
        super().__init__(text=text, initial=text, alphabet=alphabet, probabilities=p.tolist())
