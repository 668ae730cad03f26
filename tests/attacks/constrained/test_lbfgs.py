"""Laws of the L-BFGS attack."""

import numpy as np
import pytest

from scratchadv.attacks.constrained.lbfgs import lbfgs
from scratchadv.losses import margin
from scratchadv.models import LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L2, Linf


def logistic_problem():
    rng = np.random.default_rng(0)
    model = LogisticRegression(rng.standard_normal((2, 3)), 0.1)
    x = rng.random((10, 2, 3))
    return model, x, predict(model, x)


def test_without_a_box_the_distance_is_exact_on_binary_linear_models():
    """‖r‖ = |z| / ‖θ‖₂ to 1 %: the minimiser is on the boundary for c = ‖θ‖ / 2, the largest c that fools"""
    model, x, y = logistic_problem()
    delta = lbfgs(model, x, y, target=-y, box=None, searches=20)
    exact = abs(model.logits(x)) / np.linalg.norm(model.params["theta"])
    assert (predict(model, x + delta) == -y).all()
    np.testing.assert_allclose(L2.norm(delta), exact, rtol=0.01)


def test_in_the_box_too():
    """The ball of radius 0.99 ‖r‖, in the box, does not reach the boundary: max <w, v> − y z < 0"""
    model, x, y = logistic_problem()
    delta = lbfgs(model, x, y, target=-y, searches=20)
    found = predict(model, x + delta) == -y
    assert found.any()
    z, pull = model.vjp_x(x)
    for i in np.flatnonzero(found):
        threat = L2(0.99 * float(L2.norm(delta)[i])).within(0, 1).at(x[i : i + 1])
        assert threat.support(pull(-y.astype(float))[i : i + 1])[0] < y[i] * z[i]


def test_more_searches_are_not_longer_and_the_first_c_hardly_matters():
    """‖r‖ never grows with the number of weights tried; from c = 100 and c = 0.01 the answer is the same to 2 %"""
    model, x, y = logistic_problem()
    lengths = [L2.norm(lbfgs(model, x, y, target=-y, box=None, searches=n, c=0.01)) for n in (1, 4, 12)]
    assert (lengths[1] <= lengths[0]).all()
    assert (lengths[2] <= lengths[1]).all()
    assert (lengths[2] < 0.9 * lengths[0]).all()
    from_above = L2.norm(lbfgs(model, x, y, target=-y, box=None, searches=12, c=100.0))
    np.testing.assert_allclose(lengths[2], from_above, rtol=0.02)


def test_each_class_of_softmax_regression_is_reached():
    """From every example to every other class; the loss can be chosen"""
    rng = np.random.default_rng(1)
    model = SoftmaxRegression(8, 3, rng=rng, dtype=np.float64)
    x = rng.random((4, 8))
    y = predict(model, x)
    for loss in (None, margin):
        for target in ((y + 1) % 3, (y + 2) % 3):
            delta = lbfgs(model, x, y, target=target, box=(-5, 5), loss=loss, searches=6)
            np.testing.assert_array_equal(predict(model, x + delta), target)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"target": None}, TypeError, "lbfgs is a targeted attack: target must be an array of labels, not None"),
        ({"norm": Linf}, ValueError, r"norm = <class .*Linf'>; L2 was expected"),
        ({"c": 0.0}, ValueError, r"c = 0\.0 must be > 0"),
        ({"searches": 0}, ValueError, "searches = 0 must be >= 1"),
        ({"steps": 1.5}, TypeError, r"steps must be a whole number, not 1\.5"),
    ],
)
def test_bad_options_are_refused(change, error, message):
    """The message names the value and what was expected"""
    model, x, y = logistic_problem()
    with pytest.raises(error, match=message):
        lbfgs(model, x, y, **({"target": -y} | change))
