"""The benchmarks: rows that say what they compare, a page that says what was measured, FLOPs counted rightly."""

import json
import statistics

import pytest
import torch
from torch import nn

from benchmarks import NAMES, __main__, fit_overhead, page, roofline, turns


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_page_shows_the_stored_results():
    results = json.loads(page.RESULTS.read_text(encoding="utf8"))
    text = page.PAGE.read_text(encoding="utf8")
    assert page.filled(text, results) == text, "run `python -m benchmarks.page`"
    assert [row["benchmark"] for row in results["rows"]] == sorted(
        (row["benchmark"] for row in results["rows"]), key=NAMES.index
    )
    assert {row["benchmark"] for row in results["rows"]} == set(NAMES)
    assert {row["other"].partition(",")[0] for row in results["rows"]} >= {
        *("plain torch", "nflows", "normflows", "pythae", "diffusers", "DataLoader", "naive", "bare loop")
    }
    for row in results["rows"]:
        low, median, high = row["ratio"]
        assert 0 < low <= median <= high and row["rounds"] >= 3
        assert " | ".join(page.line(row)) in text


def test_the_ratio_is_taken_within_each_turn():
    row = turns.row("w", "a", "b", [1.0, 2.0, 30.0], [2.0, 4.0, 60.0])
    assert row["ratio"] == [0.5] * 3 and row["ms"] == [2000, 4000] and row["rounds"] == 3


def test_contenders_take_turns():
    order = []
    turns.take_turns({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2, warm=1, repeat=2)
    assert "".join(order) == "aabb" + "bbaa" + "aabb"


def test_a_missing_library_is_left_out_with_a_line(capsys):
    def ours():
        model = nn.Linear(2, 1)
        return model, lambda x: model(x).square().mean()

    def missing():
        raise ImportError("No module named 'peer'")

    rows = list(turns.compare("w", {"dgmlite": ours, "plain torch": ours, "peer": missing}, torch.ones(3, 2), 2))
    assert [row["other"] for row in rows] == ["plain torch"]
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "peer is left out" in said and "pip install" in said and "peers.txt" in said


@pytest.mark.slow
def test_one_command_prints_and_stores(tmp_path, capsys):
    stored = page.RESULTS.read_bytes(), page.PAGE.read_bytes()
    __main__.main(["gan_step", "data_loading", "--rounds", "2", "--out", str(tmp_path / "results.json")])
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))
    assert results["command"] == "python -m benchmarks gan_step data_loading --rounds 2"
    assert results["versions"]["torch"] == torch.__version__
    shown = capsys.readouterr().out
    for row in results["rows"]:
        assert row["what"] in shown and statistics.median(row["ratio"]) == row["ratio"][1]
    assert (page.RESULTS.read_bytes(), page.PAGE.read_bytes()) == stored, "a part does not replace the whole"


def test_an_unknown_name_is_told_what_there_is(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["speed"])
    assert "no benchmark is called speed; there are autoregressive_step" in capsys.readouterr().err


def test_the_bare_loop_learns_what_fit_learns():
    model = fit_overhead.Tiny()
    losses = fit_overhead.bare(model, fit_overhead.data(), epochs=2)
    assert len(losses) == 2 and losses[1] < losses[0]


@pytest.mark.parametrize(("slope_of_x", "products"), [(True, 3), (False, 2)])
def test_flops_of_a_linear_layer(slope_of_x, products):
    """2 N in out each: the output, the weights' slope, and the input's where it is needed."""
    N, inputs, outputs = 7, 5, 3
    x = torch.randn(N, inputs, requires_grad=slope_of_x)
    assert roofline.flops(nn.Linear(inputs, outputs), x) == products * 2 * N * inputs * outputs


def test_traffic_of_a_linear_layer():
    """Ten times its 18 numbers, and twice what it keeps: x, and nothing of the output."""
    model = nn.Linear(5, 3)
    assert roofline.traffic(model, model, torch.randn(7, 5)) == 4 * (10 * 18 + 2 * 7 * 5)


@pytest.mark.slow
def test_roofline_runs_for_all_models(threads, tmp_path, capsys):
    roofline.main(["--smoke", "--device", "cpu", "--out", str(tmp_path / "roofline.json")])
    results = json.loads((tmp_path / "roofline.json").read_text())
    left_out = [line for line in capsys.readouterr().out.splitlines() if "left out" in line]
    assert left_out == ["loop TF32 is left out: needs CUDA"]
    ways = [way for way, (_, mode, kind) in roofline.WAYS.items() if not mode and kind != "TF32"]
    assert [(row["model"], row["way"]) for row in results["rows"]] == [(m, w) for m in roofline.MODELS for w in ways]
    for row in results["rows"]:
        assert row["FLOPs"] > 0 and row["bytes"] > 0 and 0 < row["of roof"] < 1.5
        assert row["examples/s"] == pytest.approx(8 * row["steps/s"])
    assert set(results["limits"]) == {"float32", "bf16", "bytes"}
    assert list(roofline.SMOKE) == list(roofline.MODELS)
