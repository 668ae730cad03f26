"""The catalogue is complete, and each row agrees with the signature and the docstring of its attack."""

import importlib
import inspect
import pkgutil
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from every_attack import EVERY, EXACT, OF_EXAMPLES, ONE_PIXEL

import scratchadv.attacks
from scratchadv.attacks import CATALOGUE, Attack, catalogue
from scratchadv.attacks.catalogue import CONTRACT, FAMILIES, KNOWLEDGE, PROMISES, by_family, find
from scratchadv.models.protocol import labels_of
from scratchadv.sets import L0, L1, L2, Linf
from scratchadv.testing import assert_attack_contract
from scratchadv.testing.contract import LAWS
from scratchadv.testing.models import Linear, SmallNetwork

README = Path(__file__).parents[2] / "README.md"
HELPERS = {"oracle", "saliency_map", "applied", "fooling_rate", "rerank", "atn_loss", "leaves"}
GIVES = {"δ", "one δ", "images", "a network", "a model", "an attack"}
VICTIMS = "model", "tree"
by_name = pytest.mark.parametrize("attack", CATALOGUE, ids=lambda attack: attack.name)


def public_functions():
    """The public functions defined in the files of scratchadv/attacks, by name."""
    for found in pkgutil.walk_packages(scratchadv.attacks.__path__, "scratchadv.attacks."):
        module = importlib.import_module(found.name)
        for name, thing in vars(module).items():
            if inspect.isfunction(thing) and thing.__module__ == module.__name__ and not name.startswith("_"):
                yield name, thing


def returned(function):
    """The first word under Returns in the docstring; empty if there is no such section."""
    found = re.search(r"^Returns\n-+\n(\w+)", inspect.getdoc(function) or "", re.MULTILINE)
    return found[1] if found else ""


def parameters(attack):
    return inspect.signature(attack.function).parameters


# Completeness


@by_name
def test_every_attack_can_be_had_from_the_package(attack):
    """scratchadv.attacks.NAME is the attack, and its name is in __all__"""
    assert getattr(scratchadv.attacks, attack.name) is attack.function
    assert attack.name in scratchadv.attacks.__all__


def test_every_function_of_the_package_is_an_attack_or_a_helper():
    """The functions of __all__ are those of the catalogue and a few that are not attacks"""
    functions = {name for name in scratchadv.attacks.__all__ if inspect.isfunction(getattr(scratchadv.attacks, name))}
    assert functions == {attack.name for attack in CATALOGUE} | HELPERS


def test_whatever_returns_a_delta_is_in_the_catalogue():
    """Every public function that takes a model or a tree first and returns ``delta`` has a row"""
    of_models = {
        name: f for name, f in public_functions() if next(iter(inspect.signature(f).parameters), "") in VICTIMS
    }
    names = {name for name, function in of_models.items() if returned(function) == "delta"}
    assert {"pgd", "square", "universal", "tree_attack"} <= names
    assert names == {attack.name for attack in CATALOGUE if attack.gives in ("δ", "one δ")}


# Rows


@by_name
def test_each_row_uses_the_words_of_the_tables(attack):
    """Family, knowledge, promises, norms and arguments are known words; no name occurs twice"""
    assert attack.family in FAMILIES
    assert attack.knows in KNOWLEDGE
    assert attack.gives in GIVES
    assert set(attack.promises) <= set(PROMISES)
    assert set(attack.norms) <= set(catalogue.ALL)
    assert set(attack.without) <= set(LAWS)
    assert [other.name for other in CATALOGUE].count(attack.name) == 1


@by_name
def test_each_promise_is_in_the_signature(attack):
    """threat: inside; norm: smallest; target: targeted; seeds: seeded; restarts; rng without a default: random"""
    takes = parameters(attack)
    needs_rng = "rng" in takes and (takes["rng"].default is inspect.Parameter.empty or "seeds" in takes)
    words = {"threat": "inside", "norm": "smallest", "target": "targeted", "seeds": "seeded", "restarts": "restarts"}
    found = {word for name, word in words.items() if name in takes} | ({"random"} if needs_rng else set())
    assert found == set(attack.promises) & {*words.values(), "random"}


@by_name
def test_each_source_is_that_of_the_docstring(attack):
    """Source has the first author, the year and the title of the slides"""
    source = (inspect.getdoc(attack.function) or "").partition("Source:")[2].replace("\n", " ")
    if attack.source:
        author, year = re.match(r"([\w-]+).*\((\d{4})\)", attack.source).groups()
        assert author in source
        assert year in source
    assert attack.slide in source


@by_name
def test_each_summary_is_a_sentence(attack):
    """The summary begins with a capital letter, and its only full stop is at the end"""
    assert attack.summary[0].isupper()
    assert attack.summary.count(".") == 1
    assert attack.summary.endswith(".")


BALLS = {Linf: Linf(0.3), L2: L2(0.5), L1: L1(0.8), L0: L0(1)}


@pytest.mark.parametrize("ball", BALLS.values(), ids=str)
@pytest.mark.parametrize("name", sorted(OF_EXAMPLES))
def test_each_attack_takes_the_norms_of_its_row(name, ball):
    """The attack runs in each of its norms, and refuses any other with the name of the argument"""
    model = Linear([2.0, -1.0, 0.5, 1.0], -1.0) if name == "exact" else SmallNetwork((4,), 3, seed=3)
    x = np.random.default_rng(0).random((2, 4))
    run = partial((EVERY | ONE_PIXEL | {"exact": EXACT})[name], model, x, labels_of(model.logits(x)), ball.within(0, 1))
    if type(ball) in find(name).norms:
        assert np.isfinite(run()).all()
    else:
        with pytest.raises((TypeError, ValueError), match=r"^(threat|norm) = "):
            run()


def test_promises_of_the_contract_are_its_arguments():
    """CONTRACT names flags of assert_attack_contract, each of which is a promise"""
    flags = {
        name for name, p in inspect.signature(assert_attack_contract).parameters.items() if p.default in (False, None)
    }
    assert set(CONTRACT) <= flags
    assert set(CONTRACT) <= set(PROMISES)
    assert find("pgd").contract == {"iterated": True, "restarts": True, "random": True, "targeted": True}
    assert find("genattack").contract["without"] == ("a larger radius is not weaker",)


# Helpers


def test_families_are_parts_of_the_catalogue():
    """The families in their order make up the catalogue, and none is empty"""
    assert tuple(attack for family in FAMILIES for attack in by_family(family)) == CATALOGUE
    assert all(by_family(family) for family in FAMILIES)


def test_what_is_not_there_is_named():
    """A KeyError that lists the names"""
    with pytest.raises(KeyError, match=r"'pdg' is not in the catalogue; the attacks are exact, .*pgd"):
        find("pdg")
    with pytest.raises(KeyError, match=r"'grey box' is not a family of attacks; the families are exact, .*black box"):
        by_family("grey box")


def test_a_table_has_a_row_for_each_attack():
    """Name as code, summary, norms, knowledge and source; a dash if there is none"""
    text = catalogue.markdown()
    assert len(text.splitlines()) == 2 + len(CATALOGUE)
    assert all(f"| `{attack.name}` " in text for attack in CATALOGUE)
    one = Attack(min, "gradient", (Linf, L2), "scores", "δ", (), "", "", "Take the | least.")
    row = catalogue.markdown([one]).splitlines()[-1]
    assert [cell.strip(" |") for cell in row.split(" | ")] == ["`min`", r"Take the \| least.", "ℓ∞, ℓ2", "scores", "–"]


def test_the_table_of_the_readme_is_that_of_the_catalogue():
    """The text between the markers is catalogue.families()"""
    block = re.search(r"<!-- attacks: begin -->\n(.*?)<!-- attacks: end -->", README.read_text("utf-8"), re.DOTALL)
    assert block[1].strip() == catalogue.families().strip()
