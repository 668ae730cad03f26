"""Laws of training by minibatches, on convex problems and on a model that writes down what it sees."""

from functools import partial
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv import robust_logistic
from scratchadv.attacks import exact, pgd
from scratchadv.balls import L1, L2, Linf
from scratchadv.losses import logistic
from scratchadv.models import LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.optim import SGD
from scratchadv.training import fit

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(seed, n=12, shape=(3,), dtype=np.float64):
    """Examples in the unit box, labels, and a start."""
    random = rng(seed)
    x, y = random.random((n, *shape)).astype(dtype), random.choice([-1, 1], n)
    return LogisticRegression(random.normal(size=shape).astype(dtype), random.normal()), x, y


def objective(model, x, y, ball=Linf(0)):  # noqa: B008  # frozen
    theta, theta0 = model.params["theta"].astype(float), float(model.params["theta0"])
    return robust_logistic.objective(theta, theta0, x, y, ball)


class Diary:
    """A model whose logits are 0, and that writes down the examples (by their first pixel) of every batch."""

    loss = logistic

    def __init__(self):
        self.params = {"theta": np.zeros(2)}
        self.batches = []

    def logits(self, x):
        return np.zeros(len(x))

    def vjp_theta(self, x):
        self.batches.append(x[:, 0].astype(int).tolist())
        return self.logits(x), lambda dz: {"theta": dz @ x}


def keep_a_diary(n, epochs, batch_size, seed=0):
    model = Diary()
    x = np.stack([np.arange(n), np.zeros(n)], axis=1).astype(float)
    fit(model, x, np.ones(n), epochs=epochs, optimizer=SGD(0.1), rng=rng(seed), batch_size=batch_size)
    return model.batches


# The order of the examples


@few
@given(n=st.integers(1, 23), epochs=st.integers(0, 3), batch_size=st.integers(1, 30))
def test_every_example_is_seen_once_an_epoch_and_only_the_last_batch_is_smaller(n, epochs, batch_size):
    """Each epoch's batches partition the examples; all but its last have batch_size of them"""
    batches = keep_a_diary(n, epochs, batch_size)
    sizes = [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size else [])
    assert [len(batch) for batch in batches] == epochs * sizes
    for epoch in range(epochs):
        seen = chain(*batches[epoch * len(sizes) : (epoch + 1) * len(sizes)])
        assert sorted(seen) == list(range(n))


def test_the_order_is_new_in_each_epoch_and_for_each_seed():
    """The permutations of 50 examples differ from epoch to epoch and from seed to seed, and from the given order"""
    orders = keep_a_diary(50, 4, 50, seed=0) + keep_a_diary(50, 4, 50, seed=1) + [list(range(50))]
    assert len({tuple(order) for order in orders}) == 9


def test_the_same_seed_trains_the_same_model():
    """theta is a function of the seed, to the last bit; another seed gives another theta"""
    found = []
    for seed in (0, 0, 1):
        model, x, y = problem(5)
        history = fit(model, x, y, epochs=3, optimizer=SGD(0.5), rng=rng(seed), batch_size=5)
        found.append((model.params["theta"].tobytes(), model.params["theta0"].tobytes(), tuple(history.loss)))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]


def test_labels_travel_with_their_examples():
    """Training on one batch of all examples does not depend on the order: sum_i g_i is symmetric"""
    thetas = []
    for seed in range(3):
        model, x, y = problem(6, n=40)
        fit(model, x, y, epochs=1, optimizer=SGD(1), rng=rng(seed), batch_size=40)
        thetas.append(model.params["theta"])
    np.testing.assert_allclose(thetas[1:], [thetas[0]] * 2, rtol=1e-12)


# One step


def test_one_step_worked_by_hand():
    """theta = 0, x = 2, 4, y = +1, -1: g = mean(-y/2 x) = (-1 + 2) / 2 = 1/2, g0 = 0; theta - 1 g = -1/2"""
    model = LogisticRegression(np.zeros(1))
    history = fit(model, np.array([[2.0], [4.0]]), np.array([1, -1]), epochs=1, optimizer=SGD(1), rng=rng())
    np.testing.assert_array_equal(model.params["theta"], [-0.5])
    assert model.params["theta0"] == 0
    np.testing.assert_allclose(history.loss, [np.log(2)])
    assert history.error == [0.5]  # the boundary counts as +1


THREATS = [Linf(0.2), L2(0.3), L1(0.5), Linf(0.2).within(0, 1), L2(0.3).within(0, 1), L1(0.5).within(0, 1)]


@pytest.mark.parametrize("threat", THREATS, ids=str)
@few
@given(seed=seeds, lr=st.sampled_from([0.1, 1.0]))
def test_a_step_under_the_exact_attack_is_a_subgradient_step_of_the_robust_objective(threat, seed, lr):
    """Danskin: theta - alpha grad objective(theta), for one batch of all examples"""
    model, x, y = problem(seed)
    theta, theta0 = model.params["theta"], float(model.params["theta0"])
    g, g0 = robust_logistic.gradient(theta, theta0, x, y, threat)
    value = objective(model, x, y, threat)
    attack = partial(exact, threat=threat)
    history = fit(model, x, y, epochs=1, optimizer=SGD(lr), rng=rng(seed), batch_size=len(x), attack=attack)
    np.testing.assert_allclose(model.params["theta"], theta - lr * g, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(model.params["theta0"], theta0 - lr * g0, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(history.loss, [value], rtol=1e-13)


@few
@given(seed=seeds)
def test_ordinary_training_is_adversarial_training_with_zero_in_delta_only(seed):
    """attack = None and Delta = {0} give the same parameters and the same history"""
    found = []
    for attack in (None, partial(exact, threat=Linf(0)), partial(pgd, threat=L2(0), steps=2)):
        model, x, y = problem(seed)
        history = fit(model, x, y, epochs=2, optimizer=SGD(0.5), rng=rng(seed), batch_size=5, attack=attack)
        found.append((model.params["theta"].tolist(), model.params["theta0"].item(), history))
    assert found[0] == found[1] == found[2]


@few
@given(seed=seeds)
def test_gradient_descent_goes_down_as_far_as_the_descent_lemma_says(seed):
    """f(theta - g / M) <= f(theta) - |g|^2 / 2M, with M = mean |(x, 1)|^2 / 4 the curvature's bound, step by step"""
    model, x, y = problem(seed)
    curvature = np.mean((x**2).sum(axis=1) + 1) / 4
    for _ in range(5):
        before = objective(model, x, y)
        g, g0 = robust_logistic.gradient(model.params["theta"], float(model.params["theta0"]), x, y, Linf(0))
        fit(model, x, y, epochs=1, optimizer=SGD(1 / curvature), rng=rng(seed), batch_size=len(x))
        assert objective(model, x, y) <= before - (g @ g + g0 * g0) / (2 * curvature) + 1e-15


def test_the_attack_sees_the_model_as_it_is_at_each_step():
    """delta is computed on theta[t], batch by batch, and on no other"""
    model, x, y = problem(2)
    seen = []

    def attack(model, x, y):
        seen.append((model.params["theta"].copy(), len(x)))
        return np.zeros_like(x)

    thetas = [model.params["theta"]]

    class Spy(SGD):
        def step(self, params, grads):
            new = super().step(params, grads)
            thetas.append(new["theta"])
            return new

    fit(model, x, y, epochs=2, optimizer=Spy(0.3), rng=rng(), batch_size=5, attack=attack)
    assert [n for _, n in seen] == [5, 5, 2] * 2
    np.testing.assert_array_equal([theta for theta, _ in seen], thetas[:-1])
    np.testing.assert_array_equal(model.params["theta"], thetas[-1])
    assert len({theta.tobytes() for theta in thetas}) == 7


def test_a_batch_counts_by_its_mean_whatever_its_size():
    """Doubling every example of a batch changes no step: (1/2m) sum over 2m = (1/m) sum over m"""
    model, x, y = problem(3)
    twice, _, _ = problem(3)
    fit(model, x, y, epochs=1, optimizer=SGD(1), rng=rng(), batch_size=len(x))
    fit(twice, np.tile(x, (2, 1)), np.tile(y, 2), epochs=1, optimizer=SGD(1), rng=rng(), batch_size=2 * len(x))
    np.testing.assert_allclose(twice.params["theta"], model.params["theta"], rtol=1e-13)


# What is left behind


def test_history_is_measured_before_each_step_and_averaged_over_examples():
    """step size 0: every epoch's loss is the objective, its error that of the model, though batches differ in size"""
    model, x, y = problem(4, n=17)
    history = fit(model, x, y, epochs=3, optimizer=SGD(0), rng=rng(), batch_size=5)
    np.testing.assert_allclose(history.loss, 3 * [objective(model, x, y)], rtol=1e-14)
    np.testing.assert_allclose(history.error, 3 * [np.mean(predict(model, x) != y)], rtol=1e-14)
    assert {type(v) for v in history.loss + history.error} == {float}


def test_history_is_measured_at_the_attacked_examples():
    """step size 0 on a model without a clean error: the loss is the robust objective, the error the attacked one"""
    model, ball = LogisticRegression(np.array([1.0, -1.0])), Linf(0.1)
    x = rng().random((40, 2))
    y = predict(model, x)
    history = fit(model, x, y, epochs=1, optimizer=SGD(0), rng=rng(), attack=partial(exact, threat=ball))
    np.testing.assert_allclose(history.loss, [objective(model, x, y, ball)], rtol=1e-14)
    np.testing.assert_allclose(history.error, [np.mean(abs(x[:, 0] - x[:, 1]) < 0.2)], rtol=1e-14)
    assert 0 < history.error[0] < 1


@pytest.mark.parametrize("attack", [None, partial(exact, threat=Linf(0.1))])
def test_old_arrays_are_not_written_to(attack):
    """x, y and the arrays of the first theta are what they were"""
    model, x, y = problem(7)
    arrays = [x, y, *model.params.values()]
    before = [a.copy() for a in arrays]
    fit(model, x, y, epochs=2, optimizer=SGD(0.5), rng=rng(), batch_size=5, attack=attack)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert (model.params["theta"] != before[2]).all()


def test_no_epochs_change_nothing():
    """epochs = 0: the same parameters, an empty history"""
    model, x, y = problem(8)
    theta = model.params["theta"]
    history = fit(model, x, y, epochs=0, optimizer=SGD(0.5), rng=rng())
    assert model.params["theta"] is theta
    assert (history.loss, history.error) == ([], [])


@pytest.mark.parametrize("x_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("theta_dtype", [np.float32, np.float64])
@pytest.mark.parametrize("attack", [None, partial(exact, threat=Linf(np.float64(0.1)))])
def test_parameters_keep_their_dtype(x_dtype, theta_dtype, attack):
    """theta of float32 is float32 after training on float64, and the other way round"""
    model, _, _ = problem(9, dtype=theta_dtype)
    _, x, y = problem(9, dtype=x_dtype)
    fit(model, x, y, epochs=2, optimizer=SGD(np.float64(0.5)), rng=rng(), attack=attack)
    assert {p.dtype for p in model.params.values()} == {np.dtype(theta_dtype)}


# Failure


@pytest.mark.parametrize("batch_size", [3, 12])
@pytest.mark.parametrize("lr", [1e200, 1e308])
def test_a_step_too_large_is_an_error_and_the_last_good_parameters_are_kept(lr, batch_size):
    """If loss or theta is no longer finite: FloatingPointError, no warning, and theta is one of a finite loss"""
    model, x, y = problem(10)
    x = 1e150 * x
    with pytest.raises(FloatingPointError, match="NaN or infinite: try a smaller step size"):
        fit(model, x, y, epochs=3, optimizer=SGD(lr), rng=rng(), batch_size=batch_size)
    assert np.isfinite(objective(model, x, y))


@pytest.mark.parametrize("explode", [lambda p: p * np.inf, lambda p: p * np.nan, lambda p: p + 1.7e308])
def test_the_parameters_kept_are_those_before_the_step_that_went_wrong(explode):
    """theta[2] is not finite, or it is and its loss is not: theta[1] is kept"""
    model, x, y = problem(11)
    steps = []

    class Explodes(SGD):
        def step(self, params, grads):
            steps.append(super().step(params, grads))
            return steps[-1] if len(steps) < 2 else {name: explode(p) for name, p in params.items()}

    with pytest.raises(FloatingPointError):
        fit(model, x, y, epochs=5, optimizer=Explodes(0.1), rng=rng(), batch_size=len(x))
    np.testing.assert_array_equal(model.params["theta"], steps[0]["theta"])
    np.testing.assert_array_equal(model.params["theta0"], steps[0]["theta0"])


def test_a_last_step_that_goes_wrong_is_not_taken():
    """theta[1] is not finite, and no loss will be computed there: an error all the same, and theta[0] is kept"""
    model, x, y = problem(14)
    theta = model.params["theta"]

    class Explodes(SGD):
        def step(self, params, grads):
            return {name: p * np.inf for name, p in params.items()}

    with pytest.raises(FloatingPointError):
        fit(model, x, y, epochs=1, optimizer=Explodes(0.1), rng=rng(), batch_size=len(x))
    assert model.params["theta"] is theta


def test_a_loss_that_is_infinite_from_the_start_changes_nothing():
    """theta[0] gives an infinite loss: an error, and theta[0] is kept"""
    model = LogisticRegression(np.full(3, 1.5e308))
    theta = model.params["theta"]
    x = np.array([[0.0, 0, 0], [9, 9, 9]])
    with pytest.raises(FloatingPointError):
        fit(model, x, np.array([1, -1]), epochs=1, optimizer=SGD(0.1), rng=rng())
    assert model.params["theta"] is theta


class Untouchable:
    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for before the input was checked")


GOOD = {"epochs": 1, "optimizer": SGD(0.1), "rng": rng(), "batch_size": 5}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs = -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, not 1.5"),
        ({"epochs": True}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size = 0 must be >= 1"),
        ({"batch_size": 2.0}, TypeError, "batch_size"),
        ({"x": np.zeros((0, 3))}, ValueError, "at least one example"),
        ({"x": np.zeros((12, 3), int)}, TypeError, "float32 or float64"),
        ({"x": np.full((12, 3), np.nan)}, ValueError, "x holds nan"),
        ({"x": np.zeros((12, 4))}, ValueError, r"examples of shape \(3,\) were expected"),
        ({"y": np.zeros(12)}, ValueError, "y holds 0"),
        ({"y": np.ones(11)}, ValueError, r"y has shape \(11,\)"),
    ],
)
def test_bad_input_is_refused_before_any_step(wrong, error, message):
    """An argument that does not fit is an error that names it; nothing is drawn, attacked or trained"""
    model, x, y = problem(0)
    theta, attack = model.params["theta"], Untouchable()
    data = {"x": x, "y": y} | {key: value for key, value in wrong.items() if key in ("x", "y")}
    settings = GOOD | {"rng": Untouchable(), "attack": attack} | {k: v for k, v in wrong.items() if k not in data}
    with pytest.raises(error, match=message):
        fit(model, data["x"], data["y"], **settings)
    assert model.params["theta"] is theta


def test_training_off_a_terminal_prints_nothing(capsys):
    """No bar where the error stream is no terminal; progress=False trains the same"""
    thetas = []
    for progress in (True, False):
        model, x, y = problem(13)
        fit(model, x, y, **GOOD | {"rng": rng()}, progress=progress)
        thetas.append(model.params["theta"].tolist())
    assert thetas[0] == thetas[1]
    assert capsys.readouterr() == ("", "")
