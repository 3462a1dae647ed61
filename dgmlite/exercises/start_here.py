"""Exercises of the chapter "Start here"."""

import math

from dgmlite.exercises import Exercise


def _bits(nats, dimensions):
    return nats / (dimensions * math.log(2))


EXERCISES = {
    1: Exercise(
        right=64 * math.log(17),
        mistakes=(
            (64 * math.log2(17), "that is in bits: the natural logarithm gives nats"),
            (math.log(17), "that is one pixel; an image has 64 of them, and their surprises add up"),
            (64 * math.log(16), "count the grey levels again: 0 to 16 is one more than 16"),
            (-64 * math.log(17), "the sign: a probability is below one, so its surprise, −log p, is positive"),
            (17.0**-64, "that is the probability; the surprise is −log of it"),
        ),
        praise="A model has to get below this to know anything at all about digits.",
        tolerance=1e-3,
    ),
    2: Exercise(
        right=_bits,
        probes=((181.3, 64), (90.0, 64), (10.0, 2)),
        mistakes=(
            (lambda nats, dimensions: nats / dimensions, "that is nats per dimension: one bit is log 2 nats"),
            (lambda nats, dimensions: nats * math.log(2) / dimensions, "divide by log 2: a bit is *less* than a nat"),
            (lambda nats, dimensions: nats / math.log(2), "that is bits for the whole image, not for one dimension"),
            (
                lambda nats, dimensions: math.log2(nats) / dimensions,
                "the surprise is already a logarithm: rescale it, do not take its logarithm again",
            ),
        ),
        praise="This is the unit in which models of images of different sizes are compared.",
    ),
    3: Exercise(
        right=lambda p: abs(sum(p) - 1) < 1e-6 and min(p) >= 0,
        probes=(
            ([0.5, 0.5],),
            ([0.2, 0.3, 0.5],),
            ([0.5, 0.6],),
            ([1.2, -0.2],),
            ([0.1] * 10,),
            ([0.25, 0.25],),
            ([1.0],),
        ),
        mistakes=(
            (
                lambda p: sum(p) == 1,
                "exact equality fails by rounding: ten times 0.1 is not 1.0 in floating point; and "
                "look at negative entries",
            ),
            (lambda p: abs(sum(p) - 1) < 1e-6, "[1.2, −0.2] sums to one too: what else must hold of a probability?"),
            (lambda p: min(p) >= 0, "no entry is negative, but do they sum to one?"),
            (lambda p: sum(p) <= 1 + 1e-6, "a sum below one is wrong too: some state's probability has been lost"),
            (lambda p: abs(sum(p) - 1) > 1e-6, "the other way round: True should mean that p is a distribution"),
        ),
        praise="A line that catches a whole family of bugs.",
    ),
}
