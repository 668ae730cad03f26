"""Laws about what δ depends on: on the seed and the example, but not on the batch. More restarts can only help."""

import numpy as np

from .attack_cases import ordinary, with_other_mates
from .hold import Broken, law
from .measures import alike, brief, delta_inside, now_fooled, slack, some, value
from .promise import LAWS, row_of, told


@law(LAWS, ordinary)
def the_same_again(promise, case):
    """Two calls attack(x), with the same seed if there is an rng, return the same δ."""
    first, second = promise(case), promise(case)
    if not np.array_equal(first, second):
        given_ = f"the seed {case.seed}" if promise.random else "the same arguments"
        raise Broken(f"{given_} gave δ = {brief(first)} first, and then another δ", **told(case, second))


@law(LAWS, ordinary, "restarts")
def more_restarts_are_not_weaker(promise, case):
    """L(δ of three restarts) >= L(δ of one), unless only the former fools the model; the first start is the same."""
    one, three = promise(case, restarts=1), promise(case, restarts=3)
    before, after = value(promise, case, one), value(promise, case, three)
    worse = some((after < before - slack(case, before)) & ~now_fooled(case, one, three))
    if worse:
        at = told(row_of(case, worse), three[worse])
        raise Broken(f"one start gives the loss {brief(before[worse])}, but three give {brief(after[worse])}", **at)


@law(LAWS, with_other_mates)
def batch_mates_do_not_matter(promise, case):
    """With the same seed, δ of the first example is the same, whatever the other examples are."""
    among, others = promise(case)[:1], promise(case.more)[:1]
    if not alike(among, others, case):
        raise Broken(
            f"δ of the first example becomes {brief(others)} if the other examples are {brief(case.more.x[1:])} with "
            f"the labels {brief(case.more.y[1:])}",
            **told(case, among),
        )


@law(LAWS, ordinary, "repeatable")
def order_and_split_do_not_matter(promise, case):
    """attack(x[π]) = attack(x)[π], and attacking a batch = attacking its examples one by one.

    Random attacks are exempt: they draw row after row, so what is drawn for an example depends on its place.
    """
    whole = promise(case)
    turned = promise(row_of(case, slice(None, None, -1)))[::-1]
    parts = np.concatenate([promise(row_of(case, slice(i, i + 1))) for i in range(len(case.x))])
    for how, other in (("in reverse order", turned), ("one by one", parts)):
        if not alike(whole, other, case):
            raise Broken(f"attacked {how}, the examples get another δ, {brief(other)}", **told(case, whole))


@law(LAWS, ordinary)
def one_example_will_do(promise, case):
    """attack(x[:1]) is one δ inside Δ(x[:1])."""
    delta_inside(promise, row_of(case, slice(0, 1)))
