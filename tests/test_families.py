"""Families without a browser: the table of properties, the questions that follow from it, and the stored numbers."""

import itertools
import json
from pathlib import Path

import pytest

from dgmlite.reproduce import results
from dgmlite.widgets import Families
from dgmlite.widgets.families import CHAPTERS, FAMILIES, NEEDS, QUESTIONS, ROWS, offers

ROOT = Path(__file__).resolve().parents[1]
AR, FLOW, LATENT, DIFFUSION, GAN = FAMILIES
# Said a second time, by hand: who offers what.
TABLE = {
    "exact": {AR, FLOW},
    "number": {AR, FLOW, LATENT, DIFFUSION},
    "one pass": {FLOW, LATENT, GAN},
    "code": {FLOW, LATENT},
    "any network": {LATENT, DIFFUSION, GAN},
    "steady": {AR, FLOW, LATENT, DIFFUSION},
    "levels": {AR},
    "next": {AR},
    "invert": {FLOW},
    "small": {LATENT},
    "denoise": {DIFFUSION},
}
RIGHT = [FLOW, GAN, AR, LATENT, DIFFUSION, FLOW, AR, LATENT, DIFFUSION, GAN]


def test_the_table_is_the_one_meant():
    assert {offer: {f for f in FAMILIES if offer in offers(f)} for offer in TABLE} == TABLE
    assert set().union(*map(offers, FAMILIES)) == set(TABLE) and set(NEEDS) < set(TABLE)
    assert all(len(cells) == len(ROWS) for cells in FAMILIES.values()) and list(CHAPTERS) == list(FAMILIES)


def test_what_offers_more_offers_less():
    for more, less in (("exact", "number"), ("levels", "exact"), ("invert", "code"), ("small", "code")):
        assert TABLE[more] <= TABLE[less]


@pytest.mark.parametrize("number", range(10))
def test_just_one_of_the_two_does(number):
    pair, asked, need, why = QUESTIONS[number]
    able = [family for family in pair if offers(family) >= set(asked)]
    assert able == [RIGHT[number]] and set(asked) <= set(TABLE)
    (stored,) = [q["right"] for q in Families().questions if q["need"] == need]
    assert stored == RIGHT[number] and why.endswith(".") and need.endswith(".")


def test_each_pair_is_asked_once_and_answers_are_spread():
    pairs = [set(pair) for pair, *_ in QUESTIONS]
    assert all(set(pair) in pairs for pair in itertools.combinations(FAMILIES, 2)) and len(pairs) == 10
    assert all(RIGHT.count(family) == 2 for family in FAMILIES)
    sides = [pair.index(right) for (pair, *_), right in zip(QUESTIONS, RIGHT)]
    assert sum(sides) == 5 and all(len(set(sides[i : i + 3])) == 2 for i in range(8))  # no side thrice in a row


def test_what_the_task_asks():
    """Just one pair of needs is met by no family."""
    pairs = [p for p in itertools.combinations(NEEDS, 2) if not TABLE[p[0]] & TABLE[p[1]]]
    assert pairs == [("exact", "any network")]


def test_numbers_are_those_of_the_stored_tables():
    rows = {family["name"]: family["measured"] for family in Families().families}
    for family, table, model, kind in (
        (AR, "autoregressive", "PixelCNN", "exact"),
        (FLOW, "flows", "RealNVP", "bound"),
        (LATENT, "vae", "VAE", "bound"),
        (DIFFUSION, "diffusion", "DDPM", "bound"),
    ):
        nats = results(f"digits_{table}")["models"][model]["test"]["mean"]
        assert rows[family] == {"model": model, "kind": kind, "nats": nats} and 70 < nats < 100
    gan = results("digits_gan")["models"]["GAN"]
    scores = {key: gan[f"test, {key}"]["mean"] for key in ("precision", "recall")}
    assert rows[GAN] == {"model": "GAN", "kind": "none", "nats": None, **scores}


@pytest.mark.parametrize("family", FAMILIES)
def test_chapters_exist_under_their_titles(family):
    _, title, path, *_ = CHAPTERS[family]
    notebook = json.loads((ROOT / f"notebooks/{path}.ipynb").read_text(encoding="utf8"))
    assert "".join(notebook["cells"][0]["source"]).splitlines()[0] == f"# {title}"


@pytest.mark.parametrize("kind", [list, tuple])
def test_needs_are_taken_in_order(kind):
    widget = Families(kind(["one pass", "exact"]))
    assert widget.needs == widget.initial == ["one pass", "exact"] and "one pass', 'exact" in repr(widget)
    assert widget.opened == AR and widget.answers == [""] * 10 and Families().needs == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"needs": "exact"}, "needs must be a list of strings, got 'exact'"),
        ({"needs": [1]}, "needs must be a list of strings"),
        ({"needs": None}, "needs must be a list of strings"),
        ({"needs": ["sharp"]}, "needs must be different ones of exact, number, one pass, code, any network, steady"),
        ({"needs": ["levels"]}, "needs must be different ones"),
        ({"needs": ["exact", "exact"]}, "needs must be different ones"),
        ({"task": 3}, "task must be a string"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Families(**arguments)
