"""Five families of generative models: what each offers, and ten needs that each tell two of them apart."""

import traitlets as t

from dgmlite.reproduce import results
from dgmlite.widgets.base import _HERE, Widget, sentence

# What can be asked of a family: in words, in short, and what to add when a family remains.
NEEDS = {
    "exact": ("exact likelihood", "exact", {"flow": "A flow’s is exact for continuous data, a bound for levels."}),
    "number": ("a likelihood, exact or a bound", "a number", {}),
    "one pass": ("sampling in one pass", "one pass", {
        "flow": "Flows: those with couplings.", "latent variable": "VAEs: if the decoder draws all pixels at once.",
    }),
    "code": ("a code for a given x", "a code", {}),
    "any network": ("any network architecture", "any network", {}),
    "steady": ("steady training", "steady", {}),
}  # fmt: skip

# Each cell: its words, then what it offers. Cards show the words; buttons and questions go by what is offered: NEEDS,
# and exact probabilities of levels, or of the next value; a code that inverts, or a small one; E[clean x | noisy x].
ROWS = ("likelihood", "to score one x", "to sample", "code", "network", "in practice")
FAMILIES = {
    "autoregressive": (
        ("exact, also of integer levels", "exact", "number", "levels"),
        ("one pass: the probability of each value, given those before", "next"),
        ("D steps in a row, one for each value",), ("none: nothing is summarised",), ("causal, in one fixed order",),
        ("trains steadily; slow to sample; completes easily only what is last in its order", "steady"),
    ),
    "flow": (
        ("exact for continuous data; for levels, with noise added, a bound", "exact", "number"),
        ("one pass, with log-determinants",), ("one pass back, if made of couplings", "one pass"),
        ("z, as large as x; gives x back exactly, but for rounding", "code", "invert"),
        ("invertible, with a cheap determinant",),
        ("trains steadily; summarises nothing; leaves thin bridges between islands", "steady"),
    ),
    "latent variable": (
        ("a bound: the ELBO", "number"), ("encoder and decoder for a draw of z; many draws for a tighter bound",),
        ("one pass: draw z, decode, draw x given z", "one pass"),
        ("z, usually much smaller than x; an approximate posterior", "code", "small"),
        ("any, but a posterior must be approximated, and x given z needs a likelihood", "any network"),
        ("trains steadily; a strong decoder may ignore z, a weak one leaves grain or blur", "steady"),
    ),
    "diffusion": (
        ("a bound: the ELBO", "number"), ("a pass for each of T steps; an estimate takes fewer",),
        ("tens to a thousand passes in a row",),
        ("none to speak of: noise as large as x, made by a fixed rule, with hardly a trace of x",),
        ("any: the noising is fixed, the network removes noise", "any network", "denoise"),
        ("trains steadily; slow to sample; with few steps, worse samples", "steady"),
    ),
    "implicit": (
        ("none, and no bound",), ("cannot be done; samples are scored instead",), ("one pass", "one pass"),
        ("noise goes in, but there is no encoder",), ("any, but a game of two has to be balanced", "any network"),
        ("steady only with care; kinds of data can go missing, and no loss need tell",),
    ),
}  # fmt: skip
SCORES = ("precision", "recall")  # of what has no likelihood
# What follows the name, the chapter, its file, and the stored table and model of the measured row.
CHAPTERS = {
    "autoregressive": ("", "Autoregressive models", "2_autoregressive/1_autoregressive", "autoregressive", "PixelCNN"),
    "flow": ("", "RealNVP", "3_flows/2_realnvp", "flows", "RealNVP"),
    "latent variable": (" (VAE)", "Variational autoencoders", "4_latent/2_vae", "vae", "VAE"),
    "diffusion": ("", "Diffusion models", "5_diffusion/1_ddpm", "diffusion", "DDPM"),
    "implicit": (" (GAN)", "Generative adversarial networks", "6_implicit/1_gan", "gan", "GAN"),
}

# Two families in the order of their buttons, what is needed, the need in words, and why one of them does not do.
QUESTIONS = [
    (("flow", "autoregressive"), ("exact", "one pass"),
     "An observation is 1,000 real numbers. You need its exact density, and new ones in one pass of the network.",
     "Both say the density. But an autoregressive model draws the numbers one after the other, and a flow with "
     "couplings all in one pass."),
    (("autoregressive", "implicit"), ("one pass",),
     "On a phone, one pass of a network has to be enough for a new picture. Nobody will ask how probable it is.",
     "A GAN’s generator makes all pixels in one pass. An autoregressive model takes a step for each; the exact "
     "likelihood that this buys is not asked for."),
    (("latent variable", "autoregressive"), ("levels",),
     "Each image of integer levels becomes a file of its own, lossless, hardly longer than the model’s −log p(x).",
     "The autoregressive model tells a coder the exact probability of each level, given those before. The VAE knows a"
     " bound on p(x); bits-back coding reaches that, and needs other bits to begin with."),
    (("latent variable", "flow"), ("small",),
     "You want to see 10,000 pictures as dots on one map: the model itself should give two numbers for each.",
     "A VAE’s code may have two dimensions. A flow’s z has as many numbers as the picture: what is invertible leaves "
     "none out."),
    (("latent variable", "diffusion"), ("denoise",),
     "Photographs carry normal noise, each of another known strength. You need the mean of the clean ones that fit.",
     "A diffusion model’s network is trained for just that, at every strength: the mean of x given a noisy x. A VAE’s"
     " networks are not."),
    (("flow", "diffusion"), ("invert", "one pass"),
     "You edit pictures by a code, made in one pass. A code left alone must give back its picture, but for rounding.",
     "A flow is invertible: one pass there, one back. A diffusion model adds fresh noise on the way to its z; run "
     "without fresh noise it can be turned round, but only nearly and in many passes."),
    (("autoregressive", "diffusion"), ("next",),
     "A sensor sends integers. After each, you need the exact probability of every possible next, given all before.",
     "Such probabilities are what an autoregressive model is made of. A diffusion model makes all values together and"
     " has no formula for one of them given those before."),
    (("implicit", "latent variable"), ("code",),
     "You are given two photographs, and want a path between them through codes that the model computes for both.",
     "A VAE has an encoder for both, and its decoder shows what lies between. A GAN has none: for each photograph you"
     " would have to search, or to train another network."),
    (("diffusion", "implicit"), ("number",),
     "Some findings are rare. For each test image a number should warn you if the model has forgotten its kind.",
     "A diffusion model bounds the likelihood of each image; one of a forgotten kind would cost many nats. A GAN may "
     "drop a kind, and has no likelihood to show it."),
    (("flow", "implicit"), ("any network", "one pass"),
     "100 random numbers become a large picture in one pass, by whatever layers you like. No likelihood is needed.",
     "A GAN’s generator may be any network that can be trained by slopes. A flow’s z must be as large as the picture,"
     " and each of its layers invertible with a cheap determinant."),
]  # fmt: skip


def offers(family: str) -> set[str]:
    """Return all that a family offers."""
    return {offer for cell in FAMILIES[family] for offer in cell[1:]}


def measured(family: str) -> dict:
    """Return the digits' row: model, nats of a test image (mean over seeds) and their kind; without any, scores."""
    *_, table, model = CHAPTERS[family]
    row, has = results(f"digits_{table}")["models"][model], offers(family)
    if "number" not in has:
        return {"model": model, "kind": "none", "nats": None, **{k: row[f"test, {k}"]["mean"] for k in SCORES}}
    return {"model": model, "kind": "exact" if "levels" in has else "bound", "nats": row["test"]["mean"]}


class Families(Widget):
    """The five families of generative models: a card for each, a question on each pair, and a choice by needs.

    Task: answer the ten questions. Then: which two of the six needs does no family meet together?

    needs: the buttons pressed at first, keys of `NEEDS`. task: the sentence above the picture; "" for none. Cards show
    `FAMILIES`, and what the stored tables say of the digits; just one family of a question offers what it asks for, and
    the first answer counts. `opened` (a family, or "question 1" to "question 10"), `answers` and `needs` follow the
    learner. Raises ValueError or TypeError for what does not fit.

    >>> Families(needs=["exact", "one pass"])
    Families(needs=['exact', 'one pass'])
    """

    families = t.List(t.Dict()).tag(sync=True)
    choices = t.List(t.List()).tag(sync=True)
    questions = t.List(t.Dict()).tag(sync=True)
    opened = t.Unicode("autoregressive").tag(sync=True)
    answers = t.List(t.Unicode()).tag(sync=True)
    needs = t.List(t.Unicode()).tag(sync=True)
    initial = t.List(t.Unicode()).tag(sync=True)
    task = t.Unicode().tag(sync=True)
    _script, _shown = "families.js", ("needs",)
    _css = Widget._css + (_HERE / "families.css").read_text(encoding="utf8")

    def __init__(self, needs=(), task=None):
        if not isinstance(needs, (list, tuple)) or not all(isinstance(need, str) for need in needs):
            raise TypeError(f"needs must be a list of strings, got {needs!r:.60}")
        if not set(needs) <= set(NEEDS) or len(set(needs)) < len(needs):
            raise ValueError(f"needs must be different ones of {', '.join(NEEDS)}, got {list(needs)!r:.60}")
        default = "answer the ten questions. Then: which two of the six needs does no family meet together?"
        families = [
            {"name": name, "long": name + more, "title": title, "path": path, "offers": sorted(offers(name))}
            | {"rows": [[row, cell[0]] for row, cell in zip(ROWS, FAMILIES[name])], "measured": measured(name)}
            for name, (more, title, path, *_) in CHAPTERS.items()
        ]
        questions = [
            {"pair": list(pair), "right": next(f for f in pair if offers(f) >= set(asked)), "need": need, "why": why}
            for pair, asked, need, why in QUESTIONS
        ]
        choices, answers, needs = [[key, *words] for key, words in NEEDS.items()], [""] * len(QUESTIONS), list(needs)
        fixed = {"families": families, "choices": choices, "questions": questions, "task": sentence(task, default)}
        super().__init__(**fixed, answers=answers, needs=needs, initial=needs)
