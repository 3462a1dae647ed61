"""Pictures to push: they compute in the browser, so they work in JupyterLab, on the page, in slides and offline."""

from dgmlite.widgets.bend import Bend
from dgmlite.widgets.clouds import Clouds
from dgmlite.widgets.coder import RangeCoder
from dgmlite.widgets.completion import Completion
from dgmlite.widgets.diffusion import Diffusion
from dgmlite.widgets.duel import Duel
from dgmlite.widgets.elbo import ElboSplit
from dgmlite.widgets.entropy import SurpriseEntropy
from dgmlite.widgets.families import Families
from dgmlite.widgets.field import ReceptiveField
from dgmlite.widgets.game import Game
from dgmlite.widgets.guide import Guide
from dgmlite.widgets.joint import JointTable
from dgmlite.widgets.kl import TwoDensities
from dgmlite.widgets.morph import Morph
from dgmlite.widgets.noising import Noising
from dgmlite.widgets.pad import LatentPad
from dgmlite.widgets.plane import LatentPlane
from dgmlite.widgets.reparam import Reparameterise
from dgmlite.widgets.reverse_step import ReverseStep
from dgmlite.widgets.scores import Scores

__all__ = [
    "Bend",
    "Clouds",
    "Completion",
    "Diffusion",
    "Duel",
    "ElboSplit",
    "Families",
    "Game",
    "Guide",
    "JointTable",
    "LatentPad",
    "LatentPlane",
    "Morph",
    "Noising",
    "RangeCoder",
    "ReceptiveField",
    "Reparameterise",
    "ReverseStep",
    "Scores",
    "SurpriseEntropy",
    "TwoDensities",
]
