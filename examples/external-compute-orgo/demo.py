"""Connect, drive, tear down: `python demo.py [probe|claude|openai|functions|custom] [GOAL]`."""

import argparse
from collections.abc import Callable, Mapping

from drivers import custom, model_backed, probe
from external_compute import ExternalComputer
from harness import ClaudeComputerUseHarness, Harness, OpenAIComputerUseHarness, OpenAIFunctionHarness

from deskhand import DeskhandError, RunResult
from deskhand.sync import open_computer

MODELS: Mapping[str, Callable[[], Harness[str]]] = {
    "claude": ClaudeComputerUseHarness,
    "openai": OpenAIComputerUseHarness,
    "functions": OpenAIFunctionHarness,
}


def drive(driver: str, computer: ExternalComputer, goal: str) -> RunResult[str] | RunResult[object]:
    """Drive a computer in one of three ways."""
    if driver in MODELS:
        return model_backed(computer, goal, MODELS[driver]())
    return probe(computer, goal) if driver == "probe" else custom(computer, goal)


def main() -> int:
    """Drive a fresh computer, which is gone afterwards, whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("driver", nargs="?", choices=["probe", *MODELS, "custom"], default="probe")
    parser.add_argument("goal", nargs="?", default="Find out which kernel this computer runs.")
    parser.add_argument("--computer", default="orgo", metavar="PROVIDER", help="who runs it (default: orgo)")
    wanted = parser.parse_args()
    with open_computer(wanted.computer, label="demo") as computer:
        print(f"{computer.info.name} at {computer.info.provider}: {computer.info.status}")
        result = drive(wanted.driver, computer, wanted.goal)
    print(f"{result.outcome}: {result.output if result.error is None else result.error.message}")
    return 0 if result.ok else 1


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DeskhandError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit("stopped; the computer is gone") from None
