"""How much faster cached sampling is: python -m benchmarks sampling

For 64 pixels (8 × 8) and 784 (28 × 28). The naive loop runs the whole network once for each pixel; one of these runs is
timed, since all cost the same, and counted as often.
"""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.turns import row, take_turns
from dgmlite.models.autoregressive import MADE, NADE, CausalConv, CausalTransformer, LogisticAR, PixelCNN

SIZES = {8: 100, 28: 25}  # side: images
LONG = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def models(side: int) -> dict:
    shape, levels, wide = (1, side, side), 17, max(500, side**2)
    return {
        "LogisticAR": lambda: LogisticAR(shape, levels),
        "MADE": lambda: MADE(shape, levels, hidden=(wide,)),
        "NADE": lambda: NADE(shape, levels),
        "CausalConv": lambda: CausalConv(shape, levels, dilations=LONG if side > 8 else LONG[:5]),
        "CausalTransformer": lambda: CausalTransformer(shape, levels),
        "PixelCNN": lambda: PixelCNN(shape, levels),
    }


@torch.no_grad()
def run(rounds: int) -> Iterator[dict]:
    for side, images in SIZES.items():
        for name, make in models(side).items():
            model = make().eval()
            if side <= 8:  # else drawing naively takes minutes
                torch.testing.assert_close(*(_seeded(model, cache) for cache in (True, False)))
            x = torch.zeros(images, *model.event_shape, dtype=torch.long)
            steps = {"cached": partial(model.sample, images), "naive": partial(model.logits, x)}
            times = take_turns(steps, max(3, rounds // 10), warm=1)
            naive = [seconds * len(model.order) for seconds in times["naive"]]
            yield row(f"{images} images of {side**2} pixels, {name}", "cached", "naive", times["cached"], naive)


def _seeded(model, cache: bool) -> torch.Tensor:
    torch.manual_seed(0)
    return model.sample(2, cache=cache)
