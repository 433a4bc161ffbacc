"""A computer that opens every picture to see how large it is: 80 kB become 80 MB, or as much as their author wants."""

from __future__ import annotations

import sys

from tests.museum.plain_computer import PlainComputer


class Computer(PlainComputer):
    most_pixels = sys.maxsize
