"""The stored tables: complete, within what the course promises, and the same when a row is computed again."""

import json
import math

import pytest

from dgmlite import reproduce
from dgmlite.data import digits
from dgmlite.reproduce import __main__ as command
from dgmlite.reproduce import digits_autoregressive as table

STORED = reproduce.results("digits_autoregressive")
ASKED = {
    "LogisticAR": 92.5,
    "MADE": 87,
    "NADE": 89,
    "CausalConv": 83,
    "CausalTransformer": 79.5,
    "PixelCNN": 79,
    "Ensemble": 78,
}


@pytest.mark.parametrize("name, nats", ASKED.items())
def test_means_over_seeds_are_as_good_as_asked(name, nats):
    row = STORED["models"][name]["test"]
    assert len(row["all"]) == STORED["seeds"] >= 5
    assert row["mean"] == pytest.approx(sum(row["all"]) / len(row["all"])) and row["mean"] <= nats


def test_every_group_is_there():
    assert set(STORED["orders"]) == set(table.orders()) and set(STORED["models"]) == {*table.MODELS, "Ensemble"}
    assert [int(size) for size in STORED["sizes"]] == list(table.SIZES[:-1]) and set(STORED["labels"]) == {"MADE"}


def test_orders_are_permutations():
    assert all(sorted(order) == list(range(64)) for order in table.orders().values())
    assert table.orders()["spiral"][:9] == [0, 1, 2, 3, 4, 5, 6, 7, 15]


@pytest.mark.slow
def test_baselines_and_files_come_out_again():
    data = digits()
    baselines = table.baselines(data)
    assert baselines == pytest.approx(STORED["baselines"], abs=0.01)
    assert baselines["uniform"] == pytest.approx(64 * math.log(17))
    for name, bits in table.files(data).items():
        assert bits == pytest.approx(STORED["files"][name], rel=0.03)  # other versions of other programs


@pytest.mark.slow
def test_a_row_comes_out_again(tmp_path):
    again = table.train(("order", "raster", 0), tmp_path)
    for part in ("train", "valid", "test"):
        assert again[part] == pytest.approx(STORED["orders"]["raster"][part]["all"][0], abs=0.5)


def test_the_file_is_as_long_as_the_surprise():
    nats, bits = STORED["models"]["Ensemble"]["test"]["all"], STORED["ensemble file"]["bits per image"]["all"]
    for surprise, size in zip(nats, bits):
        assert surprise / math.log(2) - 0.02 <= size <= 1.001 * surprise / math.log(2) + 8 * 8 / 447


def test_the_command_writes_one_file_and_prints_the_table(tmp_path, monkeypatch, capsys):
    results = {key: value for key, value in STORED.items() if isinstance(value, dict) and key != "versions"}
    monkeypatch.setattr(table, "run", lambda seeds, workers: results)
    command.main(["digits_autoregressive", "--seeds", "2", "--workers", "1", "--out", str(tmp_path / "out.json")])
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["seeds"] == 2 and written["models"] == STORED["models"] and len(list(tmp_path.iterdir())) == 1
    assert "PixelCNN" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nothing"], []])
def test_unknown_tables_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "digits_autoregressive" in capsys.readouterr().err


def test_unknown_results_are_refused():
    with pytest.raises(ValueError, match="must be one of digits_autoregressive"):
        reproduce.results("nothing")
