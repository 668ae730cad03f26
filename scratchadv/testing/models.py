"""Small models to try attacks on, as plain classes of the protocol: linear ones, whose worst case is known, and others.

They compute each example by itself, to the last bit: no product over the batch, whose rounding depends on its size.
"""

import numpy as np

from ..losses import cross_entropy, logistic
from ..models.watched import Around, Watched
from ..numerics import per_row, rows

LIFT = (
    32.0  # added to the logits of models with several classes: all positive, so that only a shift makes them negative
)


class Linear:
    """One logit, labels −1/+1: z = <θ, x> + θ0."""

    loss = logistic
    linear = True

    def __init__(self, theta, theta0=0.0):
        self.params = {"theta": np.asarray(theta, float), "theta0": np.asarray(theta0, float)}

    def __repr__(self):
        return f"Linear(theta={short(self.params['theta'])}, theta0={short(self.params['theta0'])})"

    def logits(self, x):
        """Z, shape ``(N,)``."""
        theta, theta0 = (p.astype(x.dtype) for p in self.params.values())
        return rows(x * theta).sum(axis=1) + theta0

    def vjp_x(self, x):
        """Z, and dz to dz θ."""
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
        """A two-class problem among k classes: the first logit is <θ, x> + θ0 + 32, the second 32, the others 0.

        Only one of the two depends on x, so its gradient cannot hide behind the other's.
        """
        weight, bias = np.zeros((k, *np.shape(theta))), np.zeros(k)
        weight[first] = theta
        bias[[first, second]] = LIFT + theta0, LIFT
        return cls(weight, bias)

    def logits(self, x):
        """Z, shape ``(N, K)``."""
        weight, bias = (p.astype(x.dtype) for p in self.params.values())
        return _times(rows(x), rows(weight)) + bias

    def vjp_x(self, x):
        """Z, and dz to dz W."""
        weight = rows(self.params["weight"].astype(x.dtype))
        return self.logits(x), lambda dz: _times(dz, weight.T).reshape(x.shape)


class SmallNetwork:
    """One hidden layer of ReLUs: z = V max(U x, 0) + 32, weights from a seed, labels 0 to K − 1."""

    loss = cross_entropy

    def __init__(self, shape, k, seed, hidden=5):
        rng = np.random.default_rng(seed)
        self.name = f"SmallNetwork({shape}, {k}, seed={seed})"
        self.params = {"u": rng.standard_normal((hidden, *shape)), "v": rng.standard_normal((k, hidden))}

    def __repr__(self):
        return self.name

    def logits(self, x):
        """Z, shape ``(N, K)``."""
        return self._forward(x)[0]

    def vjp_x(self, x):
        """Z, and dz through V, the ReLUs that are on, and U."""
        z, on, u, v = self._forward(x)
        return z, lambda dz: _times(_times(dz, v.T) * on, u.T).reshape(x.shape)

    def _forward(self, x):
        u, v = (rows(p.astype(x.dtype)) for p in self.params.values())
        h = _times(rows(x), u)
        return _times(h * (h > 0), v) + x.dtype.type(LIFT), h > 0, u, v


class Constant:
    """The same logits for every x: no gradient anywhere."""

    loss = cross_entropy

    def __init__(self, z):
        self.params = {"z": np.asarray(z, float)}

    def __repr__(self):
        return f"Constant(z={short(self.params['z'])})"

    def logits(self, x):
        """Z, shape ``(N, K)``."""
        return np.tile(self.params["z"].astype(x.dtype), (len(x), 1))

    def vjp_x(self, x):
        """Z, and dz to zero."""
        return self.logits(x), lambda dz: np.zeros_like(x)


class Shifted(Around):
    """A model with the same constant added to all its logits.

    They are rounded to a millionth first, so that in float64 the shift loses nothing and their differences stay the
    same to the last bit: an attack that decides by comparing values would multiply any rounding.
    """

    def __init__(self, model, shift):
        super().__init__(model)
        self.shift = shift

    def __repr__(self):
        return f"{self.model} with all logits shifted by {self.shift:g}"

    def logits(self, x):
        """Z + the constant."""
        return self._moved(self.model.logits(x))

    def vjp_x(self, x):
        """Z + the constant, and the pullback of the model."""
        z, pull = self.model.vjp_x(x)
        return self._moved(z), pull

    def _moved(self, z):
        return (np.rint(z * 2**20) / 2**20 + self.shift).astype(z.dtype)


class Holed(Around):
    """A model whose gradient in the first component of x is the same number for all, NaN or infinite."""

    def __init__(self, model, hole):
        super().__init__(model)
        self.hole = hole

    def __repr__(self):
        return f"{self.model} with {self.hole} as the first entry of its gradient"

    def vjp_x(self, x):
        """Return z, and the pullback of the model with a hole."""
        z, pull = self.model.vjp_x(x)

        def holed(dz):
            g = np.array(pull(dz))
            rows(g)[:, 0] = self.hole
            return g

        return z, holed


class MaskedOut(Around):
    """A model with one class more, which is masked out: its logit is −∞."""

    def __repr__(self):
        return f"{self.model} and a masked class"

    task = None  # one class more than the model inside has: the shape of the logits says how many

    def logits(self, x):
        """Return z with a last column of −∞."""
        z = self.model.logits(x)
        return np.concatenate([z, np.full_like(z[:, :1], -np.inf)], axis=1)

    def vjp_x(self, x):
        """Return z, and the pullback of the model; the masked class has no gradient."""
        _, pull = self.model.vjp_x(x)
        return self.logits(x), lambda dz: pull(dz[:, :-1])


class NotANumber(Around):
    """A model whose logits are all NaN."""

    def __repr__(self):
        return f"{self.model} with NaN as its logits"

    def logits(self, x):
        """Return NaN, shaped like z."""
        return np.full_like(self.model.logits(x), np.nan)

    def vjp_x(self, x):
        """Return NaN, shaped like z, and a pullback to NaN."""
        return self.logits(x), lambda dz: np.full_like(x, np.nan)


class Recorded(Watched):
    """A model that keeps every array it is given.

    Attributes
    ----------
    inputs : list of array
        Every x, not copied.
    pulls : list of (dz, z)
    """

    def __init__(self, model):
        self.inputs, self.pulls = [], []
        super().__init__(
            model,
            on_call=lambda x, owners: self.inputs.append(x),
            on_pull=lambda dz, z: self.pulls.append((dz, z)),
        )

    def __repr__(self):
        return repr(self.model)


def short(a):
    """An array on one line, to four digits."""
    return " ".join(
        np.array2string(np.asarray(a), precision=4, separator=", ", threshold=40, max_line_width=999).split()
    )


def _times(a, weight):
    """``(N, P)`` and ``(K, P)`` to ``(N, K)``, row by row."""
    return (a[:, None, :] * weight).sum(axis=-1)
