"""Evaluation runs where its arrays are, and the page is the same."""

import numpy as np

from scratchadv.attacks import fgsm, pgd
from scratchadv.backend import to_device, to_host
from scratchadv.evaluate import accuracy_over_eps, judge, over_steps, report, signs_of_masking, sweep, worst_case
from scratchadv.models import MLP
from scratchadv.models.protocol import predict
from scratchadv.sets import Linf

THREAT = Linf(0.2).within(0, 1)


def test_everything_is_the_same_on_a_device(device, tmp_path):
    """Worst case, rounding, curves, sweep, signs and page from device arrays = those from host arrays"""
    rng = np.random.default_rng(1)
    model = MLP((12, 8, 3), "tanh", rng=rng, dtype=np.float64)
    x = rng.random((20, 3, 4, 1))
    here = model, x, predict(model, x)

    def numbers(model, x, y, path):
        threats = [Linf(eps).within(0, 1) for eps in (0.0, 0.1, 0.2)]
        delta = pgd(model, x, y, THREAT, steps=3)
        found = [
            worst_case(model, x, y, THREAT, [fgsm, pgd], bits=4).standing,
            judge(model, x, y, delta, THREAT, bits=4).norm,
            accuracy_over_eps(model, x, y, threats, [fgsm]).stands,
            over_steps(model, x, y, THREAT, pgd).stands,
            sweep([model], x, y, threats, [fgsm, pgd]).stands,
        ]
        report(path, model, x, y, THREAT, [fgsm], bits=8)
        return found, signs_of_masking(model, x, y, THREAT)

    expected, signs = numbers(*here, tmp_path / "host.html")
    found, signs_there = numbers(*map(to_device, here), tmp_path / "device.html")
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, device.ndarray)
        np.testing.assert_allclose(to_host(a), b, atol=1e-12)
    assert signs_there == signs
    assert (tmp_path / "device.html").read_bytes() == (tmp_path / "host.html").read_bytes()
