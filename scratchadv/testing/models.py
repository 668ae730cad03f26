"""Small models to try attacks on: linear models, whose worst case is known, and others.

They are plain classes that follow the protocol of models. Each example is computed on its own, because a matrix product
over the whole batch would round differently for different batch sizes.
"""

import numpy as np

from ..losses import cross_entropy, logistic
from ..models.watched import Around, Watched
from ..numerics import per_row, rows

LIFT = 32.0
"""Added to the logits of models with several classes, so that they are positive unless they are shifted."""


class Linear:
    """One logit, labels −1/+1: z = <θ, x> + θ0."""

    loss = logistic
    linear = True

    def __init__(self, theta, theta0=0.0):
        self.params = {"theta": np.asarray(theta, float), "theta0": np.asarray(theta0, float)}

    def __repr__(self):
        return f"Linear(theta={short(self.params['theta'])}, theta0={short(self.params['theta0'])})"

    def logits(self, x):
        """Return the logits, shape ``(N,)``."""
        theta, theta0 = (p.astype(x.dtype) for p in self.params.values())
        return rows(x * theta).sum(axis=1) + theta0

    def vjp_x(self, x):
        """Return the logits and the pullback from dz to dz θ."""
        return self.logits(x), lambda dz: per_row(dz, x) * self.params["theta"].astype(x.dtype)


class LinearSoftmax:
    """K logits, labels 0 to K − 1: z = W x + b, W of shape ``(K, *D)``."""

    loss = cross_entropy

    def __init__(self, weight, bias):
        self.params = {"weight": np.asarray(weight, float), "bias": np.asarray(bias, float)}

    def __repr__(self):
        return f"LinearSoftmax(weight={short(self.params['weight'])}, bias={short(self.params['bias'])})"

    @classmethod
    def pair(cls, theta, theta0, k, first, second):
        """Return a two-class problem among k classes.

        The logit of the first class is <θ, x> + θ0 + 32, that of the second 32, and the others are 0. Only one of the
        two logits depends on x. If both did, an attack that follows the gradient of the wrong one could still be right.
        """
        weight = np.zeros((k, *np.shape(theta)))
        weight[first] = theta
        bias = np.zeros(k)
        bias[first] = LIFT + theta0
        bias[second] = LIFT
        return cls(weight, bias)

    def logits(self, x):
        """Return the logits, shape ``(N, K)``."""
        weight, bias = (p.astype(x.dtype) for p in self.params.values())
        return _times(rows(x), rows(weight)) + bias

    def vjp_x(self, x):
        """Return the logits and the pullback from dz to dz W."""
        weight = rows(self.params["weight"].astype(x.dtype))
        return self.logits(x), lambda dz: _times(dz, weight.T).reshape(x.shape)


class SmallNetwork:
    """One hidden layer of ReLUs: z = V max(U x, 0) + 32, with weights drawn from a seed and labels 0 to K − 1."""

    loss = cross_entropy

    def __init__(self, shape, k, seed, hidden=5):
        rng = np.random.default_rng(seed)
        self.name = f"SmallNetwork({shape}, {k}, seed={seed})"
        self.params = {"u": rng.standard_normal((hidden, *shape)), "v": rng.standard_normal((k, hidden))}

    def __repr__(self):
        return self.name

    def logits(self, x):
        """Return the logits, shape ``(N, K)``."""
        return self._forward(x)[0]

    def vjp_x(self, x):
        """Return the logits and the pullback through V, the ReLUs that are on, and U."""
        z, on, u, v = self._forward(x)
        return z, lambda dz: _times(_times(dz, v.T) * on, u.T).reshape(x.shape)

    def _forward(self, x):
        u, v = (rows(p.astype(x.dtype)) for p in self.params.values())
        h = _times(rows(x), u)
        on = h > 0
        z = _times(h * on, v) + x.dtype.type(LIFT)
        return z, on, u, v


class Constant:
    """A model with the same logits for every x: its gradient is 0 everywhere."""

    loss = cross_entropy

    def __init__(self, z):
        self.params = {"z": np.asarray(z, float)}

    def __repr__(self):
        return f"Constant(z={short(self.params['z'])})"

    def logits(self, x):
        """Return the logits, shape ``(N, K)``."""
        return np.tile(self.params["z"].astype(x.dtype), (len(x), 1))

    def vjp_x(self, x):
        """Return the logits and a pullback to zero."""
        return self.logits(x), lambda dz: np.zeros_like(x)


class Shifted(Around):
    """A model with the same constant added to all its logits.

    The logits are first rounded to multiples of 2⁻²⁰. In float64 the shift then loses nothing, and the differences
    between logits stay the same to the last bit. This matters because an attack that decides by comparing values would
    amplify any rounding error.
    """

    def __init__(self, model, shift):
        super().__init__(model)
        self.shift = shift

    def __repr__(self):
        return f"{self.model} with all logits shifted by {self.shift:g}"

    def logits(self, x):
        """Return the shifted logits."""
        return self._moved(self.model.logits(x))

    def vjp_x(self, x):
        """Return the shifted logits and the pullback of the model."""
        z, pull = self.model.vjp_x(x)
        return self._moved(z), pull

    def _moved(self, z):
        return (np.rint(z * 2**20) / 2**20 + self.shift).astype(z.dtype)


class Holed(Around):
    """A model whose gradient has a hole: its first component is NaN or infinite for every x."""

    def __init__(self, model, hole):
        super().__init__(model)
        self.hole = hole

    def __repr__(self):
        return f"{self.model} with {self.hole} as the first entry of its gradient"

    def vjp_x(self, x):
        """Return the logits and the pullback of the model, with the hole."""
        z, pull = self.model.vjp_x(x)

        def holed(dz):
            g = np.array(pull(dz))
            rows(g)[:, 0] = self.hole
            return g

        return z, holed


class MaskedOut(Around):
    """A model with one more class, which is masked out: its logit is −∞."""

    def __repr__(self):
        return f"{self.model} with one more class, which is masked"

    task = None  # not that of the model inside, which has one class fewer; it follows from the shape of the logits

    def logits(self, x):
        """Return the logits with a last column of −∞."""
        z = self.model.logits(x)
        return np.concatenate([z, np.full_like(z[:, :1], -np.inf)], axis=1)

    def vjp_x(self, x):
        """Return the logits and the pullback of the model; the masked class has no gradient."""
        _, pull = self.model.vjp_x(x)
        return self.logits(x), lambda dz: pull(dz[:, :-1])


class NotANumber(Around):
    """A model whose logits are all NaN."""

    def __repr__(self):
        return f"{self.model} with NaN as its logits"

    def logits(self, x):
        """Return NaN, in the shape of the logits."""
        return np.full_like(self.model.logits(x), np.nan)

    def vjp_x(self, x):
        """Return NaN, in the shape of the logits, and a pullback to NaN."""
        return self.logits(x), lambda dz: np.full_like(x, np.nan)


class Recorded(Watched):
    """A model that keeps every array that it is given.

    Attributes
    ----------
    inputs : list of array
        Every x, not copied.
    pulls : list of (dz, z)
        Every dz that was pulled back, with the logits z of that call.
    """

    def __init__(self, model):
        self.inputs = []
        self.pulls = []
        super().__init__(
            model,
            on_call=lambda x, owners: self.inputs.append(x),
            on_pull=lambda dz, z: self.pulls.append((dz, z)),
        )

    def __repr__(self):
        return repr(self.model)


def short(a):
    """Return the text of an array on one line, with four digits."""
    return " ".join(
        np.array2string(np.asarray(a), precision=4, separator=", ", threshold=40, max_line_width=999).split()
    )


def _times(a, weight):
    """Return the products of ``(N, P)`` with ``(K, P)``, shape ``(N, K)``, computed row by row."""
    return (a[:, None, :] * weight).sum(axis=-1)
