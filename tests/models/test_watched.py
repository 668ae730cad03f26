"""Laws of the models around another model: they answer as that model does, and count every row, even in threads."""

import copy
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchadv.attacks import pgd
from scratchadv.attacks.black_box.queries import BudgetError, LabelOracle, LogitOracle
from scratchadv.backend import to_device
from scratchadv.models import MLP, LogisticRegression
from scratchadv.models.protocol import predict
from scratchadv.models.watched import Around, Ledger, Watched
from scratchadv.sets import Linf
from scratchadv.tasks import Binary, Classes
from scratchadv.testing.device import gpu

owned = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5), min_size=1, max_size=6)


@pytest.fixture
def net():
    return MLP((6, 5, 4), rng=np.random.default_rng(0), dtype=np.float64)


@pytest.fixture
def x():
    return np.random.default_rng(1).random((7, 6))


@pytest.mark.parametrize("wrap", [Around, Watched])
def test_a_wrapper_answers_as_the_model_inside(net, x, wrap):
    """Logits, both pullbacks, task, loss, params and activations are those of the model, and so is every attack's δ"""
    wrapped, y = wrap(net), predict(net, x)
    for name in ("task", "loss", "params", "activations", "layers"):
        assert getattr(wrapped, name) is getattr(net, name)
    np.testing.assert_array_equal(wrapped.logits(x), net.logits(x))
    for pullback in ("vjp_x", "vjp_theta"):
        (z, pull), (own_z, own_pull) = (getattr(model, pullback)(x) for model in (wrapped, net))
        np.testing.assert_array_equal(z, own_z)
        np.testing.assert_equal(pull(np.ones_like(z)), own_pull(np.ones_like(z)))
    np.testing.assert_array_equal(pgd(wrapped, x, y, Linf(0.1)), pgd(net, x, y, Linf(0.1)))


@pytest.mark.parametrize("wrap", [Around, Watched])
def test_what_the_model_inside_lacks_the_wrapper_lacks(wrap):
    """An AttributeError that names it, even while a copy is made"""
    wrapped = wrap(LogisticRegression(np.ones(3)))
    with pytest.raises(AttributeError, match="no_such_thing"):
        wrapped.no_such_thing  # noqa: B018
    assert copy.copy(wrapped).task == Binary()


def test_a_subclass_may_have_a_task_of_its_own(net):
    """The task is the wrapper's own where its logits mean something else than those of the model inside"""

    class OneMore(Around):
        task = Classes(5)

    assert (OneMore(net).task, net.task) == (Classes(5), Classes(4))


@settings(max_examples=30, deadline=None)
@given(owned)
def test_rows_are_counted_by_their_owners(questions):
    """counts_i = the number of rows that i owned in all queries, and asked = their sum"""
    model = Watched(LogisticRegression(np.ones(3)))
    for owners in questions:
        model.logits(np.zeros((len(owners), 3)), np.array(owners))
    flat = np.concatenate(questions)
    np.testing.assert_array_equal(model.counts, np.bincount(flat))
    assert model.asked == len(flat)


def test_gradients_are_counted_when_they_are_pulled(net, x):
    """One query counts, and so do the rows of dz each time the pullback is used"""
    watched = Watched(net)
    z, pull = watched.vjp_x(x)
    assert (watched.asked, watched.pulled) == (7, 0)
    pull(np.ones_like(z))
    pull(np.zeros_like(z))
    assert (watched.asked, watched.pulled) == (7, 14)
    assert watched.counts.size == 0


def test_every_call_is_told(net, x):
    """on_call gets x and the owners before the model does, on_pull dz and z; an error in them refuses the call"""
    calls, pulls = [], []
    watched = Watched(net, on_call=lambda *call: calls.append(call), on_pull=lambda *pull: pulls.append(pull))
    watched.logits(x, np.arange(7))
    z, pull = watched.vjp_x(x)
    pull(z)
    assert calls[0][0] is x
    np.testing.assert_array_equal(calls[0][1], np.arange(7))
    assert calls[1] == (x, None)
    assert pulls[0][1] is z

    def refuse(x, owners):
        raise RuntimeError("refused")

    inner = Watched(net)
    with pytest.raises(RuntimeError, match="refused"):
        Watched(inner, on_call=refuse).logits(x)
    assert inner.asked == 0


def test_threads_lose_no_count(net, x):
    """1600 queries of 7 rows from 8 threads"""
    watched = Watched(net)

    def ask(_):
        z, pull = watched.vjp_x(x)
        pull(z)
        watched.logits(x, np.arange(7))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(800)))
    assert (watched.asked, watched.pulled) == (2 * 800 * 7, 800 * 7)
    np.testing.assert_array_equal(watched.counts, np.full(7, 800))


def test_owners_reach_the_model_inside(net, x):
    """A watched model in an oracle in an oracle: all of them count the same rows for the same examples"""
    inner = Watched(net)
    middle = LogitOracle(inner)
    outer = LabelOracle(middle)
    found = outer.predict(x, np.arange(7) % 3)
    np.testing.assert_array_equal(found, predict(net, x))
    for model in (inner, middle, outer):
        np.testing.assert_array_equal(model.counts, [3, 2, 2])


def test_an_oracle_tells_what_it_lets_through(net, x):
    """on_call of an oracle sees the queries within the budget, and no others"""
    seen = []
    box = LabelOracle(net, total=10, on_call=lambda x, owners: seen.append(len(x)))
    box.predict(x)
    with pytest.raises(BudgetError, match="exceed the total of 10"):
        box.predict(x)
    assert seen == [7]
    assert box.task == Classes(4)
    with pytest.raises(TypeError, match=r"on_call must be a function that can be called with \(x, owners\)"):
        LabelOracle(net, on_call=len)


def test_a_ledger_that_refuses_books_nothing():
    """An error in ``refuse`` leaves asked and counts as they were"""

    class Full(Ledger):
        def refuse(self, n, asked, counts):
            if asked > 5:
                raise BudgetError("full")

    ledger = Full()
    ledger.count(np.zeros((4, 2)), np.arange(4))
    with pytest.raises(BudgetError):
        ledger.count(np.zeros((2, 2)), np.arange(2))
    assert ledger.asked == 4
    np.testing.assert_array_equal(ledger.counts, np.ones(4))


def test_the_model_inside_moves_to_the_device(net, x, monkeypatch):
    """to_device(wrapper) works on the device; the wrapper and its model stay on the host"""
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    wrapped = Watched(net)
    there = to_device(wrapped)
    assert isinstance(there.logits(to_device(x)), gpu.ndarray)
    assert there.model is not net
    assert wrapped.model is net
    np.testing.assert_allclose(there.logits(to_device(x)).get(), net.logits(x))
