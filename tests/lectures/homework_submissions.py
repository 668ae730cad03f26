"""Submissions that test the grader: mistakes that students make, and tricks that have fooled graders."""

# Mistakes: the file, what stands there, what the mistake puts in its place, and a test that must fail for it.
MISTAKES = {
    "hw1": {
        "ℓ1 by rescaling": (
            "norms",
            "return namespace(delta).sign(delta) * self.project_capped(a, a).reshape(delta.shape)",
            "n = a.sum(axis=1, keepdims=True)\n"
            "        return (rows(delta) * (self.eps / namespace(n).maximum(n, self.eps))).reshape(delta.shape)",
            ("test_l1_project", "test_l1_projection_is_nearest"),
        ),
        "ℓ1: project, then clip": (
            "norms",
            "return -xp.clip(a - shrink, 0, b).sum(axis=1, keepdims=True)",
            "return -xp.maximum(a - shrink, 0).sum(axis=1, keepdims=True)",
            ("test_l1_projection_in_the_pixel_range",),
        ),
        "ℓ2: project, then clip": (
            "norms",
            "return self._unless_inside(m, a, b)",
            "return namespace(a).minimum(self.project(a), b)",
            ("test_l2_projection_in_the_pixel_range",),
        ),
        "ℓ2: everything on the sphere": (
            "norms",
            "xp.where(outside, eps / xp.where(outside, length, 1), 1)",
            "eps / xp.where(length > 0, length, 1)",
            ("test_l2_project",),
        ),
        "ℓ2: one length for the whole batch": (
            "norms",
            "return largest[:, 0] * namespace(d).sqrt((d * d).sum(axis=1))",
            "return 0 * largest[:, 0] + namespace(d).sqrt((delta * delta).sum())",
            ("test_l2_project", "test_images_of_float32_row_by_row"),
        ),
        "ℓ2: 0 / 0": (
            "norms",
            "(d * (each(self.eps, d) / xp.where(length > 0, length, 1)))",
            "(d * (each(self.eps, d) / length))",
            ("test_l2_best_point",),
        ),
        "ℓ∞: down the gradient": (
            "norms",
            "return each(self.eps, g) * namespace(g).sign(g)",
            "return -each(self.eps, g) * namespace(g).sign(g)",
            ("test_best_points_by_hand", "test_linf_best_point"),
        ),
        "ℓ∞: a float64 sign": (
            "norms",
            "return each(self.eps, g) * namespace(g).sign(g)",
            "return each(self.eps, g) * namespace(g).sign(g).astype(float)",
            ("test_images_of_float32_row_by_row",),
        ),
        "ℓ∞: the upper end only": (
            "norms",
            "return namespace(delta).clip(delta, -eps, eps)",
            "return namespace(delta).minimum(delta, eps)",
            ("test_linf_project",),
        ),
        "ℓ∞: clipped in place": (
            "norms",
            "return namespace(delta).clip(delta, -eps, eps)",
            "return namespace(delta).clip(delta, -eps, eps, out=delta)",
            ("test_linf_project",),
        ),
        "ℓ∞: the pixel range forgotten": (
            "norms",
            "return namespace(a).minimum(a, self.max_capped(a, b))",
            "return namespace(a).minimum(a, self.eps)",
            ("test_linf_projection_in_the_pixel_range",),
        ),
        "ℓ∞: its own norm for the dual": (
            "norms",
            "return abs(rows(g)).sum(axis=1)",
            "return abs(rows(g)).max(axis=1)",
            ("test_best_points_by_hand", "test_support_is_eps_times_the_dual_norm"),
        ),
        "ℓ1: its own norm for the dual": (
            "norms",
            "return abs(rows(g)).max(axis=1)",
            "return abs(rows(g)).sum(axis=1)",
            ("test_support_is_eps_times_the_dual_norm",),
        ),
        "ℓ1: all the largest components": (
            "norms",
            "put_in_rows(m, a.argmax(axis=1)[:, None], each(self.eps, a))",
            "m[a == a.max(axis=1, keepdims=True)] = self.eps",
            ("test_l1_best_point",),
        ),
        "ℓ0: the largest, not the largest magnitudes": (
            "norms",
            "        a = abs(rows(delta))\n        return delta * self._top(a)",
            "        return delta * self._top(rows(delta))",
            ("test_l0_projection_is_nearest",),
        ),
        "ℓ0: one too many": (
            "norms",
            "< each(self.k, score)",
            "<= each(self.k, score)",
            ("test_l0_projection_is_nearest",),
        ),
    },
    "hw2": {
        "towards the right class": (
            "linear",
            "pull(-y.astype(x.dtype))",
            "pull(y.astype(x.dtype))",
            ("test_exact_by_hand", "test_nothing_in_the_set_hurts_more"),
        ),
        "the label forgotten": (
            "linear",
            "pull(-y.astype(x.dtype))",
            "pull(-abs(y).astype(x.dtype))",
            ("test_exact_by_hand", "test_nothing_in_the_set_hurts_more"),
        ),
        "always the sign": (
            "linear",
            "return threat.at(x).linear_max(minus_y_theta)",
            "return threat.radius * (minus_y_theta > 0) - threat.radius * (minus_y_theta < 0)",
            ("test_exact_by_hand", "test_nothing_in_the_set_hurts_more", "test_exact_in_the_pixel_range"),
        ),
        "the pixel range of 0": (
            "linear",
            "return threat.at(x).linear_max(minus_y_theta)",
            "return threat.linear_max(minus_y_theta)",
            ("test_exact_in_the_pixel_range",),
        ),
        "networks too": (
            "linear",
            'if not getattr(value, "linear", False):',
            "if False:",
            ("test_exact_keeps_images_and_refuses_networks",),
        ),
        "float64 labels": (
            "linear",
            "pull(-y.astype(x.dtype))",
            "pull(-y.astype(float)).astype(float)",
            ("test_exact_keeps_images_and_refuses_networks",),
        ),
        "the margin grows": (
            "risk",
            "return m - ball.support(theta[None])",
            "return m + ball.support(theta[None])",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm", "test_objective_is_the_mean_loss"),
        ),
        "the norm of the ball for the dual": (
            "risk",
            "return m - ball.support(theta[None])",
            "return m - ball.eps * ball.norm(theta[None])",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm"),
        ),
        "theta0 forgotten": (
            "risk",
            "m = y * (_scores(theta, x) + theta0)",
            "m = y * _scores(theta, x)",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm"),
        ),
        "theta0 without its label": (
            "risk",
            "m = y * (_scores(theta, x) + theta0)",
            "m = y * _scores(theta, x) + theta0",
            ("test_worst_margin_by_hand", "test_worst_margin_is_the_dual_norm"),
        ),
        "one pixel range for all labels": (
            "risk",
            "ball.at(x).support(-per_row(y, x) * theta)",
            "ball.at(x).support(-per_row(abs(y), x) * theta)",
            ("test_worst_margin_in_the_pixel_range",),
        ),
        "the sum for the mean": (
            "risk",
            "float(softplus(-worst_margin(theta, theta0, x, y, ball)).mean())",
            "float(softplus(-worst_margin(theta, theta0, x, y, ball)).sum())",
            ("test_objective_by_hand", "test_objective_is_the_mean_loss"),
        ),
        "the formula as it stands on the slide": (
            "risk",
            "float(softplus(-worst_margin(theta, theta0, x, y, ball)).mean())",
            "(xp := namespace(x), float(xp.log(1 + xp.exp(-worst_margin(theta, theta0, x, y, ball))).mean()))[1]",
            ("test_objective_at_large_margins",),
        ),
        "a gradient without 1/N": (
            "risk",
            "weights = -a * y / len(x)",
            "weights = -a * y",
            ("test_gradient_in_theta", "test_gradient_in_theta0"),
        ),
        "a gradient of the wrong sign": (
            "risk",
            "weights = -a * y / len(x)",
            "weights = a * y / len(x)",
            ("test_gradient_in_theta", "test_gradient_in_theta0"),
        ),
        "the gradient at the clean examples": (
            "risk",
            "(weights @ rows(x + delta))",
            "(weights @ rows(x))",
            ("test_gradient_in_theta",),
        ),
        "a gradient in theta0 without labels": (
            "risk",
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
    "the module to replace": "from scratchadv.sets.norms import *",
    "the module to replace, from its folder": "from scratchadv.sets import norms",
    "the module to replace, from its package": "from scratchadv.sets import *",
    "the module to replace, from a neighbour": "from scratchadv.robust_logistic.exact import Linf, L2, L1",
    "the module to replace, by an attribute": "import scratchadv.attacks\nLinf = scratchadv.sets.Linf",
    "the module to replace, by its name": "import importlib\nLinf = importlib.import_module('scratchadv.sets').Linf",
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

# What is written below the empty template of hw1 to have the answers, or easier tests, from somewhere else. Most of
# it is of no use without an answer, so the template's functions give zeros or what they are given.
ZEROS = """
import numpy
for _ball in (Linf, L2, L1, L0):
    _ball.project = _ball.linear_max = lambda self, v: 0 * v
    _ball.support = lambda self, v: 0 * v.reshape(len(v), -1).sum(axis=1)
    _ball.project_capped = lambda self, a, b: 0 * a
"""
_TAKE = "Linf, L2, L1, L0 = (getattr(found, name) for name in ('Linf', 'L2', 'L1', 'L0'))\n"
_HOME = "import scratchadv, pathlib, sys, os, types\nhome = pathlib.Path(scratchadv.__file__).parent\n"
_START = (
    "space = {'__name__': 'other', '__package__': 'scratchadv'}\nsys.modules['other'] = types.ModuleType('other')\n"
)
_FOUND = f"found = types.SimpleNamespace(**space)\n{_TAKE}"
_TEXT = f"exec(text, space)\n{_FOUND}"

ANSWERS_FROM_ELSEWHERE = {
    "a neighbour's names": "import scratchadv.robust_logistic.exact as r\nLinf, L2, L1 = r.Linf, r.L2, r.L1",
    "names of the whole library": (
        "import sys, scratchadv.attacks, scratchadv.evaluate, scratchadv.testing.strategies\n"
        "for module in [m for n, m in sys.modules.items() if n.startswith('scratchadv')]:\n"
        "    globals().update({k: v for k, v in vars(module).items() if k in ('Linf', 'L2', 'L1', 'L0')})"
    ),
    "a default": (
        "import scratchadv.attacks as a\n"
        "for attack in vars(a).values():\n"
        "    for value in [*(getattr(attack, '__kwdefaults__', None) or {}).values()]:\n"
        "        for kind in (value, type(value)):\n"
        "            if getattr(kind, '__name__', '') in ('Linf', 'L2', 'L1', 'L0'): globals()[kind.__name__] = kind"
    ),
    "the subclasses": (
        "import scratchadv.attacks\n"
        "for base in object.__subclasses__():\n"
        "    if base.__name__ == 'Ball' and base is not Ball:\n"
        "        below = base.__subclasses__()\n"
        "        for kind in [*below, *(each for kind in below for each in kind.__subclasses__())]:\n"
        "            globals()[kind.__name__] = kind"
    ),
    "the file": f"{_HOME}{_START}text = (home / ('norms' + '.py')).read_text()\n{_TEXT}",
    "the file, by a link": (
        f"{_HOME}{_START}os.symlink(home / ('norms' + '.py'), 'b.py')\ntext = open('b.py').read()\n{_TEXT}"
    ),
    "the file, by its loader": (
        f"{_HOME}import importlib.util as u\n"
        "spec = u.spec_from_file_location('scratchadv.' + 'bowls', home / ('norms' + '.py'))\n"
        f"found = u.module_from_spec(spec)\nsys.modules[spec.name] = found\nspec.loader.exec_module(found)\n{_TAKE}"
    ),
    "the file, compiled": (
        f"{_HOME}{_START}import marshal, py_compile\n"
        "compiled = py_compile.compile(home / ('norms' + '.py'), 'b.pyc', doraise=True)\n"
        "exec(marshal.loads(open(compiled, 'rb').read()[16:]), space)\n"
        f"{_FOUND}"
    ),
    "another program": (
        f"{_HOME}{_START}import subprocess\n"
        "code = 'print(open(' + repr(str(home / ('norms' + '.py'))) + ').read())'\n"
        "text = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout\n"
        f"{_TEXT}"
    ),
    "inspect": (
        f"{_HOME}{_START}import inspect, scratchadv.attacks\n"
        "text = inspect.getsource(sys.modules['scratchadv.' + 'norms'])\n"
        f"{_TEXT}"
    ),
    "the finder taken away": (
        "import sys, importlib, scratchadv.attacks\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != 'Library']\n"
        "name = '.'.join(('scratchadv', 'norms'))\n"
        f"del sys.modules[name]\nfound = importlib.import_module(name)\n{_TAKE}"
    ),
}

EASIER_TESTS = {
    "a helper's defaults": "import checking\nchecking.close.__defaults__ = (1e9,)",
    "a helper's code": "import checking\nchecking.close.__code__ = (lambda found, expected, atol=0: True).__code__",
    "a helper's keyword defaults": (
        "import checking\ndef close(found, expected, *, atol=1e9): return True\n"
        "checking.close.__code__, checking.close.__kwdefaults__ = close.__code__, {'atol': 1e9}"
    ),
    "a number of the tests": "import sys\nvars(sys.modules.get('hidden_tests', sys))['TINY'] = 1e9",
    "a table of the tests": (
        "import sys\n"
        "best = vars(sys.modules.get('hidden_tests', sys)).get('BEST', {})\n"
        "best.update(dict.fromkeys(best, lambda g, *a: 0 * g))"
    ),
    "another table of the tests": (
        "import sys\nvars(sys.modules.get('hidden_tests', sys)).get('DUAL', {}).update(Linf=0, L2=0, L1=0)"
    ),
    "what a test closes over": (
        "import sys\n"
        "for module in [m for n, m in sys.modules.items() if n in ('hidden_tests', 'public_tests')]:\n"
        "    for test in [t for n, t in vars(module).items() if n.startswith('test_') and hasattr(t, 'hypothesis')]:\n"
        "        for cell in test.hypothesis.inner_test.__closure__ or ():\n"
        "            if type(cell.cell_contents) is type(lambda: 0): cell.cell_contents = lambda *a, **k: None"
    ),
    "what hypothesis calls": (
        "import sys\n"
        "for module in [m for n, m in sys.modules.items() if n in ('hidden_tests', 'public_tests')]:\n"
        "    for test in [t for n, t in vars(module).items() if n.startswith('test_') and hasattr(t, 'hypothesis')]:\n"
        "        test.hypothesis.inner_test = lambda *a, **k: None"
    ),
    "one example only": (
        "import sys\n"
        "for module in [m for n, m in sys.modules.items() if n in ('hidden_tests', 'public_tests')]:\n"
        "    for test in [t for n, t in vars(module).items() if n.startswith('test_') and hasattr(t, 'hypothesis')]:\n"
        "        object.__setattr__(test._hypothesis_internal_use_settings, '_max_examples', 1)"
    ),
    "one example only, found among all objects": (
        "import gc, hypothesis\n"
        "for each in gc.get_objects():\n"
        "    if type(each) is hypothesis.settings: object.__setattr__(each, '_max_examples', 1)"
    ),
    "one example only, of all settings": (
        "import hypothesis\nobject.__setattr__(hypothesis.settings.default, '_max_examples', 1)"
    ),
    "one example only, until it is over": (
        "import sys\n"
        "modules = [m for n, m in sys.modules.items() if n in ('hidden_tests', 'public_tests')]\n"
        "tests = [t for m in modules for n, t in vars(m).items() if hasattr(t, 'hypothesis')]\n"
        "def set_all(most):\n"
        "    for t in tests: object.__setattr__(t._hypothesis_internal_use_settings, '_max_examples', most)\n"
        "set_all(1)\n"
        "for ball in (Linf, L2, L1, L0): ball.project = ball.linear_max = lambda self, v: set_all(60) or 0 * v"
    ),
    "other examples": (
        "import sys, hypothesis.strategies as st\n"
        "modules = [m for n, m in sys.modules.items() if n in ('hidden_tests', 'public_tests')]\n"
        "for test in [t for m in modules for t in vars(m).values() if hasattr(t, 'hypothesis')]:\n"
        "    given = test.hypothesis._given_kwargs\n"
        "    given.update({key: st.just(numpy.zeros((1, 2)) if key == 'v' else 0) for key in given})"
    ),
    "a limit of hypothesis's": "from hypothesis.internal.conjecture import engine\nengine.BUFFER_SIZE = 0",
    "a module replaced": "import sys, types\nsys.modules['hypothesis.core'] = types.ModuleType('hypothesis.core')",
    "the grader's own code": (
        "import sys\nsys.modules['inside.frozen'].Picture.first_change = lambda self: None\n"
        "import checking\nchecking.close.__defaults__ = (1e9,)"
    ),
    "the grader's own code, found by a test": (
        "import sys\n"
        "modules = [m for n, m in sys.modules.items() if n in ('hidden_tests', 'public_tests')]\n"
        "own = [t.hypothesis.inner_test for m in modules for t in vars(m).values() if hasattr(t, 'hypothesis')]\n"
        "for space in [f.__globals__ for f in own if 'Picture' in f.__globals__]:\n"
        "    space['Picture'].first_change.__code__ = (lambda self: None).__code__\n"
        "    space['_is_same'] = lambda *a: True\n"
        "    space['_parts'] = lambda *a: []\n"
        "import checking\nchecking.close.__defaults__ = (1e9,)"
    ),
}

# What Linf.project does to end an example as if it had not been tried.
ODD_ENDS = {
    "reject": "__import__('hypothesis').reject()",
    "assume": "__import__('hypothesis').assume(False)",
    "its error": "raise __import__('hypothesis').errors.UnsatisfiedAssumption",
    "an error made from it": "raise type('Other', (__import__('hypothesis').errors.UnsatisfiedAssumption,), {})",
    "an example marked invalid": (
        "from hypothesis.control import current_build_context\n        current_build_context().data.mark_invalid()"
    ),
    "an example frozen": (
        "from hypothesis.control import current_build_context\n"
        "        current_build_context().data.freeze(); return 0 * delta"
    ),
    "a stop": "raise __import__('hypothesis').errors.StopTest(0)",
    "a flaky error": "raise __import__('hypothesis').errors.Flaky('flaky')",
    "a skipped test": "raise __import__('unittest').SkipTest",
    "pytest's skip": "__import__('pytest').skip()",
    "an exit": "__import__('sys').exit(0)",
    "an interrupt": "raise KeyboardInterrupt",
    "a generator's end": "raise GeneratorExit",
}
