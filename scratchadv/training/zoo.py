"""Trained models in the user's cache, so that no model is trained twice."""

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

LONGEST_NAME = 200  # bytes; a file name has room for 255, and the key and the endings follow
RECIPE = 2  # increased when the same configuration trains to other numbers, so that old models are not used


def _plain(name, value):
    """Refuse a name that leads out of the folder or is not a valid file name."""
    plain = isinstance(value, str) and value.isprintable() and value == PureWindowsPath(value).name
    if not plain or value in ("", "..") or len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"{name} = {checks.shown(value):.80} must be a plain file name: a few letters, no folders")
    return value


def _made_by(name, value):
    """Refuse anything but a function, or a class, that needs no arguments."""
    return checks.function(name, value, ())


def _told(name, value):
    """Refuse a value that cannot be described."""
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
    """Return the model as trained by ``fit``, from the cache if it is there; otherwise train it and keep it there.

    An interrupted run continues after its last finished epoch. A model is taken from the cache only if everything is
    the same to the last bit: the architecture, the initial parameters, every setting, the state of the generators and
    the training data.

    Parameters
    ----------
    name : str
        The readable beginning of the file name, which the key completes. It must be a plain file name without folders.
    make : callable
        A function that returns the untrained model, such as ``CNN``. The initial parameters must be the same at each
        call, so it must be seeded.
    x, y : array
        The training examples and their labels, as for ``fit``.
    epochs, batch_size, optimizer, schedule, attack, rng, progress
        The settings of ``fit``. Numbers are drawn from the generators only if the model is trained.
    about : optional
        Anything else that the model depends on, such as the name and version of your own attack or optimiser.
    cache : str or path, optional
        The folder of the cache; by default ``models`` in the user's cache for scratchadv.

    Returns
    -------
    Model
        The model that ``make`` returned, with trained parameters.

    Raises
    ------
    TypeError
        If the model cannot be saved, or if the attack or the optimiser cannot be described and ``about`` is not given.
    ValueError
        If the name is not a plain file name, or if ``fit`` raises it.
    FloatingPointError
        If ``fit`` raises it.

    Warns
    -----
    UserWarning
        If a file in the cache is damaged; the model is then trained again.
    """
    model = checks.trainable("the result of make", make())
    rng = np.random.default_rng(0) if rng is None else rng
    x, y = check_examples(model, x, y)
    weights.architecture(model)  # a model that cannot be saved is refused before it is trained
    run = {"batch_size": batch_size, "optimizer": optimizer, "attack": attack, "rng": rng}
    factors = scales(schedule, epochs)
    key = _key(model, describe_run(model, x, y, **run), factors, [rng, *generators_of(attack)], about)
    folder = _folder(cache)
    file = folder / f"{name}-{key}.npz"
    checkpoint = folder / f"{name}-{key}.checkpoint.npz"
    if not _restored(model, file):
        train = partial(fit, model, x, y, epochs=epochs, schedule=schedule, checkpoint=checkpoint, progress=progress)
        try:
            train(**run)
        except archive.BadFileError as error:  # the checkpoint is refused before anything is trained
            _delete(checkpoint, error)
            train(**run)
        weights.save(model, file)
        checkpoint.unlink(missing_ok=True)
    return model


def _key(model, run, factors, generators, about):
    """Return the key that tells this training apart from every other, sixteen hexadecimal digits."""
    if about is None and OWN in (own := (run["optimizer"], run["attack"])):
        what = "the optimizer" if own[0] == OWN else "the attack"
        raise TypeError(f"{what} is not from this package, so the key cannot describe it: name it in `about`")
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
    """Return the folder of the cache, and make it if it does not exist."""
    if cache is None:
        import pooch

        cache = Path(pooch.os_cache("scratchadv")) / "models"
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _restored(model, file):
    """Load the parameters of the model and say whether there were any; a damaged file is deleted."""
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
    warnings.warn(f"{error}: deleted, and trained again", stacklevel=5)
