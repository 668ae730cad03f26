"""Every bug is killed by its law, and the same code without the bug keeps the whole contract."""

import pytest

from scratchadv import cli
from scratchadv.testing.contract import BALL_LAWS, EVALUATION_LAWS, LAWS, LOSS_LAWS
from scratchadv.testing.museum import EXHIBITS, tour

each = pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda e: f"{e.number} {e.make.__name__}")


@each
def test_each_bug_is_killed_by_its_law(exhibit):
    """The first law that the bug breaks is the law named in the exhibit"""
    error = exhibit.error(shrink=False)
    assert error is not None, f"{exhibit.wrong}: not killed"
    assert error.law == exhibit.law, error


@pytest.mark.slow
@each
def test_each_exhibit_without_its_bug_keeps_the_contract(exhibit):
    """The same lines without the bug break no law"""
    assert exhibit.error(bug=False, shrink=False, max_examples=10) is None


def test_the_museum_has_the_whole_list():
    """All 34 rows and six of our own; each exhibit says what went wrong and where, and names an existing law"""
    assert {exhibit.number for exhibit in EXHIBITS} == set(range(1, 41))
    laws = {*LAWS, *BALL_LAWS, *LOSS_LAWS, *EVALUATION_LAWS, "check_gradients"}
    for exhibit in EXHIBITS:
        assert exhibit.wrong
        assert exhibit.where
        assert exhibit.law in laws


def test_the_tour_goes_by_number_and_shows_the_smallest_counterexample(monkeypatch):
    """tour() yields each exhibit with its error, number 1 first"""
    few = [e for e in EXHIBITS if e.number in (3, 30, 34)]
    monkeypatch.setattr("scratchadv.testing.museum.exhibit.EXHIBITS", few[::-1])
    seen = list(tour())
    assert [exhibit.number for exhibit, _ in seen] == [3, 30, 34]
    assert [error.law for _, error in seen] == [exhibit.law for exhibit, _ in seen]


def test_the_command_prints_number_thread_law_and_sentence(monkeypatch, capsys):
    """scratchadv museum prints what went wrong, where, the law and the counterexample; exit status 0"""
    monkeypatch.setattr("scratchadv.testing.museum.exhibit.EXHIBITS", [e for e in EXHIBITS if e.number == 3])
    assert cli.main(["museum"]) == 0
    out = capsys.readouterr().out
    assert " 3  The image is never clipped to the box (ART #148)\n    inside the set: δ is not in Δ(x)" in out
    assert out.endswith("1 bugs killed\n")
