"""The hidden tests of homework 4: laws of FGSM, PGD and adversarial training."""

from functools import partial
from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from public_tests import iterates_of, loss_at, perturbation, same_array, student, threats, waves

from scratchadv import robust_logistic
from scratchadv.attacks import exact
from scratchadv.losses import cross_entropy, logistic, margin
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import labels_of, loss_and_gradient
from scratchadv.sets import L1, L2, Linf
from scratchadv.testing.models import LinearSoftmax, Recorded
from scratchadv.testing.strategies import linear_problems, seeds
from scratchadv.training.optim import SGD


class Opposite:
    """Minus the logistic loss: to climb it is to descend the logistic loss."""

    def value(self, z, y):
        """Return −L, shape ``(N,)``."""
        return -logistic.value(z, y)

    def grad(self, z, y):
        """Return −∂L/∂z, shape ``(N,)``."""
        return -logistic.grad(z, y)


def fails(call, what):
    """Check that the call raises ValueError."""
    try:
        call()
    except ValueError:
        return
    except Exception as other:
        raise AssertionError(f"{what} should raise ValueError, but raises {type(other).__name__}") from other
    raise AssertionError(f"{what} should raise ValueError, but does not")


@settings(max_examples=60)
@given(linear_problems())
def test_pgd_is_exact_on_linear_models(problem):
    """From zero PGD reaches the loss of the exact attack, up to 2 % of the possible gain"""
    model, x, y, threat = problem.model, problem.x, problem.y, problem.threat
    theta = model.params["theta"].tolist()
    where = f"for θ = {theta}, θ0 = {model.params['theta0']}, x = {x.tolist()}, y = {y.tolist()}, {threat}"
    delta = perturbation(student("pgd")(model, x, y, threat), x, threat, f"pgd's δ {where}")
    found, best, clean = (loss_at(model, x, y, d) for d in (delta, exact(model, x, y, threat), 0 * x))
    rounding = (1e-4 if x.dtype == np.float32 else 1e-9) * (1 + abs(best))
    short = found < best - 0.02 * (best - clean) - rounding
    assert not short.any(), (
        f"the loss under pgd should be {best.tolist()}, as under the exact attack, but is {found.tolist()} {where}"
    )


@settings(max_examples=40)
@given(seeds, threats, st.integers(1, 4), st.booleans(), st.sampled_from([0.5, 2.0]))
def test_pgd_gives_back_its_best_iterate(seed, threat, steps, random, size):
    """Of all iterates and δ = 0, those that fool come first, then the largest L(x + δ) wins; or the largest L alone"""
    model, x, y = waves(seed)
    for loss, keep in product((logistic, Opposite()), ("success", "loss")):
        rng = np.random.default_rng(seed) if random else None
        options = {"steps": steps, "alpha": size * threat.radius, "rng": rng, "loss": loss, "keep": keep}
        told, delta = iterates_of(model, x, y, threat, **options)
        assert len(told) == steps + 1, f"callback should be called {steps + 1} times for {steps} steps, not {len(told)}"
        seen = [0 * x, *(d for _, _, d, _ in told)]
        losses = np.array([loss_at(model, x, y, d, loss) for d in seen])
        fooled = np.array([labels_of(model.logits(x + d)) != y for d in seen])
        if keep == "success":  # where some iterate fools the model, only those that do may win
            losses = np.where(fooled | ~fooled.any(axis=0), losses, -np.inf)
        what = f"{type(loss).__name__} of pgd's δ ({model!r}, x = {x.tolist()}, {threat}, {steps} steps, alpha = "
        what += f"{options['alpha']:g}, {'random start' if random else 'start 0'}, keep = {keep!r}), the best of its "
        same_array(loss_at(model, x, y, delta, loss), losses.max(axis=0), what + "iterates and δ = 0,")


@settings(max_examples=40)
@given(seeds, threats, st.booleans())
def test_the_steps_are_the_formula(seed, threat, normalized):
    """δ[t+1] = P(δ[t] + α g), or the steepest step of size α from δ[t]; fgsm_random_start is one such step"""
    model, x, y = waves(seed)
    alpha = 0.3 * threat.radius
    kind = "normalised" if normalized else "plain"
    told, _ = iterates_of(model, x, y, threat, steps=3, alpha=alpha, normalized=normalized)
    where = f"({model!r}, x = {x.tolist()}, y = {y.tolist()}, {threat}, alpha = {alpha:g}, {kind} steps)"
    same_array(told[0][2], 0 * x, f"the first δ of pgd without rng and start {where}")
    for (_, t, delta, _), (_, _, found, _) in pairwise(told):
        expected = _step(model, x, y, threat, delta, alpha, normalized)
        same_array(found, expected, f"δ[{t + 1}] of pgd, after δ[{t}] = {delta.tolist()}, {where}")
    for size in (None, alpha):
        options = {} if size is None else {"alpha": size}
        found = student("fgsm_random_start")(model, x, y, threat, rng=np.random.default_rng(seed), **options)
        start = threat.sample(np.random.default_rng(seed), x)
        expected = _step(model, x, y, threat, start, 1.25 * threat.radius if size is None else size, True)
        same_array(found, expected, f"fgsm_random_start's δ from {start.tolist()} {where}")


def _step(model, x, y, threat, delta, alpha, normalized):
    _, g = loss_and_gradient(model, model.loss, x + delta, y)
    delta_set = threat.at(x)
    return delta_set.ascend(delta, g, alpha) if normalized else delta_set.project(delta + alpha * g)


@settings(max_examples=20)
@given(seeds, threats)
def test_nothing_is_changed_and_float32_stays(seed, threat):
    """x, y and the start are not changed; float32 images are attacked in float32; bad input is refused"""
    model, x, y = waves(seed)
    x = x.astype(np.float32)
    kept, labels, start = x.copy(), y.copy(), np.full((2, *x.shape), 0.5, np.float32)
    first = start.copy()
    for name, options in (
        ("fgsm", {}),
        ("fgsm_random_start", {"rng": np.random.default_rng(seed)}),
        ("pgd", {"steps": 3}),
        ("pgd", {"steps": 3, "rng": np.random.default_rng(seed), "restarts": 2}),
        ("pgd", {"steps": 3, "start": start, "restarts": 2, "normalized": False}),
    ):
        recorded = Recorded(model)
        what = f"{name} on float32 images under {threat}"
        perturbation(student(name)(recorded, x, y, threat, **options), x, threat, f"the δ of {what}")
        assert (x == kept).all(), f"x was changed by {what}"
        assert (y == labels).all(), f"y was changed by {what}"
        assert (start == first).all(), f"start was changed by {what}"
        dtypes = {str(asked.dtype) for asked in recorded.inputs}
        assert dtypes == {"float32"}, f"the model should be asked about float32 by {what}, but was about {dtypes}"
        bad = x.copy()
        bad[-1, -1] = np.nan
        fails(partial(student(name), model, bad, y, threat, **options), f"{name} with NaN in x")


@settings(max_examples=30)
@given(seeds, threats)
def test_batch_mates_do_not_matter(seed, threat):
    """The δ of an example is the same alone, in another order, and beside other examples"""
    model, x, y = waves(seed, n=4)
    start = threat.sample(np.random.default_rng(seed), x)
    plain = {"steps": 4, "normalized": False}
    for name, options in (("fgsm", {}), ("pgd", {"steps": 4}), ("pgd", plain), ("pgd", {"steps": 4, "start": start})):
        whole = student(name)(model, x, y, threat, **options)
        whole = perturbation(whole, x, threat, f"{name}'s δ")
        for part in ([0], [3, 1], [2, 2, 0], [3, 2, 1, 0]):
            cut = options | {"start": start[part]} if "start" in options else options
            what = f"{name}'s δ of the examples {part} of x = {x.tolist()} ({model!r}, {threat})"
            same_array(student(name)(model, x[part], y[part], threat, **cut), whole[part], what, accuracy=1e-7)


@settings(max_examples=30)
@given(seeds, threats)
def test_starts_restarts_and_seeds(seed, threat):
    """Starts are projected; of several starts each example keeps its best; the same seed gives the same δ"""
    model, x, y = waves(seed)
    pgd = student("pgd")
    where = f"({model!r}, x = {x.tolist()}, {threat})"
    starts = np.random.default_rng(seed).uniform(-1, 1, (3, *x.shape)).round(2)
    told, together = iterates_of(model, x, y, threat, steps=2, start=starts, restarts=3)
    begun = [delta for _, step, delta, _ in told if step == 0]
    assert len(begun) == 3, f"pgd with 3 restarts should begin 3 times, but callback sees {len(begun)} times step 0"
    alone = []
    for k in range(3):
        same_array(begun[k], threat.at(x).project(starts[k]), f"the first δ of restart {k} from {starts[k].tolist()}")
        alone.append(loss_at(model, x, y, pgd(model, x, y, threat, steps=2, start=starts[k])))
    found, best = loss_at(model, x, y, together), np.max(alone, axis=0)
    same_array(found, best, f"the loss of three restarts, the largest of those of each alone, {where},")

    def run(seed, restarts):
        return iterates_of(model, x, y, threat, steps=2, rng=np.random.default_rng(seed), restarts=restarts)

    told, delta = run(seed, 3)
    again, same = run(seed, 3)
    for (_, _, a, _), (_, _, b, _) in zip(told, again, strict=True):
        same_array(b, a, f"an iterate with the same seed again {where}", accuracy=0)
    same_array(same, delta, f"pgd's δ with the same seed again {where}", accuracy=0)
    firsts = [
        told[0][2],
        run(seed + 1, 1)[0][0][2],
        *(delta for restart, step, delta, _ in told if not step and restart),
    ]
    for i, a in enumerate(firsts):
        for b in firsts[:i]:
            assert abs(a - b).max() > 0, f"two random starts of pgd are the same, {a.tolist()} {where}"
    fails(lambda: pgd(model, x, y, threat, restarts=2), "pgd with restarts = 2 and neither rng nor start")
    fails(lambda: pgd(model, x, y, threat, start=starts[0][:1]), "pgd with a start of another shape than x")


@settings(max_examples=30)
@given(seeds, threats)
def test_targets(seed, threat):
    """L(y) − L(target) is maximised: for a linear softmax this is z_target − z_y, and the best δ is known"""
    rng = np.random.default_rng(seed)
    weight, x = rng.standard_normal((3, 4)).round(2), rng.random((4, 4)).round(2)
    model = LinearSoftmax(weight, np.zeros(3))
    y = np.array([0, 1, 2, 0])
    target = np.array([1, 2, 0, 2])

    def lead(delta):
        return cross_entropy.value(model.logits(x + delta), y) - cross_entropy.value(model.logits(x + delta), target)

    best, clean = lead(threat.at(x).linear_max(weight[target] - weight[y])), lead(0 * x)
    where = (
        f"for z = W x, W = {weight.tolist()}, x = {x.tolist()}, y = {y.tolist()}, target = {target.tolist()}, {threat}"
    )
    for name, options, left in (("fgsm", {}, 0), ("pgd", {"keep": "loss"}, 0.02)):
        delta = student(name)(model, x, y, threat, target=target, **options)
        found = lead(perturbation(delta, x, threat, f"{name}'s δ"))
        short = found < best - left * (best - clean) - 1e-9 * (1 + abs(best))
        what = f"L(y) - L(target) under {name} should be {best.tolist()}, but is {found.tolist()} {where}"
        assert not short.any(), what
    z, pull = model.vjp_x(x)
    expected = threat.at(x).linear_max(pull(margin.grad(z, y)))
    same_array(student("fgsm")(model, x, y, threat, loss=margin), expected, f"fgsm's δ with loss=margin {where}")
    delta = student("fgsm_random_start")(model, x, y, threat, target=target, rng=np.random.default_rng(seed), alpha=1e3)
    found = lead(perturbation(delta, x, threat, "fgsm_random_start's δ"))
    assert (found > clean).all(), f"fgsm_random_start with a target does not raise L(y) - L(target) {where}"


@settings(max_examples=30)
@given(seeds, st.sampled_from([Linf(0.1), L2(0.2), L1(0.3), Linf(0.1).within(0, 1)]))
def test_adversarial_training_is_danskin(seed, threat):
    """A step against the exact attack is a gradient step on the robust objective; Δ = {0} is ordinary training"""
    rng = np.random.default_rng(seed)
    x, y, theta = rng.random((6, 3)).round(2), rng.choice([-1, 1], 6), rng.standard_normal(3).round(2) + 0.005
    model = LogisticRegression(theta.copy(), 0.25)
    options = {"epochs": 1, "batch_size": 6, "optimizer": SGD(0.5), "progress": False}
    student("fit")(model, x, y, attack=partial(exact, threat=threat), **options)
    by_theta, by_theta0 = robust_logistic.gradient(theta, 0.25, x, y, threat)
    where = f"after one step of 0.5 against the exact attack from θ = {theta.tolist()}, θ0 = 0.25, {threat},"
    same_array(model.params["theta"], theta - 0.5 * by_theta, f"θ {where}")
    found, expected = float(model.params["theta0"]), 0.25 - 0.5 * by_theta0
    assert abs(found - expected) < 1e-9, f"θ0 {where} should be {expected}, but is {found}"
    options = {"epochs": 2, "batch_size": 4, "progress": False}
    for zero in (Linf(0), L2(0).within(0, 1)):
        attacked, ordinary = (MLP((3, 5, 2), rng=np.random.default_rng(seed), dtype=np.float64) for _ in range(2))
        student("fit")(attacked, x, (y + 1) // 2, attack=partial(student("fgsm"), threat=zero), **options)
        student("fit")(ordinary, x, (y + 1) // 2, **options)
        for name, p in ordinary.params.items():
            same_array(attacked.params[name], p, f"{name} after training against {zero}, as after ordinary training,")


class Noting(LogisticRegression):
    """A linear model that records the examples on which it is trained, and its parameters at that time."""

    def vjp_theta(self, x):
        """Record x and the parameters, and do what the linear model does."""
        self.seen.append((x.copy(), {name: p.copy() for name, p in self.params.items()}))
        return super().vjp_theta(x)


@settings(max_examples=25)
@given(seeds, st.integers(1, 7), st.booleans())
def test_an_epoch_is_stochastic_gradient_descent(seed, size, attacked):
    """An epoch sees each example once, in random order; a step averages over a batch attacked on the current model"""
    x = np.arange(14, dtype=np.float32).reshape(7, 2) / 8
    y = np.where(np.arange(7) % 3, 1, -1)
    model = Noting(np.array([0.5, -0.25], np.float32), 0.0)
    moved = []
    model.seen = []

    def attack(model, x, y):
        moved.append({name: p.copy() for name, p in model.params.items()})
        return np.full(x.shape, 1 / 32)  # float64, as a careless attack would return it

    fit = student("fit")
    delta = np.float32(attacked / 32)
    options = {"batch_size": size, "attack": attack if attacked else None, "rng": np.random.default_rng(seed)}
    fit(model, x, y, epochs=2, optimizer=SGD(0.5), progress=False, **options)
    where = f"(7 examples, batches of {size}, 2 epochs, {'an attack' if attacked else 'no attack'})"
    sizes = [len(batch) for batch, _ in model.seen]
    expected = 2 * ([size] * (7 // size) + [7 % size] * (7 % size > 0))
    assert sizes == expected, f"the batches should have the sizes {expected}, but have {sizes} {where}"
    theta = np.array([0.5, -0.25])
    theta0 = 0.0
    orders = []
    for t, (batch, params) in enumerate(model.seen):
        assert str(batch.dtype) == "float32", f"float32 images became {batch.dtype} {where}"
        rows = [int(i) for i in np.rint((batch[:, 0] - delta) * 4)]
        orders += rows
        same_array(batch, x[rows] + delta, f"batch {t} {where}")
        same_array(params["theta"], theta.astype(np.float32), f"θ before step {t} {where}", accuracy=1e-5)
        if attacked:
            same_array(moved[t]["theta"], params["theta"], f"the θ that the attack of step {t} sees {where}")
        slope = -y[rows] / (1 + np.exp(y[rows] * (batch.astype(float) @ theta + theta0))) / len(rows)
        theta, theta0 = theta - 0.5 * slope @ batch, theta0 - 0.5 * slope.sum()
    same_array(model.params["theta"], theta.astype(np.float32), f"θ at the end {where}", accuracy=1e-5)
    for epoch in (orders[:7], orders[7:]):
        assert sorted(epoch) == [*range(7)], f"an epoch should see each of 7 examples once, but saw {epoch} {where}"
    assert orders != 2 * [*range(7)], f"the examples are never shuffled {where}"
