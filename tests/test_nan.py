"""NaN is neither a prediction nor a success nor a start: it is refused, or it is never the best value."""

import math
from functools import partial

import numpy as np
import pytest
from every_attack import BLACK_BOXES, EVERY, EXACT, GRADIENTS, ONE_PIXEL

from scratchadv import robust_logistic
from scratchadv.attacks import (
    LabelOracle,
    apgd,
    applied,
    boundary,
    fooling_rate,
    hopskipjump,
    pgd,
    saliency_map,
    substitute,
)
from scratchadv.attacks.black_box.queries import ranked
from scratchadv.attacks.unrecognisable.gradient_ascent import gradient_ascent
from scratchadv.evaluate import (
    accuracy_over_eps,
    judge,
    over_steps,
    report,
    robust_accuracy,
    signs_of_masking,
    stands,
    sweep,
    worst_case,
)
from scratchadv.losses import cross_entropy
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of, predict
from scratchadv.sets import L1, Linf
from scratchadv.tasks import NO_LABEL, Classes
from scratchadv.testing.models import Linear, SmallNetwork

pytestmark = pytest.mark.usefixtures("one_thread")

ATTACKS = EVERY | ONE_PIXEL
LOOKING = [name for name in ATTACKS if name != "fgsm_random_start"]  # it evaluates only a random point near x
X = np.random.default_rng(0).random((5, 4))
THREAT = Linf(0.3).within(0, 1)


class NaNWhere:
    """A model whose logits, of one class or of all, are NaN for the examples where ``where(x)`` is true."""

    def __init__(self, model, where, column=None):
        self.model, self.params, self.loss, self.where, self.column = model, model.params, model.loss, where, column
        self.linear = getattr(model, "linear", False)

    def _with_nan(self, x, z):
        z = z.copy()
        z[self.where(x)] = np.nan if self.column is None else z[self.where(x)]
        if self.column is not None:
            z[self.where(x), self.column] = np.nan
        return z

    def logits(self, x):
        return self._with_nan(x, self.model.logits(x))

    def vjp_x(self, x):
        z, pull = self.model.vjp_x(x)
        return self._with_nan(x, z), pull


def last(x):
    """Whether an example is the last one of X, wherever it is in the batch."""
    return np.isclose(x, X[-1].astype(x.dtype)).reshape(len(x), -1).all(axis=1)


NETWORK = SmallNetwork((4,), 3, seed=3)
LINEAR = Linear([2.0, -1.0, 0.5, 1.0], -1.0)
Y = labels_of(NETWORK.logits(X))


@pytest.mark.parametrize("column", [None, 0, 2], ids=["all", "the first", "the last"])
@pytest.mark.parametrize("name", LOOKING)
def test_a_model_that_is_nan_on_an_example_is_refused(name, column):
    """NaN among the logits of any given example, not only the first, is a ValueError that gives their number"""
    attack = ATTACKS[name]
    with pytest.raises(ValueError, match=r"the logits of the model are NaN for 1 of \d"):
        attack(NaNWhere(NETWORK, last, column), X, Y, attack.ball.within(0, 1))


@pytest.mark.filterwarnings("ignore:invalid value encountered in logaddexp")
@pytest.mark.parametrize("name", [*LOOKING, "exact"])
def test_a_binary_model_that_is_nan_on_an_example_is_refused(name):
    """The same holds for one logit"""
    attack, y = (ATTACKS | {"exact": EXACT})[name], labels_of(LINEAR.logits(X))
    with pytest.raises(ValueError, match="logits of the model are NaN"):
        attack(NaNWhere(LINEAR, last), X, y, attack.ball.within(0, 1))


def test_a_random_start_that_is_nan_is_refused_where_x_is_too():
    """fgsm_random_start refuses NaN at x + δ if the logits are NaN at x, and goes on if they are not"""
    attack = GRADIENTS["fgsm_random_start"]
    near = NaNWhere(NETWORK, lambda x: abs(x - X[-1]).max(axis=1) <= 0.3)
    with pytest.raises(ValueError, match=r"NaN for \d of \d examples"):
        attack(near, X, Y)
    assert np.isfinite(attack(NaNWhere(NETWORK, far), X, Y)).all()


EVALUATIONS = {
    "judge": lambda m, x, y: judge(m, x, y, np.zeros_like(x), THREAT),
    "worst_case": lambda m, x, y: worst_case(m, x, y, THREAT, []),
    "stands": lambda m, x, y: stands(m, x, y, THREAT, [pgd]),
    "robust_accuracy": lambda m, x, y: robust_accuracy(m, x, y, THREAT, [pgd]),
    "accuracy_over_eps": lambda m, x, y: accuracy_over_eps(m, x, y, [THREAT], [pgd]),
    "over_steps": lambda m, x, y: over_steps(m, x, y, THREAT, pgd),
    "signs_of_masking": lambda m, x, y: signs_of_masking(m, x, y, THREAT),
    "sweep": lambda m, x, y: sweep([m], x, y, [THREAT], [pgd]),
    "fooling_rate": lambda m, x, y: fooling_rate(m, x, np.zeros_like(x)),
    "predict": lambda m, x, y: predict(m, x),
    "saliency_map": lambda m, x, y: saliency_map(m, x, y),
    "gradient_ascent": lambda m, x, y: gradient_ascent(m, x, y, steps=2),
    "substitute": lambda m, x, y: substitute(m, MLP((4, 3), dtype=x.dtype), x, lambda *given: None, rounds=1),
}


@pytest.mark.parametrize("name", EVALUATIONS)
def test_a_model_that_is_nan_on_an_example_has_no_numbers(name):
    """Every function of evaluate refuses NaN logits, also if the δ to be judged is 0"""
    with pytest.raises(ValueError, match="logits of the model are NaN"):
        EVALUATIONS[name](NaNWhere(NETWORK, last), X, Y)


def test_a_report_of_a_nan_model_is_refused_before_any_attack(tmp_path):
    """report refuses NaN logits and writes nothing"""

    def never(*given, **options):
        raise AssertionError("an attack was called")

    with pytest.raises(ValueError, match="NaN"):
        report(tmp_path / "r.html", NaNWhere(NETWORK, last), X, Y, THREAT, [never], iterated=never)
    assert not list(tmp_path.iterdir())


# NaN at x + δ only


def far(x):
    """Whether an example differs from all of the given examples."""
    known = [np.isclose(x, one.astype(x.dtype)).reshape(len(x), -1).all(axis=1) for one in X]
    return ~np.any(known, axis=0)


def strip(x):
    """Whether an example lies in a region that holds none of the given examples but is next to all of them."""
    return far(x) & (np.floor(40 * x.reshape(len(x), -1)[:, 0]) % 2 == 1)


@pytest.mark.parametrize("column", [None, 0], ids=["all", "the first"])
@pytest.mark.parametrize("name", ATTACKS)
def test_nan_behind_the_examples_is_never_a_success(name, column):
    """If a model is NaN everywhere except at x, δ is finite, and no attack counts an example as misclassified"""
    attack, model = ATTACKS[name], NaNWhere(NETWORK, far, column)
    threat = attack.ball.within(0, 1)
    delta = np.broadcast_to(attack(model, X, Y, threat), X.shape)
    assert np.isfinite(delta).all()
    assert not Classes(3).is_fooled(model.logits(X + delta), Y).any()
    if name in BLACK_BOXES | ONE_PIXEL or "fab" in name or "deepfool" in name or "carlini" in name or "apgd" in name:
        assert (delta == 0).all()  # the best point that the attack has seen


@pytest.mark.parametrize("name", ["pgd, restarts", "apgd", "momentum_fgsm", *BLACK_BOXES])
def test_nan_on_the_way_does_not_end_a_search(name):
    """With NaN in strips, most examples that are fooled without the strips are fooled beside them, by a finite δ"""
    attack, model = ATTACKS[name], NaNWhere(NETWORK, strip)
    threat = attack.ball.within(0, 1)
    plain, delta = (attack(m, X, Y, threat) for m in (NETWORK, model))
    z = model.logits(X + delta)
    assert not np.isnan(z).any()
    before = Classes(3).is_fooled(NETWORK.logits(X + plain), Y).sum()
    assert Classes(3).is_fooled(z, Y).sum() >= max(1, before - 2)


def test_nan_behind_the_examples_is_judged_a_failure():
    """For judge there is no success and no label; for worst_case the example counts as correctly classified"""
    model, delta = NaNWhere(NETWORK, far), np.where(X < 0.5, 0.1, -0.1)
    found = judge(model, X, Y, delta, THREAT)
    assert found.inside.all()
    assert not found.success.any()
    assert (found.prediction == NO_LABEL).all()
    assert worst_case(model, X, Y, THREAT, [lambda *given: delta]).accuracy == 1.0
    assert fooling_rate(model, X, delta) == 0.0


def test_labels_of_nan():
    """labels_of(z) is NO_LABEL where any logit is NaN, and NO_LABEL is neither a success nor a target"""
    z = np.array([[0.0, np.nan, 1.0], [np.nan, 1.0, 0.0], [0.0, 1.0, -np.inf], [2.0, 1.0, np.nan]])
    np.testing.assert_array_equal(labels_of(z), [NO_LABEL, NO_LABEL, 1, NO_LABEL])
    np.testing.assert_array_equal(labels_of(np.array([np.nan, -0.5, 0.0])), [NO_LABEL, -1, 1])
    for y in range(3):
        np.testing.assert_array_equal(Classes(3).is_fooled(z, np.full(4, y)), [False, False, y != 1, False])
        np.testing.assert_array_equal(
            Classes(3).is_fooled(z, np.full(4, (y + 1) % 3), np.full(4, y)), [False, False, y == 1, False]
        )


def test_the_rank_of_a_value():
    """ranked returns ∞ where the example is fooled, −∞ where the logits are NaN, and the value elsewhere"""
    z, y = np.array([[0.0, 1.0], [1.0, 0.0], [np.nan, 0.0]]), np.zeros(3, int)
    np.testing.assert_array_equal(
        ranked(Classes(3), cross_entropy.value(z, y), z, y, None), [np.inf, math.log1p(math.exp(-1)), -np.inf]
    )


def test_an_oracle_of_labels_says_where_there_is_none():
    """LabelOracle returns NO_LABEL for NaN logits and for NaN probabilities"""
    model = NaNWhere(NETWORK, last)
    np.testing.assert_array_equal(LabelOracle(model).predict(X) == NO_LABEL, last(X))

    class Shows:
        def probabilities(self, x):
            return np.exp(model.logits(x))

    np.testing.assert_array_equal(LabelOracle(Shows()).predict(X) == NO_LABEL, last(X))


# NaN that is given

NAN = X.copy()
NAN[2, 1] = np.nan
WITH_INFINITY = np.where(np.isnan(NAN), -np.inf, NAN)


@pytest.mark.parametrize("bad", [NAN, WITH_INFINITY, NAN.astype("f4")], ids=["nan", "infinity", "float32"])
@pytest.mark.parametrize("name", ATTACKS)
def test_nan_images_are_refused(name, bad):
    """An x with NaN or infinity is a ValueError that names x"""
    attack = ATTACKS[name]
    with pytest.raises(ValueError, match=r"^x holds (nan|-inf); finite values were expected"):
        attack(NETWORK, bad, Y, attack.ball)


@pytest.mark.parametrize("bad", [NAN, WITH_INFINITY], ids=["nan", "infinity"])
def test_nan_changes_and_starts_are_refused(bad):
    """A δ or a start with NaN or infinity is a ValueError that names delta, start or pool"""
    for call in (
        lambda: judge(NETWORK, X, Y, bad, THREAT),
        lambda: fooling_rate(NETWORK, X, bad),
        lambda: applied(bad, X),
        lambda: worst_case(NETWORK, X, Y, THREAT, {"mine": lambda *given: bad}),
        lambda: signs_of_masking(NETWORK, X, Y, THREAT, attack=lambda *given, **options: bad),
    ):
        with pytest.raises(ValueError, match=r"delta.* holds (nan|-inf)"):
            call()
    for attack in (pgd, apgd):
        for start in (bad, np.stack([X - X, bad - X])):
            restarts = start.ndim - 1
            with pytest.raises(ValueError, match=r"start holds (nan|-inf)"):
                attack(NETWORK, X, Y, THREAT, start=start, restarts=restarts)
    for attack in (boundary, hopskipjump):
        for name in ("start", "pool"):
            with pytest.raises(ValueError, match=rf"{name} holds (nan|-inf)"):
                attack(NETWORK, X, Y, rng=0, **{name: bad})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_nan_parameters_of_linear_models_are_refused(bad):
    """A θ or θ0 that is NaN or infinite is a ValueError that names it, in the model and in the exact objective"""
    theta, x, y = np.array([2.0, -1.0, 0.5, 1.0]), X, np.array([1, -1, 1, 1, -1])
    broken = np.array([2.0, bad, 0.5, 1.0])
    for f in (robust_logistic.worst_margin, robust_logistic.objective, robust_logistic.gradient):
        with pytest.raises(ValueError, match=r"^theta0 = "):
            f(theta, bad, x, y, L1(0.1))
        with pytest.raises(ValueError, match=r"^theta holds "):
            f(broken, 0.0, x, y, L1(0.1))
    with pytest.raises(ValueError, match="theta0"):
        LogisticRegression(theta, bad)
    with pytest.raises(ValueError, match="theta"):
        LogisticRegression(broken)


@pytest.mark.parametrize("name", [n for n in GRADIENTS if n not in ("universal", "universal_gradient", "standard")])
def test_nan_options_are_refused(name):
    """An option, such as a step size, that is NaN, infinite or beyond all floats is a ValueError that names it"""
    attack = ATTACKS[name]
    names = {"alpha", "overshoot", "beta", "eta", "alpha_max", "confidence", "c", "lr", "theta", "upsilon", "mu"}
    function = attack.function.func if isinstance(attack.function, partial) else attack.function
    options = names & set(getattr(function, "__kwdefaults__", None) or {})
    for option in options:
        for value in (math.nan, math.inf, 10**400):
            with pytest.raises(ValueError, match=rf"^{option} = "):
                attack(NETWORK, X, Y, **{option: value})
