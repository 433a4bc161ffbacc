"""Rows 13 to 17: the local computer against bare requests and against the tools that people use."""

from __future__ import annotations

import shutil

from benchmarks.cells import Cell, Settings, Values, run
from benchmarks.environments import UnavailableError, python
from benchmarks.report import Goal, Line, Missing
from benchmarks.rows.row import Found, Row

_INSTALL = "not installed: apt-get install"
_PACKAGES = {"xdotool": "xdotool", "scrot": "scrot", "xterm": "xterm"}


def needs_x() -> None:
    """Refuse where there is no X server."""
    if not (shutil.which("Xvnc") or shutil.which("Xvfb")):
        raise UnavailableError("there is no X server: apt-get install tigervnc-standalone-server")


def needs(*programs: str) -> None:
    """Refuse where a program is not there."""
    for program in programs:
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is {_INSTALL} {_PACKAGES.get(program, program)}")


def _pyautogui() -> tuple[str | None, list[Missing]]:
    try:
        return python("pyautogui"), []
    except UnavailableError as error:
        return None, [Missing(number, "pyautogui with Pillow", str(error)) for number in (13, 14, 15)]


def _line(found: Values, kind: str, row: int, metric: str, limit: float) -> Line:
    values = {name.partition(".")[2]: value * 1000 for name, value in found.items() if name.startswith(f"{kind}.")}
    ours, floor = values.pop("ours"), values.pop("floor")
    names = {"pyautogui": "Pillow ImageGrab" if kind == "screenshot" else "pyautogui without its pause"}
    return Line(
        row=row,
        metric=metric,
        unit="ms",
        ours=ours,
        floor=("bare X requests", floor),
        peers={names.get(name, name): value for name, value in values.items()},
        goals=[Goal.at_most("p50", ours, limit, " ms")],
    )


def _desktop(settings: Settings) -> Found:
    needs_x()
    needs("scrot", "xdotool", "xterm")
    pyautogui, missing = _pyautogui()
    found = run(Cell("desktop", {"times": settings.times(200, 8), "pyautogui": pyautogui}))
    return [
        _line(found, "screenshot", 13, "screenshot of a settled screen full of text, PNG in hand, 1280x800, p50", 3),
        _line(found, "click", 14, "click, received by the application, p50", 1.5),
        _line(found, "type", 15, "typing 100 characters, exact, until sent, p50", 10),
    ], missing


def _exec(settings: Settings) -> Found:
    needs_x()
    found = run(Cell("executing", {"times": settings.times(200, 20)}))
    bare = ("a plain bash -c subprocess", found["bare"] * 1000)
    return [
        Line(
            row=16,
            metric="exec in the sandbox, p50",
            unit="ms",
            ours=found["exec"] * 1000,
            floor=bare,
            goals=[Goal.at_most("over the floor", found["exec"] / found["bare"], 2, "x")],
        ),
        Line(
            row=16,
            metric="a command of a kept shell, p50",
            unit="ms",
            ours=found["shell"] * 1000,
            floor=bare,
            goals=[Goal.at_most("p50", found["shell"] * 1000, 0.3, " ms")],
        ),
    ], []


def _boot(settings: Settings) -> Found:
    needs_x()
    needs("Xvnc", "openbox")
    cold = run(Cell("booting", {"mode": "cold", "times": settings.times(15, 2)}))
    pool = run(Cell("booting", {"mode": "pool", "times": settings.times(7, 1)}))
    count = settings.times(30, 3)
    many = run(Cell("booting", {"mode": "many", "times": count}))
    milliseconds = cold["seconds"] * 1000
    return [
        Line(
            row=17,
            metric="boot to first frame, p50",
            unit="ms",
            ours=milliseconds,
            floor=("bare Xvnc and openbox", cold["floor"] * 1000),
            goals=[Goal.at_most("p50", milliseconds, 200, " ms")],
            note="sandbox, panel and files included",
        ),
        Line(
            row=17,
            metric="first frame from the pool, p50",
            unit="ms",
            ours=pool["seconds"] * 1000,
            goals=[Goal.at_most("p50", pool["seconds"] * 1000, 20, " ms")],
        ),
        Line(
            row=17,
            metric=f"{count} desktops at once, time for each",
            unit="ms",
            ours=many["seconds"] * 1000,
            floor=("bare Xvnc and openbox, alone", cold["floor"] * 1000),
            goals=[Goal(f"{count} at once", met=True)],
        ),
        Line(row=17, metric=f"memory (PSS) of each of {count} desktops", unit="MB", ours=many["memory"] / 1e6),
    ], []


ROWS = (
    Row("desktop", (13, 14, 15), "screenshots, clicks and typing", _desktop),
    Row("exec", (16,), "commands", _exec),
    Row("boot", (17,), "boot to the first frame", _boot),
)
