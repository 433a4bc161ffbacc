"""A computer that sends its body again to wherever a redirect points."""

from __future__ import annotations

from tests.museum.careless_http import CarelessComputer


class Computer(CarelessComputer):
    follows_redirects = True
