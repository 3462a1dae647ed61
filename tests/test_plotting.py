"""Pictures by what they hold: the pixels of a grid, the points of a line, the display that is replaced."""

import math
import sys
from types import SimpleNamespace

import IPython.display
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from dgmlite.plotting import Live, curves, density, house_style, images
from dgmlite.training import History


@pytest.fixture(autouse=True)
def closed():
    before = matplotlib.get_backend()
    plt.switch_backend("agg")
    with matplotlib.rc_context():
        yield
    plt.close("all")
    plt.switch_backend(before)


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def test_images_are_laid_out_row_by_row_with_gaps():
    x = torch.arange(3 * 2 * 4).reshape(3, 1, 2, 4)
    ax = images(x, levels=24, columns=2, title="three")
    (picture,) = ax.images
    grid = picture.get_array().filled(math.nan)
    assert grid.shape == (2 * 3 + 1, 2 * 5 + 1)
    assert np.array_equal(grid[1:3, 1:5], x[0, 0]) and np.array_equal(grid[1:3, 6:10], x[1, 0])
    assert np.array_equal(grid[4:6, 1:5], x[2, 0]) and np.isnan(grid[4:6, 6:10]).all()
    assert np.isnan(grid[::3]).all() and np.isnan(grid[:, ::5]).all()
    assert picture.get_clim() == (0, 23) and ax.get_title() == "three"


def test_images_are_dark_for_high_levels():
    house_style()
    (picture,) = images(torch.tensor([0, 16]).reshape(1, 1, 1, 2), levels=17, columns=1).images
    _, white, black, _ = picture.to_rgba(picture.get_array())[1]
    assert white.tolist() == [1, 1, 1, 1] and black.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "x, options, error",
    [
        (torch.zeros(8, 8), {}, ValueError),
        (torch.zeros(1, 8, 8), {}, ValueError),
        (torch.zeros(5, 3, 8, 8), {}, ValueError),
        (torch.zeros(0, 1, 8, 8), {}, ValueError),
        (np.zeros((5, 1, 8, 8)), {}, TypeError),
        (torch.zeros(5, 1, 8, 8), {"columns": 0}, ValueError),
        (torch.zeros(5, 1, 8, 8), {"columns": 2.5}, TypeError),
        (torch.zeros(5, 1, 8, 8), {"levels": 1}, ValueError),
    ],
)
def test_images_refuse_what_is_no_batch_of_images(x, options, error):
    with pytest.raises(error, match=r"^(x|columns|levels) must be|^x must have shape \(B, 1, H, W\)"):
        images(x, **{"levels": 17} | options)
    assert not plt.get_fignums()


def test_density_shades_the_right_places():
    def log_prob(x):  # high where x_1 is high and x_2 is low
        assert x.shape == (20 * 20, 2)
        return x[:, 0] - 2 * x[:, 1]

    ax = density(log_prob, (-1, 1, -2, 3), points=20)
    (picture,) = ax.images
    p = picture.get_array()
    assert picture.get_extent() == [-1, 1, -2, 3] and picture.origin == "lower"
    assert p[0, -1] == pytest.approx(math.exp(5)) and p[-1, 0] == pytest.approx(math.exp(-7))  # rows are x_2


def test_density_needs_no_gradient_and_draws_where_it_is_told():
    w = torch.ones(2, requires_grad=True)
    _, ax = plt.subplots()
    assert density(lambda x: x @ w, (0, 1, 0, 1), ax=ax, points=3) is ax and len(plt.get_fignums()) == 1


def test_curves_show_training_validation_and_the_epoch_that_was_kept():
    drawn = lines(curves(History(train=[3.0, 2.0, 1.0], valid=[4.0, 2.5, 2.75], best_epoch=2)))
    assert drawn == {
        "train": [[1, 3], [2, 2], [3, 1]],
        "validation": [[1, 4], [2, 2.5], [3, 2.75]],
        "kept": [[2, 2.5]],
    }
    assert list(lines(curves(History(train=[3.0])))) == ["train"]


def test_curves_of_a_game_have_a_line_for_each_player():
    ax = curves(History(train=[{"critic": 1.0}, {"critic": 2.0, "generator": 5.0}, {"critic": 3.0, "generator": 6.0}]))
    drawn = lines(ax)
    assert list(drawn) == [text.get_text() for text in ax.get_legend().get_texts()] == ["critic", "generator"]
    assert drawn["critic"] == [[1, 1], [2, 2], [3, 3]]
    assert math.isnan(drawn["generator"][0][1]) and drawn["generator"][1:] == [[2, 5], [3, 6]]


def test_curves_of_nothing_are_empty_axes():
    assert lines(curves(History())) == {"train": []}


def without_notebook(monkeypatch, terminal):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)


def test_live_rewrites_one_line_in_a_terminal(monkeypatch, capsys):
    without_notebook(monkeypatch, terminal=True)
    live = Live()
    live.update("epoch 1")
    live.update("epoch 2")
    live.close("done")
    assert capsys.readouterr() == ("", "\r\x1b[Kepoch 1\r\x1b[Kepoch 2\r\x1b[Kdone\n")


def test_live_leaves_only_the_last_line_in_a_log(monkeypatch, capsys):
    without_notebook(monkeypatch, terminal=False)
    live, figure = Live(), plt.figure()
    live.update("epoch 1")
    live.update(figure)
    live.close("done")
    assert capsys.readouterr() == ("", "done\n") and not plt.get_fignums()


class Handle:
    """A display handle that notes what it shows."""

    def __init__(self, shown):
        self.shown = shown

    def update(self, content, raw):
        self.shown.append((content, raw))


def test_live_has_one_display_in_a_notebook(monkeypatch, capsys):
    shown, handles = [], []

    def display(content, raw, display_id):
        assert display_id is True
        shown.append((content, raw))
        handles.append(Handle(shown))
        return handles[-1]

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr(IPython.display, "display", display)
    live, figure = Live(), plt.figure()
    live.update("epoch 1")
    live.update(figure)
    live.close("done")
    assert shown == [({"text/plain": "epoch 1"}, True), (figure, False), ({"text/plain": "done"}, True)]
    assert len(handles) == 1 and capsys.readouterr() == ("", "")
    assert isinstance(figure, Figure) and not plt.get_fignums()  # or the notebook would show it once more
