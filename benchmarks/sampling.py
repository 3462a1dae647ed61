"""How much faster cached sampling is: python benchmarks/sampling.py [--images N]

For 64 pixels (8 × 8) and 784 (28 × 28), on one thread. The naive loop runs the whole network once for each pixel; three
of these runs are timed, since all cost the same.
"""

import argparse
import time

import torch

from dgmlite.models.autoregressive import MADE, NADE, CausalConv, CausalTransformer, LogisticAR, PixelCNN

LONG = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def models(side: int) -> dict:
    shape, levels, wide = (1, side, side), 17, max(500, side**2)
    return {
        "LogisticAR": LogisticAR(shape, levels),
        "MADE": MADE(shape, levels, hidden=(wide,)),
        "NADE": NADE(shape, levels),
        "CausalConv": CausalConv(shape, levels, dilations=LONG if side > 8 else LONG[:5]),
        "CausalTransformer": CausalTransformer(shape, levels),
        "PixelCNN": PixelCNN(shape, levels),
    }


@torch.no_grad()
def seconds(model, n: int, cache: bool) -> float:
    """For n images with a cache; without, D times one run of the whole network."""
    start = time.perf_counter()
    if cache:
        model.sample(n)
        return time.perf_counter() - start
    x = torch.zeros(n, *model.event_shape, dtype=torch.long)
    for _ in range(3):
        model.logits(x)
    return (time.perf_counter() - start) / 3 * len(model.order)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    images = parser.parse_args().images
    torch.set_num_threads(1)
    print(f"{'model':20}{'pixels':>8}{'naive, s':>11}{'cached, s':>11}{'times':>8}{'images/s':>10}")
    for side in (8, 28):
        for name, model in models(side).items():
            model.eval()
            model.sample(2)
            naive, cached = seconds(model, images, False), seconds(model, images, True)
            row = f"{naive:11.2f}{cached:11.3f}{naive / cached:8.0f}{images / cached:10.0f}"
            print(f"{name:20}{side**2:8}{row}", flush=True)


if __name__ == "__main__":
    main()
