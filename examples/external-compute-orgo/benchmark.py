"""Providers like for like, one column each: those whose key is set, and this machine."""

import sys

from deskhand.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main(["benchmark", *sys.argv[1:]]))
