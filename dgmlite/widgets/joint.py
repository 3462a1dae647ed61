"""A joint table that the learner drags, and its entropies as lengths."""

import traitlets as t

from dgmlite.widgets.base import Probabilities, Widget, names


class JointTable(Widget):
    """Drag the cells of a joint table p(x, y); watch H[x, y], H[x], H[y], H[x | y], H[y | x] and where they overlap, I.

    Task: find a table in which every cell differs from its neighbours and I[x; y] is zero.

    joint: (Kx, Ky), 2 to 4 states each, it sums to 1; rows are x. x_labels, y_labels: a string for each, by default
    x1, x2, … and y1, y2, …. The other cells keep their proportions when one is moved. `joint` follows what the learner
    sets. Raises ValueError or TypeError for anything else. Cover & Thomas (2006), section 2.4; MacKay (2003), fig. 8.1.

    >>> JointTable([[0.5, 0.0], [0.25, 0.25]], x_labels=["dry", "wet"])
    JointTable(joint=[[0.5, 0.0], [0.25, 0.25]], x_labels=['dry', 'wet'], y_labels=['y1', 'y2'])
    """

    joint = Probabilities(axes=2)
    initial = Probabilities(axes=2)
    x_labels = t.List(t.Unicode()).tag(sync=True)
    y_labels = t.List(t.Unicode()).tag(sync=True)
    _script, _shown = "joint.js", ("joint", "x_labels", "y_labels")

    def __init__(self, joint=((0.4, 0.1), (0.1, 0.4)), x_labels=None, y_labels=None):
        super().__init__(joint=joint, initial=joint)
        rows, columns = len(self.joint), len(self.joint[0])
        if not (2 <= rows <= 4 and 2 <= columns <= 4):
            raise ValueError(f"joint must have 2 to 4 rows and columns to be drawn, got {rows} × {columns}")
        self.x_labels = names("x_labels", x_labels, rows, ["x1", "x2", "x3", "x4"])
        self.y_labels = names("y_labels", y_labels, columns, ["y1", "y2", "y3", "y4"])
