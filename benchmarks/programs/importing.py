"""Execute one import statement and report its CPU time, and how many of the modules were loaded that should not be."""

from __future__ import annotations

import sys

from measuring import arguments, cpu, report

if __name__ == "__main__":
    given = arguments()
    used = cpu()
    exec(given["statement"])
    used = cpu() - used
    report(cpu=used, heavy=sum(name in sys.modules for name in given.get("absent", ())))
