"""The command line, ``deskhand``."""
