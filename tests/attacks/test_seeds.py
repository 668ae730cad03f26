"""Where random numbers come from: a generator, or a whole number that seeds one, and nothing else."""

from functools import partial

import numpy as np
import pytest
from every_attack import EVERY, ONE_PIXEL

from scratchadv import checks
from scratchadv.attacks import fab, one_pixel, pgd, substitute, train_atn, universal, universal_gradient
from scratchadv.attacks.unrecognisable.encodings import Direct
from scratchadv.attacks.unrecognisable.map_elites import map_elites
from scratchadv.evaluate import report, signs_of_masking
from scratchadv.models import MLP
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L0, L2, Linf
from scratchadv.testing.models import SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = SmallNetwork((4,), 3, seed=3)
X = np.random.default_rng(0).random((5, 4))
Y = labels_of(NETWORK.logits(X))
RANDOM = {
    name: lambda rng, attack=attack: attack(NETWORK, X, Y, attack.ball.within(0, 1), rng=rng)
    for name, attack in (EVERY | ONE_PIXEL).items()
    if attack.random
} | {
    "fab, restarts": lambda rng: fab(NETWORK, X, Y, steps=5, restarts=3, eps=0.5, rng=rng),
    "universal": lambda rng: universal(NETWORK, X, L2(0.5), passes=2, rate=1.0, rng=rng),
    "universal_gradient": lambda rng: universal_gradient(NETWORK, X, Y, L2(0.5), batch_size=2, rng=rng),
    "signs_of_masking": lambda rng: [str(s) for s in signs_of_masking(NETWORK, X, Y, Linf(0.3), steps=2, rng=rng)],
    "map_elites": lambda rng: map_elites(NETWORK, Direct((4,)), generations=2, children=5, rng=rng).x,
    "substitute": lambda rng: (
        substitute(NETWORK, MLP((4, 3)), X.astype("f4"), lambda *given: None, rounds=3, sigma=1, kappa=2, rng=rng).x
    ),
    "train_atn": lambda rng: train_atn([NETWORK], X, epochs=1, rng=rng, progress=False)(X),
}
REQUIRED = {name for name, attack in (EVERY | ONE_PIXEL).items() if attack.random} - {"pgd, restarts", "apgd, restarts"}


@pytest.mark.parametrize("name", RANDOM)
def test_a_whole_number_seeds_a_generator(name):
    """rng=7 is rng=np.random.default_rng(7), as an int of Python or NumPy, and every call starts from the seed"""
    expected = RANDOM[name](np.random.default_rng(7))
    for seed in (7, np.int64(7), np.uint8(7), 7):
        np.testing.assert_array_equal(RANDOM[name](seed), expected)


def test_a_seed_is_a_whole_number_below_2_to_63():
    """rng = 2⁶³ − 1 is the generator with that seed; 10⁴⁰⁰ is refused like any other number of that size"""
    found = RANDOM["square"](2**63 - 1)
    np.testing.assert_array_equal(found, RANDOM["square"](np.random.default_rng(2**63 - 1)))
    with pytest.raises(ValueError, match=r"rng = 1000+… must be below 2\*\*63"):
        RANDOM["square"](10**400)


def test_seeds_matter():
    """Different seeds give different δ"""
    for name in ("pgd, restarts", "fgsm_random_start", "square", "genattack", "nes", "boundary"):
        assert (RANDOM[name](1) != RANDOM[name](2)).any(), name


WRONG = {
    "the class": (np.random.Generator, TypeError),
    "the function": (np.random.default_rng, TypeError),
    "the old kind": (np.random.RandomState(0), TypeError),
    "a module": (np.random, TypeError),
    "a bit generator": (np.random.PCG64(0), TypeError),
    "a float": (0.5, TypeError),
    "a whole float": (1.0, TypeError),
    "text": ("0", TypeError),
    "a bool": (True, TypeError),
    "an array": (np.array([1, 2]), TypeError),
    "negative": (-1, ValueError),
}


@pytest.mark.parametrize("name", RANDOM)
def test_what_is_no_source_of_random_numbers_is_refused(name):
    """Classes, floats, text, bools, negative seeds: a TypeError or ValueError that names rng"""
    for value, error in WRONG.values():
        with pytest.raises(error, match=r"^rng "):
            RANDOM[name](value)


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_source_is_refused_where_it_is_needed(name):
    """rng=None: a TypeError or ValueError that names rng"""
    with pytest.raises((TypeError, ValueError), match="rng"):
        RANDOM[name](None)


def test_restarts_need_a_source():
    """pgd, apgd and fab with restarts and neither rng nor start: a ValueError that names rng"""
    for attack in (partial(pgd, restarts=2), EVERY["apgd"].function):
        with pytest.raises(ValueError, match="rng"):
            attack(NETWORK, X, Y, L2(0.1), restarts=2)
    with pytest.raises(ValueError, match="rng"):
        fab(NETWORK, X, Y, restarts=2, eps=0.5)


def test_both_rng_and_seeds_are_refused():
    """rng and seeds cannot both be given"""
    with pytest.raises(ValueError, match=r"rng or seeds"):
        EVERY["square"](NETWORK, X, Y, rng=0, seeds=np.arange(5))


@pytest.mark.parametrize(
    "seeds",
    [np.arange(4), np.arange(6), np.arange(5.0), "01234", 3, np.ones((5, 1), int), [0, 1, 2, 3, None]],
    ids=repr,
)
def test_seeds_that_are_not_one_whole_number_an_example_are_refused(seeds):
    """seeds: a TypeError or ValueError that names them"""
    with pytest.raises((TypeError, ValueError), match=r"^seeds "):
        EVERY["square"](NETWORK, X, Y, seeds=seeds)


def test_seeds_of_any_width():
    """seeds may be a list, int32 or uint64, with the same draws"""
    expected = EVERY["square"](NETWORK, X, Y, seeds=np.arange(5))
    for seeds in (list(range(5)), tuple(range(5)), np.arange(5, dtype="i4"), np.arange(5, dtype="u8")):
        np.testing.assert_array_equal(EVERY["square"](NETWORK, X, Y, seeds=seeds), expected)


def test_the_check_itself():
    """checks.rng: a generator is returned as it is, a seed becomes a new generator"""
    generator = np.random.default_rng(0)
    assert checks.rng("rng", generator) is generator
    assert checks.rng("rng", 3).random() == np.random.default_rng(3).random()


def test_a_report_takes_a_seed(tmp_path):
    """report(rng=0)"""
    assert report(tmp_path / "r.html", NETWORK, X, Y, Linf(0.1), [pgd], eps=[0.1], rng=0).worst.delta.shape == X.shape


# Other arguments that used to cause a crash or an endless loop


def test_a_substitute_goes_on_where_no_point_is_new():
    """A step that leads back to known points adds none: the rounds go on and the sizes show it"""
    x = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    corners = MLP((2, 3), rng=np.random.default_rng(1))
    seen = []
    found = substitute(corners, MLP((2, 3)), x, lambda model, x, y: seen.append(len(x)), rounds=4, step=1.0)
    assert found.sizes == seen
    assert len(np.unique(found.x, axis=0)) == len(found.x) == found.queries
    assert len(found.x) <= 4  # there are no more corners
    flat = MLP((2, 3))
    flat.params = {name: 0 * value for name, value in flat.params.items()}
    assert substitute(flat, flat, x, lambda *given: None, rounds=3).sizes == [2, 2, 2]  # no slope at all


@pytest.mark.parametrize("name", EVERY | ONE_PIXEL)
def test_one_column_of_logits_is_refused(name):
    """Logits of shape (N, 1) are ambiguous: a ValueError that names the shape"""

    class OneColumn(SmallNetwork):
        def __init__(self):
            super().__init__((4,), 1, 0)

    attack = (EVERY | ONE_PIXEL)[name]
    if attack.needs == "labels":
        pytest.skip("only labels are asked for")
    with pytest.raises(ValueError, match=r"logits of the model have shape \(\d, 1\)"):
        attack(OneColumn(), X, np.zeros(5, int), attack.ball.within(0, 1))


@pytest.mark.parametrize("k", [4, 5, 100, 2**40])
@pytest.mark.parametrize("solver", ["batched", "scipy"])
def test_more_pixels_than_there_are_end(solver, k):
    """one_pixel with k at or above the number of components ends, and is the same as with all pixels"""
    options = {"queries": 40, "population": 8, "rng": 0, "solver": solver}
    found, all_of_them = (one_pixel(NETWORK, X, Y, L0(n).within(0, 1), **options) for n in (k, 4))
    np.testing.assert_array_equal(found, all_of_them)


HUGE = 10**400


def test_a_number_beyond_all_floats_is_refused():
    """10**400 as a radius, a bound, a step size, a number of steps: a ValueError that names it"""
    for name, call in {
        "eps": lambda: Linf(HUGE),
        "k": lambda: L0(HUGE),
        "the upper end of the box": lambda: Linf(0.1).within(0, HUGE),
        "the lower end of the box": lambda: Linf(0.1).within(-HUGE, 1),
        "alpha": lambda: pgd(NETWORK, X, Y, Linf(0.1), alpha=HUGE),
        "steps": lambda: pgd(NETWORK, X, Y, Linf(0.1), steps=HUGE),
        "restarts": lambda: pgd(NETWORK, X, Y, Linf(0.1), restarts=HUGE, rng=0),
        "queries": lambda: EVERY["square"].function(NETWORK, X, Y, Linf(0.1), rng=0, queries=HUGE),
        "overshoot": lambda: EVERY["deepfool"](NETWORK, X, Y, overshoot=HUGE),
        "bits": lambda: report("r.html", NETWORK, X, Y, Linf(0.1), [pgd], bits=HUGE),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} "):
            call()
