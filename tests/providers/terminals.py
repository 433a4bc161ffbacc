"""What the tests of all terminals share: reading until something is shown, and what a shell in one must do."""

from __future__ import annotations

import anyio
import pytest

from deskhand.errors import ConflictError, DeskhandError
from deskhand.providers import Terminal


async def until(terminal: Terminal, text: bytes) -> bytes:
    """Read until a text was shown."""
    seen = b""
    with anyio.fail_after(20):
        async for data in terminal:
            seen += data
            if text in seen:
                return seen
    raise AssertionError(f"the terminal ended with {seen!r}")


async def runs_a_shell(terminal: Terminal) -> None:
    """Use a terminal of 100 columns and 30 rows to its end: its size, what looks like a frame, halves of characters."""
    await terminal.send(b"""stty size; printf '{"type":"ex%s","code":9}' it\r""")
    seen = await until(terminal, b'{"type":"exit","code":9}')
    assert b"30 100" in seen
    assert terminal.exit_code is None
    for half in (b"echo \xc3", b"\xbc-e''nd\r"):
        await terminal.send(half)
    await until(terminal, b"\xc3\xbc-end")
    await terminal.resize(90, 20)
    await terminal.send(b"stty size; exit 3\r")
    await until(terminal, b"20 90")
    async for _ in terminal:
        pass
    assert terminal.exit_code == 3
    with pytest.raises(ConflictError, match="shell has ended"):
        await terminal.send(b"echo for nobody\r")


async def has_closed(terminal: Terminal, kind: type[DeskhandError] | None, provider: str) -> None:
    """See that a terminal ends with an error of a kind, or without one, and that nothing can be sent afterwards."""
    with anyio.fail_after(20):
        if kind is None:
            assert [data async for data in terminal] == []
        else:
            with pytest.raises(kind) as caught:
                _ = [data async for data in terminal]
            assert (type(caught.value), caught.value.provider) == (kind, provider)
    with pytest.raises(DeskhandError):
        await terminal.send(b"x")
    assert [data async for data in terminal] == []
