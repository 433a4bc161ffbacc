"""Python over Orgo's route for it, which knows neither exit codes nor what was printed before an exception."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import UnsupportedError
from deskhand.providers.answers import no_result
from deskhand.providers.contract import ExecResult
from deskhand.providers.execution import check_command, checked_timeout, timed_out
from deskhand.providers.orgo.api import NAME, OrgoApi
from deskhand.providers.orgo.commands import output_of

__all__ = ["run_python"]

LONGEST: Final = 300
"""Seconds that the route allows."""

_MARGIN: Final = 15.0

_RUN: Final = """\
def _deskhand():
    import sys, traceback
    code = 0
    try:
        exec(compile({code!r}, "<string>", "exec"), {{"__name__": "__main__"}})
    except SystemExit as end:
        code = end.code
        if code is not None and not isinstance(code, int):
            print(code)
            code = 1
    except BaseException as error:
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        traceback.print_exception(type(error), error, frames, file=sys.stdout)
        code = 1
    print({mark!r} + str((code or 0) & 255), end="")
_deskhand()
"""
"""Runs code as an interpreter of its own would, and says how it ended."""


async def run_python(api: OrgoApi, computer_id: str, code: str, timeout: float | None) -> ExecResult | None:
    """Run Python code; return ``None`` where the route is missing, or does not allow that much time.

    Args:
        api: The API.
        computer_id: Where.
        code: The code.
        timeout: Seconds; the server counts whole ones.
    """
    seconds = checked_timeout(timeout)
    check_command(code)
    if "exec" in api.missing or seconds > LONGEST:
        return None
    mark = f"\n[{secrets.token_hex(8)}] "
    whole = math.ceil(seconds)
    body = {"code": _RUN.format(code=code, mark=mark), "timeout": whole}
    began = time.monotonic()
    try:
        answer = await api.act("run Python", computer_id, "exec", body, deadline=whole + _MARGIN)
    except UnsupportedError:
        return None  # which is remembered
    return _result(answer, mark, whole, time.monotonic() - began)


def _result(answer: Mapping[str, JsonValue], mark: str, seconds: int, duration: float) -> ExecResult:
    output, dropped = output_of("run Python", answer)
    if answer.get("timeout") is True:
        return ExecResult(output, None, None, None, timed_out(seconds), duration, dropped)
    before, marked, code = output.rpartition(mark)
    if marked and code.strip().isdecimal():
        return ExecResult(before, None, None, int(code), None, duration, dropped)
    if answer.get("success") is True:  # it ended the interpreter itself (os._exit), or closed its output
        return ExecResult(output, None, None, 0, None, duration, dropped)
    if answer.get("success") is not False:
        raise no_result(NAME, "run Python", answer)
    error, kind = answer.get("error"), answer.get("error_type")
    said = ": ".join(str(part) for part in (kind, error) if part) or "the code could not be run"
    return ExecResult(output, None, None, 1, said[:500], duration, dropped)
