"""Surprise, entropy and the Huffman code of a distribution that the learner drags."""

import traitlets as t

from dgmlite.widgets.base import Probabilities, Widget, names


class SurpriseEntropy(Widget):
    """Drag the probabilities of 2 to 8 states; watch surprise −log p, its mean H[x] ≤ log K, and the Huffman tree.

    Task: find a setting that is not uniform and in which the mean word length L equals the entropy exactly.

    probabilities: (K,), they sum to 1. labels: K strings, by default a, b, c, …. The others keep their proportions
    when one is moved. `probabilities` follows what the learner sets. Raises ValueError or TypeError for anything else.
    Shannon (1948), section 6; Huffman (1952).

    >>> SurpriseEntropy([0.5, 0.25, 0.25])
    SurpriseEntropy(probabilities=[0.5, 0.25, 0.25], labels=['a', 'b', 'c'])
    """

    probabilities = Probabilities()
    initial = Probabilities()
    labels = t.List(t.Unicode()).tag(sync=True)
    _script, _shown = "entropy.js", ("probabilities", "labels")

    def __init__(self, probabilities=(0.5, 0.25, 0.15, 0.1), labels=None):
        super().__init__(probabilities=probabilities, initial=probabilities)
        if not 2 <= len(self.probabilities) <= 8:
            raise ValueError(f"probabilities must have 2 to 8 states to be drawn, got {len(self.probabilities)}")
        self.labels = names("labels", labels, len(self.probabilities), "abcdefgh")
