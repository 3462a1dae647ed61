"""What torch.distributions lacks: distributions on the integer levels of an image, and how levels enter a network."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, Distribution, constraints


def thermometer(x: Tensor, levels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return levels (…) as (…, levels − 1): ones for x ≥ 1, …, x ≥ x and zeros beyond, so that neighbours look alike.

    >>> thermometer(torch.tensor([0, 2]), 3).tolist()
    [[0.0, 0.0], [1.0, 1.0]]
    """
    return (x[..., None] > torch.arange(levels - 1, device=x.device)).to(dtype)


class Levels(Categorical):
    """Any distribution on the levels 0 … L−1, its parameters the differences of neighbouring logits.

    logit_l = (θ_0 + … + θ_l) / √L for parameters θ of shape (…, L): neighbouring levels share all but one of them, and
    a parameter that grows makes all levels from there on more probable. The mean is in levels.

    Source: Agresti 2013, Categorical Data Analysis, adjacent-categories logits.

    >>> p = Levels(Levels.start(torch.tensor([[0], [0], [2]]), levels=3))
    >>> p.probs  # (1, 3): the frequencies, one example added to each level
    tensor([[0.5000, 0.1667, 0.3333]])
    """

    def __init__(self, parameters: Tensor):
        super().__init__(logits=parameters.cumsum(-1) * parameters.shape[-1] ** -0.5, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.probs @ torch.arange(self.probs.shape[-1], dtype=self.probs.dtype, device=self.probs.device)

    @staticmethod
    def start(x: Tensor, levels: int) -> Tensor:
        """Return the parameters (…, L) that give the frequencies in x (N, …), one added to each level's count."""
        counts = F.one_hot(x.long(), levels).sum(0) + 1.0
        logits = (counts / counts.sum(-1, keepdim=True)).log()
        return logits.diff(dim=-1, prepend=torch.zeros_like(logits[..., :1])) / levels**-0.5


class DiscretisedLogistic(Distribution):
    """A mixture of logistic distributions on the reals, rounded to the levels 0 … L−1.

    P(x) = Σ_j w_j [σ((x + ½ − m_j) / s_j) − σ((x − ½ − m_j) / s_j)], where the lowest level also takes all mass below
    it and the highest all above. Parameters (…, 3·J): logits of w; (m + ½) / L; log s, which is kept in [−10, 20]. The
    difference of the two σ is computed as σ(b) σ(−a) (1 − e^(a − b)), which holds its precision in the tails.

    Source: Kingma et al. 2016 (arXiv:1606.04934), section 5.2; Salimans et al. 2017, PixelCNN++ (arXiv:1701.05517),
    section 2.1.

    >>> p = DiscretisedLogistic(torch.tensor([0.0, 0.5, 0.0]), levels=5)  # one component in the middle
    >>> p.log_prob(torch.arange(5)).exp().sum()
    tensor(1.)
    """

    arg_constraints: ClassVar = {}
    support = constraints.nonnegative_integer

    def __init__(self, parameters: Tensor, levels: int):
        logits, loc, log_scale = parameters.chunk(3, -1)  # (…, J) each
        self.levels, self.log_weight, self.loc = levels, logits.log_softmax(-1), loc * levels - 0.5
        self.log_scale = log_scale.clamp(-10, 20)
        super().__init__(parameters.shape[:-1], validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log P(x) in nats, of the shape of x."""
        x, inverse = x[..., None], (-self.log_scale).exp()
        below, above = (x - 0.5 - self.loc) * inverse, (x + 0.5 - self.loc) * inverse
        lower = torch.where(x == 0, 0.0, F.logsigmoid(-below))
        upper = torch.where(x == self.levels - 1, 0.0, F.logsigmoid(above))
        inner = torch.where((x == 0) | (x == self.levels - 1), 0.0, (-torch.expm1(-inverse)).log())
        return (self.log_weight + lower + upper + inner).logsumexp(-1)

    def sample(self, sample_shape=()) -> Tensor:
        """Return draws, torch.long of shape (*sample_shape, …)."""
        which = Categorical(logits=self.log_weight).sample(sample_shape)[..., None]
        shape = (*which.shape[:-1], self.loc.shape[-1])
        loc, scale = (v.expand(shape).gather(-1, which)[..., 0] for v in (self.loc, self.log_scale.exp()))
        noise = torch.rand_like(loc).logit()  # at −∞ it is level 0
        return (loc + scale * noise).round().clamp(0, self.levels - 1).long()

    @staticmethod
    def start(x: Tensor, levels: int, components: int) -> Tensor:
        """Return parameters (…, 3·J): components spread over the range, each with its share of x, (N, …)."""
        loc = (torch.arange(components, device=x.device) + 0.5) / components
        nearest = ((x + 0.5) / levels * components).floor().long()
        logits = (F.one_hot(nearest, components).sum(0) + 1.0).log()
        scale = torch.full_like(logits, math.log(levels / components / 4))
        return torch.cat((logits, loc.expand_as(logits), scale), -1)

    @property
    def mean(self) -> Tensor:
        """Return the mean in levels."""
        values = torch.arange(self.levels, device=self.loc.device)
        shape = (self.levels, *[1] * len(self.batch_shape))
        return (self.log_prob(values.view(shape)).exp() * values.view(shape)).sum(0)
