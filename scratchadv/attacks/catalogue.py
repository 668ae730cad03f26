"""The catalogue: every attack of the library in one table, with what it needs and what it promises.

Each row is an :class:`Attack`. Whatever says something of all attacks reads it here: the tests hold every row to its
promises, and the table of the README and the page "Attacks" of the site are printed from it.

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
    "exact": "The best change that there is, without a search.",
    "gradient": "Climb the loss inside a set Δ.",
    "smallest change": "Take no ε and look for the smallest change that fools.",
    "ensemble": "The worst case of several attacks.",
    "black box": "See only what the model puts out.",
    "one for all": "One perturbation, or one network, for all inputs.",
    "unrecognisable": "Images that mean nothing to us and of which the model is certain.",
}

PROMISES = {
    "exact": "reaches the closed form on linear models, up to rounding",
    "iterated": "comes near the closed form on linear models",
    "keeps_best": "returns the best of its iterates, δ = 0 among them",
    "smallest": "returns δ = 0 or a δ that fools, and looks for a small one",
    "random": "draws random numbers: it needs ``rng``, or ``seeds``",
    "restarts": "takes ``restarts`` beside ``rng``, and the first start of several is that of one",
    "targeted": "takes the labels to reach as ``target``",
    "seeded": "takes ``seeds``, one for each example, so that an example has the same draws in any batch",
    "inside": "stays inside the set Δ(x) of the threat that it is given",
}
CONTRACT = "exact", "iterated", "keeps_best", "smallest", "random", "restarts", "targeted"

KNOWLEDGE = {
    "gradients": "logits and their gradients in x",
    "scores": "logits or probabilities",
    "labels": "predicted labels only",
    "the tree": "every split and leaf of a decision tree",
    "what its attack knows": "what the attack knows that is given to it",
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
        The norms that it takes: classes of ``scratchadv.sets``. Empty if it measures no distance.
    knows : str
        What it has to know of the model, a key of ``KNOWLEDGE``.
    gives : str
        What it returns: "δ" for each example, "one δ" for all, "images", "a network" that makes δ, "a model" to
        attack, or "an attack".
    promises : tuple of str
        Keys of ``PROMISES``.
    source : str
        The paper and its year.
    slide : str
        The title of the slides that it goes with. Empty if no slide shows it.
    summary : str
        One sentence that begins with a verb.
    without : tuple of str
        Names of laws of attacks that it openly does not keep.
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
        """The name by which ``scratchadv.attacks`` has it."""
        return self.function.__name__

    @property
    def contract(self):
        """The promises as keyword arguments of ``scratchadv.testing.assert_attack_contract``."""
        made = {name: True for name in self.promises if name in CONTRACT}
        if "restarts" in made:
            made["random"] = True
        return made | ({"without": self.without} if self.without else {})


NO_LARGER = ("a larger radius is not weaker",)  # it ends at the first δ that fools, so the margin may be smaller

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
           "Take one step to the best point of Δ(x) for the loss made linear at x."),
    Attack(fgsm_random_start, "gradient", ALL, "gradients", "δ", ("random", "targeted", "inside"),
           "Wong et al. (2020)", "",
           "Take one gradient step from a random point of Δ(x)."),
    Attack(iterated_fgsm, "gradient", ALL, "gradients", "δ", ("iterated", "targeted", "inside"),
           "Kurakin et al. (2017)", "Fast Gradient Sign Method (FGSM) attack",
           "Take many small steps of FGSM."),
    Attack(momentum_fgsm, "gradient", ALL, "gradients", "δ", ("iterated", "targeted", "inside"),
           "Dong et al. (2018)", "",
           "Take steps of FGSM along a running mean of the gradients."),
    Attack(pgd, "gradient", ALL, "gradients", "δ", ("iterated", "restarts", "targeted", "inside"),
           "Madry et al. (2018)", "Projected Gradient Descent",
           "Step along the gradient, project back onto Δ(x), and return the best iterate."),
    Attack(apgd, "gradient", ALL, "gradients", "δ", ("iterated", "restarts", "targeted", "inside"),
           "Croce and Hein (2020)", "",
           "Run PGD with momentum and a step size that halves where it no longer pays."),
    Attack(lbfgs, "smallest change", (L2,), "gradients", "δ", ("smallest", "targeted"),
           "Szegedy et al. (2014)", "L-BFGS targeted attack",
           "Minimise the size plus a weighted loss of the target with L-BFGS, and search the weight.",
           ("float64 nowhere unasked",)),  # SciPy's L-BFGS-B works in float64
    Attack(jsma, "smallest change", (L0,), "gradients", "δ", ("smallest", "targeted"),
           "Papernot et al. (2016)", "Jacobian-based Saliency Map Attacks (JSMA)",
           "Change the two pixels of the largest saliency, again and again."),
    Attack(deepfool, "smallest change", (Linf, L2), "gradients", "δ", ("smallest", "targeted"),
           "Moosavi-Dezfooli et al. (2016)", "",
           "Step to the nearest boundary of the linearised model until the label changes."),
    Attack(carlini_wagner, "smallest change", (Linf, L2, L0), "gradients", "δ", ("smallest", "targeted"),
           "Carlini and Wagner (2017)", "",
           "Minimise the size plus a weighted margin with Adam, and search the weight."),
    Attack(fab, "smallest change", (Linf, L2, L1), "gradients", "δ", ("smallest", "restarts", "targeted"),
           "Croce and Hein (2020)", "",
           "Project onto the linearised boundary, biased towards x, and come back along the line to x."),
    Attack(bounded, "smallest change", ALL, "what its attack knows", "an attack", (),
           "", "",
           "Put an attack that looks for the smallest change into a set Δ."),
    Attack(standard, "ensemble", (Linf, L2), "gradients", "δ", ("random", "inside"),
           "Croce and Hein (2020)", "",
           "Try APGD, targeted APGD, FAB and Square in turn, each on what the others left standing."),
    Attack(square, "black box", (Linf, L2), "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Andriushchenko et al. (2020)", "",
           "Try random squares at the edge of Δ(x) and keep those that raise the loss."),
    Attack(genattack, "black box", (Linf,), "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Alzantot et al. (2019)", "Blackbox attacks",
           "Breed changes with a genetic algorithm.",
           NO_LARGER),
    Attack(one_pixel, "black box", (L0,), "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Su et al. (2019)", "Blackbox attacks",
           "Search a few pixels and their colours with differential evolution.",
           NO_LARGER),
    Attack(nes, "black box", ALL, "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Ilyas et al. (2018)", "Blackbox attacks",
           "Climb a gradient that is estimated from differences along normal directions.",
           NO_LARGER),
    Attack(spsa, "black box", ALL, "scores", "δ", ("keeps_best", "random", "seeded", "targeted", "inside"),
           "Uesato et al. (2018)", "Blackbox attacks",
           "Climb a gradient that is estimated from differences along random signs.",
           NO_LARGER),
    Attack(boundary, "black box", (L2,), "labels", "δ", ("smallest", "random", "seeded", "targeted"),
           "Brendel et al. (2018)", "Blackbox attacks",
           "Walk along the decision boundary at random and come nearer to x."),
    Attack(hopskipjump, "black box", (Linf, L2), "labels", "δ", ("smallest", "random", "seeded", "targeted"),
           "Chen et al. (2020)", "Blackbox attacks",
           "Estimate the normal of the decision boundary from labels, step along it, and return to the boundary."),
    Attack(substitute, "black box", (), "labels", "a model", (),
           "Papernot et al. (2017)", "Blackbox attacks",
           "Train a network on the victim's answers, to be attacked in its place."),
    Attack(universal, "one for all", (Linf, L2, L1), "gradients", "one δ", ("targeted", "inside"),
           "Moosavi-Dezfooli et al. (2017)", "Universal adversarial examples",
           "Add up the smallest changes of those images that one δ does not fool yet."),
    Attack(universal_gradient, "one for all", (Linf, L2, L1), "gradients", "one δ", ("targeted", "inside"),
           "Shafahi et al. (2020)", "Universal adversarial examples",
           "Climb the mean loss over minibatches with one δ for all."),
    Attack(train_atn, "one for all", (L2,), "gradients", "a network", ("targeted",),
           "Baluja and Fischer (2017)", "Adversarial transformation networks",
           "Train a network that turns images into adversarial examples."),
    Attack(gradient_ascent, "unrecognisable", (), "gradients", "images", (),
           "Nguyen et al. (2015)", "Adversarial Examples",
           "Climb the probability of a class, from any start and without a distance."),
    Attack(map_elites, "unrecognisable", (), "scores", "images", ("random",),
           "Nguyen et al. (2015)", "Adversarial Examples",
           "Breed images of which the model is certain, with one elite for each class."),
)
# fmt: on


def find(name):
    """Return the row of the attack of this name; a ``KeyError`` lists the names if there is none."""
    rows = {attack.name: attack for attack in CATALOGUE}
    if name not in rows:
        raise KeyError(f"{name!r} is not in the catalogue; the attacks are {', '.join(rows)}")
    return rows[name]


def by_family(family):
    """Return the rows of a family, in the order of the catalogue."""
    if family not in FAMILIES:
        raise KeyError(f"{family!r} is no family of attacks; the families are {', '.join(FAMILIES)}")
    return tuple(attack for attack in CATALOGUE if attack.family == family)


HEADER = "attack", "what it does", "norms", "it sees", "source"


def cells(attack):
    """Return what the tables show of a row: name, summary, norms, knowledge and source, five strings."""
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
    return table({}, ["family", "what it does", "attacks", "it sees"], rows).lstrip("\n")


def markdown(attacks=CATALOGUE):
    """Return rows of the catalogue, by default all, as a table in Markdown.

    Parameters
    ----------
    attacks : sequence of Attack

    Returns
    -------
    str
    """
    return table({}, HEADER, [cells(attack) for attack in attacks]).lstrip("\n")
