"""Measures deskhand beside floors and peers in one run; ``benchmarks/run --help``."""
