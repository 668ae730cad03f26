r"""How evolution encodes an image: pixel by pixel, or as a small network that draws it.

An encoding makes random genomes, mutates genomes and draws their images, always for a whole population at once. A
population is one NumPy array with one genome in each row, and it stays on the host even if the model is on a device.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from ... import checks
from ...checked import check_fields, whole


def polynomial(u, eta):
    r"""Return the steps of polynomial mutation, in [−1, 1], from uniform numbers u.

    .. math::
        s(u) = (2u)^{1 / (\eta + 1)} - 1 \quad (u < \tfrac12), \qquad
        s(u) = 1 - (2 (1 - u))^{1 / (\eta + 1)} \quad (u \geq \tfrac12)

    Parameters
    ----------
    u : array
        Numbers in [0, 1), of any shape.
    eta : float
        The exponent η of the density, which is proportional to :math:`(1 - |s|)^\eta`. A larger η gives smaller steps.

    Returns
    -------
    array
        The steps, in the shape and dtype of u, relative to the width of the range of the mutated numbers.

    Source: Deb (2001), "Multi-objective optimization using evolutionary algorithms", page 124.
    """
    tail = (2 * np.minimum(u, 1 - u)) ** (1 / (eta + 1))
    return np.where(u < 0.5, tail - 1, 1 - tail)


@dataclass(frozen=True)
class Direct:
    """The direct encoding: a genome consists of the pixels themselves, which are uniform noise at first.

    Each pixel is mutated with a probability that depends on the generation, by a polynomial step, and clipped to [0,
    1].

    Parameters
    ----------
    shape : tuple of int
        The shape of an image, such as (28, 28, 1).
    rate : float
        The probability that a pixel is mutated in the first generations.
    halved_every : int
        The number of generations after which the probability is halved.
    eta : float
        The exponent η of the polynomial mutation.

    Source: Nguyen, Yosinski and Clune (2015), "Deep neural networks are easily fooled", section 2.2.
    """

    shape: tuple
    rate: float = 0.1
    halved_every: int = 1000
    eta: float = 15.0

    def __post_init__(self):
        check_fields(self, shape=checks.shape, rate=checks.share, halved_every=whole(1), eta=checks.size)

    def random(self, rng, n):
        """Return n genomes of uniform noise."""
        return rng.random((n, *self.shape), dtype=np.float32)

    def rate_at(self, generation):
        """Return the probability that a pixel is mutated in this generation."""
        return self.rate / 2 ** (generation // self.halved_every)

    def mutate(self, rng, genomes, generation):
        """Return one mutated copy of each genome."""
        chosen = rng.random(genomes.shape, dtype=np.float32) < self.rate_at(generation)
        children = genomes.copy()
        children[chosen] += polynomial(rng.random(int(chosen.sum()), dtype=np.float32), self.eta)
        return children.clip(0, 1)

    def images(self, genomes):
        """Return the images, ``(n, *shape)``, which are the genomes themselves."""
        return genomes


# The functions that the nodes of a CPPN compute; all values lie in [−1, 1].
FUNCTIONS = {
    "sine": np.sin,
    "sigmoid": lambda a: np.tanh(a / 2),  # 2 τ(a) − 1 with the logistic function τ
    "Gaussian": lambda a: np.exp(-a * a),
    "linear": lambda a: a.clip(-3, 3) / 3,
}
INPUTS = ("x", "y", "radius", "bias")
NONE = -1  # marks a hidden node that does not exist


@dataclass(frozen=True)
class CPPN:
    r"""The indirect encoding: a genome is a compositional pattern-producing network, evaluated at each pixel.

    .. math::
        h_j = f_j\Big(\sum_{i < j} w_{ij} h_i\Big), \qquad (h_0, h_1, h_2, h_3) = (x, y, \sqrt{x^2 + y^2}, 1)

    where x and y run from −1 to 1 over the image. Each channel has an output node j, and the pixel is :math:`|h_j|`.
    The functions are sines, sigmoids, Gaussians and lines, so the images have symmetries, repetitions and smooth parts.

    A population is a structured array with two fields. ``weights``, ``(n, 4 + nodes, nodes + C)``, holds the weight
    from each row to each column, where zero means no connection. ``functions``, ``(n, nodes + C)``, holds positions in
    ``FUNCTIONS``, or −1 for a hidden node that does not exist. A node receives connections only from nodes before it.
    The first networks have no hidden nodes.

    Parameters
    ----------
    shape : (int, int, int)
        The height, the width and the number of channels of an image.
    nodes : int
        The largest number of hidden nodes.
    rate : float
        The probability that a weight is mutated, and that a node gets another function.
    add_connection, remove_connection, add_node, remove_node : float
        The probabilities of the changes of structure. A new node splits a connection, and both halves take its weight.
    limit : float
        The largest magnitude of a weight.
    eta : float
        The exponent η of the polynomial mutation.

    Source: Nguyen, Yosinski and Clune (2015), section 2.2, with the functions and rates of the authors' code for
    MNIST; Stanley (2007), "Compositional pattern producing networks".
    """

    shape: tuple
    nodes: int = 16
    rate: float = 0.1
    add_connection: float = 0.5
    remove_connection: float = 0.3
    add_node: float = 0.5
    remove_node: float = 0.2
    limit: float = 10.0
    eta: float = 15.0

    def __post_init__(self):
        rates = "rate", "add_connection", "remove_connection", "add_node", "remove_node"
        check_fields(self, **dict.fromkeys(rates, checks.share))
        check_fields(self, shape=partial(checks.shape, sides=3), nodes=whole(0), limit=checks.size, eta=checks.size)

    def random(self, rng, n):
        """Return n networks without hidden nodes, in which all inputs are connected to all outputs."""
        outputs = self.shape[2]
        genomes = np.zeros(n, self._dtype)
        genomes["functions"] = NONE
        genomes["functions"][:, self.nodes :] = rng.integers(len(FUNCTIONS), size=(n, outputs))
        genomes["weights"][:, : len(INPUTS), self.nodes :] = self._weights(rng, (n, len(INPUTS), outputs))
        return genomes

    def mutate(self, rng, genomes, generation):
        """Return one mutated copy of each genome; the probabilities do not depend on the generation."""
        genomes = genomes.copy()
        weights, functions = genomes["weights"], genomes["functions"]
        chosen = (weights != 0) & (rng.random(weights.shape, dtype=np.float32) < self.rate)
        steps = 2 * self.limit * polynomial(rng.random(int(chosen.sum()), dtype=np.float32), self.eta)
        weights[chosen] = (weights[chosen] + steps).clip(-self.limit, self.limit)
        chosen = (functions != NONE) & (rng.random(functions.shape) < self.rate)
        functions[chosen] = rng.integers(len(FUNCTIONS), size=int(chosen.sum()))
        for rate, change in (
            (self.add_connection, self._connect),
            (self.remove_connection, self._disconnect),
            (self.add_node, self._insert),
            (self.remove_node, self._remove),
        ):
            change(rng, weights, functions, rng.random(len(genomes)) < rate)
        return genomes

    def images(self, genomes):
        """Return the images that the networks draw, ``(n, *shape)``, in [0, 1]."""
        height, width, channels = self.shape
        n = len(genomes)
        given = len(INPUTS)
        weights = genomes["weights"]
        h = np.zeros((n, given + self.nodes + channels, height * width), np.float32)
        h[:, :given] = _coordinates(height, width)
        for j, functions in enumerate(genomes["functions"].T):
            if (functions == NONE).all():
                continue
            before = given + min(j, self.nodes)
            a = (weights[:, None, :before, j] @ h[:, :before])[:, 0]
            for k, f in enumerate(FUNCTIONS.values()):
                h[functions == k, given + j] = f(a[functions == k])
        return abs(h[:, -channels:]).swapaxes(1, 2).reshape(n, *self.shape)

    @property
    def _dtype(self):
        """The dtype of a genome."""
        columns = self.nodes + self.shape[2]
        return np.dtype([("weights", np.float32, (len(INPUTS) + self.nodes, columns)), ("functions", np.int8, columns)])

    @property
    def _forward(self):
        """The mask of possible connections: to a hidden node from all nodes before it, to an output from all others."""
        rows, columns = self._dtype["weights"].shape
        return np.arange(rows)[:, None] < len(INPUTS) + np.minimum(np.arange(columns), self.nodes)

    def _weights(self, rng, size):
        """Draw weights uniformly."""
        return rng.uniform(-self.limit, self.limit, size)

    def _connect(self, rng, weights, functions, chosen):
        """Add a random connection to each chosen genome, in place."""
        exists = functions != NONE
        sources = np.pad(exists[:, : self.nodes], ((0, 0), (len(INPUTS), 0)), constant_values=True)
        free = self._forward & sources[:, :, None] & exists[:, None] & (weights == 0)
        i, row, column = _one_of(rng, free, chosen)
        weights[i, row, column] = self._weights(rng, len(i))

    def _disconnect(self, rng, weights, functions, chosen):
        """Remove a random connection from each chosen genome, in place."""
        weights[_one_of(rng, weights != 0, chosen)] = 0

    def _insert(self, rng, weights, functions, chosen):
        """Insert a node into a random connection of each chosen genome, in place, if there is room between its ends."""
        i, row, column = _one_of(rng, weights != 0, chosen)
        place = np.arange(self.nodes)
        between = (place + len(INPUTS) > row[:, None]) & (place < column[:, None])
        where, node = _one_of(rng, between & (functions[i, : self.nodes] == NONE), True)
        i, row, column = i[where], row[where], column[where]
        weights[i, row, node] = weights[i, len(INPUTS) + node, column] = weights[i, row, column]
        weights[i, row, column] = 0
        functions[i, node] = rng.integers(len(FUNCTIONS), size=len(i))

    def _remove(self, rng, weights, functions, chosen):
        """Remove a random hidden node, with its connections, from each chosen genome, in place."""
        i, node = _one_of(rng, functions[:, : self.nodes] != NONE, chosen)
        weights[i, :, node] = weights[i, len(INPUTS) + node] = 0
        functions[i, node] = NONE


def _one_of(rng, mask, chosen):
    """Draw one of the true places of each chosen row, uniformly; return index arrays, the rows first."""
    flat = mask.reshape(len(mask), math.prod(mask.shape[1:]))
    i = np.flatnonzero(flat.any(axis=1) & chosen)
    score = flat[i] * (1 - rng.random((len(i), flat.shape[1]), dtype=np.float32))
    return i, *np.unravel_index(score.argmax(axis=1), mask.shape[1:])


def _coordinates(height, width):
    """Return the inputs of a CPPN, one column for each pixel."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([x, y, np.hypot(x, y), np.ones_like(x)]).reshape(len(INPUTS), -1)
