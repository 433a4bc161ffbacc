"""A computer whose HTTP library unpacks every answer, however much comes out of it."""

from __future__ import annotations

from tests.museum.careless_http import CarelessComputer


class Computer(CarelessComputer):
    """The library's default is the defect."""
