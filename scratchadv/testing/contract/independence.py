"""Laws about what δ may depend on: the seed and the example, but not the batch; and more restarts only help."""

import numpy as np

from .attack_cases import ordinary, with_other_mates
from .hold import Broken, law
from .measures import alike, brief, delta_inside, now_fooled, slack, some, value
from .promise import LAWS, row_of, told


@law(LAWS, ordinary)
def the_same_again(promise, case):
    """attack(x, rng seeded with s) twice gives one δ; without rng, attack(x) twice."""
    first, second = promise(case), promise(case)
    if not np.array_equal(first, second):
        given_ = f"the seed {case.seed}" if promise.random else "the same arguments"
        raise Broken(f"{given_} gave δ = {brief(first)}, and then another", **told(case, second))


@law(LAWS, ordinary, "restarts")
def more_restarts_are_not_weaker(promise, case):
    """L(δ of three restarts) >= L(δ of one), or they fool and it does not; the first start is the same."""
    one, three = promise(case, restarts=1), promise(case, restarts=3)
    before, after = value(promise, case, one), value(promise, case, three)
    worse = some((after < before - slack(case, before)) & ~now_fooled(case, one, three))
    if worse:
        at = told(row_of(case, worse), three[worse])
        raise Broken(f"one start gives the loss {brief(before[worse])}, three give {brief(after[worse])}", **at)


@law(LAWS, with_other_mates)
def batch_mates_do_not_matter(promise, case):
    """δ of the first example is the same, whatever the other examples are; given the same seed."""
    among, others = promise(case)[:1], promise(case.more)[:1]
    if not alike(among, others, case):
        raise Broken(
            f"δ of the first example is {brief(others)} beside x' = {brief(case.more.x[1:])} with the labels "
            f"{brief(case.more.y[1:])}, and another beside the rest of x",
            **told(case, among),
        )


@law(LAWS, ordinary, "repeatable")
def order_and_split_do_not_matter(promise, case):
    """attack(x[π]) = attack(x)[π], and the batch = its examples one by one.

    Not for random attacks, which draw row after row: an example's draws depend on where it stands.
    """
    whole = promise(case)
    turned = promise(row_of(case, slice(None, None, -1)))[::-1]
    parts = np.concatenate([promise(row_of(case, slice(i, i + 1))) for i in range(len(case.x))])
    for how, other in (("back to front", turned), ("one by one", parts)):
        if not alike(whole, other, case):
            raise Broken(f"{how}, δ = {brief(other)}, and another in one batch", **told(case, whole))


@law(LAWS, ordinary)
def one_example_will_do(promise, case):
    """attack(x[:1]) is one δ inside Δ(x[:1])."""
    delta_inside(promise, row_of(case, slice(0, 1)))
