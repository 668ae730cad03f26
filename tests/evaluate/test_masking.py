"""Signs of masked gradients: they are found on models built to show them, and not on a healthy one."""

import copy
from functools import partial

import numpy as np
import pytest

from scratchadv.attacks import exact, pgd
from scratchadv.evaluate import signs_of_masking
from scratchadv.losses import logistic
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L1, L2, Linf
from scratchadv.training import fit
from scratchadv.training.optim import SGD

BOXED = Linf(0.05).within(0, 1)


@pytest.fixture(scope="module")
def healthy():
    """A float32 network that separates three groups of points, and 60 of these points."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = np.eye(3, 5)[y] * 0.4 + 0.3 + 0.1 * rng.standard_normal((300, 5))
    x = np.clip(x, 0, 1).astype(np.float32)
    model = MLP((5, 16, 3), "tanh", rng=rng)
    fit(model, x, y, epochs=40, batch_size=30, optimizer=SGD(0.2), rng=rng, progress=False)
    assert (predict(model, x[:60]) == y[:60]).mean() > 0.9
    return model, x[:60], y[:60]


class Masked:
    """A model around another one, with functions that change its inputs, its logits and its gradients."""

    def __init__(self, model, see=lambda x: x, logits=lambda z: z, gradient=lambda g: g):
        self.model, self.loss, self.see, self.change, self.gradient = model, model.loss, see, logits, gradient

    def logits(self, x):
        return self.change(self.model.logits(self.see(x)))

    def vjp_x(self, x):
        z, pull = self.model.vjp_x(self.see(x))
        return self.change(z), lambda dz: self.gradient(pull(dz))


def zeroed(model):
    return Masked(model, gradient=np.zeros_like)


def signs(found):
    return {finding.sign: finding.figure for finding in found}


@pytest.mark.parametrize("threat", [BOXED, Linf(0.05), L2(0.1), L1(0.2).within(0, 1), Linf(0.3).within(0, 1), Linf(0)])
def test_a_healthy_model_shows_no_sign(threat, healthy):
    """Nothing is found, even with random noise as a black box"""
    model, x, y = healthy
    box = partial(noise, rng=np.random.default_rng(1))
    assert signs_of_masking(model, x, y, threat, black_box=box) == []


def noise(model, x, y, threat, rng):
    return threat.sample(rng, x)


@pytest.mark.parametrize("threat", [Linf(0.1), L2(0.1), Linf(0.1).within(0, 1)])
def test_a_linear_model_shows_no_sign(threat):
    """One step is as strong as many there, which is not a sign of masking"""
    rng = np.random.default_rng(0)
    model, x = LogisticRegression(rng.normal(size=6), 0.0), rng.random((50, 6))
    model = LogisticRegression(model.params["theta"], -float(np.median(x @ model.params["theta"])))
    assert signs_of_masking(model, x, predict(model, x), threat) == []


def test_zero_gradients(healthy):
    """Zeroed gradients are zero on all examples, and no example falls to them, not even without bounds"""
    model, x, y = healthy
    found = signs(signs_of_masking(zeroed(model), x, y, Linf(1e-3).within(0, 1)))
    assert found == {"zero gradients": 1.0, "an unbounded attack fails": 1.0}


def test_a_quantising_model(healthy):
    """Inputs rounded to a tenth: the derivative is zero, and random changes fool where the gradient does not"""
    model, x, y = healthy
    stepped = Masked(model, see=lambda x: np.rint(10 * x) / np.float32(10), gradient=np.zeros_like)
    y = predict(stepped, x)
    found = signs(signs_of_masking(stepped, x, y, Linf(0.3).within(0, 1), trials=50))
    assert {"zero gradients", "random noise beats the gradient", "an unbounded attack fails"} <= set(found)


def test_a_softmax_so_sharp_that_its_gradient_underflows(healthy):
    """Logits times 10^5: in float32 the gradient of the cross-entropy is zero where the gap exceeds about 103"""
    model, x, y = healthy
    sharp = copy.copy(model)
    last = list(model.params)[-2:]
    sharp.params = model.params | {name: model.params[name] * np.float32(1e5) for name in last}
    right = predict(model, x) == y
    z = np.sort(sharp.logits(x[right]), axis=1)
    gap = z[:, -1] - z[:, -2]
    assert (gap > 110).mean() > 0.9
    found = signs(signs_of_masking(sharp, x, y, BOXED))
    assert (gap > 110).mean() <= found["zero gradients"] <= (gap > 85).mean()


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_gradients_that_are_not_finite(fault, healthy):
    """One entry is NaN or infinite in the examples whose first pixel is above 1/2: the share of these examples"""
    model, x, y = healthy
    right = predict(model, x) == y
    x, y = x[right], y[right]

    class Faulty(Masked):
        def vjp_x(self, x):
            z, pull = super().vjp_x(x)

            def faulty(dz):
                g = pull(dz).copy()
                g[x[:, 0] > 0.5, 1] = fault
                return g

            return z, faulty

    found = signs(signs_of_masking(Faulty(model), x, y, BOXED))
    share = (x[:, 0] > 0.5).mean()
    assert 0 < share < 1
    assert found["non-finite gradients"] == share


class Ripple:
    """One pixel, z = 1/2 - (u + 1/10) sin(9/2 pi u) with u = 10 x - 5: small steps from x = 1/2 stop early.

    At u = 1, where one step of FGSM goes, z = -0.6; at the first valley, u = 0.13, z is positive.
    """

    loss = logistic

    def logits(self, x):
        u = 10 * x[:, 0] - 5
        return 0.5 - (u + 0.1) * np.sin(4.5 * np.pi * u)

    def vjp_x(self, x):
        u = 10 * x - 5
        slope = -10 * (np.sin(4.5 * np.pi * u) + (u + 0.1) * 4.5 * np.pi * np.cos(4.5 * np.pi * u))
        return self.logits(x), lambda dz: dz[:, None] * slope


def test_more_steps_that_are_not_stronger():
    """One step fools all examples and forty steps fool none: 100 % and 0 % are reported"""
    x, y = np.full((4, 1), 0.5), np.ones(4, int)
    (found,) = [f for f in signs_of_masking(Ripple(), x, y, Linf(0.1)) if f.sign.startswith("more steps")]
    assert found.figure == 1.0
    assert "100.0% of the examples stand after 40 steps, 0.0% after one" in found.words


def linear_with_margins(margins):
    """z = x - 1/2 on one pixel, examples with these margins."""
    return LogisticRegression(np.array([1.0]), -0.5), 0.5 + np.array(margins)[:, None], np.ones(len(margins), int)


def test_random_noise_that_beats_the_gradient():
    """Three of four margins are below eps, but the gradient is hidden: 75 % fall to noise alone"""
    model, x, y = linear_with_margins([0.01, 0.02, 0.03, 0.4])
    found = signs(signs_of_masking(zeroed(model), x, y, Linf(0.1).within(0, 1)))
    assert found["random noise beats the gradient"] == 0.75


def behind(model, x, y, threat):
    """The exact attack on the model behind the mask."""
    return exact(model.model, x, y, threat)


def test_a_black_box_that_beats_the_white_box():
    """Margins 0.01, 0.099, 0.4 and eps = 0.1: two of three fall to the black box alone; without one there is no sign"""
    model, x, y = linear_with_margins([0.01, 0.099, 0.4])
    search = partial(signs_of_masking, zeroed(model), x, y, Linf(0.1).within(0, 1))
    assert signs(search(black_box=behind))["black box beats white box"] == 2 / 3
    assert "black box beats white box" not in signs(search())


def test_a_few_that_only_another_attack_finds_are_no_sign():
    """If the black box fools 1 % more of the examples than the gradient, it is not reported; 2 % more is"""
    for few, expected in ((1, set()), (2, {"black box beats white box"})):
        model, x, y = linear_with_margins([0.099] * few + [0.4] * (100 - few))
        found = signs(signs_of_masking(zeroed(model), x, y, Linf(0.1).within(0, 1), black_box=behind, trials=1))
        assert set(found) - {"zero gradients", "an unbounded attack fails"} == expected


def test_an_unbounded_attack_that_fails():
    """z = 2 x_1 - x_2 - 1/2: every example falls somewhere in the box, except where a third pixel hides the gradient"""
    rng = np.random.default_rng(0)
    model, x = LogisticRegression(np.array([2.0, -1.0, 0.0]), -0.5), rng.random((40, 3))
    y = predict(model, x)

    class Half(Masked):
        def vjp_x(self, x):
            z, pull = super().vjp_x(x)
            return z, lambda dz: pull(dz) * (x[:, 2:] > 0.5)

    hidden = (x[:, 2] <= 0.5).mean()
    assert 0 < hidden < 1
    for threat in (Linf(0.01).within(0, 1), L2(0.01), L1(0.01)):
        assert signs_of_masking(model, x, y, threat) == []
        assert signs(signs_of_masking(Half(model), x, y, threat))["an unbounded attack fails"] == hidden


def test_only_what_is_right_is_asked(healthy):
    """Shares are shares of the examples that are right when clean; if there are none, there is nothing to find"""
    model, x, _ = healthy
    wrong = (predict(model, x) + 1) % 3
    assert signs_of_masking(zeroed(model), x, wrong, BOXED) == []
    mixed = np.where(np.arange(len(x)) % 2, wrong, predict(model, x))
    found = signs(signs_of_masking(zeroed(model), x, mixed, BOXED))
    assert found["zero gradients"] == found["an unbounded attack fails"] == 1.0


def test_findings_are_seeded_and_in_words(healthy):
    """The same seed gives the same findings; the text of a finding has its sign and its figure in percent"""
    model, x, y = linear_with_margins([0.05, 0.099, 0.4])
    search = partial(signs_of_masking, zeroed(model), x, y, Linf(0.1).within(0, 1), trials=3)
    assert search(rng=np.random.default_rng(5)) == search(rng=np.random.default_rng(5))
    assert str(search()[0]) == "zero gradients: 100.0% of the examples have a gradient in x that is zero"


def test_the_attack_is_the_callers(healthy):
    """attack and steps are what is run: with one step, with many, and with many without bounds"""
    model, x, y = healthy
    seen = []

    def attack(model, x, y, threat, steps):
        seen.append((steps, threat.radius))
        return pgd(model, x, y, threat, steps=steps)

    signs_of_masking(model, x, y, BOXED, attack=attack, steps=7)
    assert seen == [(1, 0.05), (7, 0.05), (7, 1.0)]


@pytest.mark.parametrize("wrong", [{"steps": 1}, {"trials": 0}])
def test_bad_options_are_refused(wrong, healthy):
    """At least two steps and one trial"""
    with pytest.raises(ValueError, match="must be >="):
        signs_of_masking(*healthy, BOXED, **wrong)
