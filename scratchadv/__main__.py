"""``python -m scratchadv`` is the command ``scratchadv``."""

import sys

from .cli import main

sys.exit(main())
