"""Laws of sweeps: the results are the same here, in processes and on a cluster."""

from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import pytest

from scratchadv.attacks import fgsm, pgd
from scratchadv.evaluate import robust_accuracy, stands, sweep
from scratchadv.models import MLP, SoftmaxRegression
from scratchadv.models.protocol import predict
from scratchadv.sets import L2, Linf

THREATS = [Linf(0.05).within(0, 1), Linf(0.2).within(0, 1), L2(0.3)]


def attacks():
    return {"fgsm": fgsm, "pgd": partial(pgd, steps=4, rng=np.random.default_rng(1))}


@pytest.fixture(scope="module")
def data():
    """Two models, and examples that the first classifies correctly."""
    rng = np.random.default_rng(0)
    models = {"deep": MLP((6, 12, 3), rng=rng), "linear": SoftmaxRegression(6, 3, rng=rng)}
    x = rng.random((50, 6), dtype=np.float32)
    return models, x, predict(models["deep"], x)


@pytest.fixture(scope="module")
def serial(data):
    return sweep(*data, THREATS, attacks())


def test_each_cell_is_an_attack_alone(data, serial):
    """stands[m, t, a] = stands(model m, threat t, attack a with its generator in its first state)"""
    models, x, y = data
    assert serial.stands.shape == (2, 3, 2, 50)
    for m, model in enumerate(models.values()):
        for t, threat in enumerate(THREATS):
            for a, attack in enumerate(attacks()):
                alone = stands(model, x, y, threat, [attacks()[attack]])
                np.testing.assert_array_equal(serial.stands[m, t, a], alone)
    np.testing.assert_array_equal(serial.alone, serial.stands.mean(axis=-1))
    assert len(np.unique(serial.alone)) > 5


def test_the_worst_case_is_that_of_robust_accuracy(data):
    """accuracy[m, t] = robust_accuracy(model m, threat t) for attacks without randomness"""
    models, x, y = data
    against = [fgsm, partial(pgd, steps=4)]
    found = sweep(models, x, y, THREATS, against).accuracy
    expected = [[robust_accuracy(model, x, y, threat, against) for threat in THREATS] for model in models.values()]
    np.testing.assert_array_equal(found, expected)


def test_the_generator_of_the_caller_is_not_moved(data, serial):
    """Two sweeps with the same generator are equal, and draw nothing from it"""
    rng = np.random.default_rng(1)
    state = rng.bit_generator.state
    against = {"fgsm": fgsm, "pgd": partial(pgd, steps=4, rng=rng)}
    for _ in range(2):
        np.testing.assert_array_equal(sweep(*data, THREATS, against).stands, serial.stands)
    assert rng.bit_generator.state == state


def test_threads_give_the_same(data, serial):
    """executor=ThreadPoolExecutor: equal to the last example"""
    with ThreadPoolExecutor(2) as executor:
        np.testing.assert_array_equal(sweep(*data, THREATS, attacks(), executor=executor).stands, serial.stands)


def test_processes_give_the_same(data, serial):
    """executor=ProcessPoolExecutor: equal to the last example"""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        np.testing.assert_array_equal(sweep(*data, THREATS, attacks(), executor=executor).stands, serial.stands)


@pytest.mark.filterwarnings("default")  # warnings of other packages
def test_a_cluster_gives_the_same(data, serial):
    """executor=Client.get_executor() of a Dask cluster: equal to the last example"""
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        found = sweep(*data, THREATS, attacks(), executor=client.get_executor())
    np.testing.assert_array_equal(found.stands, serial.stands)


def fail(model, x, y, threat):
    raise RuntimeError("no change today")


class Slow:
    """An executor that starts nothing until a result is asked for, and records what is cancelled."""

    def __init__(self):
        self.futures = []

    def submit(self, f, *args):
        future = Future()
        future.result = lambda: f(*args)
        self.futures.append(future)
        return future


def test_an_error_comes_through_and_cancels_the_rest(data):
    """The attack's own error is raised, here and from an executor, and no other combination is left to run"""
    with pytest.raises(RuntimeError, match="no change today"):
        sweep(*data, THREATS, [fgsm, fail])
    executor = Slow()
    with pytest.raises(RuntimeError, match="no change today"):
        sweep(*data, THREATS, [fgsm, fail], executor=executor)
    assert len(executor.futures) == 12
    assert all(future.cancelled() for future in executor.futures)


def test_the_table_names_everything(serial):
    """A row for each model and threat, a column for each attack and for the worst case, in percent"""
    lines = serial.table().splitlines()
    assert lines[0] == "- examples: 50"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert cells[0] == ["model", "threat", "fgsm", "pgd", "worst case"]
    assert [row[:2] for row in cells[1:4]] == [
        ["deep", str(t) if t is not THREATS[2] else f"{t}, no box"] for t in THREATS
    ]
    assert cells[5][0] == "linear"
    numbers = [f"{100 * a:.2f} %" for a in (*serial.alone[1, 1], serial.accuracy[1, 1])]
    assert cells[5][2:] == numbers


@pytest.mark.parametrize("empty", ["models", "threats", "attacks"])
def test_nothing_to_do_is_an_error(empty, data):
    """No models, no threats or no attacks are refused"""
    what = {"models": data[0], "x": data[1], "y": data[2], "threats": THREATS, "attacks": [fgsm]} | {empty: []}
    with pytest.raises(ValueError, match=f"0 {empty}"):
        sweep(**what)
