"""``python -m deskhand.cli`` is ``deskhand``."""

from __future__ import annotations

import sys

from deskhand.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
