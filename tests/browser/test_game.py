"""The game as learners play it: training against torch step for step, the map, the arrows, painting, play and rest."""

import contextlib
import math
import re
from unittest import mock

import numpy as np
import pytest
import torch

from dgmlite.evaluation import modes
from dgmlite.models.gan import GAN, OBJECTIVES
from dgmlite.widgets import Game

from .test_morph import fits, on_a_slide
from .test_widgets import show, uniform, values

N, REAL, M, EDGE, FRAME = 400, 200, 40, 3.0, 8  # rounds in a frame
PLAYERS = ("critic", "generator")


class Chance:
    """The numbers of mulberry32 started at n · 0x9E3779B1, one after the other."""

    def __init__(self, n):
        self.n, self.at = n, 0

    def u(self, *shape):
        size, self.at = math.prod(shape), self.at + math.prod(shape)
        t = np.arange(self.at - size, self.at, dtype=np.uint32) + np.uint32(1)
        a = np.array([self.n * 0x9E3779B1 % 2**32], np.uint32) + t * np.uint32(0x6D2B79F5)
        a = (a ^ a >> np.uint32(15)) * (a | np.uint32(1))
        a ^= a + (a ^ a >> np.uint32(7)) * (a | np.uint32(61))
        return ((a ^ a >> np.uint32(14)) / 2**32).reshape(shape)

    def noise(self, n, latent):
        return normal(self.u(n, (latent + 1) // 2, 2)).reshape(n, -1)[:, :latent]

    def data(self, n, centres, std):
        u = self.u(n, 3)
        return np.array(centres)[(u[:, 0] * len(centres)).astype(int)] + std * normal(u[:, 1:])


def normal(u):
    turn = 2 * np.pi * u[..., 1:]
    return np.sqrt(-2 * np.log(1 - u[..., :1])) * np.concatenate([np.cos(turn), np.sin(turn)], -1)


class Reference:
    """The game by torch: the course's GAN and torch's Adam, with the batches and the noise that the widget draws."""

    def __init__(self, widget):
        self.widget, self.chance, self.losses = widget, Chance(3 * widget.seed + 1), [None, None]
        self.latent, *hidden = widget.widths
        self.model = GAN((2,), None, latent=self.latent, hidden=hidden, seed=widget.seed).double()
        self.adams = [torch.optim.Adam(p.parameters(), betas=(0.5, 0.99)) for p in self.model.players.values()]
        self.centres, self.lr, self.turns = widget.centres, [widget.lr_critic, widget.lr_generator], widget.turns
        self.set(widget.objective, widget.penalty or None, widget.weight)

    def set(self, objective, penalty=None, weight=None):
        self.model.objective, self.model.penalty = objective, penalty
        self.model.weight = self.model.weight if weight is None else weight

    def step(self, player):
        B = self.widget.batch
        x = torch.zeros(B, 2).double()
        if player == "critic":
            x = torch.tensor(self.chance.data(B, self.centres, self.widget.std))
        z = torch.tensor(self.chance.noise(B, self.latent))
        i, alpha = PLAYERS.index(player), None
        if player == "critic" and self.model.penalty == "gradient":
            alpha = torch.tensor(self.chance.u(B, 1))
        self.adams[i].param_groups[0]["lr"] = self.lr[i]
        self.adams[i].zero_grad()
        with mock.patch("torch.randn", lambda *_, **__: z), mock.patch("torch.rand", lambda *_, **__: alpha):
            loss = self.model.loss(x, player).mean()
        loss.backward()
        self.adams[i].step()
        self.losses[i] = loss.item()

    def play(self, rounds):
        for _ in range(rounds):
            for player, count in zip(PLAYERS, self.turns):
                for _ in range(count):
                    self.step(player)

    def check(self, root, tolerance=1e-8) -> dict:
        """Compare all that the widget shows when it rests; return it."""
        v, model = values(root), self.model
        close = lambda mine, wanted: np.testing.assert_allclose(mine, wanted, rtol=tolerance, atol=tolerance)  # noqa: E731
        for name, player in model.players.items():
            close(v["weights"][name], torch.cat([p.detach().flatten() for p in player.parameters()]))
        close([loss for loss in v["losses"] if loss is not None], [loss for loss in self.losses if loss is not None])
        z = torch.tensor(Chance(3 * self.widget.seed + 2).noise(N, self.latent))
        x = model.decode(z).detach().requires_grad_()
        close(np.reshape(v["x"], (2, N)).T, x.detach())
        arrows = -torch.autograd.grad(OBJECTIVES[model.objective][1](model.judge(x)).sum(), x)[0]
        close(np.reshape(v["arrows"], (2, N)).T, arrows)
        close(v["push"], arrows.norm(dim=1).mean())
        c = model.judge(torch.tensor(cells())).detach()
        close(v["scores"], c)
        real = Chance(3 * self.widget.seed + 3).data(REAL, self.centres, self.widget.std)
        close(np.reshape(v["real"], (2, REAL)).T, real)
        radius = lambda points: ((points - points.mean(0)) ** 2).sum(1).mean().sqrt().item()  # noqa: E731
        close(v["breadth"], radius(x) / radius(torch.tensor(real)))
        if model.objective == "wasserstein":
            of_fakes, of_data = model.judge(x).detach(), model.judge(torch.tensor(real)).detach()
            both = torch.cat((of_fakes, of_data))
            D = (c - (of_fakes.mean() + of_data.mean()) / 2) / (both.max() - both.min()) + 0.5
            D = D.clip(0, 1) if both.max() > both.min() else torch.full((M * M,), 0.5)
        else:
            D = {"least-squares": c.clip(0, 1), "hinge": ((c + 1) / 2).clip(0, 1)}.get(model.objective, c.sigmoid())
        close(v["D"], D)
        centres = torch.tensor(v["centres"], dtype=torch.float64)
        close(centres, self.centres)
        found = modes(x.detach(), centres, 3 * self.widget.std, math.ceil(N / 4 / len(centres)))
        assert (v["counts"], v["covered"], v["good"]) == (found.counts.tolist(), found.covered, found.good)
        return v


def cells() -> np.ndarray:
    """The middles of the cells of the map, row by row from the top."""
    middle = (np.arange(M) + 0.5) * 2 * EDGE / M - EDGE
    return np.stack([np.tile(middle, M), -np.repeat(middle, M)], 1)


def button(root, name):
    return root.get_by_role("button", name=re.compile(rf"^\W*{re.escape(name)}$"))


def press(root, name):
    button(root, name).click()


@contextlib.contextmanager
def playing(page, root):
    """Press play, for as many frames as will be run; then pause."""
    press(root, "play")
    yield lambda frames: page.clock.run_for(16 * frames)
    press(root, "pause")


def stopped(page, widget, **more):
    """Show the widget while time stands still."""
    page.clock.install(time=0)
    root = show(page, widget, **more)
    page.clock.pause_at(60_000)
    return root


def rounds(page, root, count) -> dict:
    assert count % FRAME == 0
    before = values(root)["rounds"]
    with playing(page, root) as frames:
        frames(count // FRAME)
    v = values(root)
    assert v["rounds"] == before + count
    return v


def sentence(root) -> str:
    return root.locator(".dgm-sentence").inner_text()


def test_the_generator_of_random_numbers():
    chance = Chance(7)
    assert [*chance.u(3), *chance.u(2)] == [uniform(7, t) for t in range(5)]
    many = Chance(1)
    assert abs(many.noise(50_000, 3).std() - 1) < 0.01 and many.at == 200_000


@pytest.mark.parametrize("penalty", [None, "r1", "gradient"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_hundred_rounds_are_those_of_torch(page, objective, penalty):
    widget = Game(objective=objective, penalty=penalty, weight=0.5, lr={"critic": 0.003, "generator": 0.001})
    root, reference = stopped(page, widget), Reference(widget)
    reference.check(root)
    v = rounds(page, root, 104)
    assert v["steps"] == [104, 104] and v["history"] == 11
    reference.play(104)
    reference.check(root)
    c = reference.model.judge(torch.tensor(cells()))
    assert c.std() > 0.01 and v["push"] > 0.001  # they have learned something that could be wrong


@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_player": {"critic": 5}, "penalty": "gradient", "data": "spiral", "seed": 3},
        {"steps_per_player": {"generator": 5}, "hidden": (8, 12, 7), "latent": 3, "batch": 20},
        {"steps_per_player": {"generator": 0}, "hidden": (24,), "penalty": "r1", "weight": 10, "data": "one"},
        {"steps_per_player": {"critic": 0}, "data": "two", "std": 0.3, "objective": "wasserstein"},
    ],
)
def test_other_sizes_and_turns(page, options):
    widget = Game(**options)
    root, reference = stopped(page, widget), Reference(widget)
    rounds(page, root, 40)
    reference.play(40)
    assert reference.check(root)["steps"] == [40 * count for count in widget.turns]


def test_settings_change_under_way(page):
    widget = Game(seed=1)
    root, reference = stopped(page, widget), Reference(widget)

    def both(count=24):
        rounds(page, root, count)
        reference.play(count)
        reference.check(root)

    both()
    press(root, "hinge")
    press(root, "R1")
    reference.set("hinge", "r1", 0.1)
    both()
    for slider, key in ((0, "ArrowRight"), (1, "Home"), (2, "End")):
        root.get_by_role("slider").nth(slider).press(key)
    reference.lr = [0.005, 0.0001]
    reference.set("hinge", "r1", 10)
    both()
    press(root, "spiral")
    press(root, "5 : 1")
    press(root, "non-saturating")
    reference.set("non-saturating", "r1")
    reference.turns, reference.centres = [5, 1], values(root)["centres"]
    assert len(reference.centres) == 13
    both()
    press(root, "none")
    reference.set("non-saturating")
    for player in ("critic", "generator", "generator", "critic", "critic"):
        press(root, f"1 {player} step")
        reference.step(player)
        reference.check(root)
    v = values(root)
    assert v["rounds"] == 96 and v["steps"] == [24 * 8 + 3, 98] and v["lr"] == [0.005, 0.0001]
    press(root, "reset")
    v = Reference(widget).check(root)
    assert v["rounds"] == v["history"] == 0 and v["losses"] == [] and v["steps"] == [0, 0] and v["data"] == "ring"
    assert (v["objective"], v["penalty"], v["turns"], v["lr"]) == ("non-saturating", "", [1, 1], [0.002, 0.002])


def plot(root):
    return root.locator(".dgm-scene svg").first


def drawn(root, cls) -> np.ndarray:
    """Where the parts of a path begin, in the data's units."""
    scale = float(plot(root).get_attribute("width")) / (2 * EDGE)
    starts = re.findall(r"M([-\d.]+) ([-\d.]+)", root.locator(f".dgm-scene svg {cls}").first.get_attribute("d"))
    return (np.array(starts, dtype=float) / scale - EDGE) * [1, -1]


def in_its_frame(root):
    """The map lies behind the plane."""
    canvas, frame = (root.locator(part).first.bounding_box() for part in ("canvas", ".dgm-scene > .dgm-frame"))
    assert all(abs(canvas[key] - frame[key]) < 2.5 for key in canvas), (canvas, frame)


def test_what_is_drawn_is_what_is_told(page):
    widget = Game(lr=0.003)
    root, reference = stopped(page, widget), Reference(widget)
    rounds(page, root, 400)
    reference.play(400)
    v = reference.check(root)
    x = np.reshape(v["x"], (2, N)).T
    np.testing.assert_allclose(drawn(root, ".dgm-fake"), x, atol=0.001)
    np.testing.assert_allclose(drawn(root, ".dgm-real"), np.reshape(v["real"], (2, REAL)).T, atol=0.001)
    line = drawn(root, ".dgm-undecided")
    c = reference.model.judge(torch.tensor(cells())).detach()
    on = reference.model.judge(torch.tensor(line)).detach()
    assert len(line) > 10 and on.abs().mean() < 0.02 * c.abs().mean()
    # The map, blue or orange; its place is that of the frame.
    D = np.array(v["D"])
    pixels = root.locator("canvas").evaluate("e => [...e.getContext('2d').getImageData(0, 0, e.width, e.height).data]")
    red, _, blue, alpha = np.array(pixels).reshape(-1, 4).T
    assert abs(alpha - 290 * abs(D - 0.5)).max() < 0.6
    seen = alpha > 10
    assert ((blue > red) == (D > 0.5))[seen].all() and 0.005 < (D[seen] > 0.5).mean() < 0.995
    in_its_frame(root)
    # Arrows: 50, from their samples, as long as a / (1 + a).
    path, scale = root.locator(".dgm-push").first.get_attribute("d"), float(plot(root).get_attribute("width")) / 6
    ends = np.array(re.findall(r"M([-\d.]+) ([-\d.]+)L([-\d.]+) ([-\d.]+)", path), dtype=float)
    arrows, some = np.reshape(v["arrows"], (2, N)).T[::8], x[::8]
    size = np.linalg.norm(arrows, axis=1)
    shown = 0.75 * size / (1 + size) * scale >= 1.5
    np.testing.assert_allclose(drawn(root, ".dgm-push"), some[shown], atol=0.001)
    ways = (ends[:, 2:] - ends[:, :2]) * [1, -1]
    assert ((ways * arrows[shown]).sum(1) > 0.9 * np.linalg.norm(ways, axis=1) * size[shown]).all()
    heads = root.locator(".dgm-push-head").first.get_attribute("d")
    tips = np.array(re.findall(r"M([-\d.]+) ([-\d.]+)", heads), dtype=float)
    lengths = np.linalg.norm(tips - ends[:, :2], axis=1)
    np.testing.assert_allclose(lengths, (0.75 * scale * size / (1 + size))[shown], atol=0.2)
    least = N / 4 / 8
    missed = root.locator("svg svg circle.dgm-mode").evaluate_all("all => all.map((e) => e.matches('.dgm-missed'))")
    assert missed == [count < least for count in v["counts"]]
    press(root, "arrows")
    assert root.locator(".dgm-push").first.get_attribute("d") == "" and not values(root)["shown"]


def test_painting_with_the_mouse(page):
    root = show(page, Game())
    area = root.get_by_role("application").locator(".dgm-area").bounding_box()
    place = lambda u, v: (area["x"] + (u + 3) / 6 * area["width"], area["y"] + (3 - v) / 6 * area["height"])  # noqa: E731
    page.mouse.click(*place(0, 0))
    assert values(root)["data"] == "ring"  # not without draw
    press(root, "draw")
    page.mouse.click(*place(0, 0))
    v = values(root)
    assert len(v["centres"]) == 9 and v["data"] == "" and v["centres"][8] == pytest.approx([0, 0], abs=0.02)
    page.mouse.click(*place(0.1, 0.1))  # on it: away
    assert len(values(root)["centres"]) == 8
    press(root, "clear")
    assert values(root)["centres"] == [] and "nothing to learn" in sentence(root) and button(root, "play").is_disabled()
    page.mouse.move(*place(-2, 1))
    page.mouse.down()
    page.mouse.move(*place(2, 1), steps=40)
    page.mouse.up()
    page.mouse.move(*place(2, -2))
    v = values(root)
    assert 7 <= len(v["centres"]) <= 9 and v["pencil"]
    assert np.allclose(np.array(v["centres"])[:, 1], 1, atol=0.02)
    assert np.diff(np.array(v["centres"])[:, 0]).min() >= 0.45
    assert page.evaluate("saved.centres") == v["centres"]
    press(root, "1 critic step")
    assert values(root)["steps"] == [1, 0]
    press(root, "two")
    assert len(values(root)["centres"]) == 2


def test_no_more_modes_than_can_be_told_apart(page):
    many = [[x, y] for x in np.linspace(-2.5, 2.5, 8) for y in np.linspace(-2.5, 2, 5)]
    root = show(page, Game(many, std=0.05))
    sheet = root.get_by_role("application")
    for key in (*["ArrowUp"] * 11, "Enter"):
        sheet.press(key)
    assert len(values(root)["centres"]) == 40


def test_a_finger_paints_and_scrolls(browser):
    context = browser.new_context(viewport={"width": 390, "height": 1200}, has_touch=True)
    try:
        root = show(context.new_page(), Game())
        area = root.get_by_role("application").locator(".dgm-area")
        assert area.evaluate("e => getComputedStyle(e).touchAction") == "pan-y"
        press(root, "draw")
        assert area.evaluate("e => getComputedStyle(e).touchAction") == "none"
        box = area.bounding_box()
        root.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert len(values(root)["centres"]) == 9
    finally:
        context.close()


def test_by_keyboard_alone(page):
    root = show(page, Game("one"))
    page.evaluate("window.seen = []; document.addEventListener('keydown', (event) => seen.push(event.key))")
    sheet = root.get_by_role("application")
    for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowUp", "Enter"):
        sheet.press(key)
    v = values(root)
    assert v["cursor"] == [-0.25, 0.3] and v["centres"] == [[1.5, 1], [-0.25, 0.3]]
    assert "(−0.25, 0.30)" in sheet.get_attribute("aria-label")
    sheet.press("Space")
    assert values(root)["centres"] == [[1.5, 1]] and set(page.evaluate("seen")) == {"Shift"}
    first = root.get_by_role("slider").first
    assert first.get_attribute("aria-valuetext") == "0.002"
    first.press("End")
    assert values(root)["lr"] == [0.05, 0.002] and first.get_attribute("aria-valuetext") == "0.05"
    last = root.get_by_role("slider").last
    assert last.get_attribute("aria-valuetext") == "0.1, but there is no penalty"
    button(root, "1 critic step").focus()
    page.keyboard.press("Enter")
    assert values(root)["steps"] == [1, 0]
    page.wait_for_function("document.querySelector('[role=status]').textContent.includes('of 1 mode')")
    assert root.get_by_role("status").text_content() == sentence(root)


def test_play_rests_when_nobody_looks(page):
    root = stopped(page, Game(batch=4, hidden=(4,)))
    press(root, "play")
    page.clock.run_for(160)
    before = values(root)["rounds"]
    assert before > 0 and values(root)["playing"] and "weights" not in values(root)
    page.evaluate("document.querySelector('main').style.marginTop = '5000px'")
    page.evaluate("new Promise((done) => new IntersectionObserver(done).observe(document.querySelector('.dgm-stage')))")
    page.clock.run_for(1600)
    assert values(root)["rounds"] == before or values(root)["rounds"] <= before + 4 * FRAME  # not drawn yet
    rested = values(root)["rounds"]
    page.clock.run_for(1600)
    assert values(root)["rounds"] == rested
    page.evaluate("document.querySelector('main').style.marginTop = 0")
    page.evaluate("new Promise((done) => new IntersectionObserver(done).observe(document.querySelector('.dgm-stage')))")
    page.clock.run_for(1600)
    assert values(root)["rounds"] >= rested + 80 * FRAME
    page.evaluate("remove()")
    after = values(root)["rounds"]
    page.clock.run_for(1600)
    assert values(root)["rounds"] == after and page.evaluate("Object.values(listeners).flat().length") == 0


def test_play_is_drawn_once_a_second_for_those_who_ask_for_less_motion(page):
    page.emulate_media(reduced_motion="reduce")
    root = stopped(page, Game(batch=4, hidden=(4,)))
    press(root, "play")
    seen = set()
    for _ in range(30):
        page.clock.run_for(100)
        seen.add(values(root)["rounds"])
    assert 2 <= len(seen) <= 5 and max(seen) > 100


def test_the_task_has_its_answer(page):
    root = stopped(page, Game())
    v = rounds(page, root, 1000)
    assert v["covered"] == 8 and v["good"] > 0.5
    press(root, "1 : 5")
    v = rounds(page, root, 200)
    assert v["covered"] == 8  # what has been learned is not lost so easily
    press(root, "reset")
    press(root, "1 : 5")
    v = rounds(page, root, 200)
    assert v["covered"] <= 1 and v["breadth"] < 0.3 and sentence(root).startswith("Collapsed")
    press(root, "1 : 1")
    v = rounds(page, root, 1000)
    assert v["covered"] >= 7 and v["good"] > 0.45 and "Collapsed" not in sentence(root)


def test_only_the_saturating_arrows_vanish(page):
    root = stopped(page, Game("one", objective="minimax"))
    press(root, "1 : 0")
    v = rounds(page, root, 400)
    assert v["steps"] == [400, 0] and 0 < v["push"] < 0.02 and "arrows have vanished" in sentence(root)
    assert "10⁻" in root.locator(".dgm-figures").inner_text()
    press(root, "non-saturating")
    assert values(root)["push"] > 1 and "vanished" not in sentence(root)


PLACES = {"ring": Game(), "spiral": Game("spiral", objective="wasserstein", penalty="gradient")}


@pytest.mark.parametrize("width, dark", [(296, False), (390, True), (900, False)])
@pytest.mark.parametrize("widget", PLACES.values(), ids=PLACES)
def test_fits_and_is_accessible(page, widget, width, dark):
    page.set_viewport_size({"width": width, "height": 800})
    root = show(page, widget, dark)
    for name in ("1 critic step", "1 generator step", "draw"):
        press(root, name)
    root.get_by_role("application").press("ArrowUp")
    root.get_by_role("slider").last.press("End")
    in_its_frame(root)
    fits(page, root, width)


@pytest.mark.parametrize("widget", PLACES.values(), ids=PLACES)
def test_fits_a_slide(page, widget):
    root = on_a_slide(page, widget)
    for name in ("1 critic step", "1 generator step"):
        press(root, name)
    assert root.evaluate("e => e.getBoundingClientRect().bottom") <= 700
    in_its_frame(root)
