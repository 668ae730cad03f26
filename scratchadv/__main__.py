"""Run the command ``scratchadv`` by ``python -m scratchadv``."""

import sys

from .cli import main

sys.exit(main())
