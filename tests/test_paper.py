"""Tables at paper scale: what they measure is what they say, and a rehearsal of each runs to its end."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dgmlite.data import Dataset, Split, digits, mnist
from dgmlite.evaluation import evaluate
from dgmlite.models.autoregressive import MADE
from dgmlite.networks import seeded
from dgmlite.reproduce import __main__ as command
from dgmlite.reproduce import _paper, mnist_autoregressive, mnist_bytes, mnist_iwae, mnist_realnvp
from dgmlite.reproduce._paper import Binarised

TABLES = {"mnist_autoregressive": mnist_autoregressive, "mnist_iwae": mnist_iwae}
TABLES |= {"mnist_realnvp": mnist_realnvp, "mnist_bytes": mnist_bytes}
DATA = os.environ.get("DGMLITE_DATA") or Path(__file__).parents[2] / "shared/data"
needs_mnist = pytest.mark.skipif(not Path(DATA).is_dir(), reason="needs MNIST: set DGMLITE_DATA")


@pytest.fixture
def small(monkeypatch):
    """Let tables find a few digits, blown up, in place of MNIST."""
    few = digits().train
    x = nn.functional.pad(few.x[:160].repeat_interleave(3, 2).repeat_interleave(3, 3) * 255 // 16, (2, 2, 2, 2))
    train, valid, test = (Split(x[part], few.y[:160][part]) for part in (slice(120), slice(120, 140), slice(140, 160)))
    data = Dataset(train, valid, test, 256)
    for table in TABLES.values():
        monkeypatch.setattr(table, "data", lambda: data)
        monkeypatch.setattr(table, "references", lambda data: {"nothing": 1.0})
    return data


def once(name):
    """The first row of each kind of model, by its name."""
    return [which for which in TABLES[name].ROWS if "stages" not in which and "CPU" not in which]


@pytest.mark.parametrize("name", TABLES)
def test_a_rehearsal_runs_to_its_end(name, small, tmp_path, capsys):
    command.main([name, "--smoke", "--device", "cpu", "--out", str(tmp_path), "--rows", *once(name)])
    written = json.loads((tmp_path / f"{name}.json").read_text())
    assert list(written["rows"]) == once(name) and {"command", "versions", "seed", "references"} < set(written)
    for which, row in written["rows"].items():
        assert (
            row["device"].startswith("CPU") and row["epochs"] == 3 and math.isfinite(row["test"]) and row["stderr"] > 0
        )
        folder = tmp_path / name / f"{which}, seed 0"
        assert (folder / "result.json").is_file() and (folder / "samples.png").is_file()
    printed = capsys.readouterr().out
    assert "a smoke test" in printed and all(which in printed for which in TABLES[name].ROWS)


def test_what_is_there_is_not_trained_again_and_not_overwritten(small, tmp_path, monkeypatch, capsys):
    call = ["mnist_autoregressive", "--smoke", "--device", "cpu", "--out", str(tmp_path), "--rows", "NADE"]
    command.main(call)
    before = (tmp_path / "mnist_autoregressive.json").read_text()
    monkeypatch.setattr(_paper, "train", None)
    command.main(call)
    assert (tmp_path / "mnist_autoregressive.json").read_text() == before
    with pytest.raises(SystemExit, match="of another setting: give another --out"):
        command.main([*call, "--bf16"])
    assert "NADE" in capsys.readouterr().out


def test_a_table_can_be_printed_without_training(small, tmp_path, capsys):
    command.main(["mnist_realnvp", "--rows", "--out", str(tmp_path)])
    assert capsys.readouterr().out.count("not measured") == len(mnist_realnvp.ROWS)
    assert not (tmp_path / "mnist_realnvp").exists()


def test_interrupted_runs_go_on(small, tmp_path, monkeypatch):
    """Stopped after an epoch, a row ends with the same numbers as at one go; a full disk loses no epoch."""
    call = ["mnist_autoregressive", "--smoke", "--device", "cpu", "--rows", "NADE", "--out"]
    command.main([*call, str(tmp_path / "whole")])
    monkeypatch.setattr(_paper, "_rehearse", lambda *given: None)
    save = _paper.picture

    def interrupt(model, path):
        raise KeyboardInterrupt

    def full(model, path):
        raise OSError(28, "No space left on device")

    for trouble, said in ((interrupt, "goes on from the last finished epoch"), (full, "No space left")):
        monkeypatch.setattr(_paper, "picture", trouble)
        with pytest.raises(SystemExit, match=said):
            command.main([*call, str(tmp_path / "broken")])
    monkeypatch.setattr(_paper, "picture", save)
    command.main([*call, str(tmp_path / "broken")])
    whole, broken = (
        json.loads((tmp_path / f"{which}/mnist_autoregressive.json").read_text())["rows"]["NADE"]
        for which in ("whole", "broken")
    )
    assert whole["test"] == broken["test"] and whole["epochs"] == broken["epochs"]
    log = (tmp_path / "broken/mnist_autoregressive/NADE, seed 0/log.txt").read_text().splitlines()
    assert [row.split()[0] for row in log] == ["1", "2", "3"]


def test_a_checkpoint_of_another_setting_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.setattr(_paper, "_rehearse", lambda *given: None)
    call = ["mnist_autoregressive", "--smoke", "--device", "cpu", "--out", str(tmp_path), "--rows", "NADE"]
    command.main(call)
    (tmp_path / "mnist_autoregressive/NADE, seed 0/result.json").unlink()
    with pytest.raises(SystemExit, match=r"belongs to another run: .*bf16"):
        command.main([*call, "--bf16"])


@pytest.mark.parametrize(
    "call, said",
    [
        (["mnist_iwae", "--workers", "2"], "--workers does not belong to mnist_iwae, a table at paper scale"),
        (["digits_vae", "--smoke"], "--smoke does not belong to digits_vae, a table over seeds"),
        (["mnist_iwae", "--rows", "VAE"], "no row 'VAE' in mnist_iwae: there are VAE, k = 1"),
        ([], "which table"),
    ],
)
def test_bad_calls_are_refused(call, said, capsys):
    with pytest.raises(SystemExit):
        command.main(call)
    assert said in capsys.readouterr().err


def test_missing_data_name_the_two_ways_to_get_them(tmp_path, monkeypatch):
    environment = os.environ | {
        "DGMLITE_DATA": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "https_proxy": "http://localhost:9",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "dgmlite.reproduce", "mnist_iwae", "--smoke"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "could not be downloaded from https" in ended.stderr and "set DGMLITE_DATA to a folder" in ended.stderr


def test_the_list_says_what_there_is(capsys):
    command.main(["--list"])
    printed = capsys.readouterr().out
    assert "digits_vae, over seeds" in printed and "mnist_iwae, at paper scale" in printed
    assert "published 84.78 nats" in printed


def test_coins_have_the_mean_of_the_pixels_and_fall_anew():
    x = torch.tensor([0, 1, 64, 254, 255]).repeat(200_000, 1)
    with seeded(0):
        first, second = Binarised.binarise(x), Binarised.binarise(x)
    assert set(first.unique().tolist()) == {0, 1} and not torch.equal(first, second)
    p = x[0].double() / 255
    error = (first.double().mean(0) - p).abs()
    assert (error <= 5 * (p * (1 - p) / len(x)).sqrt()).all()


def test_nats_are_means_over_coins():
    """Independent pixels: the mean over many binarisations is the cross-entropy with the pixels' probabilities."""
    model = MADE((1, 2, 2), 2, hidden=(4,))
    model.bias.data[:, 1] = torch.tensor([-1.0, 0.0, 0.5, 2.0])  # the network starts at zero output only if told so
    model.network = nn.Identity()
    model.network.forward = lambda x, y=None: torch.zeros_like(x)
    x = torch.tensor([[[[0, 255], [51, 204]]]]).repeat(400, 1, 1, 1)
    result = Binarised(model).evaluate(x, draws=20)
    p = model.conditionals(torch.zeros_like(x[:1]))[0, :, 1].double()
    q = x[0].flatten().double() / 255
    expected = -(q * p.log() + (1 - q) * (1 - p).log()).sum().item()
    assert result.nats == pytest.approx(expected, abs=0.03) and result.kind == "exact"
    assert result.bits_per_dim == pytest.approx(result.nats / 4 / math.log(2))
    assert result.per_example.std() < 0.4 * Binarised(model).evaluate(x, draws=1).per_example.std()


def test_a_rehearsal_notices_a_loss_that_stays_and_a_run_that_does_not_resume(small):
    def build(coin):
        class Noisy(MADE):
            def loss(self, x):
                return super().loss(x) + coin()

        return Binarised(Noisy((1, 28, 28), 2, hidden=(800,)))

    how = dict(epochs=3, batch_size=20, device="cpu")
    _paper._rehearse(lambda: build(lambda: 0.0), small, 0, how | dict(lr=0.01))
    rising = iter(range(0, 10**6, 100))
    with pytest.raises(AssertionError, match="the loss does not fall"):
        _paper._rehearse(lambda: build(lambda: next(rising)), small, 0, how | dict(lr=1e-6))
    from_outside = iter([1e-3 * n**0.5 for n in range(10**4)])
    with pytest.raises(AssertionError, match="resuming is not exact"):
        _paper._rehearse(lambda: build(lambda: next(from_outside)), small, 0, how | dict(lr=0.01))


def test_a_made_of_one_input_a_pixel_is_exact():
    """The probabilities of all 16 images sum to one, and samples from the cache are those of whole passes."""
    model = mnist_autoregressive.BinaryMADE((1, 2, 2), 2, hidden=(12,)).double()
    with seeded(0), torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
    every = torch.cartesian_prod(*[torch.arange(2)] * 4).view(16, 1, 2, 2)
    assert model.log_prob(every).exp().sum().item() == pytest.approx(1, abs=1e-12)
    drawn = []
    for cache in (True, False):
        with seeded(1):
            drawn.append(model.sample(500, cache=cache))
    assert torch.equal(*drawn)
    shares = torch.stack([(drawn[0] == x).flatten(1).all(1).double().mean() for x in every])
    assert (shares - model.log_prob(every).exp()).abs().max() < 0.08


@needs_mnist
def test_sanity_rows_of_mnist(monkeypatch):
    """What independent pixels cost, by torch's own cross-entropy on many draws; and other data are refused."""
    monkeypatch.setenv("DGMLITE_DATA", str(DATA))
    data = mnist()
    rows = mnist_autoregressive.references(data)
    p = ((data.train.x / 255).mean(0) * 50_000 + 1) / 50_002
    with seeded(0):
        draws = [Binarised.binarise(data.test.x).float() for _ in range(3)]
    costs = [nn.functional.binary_cross_entropy(p.expand_as(x), x, reduction="sum").item() / len(x) for x in draws]
    assert rows["independent pixels"] == pytest.approx(sum(costs) / 3, abs=0.1)
    assert rows["entropy of the coins"] == pytest.approx(45.5, abs=0.1)
    with pytest.raises(AssertionError, match="not the test images of MNIST"):
        mnist_autoregressive.references(Dataset(data.train, data.valid, data.valid, 256))


def test_passes_of_each_stage_are_powers_of_three():
    """By the paper's own list: stage i has 3^i passes at 0.001 · 10^(−i/7)."""
    expected = [10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    steps = 4  # a pass
    total = steps * len(expected)
    assert [mnist_iwae.rate(step, total) for step in range(total)] == pytest.approx(
        [r for r in expected for _ in range(steps)]
    )
    first = [r for r in expected[:121] for _ in range(steps)]
    assert [mnist_iwae.first_stages(step, 121 * steps) for step in range(121 * steps)] == pytest.approx(first)


def burda(objective, k):
    """A small float64 model in the middle of its life."""
    model = mnist_iwae.Burda(objective, k, hidden=6, seed=1).double()
    with seeded(2), torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def slopes(model, x, draws):
    """The slope of the mean loss by each parameter, for each draw, (draws, parameters)."""
    rows = []
    for seed in range(draws):
        with seeded(seed):
            loss = model.loss(x).mean()
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    return torch.stack(rows)


def test_dreg_has_the_value_and_the_mean_slope_of_iwae():
    """Same draws, same bound; slopes equal on average, and the encoder's with less variance."""
    with seeded(0):
        x = torch.randint(2, (2, 1, 28, 28))
    models = {name: burda(name, 4) for name in ("IWAE", "DReG")}
    for seed in range(3):
        values = []
        for model in models.values():
            with seeded(seed):
                values.append(model.loss(x))
        assert torch.allclose(*values, rtol=1e-12)
    a, b = (slopes(model, x, 600) for model in models.values())
    error = (a - b).mean(0) / ((a - b).std(0) / len(a) ** 0.5 + 1e-12)
    assert error.abs().max() < 5.5 and error.square().mean() < 1.3
    encoder = sum(p.numel() for p in models["IWAE"].encoder.parameters())
    a, b = (rows[:, :encoder].var(0).sum() for rows in (a, b))
    assert b < 0.7 * a


def test_dreg_stands_still_where_the_encoder_is_exact():
    """If the decoder ignores z, q = p(z) is the posterior: all weights are equal, and the encoder has no slope."""
    model = mnist_iwae.Burda("DReG", 5, hidden=4).double()  # its last layers start at zero
    with torch.no_grad():
        model.encoder.layers[-1].bias.zero_()
    x = torch.randint(2, (3, 1, 28, 28))
    model.loss(x).sum().backward()
    assert max(p.grad.abs().max() for p in model.encoder.parameters()) < 1e-12
    other = mnist_iwae.Burda("IWAE", 5, hidden=4).double()
    other.loss(x).sum().backward()
    assert max(p.grad.abs().max() for p in other.encoder.parameters()) > 1e-3


def test_vae_with_k_draws_is_the_mean_of_bounds():
    x = torch.randint(2, (3, 1, 28, 28))
    for name, value in (("VAE", lambda w: -w.mean(0)), ("IWAE", lambda w: -(w.exp().mean(0)).log())):
        model = burda(name, 3)
        with seeded(5):
            w = model.log_weight(x, 3)
        shift = w.max()
        with seeded(5):
            assert torch.allclose(model.loss(x), value(w - shift) - shift)


def test_the_file_is_as_long_as_promised():
    with seeded(0):
        model, x = Binarised(MADE((1, 28, 28), 2, hidden=(800,))), torch.randint(256, (20, 1, 28, 28))
    split = Split(x, torch.zeros(20).long())
    result = mnist_bytes.score(model, Dataset(split, split, split, 256))
    assert result["test"] == pytest.approx(evaluate(model.model, mnist_bytes.coins(x)).bits_per_dim, rel=0.03)
    assert result["bytes"] * 8 == pytest.approx(result["test"] * 20 * 784)


def test_layouts_hold_every_pixel():
    """Formats that store pixels as they are come out at their number of bits."""
    x = torch.randint(256, (9, 28, 28)).numpy().astype("uint8")
    sizes = mnist_bytes._sizes([x.tobytes()], x, "L")
    assert all(0.98 <= size / x.size <= 1.2 for name, size in sizes.items())
