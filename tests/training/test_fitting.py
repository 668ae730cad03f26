"""Laws of training by minibatches, on convex problems and on a model that records its inputs."""

from functools import partial
from itertools import chain

import numpy as np
import pytest
import tqdm
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv import parallel, robust_logistic
from scratchadv.attacks import exact, fgsm_random_start, pgd
from scratchadv.layers import Conv, Dense, Dropout, Flatten, ReLU
from scratchadv.losses import logistic
from scratchadv.models import CNN, LogisticRegression, Network, weights
from scratchadv.models.protocol import predict
from scratchadv.sets import L1, L2, Linf
from scratchadv.training import fit, fitting
from scratchadv.training.optim import SGD, Adam, steps

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


def problem(seed, n=12, shape=(3,), dtype=np.float64):
    """Examples in the unit box, labels, and initial parameters."""
    random = rng(seed)
    x, y = random.random((n, *shape)).astype(dtype), random.choice([-1, 1], n)
    return LogisticRegression(random.normal(size=shape).astype(dtype), random.normal()), x, y


def objective(model, x, y, ball=Linf(0)):  # noqa: B008  # frozen
    theta, theta0 = model.params["theta"].astype(float), float(model.params["theta0"])
    return robust_logistic.objective(theta, theta0, x, y, ball)


class Diary:
    """A model whose logits are 0, and which records the examples of every batch (by their first pixel)."""

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
    """The batches of each epoch partition the examples; all but the last have batch_size of them"""
    batches = keep_a_diary(n, epochs, batch_size)
    sizes = [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size else [])
    assert [len(batch) for batch in batches] == epochs * sizes
    for epoch in range(epochs):
        seen = chain(*batches[epoch * len(sizes) : (epoch + 1) * len(sizes)])
        assert sorted(seen) == list(range(n))


def test_the_order_is_new_in_each_epoch_and_for_each_seed():
    """The order of 50 examples differs between epochs and between seeds, and from the given order"""
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
    """delta is computed at theta[t], batch by batch, and at no other theta"""
    model, x, y = problem(2)
    seen = []

    def attack(model, x, y):
        seen.append((model.params["theta"].copy(), len(x)))
        return np.zeros_like(x)

    thetas = [model.params["theta"]]

    class Spy(SGD):
        def step(self, params, *rest):
            new, state = super().step(params, *rest)
            thetas.append(new["theta"])
            return new, state

    fit(model, x, y, epochs=2, optimizer=Spy(0.3), rng=rng(), batch_size=5, attack=attack)
    assert [n for _, n in seen] == [5, 5, 2] * 2
    np.testing.assert_array_equal([theta for theta, _ in seen], thetas[:-1])
    np.testing.assert_array_equal(model.params["theta"], thetas[-1])
    assert len({theta.tobytes() for theta in thetas}) == 7


def test_a_batch_counts_by_its_mean_whatever_its_size():
    """Doubling every example of a batch does not change a step: (1/2m) sum over 2m = (1/m) sum over m"""
    model, x, y = problem(3)
    twice, _, _ = problem(3)
    fit(model, x, y, epochs=1, optimizer=SGD(1), rng=rng(), batch_size=len(x))
    fit(twice, np.tile(x, (2, 1)), np.tile(y, 2), epochs=1, optimizer=SGD(1), rng=rng(), batch_size=2 * len(x))
    np.testing.assert_allclose(twice.params["theta"], model.params["theta"], rtol=1e-13)


# Results


def test_history_is_measured_before_each_step_and_averaged_over_examples():
    """With step size 0 every epoch's loss is the objective and its error the model's, although batch sizes differ"""
    model, x, y = problem(4, n=17)
    history = fit(model, x, y, epochs=3, optimizer=SGD(0), rng=rng(), batch_size=5)
    np.testing.assert_allclose(history.loss, 3 * [objective(model, x, y)], rtol=1e-14)
    np.testing.assert_allclose(history.error, 3 * [np.mean(predict(model, x) != y)], rtol=1e-14)
    assert {type(v) for v in history.loss + history.error} == {float}


def test_history_is_measured_at_the_attacked_examples():
    """With step size 0 and no clean error: the loss is the robust objective, and the error is that under attack"""
    model, ball = LogisticRegression(np.array([1.0, -1.0])), Linf(0.1)
    x = rng().random((40, 2))
    y = predict(model, x)
    history = fit(model, x, y, epochs=1, optimizer=SGD(0), rng=rng(), attack=partial(exact, threat=ball))
    np.testing.assert_allclose(history.loss, [objective(model, x, y, ball)], rtol=1e-14)
    np.testing.assert_allclose(history.error, [np.mean(abs(x[:, 0] - x[:, 1]) < 0.2)], rtol=1e-14)
    assert 0 < history.error[0] < 1


@pytest.mark.parametrize("attack", [None, partial(exact, threat=Linf(0.1))])
def test_old_arrays_are_not_written_to(attack):
    """x, y and the initial arrays of theta are not changed"""
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
    """theta of float32 is float32 after training on float64, and vice versa"""
    model, _, _ = problem(9, dtype=theta_dtype)
    _, x, y = problem(9, dtype=x_dtype)
    fit(model, x, y, epochs=2, optimizer=SGD(np.float64(0.5)), rng=rng(), attack=attack)
    assert {p.dtype for p in model.params.values()} == {np.dtype(theta_dtype)}


# Failure


@pytest.mark.parametrize("batch_size", [3, 12])
@pytest.mark.parametrize("lr", [1e200, 1e308])
def test_a_step_too_large_is_an_error_and_the_last_good_parameters_are_kept(lr, batch_size):
    """If loss or theta is no longer finite: FloatingPointError, no warning, and theta is one with a finite loss"""
    model, x, y = problem(10)
    x = 1e150 * x
    with pytest.raises(FloatingPointError, match="NaN or infinite: try a smaller step size"):
        fit(model, x, y, epochs=3, optimizer=SGD(lr), rng=rng(), batch_size=batch_size)
    assert np.isfinite(objective(model, x, y))


@pytest.mark.parametrize("explode", [lambda p: p * np.inf, lambda p: p * np.nan, lambda p: p + 1.7e308])
def test_the_parameters_kept_are_those_before_the_step_that_went_wrong(explode):
    """If theta[2] is not finite, or its loss is not, theta[1] is kept"""
    model, x, y = problem(11)
    steps = []

    class Explodes(SGD):
        def step(self, params, *rest):
            steps.append(super().step(params, *rest)[0])
            return (steps[-1] if len(steps) < 2 else {name: explode(p) for name, p in params.items()}), {}

    with pytest.raises(FloatingPointError):
        fit(model, x, y, epochs=5, optimizer=Explodes(0.1), rng=rng(), batch_size=len(x))
    np.testing.assert_array_equal(model.params["theta"], steps[0]["theta"])
    np.testing.assert_array_equal(model.params["theta0"], steps[0]["theta0"])


def test_a_last_step_that_goes_wrong_is_not_taken():
    """theta[1] is not finite, and no loss is computed there: an error all the same, and theta[0] is kept"""
    model, x, y = problem(14)
    theta = model.params["theta"]

    class Explodes(SGD):
        def step(self, params, grads, state, scale):
            return {name: p * np.inf for name, p in params.items()}, {}

    with pytest.raises(FloatingPointError):
        fit(model, x, y, epochs=1, optimizer=Explodes(0.1), rng=rng(), batch_size=len(x))
    assert model.params["theta"] is theta


def test_a_loss_that_is_infinite_from_the_start_changes_nothing():
    """theta[0] has an infinite loss: an error, and theta[0] is kept"""
    model = LogisticRegression(np.full(3, 1.5e308))
    theta = model.params["theta"]
    x = np.array([[0.0, 0, 0], [9, 9, 9]])
    with pytest.raises(FloatingPointError):
        fit(model, x, np.array([1, -1]), epochs=1, optimizer=SGD(0.1), rng=rng())
    assert model.params["theta"] is theta


def untouchable(model, x, y):
    raise AssertionError("the attack was called before the input was checked")


GOOD = {"epochs": 1, "optimizer": SGD(0.1), "rng": rng(), "batch_size": 5}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"epochs": -1}, ValueError, "epochs = -1"),
        ({"epochs": 1.5}, TypeError, "epochs must be a whole number, not 1.5"),
        ({"epochs": True}, TypeError, "epochs"),
        ({"batch_size": 0}, ValueError, "batch_size = 0 must be >= 1"),
        ({"batch_size": 2.0}, TypeError, "batch_size"),
        ({"schedule": lambda epoch: -1.0}, ValueError, r"schedule\(0\) = -1"),
        ({"x": np.zeros((0, 3))}, ValueError, "at least one example"),
        ({"x": np.zeros((12, 3), int)}, TypeError, "float32 or float64"),
        ({"x": np.full((12, 3), np.nan)}, ValueError, "x holds nan"),
        ({"x": np.zeros((12, 4))}, ValueError, r"examples of shape \(3,\) were expected"),
        ({"y": np.zeros(12)}, ValueError, "y holds 0"),
        ({"y": np.ones(11)}, ValueError, r"y has shape \(11,\)"),
    ],
)
def test_bad_input_is_refused_before_any_step(wrong, error, message):
    """An invalid argument is an error that names it; nothing is drawn, attacked or trained"""
    model, x, y = problem(0)
    theta, drawn = model.params["theta"], rng()
    data = {"x": x, "y": y} | {key: value for key, value in wrong.items() if key in ("x", "y")}
    settings = GOOD | {"rng": drawn, "attack": untouchable} | {k: v for k, v in wrong.items() if k not in data}
    with pytest.raises(error, match=message):
        fit(model, data["x"], data["y"], **settings)
    assert model.params["theta"] is theta
    assert drawn.bit_generator.state == rng().bit_generator.state


def test_training_off_a_terminal_prints_nothing(capsys):
    """No bar if the error stream is not a terminal; progress=False trains in the same way"""
    thetas = []
    for progress in (True, False):
        model, x, y = problem(13)
        fit(model, x, y, **GOOD | {"rng": rng()}, progress=progress)
        thetas.append(model.params["theta"].tolist())
    assert thetas[0] == thetas[1]
    assert capsys.readouterr() == ("", "")


class FakeBar:
    """Records what tqdm would be told."""

    def __init__(self, iterable, **options):
        self.options, self.updates, self.postfixes = options, 0, []
        type(self).last = self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self):
        self.updates += 1

    def set_postfix(self, refresh, **numbers):
        self.postfixes.append(numbers)


def test_the_bar_counts_batches_and_shows_the_last_epoch(monkeypatch, tmp_path):
    """total = epochs x batches, including those done before a checkpoint; loss and error after each epoch"""
    monkeypatch.setattr(tqdm, "tqdm", FakeBar)
    options = GOOD | {"checkpoint": tmp_path / "run.npz"}
    for epochs, done in ((2, 0), (5, 2)):
        model, x, y = problem(13)
        history = fit(model, x, y, **options | {"epochs": epochs, "rng": rng()})
        bar = FakeBar.last
        assert (bar.options["total"], bar.options["initial"]) == (epochs * 3, done * 3)
        assert bar.updates == (epochs - done) * 3
        assert bar.postfixes[-1] == {"loss": f"{history.loss[-1]:.4g}", "error": f"{history.error[-1]:.2%}"}
        assert len(bar.postfixes) == epochs - done


# Settings


def test_the_defaults_are_those_that_the_docstring_says():
    """SGD(0.1), default_rng(0), batches of 100, the step size constant"""
    model, x, y = problem(20, n=250)
    other, _, _ = problem(20, n=250)
    fit(model, x, y, epochs=2)
    fit(other, x, y, epochs=2, optimizer=SGD(0.1), rng=rng(0), batch_size=100, schedule=lambda epoch: 1)
    assert bits(model) == bits(other)


def test_training_is_the_loop_of_the_slides():
    """theta = theta - alpha_e mean grad, with a permutation in each epoch, written out"""
    model, x, y = problem(21)
    by_hand, _, _ = problem(21)
    schedule, random = steps({1: 0.5, 2: 0.25}), rng(3)
    fit(model, x, y, epochs=3, optimizer=SGD(0.5), schedule=schedule, rng=rng(3), batch_size=5)
    for factor in (1, 0.5, 0.25):
        order = random.permutation(len(x))
        for batch in (order[:5], order[5:10], order[10:]):
            z, pull = by_hand.vjp_theta(x[batch])
            grads = pull(logistic.grad(z, y[batch]) / len(batch))
            by_hand.params = {name: p - 0.5 * factor * grads[name] for name, p in by_hand.params.items()}
    assert bits(model) == bits(by_hand)


@pytest.mark.parametrize("optimizer", [SGD(0.5, momentum=0.9), Adam(0.1)], ids=str)
def test_the_state_of_the_optimizer_goes_from_step_to_step_and_from_epoch_to_epoch(optimizer):
    """E epochs of one batch are E steps with one state of the optimiser"""
    model, x, y = problem(22)
    by_hand, _, _ = problem(22)
    fit(model, x, y, epochs=4, optimizer=optimizer)
    state = optimizer.start(by_hand.params)
    for _ in range(4):
        z, pull = by_hand.vjp_theta(x)
        by_hand.params, state = optimizer.step(by_hand.params, pull(logistic.grad(z, y) / len(x)), state)
    np.testing.assert_allclose(model.params["theta"], by_hand.params["theta"], rtol=1e-12)


def test_an_attack_that_returns_another_shape_is_refused():
    """delta must have the shape of x: a broadcast would silently be another attack"""
    model, x, y = problem(23)
    with pytest.raises(ValueError, match=r"the attack's delta has shape \(3,\); the shape of x, \(12, 3\)"):
        fit(model, x, y, epochs=1, attack=lambda model, x, y: x[0])


def test_an_attack_of_float64_does_not_widen_float32():
    """A user's delta of float64 trains like its float32 version"""
    found = []
    for dtype in (np.float32, np.float64):
        model, x, y = problem(24, dtype=np.float32)
        fit(model, x, y, epochs=1, attack=lambda model, x, y, dtype=dtype: np.full(x.shape, 0.25, dtype))
        found.append(bits(model))
    assert found[0] == found[1]


# Networks: dropout, chunks


def digits(n=40):
    """Small images with three classes."""
    random = rng(9)
    return random.random((n, 6, 6, 1), dtype=np.float32), random.integers(0, 3, n)


def dropout_net(seed=0):
    return Network([Flatten(), Dense(8), ReLU(), Dropout(0.5), Dense(3)], (6, 6, 1), rng(seed))


def cnn(seed=0):
    return CNN((6, 6, 1), [Conv(2), Conv(3, stride=2)], (4, 3), rng=rng(seed))


def test_the_attack_sees_no_dropout_and_the_step_does():
    """Attacks see a model without dropout, training one with dropout (compare Foolbox #74, torchattacks #21)"""
    x, y = digits()
    model, plain = dropout_net(), dropout_net()
    plain.layers = [layer for layer in plain.layers if not isinstance(layer, Dropout)]
    plain.layers.insert(3, Dropout(0))

    def attack(seen, x, y):
        assert seen is model
        np.testing.assert_array_equal(seen.logits(x), seen.logits(x))
        return 0 * x

    fit(model, x, y, epochs=1, attack=attack)
    fit(plain, x, y, epochs=1)
    assert bits(model) != bits(plain)
    assert all(layer.rng is None for layer in model.layers if isinstance(layer, Dropout))


def test_dropout_is_drawn_anew_for_each_step_and_for_each_example():
    """With steps of size 0 on the same batch, the losses differ between steps, and between equal examples"""
    x, y = digits(8)
    history = fit(dropout_net(), x, y, epochs=4, optimizer=SGD(0))
    assert len(set(history.loss)) == 4
    equal, labels = np.tile(x[:1], (8, 1, 1, 1)), np.tile(y[:1], 8)
    (loss, _), _ = fitting.loss_and_gradients(dropout_net(), 8, equal, labels, np.arange(8))
    assert len(set(loss)) == 8


def deep_dropout_net():
    layers = [Conv(2), ReLU(), Dropout(0.25), Flatten(), Dense(8), ReLU(), Dropout(0.5), Dense(3)]
    return Network(layers, (6, 6, 1), rng(1), np.float64)


@pytest.mark.parametrize("attack", [None, partial(pgd, threat=Linf(0.1).within(0, 1), steps=2)])
@settings(max_examples=15, deadline=None)
@given(chunk=st.integers(1, 20), threads=st.integers(1, 4))
def test_training_with_dropout_depends_neither_on_chunks_nor_on_threads(attack, chunk, threads):
    """The parameters after six steps are the same to 1e-12 for every size of the chunks"""
    x, y = digits(24)
    whole, cut = deep_dropout_net(), deep_dropout_net()
    options = {"epochs": 2, "batch_size": 10, "optimizer": SGD(0.1, 0.9), "attack": attack}
    with parallel.limit(1, 1000):
        fit(whole, x.astype(float), y, **options, rng=rng(3))
    with parallel.limit(threads, chunk):
        fit(cut, x.astype(float), y, **options, rng=rng(3))
    for name, p in whole.params.items():
        np.testing.assert_allclose(cut.params[name], p, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [cnn, dropout_net])
@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_the_number_of_threads_changes_nothing(make, chunk):
    """The gradients of the chunks are added in order: the same bits on 1, 2 and 5 threads"""
    x, y = digits()
    found = []
    for threads in (1, 2, 5):
        model = make()
        with parallel.limit(threads, chunk):
            history = fit(model, x, y, epochs=1, batch_size=16)
        found.append((bits(model), history))
    assert found[0] == found[1] == found[2]


def test_chunks_change_nothing_beyond_rounding():
    """The gradient of the mean is the sum of the chunks' parts"""
    x, y = digits()
    found = []
    for chunk in (1, 7, 100):
        model = cnn()
        with parallel.limit(chunk=chunk):
            fit(model, x, y, epochs=1, batch_size=16)
        found.append(np.concatenate([p.ravel() for p in model.params.values()]))
    np.testing.assert_allclose(found[0], found[2], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-4, atol=1e-6)


# Checkpoints


def bits(model):
    return {name: (str(p.dtype), p.shape, p.tobytes()) for name, p in model.params.items()}


def linear(seed=0):
    return LogisticRegression.initial((6, 6, 1), rng(seed))


def random_start(random):
    return partial(fgsm_random_start, threat=Linf(0.1).within(0, 1), rng=random)


RUNS = {
    "SGD": (linear, SGD(0.5), None),
    "momentum": (cnn, SGD(0.1, 0.9, 0.01), None),
    "Adam": (cnn, Adam(0.01), None),
    "dropout": (dropout_net, Adam(0.01), None),
    "random start": (dropout_net, SGD(0.1, 0.9), random_start),
    "its own generator": (linear, SGD(0.1), lambda random: random_start(rng(77))),
    "own function": (linear, SGD(0.1), lambda random: lambda model, x, y: random.normal(size=x.shape)),
}
EPOCHS = 4


def train(run, path, epochs=EPOCHS, wrap=lambda attack: attack, model=None, **changed):
    """Return what a run from its beginning leaves behind, started as by a new process."""
    make, optimizer, attack = RUNS[run]
    model, random, (x, y) = model or make(), rng(5), digits()
    y = np.where(y == 0, 1, -1) if make is linear else y
    settings = {"optimizer": optimizer, "schedule": steps({2: 0.5}), "batch_size": 16, "rng": random} | changed
    settings |= {"attack": wrap(attack(random) if attack else None)} if "attack" not in changed else {}
    history = fit(model, x, y, epochs=epochs, checkpoint=path, **settings)
    return bits(model), history, random.random(3).tolist()


@pytest.mark.parametrize("run", RUNS)
def test_a_run_that_is_resumed_is_the_run_that_was_not_interrupted(run, tmp_path):
    """Stopped after e epochs, for every e, a run ends with the same parameters, history, generator and checkpoint"""
    expected = train(run, tmp_path / "whole.npz")
    assert expected == train(run, None)
    for epochs in range(EPOCHS + 1):
        path = tmp_path / f"{epochs}.npz"
        train(run, path, epochs)
        assert train(run, path) == expected
        assert path.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("same_model", [False, True])
@pytest.mark.parametrize("run", ["random start", "its own generator", "own function"])
def test_an_interruption_costs_the_running_epoch_and_nothing_else(run, same_model, tmp_path):
    """The attack raises at its n-th call, for every n: the model is as in the file, and the run can be resumed"""
    expected = train(run, None)
    for n in range(3 * EPOCHS):
        path, calls, model = tmp_path / f"{n}.npz", [], RUNS[run][0]()

        def wrap(attack, n=n, calls=calls):
            def interrupted(seen, x, y):
                calls.append(len(x))
                if len(calls) > n:
                    raise Interrupted
                return attack(seen, x, y)

            return partial(interrupted) if run == "own function" else Wrapped(attack, interrupted)

        with pytest.raises(Interrupted):
            train(run, path, wrap=wrap, model=model)
        assert train(run, path, epochs=n // 3)[0] == bits(model)
        assert train(run, path, model=model if same_model else None) == expected


class Wrapped(partial):
    """A function that looks like the first one, and calls the second."""

    def __new__(cls, shown, called):
        self = super().__new__(cls, shown)
        self.called = called
        return self

    def __call__(self, *arguments):
        return self.called(*arguments)


def test_without_a_checkpoint_an_interruption_keeps_what_was_learned():
    """theta is that after the last step"""
    model, x, y = problem(30)
    theta = model.params["theta"]

    def attack(model, x, y):
        if model.params["theta"] is not theta:
            raise KeyboardInterrupt
        return 0 * x

    with pytest.raises(KeyboardInterrupt):
        fit(model, x, y, epochs=1, batch_size=5, attack=attack)
    assert model.params["theta"] is not theta


def test_a_finished_run_is_left_at_once(tmp_path):
    """Nothing is attacked or stepped; parameters, history and generator are those at the end"""
    expected = train("Adam", tmp_path / "a.npz")

    class Untouched(Adam):
        def step(self, *args):
            raise AssertionError

    Untouched.__module__, Untouched.__qualname__ = Adam.__module__, Adam.__qualname__
    assert train("Adam", tmp_path / "a.npz", optimizer=Untouched(0.01)) == expected


def test_nan_leaves_the_checkpoint_of_the_last_epoch(tmp_path):
    """The third epoch diverges: the error says so, and the first two epochs can still be used"""
    two = train("own function", tmp_path / "a.npz", epochs=2)
    with pytest.raises(FloatingPointError, match=r"NaN or infinite.* \(epoch 2; the last good parameters are kept\)"):
        train("own function", tmp_path / "a.npz", attack=lambda model, x, y: np.full_like(x, np.inf))
    assert train("own function", tmp_path / "a.npz", epochs=2) == two


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"model": CNN((6, 6, 1), [Conv(2), Conv(4, stride=2)], (4, 3))},
            r"model\.layers\.2\.features: 3 there, 4 here",
        ),
        ({"model": dropout_net()}, "model.model: CNN there, Network here"),
        ({"model": cnn(1)}, "began with other parameters"),
        ({"model": CNN((6, 6, 1), [Conv(2), Conv(3, stride=2)], (4, 3), dtype=np.float64)}, "float32 there, float64"),
        ({"optimizer": SGD(0.1)}, r"optimizer\.is: .*Adam there, .*SGD here"),
        ({"optimizer": Adam(0.02)}, r"optimizer\.lr: 0\.01 there, 0\.02 here"),
        ({"batch_size": 15}, "batch size: 16 there, 15 here"),
        ({"rng": rng(6)}, r"rng\.seed\.0: 5 there, 6 here"),
        ({"rng": np.random.Generator(np.random.Philox(5))}, r"rng\.is: PCG64 there, Philox here"),
        ({"attack": partial(pgd, threat=Linf(0.1))}, "attack: None there, .*pgd"),
        ({"attack": lambda model, x, y: 0 * x}, "attack: None there, one's own here"),
        ({"schedule": steps({2: 0.25})}, "schedule: in epoch 2 the factor is 0.5 there, 0.25 here"),
        ({"epochs": 2}, "done 3 epochs already; epochs = 2 were asked for"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(changed, message, tmp_path):
    """The message names what differs, and neither the model nor the file is changed"""
    path = tmp_path / "a.npz"
    train("Adam", path, epochs=3)
    before, model = path.read_bytes(), changed.get("model", cnn())
    params = bits(model)
    with pytest.raises(ValueError, match=rf"a\.npz (belongs to another run|belongs to a run|has).*{message}"):
        train("Adam", path, **{"model": model} | changed)
    assert path.read_bytes() == before
    assert bits(model) == params


def test_a_checkpoint_whose_masks_were_drawn_by_chunk_is_refused(tmp_path, monkeypatch):
    """Earlier versions dropped other entries, so going on would be another run; without dropout nothing has changed"""
    current = fitting.describe_run

    def earlier(*args):
        return {name: value for name, value in current(*args).items() if name != "dropout"}

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "describe_run", earlier)
        train("dropout", tmp_path / "a.npz", epochs=1)
        train("Adam", tmp_path / "b.npz", epochs=1)
    with pytest.raises(ValueError, match="dropout: None there, by example here"):
        train("dropout", tmp_path / "a.npz")
    assert train("Adam", tmp_path / "b.npz") == train("Adam", None)


def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    """With fewer examples, or one other pixel, the data differ"""
    model, x, y = problem(31)
    options = {"epochs": 1, "checkpoint": tmp_path / "a.npz"}
    fit(model, x, y, **options)
    with pytest.raises(ValueError, match=r"data\.x\.shape\.0: 12 there, 11 here"):
        fit(model, x[:-1], y[:-1], **options)
    with pytest.raises(ValueError, match=r"data\.x\.sha256"):
        fit(model, x + 1e-15, y, **options)
    with pytest.raises(ValueError, match=r"data\.y\.sha256"):
        fit(model, x, -y, **options)


def test_a_checkpoint_with_other_generators_is_refused(tmp_path):
    """An attack that draws from its own generator cannot be resumed without its state"""
    train("own function", tmp_path / "a.npz", epochs=1)
    with pytest.raises(ValueError, match="has 1 random generators; this run draws from 2"):
        train("own function", tmp_path / "a.npz", attack=random_start(rng(1)))


def test_a_damaged_checkpoint_is_refused(tmp_path):
    """Truncated in many places, or a model: a ValueError, and the model is not changed"""
    path, model = tmp_path / "a.npz", linear()
    train("SGD", path, epochs=1)
    whole = path.read_bytes()
    for n in range(0, len(whole), 97):
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match=r"a\.npz is damaged, cut off"):
            train("SGD", path, model=model)
    weights.save(linear(), path)
    with pytest.raises(ValueError, match="is a model in format 1; a checkpoint in format 1 was expected"):
        train("SGD", path, model=model)
    assert bits(model) == bits(linear())


def test_models_that_cannot_be_saved_can_be_resumed(tmp_path):
    """A model of any class has a checkpoint: it is known by its class and the shapes of its parameters"""
    x, options = np.ones((6, 2)), {"epochs": 2, "checkpoint": tmp_path / "a.npz"}
    first, second = Diary(), Diary()
    history = fit(first, x, np.ones(6), **options)
    assert fit(second, x, np.ones(6), **options) == history
    assert (bits(second), second.batches) == (bits(first), [])
    second.params["theta"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"parameters\.theta.*2.* there, .*3.* here"):
        fit(second, x, np.ones(6), **options)
