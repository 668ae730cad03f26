"""The catalogue: every attack of the library in one table, with what it needs and what it promises.

Each row is an :class:`Attack`. The tests hold every row to its promises, and the table of the README and the page
"Attacks" of the website are printed from the catalogue.

>>> [attack.name for attack in by_family("exact")]
['exact', 'tree_attack']
>>> find("fgsm").knows
'gradients'
"""

from collections.abc import Callable
from dataclasses import dataclass

from ..sets import L0, L1, L2, Linf
from ..support.tables import markdown as table
from .black_box.boundary import boundary
from .black_box.genattack import genattack
from .black_box.gradient_estimates import nes, spsa
from .black_box.hopskipjump import hopskipjump
from .black_box.one_pixel import one_pixel
from .black_box.square import square
from .black_box.substitution import substitute
from .constrained.bounded import bounded
from .constrained.carlini_wagner import carlini_wagner
from .constrained.deepfool import deepfool
from .constrained.fab import fab
from .constrained.jsma import jsma
from .constrained.lbfgs import lbfgs
from .constrained.trees import tree_attack
from .ensemble import standard
from .gradient.apgd import apgd
from .gradient.fgsm import fgsm, fgsm_random_start
from .gradient.iterated_fgsm import iterated_fgsm, momentum_fgsm
from .gradient.pgd import pgd
from .linear import exact
from .one_for_all.mean_gradient import universal_gradient
from .one_for_all.perturbation import universal
from .one_for_all.transformation import train_atn
from .unrecognisable.gradient_ascent import gradient_ascent
from .unrecognisable.map_elites import map_elites

FAMILIES = {
    "exact": "Compute the optimal change exactly, without an iterative search.",
    "gradient": "Climb the loss inside a set Δ.",
    "smallest change": "Take no ε and look for the smallest change that fools the model.",
    "ensemble": "The worst case of several attacks.",
    "black box": "See only the outputs of the model.",
    "one for all": "One perturbation, or one network, for all inputs.",
    "unrecognisable": "Images that no human recognises, but that the model classifies with high confidence.",
}

PROMISES = {
    "exact": "reaches the exact maximum on linear models, up to rounding",
    "iterated": "comes close to the exact maximum on linear models",
    "keeps_best": "returns the best of its iterates, which include δ = 0",
    "smallest": "returns δ = 0 or a δ that fools the model, and looks for a small one",
    "random": "draws random numbers, so it needs ``rng`` or ``seeds``",
    "restarts": "takes ``restarts`` beside ``rng``; the first of several starts is the start of a single run",
    "targeted": "takes the labels to reach as ``target``",
    "seeded": "takes ``seeds``, one for each example, so that the draws of an example do not depend on its batch",
    "inside": "returns a δ inside the set Δ(x) of its threat",
}
CONTRACT = "exact", "iterated", "keeps_best", "smallest", "random", "restarts", "targeted"

KNOWLEDGE = {
    "gradients": "logits and their gradients in x",
    "scores": "logits or probabilities",
    "labels": "predicted labels only",
    "the tree": "every split and leaf of a decision tree",
    "what its attack knows": "what its argument, another attack, knows",
}

SYMBOLS = {Linf: "ℓ∞", L2: "ℓ2", L1: "ℓ1", L0: "ℓ0"}
ALL = tuple(SYMBOLS)


@dataclass(frozen=True)
class Attack:
    """One row of the catalogue.

    Attributes
    ----------
    function : callable
        The attack itself.
    family : str
        A key of ``FAMILIES``.
    norms : tuple of type
        The norms that it supports, classes of ``scratchadv.sets``. Empty if it measures no distance.
    knows : str
        What it needs to know about the model, a key of ``KNOWLEDGE``.
    gives : str
        What it returns: "δ" for each example, "one δ" for all, "images", "a network" that makes δ, "a model" to
        attack, or "an attack".
    promises : tuple of str
        Keys of ``PROMISES``.
    source : str
        The authors of the paper and its year.
    slide : str
        The title of the slides that explain it. Empty if no slide does.
    summary : str
        What it does, in one sentence that begins with a verb.
    without : tuple of str
        The names of the laws of the attack contract that it is known not to satisfy.
    """

    function: Callable
    family: str
    norms: tuple
    knows: str
    gives: str
    promises: tuple
    source: str
    slide: str
    summary: str
    without: tuple = ()

    @property
    def name(self):
        """The name of the attack in ``scratchadv.attacks``."""
        return self.function.__name__

    @property
    def contract(self):
        """The promises as keyword arguments of ``scratchadv.testing.assert_attack_contract``."""
        made = {name: True for name in self.promises if name in CONTRACT}
        if "restarts" in made:
            made["random"] = True
        return made | ({"without": self.without} if self.without else {})


NO_LARGER = ("a larger radius is not weaker",)  # the attack stops at the first δ that fools, whatever its margin

# fmt: off
CATALOGUE = (
    Attack(exact, "exact", ALL, "gradients", "δ", ("exact", "inside"),
           "Karpathy (2015)", "Linear Models",
           "Solve the inner maximisation on a linear model."),
    Attack(tree_attack, "exact", ALL, "the tree", "δ", ("inside",),
           "Papernot, McDaniel and Goodfellow (2016)", "",
           "Move to the nearest leaf of another class of a decision tree."),
    Attack(fgsm, "gradient", ALL, "gradients", "δ", ("exact", "targeted", "inside"),
           "Goodfellow et al. (2015)", "Fast Gradient Sign Method",
           "Take one step to the point of Δ(x) that maximises the loss linearised at x."),
    Attack(fgsm_random_start, "gradient", ALL, "gradients", "δ", ("random", "targeted", "inside"),
           "Wong et al. (2020)", "",
           "Take one gradient step from a random point of Δ(x)."),
    Attack(iterated_fgsm, "gradient", ALL, "gradients", "δ", ("iterated", "targeted", "inside"),
           "Kurakin et al. (2017)", "Fast Gradient Sign Method (FGSM) attack",
           "Take many small steps of FGSM."),
    Attack(momentum_fgsm, "gradient", ALL, "gradients", "δ", ("iterated", "targeted", "inside"),
           "Dong et al. (2018)", "",
           "Take steps of FGSM along a running sum of the gradients."),
    Attack(pgd, "gradient", ALL, "gradients", "δ", ("iterated", "restarts", "targeted", "inside"),
           "Madry et al. (2018)", "Projected Gradient Descent",
           "Step along the gradient, project back onto Δ(x), and return the best iterate."),
    Attack(apgd, "gradient", ALL, "gradients", "δ", ("iterated", "restarts", "targeted", "inside"),
           "Croce and Hein (2020)", "",
           "Run PGD with momentum and a step size that is halved when progress stalls."),
    Attack(lbfgs, "smallest change", (L2,), "gradients", "δ", ("smallest", "targeted"),
           "Szegedy et al. (2014)", "L-BFGS targeted attack",
           "Minimise the size plus a weighted loss at the target with L-BFGS, and search for the weight.",
           ("float64 nowhere unasked",)),  # SciPy's L-BFGS-B works in float64
    Attack(jsma, "smallest change", (L0,), "gradients", "δ", ("smallest", "targeted"),
           "Papernot et al. (2016)", "Jacobian-based Saliency Map Attacks (JSMA)",
           "Change the two pixels of the largest saliency, and repeat."),
    Attack(deepfool, "smallest change", (Linf, L2), "gradients", "δ", ("smallest", "targeted"),
           "Moosavi-Dezfooli et al. (2016)", "",
           "Step to the nearest boundary of the linearised model until the label changes."),
    Attack(carlini_wagner, "smallest change", (Linf, L2, L0), "gradients", "δ", ("smallest", "targeted"),
           "Carlini and Wagner (2017)", "",
           "Minimise the size plus a weighted margin with Adam, and search for the weight."),
    Attack(fab, "smallest change", (Linf, L2, L1), "gradients", "δ", ("smallest", "restarts", "targeted"),
           "Croce and Hein (2020)", "",
           "Project onto the linearised boundary with a bias towards x, then step back towards x."),
    Attack(bounded, "smallest change", ALL, "what its attack knows", "an attack", (),
           "", "",
           "Turn an attack that looks for the smallest change into an attack inside a set Δ."),
    Attack(standard, "ensemble", (Linf, L2), "gradients", "δ", ("random", "inside"),
           "Croce and Hein (2020)", "",
           "Run APGD, targeted APGD, FAB and Square in turn, each on the examples not yet fooled."),
    Attack(square, "black box", (Linf, L2), "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Andriushchenko et al. (2020)", "",
           "Try random squares at the edge of Δ(x) and keep those that raise the loss."),
    Attack(genattack, "black box", (Linf,), "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Alzantot et al. (2019)", "Blackbox attacks",
           "Evolve perturbations with a genetic algorithm.",
           NO_LARGER),
    Attack(one_pixel, "black box", (L0,), "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Su et al. (2019)", "Blackbox attacks",
           "Search for a few pixels and their colours with differential evolution.",
           NO_LARGER),
    Attack(nes, "black box", ALL, "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Ilyas et al. (2018)", "Blackbox attacks",
           "Run PGD with a gradient estimated from differences along Gaussian directions.",
           NO_LARGER),
    Attack(spsa, "black box", ALL, "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Uesato et al. (2018)", "Blackbox attacks",
           "Run PGD with a gradient estimated from differences along random signs.",
           NO_LARGER),
    Attack(boundary, "black box", (L2,), "labels", "δ", ("smallest", "random", "seeded", "targeted"),
           "Brendel et al. (2018)", "Blackbox attacks",
           "Walk along the decision boundary at random and move closer to x."),
    Attack(hopskipjump, "black box", (Linf, L2), "labels", "δ", ("smallest", "random", "seeded", "targeted"),
           "Chen et al. (2020)", "Blackbox attacks",
           "Estimate the normal of the decision boundary from labels, step along it, and return to the boundary."),
    Attack(substitute, "black box", (), "labels", "a model", (),
           "Papernot et al. (2017)", "Blackbox attacks",
           "Train a network on the victim's answers, to be attacked in its place."),
    Attack(universal, "one for all", (Linf, L2, L1), "gradients", "one δ", ("targeted", "inside"),
           "Moosavi-Dezfooli et al. (2017)", "Universal adversarial examples",
           "Add to one δ the smallest changes of the images that it does not fool yet."),
    Attack(universal_gradient, "one for all", (Linf, L2, L1), "gradients", "one δ", ("targeted", "inside"),
           "Shafahi et al. (2020)", "Universal adversarial examples",
           "Climb the mean loss over minibatches with one δ for all."),
    Attack(train_atn, "one for all", (L2,), "gradients", "a network", ("targeted",),
           "Baluja and Fischer (2017)", "Adversarial transformation networks",
           "Train a network that turns images into adversarial examples."),
    Attack(gradient_ascent, "unrecognisable", (), "gradients", "images", (),
           "Nguyen et al. (2015)", "Adversarial Examples",
           "Climb the probability of a class from any start, without a limit on the distance."),
    Attack(map_elites, "unrecognisable", (), "scores", "images", ("random",),
           "Nguyen et al. (2015)", "Adversarial Examples",
           "Evolve images of which the model is confident, with one elite for each class."),
)
# fmt: on


def find(name):
    """Return the row of the attack with this name; raise a ``KeyError`` that lists the names if there is none."""
    rows = {attack.name: attack for attack in CATALOGUE}
    if name not in rows:
        raise KeyError(f"{name!r} is not in the catalogue; the attacks are {', '.join(rows)}")
    return rows[name]


def by_family(family):
    """Return the rows of one family, in the order of the catalogue."""
    if family not in FAMILIES:
        raise KeyError(f"{family!r} is not a family of attacks; the families are {', '.join(FAMILIES)}")
    return tuple(attack for attack in CATALOGUE if attack.family == family)


HEADER = "attack", "what it does", "norms", "it sees", "source"


def cells(attack):
    """Return the cells of an attack in the tables: its name, summary, norms, knowledge and source, five strings."""
    norms = ", ".join(SYMBOLS[norm] for norm in attack.norms) or "–"
    return [f"`{attack.name}`", attack.summary, norms, attack.knows, attack.source or "–"]


def families():
    """Return the catalogue in brief as a table in Markdown: one row for each family, for the front page."""
    rows = []
    for family, summary in FAMILIES.items():
        members = by_family(family)
        names = ", ".join(f"`{attack.name}`" for attack in members)
        knowledge = ", ".join(dict.fromkeys(attack.knows for attack in members))
        rows.append([family, summary, names, knowledge])
    return table(["family", "what it does", "attacks", "it sees"], rows)


def markdown(attacks=CATALOGUE):
    """Return rows of the catalogue as a table in Markdown.

    Parameters
    ----------
    attacks : sequence of Attack
        The rows. Default: all.

    Returns
    -------
    str
        The table, one line for each row.
    """
    return table(HEADER, [cells(attack) for attack in attacks])
