"""Submissions to try the grader on: mistakes that students make, and tricks that graders have fallen for."""

# Mistakes: the file, what stands there, what the mistake puts in its place, and a test that must fail for it.
MISTAKES = {
    "hw1": {
        "ℓ1 by rescaling": (
            "balls",
            "return namespace(delta).sign(delta) * self._project_capped(a, a).reshape(delta.shape)",
            "n = a.sum(axis=1, keepdims=True)\n"
            "        return (rows(delta) * (self.eps / namespace(n).maximum(n, self.eps))).reshape(delta.shape)",
            ("test_l1_project", "test_l1_projection_is_nearest"),
        ),
        "ℓ1: project, then clip": (
            "balls",
            "return -xp.clip(a - shrink, 0, b).sum(axis=1, keepdims=True)",
            "return -xp.maximum(a - shrink, 0).sum(axis=1, keepdims=True)",
            ("test_l1_projection_in_the_pixel_range",),
        ),
        "ℓ2: project, then clip": (
            "balls",
            "return self._unless_inside(m, a, b)",
            "return namespace(a).minimum(self.project(a), b)",
            ("test_l2_projection_in_the_pixel_range",),
        ),
        "ℓ2: everything on the sphere": (
            "balls",
            "xp.where(outside, self.eps / xp.where(outside, length, 1), 1)",
            "self.eps / xp.where(length > 0, length, 1)",
            ("test_l2_project",),
        ),
        "ℓ2: one length for the whole batch": (
            "balls",
            "return largest[:, 0] * namespace(d).sqrt((d * d).sum(axis=1))",
            "return 0 * largest[:, 0] + namespace(d).sqrt((delta * delta).sum())",
            ("test_l2_project", "test_images_of_float32_row_by_row"),
        ),
        "ℓ2: 0 / 0": (
            "balls",
            "(d * (self.eps / xp.where(length > 0, length, 1)))",
            "(d * (self.eps / length))",
            ("test_l2_best_point",),
        ),
        "ℓ∞: down the gradient": (
            "balls",
            "return self.eps * namespace(g).sign(g)",
            "return -self.eps * namespace(g).sign(g)",
            ("test_best_points_by_hand", "test_linf_best_point"),
        ),
        "ℓ∞: a float64 sign": (
            "balls",
            "return self.eps * namespace(g).sign(g)",
            "return self.eps * namespace(g).sign(g).astype(float)",
            ("test_images_of_float32_row_by_row",),
        ),
        "ℓ∞: the upper end only": (
            "balls",
            "return namespace(delta).clip(delta, -self.eps, self.eps)",
            "return namespace(delta).minimum(delta, self.eps)",
            ("test_linf_project",),
        ),
        "ℓ∞: clipped in place": (
            "balls",
            "return namespace(delta).clip(delta, -self.eps, self.eps)",
            "return namespace(delta).clip(delta, -self.eps, self.eps, out=delta)",
            ("test_linf_project",),
        ),
        "ℓ∞: the pixel range forgotten": (
            "balls",
            "return namespace(a).minimum(a, self._max_capped(a, b))",
            "return namespace(a).minimum(a, self.eps)",
            ("test_linf_projection_in_the_pixel_range",),
        ),
        "ℓ∞: its own norm for the dual": (
            "balls",
            "return self.eps * abs(rows(g)).sum(axis=1)",
            "return self.eps * abs(rows(g)).max(axis=1)",
            ("test_best_points_by_hand", "test_support_is_eps_times_the_dual_norm"),
        ),
        "ℓ1: its own norm for the dual": (
            "balls",
            "return self.eps * abs(rows(g)).max(axis=1)",
            "return self.eps * abs(rows(g)).sum(axis=1)",
            ("test_support_is_eps_times_the_dual_norm",),
        ),
        "ℓ1: all the largest components": (
            "balls",
            "put_in_rows(m, a.argmax(axis=1)[:, None], self.eps)",
            "m[a == a.max(axis=1, keepdims=True)] = self.eps",
            ("test_l1_best_point",),
        ),
        "ℓ0: the largest, not the largest magnitudes": (
            "balls",
            "        a = abs(rows(delta))\n        return delta * self._top(a)",
            "        return delta * self._top(rows(delta))",
            ("test_l0_projection_is_nearest",),
        ),
        "ℓ0: one too many": ("balls", "[:, : self.k]", "[:, : self.k + 1]", ("test_l0_projection_is_nearest",)),
    },
    "hw2": {
        "towards the right class": (
            "exact",
            "pull(-y.astype(x.dtype))",
            "pull(y.astype(x.dtype))",
            ("test_exact_by_hand", "test_nothing_in_the_set_hurts_more"),
        ),
        "the label forgotten": (
            "exact",
            "pull(-y.astype(x.dtype))",
            "pull(-abs(y).astype(x.dtype))",
            ("test_exact_by_hand", "test_nothing_in_the_set_hurts_more"),
        ),
        "always the sign": (
            "exact",
            "return threat.at(x).linear_max(minus_y_theta)",
            "return threat.radius * (minus_y_theta > 0) - threat.radius * (minus_y_theta < 0)",
            ("test_exact_by_hand", "test_nothing_in_the_set_hurts_more", "test_exact_in_the_pixel_range"),
        ),
        "the pixel range of 0": (
            "exact",
            "return threat.at(x).linear_max(minus_y_theta)",
            "return threat.linear_max(minus_y_theta)",
            ("test_exact_in_the_pixel_range",),
        ),
        "networks too": (
            "exact",
            'if not getattr(model, "linear", False):',
            "if False:",
            ("test_exact_keeps_images_and_refuses_networks",),
        ),
        "float64 labels": (
            "exact",
            "pull(-y.astype(x.dtype))",
            "pull(-y.astype(float)).astype(float)",
            ("test_exact_keeps_images_and_refuses_networks",),
        ),
        "the margin grows": (
            "robust_logistic",
            "return m - ball.support(theta[None])",
            "return m + ball.support(theta[None])",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm", "test_objective_is_the_mean_loss"),
        ),
        "the norm of the ball for the dual": (
            "robust_logistic",
            "return m - ball.support(theta[None])",
            "return m - ball.eps * ball.norm(theta[None])",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm"),
        ),
        "theta0 forgotten": (
            "robust_logistic",
            "m = y * (_scores(theta, x) + theta0)",
            "m = y * _scores(theta, x)",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm"),
        ),
        "theta0 without its label": (
            "robust_logistic",
            "m = y * (_scores(theta, x) + theta0)",
            "m = y * _scores(theta, x) + theta0",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm"),
        ),
        "one pixel range for all labels": (
            "robust_logistic",
            "ball.at(x).support(-per_row(y, x) * theta)",
            "ball.at(x).support(-per_row(abs(y), x) * theta)",
            ("test_worst_margin_in_the_pixel_range",),
        ),
        "the sum for the mean": (
            "robust_logistic",
            "float(softplus(-worst_margin(theta, theta0, x, y, ball)).mean())",
            "float(softplus(-worst_margin(theta, theta0, x, y, ball)).sum())",
            ("test_objective_by_hand", "test_objective_is_the_mean_loss"),
        ),
        "the formula as it stands on the slide": (
            "robust_logistic",
            "float(softplus(-worst_margin(theta, theta0, x, y, ball)).mean())",
            "float(np.log(1 + np.exp(-worst_margin(theta, theta0, x, y, ball))).mean())",
            ("test_objective_at_large_margins",),
        ),
        "a gradient without 1/N": (
            "robust_logistic",
            "weights = -a * y / len(x)",
            "weights = -a * y",
            ("test_gradient_in_theta", "test_gradient_in_theta0"),
        ),
        "a gradient of the wrong sign": (
            "robust_logistic",
            "weights = -a * y / len(x)",
            "weights = a * y / len(x)",
            ("test_gradient_in_theta", "test_gradient_in_theta0"),
        ),
        "the gradient at the clean examples": (
            "robust_logistic",
            "(weights @ rows(x + delta))",
            "(weights @ rows(x))",
            ("test_gradient_in_theta",),
        ),
        "a gradient in theta0 without labels": (
            "robust_logistic",
            "float(weights.sum())",
            "float(-a.mean())",
            ("test_gradient_in_theta0",),
        ),
    },
}

# Tricks: what is written before the empty template of hw1, or below it in place of Linf.project.
AT_IMPORT = {
    "an endless loop": "while True: pass",
    "a long sleep": "import time; time.sleep(1000)",
    "_exit": "import os; os._exit(0)",
    "exit": "import sys; sys.exit(0)",
    "SystemExit": "raise SystemExit(0)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "BaseException": "raise BaseException('passed')",
    "an error that is false": "class E(BaseException):\n    __bool__ = lambda self: False\nraise E",
    "an error that cannot be printed": "class E(Exception):\n    __str__ = lambda self: 1 / 0\nraise E",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "a syntax error": "def",
    "a null byte": "x = '\\0'\n\0",
    "a deep expression": "x = " + "-" * 50_000 + "1",
    "10 GB": "import numpy; numpy.ones(10 * 2**27)",
    "10 GB of shared memory": "import mmap; m = mmap.mmap(-1, 10 * 2**30); m.write(bytes(10 * 2**30))",
    "a forged result in print": 'import os; print(\'{"passed": true, "problem": null}\', flush=True); os._exit(0)',
    "a forged result everywhere": (
        "import os\n"
        "for fd in range(3, 256):\n"
        '    try: os.write(fd, b\'{"passed": true, "problem": null}\')\n'
        "    except OSError: pass\n"
        "os._exit(0)"
    ),
    "a flood everywhere": (
        "import os\n"
        "while True:\n"
        "    for fd in range(256):\n"
        "        try: os.write(fd, bytes(1 << 16))\n"
        "        except OSError: pass"
    ),
    "a flood in print": "while True: print('passed' * 10_000)",
    "an exit at the end": "import atexit, os; atexit.register(os._exit, 0)",
    "hypothesis replaced": "import hypothesis; hypothesis.given = lambda *a, **k: lambda f: lambda: None",
    "hypothesis's engine replaced": (
        "import hypothesis.core\nhypothesis.core.StateForActualGivenExecution.run_engine = lambda self: None"
    ),
    "hypothesis's code replaced": (
        "import hypothesis.core\n"
        "def run_engine(self): pass\n"
        "hypothesis.core.StateForActualGivenExecution.run_engine.__code__ = run_engine.__code__"
    ),
    "every example refused": "import hypothesis; hypothesis.reject()",
    "a skipped test": "import unittest; raise unittest.SkipTest",
    "the helpers replaced": (
        "import sys\n"
        "for name in ('checking', 'public_tests', 'hidden_tests'):\n"
        "    for key in ('close', 'answer', 'expect', 'call'):\n"
        "        if hasattr(sys.modules.get(name), key):\n"
        "            setattr(sys.modules[name], key, lambda *a, **k: (True, True))"
    ),
    "the tests replaced": (
        "import sys\n"
        "for name in ('public_tests', 'hidden_tests'):\n"
        "    for key in list(vars(sys.modules.get(name, sys))):\n"
        "        if key.startswith('test_'): setattr(sys.modules[name], key, lambda: None)"
    ),
    "NumPy replaced": "import numpy; numpy.asarray = lambda *a, **k: 0; numpy.array = numpy.asarray",
    "builtins replaced": "import builtins; builtins.bool = lambda *a: True; builtins.abs = lambda *a: 0",
    "a watcher": "import sys; sys.settrace(lambda *a: None)",
    "another file": "import helper",
    "the module to replace": "from scratchadv.balls import *",
    "the module to replace, from its folder": "from scratchadv import balls",
    "the module to replace, from a neighbour": "from scratchadv.robust_logistic import Linf, L2, L1",
    "the module to replace, by an attribute": "import scratchadv.attacks\nLinf = scratchadv.balls.Linf",
    "the module to replace, by its name": "import importlib\nLinf = importlib.import_module('scratchadv.balls').Linf",
}

IN_A_FUNCTION = {
    "an endless loop": "while True: pass",
    "_exit": "__import__('os')._exit(0)",
    "SystemExit": "raise SystemExit(0)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "endless recursion": "return self.project(delta)",
    "10 GB": "return __import__('numpy').ones((len(delta), 10 * 2**27))",
    "threads that do not end": (
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start(); return delta"
    ),
    "None": "return None",
    "a list": "return delta.tolist()",
    "what is given": "return delta",
    "zeros": "return 0 * delta",
    "NaN": "return 0 * delta / 0",
    "other numbers each time": "import random; return delta + random.random()",
    "always equal": (
        "import numpy\n"
        "        class Equal(numpy.ndarray):\n"
        "            def __array_ufunc__(self, *a, **k): return True\n"
        "            def __array_function__(self, *a, **k): return True\n"
        "            __eq__ = __le__ = __lt__ = __ge__ = lambda self, other: True\n"
        "        return delta.view(Equal)"
    ),
    "objects always equal": (
        "import numpy\n"
        "        class Equal:\n"
        "            __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda self, other: True\n"
        "            __sub__ = __rsub__ = __abs__ = __neg__ = lambda self, *other: self\n"
        "            __float__ = lambda self: 0.0\n"
        "        return numpy.full(delta.shape, Equal())"
    ),
    "the argument changed": "delta[...] = 0; return delta",
    "the helpers replaced": (
        "import sys\n"
        "        for name in ('checking', 'public_tests'): sys.modules[name].close = lambda *a: True\n"
        "        return delta"
    ),
    "every example refused": "__import__('hypothesis').reject()",
}
