"""Arrays that are overwritten between the forward pass and the pullback do not change the gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.backend import read_only, snapshot
from scratchadv.engine import ops, plain, vjp
from scratchadv.engine.tape import Tensor

SIDE = 3

# Steps of random graphs: each takes two tensors of shape (3, 3) and a function that lends constants.

STEPS = {
    "exp": lambda x, y, lend: ops.exp(0.1 * x),
    "tanh": lambda x, y, lend: ops.tanh(x),
    "square": lambda x, y, lend: x**2,
    "times itself": lambda x, y, lend: x * x,
    "times another": lambda x, y, lend: 0.5 * x * y,
    "minus another": lambda x, y, lend: x - y,
    "quotient": lambda x, y, lend: x / (2 + y * y),
    "maximum": lambda x, y, lend: ops.maximum(x, y),
    "product with another": lambda x, y, lend: 0.3 * (x @ y),
    "plain factor": lambda x, y, lend: x * plain(y),
    "views": lambda x, y, lend: x.T.reshape(9)[::-1].reshape(3, 3),
    "window": lambda x, y, lend: ops.scatter_add(x[1:, :2], (slice(0, 2), slice(1, 3)), (3, 3)),
    "largest": lambda x, y, lend: x * ops.max(y, axis=1, keepdims=True),
    "softmax": lambda x, y, lend: ops.softmax(x) * y,
    "constant factor": lambda x, y, lend: x * lend("number"),
    "constant factor from the left": lambda x, y, lend: lend("number") * x,
    "constant row": lambda x, y, lend: x * lend("row"),
    "constant view": lambda x, y, lend: x * lend("number").T[::-1],
    "constant denominator": lambda x, y, lend: x / lend("number"),
    "constant maximum": lambda x, y, lend: ops.maximum(x, lend("number")),
    "constant matrix": lambda x, y, lend: x @ lend("number"),
    "constant matrix from the left": lambda x, y, lend: ops.matmul(lend("number"), x),
    "constant read-only view": lambda x, y, lend: x * np.broadcast_to(lend("row"), (3, 3)),
    "where": lambda x, y, lend: ops.where(lend("mask"), x, y),
    "rows": lambda x, y, lend: x[lend("index")],
    "entries": lambda x, y, lend: x[lend("index"), np.arange(3)].reshape(3, 1) * y,
    "listed rows": lambda x, y, lend: x[[lend("index")]].sum(axis=0) * y,
    "along an axis": lambda x, y, lend: ops.take_along_axis(x, lend("index")[None, :], 0) * y,
    "behind each other": lambda x, y, lend: ops.concatenate([x[:2], lend("row")[None]]) * y,
    "placed": lambda x, y, lend: ops.scatter_add(x, index=lend("index"), shape=(3, 3)),
}


class Lender:
    """Lends the same constants in each run, always in the same few arrays, and can overwrite all that it has lent."""

    def __init__(self, seed, spoils):
        self.rng, self.spoils = np.random.default_rng(seed), spoils
        self.lent = {
            "number": np.empty((SIDE, SIDE)),
            "row": np.empty(SIDE),
            "mask": np.empty((SIDE, SIDE), bool),
            "index": np.empty(SIDE, int),
        }

    def __call__(self, kind):
        fresh = self.rng.uniform(0.5, 1.5, self.lent[kind].shape)
        if kind in ("mask", "index"):
            fresh = (fresh > 1) if kind == "mask" else (3 * (fresh - 0.5)).astype(int)
        if not self.spoils:
            return fresh
        self.lent[kind][...] = fresh  # what was lent before is overwritten
        return self.lent[kind]

    def spoil(self, *others):
        """Overwrite everything."""
        for array in (*self.lent.values(), *others):
            if self.spoils:
                array[...] = ~array if array.dtype == bool else 2 - array if array.dtype == int else 7.5


def graph(steps, lend, x, y):
    """Run a chain of steps and return its last result."""
    for name in steps:
        x, y = STEPS[name](x, y, lend), x
    return x


chains = st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6)


def first_order(steps, seed, spoils):
    """The gradients of a graph whose arguments and value are overwritten before the pullback is called."""
    lend, rng = Lender(seed, spoils), np.random.default_rng(seed)
    primals, g = [rng.normal(size=(SIDE, SIDE)) for _ in range(2)], rng.normal(size=(SIDE, SIDE))
    value, pull = vjp(lambda x, y: graph(steps, lend, x, y), *primals)
    lend.spoil(value, *primals)
    return [*pull(g), *pull(g)]


@settings(deadline=None, max_examples=300)
@given(chains, st.integers(0, 2**32 - 1))
def test_what_is_overwritten_after_the_forward_pass_does_not_change_the_gradient(steps, seed):
    """pull(g) is the same to the last bit after primals, constants, masks, indices and the value were overwritten"""
    for a, b in zip(first_order(steps, seed, True), first_order(steps, seed, False), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def second_order(steps, seed, spoils):
    """The gradients of ⟨gradient, x + gradient⟩; after each pass every array is overwritten, also the cotangent."""
    lend, rng = Lender(seed, spoils), np.random.default_rng(seed)
    primals = [rng.normal(size=(SIDE, SIDE)) for _ in range(2)]

    def length(x, y):
        _, pull = vjp(lambda x, y: graph(steps, lend, x, y), x, y)
        lend.spoil()
        g = np.full((SIDE, SIDE), 0.25)
        products = [(part * (x + part)).sum() for part in pull(g)]
        lend.spoil(g)
        return products[0] + products[1]

    value, pull = vjp(length, *primals)
    lend.spoil(*primals)
    return [value, *pull(1.0)]


@settings(deadline=None, max_examples=150)
@given(chains, st.integers(0, 2**32 - 1))
def test_the_same_holds_for_gradients_of_gradients(steps, seed):
    """Inside an outer call overwriting has no effect either"""
    for a, b in zip(second_order(steps, seed, True), second_order(steps, seed, False), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_the_random_graphs_is_differentiated(step):
    """Every step runs, and its gradients in the two arguments are not both zero"""
    gradients = first_order([step], 0, False)
    assert any(abs(g).sum() > 0 for g in gradients)


def test_a_buffer_that_is_filled_again_for_every_term():
    """∂/∂x Σₖ Σᵢ bₖᵢ xᵢ² = 2 xᵢ Σₖ bₖᵢ with one array for all bₖ"""
    b, x = np.zeros(4), np.arange(4.0)

    def f(x):
        total = 0
        for k in range(4):
            b[:] = k
            total = total + (b * x**2).sum()
        return total

    value, pull = vjp(f, x)
    b[:], x[:] = -1, np.nan
    assert value == 6 * 14
    np.testing.assert_array_equal(pull(1.0)[0], 12 * np.arange(4.0))


def test_images_and_kernels_may_be_overwritten():
    """The same for convolution with a constant kernel, pooling and a constant image"""
    rng = np.random.default_rng(0)
    kernel, images = rng.normal(size=(3, 3, 1, 2)), rng.normal(size=(2, 6, 6, 1))

    def gradients(spoils):
        k, x = kernel.copy(), images.copy()
        z, pull = vjp(lambda x: ops.max_pool(ops.conv(x, k, 1, 1), 2, 2), x)
        w, pull_w = vjp(lambda w: ops.average_pool(ops.conv(x, w), 2, 2), k)
        if spoils:
            for array in (k, x, z, w):
                array[...] = 0
        return pull(np.ones((2, 3, 3, 2)))[0], pull_w(np.ones((2, 2, 2, 2)))[0]

    for a, b in zip(gradients(True), gradients(False), strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def test_the_value_belongs_to_the_caller():
    """z may be written to, even if f returns its argument; the argument does not change"""
    x = np.arange(3.0)
    z, pull = vjp(lambda x: x, x)
    z += 1
    np.testing.assert_array_equal(x, np.arange(3.0))
    np.testing.assert_array_equal(pull(np.ones(3))[0], 1)


def test_shared_arrays_are_kept_as_they_are():
    """Shared arrays are not copied, be they primals or constants, but any other call, also an inner one, copies them"""
    w, x = np.full((2, 2), 3.0), np.ones((2, 2))
    seen = []

    def f(x, w):
        seen.extend([plain(x), plain(w)])
        return x @ w

    vjp(f, x, w, shared=[w])
    assert [np.shares_memory(a, b) for a, b in zip(seen, (x, w), strict=True)] == [False, True]
    _, pull = vjp(lambda x: x * w, x, shared=[w])
    _, safe = vjp(lambda x: vjp(lambda y: y * w, x)[1](np.ones((2, 2)))[0] * x, x, shared=())
    _, other = vjp(lambda x: x * w, x)
    w[...] = 5
    assert [p(np.ones((2, 2)))[0][0, 0] for p in (pull, safe, other)] == [5, 3, 3]


# The two helpers.


def test_a_snapshot_is_a_copy_unless_nobody_can_write():
    """Writable arrays and read-only views of them are copied in their memory layout; others are returned as they are"""
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for given_ in (x, x.T, np.broadcast_to(x, (4, 2, 3)), np.diagonal(x), x[::-1]):
        taken, before = snapshot(given_), given_.copy()
        assert not np.shares_memory(taken, x)
        np.testing.assert_array_equal(taken, before, strict=True)
    assert snapshot(x).flags.f_contiguous
    frozen = x.copy()
    frozen.flags.writeable = False
    for given_ in (frozen, frozen.T, read_only(x), read_only(x)[0], 3, None, slice(2), np.float32, np.float64(1)):
        assert snapshot(given_) is given_


@pytest.mark.parametrize("dtype", ["f4", ">f8", "g", "?", "u8", "f2"])
@pytest.mark.parametrize("of", [lambda a: a, lambda a: a.T, lambda a: a[:, ::2], lambda a: a[0, 0], lambda a: a[:0]])
def test_read_only_is_a_view(dtype, of):
    """The view has the same numbers, dtype and memory and refuses writing; what the owner writes shows in it"""
    a = of(np.arange(8).reshape(2, 4).astype(dtype))
    a = np.asarray(a)
    view = read_only(a)
    np.testing.assert_array_equal(view, a, strict=True)
    assert view.strides == a.strides
    with pytest.raises(ValueError, match="read-only"):
        view[...] = 0
    a[...] = 1
    np.testing.assert_array_equal(view, a, strict=True)


# where


def test_where_gives_the_branch_not_taken_a_gradient_of_zero_times_its_slope():
    """0 · ∞ = NaN for √x, 1/x and log x at 0, whatever the value; no NaN where the slope is finite"""
    x = np.array([2.0, 0.0])
    for f in (ops.sqrt, lambda x: 1 / x, ops.log):
        with np.errstate(all="ignore"):
            value, pull = vjp(lambda x, f=f: ops.where(x > 0, f(x), 0.0), x)
            (g,) = pull(np.ones(2))
        assert np.isfinite(value).all()
        assert np.isfinite(g[0])
        assert np.isnan(g[1])
    np.testing.assert_array_equal(vjp(lambda x: ops.where(x > 1, x**2, 0.0), x)[1](np.ones(2))[0], [4, 0])


def test_a_second_where_keeps_the_branch_not_taken_away_from_its_pole():
    """where(x > 0, f(where(x > 0, x, 1)), 0) has the derivatives f'(x) and f''(x) for x > 0, and 0 elsewhere"""
    x = np.array([2.0, 0.0, -1.0])
    for f, slope, curvature in (
        (ops.sqrt, 0.5 / np.sqrt(2), -0.25 / 2**1.5),
        (lambda x: 1 / x, -1 / 4, 1 / 4),
        (ops.log, 1 / 2, -1 / 4),
    ):

        def safe(x, f=f):
            return ops.where(x > 0, f(ops.where(x > 0, x, 1.0)), 0.0)

        (g,) = vjp(safe, x)[1](np.ones(3))
        np.testing.assert_allclose(g, [slope, 0, 0])
        (h,) = vjp(lambda x, safe=safe: vjp(safe, x)[1](np.ones(3))[0], x)[1](np.ones(3))
        np.testing.assert_allclose(h, [curvature, 0, 0])


def test_tensors_are_told_from_arrays():
    """A step on plain arrays returns a plain array: nothing is copied or recorded"""
    x = np.ones((3, 3))
    assert not isinstance(ops.where(x > 0, x, 0.0), Tensor)
