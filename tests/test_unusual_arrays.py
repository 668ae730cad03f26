"""Results do not depend on the kind of array, list or table that holds the labels and images."""

from functools import partial

import numpy as np
import pytest
from every_attack import EVERY, EXACT, LABELS, ONE_PIXEL, SCORES

from scratchadv import robust_logistic, training
from scratchadv.attacks import pgd, saliency_map, square
from scratchadv.evaluate import accuracy_over_eps, judge, over_steps, signs_of_masking, sweep, worst_case
from scratchadv.models import MLP
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L1, Linf
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

ATTACKS = EVERY | ONE_PIXEL
NETWORK = SmallNetwork((4,), 3, seed=3)
LINEAR = Linear([2.0, -1.0, 0.5, 1.0], -1.0)
X = np.random.default_rng(0).random((4, 4))
Y = labels_of(NETWORK.logits(X))
SIGNS = labels_of(LINEAR.logits(X))
THREAT = Linf(0.3).within(0, 1)

# The same labels


def series(y):
    """A column of a table with shuffled rows, so that its index is not the order of the labels."""
    pandas = pytest.importorskip("pandas")
    return pandas.Series(y, index=np.random.default_rng(1).permutation(len(y)))


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def strided(a):
    """A view of every second column of a wider array."""
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), a.flat[0], a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def backwards(a):
    """A view with a negative stride."""
    return a[::-1].copy()[::-1]


def swapped(a):
    """The array in the other byte order."""
    return a.astype(a.dtype.newbyteorder("S"))


SIGNED = {f"int{bits}": partial(np.asarray, dtype=f"int{bits}") for bits in (8, 16, 32, 64)}
UNSIGNED = {f"uint{bits}": partial(np.asarray, dtype=f"uint{bits}") for bits in (8, 16, 32, 64)}
LABEL_KINDS = SIGNED | {
    "list": lambda y: y.tolist(),
    "tuple": lambda y: tuple(y.tolist()),
    "list of NumPy numbers": list,
    "series": series,
    "narrow series": lambda y: series(y.astype("int8")),
    "read-only": read_only,
    "big-endian": swapped,
    "strided": strided,
    "backwards": backwards,
}
CLASS_KINDS = LABEL_KINDS | UNSIGNED


share = pytest.mark.parametrize(
    "step", [3, pytest.param(1, marks=pytest.mark.slow)], ids=["a third of the kinds", "all kinds"]
)


def some_of(kinds, name, step):
    """Every third kind, different ones for the next attack; with a step of 1 all kinds."""
    return list(kinds.items())[list(ATTACKS).index(name) % step if name in ATTACKS else 0 :: step]


def used(attack, model, y, **options):
    return attack(model, X, y, attack.ball.within(0, 1), **options)


@share
@pytest.mark.parametrize("name", ATTACKS)
def test_labels_of_any_kind_give_the_same_change(name, step):
    """attack(y) = attack(any array, list or series of the same classes), to the last bit"""
    expected = used(ATTACKS[name], NETWORK, Y)
    for kind, made in some_of(CLASS_KINDS, name, step):
        np.testing.assert_array_equal(used(ATTACKS[name], NETWORK, made(Y)), expected, err_msg=kind)


@share
@pytest.mark.parametrize("name", [*ATTACKS, "exact"])
def test_signs_of_any_kind_give_the_same_change(name, step):
    """The same holds for labels −1/+1 of a binary model, also as floats"""
    attack = (ATTACKS | {"exact": EXACT})[name]
    expected = used(attack, LINEAR, SIGNS)
    for kind, made in some_of(LABEL_KINDS | {"floats": partial(np.asarray, dtype="f4")}, name, step):
        np.testing.assert_array_equal(used(attack, LINEAR, made(SIGNS)), expected, err_msg=kind)


@pytest.mark.parametrize("name", [*ATTACKS, "exact"])
def test_unsigned_ones_are_plus_one(name):
    """Labels that are all +1 may be unsigned, and nothing wraps around to 255"""
    attack = (ATTACKS | {"exact": EXACT})[name]
    some = SIGNS == 1
    x, y = X[some], SIGNS[some]
    expected = attack(LINEAR, x, y, attack.ball.within(0, 1))
    for made in UNSIGNED.values():
        np.testing.assert_array_equal(attack(LINEAR, x, made(y), attack.ball.within(0, 1)), expected)


TARGETED = [name for name in ATTACKS if name not in ("standard", "universal", "universal_gradient")]


@share
@pytest.mark.parametrize("name", TARGETED)
def test_targets_of_any_kind_give_the_same_change(name, step):
    """attack(target=t) = attack(target=any array, list or series of the same classes)"""
    target = (Y + 1) % 3
    expected = used(ATTACKS[name], NETWORK, Y, target=target)
    for kind, made in some_of(CLASS_KINDS, name, step):
        np.testing.assert_array_equal(used(ATTACKS[name], NETWORK, Y, target=made(target)), expected, err_msg=kind)


@pytest.mark.parametrize("kind", CLASS_KINDS)
def test_labels_of_any_kind_are_judged_alike(kind):
    """judge, worst_case, curves, sweep, masking and saliency maps are the same for the same labels"""
    y, target, delta = CLASS_KINDS[kind](Y), CLASS_KINDS[kind]((Y + 1) % 3), np.full_like(X, 0.2) * (X > 0.3)
    delta = np.clip(delta, -X, 1 - X)
    attacks = [pgd, partial(square, queries=5, seeds=None, rng=0)]

    def numbers(y, target):
        judged = [judge(NETWORK, X, y, delta, THREAT, target=t) for t in (None, target)]
        yield from (getattr(j, field) for j in judged for field in ("success", "inside", "norm", "loss", "prediction"))
        worst = worst_case(NETWORK, X, y, THREAT, attacks)
        yield from (worst.standing, worst.delta)
        yield accuracy_over_eps(NETWORK, X, y, [THREAT.scaled(eps) for eps in (0.0, 0.1, 0.3)], [pgd]).stands
        steps = over_steps(NETWORK, X, y, THREAT, partial(pgd, steps=3))
        yield from (steps.loss, steps.stands)
        yield sweep([NETWORK], X, y, [THREAT], [pgd]).stands
        yield np.array([f.figure for f in signs_of_masking(NETWORK, X, y, THREAT, steps=3, trials=2)])
        yield saliency_map(NETWORK, X, target)

    for found, expected in zip(numbers(y, target), numbers(Y, (Y + 1) % 3), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_robust_regression_takes_signs_of_any_kind(kind):
    """worst_margin, objective, gradient, fit and critical_radius are the same for the same signs"""
    x = np.random.default_rng(2).random((12, 2))
    signs, theta, ball = np.where(x.sum(axis=1) > 1, 1, -1), np.array([2.0, -1.0]), L1(0.1)
    y = LABEL_KINDS[kind](signs)
    for f in (robust_logistic.worst_margin, robust_logistic.objective, robust_logistic.gradient):
        np.testing.assert_equal(f(theta, 0.5, x, y, ball), f(theta, 0.5, x, signs, ball))
    np.testing.assert_array_equal(robust_logistic.fit(x, y, ball).theta, robust_logistic.fit(x, signs, ball).theta)
    assert robust_logistic.critical_radius(x, y, L1) == robust_logistic.critical_radius(x, signs, L1)


@pytest.mark.parametrize("kind", CLASS_KINDS)
def test_training_takes_labels_of_any_kind(kind):
    """training.fit returns the same parameters for the same labels"""

    def trained(y):
        model = MLP((4, 3), dtype=np.float64)
        training.fit(model, X, y, epochs=2, batch_size=3, attack=partial(pgd, threat=THREAT, steps=2), progress=False)
        return model.params

    found, expected = trained(CLASS_KINDS[kind](Y)), trained(Y)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


# The same images


def table(x):
    return pytest.importorskip("pandas").DataFrame(x, index=np.arange(len(x))[::-1], columns=list("abcd"))


def mapped(x, folder):
    """A file on the disk, opened for reading."""
    path = folder / f"{len(list(folder.iterdir()))}.bin"
    x.tofile(path)
    return np.memmap(path, x.dtype, "r", shape=x.shape)


IMAGE_KINDS = {
    "list": lambda x: x.tolist(),
    "tuple of lists": lambda x: tuple(x.tolist()),
    "list of rows": list,
    "table": table,
    "Fortran order": np.asfortranarray,
    "read-only": read_only,
    "big-endian": swapped,
    "strided": strided,
    "backwards": backwards,
}


@pytest.fixture
def image_kinds(tmp_path):
    return IMAGE_KINDS | {"memory-mapped": partial(mapped, folder=tmp_path)}


@share
@pytest.mark.parametrize("name", ATTACKS)
def test_images_of_any_kind_give_the_same_change(name, step, image_kinds):
    """attack(x) = attack(any array, list or table of the same images), and the result is an ordinary writable array"""
    attack = ATTACKS[name]
    expected = attack(NETWORK, X, Y, attack.ball.within(0, 1))
    for kind, made in some_of(image_kinds, name, step):
        found = attack(NETWORK, made(X), Y, attack.ball.within(0, 1))
        np.testing.assert_array_equal(found, expected, err_msg=kind)
        assert type(found) is np.ndarray, kind
        assert found.dtype == np.float64, kind
        assert found.dtype.isnative, kind
        assert found.flags.writeable, kind


def test_images_of_any_kind_are_judged_and_trained_on_alike(image_kinds):
    """judge, worst_case, robust regression and training are the same for the same images and perturbations"""
    delta = np.clip(np.full_like(X, 0.2), -X, 1 - X)

    def numbers(made):
        x = made(X)
        judged = judge(NETWORK, x, Y, made(delta), THREAT)
        yield from (judged.success, judged.norm, judged.loss)
        yield worst_case(NETWORK, x, Y, THREAT, [pgd]).delta
        yield robust_logistic.worst_margin(LINEAR.params["theta"], 0.5, x, SIGNS, L1(0.1))
        yield robust_logistic.fit(x, SIGNS, L1(0.1)).theta
        model = MLP((4, 3), dtype=np.float64)
        training.fit(model, x, Y, epochs=1, batch_size=3, progress=False)
        yield from model.params.values()

    expected = list(numbers(np.asarray))
    for kind, made in image_kinds.items():
        for found, right in zip(numbers(made), expected, strict=True):
            np.testing.assert_array_equal(found, right, err_msg=kind)


# Values that are not arrays of numbers

REFUSED = {
    "masked": lambda a: np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) == 0),
    "objects": lambda a: a.astype(object),
    "words": lambda a: a.astype(str),
    "dates": lambda a: a.astype("int64").astype("datetime64[s]"),
    "nothing": lambda a: None,
    "a dict": lambda a: dict(enumerate(a)),
    "a set": lambda a: set(a.ravel().tolist()),
    "a generator": lambda a: (row for row in a),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_no_array_of_numbers_is_refused(name):
    """Masked arrays, objects, words, dates, dicts and generators are a TypeError or ValueError that names x or y"""
    attack = ATTACKS[name]
    for made in REFUSED.values():
        with pytest.raises((TypeError, ValueError), match=r"^x "):
            attack(NETWORK, made(X), Y, attack.ball.within(0, 1))
        if name != "universal":  # it uses the model's own predictions
            with pytest.raises((TypeError, ValueError), match=r"^y "):
                attack(NETWORK, X, made(Y), attack.ball.within(0, 1))


# Classes that are not 0 to K − 1


class Renamed:
    """A scikit-learn model whose class k is called ``names[k]``; it shows probabilities, or only labels."""

    def __init__(self, model, names):
        self.model, self.classes_, self.n_features_in_ = model, np.array(names), 4

    def predict_proba(self, x):
        z = self.model.logits(x)
        p = np.exp(z - z.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def predict(self, x):
        return self.classes_[self.predict_proba(x).argmax(axis=1)]


CLASS_NAMES = {"from 1": [1, 2, 3], "tens": [10, 20, 30], "not in order": [7, 2, 5]}


@pytest.mark.parametrize("names", CLASS_NAMES.values(), ids=CLASS_NAMES)
@pytest.mark.parametrize("name", SCORES | LABELS | ONE_PIXEL)
def test_renamed_classes_are_attacked_alike(name, names):
    """A model whose classes have other names gets the δ of the model with 0, 1, 2, also with a target"""
    attack = ATTACKS[name]
    plain, renamed, target = Renamed(NETWORK, [0, 1, 2]), Renamed(NETWORK, names), (Y + 1) % 3
    names, threat = np.array(names), attack.ball.within(0, 1)
    expected = attack(plain, X, Y, threat)
    assert (plain.predict(X + expected) != Y).any()  # there is something to compare
    np.testing.assert_array_equal(attack(renamed, X, names[Y], threat), expected)
    expected = attack(plain, X, Y, threat, target=target)
    np.testing.assert_array_equal(attack(renamed, X, names[Y], threat, target=names[target]), expected)


@pytest.mark.parametrize("first", [-1, 10])
@pytest.mark.parametrize("name", SCORES | LABELS | ONE_PIXEL)
def test_two_classes_of_scikit_learn_are_attacked_alike(name, first):
    """LogisticRegression fitted to (−1, 1) or (10, 20) gets the δ of the same model fitted to (0, 1)"""
    linear_model = pytest.importorskip("sklearn.linear_model")
    x = np.random.default_rng(3).random((12, 4))
    y, attack = (x.sum(axis=1) > 2).astype(int), ATTACKS[name]
    names = np.array([first, first + 10 if first > 0 else 1])
    plain, renamed = (linear_model.LogisticRegression(C=1e3).fit(x, labels) for labels in (y, names[y]))
    threat = attack.ball.within(0, 1)
    expected = attack(plain, x, y, threat)
    assert (plain.predict(x + expected) != y).any()
    np.testing.assert_array_equal(attack(renamed, x, names[y], threat), expected)


@pytest.mark.parametrize("name", SCORES | LABELS | ONE_PIXEL)
def test_a_label_that_is_no_class_is_refused(name):
    """For classes 1, 2, 3 the label 0 or the target 4 is a ValueError that names the label and the classes"""
    attack, model, y = ATTACKS[name], Renamed(NETWORK, [1, 2, 3]), Y + 1
    wrong = np.where(np.arange(len(y)) == 2, 0, y)
    with pytest.raises(ValueError, match=r"y holds 0.*\[1, 2, 3\]"):
        attack(model, X, wrong, attack.ball.within(0, 1))
    with pytest.raises(ValueError, match=r"target holds 4.*\[1, 2, 3\]"):
        attack(model, X, y, attack.ball.within(0, 1), target=y % 3 + 2)
