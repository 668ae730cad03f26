"""Homeworks 3 to 5: the solution gets all points, the empty template none, and every wrong solution loses some.

Everything runs in this process, without the grader: the student's modules are put where the tests look for them.
"""

import importlib
import os
import sys
import types
from pathlib import Path

import pytest
from hypothesis import Phase, settings

HOMEWORKS = Path(__file__).parents[2] / "lectures" / "homework"
NAMES = ["hw3", "hw4", "hw5"]


@pytest.fixture
def desk(monkeypatch):
    """``desk(homework, texts)`` loads a solution and returns a function that runs one of its tests."""
    monkeypatch.syspath_prepend(HOMEWORKS)
    for name in ("checking", "public_tests", "hidden_tests", "scalar", "tape", "fgsm", "pgd", "fitting", "laws"):
        monkeypatch.setitem(sys.modules, name, None)
    yield lay_out
    settings.load_profile("ci" if os.environ.get("CI") else "default")


def lay_out(homework, texts):
    """Load the student's files and then the tests; return a function from a test's name to its error."""
    execute("checking", (HOMEWORKS / "grading" / "checking.py").read_text(encoding="utf-8"))
    settings.register_profile("quick homework", settings.get_profile("homework"), phases=[Phase.generate])
    settings.load_profile("quick homework")
    for name, text in texts.items():
        execute(name.removesuffix(".py"), text)
    files = [(HOMEWORKS / homework / f"{name}.py") for name in ("public_tests", "hidden_tests")]
    tests = [execute(file.stem, file.read_text(encoding="utf-8")) for file in files]

    def error(name):
        test = next(vars(module)[name] for module in reversed(tests) if name in vars(module))
        try:
            test()
        except Exception as problem:
            return problem
        return None

    return error


def execute(name, text):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), vars(module))
    return module


def load(homework, *, solved):
    """Return the homework, and its files as they are handed out."""
    manifest, hand_out = (importlib.import_module(f"grading.{name}") for name in ("manifest", "hand_out"))
    read = manifest.load(homework)
    return read, hand_out.files(read, solved=solved)


@pytest.mark.parametrize("homework", NAMES)
def test_points_add_up(homework, desk):
    """There are 100 points for 8 to 14 tests, 30 to 40 of them for visible tests; ``test_homework.py`` grades them"""
    read, _ = load(homework, solved=True)
    assert read.points == 100
    assert 8 <= len(read.tests) <= 14
    assert 30 <= sum(test.points for test in read.tests if test.visibility == "visible") <= 40


SLOPES, PAPER, ANEW = (
    "test_the_slopes_of_the_six_operations",
    "test_backward_on_paper",
    "test_backward_begins_anew_each_time",
)
COPIES, VJP, AGAIN = (
    "test_what_was_copied_is_added_up",
    "test_vjp_on_paper",
    "test_the_pullback_is_linear_and_can_be_called_again",
)
DEEP, TWICE = "test_a_chain_of_100000_values_and_a_ladder", "test_gradients_of_gradients"
GIVES = "test_what_vjp_gives_back_and_what_it_refuses"
EXACT, INSIDE = "test_fgsm_is_exact_on_linear_models", "test_every_perturbation_is_inside_the_set"
FOUND = "delta, counted(model, z, y, target, keep), value"
BEST, STEPS, STARTS = (
    "test_pgd_gives_back_its_best_iterate",
    "test_the_steps_are_the_formula",
    "test_starts_restarts_and_seeds",
)
KEPT, TRAINING = "test_nothing_is_changed_and_float32_stays", "test_a_training_step_on_paper"
EPOCH = "test_an_epoch_is_stochastic_gradient_descent"
RECURSIVE = """
    order = {}

    def visit(z):
        if z not in order:
            for x, _ in z.parents:
                visit(x)
            order[z] = None

    visit(output)
    return list(order)
    order, entered, stack = {}, set(), [output]"""

PULL = """    def pull(cotangent):
        gradients = {output: _cotangent(cotangent, output)}
"""
SHARED = """
    gradients = {}

    def pull(cotangent):
        gradients[output] = _cotangent(cotangent, output)
"""

# homework, file, what stands there, what a wrong solution has instead, the test that it costs
WRONG = [
    ("hw3", "scalar", "((self, 1.0), (other, 1.0))", "((self, 1.0),)", SLOPES),
    ("hw3", "scalar", "((self, other.data), (other, self.data))", "((self, self.data), (other, other.data))", SLOPES),
    ("hw3", "scalar", "self.data + other.data, ", "self.data - other.data, ", "test_the_values_of_the_six_operations"),
    ("hw3", "scalar", "p * self.data ** (p - 1) if p else 0.0", "p * self.data ** (p - 1)", SLOPES),
    ("hw3", "scalar", "(self, z),)", "(self, self.data),)", SLOPES),
    ("hw3", "scalar", "1 - z * z", "1 - z", SLOPES),
    ("hw3", "scalar", "self.data > 0", "self.data >= 0", SLOPES),
    ("hw3", "scalar", "x.grad += z.grad * slope", "x.grad = z.grad * slope", PAPER),
    ("hw3", "scalar", "in reversed(order)", "in order", PAPER),
    ("hw3", "scalar", "    z.grad = 0.0", "    pass", ANEW),
    ("hw3", "scalar", "x.grad += z.grad * slope", "x.grad += slope", PAPER),
    ("hw3", "scalar", "\n    order, entered, stack = {}, set(), [output]", RECURSIVE, DEEP),
    ("hw3", "tape", "new = g.ndim - x.ndim", "new = 0", COPIES),
    ("hw3", "tape", "if n == 1)", "if n == 0)", COPIES),
    ("hw3", "tape", "return g if g.dtype == x.dtype else g.astype(x.dtype)", "return g", COPIES),
    ("hw3", "tape", "gradients[x] + share if x in gradients else share", "share", VJP),
    ("hw3", "tape", "_gradient(gradients.get(leaf), leaf.value)", "gradients.get(leaf)", VJP),
    ("hw3", "tape", "_gradient(gradients.get(leaf), leaf.value)", "gradients.get(leaf, leaf.value * 0)", GIVES),
    ("hw3", "tape", "_cotangent(cotangent, output)}", "cotangent}", GIVES),
    ("hw3", "tape", f"\n{PULL}", SHARED, AGAIN),
    ("hw3", "tape", "level = next(_levels)", "level = 0", TWICE),
    ("hw3", "tape", "output = Tensor(output, level)", "pass", TWICE),
    ("hw3", "tape", "pull(1.0)", "pull(2.0)", VJP),
    ("hw4", "fgsm", "threat.linear_max(g)", "threat.linear_max(-g)", EXACT),
    ("hw4", "fgsm", "threat.linear_max(g)", "threat.project(g)", EXACT),
    ("hw4", "fgsm", "threat.linear_max(g)", "getattr(threat, 'ball', threat).linear_max(g)", INSIDE),
    ("hw4", "fgsm", "1.25 * threat.radius", "threat.radius", STEPS),
    ("hw4", "fgsm", "vjp_x(model, x + start)", "vjp_x(model, x)", STEPS),
    ("hw4", "pgd", f"best.or_better({FOUND})", f"type(best)({FOUND})", BEST),
    ("hw4", "pgd", f"best.or_better({FOUND})", f"type(best)({FOUND}) if (value > best.value).all() else best", BEST),
    ("hw4", "pgd", "if not at_zero:", "if False:", BEST),
    ("hw4", "pgd", "last = t == steps", "last = t == steps - 1", BEST),
    ("hw4", "pgd", "loss or model.loss", "model.loss", BEST),
    ("hw4", "pgd", "vjp_x(model, x + delta)", "vjp_x(model, x)", STEPS),
    ("hw4", "pgd", "threat.project(delta + each(alpha, g) * g)", "(delta + each(alpha, g) * g)", INSIDE),
    ("hw4", "pgd", "each(alpha, g) * g", "each(alpha, g) * g / len(g)", "test_batch_mates_do_not_matter"),
    ("hw4", "pgd", "reach * threat.radius / steps", "threat.radius / steps / 2", "test_pgd_is_exact_on_linear_models"),
    ("hw4", "pgd", "threat.at(x).project(delta.astype(x.dtype))", "delta.astype(x.dtype)", STARTS),
    ("hw4", "pgd", "(threat.sample(rng, x) for _ in range(restarts))", "[threat.sample(rng, x)] * restarts", STARTS),
    ("hw4", "pgd", "if restarts > 1:", "if False:", STARTS),
    ("hw4", "pgd", "model.loss, y, target)", "model.loss, y, None)", "test_targets"),
    (
        "hw4",
        "pgd",
        "namespace(x).zeros_like(x) if at_zero",
        "namespace(x).zeros(x.shape) if at_zero",
        KEPT,
    ),
    ("hw4", "fitting", "(model.loss.grad(z, y) / m)", "(model.loss.grad(z, y))", TRAINING),
    ("hw4", "fitting", "return x + delta.astype(x.dtype, copy=False)", "return x", TRAINING),
    ("hw4", "fitting", "return x + delta.astype(x.dtype, copy=False)", "return x + delta", EPOCH),
    ("hw4", "fitting", "rng.permutation(n)", "np.arange(n)", EPOCH),
    ("hw4", "fitting", "rng.permutation(n)", "rng.integers(n, size=n)", EPOCH),
    ("hw4", "fitting", "range(0, n, size)]", "range(0, n - n % size, size)]", EPOCH),
]


# what stands in laws.py, what a law that is too weak or too strict has instead, the law
EDGES = "rng.choice([0, 1 / 16, 0.5, 15 / 16, 1], (n, 2))"
WRONG_LAWS = [
    ("for dtype in (np.float32, np.float64)", "for dtype in (np.float64,)", "an_array_like_x"),
    ("contains(delta).all()", "contains(delta, atol=1e-3).all()", "inside_the_set"),
    ("contains(delta).all()", "contains(delta, atol=-1e-3).all()", "inside_the_set"),
    ('assert np.array_equal(x, before[0]), "x was changed"', "", "nothing_is_changed"),
    ('assert vars(model).keys() == before[2].keys(), "the model was changed"', "", "nothing_is_changed"),
    ("pictures(threat, 30)", "pictures(threat, 1)", "the_same_again"),
    (EDGES, "0.5", "the_closed_form"),
    ("left = 0.02 * (best - clean) + rounding * (1 + abs(best))", "left = 0", "the_closed_form"),
    ("([60.0, 0.0], [0.0, 60.0])", "([6.0, 0.0], [0.0, 6.0])", "confident_logits"),
    ("([0], [3], [1, 4], [5, 2, 0])", "([0, 1, 2, 3, 4, 5],)", "batch_mates_do_not_matter"),
    ("y = -labels_of(model.logits(x))", "y = labels_of(model.logits(x))", "misclassified_inputs"),
    ("for shift in (1, 2, 3)", "for shift in (1,)", "targets_are_respected"),
    (" & (fooled == still_fooled)", "", "more_restarts_are_not_weaker"),
    ("in model.inputs", "in model.inputs[:1]", "the_model_sees_pixels_only"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("homework", "file", "old", "new", "test"), WRONG)
def test_a_wrong_solution_loses_points(homework, file, old, new, test, desk):
    """If one line of the solution is replaced by a wrong one, the test that is about it fails"""
    _, solution = load(homework, solved=True)
    error = desk(homework, solution | {f"{file}.py": changed(solution[f"{file}.py"], old, new)})
    assert error(test) is not None


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "law"), WRONG_LAWS)
def test_a_wrong_law_loses_points(old, new, law, desk):
    """A law that is too weak lets a bug pass, and one that is too strict refuses a correct attack"""
    read, solution = load("hw5", solved=True)
    error = desk("hw5", {"laws.py": changed(solution["laws.py"], old, new)})
    assert any(error(test.name) for test in read.tests if test.name.startswith(f"test_{law}_kills"))


@pytest.mark.parametrize(
    "body", ["return None", "raise AssertionError('no attack is right')", "assert attack.__name__"]
)
def test_laws_that_do_not_look_are_worth_nothing(body, desk):
    """A law that always raises and laws that never do get no points at all"""
    read, _ = load("hw5", solved=True)
    laws = "".join(f"def {name}(attack, threat):\n    {body}\n\n\n" for name in read.files[0].functions)
    error = desk("hw5", {"laws.py": laws})
    assert [test.name for test in read.tests if not error(test.name)] == []


@pytest.mark.parametrize(
    ("homework", "texts", "tests"),
    [
        ("hw3", {"scalar.py": "class Yes:\n    __eq__ = lambda self, other: True\n\n\nValue = lambda x: Yes()\n"}, 8),
        ("hw3", {"tape.py": "undo_broadcasting = vjp = value_and_grad = lambda *a: (a[-1], lambda g: (g,))\n"}, 14),
    ],
)
def test_objects_that_are_equal_to_everything_gain_nothing(homework, texts, tests, desk):
    """An answer that is neither a number nor an array is refused before it is compared"""
    read, _ = load(homework, solved=True)
    error = desk(homework, texts)
    assert [test.name for test in read.tests[:tests] if not error(test.name)] == []


def changed(text, old, new):
    """Return the text with one place changed; the place must exist."""
    assert old in text, f"{old!r} is not in the solution any more"
    return text.replace(old, new, 1)
