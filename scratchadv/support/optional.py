"""Packages that only a part of the library needs: if one is missing, the error says how to install it."""

from contextlib import contextmanager


class MissingPackageError(ImportError):
    """Raised if a package that a part of the library needs is not installed."""


@contextmanager
def needed_by(what, package, extra):
    """Raise an error that says what to install if an import in the block fails.

    Parameters
    ----------
    what : str
        The part of the library that needs the package, for the message.
    package : str
    extra : str
        The extra of this library that brings the package.

    Raises
    ------
    MissingPackageError
        If the package, or something that it needs, cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(f"{what} needs {package}: pip install 'scratchadv[{extra}]' ({error})") from error
