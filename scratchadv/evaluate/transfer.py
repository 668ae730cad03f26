"""Transferability: δ is made on one model and evaluated on another."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import checks
from ..attacks.black_box.queries import LabelOracle
from ..backend import host, like, namespace
from ..checked import anything, check_examples, checked, each, each_by_name, one_of, taking
from ..models import protocol
from ..numerics import per_row
from ..sets import L0, Range
from ..tasks import whole_labels


@dataclass(frozen=True, eq=False)
class Transfer:
    r"""The results on the targets (columns) of the perturbations that were made on the sources (rows).

    A cell counts only the examples that both models classify correctly when clean,
    :math:`R_{st} = \{n : f_s(x_n) = y_n,\ f_t(x_n) = y_n\}`, each with its own labels. All arrays are NumPy arrays.

    Attributes
    ----------
    sources, targets : tuple of str
        The names of the S sources and of the T targets.
    right_source, right_target : array of bool, shapes (S, N) and (T, N)
        Whether the model classifies the clean example correctly.
    fell : array of bool, shape (S, N)
        Whether the source itself misclassifies x + δ, with δ in Δ(x).
    fooled : array of bool, shape (S, T, N)
        Whether the target misclassifies x + δ, with δ in Δ(x).
    noise_fooled : array of bool, shape (S, T, N)
        The same for random noise as large as δ.
    size : array, shape (S, N)
        The norm of δ.
    """

    sources: tuple
    targets: tuple
    right_source: Any
    right_target: Any
    fell: Any
    fooled: Any
    noise_fooled: Any
    size: Any

    @property
    def counted(self):
        """Which examples count, ``(S, T, N)``: those in :math:`R_{st}`."""
        return self.right_source[:, None] & self.right_target

    @property
    def examples(self):
        r"""The number of examples that count, :math:`|R_{st}|`, shape ``(S, T)``."""
        return self.counted.sum(axis=2)

    @property
    def success(self):
        r"""The share of :math:`R_{st}` that fools the target, ``(S, T)``; NaN where no example counts."""
        return _share(self.fooled, self.counted)

    @property
    def control(self):
        r"""The share of :math:`R_{st}` that fools the target with random noise of the same size, ``(S, T)``."""
        return _share(self.noise_fooled, self.counted)

    @property
    def carried(self):
        r"""The share that fools the target among those of :math:`R_{st}` that fool their source, ``(S, T)``."""
        return _share(self.fooled, self.counted & self.fell[:, None])

    @property
    def itself(self):
        """The success on the source itself (white box), over the examples it classifies correctly, ``(S,)``."""
        return _share(self.fell, self.right_source)


def _tested_on(name, value):
    """Return the value if it is a dict from names to models, and not empty."""
    if not each_by_name(checks.black_box)(name, value):
        raise ValueError(f"{name} is empty; a dict from names to models was expected")
    return value


def _attacks(name, value):
    """Return the value if it is an attack or a dict from names to attacks."""
    attack = taking("model", "x", "y", "threat")
    return each_by_name(attack)(name, value) if isinstance(value, dict) else attack(name, value)


@checked(sources=_tested_on, targets=_tested_on, y=anything, attack=_attacks)
def matrix(sources, targets, x, y, threat, attack, *, rng=None):
    r"""Make δ once on every source, and evaluate it on every target.

    .. math::
        M_{st} = \frac{1}{|R_{st}|} \left|\{n \in R_{st} : f_t(x_n + \delta_n^{(s)}) \neq y_n\}\right|, \qquad
        R_{st} = \{n : f_s(x_n) = y_n,\ f_t(x_n) = y_n\}

    The control replaces δ by random noise of the same size: for each example a random corner (for ℓ2 a random point of
    the sphere) of the set with radius :math:`\lVert \delta_n \rVert` and the same box. The random directions are drawn
    once and used for all sources.

    Parameters
    ----------
    sources : dict of str to Model
        The models that are attacked. Each has ``logits`` or ``predict``, and its attack accepts it.
    targets : dict of str to Model
        The models on which δ is evaluated. Each has ``logits``, or only ``predict``, which returns labels; a
        scikit-learn model receives its examples as flat rows.
    x : array, shape (N, *D)
    y : array, shape (N,), or dict of str to array
        The true labels, or a dict with the labels of each model if their tasks differ.
    threat : Set
        The perturbation set Δ. A δ outside it counts as a failure.
    attack : callable, or dict of str to callable
        ``attack(model, x, y, threat)`` that returns δ, or a dict with the attack for each source.
    rng : numpy.random.Generator, optional
        Draws the noise. Default: ``np.random.default_rng(0)``.

    Returns
    -------
    Transfer

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit. It is raised before any attack.

    Source: slide "Transferability"; Papernot, McDaniel and Goodfellow (2016), "Transferability in machine learning".
    """
    models = {**targets, **sources}
    y = _by_name(y, models, "y")
    attack = _by_name(attack, sources, "attack")
    y = {name: _labels_for(name, model, x, y[name]) for name, model in models.items()}
    rng = np.random.default_rng(0) if rng is None else rng
    g = like(rng.standard_normal(x.shape, dtype=x.dtype), x)

    def wrong(model, name, x):
        return host(predictions(model, x) != y[name])

    parts = [
        _row(name, model, targets, x, y[name], threat, attack[name], g=g, wrong=wrong)
        for name, model in sources.items()
    ]
    right = (np.stack([~wrong(m, name, x) for name, m in group.items()]) for group in (sources, targets))
    return Transfer(tuple(sources), tuple(targets), *right, *(np.stack(part) for part in zip(*parts, strict=True)))


@checked(model=checks.black_box)
def predictions(model, x):
    """Return the labels that a model predicts for x.

    Parameters
    ----------
    model : Model, or any object with ``predict``
        A scikit-learn model receives its examples as flat rows.
    x : array, shape (N, *D)

    Returns
    -------
    array, shape (N,)
    """
    return protocol.predict(model, x) if hasattr(model, "logits") else LabelOracle(model).predict(x)


@checked
def noise_like(delta, x, threat, rng):
    """Return random noise that is as large as δ for each example, within the box of the threat.

    Parameters
    ----------
    delta, x : array, shape (N, *D)
    threat : Set
        Its norm measures δ, and its box bounds the noise.
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (N, *D)
        For ℓ∞ every component is plus or minus the largest of δ; for ℓ2 the direction is uniform; for ℓ0 as many
        components as in δ move to an end of the box. Components are smaller where the box requires it.
    """
    checks.same_shape(delta, x, "delta")
    return _noise(like(rng.standard_normal(x.shape, dtype=x.dtype), x), threat.norm(delta), x, threat)


_TRANSFERS = each(partial(checks.has, attributes=("sources", "success"), what="what matrix returns"), least=1)


@checked(transfers=_TRANSFERS, of=one_of("success", "control", "carried", "itself"))
def over_seeds(transfers, of="success"):
    """Return mean and standard deviation over seeds, cell by cell.

    Parameters
    ----------
    transfers : list of Transfer
        One for each seed, of sources and targets with the same names.
    of : {"success", "control", "carried", "itself"}
        The property of ``Transfer``.

    Returns
    -------
    mean, deviation : array, shape (S, T), or (S,) for ``itself``
        The deviation is the sample standard deviation (divisor: seeds − 1), NaN for a single seed.
    """
    if len({(one.sources, one.targets) for one in transfers}) != 1:
        raise ValueError("transfers: all of them must have the same sources and the same targets")
    shares = np.stack([getattr(one, of) for one in transfers])
    deviation = shares.std(axis=0, ddof=1) if len(shares) > 1 else np.full(shares.shape[1:], np.nan)
    return shares.mean(axis=0), deviation


@checked(transfers=_TRANSFERS)
def tabulate(transfers):
    """Return header and rows of the matrix in per cent: mean ± deviation over seeds, and the control in brackets.

    The column "itself" is the success on the source itself.

    Parameters
    ----------
    transfers : list of Transfer

    Returns
    -------
    header : list of str
    rows : list of list of str
    """
    itself, success = (_cells(*over_seeds(transfers, of)) for of in ("itself", "success"))
    control = over_seeds(transfers, "control")[0]
    lines = []
    for i, name in enumerate(transfers[0].sources):
        cells = [f"{cell} ({100 * noise:.1f})" for cell, noise in zip(success[i], control[i], strict=True)]
        lines.append([name, itself[i], *cells])
    return ["made on ↓, tested on →", "itself", *transfers[0].targets], lines


def _labels_for(name, model, x, y):
    """Return the labels, checked for the model and converted."""
    what = f"y of {name!r}"
    if hasattr(model, "logits"):
        return check_examples(model, x, y, what)[1]
    checks.features(model, x)
    return whole_labels(y, len(x), what)


def _by_name(given, names, what):
    """Return a dict with the same value for every name, or the given dict if it has all names."""
    if not isinstance(given, dict):
        return dict.fromkeys(names, given)
    if missing := [name for name in names if name not in given]:
        raise ValueError(f"{what} has nothing for {', '.join(map(repr, missing))}")
    return given


def _row(name, source, targets, x, y, threat, attack, *, g, wrong):
    """Return fell, fooled, noise_fooled and size for one source."""
    delta = attack(source, x, y, threat)
    checks.same_shape(delta, x, f"the delta of {name!r}")
    inside = host(threat.at(x).contains(delta))
    size = threat.norm(delta)
    noise = _noise(g, size, x, threat)
    fooled, noise_fooled = (
        np.stack([wrong(target, name, x + change) for name, target in targets.items()]) for change in (delta, noise)
    )
    return inside & wrong(source, name, x + delta), inside & fooled, noise_fooled, host(size)


def _noise(g, size, x, threat):
    """Return the best point in the direction g of the set with the given size as its radius, for each example."""
    xp = namespace(x)
    if isinstance(threat.ball, L0) and threat.box is not None:
        return (L0(host(size).astype(int)) & threat.box).at(x).linear_max(g)
    if isinstance(threat.ball, Range):
        return threat.at(x).scaled(np.where(np.isfinite(host(size)), host(size), threat.radius)).linear_max(g)
    scale = per_row(xp.where(size > 0, size, 1), x)
    unit = threat.ball.scaled(1)
    if threat.box is not None:  # in units of the size, so that no component exceeds 1
        unit = unit & Range(*(xp.clip(side / scale, -1, 1) for side in threat.bounds(x)))
    return per_row(size, x) * unit.linear_max(g)


def _share(hits, counted):
    """Return the share of hits among the counted examples, along the last axis; NaN where none is counted."""
    n = counted.sum(axis=-1)
    return np.where(n > 0, (hits & counted).sum(axis=-1) / np.maximum(n, 1), np.nan)


def _cells(mean, deviation):
    """Return the shares in per cent as text, shaped like mean."""
    several = "±" if np.isfinite(deviation).any() else ""
    one = [
        f"{100 * m:.1f}" + (f" ± {100 * d:.1f}" if several else "")
        for m, d in zip(mean.flat, deviation.flat, strict=True)
    ]
    return np.array(one).reshape(mean.shape)
