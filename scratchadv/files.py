"""Files that are written whole or not at all."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path, mode="x", **options):
    """An open file that takes the place of ``path`` at the end of the block; after an error the old file stays.

    Whoever reads meanwhile, or after a crash, finds the old file or the new one.

    Parameters
    ----------
    path : str or path
        Used as it is, nothing is appended; its folder must be there.
    mode : {"x", "xb"}
        Text or bytes.
    **options
        Of ``open``.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # the same folder, so that replacing is atomic
    try:
        with part.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path, text):
    """The text in UTF-8."""
    with whole(path, encoding="utf-8") as file:
        file.write(text)
