"""Laws of the substitute: which points are labelled, how many queries they take, and what transfers."""

from functools import partial

import numpy as np
import pytest

from scratchadv.attacks import fgsm
from scratchadv.attacks.black_box.queries import BudgetError, LabelOracle
from scratchadv.attacks.black_box.substitution import augmented, substitute
from scratchadv.models import MLP, LogisticRegression, SoftmaxRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import Linf
from scratchadv.training import fit
from scratchadv.training.optim import Adam


def rng(seed=0):
    return np.random.default_rng(seed)


class Labels:
    """A victim with nothing but ``predict``: three classes, the largest of three sums of pixels."""

    def __init__(self):
        self.asked = []

    def predict(self, x):
        self.asked.append(x.copy())
        return x.reshape(len(x), 3, -1).sum(axis=2).argmax(axis=1)


def learn(model, x, y, epochs=30):
    fit(model, x, y, epochs=epochs, batch_size=20, optimizer=Adam(0.01), rng=rng(), progress=False)


def net():
    return SoftmaxRegression(12, 3, rng=rng(1), dtype=np.float64)


@pytest.fixture
def x():
    return rng(2).random((20, 12))


@pytest.fixture
def wide():
    """Images with so many pixels that no two rounds move a point in the same way."""
    return rng(2).random((20, 300))


def net_of(images):
    return MLP((images[0].size, 20, 3), rng=rng(1), dtype=np.float64)


def test_points_double_until_the_reservoir_holds(wide):
    """|S| = n 2^ρ for ρ <= σ, and then κ more in each round"""
    whole = substitute(Labels(), net_of(wide), wide, learn, rounds=4)
    assert whole.sizes == [20, 40, 80, 160]
    drawn = substitute(Labels(), net_of(wide), wide, learn, rounds=6, sigma=2, kappa=15, rng=rng())
    assert drawn.sizes == [20, 40, 80, 95, 110, 125]
    np.testing.assert_array_equal(drawn.x[:80], whole.x[:80])
    few = substitute(Labels(), net_of(wide), wide, learn, rounds=2, sigma=0, kappa=500, rng=rng())
    assert few.sizes == [20, 40]


def test_each_point_is_asked_about_once(x):
    """Queries are the distinct labelled points in the order of S, with the victim's labels; repeats count once"""
    victim = Labels()
    found = substitute(victim, net(), np.concatenate([x, x[:5]]), learn, rounds=4, step=0.6)
    asked = np.concatenate(victim.asked)
    np.testing.assert_array_equal(asked, found.x)
    assert len(np.unique(asked, axis=0)) == len(asked) == found.queries == found.sizes[-1]
    np.testing.assert_array_equal(found.y, victim.predict(found.x))
    np.testing.assert_array_equal(found.x[:20], x)


@pytest.mark.parametrize("box", [(0, 1), (-0.2, 1.1), None])
def test_points_stay_in_the_box(x, box):
    """lower <= x <= upper; without a box points leave [0, 1]"""
    points = substitute(Labels(), net(), x, learn, rounds=4, step=0.3, box=box).x
    low, high = box or (-np.inf, np.inf)
    assert ((points >= low) & (points <= high)).all()
    assert ((points < 0) | (points > 1)).any() == (box != (0, 1))


@pytest.mark.parametrize(
    "model",
    [SoftmaxRegression(4, 3, rng=rng(), dtype=np.float64), MLP((4, 6, 3), "tanh", rng=rng(), dtype=np.float64)],
    ids=lambda model: type(model).__name__,
)
def test_new_points_follow_the_jacobian_of_the_probability(model):
    """New points are x + λ sgn ∇F_y(x), with the gradient of the probability by differences"""
    x, y, h = rng(3).random((6, 4)), rng(4).integers(0, 3, 6), 1e-6

    def probability(x):
        z = model.logits(x)
        return (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[np.arange(6), y]

    slope = np.stack([probability(x + h * e) - probability(x - h * e) for e in np.eye(4)], axis=1)
    np.testing.assert_allclose(augmented(model, x, y, 0.1, None), x + 0.1 * np.sign(slope), atol=1e-15)


def test_a_negative_step_goes_the_other_way():
    """New points are x − λ sgn J where the step is −λ"""
    model = LogisticRegression(np.array([2.0, -1.0]))
    there, back = (augmented(model, np.zeros((1, 2)), np.array([1]), step, None) for step in (0.1, -0.1))
    np.testing.assert_array_equal(there, -back)


def test_new_points_by_hand():
    """A binary model with θ = (2, −1, 0): a +1 moves by λ (1, −1, 0), a −1 in the opposite direction, in [0, 1]"""
    model = LogisticRegression(np.array([2.0, -1.0, 0.0]))
    x = np.array([[0.5, 0.5, 0.5], [0.1, 0.9, 0.5]])
    expected = [[0.75, 0.25, 0.5], [0.0, 1.0, 0.5]]
    np.testing.assert_allclose(augmented(model, x, np.array([1, -1]), 0.25), expected)


def test_the_same_seed_gives_the_same_substitute(x):
    """Points, labels and parameters repeat to the last bit; another seed draws other points"""
    first, again, other = (
        substitute(Labels(), net(), x, learn, rounds=4, sigma=1, kappa=9, rng=rng(seed)) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.x, again.x)
    assert all((first.model.params[name] == again.model.params[name]).all() for name in first.model.params)
    assert (first.x != other.x).any()


def test_it_learns_the_victim_and_its_adversarial_examples_transfer():
    """A linear victim that shows only labels: more than 75 % agreement, and most δ that fool one model fool both"""
    victim, x, unseen = Labels(), rng(2).random((60, 12)), rng(7).random((300, 12))
    found = substitute(victim, net(), x, learn, rounds=5)
    y = victim.predict(unseen)
    assert (predict(found.model, unseen) == y).mean() > 0.75
    delta = fgsm(found.model, unseen, y, Linf(0.2).within(0, 1))
    own, transferred = predict(found.model, unseen + delta) != y, victim.predict(unseen + delta) != y
    assert own.mean() > 0.5
    assert transferred[own].mean() > 0.9


def test_a_tree_of_scikit_learn_is_a_victim(x):
    """Anything with predict can be a victim: a decision tree, which has no gradient"""
    tree = pytest.importorskip("sklearn.tree").DecisionTreeClassifier(max_depth=3, random_state=0)
    images, unseen = (part.reshape(-1, 2, 6, 1) for part in (x, rng(8).random((200, 12))))
    train_x = rng(9).random((500, 12))
    tree.fit(train_x, Labels().predict(train_x))
    found = substitute(tree, net_of(images), images, partial(learn, epochs=20), rounds=4)
    np.testing.assert_array_equal(found.y, tree.predict(found.x.reshape(-1, 12)))
    y = tree.predict(unseen.reshape(-1, 12))
    delta = fgsm(found.model, unseen, y, Linf(0.3).within(0, 1))
    noise = 0.3 * np.sign(rng(1).standard_normal(unseen.shape))
    fooled, by_chance = ((tree.predict(np.clip(unseen + d, 0, 1).reshape(-1, 12)) != y).mean() for d in (delta, noise))
    assert fooled > by_chance + 0.1


def test_the_budget_is_the_oracles(wide):
    """An oracle whose total is too small refuses the round before it asks the victim"""
    victim = Labels()
    with pytest.raises(BudgetError, match="exceed the total of 70"):
        substitute(LabelOracle(victim, total=70), net_of(wide), wide, learn, rounds=3)
    assert sum(map(len, victim.asked)) <= 70


def test_float32_stays_float32_and_inputs_are_not_changed(x):
    """S has the dtype of x; x is not changed (ART issue 366)"""
    x = x.astype(np.float32)
    before = x.copy()
    found = substitute(Labels(), net(), x, learn, rounds=2)
    assert found.x.dtype == np.float32
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rounds": 0}, ValueError, "rounds = 0 must be >= 1"),
        ({"step": np.nan}, ValueError, "step = nan must be finite"),
        ({"sigma": 1}, ValueError, "the 400 points of each later round are drawn at random: pass rng"),
        ({"sigma": -1, "rng": rng()}, ValueError, "sigma = -1 must be >= 0"),
        ({"kappa": 0.5}, TypeError, "kappa must be a whole number"),
        ({"box": (0.5, 1)}, ValueError, r"outside the box \[0\.5, 1\.0\]"),
        ({"x": np.zeros((0, 12))}, ValueError, "at least one example"),
        ({"x": np.full((3, 12), np.inf)}, ValueError, "x holds inf"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(x, change, error, message):
    """The message names the value and what was expected"""
    victim, points = Labels(), change.pop("x", x)
    with pytest.raises(error, match=message):
        substitute(victim, net(), points, learn, **change)
    assert victim.asked == []
