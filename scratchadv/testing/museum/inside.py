"""Bugs of attacks inside a perturbation set."""

from functools import partial

import numpy as np

from ... import checks
from ...attacks import fgsm, fgsm_random_start, pgd
from ...losses import CrossEntropy, cross_entropy, margin
from ...models.protocol import finite, labels_of, loss_and_gradient, predict
from ...numerics import per_row, rows
from ...sets import L0, L2, Linf
from .exhibit import attack, exhibit

short_pgd = partial(pgd, steps=6)
BALL, BOXED = Linf(0.25), Linf(0.25).within(0, 1)


def climbing(move, steps=6):
    """PGD from zero whose step is ``move(delta_set, delta, g)``; the best of its iterates."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        delta = best = np.zeros_like(x)
        best_value, g = loss_and_gradient(model, model.loss, x, y)
        for _ in range(steps):
            delta = move(threat.at(x), delta, g)
            value, g = loss_and_gradient(model, model.loss, x + delta, y)
            best = np.where(per_row(value > best_value, x), delta, best)
            best_value = np.maximum(value, best_value)
        return best

    return run


@exhibit(1, "ART #85", "inside the set", attack(BALL, iterated=True))
def centred_on_the_previous_iterate(bug):
    """The ball is centred on the previous iterate, so steps drift out of ε."""

    def move(delta_set, delta, g):
        step = delta_set.step(g, delta_set.radius / 2)
        return delta + delta_set.project(step) if bug else delta_set.project(delta + step)

    return climbing(move)


@exhibit(2, "ART #73", "inside the set", attack(BALL, iterated=True, random=True))
def start_on_top_of_eps(bug):
    """The random start is added on top of ε."""

    def run(model, x, y, threat, rng):
        checks.attack(model, x, y, threat)
        start = threat.sample(rng, x)
        if bug:
            return start + short_pgd(model, x + start, y, threat)
        return short_pgd(model, x, y, threat, start=start)

    return run


@exhibit(3, "ART #148", "inside the set", attack(BOXED, exact=True))
def no_box(bug):
    """There is no clip to the box at all."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        return fgsm(model, x, y, threat.ball if bug else threat)

    return run


@exhibit(4, "CleverHans PR #223", "the closed form", attack(L2(0.5).within(0, 1), exact=True))
def box_at_the_end(bug):
    """The box is applied only at the end, so what it cuts off is lost."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        if bug:
            return np.clip(x + fgsm(model, x, y, threat.ball), threat.pixels.lower, threat.pixels.upper) - x
        return fgsm(model, x, y, threat)

    return run


@exhibit(5, "Foolbox #564", "the model sees pixels only", attack(BOXED, exact=True))
def candidates_out_of_range(bug):
    """Candidates leave the pixel range before the best of them is cut back into it."""

    def run(model, x, y, threat):
        delta_set, best = threat.at(x), fgsm(model, x, y, threat)
        candidates = [best, 2 * best]
        if not bug:
            candidates = [delta_set.project(delta) for delta in candidates]
        values = [margin.value(model.logits(x + delta), y) for delta in candidates]
        return delta_set.project(np.where(per_row(values[1] > values[0], x), candidates[1], candidates[0]))

    return run


@exhibit(8, "CleverHans PR #1175", "confident logits", attack(L2(0.5), exact=True))
def tiny_gradient(bug):
    """A tiny gradient is lost in normalisation."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        _, g = loss_and_gradient(model, model.loss, x, y)
        if bug:
            return threat.eps * g / per_row(np.sqrt((rows(g) ** 2).sum(axis=1)) + 1e-12, g)
        return threat.linear_max(g)

    return run


class OnProbabilities(CrossEntropy):
    """The cross-entropy of what is a softmax already."""

    def value(self, z, y):
        """The loss of the probabilities, taken for logits, ``(N,)``."""
        return super().value(self._softmax(z), y)

    def grad(self, z, y):
        """Its derivative, through the softmax."""
        p = self._softmax(z)
        g = super().grad(p, y)
        return p * (g - (p * g).sum(axis=1, keepdims=True))

    @staticmethod
    def _softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


SEVERAL = {"models": ("softmax", "network")}


@exhibit(9, "Foolbox #618, #158", "confident logits", attack(BALL, exact=True, **SEVERAL))
def loss_on_probabilities(bug):
    """The loss is taken of probabilities instead of logits."""
    return partial(fgsm, loss=OnProbabilities() if bug else cross_entropy)


@exhibit(10, "ART #368", "confident logits", attack(BOXED, iterated=True, **SEVERAL))
def zero_gradients_in_silence(bug):
    """Gradients that round to zero fail in silence, and the example counts as robust."""

    class Naive(CrossEntropy):
        def grad(self, z, y):
            p = np.exp(z - z.max(axis=1, keepdims=True))
            return p / p.sum(axis=1, keepdims=True) - (np.arange(z.shape[1]) == y[:, None]).astype(z.dtype)

    return partial(short_pgd, loss=Naive() if bug else cross_entropy)


@exhibit(12, "C&W implementations", "pixels at the edges move", attack(BOXED, exact=True))
def frozen_pixels(bug):
    """atanh(±1) freezes pixels that are exactly 0 or 1."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        _, g = loss_and_gradient(model, model.loss, x, y)
        t = 2 * x - 1 if bug else (2 * x - 1) * 0.999  # x = (1 + tanh w) / 2, so dx/dw = (1 − t²) / 2
        return threat.at(x).linear_max(g * (1 - t * t) / 2)

    return run


@exhibit(17, "ART #2306", "targets are respected", attack(L0(2).within(0, 1), exact=True, targeted=True, **SEVERAL))
def ranked_by_the_target_alone(bug):
    """JSMA ranks pixels by the target's gradient alone."""

    def run(model, x, y, threat, target=None):
        if target is None:
            return fgsm(model, x, y, threat)
        checks.attack(model, x, y, threat, target)
        z, pull = model.vjp_x(x)
        units = np.eye(z.shape[1], dtype=z.dtype)
        return threat.at(x).linear_max(pull(units[target] if bug else units[target] - units[y]))

    return run


@exhibit(19, "torchattacks", "targets are respected", attack(BOXED, iterated=True, targeted=True, **SEVERAL))
def hard_coded_target(bug):
    """The target class is hard-coded as y + 1."""

    def run(model, x, y, threat, target=None):
        if bug and target is not None:
            target = (y + 1) % model.logits(x).shape[1]
        return short_pgd(model, x, y, threat, target=target)

    return run


@exhibit(20, "torchattacks #12", "order and split do not matter", attack(BALL, keeps_best=True))
def mean_loss(bug):
    """The step is along the gradient of the mean loss, so it depends on how many examples travel together."""
    return climbing(lambda delta_set, delta, g: delta_set.project(delta + g / (len(g) if bug else 1)))


@exhibit(20, "torchattacks #33", "batch mates do not matter", attack(BALL, keeps_best=True))
def the_batch_stops_together(bug):
    """The whole batch stops when the last example has fallen."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        delta = np.zeros_like(x)
        for _ in range(6):
            standing = labels_of(model.logits(x + delta)) == y
            going = np.full(len(x), standing.any()) if bug else standing
            _, g = loss_and_gradient(model, model.loss, x + delta, y)
            step = threat.at(x).ascend(delta, g, threat.radius / 6)
            delta = np.where(per_row(going, x), step, delta)
        return np.where(per_row(_higher(model, x, y, delta), x), delta, 0)

    return run


def _higher(model, x, y, delta):
    return model.loss.value(model.logits(x + delta), y) >= model.loss.value(model.logits(x), y)


@exhibit(21, "ART PR #765", "more restarts are not weaker", attack(BALL, keeps_best=True, random=True, restarts=True))
def restarts_for_the_data_set(bug):
    """The best restart is chosen for the data set, not for each example."""

    def run(model, x, y, threat, rng, restarts=1):
        checks.attack(model, x, y, threat)
        best, best_value = np.zeros_like(x), model.loss.value(model.logits(x), y)
        for _ in range(restarts):
            delta = threat.sample(rng, x)
            value = model.loss.value(model.logits(x + delta), y)
            better = np.full(len(x), value.sum() > best_value.sum()) if bug else value > best_value
            best, best_value = np.where(per_row(better, x), delta, best), np.where(better, value, best_value)
        return best

    return run


ONE_OF_STARTS = {"iterated": True, "random": True, "restarts": True, "tolerance": 0.1, "models": ("softmax",)}


@exhibit(35, "scratchadv 0.1.0", "more restarts lose no success", attack(BALL, **ONE_OF_STARTS))
def the_highest_loss_for_the_best(bug):
    """The iterate of the highest loss is kept, not the one that fools: with more restarts a success can be lost."""
    return partial(short_pgd, keep="loss" if bug else "success")


@exhibit(36, "scratchadv 0.1.0", "a hole in the gradient", attack(BALL, exact=True))
def one_pixel_ends_it_all(bug):
    """A slope that is not a number at one pixel ends the attack on the whole image."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        z, pull = model.vjp_x(x)
        g = pull(model.loss.grad(z, y))
        return threat.linear_max(g if bug else finite(g))

    return run


@exhibit(40, "scratchadv 0.1.0", "any integer type of labels", attack(BALL, exact=True, **SEVERAL))
def labels_that_become_floats(bug):
    """Unsigned labels beside signed ones become floats, which index nothing."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        z, pull = model.vjp_x(x)
        pairs = np.stack([y if bug else y.astype(np.int64), _rival(z, y)], axis=1)
        units = np.eye(z.shape[1], dtype=z.dtype)
        return threat.linear_max(finite(pull(units[pairs[:, 1]] - units[pairs[:, 0]])))

    return run


def _rival(z, y):
    """The best other class."""
    others = np.where(np.arange(z.shape[1]) == y[:, None].astype(np.int64), -np.inf, z)
    return others.argmax(axis=1)


@exhibit(22, "ART #366, #582, #2475", "an array like x", attack(BOXED, random=True))
def float64_creeps_in(bug):
    """float64 creeps in by the random start."""

    def run(model, x, y, threat, rng):
        checks.attack(model, x, y, threat)
        start = 0.25 * threat.radius * rng.uniform(-1, 1, x.shape)
        start = threat.at(x).project(start if bug else start.astype(x.dtype))
        _, g = loss_and_gradient(model, model.loss, x, y)
        return threat.at(x).ascend(start, g, threat.radius)

    return run


@exhibit(22, "ART #497, CleverHans PR #819", "float64 nowhere unasked", attack(BALL, exact=True))
def float64_inside(bug):
    """Images are widened in silence, and the result is cut back at the end."""

    def run(model, x, y, threat):
        return fgsm(model, x.astype(float) if bug else x, y, threat).astype(x.dtype)

    return run


@exhibit(22, "CleverHans PR #819", "an array like x", attack(BALL, exact=True))
def float32_is_forced(bug):
    """float32 is forced in silence on float64 images."""

    def run(model, x, y, threat):
        return fgsm(model, x.astype(np.float32) if bug else x, y, threat)

    return run


@exhibit(23, "Foolbox #74, torchattacks #21", "nothing is changed", attack(BALL, exact=True))
def training_mode(bug):
    """The model is in training mode after the attack."""

    def run(model, x, y, threat):
        if bug:
            model.training = True
        return fgsm(model, x, y, threat)

    return run


@exhibit(24, "ART #1334, CleverHans #104", "misclassified inputs", attack(BALL, iterated=True))
def labels_from_the_model(bug):
    """The model's own prediction is taken for the label."""

    def run(model, x, y, threat):
        checks.attack(model, x, y, threat)
        return short_pgd(model, x, predict(model, x) if bug else y, threat)

    return run


@exhibit(25, "Foolbox #602, #681, #703", "inside the set", attack(Linf(0.25).within(-1, 1), exact=True))
def other_bounds(bug):
    """Bounds and normalisation are confused: images in [−1, 1] are clipped to [0, 1]."""

    def run(model, x, y, threat):
        delta = fgsm(model, x, y, threat)
        return np.clip(x + delta, 0 if bug else threat.pixels.lower, threat.pixels.upper) - x

    return run


@exhibit(27, "Foolbox #175", "an array like x", attack(BOXED, exact=True))
def failure_is_none(bug):
    """Failure comes back as None."""

    def run(model, x, y, threat):
        delta = fgsm(model, x, y, threat)
        failed = (labels_of(model.logits(x + delta)) == y).all()
        return None if bug and failed else delta

    return run


@exhibit(28, "Foolbox #243", "the same again", attack(BOXED, random=True))
def no_seed(bug):
    """Seeds do not reproduce."""

    def run(model, x, y, threat, rng):
        return fgsm_random_start(model, x, y, threat, rng=np.random.default_rng() if bug else rng)

    return run


@exhibit(31, "DEEPSEC #9", "a larger radius is not weaker", attack(BOXED, keeps_best=True))
def dropped_at_the_edge(bug):
    """Success falls as ε grows: what leaves the box is dropped, not projected."""

    def move(delta_set, delta, g):
        step = delta_set.ball.linear_max(g)
        fits = delta_set.contains(step).all() if len(step) == 1 else delta_set.contains(step)
        return np.where(per_row(np.atleast_1d(fits), step), step, 0) if bug else delta_set.project(step)

    return climbing(move, steps=1)


@exhibit(32, "several", "nothing is changed", attack(BOXED, exact=True))
def in_place(bug):
    """The input array is changed in place."""

    def run(model, x, y, threat):
        delta = fgsm(model, x, y, threat)
        image = x if bug else x.copy()
        before = x.copy()
        image += delta
        return np.clip(image, threat.pixels.lower, threat.pixels.upper) - before

    return run


@exhibit(33, "ART universal perturbation", "inside the set", attack(BALL, exact=True))
def eps_for_bytes(bug):
    """The default ε is for 0..255, the data are in [0, 1]."""

    def run(model, x, y, threat):
        return fgsm(model, x, y, Linf(10.0) if bug else threat)

    return run


@exhibit(34, "ART #970", "an array like x", attack(BALL, exact=True))
def one_at_a_time(bug):
    """The batch size is fixed to 1."""

    def run(model, x, y, threat):
        return fgsm(model, x[:1], y[:1], threat) if bug else fgsm(model, x, y, threat)

    return run
