"""The stored tables: complete, within what the course promises, and the same when a row is computed again."""

import json
import math

import pytest
import torch

from dgmlite import reproduce
from dgmlite.data import digits
from dgmlite.models.flow import Dequantised, Flow, StandardNormal
from dgmlite.reproduce import __main__ as command
from dgmlite.reproduce import digits_autoregressive as table
from dgmlite.reproduce import digits_diffusion as diffusion
from dgmlite.reproduce import digits_flows as flows
from dgmlite.reproduce import digits_gan as gans
from dgmlite.reproduce import digits_vae as vaes
from dgmlite.reproduce import ring_gan as rings

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


FLOWS = reproduce.results("digits_flows")


@pytest.mark.parametrize("name, nats", {"RealNVP": 103, "splines": 99, "variational dequantisation": 99}.items())
def test_flows_are_as_good_as_asked(name, nats):
    row = FLOWS["models"][name]
    assert len(row["test"]["all"]) == FLOWS["seeds"] >= 5 and row["test"]["mean"] <= nats
    assert all(iw < bound for iw, bound in zip(row["test IW"]["all"], row["test"]["all"]))


def test_every_row_of_the_flows_is_there():
    assert set(FLOWS["models"]) == set(flows.MODELS) and [int(s) for s in FLOWS["sizes"]] == list(flows.SIZES[:-1])
    assert list(FLOWS["spreads"]) == list(flows.SPREADS)


@pytest.mark.slow
def test_a_flow_comes_out_again():
    again = flows.train(("size", 125, 0))
    for part in ("train", "test", "test IW"):
        assert again[part] == pytest.approx(FLOWS["sizes"]["125"][part]["all"][0], abs=1.0)


def test_half_a_cell_is_paid_for():
    """The bound with noise on half of the cell: its log q is D ln 2."""
    x = digits().test.x[:3]
    half, whole = flows.build("spread", "scaled, half cells", 0), flows.build("spread", "scaled", 0)
    assert half._noise(x)[0].max() <= 0.5 and half._noise(x)[1] == pytest.approx(64 * math.log(2))
    uniform = Dequantised(Flow(StandardNormal((1, 8, 8)), []), 17)
    assert isinstance(whole, Dequantised) and uniform._noise(x)[0].max() > 0.5


VAES = reproduce.results("digits_vae")


def test_vaes_are_as_good_as_asked():
    vae, plane = VAES["models"]["VAE"], VAES["models"]["two latent dimensions"]
    assert len(vae["test"]["all"]) == VAES["seeds"] >= 5
    assert vae["test"]["mean"] <= 92 and vae["test IW"]["mean"] <= 90 and plane["test"]["mean"] <= 99
    assert max(row["seconds"]["mean"] for row in (vae, plane)) <= 60


def test_every_row_of_the_vaes_is_there():
    assert list(VAES["models"]) == list(vaes.MODELS) and [int(s) for s in VAES["sizes"]] == list(vaes.SIZES[:-1])
    assert [float(beta) for beta in VAES["betas"]] == list(vaes.BETAS)
    for kind in ("models", "betas", "sizes"):
        for row in VAES[kind].values():
            assert all(iw < bound for iw, bound in zip(row["test IW"]["all"], row["test"]["all"]))


@pytest.mark.slow
def test_a_vae_comes_out_again():
    again = vaes.train(("size", 125, 0))
    for part in ("train", "test", "test IW", "rate"):
        assert again[part] == pytest.approx(VAES["sizes"]["125"][part]["all"][0], abs=1.0)


DIFFUSION = reproduce.results("digits_diffusion")


def test_diffusion_is_as_good_as_asked():
    row = DIFFUSION["models"]["DDPM"]
    assert len(row["test"]["all"]) == DIFFUSION["seeds"] >= 5
    assert row["test"]["mean"] <= 90.5 and row["seconds"]["mean"] <= 60
    for coarse, fine in (("test, T = 64", "test"), ("test", "test, T = 1024")):
        assert all(a > b for a, b in zip(row[coarse]["all"], row[fine]["all"]))


def test_every_row_of_diffusion_is_there():
    models = DIFFUSION["models"]
    assert list(models) == list(diffusion.MODELS)
    assert [int(size) for size in DIFFUSION["sizes"]] == list(diffusion.SIZES[:-1])
    for eta in (0, 1):
        for kind in ("MMD²", "classes", "nearest sample", "nearest test image"):
            few, many = (models["DDPM"][f"η = {eta}, {n} steps, {kind}"]["mean"] for n in (2, diffusion.T))
            assert kind == "nearest test image" or few > many > models["DDPM"][f"training images, {kind}"]["mean"]


def test_samples_as_good_as_digits_and_what_scores_cannot_see():
    real = {key: value["mean"] for key, value in DIFFUSION["models"]["DDPM"].items()}
    labels = {name: {key: v["mean"] for key, v in row.items()} for name, row in DIFFUSION["labels"].items()}
    assert list(labels) == list(diffusion.LABELS)
    for row in labels.values():
        assert row["η = 1, 256 steps, MMD²"] < real["training images, MMD²"] + 0.0008  # twice its standard error
        assert row["η = 1, 256 steps, classes"] <= real["training images, classes"]
    assert all(row["test"] + math.log(10) <= 90.5 for row in list(labels.values())[:4])  # this bounds p(x)
    wide = list(labels.values())[-4:]  # from learning to copying
    for kind, rises in (("nearest sample", 0), ("nearest training image", 0), ("nearest test image", 0), (None, 1)):
        values = [row[f"η = 1, 256 steps, {kind}" if kind else "test"] for row in wide]
        assert values == sorted(values, reverse=not rises)
    assert wide[1]["η = 1, 256 steps, nearest test image"] <= real["training images, nearest test image"]


def test_what_a_model_of_moved_digits_is_told():
    y, mark = torch.tensor([3, 7]), torch.tensor([0, 0, 5, 5])
    told = diffusion.condition("label", y, mark)
    assert told.nonzero().tolist() == [[0, 3], [0, 10], [1, 7], [1, 10], [2, 3], [2, 15], [3, 7], [3, 15]]
    assert diffusion.condition("label", y).tolist() == told[:2].tolist()
    assert diffusion.condition("model", y, mark) is mark and diffusion.condition("size", y).tolist() == [0, 0]


def test_scores_of_samples_by_loops():
    data = digits()
    judge, samples = diffusion.judge(data), data.valid.x[:40]
    scores = diffusion.scores(samples, data, judge)
    far = [[math.dist(a, b) for b in data.test.x.flatten(1).tolist()] for a in samples.flatten(1).tolist()]
    assert scores["nearest test image"] == pytest.approx(sum(map(min, far)) / 40)
    assert scores["nearest sample"] == pytest.approx(sum(map(min, zip(*far))) / len(data.test.x))
    again = diffusion.scores(data.test.x, data, judge)
    assert again["classes"] == again["nearest sample"] == again["nearest test image"] == 0 > again["MMD²"]
    assert 0 < scores["classes"] < 1


@pytest.mark.slow
def test_a_diffusion_model_comes_out_again():
    again = diffusion.train(("size", 125, 0))
    for part in ("train", "test"):
        assert again[part] == pytest.approx(DIFFUSION["sizes"]["125"][part]["all"][0], abs=1.0)


RINGS, GANS = reproduce.results("ring_gan"), reproduce.results("digits_gan")


def test_a_penalty_mends_the_ring_and_no_penalty_loses_modes():
    rows = RINGS["models"]
    assert list(rows) == list(rings.MODELS) and RINGS["seeds"] >= 5
    mended = zip(*(rows["R1"][key]["all"] for key in ("modes", "good")))
    assert sum(found == 8 and good >= 0.95 for found, good in mended) >= 4
    assert max(rows["no penalty"]["modes"]["all"]) < 8 and rows["no penalty"]["good"]["mean"] > 0.9
    assert min(rows["grid, R1"]["modes"]["all"]) >= 24


def test_scores_of_the_gan_are_as_good_as_asked():
    row = GANS["models"]["GAN"]
    assert len(row["test, MMD²"]["all"]) == GANS["seeds"] >= 5 and row["seconds"]["mean"] <= 60
    assert row["test, MMD²"]["mean"] <= 1.5 * row["training images: MMD²"]["mean"]
    assert min(row["test, precision"]["mean"], row["test, recall"]["mean"]) >= 0.6
    assert min(row["test, classes"]["all"]) == 10 and min(row["test, entropy"]["all"]) >= 0.98
    new = row["validation images: nearest training image"]["mean"]
    assert min(row["test, nearest training image"]["all"]) >= new


def test_every_row_of_the_gans_is_there():
    assert list(GANS["models"]) == list(gans.MODELS) and [int(s) for s in GANS["sizes"]] == list(gans.SIZES[:-1])


def test_what_scores_of_samples_see():
    """Copies are seen by the distance to training images only, a missing class by the entropy."""
    data = digits()
    sets, score = gans.others(data), gans.Scores(data)
    real, copies, fewer = (score(sets[name], data.test.x) for name in ("training images", "memorised", "without nines"))
    assert copies["nearest training image"] == 0 and copies["MMD²"] == pytest.approx(real["MMD²"], abs=2e-3)
    assert real["entropy"] > 0.999 and fewer["entropy"] < 0.97
    stored = GANS["models"]["GAN"]["memorised: precision"]["mean"]
    assert copies["precision"] == pytest.approx(stored, abs=0.02)


def test_parzen_window_by_loops():
    data = digits()
    samples, valid, real = (part.x[:5] for part in (data.train, data.valid, data.test))
    best = max(
        gans.WIDTHS.tolist(),
        key=lambda width: sum(_bumps(x, samples, width) for x in valid),
    )
    expected = sum(_bumps(x, samples, best) for x in real) / 5
    assert gans.parzen(samples, valid, real) == pytest.approx(expected)


def _bumps(x, samples, width):
    densities = [
        math.prod(math.exp(-(((a - b) / 16) ** 2) / 2 / width**2) / math.sqrt(2 * math.pi) / width for a, b in pairs)
        for pairs in (zip(x.flatten().tolist(), s.flatten().tolist()) for s in samples)
    ]
    return math.log(max(sum(densities) / len(densities), 1e-300))


@pytest.mark.slow
def test_a_gan_comes_out_again():
    again = gans.train(("size", 125, 0))
    for key, tolerance in (("test, precision", 0.1), ("test, recall", 0.1), ("test, nearest training image", 2)):
        assert again[key] == pytest.approx(GANS["sizes"]["125"][key]["all"][0], abs=tolerance)


@pytest.mark.parametrize("name, nats", ASKED.items())
def test_means_over_seeds_are_as_good_as_asked(name, nats):
    row = STORED["models"][name]["test"]
    assert len(row["all"]) == STORED["seeds"] >= 5
    assert row["mean"] == pytest.approx(sum(row["all"]) / len(row["all"])) and row["mean"] <= nats


def test_models_draw_as_fast_as_asked():
    assert all(STORED["models"][name]["images per second"]["cached"] >= 1000 for name in table.MODELS)


def test_the_learning_rate_rises_and_stays():
    shares = [table.rising(step, 100) for step in range(100)]
    assert shares[:2] == [0.04, 0.08] and shares == sorted(shares) and set(shares[24:]) == {1.0}


def test_every_group_is_there():
    assert set(STORED["orders"]) == set(table.orders()) and set(STORED["models"]) == {*table.MODELS, "Ensemble"}
    assert [int(size) for size in STORED["sizes"]] == list(table.SIZES[:-1]) and set(STORED["labels"]) == {"MADE"}
    assert list(STORED["evens"]) == list(table.EVEN)


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
    command.main(["digits_autoregressive", "--seeds", "2", "--workers", "1", "--out", str(tmp_path)])
    written = json.loads((tmp_path / "digits_autoregressive.json").read_text())
    assert written["seeds"] == 2 and written["models"] == STORED["models"] and len(list(tmp_path.iterdir())) == 1
    assert "PixelCNN" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nothing"], []])
def test_unknown_tables_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "digits_autoregressive" in capsys.readouterr().err


def test_unknown_results_are_refused():
    with pytest.raises(ValueError, match="must be one of digits_autoregressive, digits_diffusion"):
        reproduce.results("nothing")
