"""What every measured program uses: its arguments, its own CPU time and memory, and how it reports.

Standard library only: these programs run in the environments of the peers as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import resource
import sys
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def arguments() -> dict[str, Any]:
    """Return the program's arguments, one JSON object."""
    given: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    return given


def report(**values: object) -> None:
    """Print the result as the last line."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def cpu() -> float:
    """Return the seconds of CPU that this process has used, with all its threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _status(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def resident() -> int:
    """Return the bytes resident now, after what is free has been given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # (the C library of GNU has it)
        ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS:")


def forget_peak() -> None:
    """Let the peak begin anew."""
    _CLEAR.write_text("5")


def peak() -> int:
    """Return the most bytes that were resident since `forget_peak`."""
    return _status("VmHWM:")
