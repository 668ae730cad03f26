"""Trained models, kept in the user's cache, so that nothing is trained twice."""

import hashlib
import json
import warnings
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from .. import checks
from ..backend import namespace
from ..checked import anything, check_examples, checked, taking
from ..models import weights
from ..support import archive
from ..support.configuration import describe, differences, digest, generators_of, state_of
from .checkpoint import OWN
from .fitting import describe_run, fit
from .optim import SGD, constant, scales

LONGEST_NAME = 200  # bytes; a file name has room for 255, and the key and the endings come behind it
RECIPE = 2  # raised when training by the same configuration gives other numbers, so that old models are left alone


def _plain(name, value):
    """Refuse a name that would leave the folder, or that no folder can hold."""
    plain = isinstance(value, str) and value.isprintable() and value == PureWindowsPath(value).name
    if not plain or value in ("", "..") or len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"{name} = {checks.shown(value):.80} must be a plain file name: a few letters, no folders")
    return value


def _made_by(name, value):
    """Refuse what is no function without arguments; a class may be one."""
    return checks.function(name, value, ())


def _told(name, value):
    """Refuse what cannot be described."""
    try:
        describe(value)
    except Exception as error:
        raise TypeError(f"{name}: {error}") from error
    return value


@checked(name=_plain, make=_made_by, y=anything, attack=taking("model", "x", "y"), about=_told)
def trained(
    name,
    make,
    x,
    y,
    *,
    epochs,
    batch_size=100,
    optimizer=SGD(0.1),  # noqa: B008  # frozen
    schedule=constant,
    attack=None,
    rng=None,
    about=None,
    cache=None,
    progress=True,
):
    """The model trained by ``fit``: from the cache, or trained now and kept there.

    A run that was interrupted goes on from its last epoch. A model is found again only if everything is the same to
    the last bit: architecture, initial parameters, every setting, the state of the generators, the training data.

    Parameters
    ----------
    name : str
        Begins the name of the file, for people; the rest is the key. A plain file name: no folders.
    make : callable
        Gives the untrained model, such as ``CNN``; its parameters must be the same each time, so seeded.
    x, y : array
        The training data.
    epochs, batch_size, optimizer, schedule, attack, rng, progress
        As for ``fit``. The generators are drawn from only where training happens.
    about : optional
        What the key cannot see, such as name and version of an attack or optimiser of your own.
    cache : str or path, optional
        The folder. Default: ``models`` in the user's cache for scratchadv.

    Returns
    -------
    Model
        The one that ``make`` gave, with the trained parameters.

    Raises
    ------
    TypeError
        If the model cannot be saved, or attack or optimiser cannot be described and ``about`` is not given.
    ValueError
        If the name is no plain file name, and as for ``fit``.
    FloatingPointError
        As for ``fit``.

    Warns
    -----
    UserWarning
        If a file in the cache is damaged: the model is trained anew.
    """
    model, rng = checks.trainable("the result of make", make()), np.random.default_rng(0) if rng is None else rng
    x, y = check_examples(model, x, y)
    weights.architecture(model)  # what cannot be saved is refused before it is trained
    run = {"batch_size": batch_size, "optimizer": optimizer, "attack": attack, "rng": rng}
    factors = scales(schedule, epochs)
    key = _key(model, describe_run(model, x, y, **run), factors, [rng, *generators_of(attack)], about)
    folder = _folder(cache)
    file, checkpoint = folder / f"{name}-{key}.npz", folder / f"{name}-{key}.checkpoint.npz"
    if not _restored(model, file):
        train = partial(fit, model, x, y, epochs=epochs, schedule=schedule, checkpoint=checkpoint, progress=progress)
        try:
            train(**run)
        except archive.BadFileError as error:  # of the checkpoint, before anything is trained
            _delete(checkpoint, error)
            train(**run)
        weights.save(model, file)
        checkpoint.unlink(missing_ok=True)
    return model


def _key(model, run, factors, generators, about):
    """What tells this training from every other, as sixteen hexadecimal digits."""
    if about is None and OWN in (own := (run["optimizer"], run["attack"])):
        what = "the optimizer" if own[0] == OWN else "the attack"
        raise TypeError(f"{what} is not one of this package's, so the key cannot tell what it does: name it in `about`")
    whole = {
        "recipe": RECIPE,
        "run": run,
        "beginning": digest(*model.params.values()),
        "factors": factors,
        "generators": [state_of(rng) for rng in generators],
        "about": describe(about),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]


def _folder(cache):
    """The folder of the cache, made if it is not there."""
    if cache is None:
        import pooch

        cache = Path(pooch.os_cache("scratchadv")) / "models"
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _restored(model, file):
    """Whether the file gave the model its parameters; a damaged file is deleted."""
    if not file.exists():
        return False
    try:
        kept = _load_like(model, file)
    except archive.BadFileError as error:
        _delete(file, error)
        return False
    model.params = {name: namespace(p).asarray(kept.params[name]) for name, p in model.params.items()}
    return True


def _load_like(model, file):
    kept = weights.load(file)
    if lines := differences(weights.architecture(kept), weights.architecture(model)):
        raise archive.BadFileError(f"{file} does not fit ({'; '.join(lines):.1000})")
    return kept


def _delete(file, error):
    """Delete a damaged file, with a warning."""
    file.unlink(missing_ok=True)
    warnings.warn(f"{error}: deleted, and trained anew", stacklevel=5)
