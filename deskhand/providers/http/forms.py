"""A file as a form, as routes for uploads want it."""

from __future__ import annotations

import secrets
from typing import Final

__all__ = ["file_form"]

_TYPE: Final = "application/octet-stream"


def file_form(
    place: str | None, content: bytes, *, path_field: str = "path", file_field: str = "file", filename: str = "file"
) -> tuple[bytes, tuple[str, str]]:
    """Return a multipart form with one file and the place that it is for, and the header that says so.

    The place is a field of its own, as a file's name there may not be any.

    Args:
        place: Where the file is to be; it goes into the form byte for byte. ``None`` where the route says it.
        content: What is in it.
        path_field: The name of the field with the place.
        file_field: The name of the field with the file.
        filename: The file's name in the form.
    """
    boundary = f"deskhand-{secrets.token_hex(16)}"  # which no file holds
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="{file_field}"; filename="{filename}"\r\n'
        f"content-type: {_TYPE}\r\n\r\n"
    )
    if place is not None:
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{path_field}"\r\n\r\n{place}\r\n{head}'
    body = b"".join((head.encode(errors="surrogateescape"), content, f"\r\n--{boundary}--\r\n".encode()))
    return body, ("content-type", f"multipart/form-data; boundary={boundary}")
