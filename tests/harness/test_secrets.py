"""Secrets: a model names them, the computer gets their values, and nothing else anywhere has them."""

from __future__ import annotations

import base64
import itertools
import json
import logging
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from deskhand import (
    ClaudeComputerUseHarness,
    DirectoryBlobs,
    RunContext,
    Secret,
    Secrets,
    SqliteLog,
    ToolCall,
    ToolContext,
    ToolError,
    ToolRegistry,
)
from deskhand.errors import InvalidInputError
from deskhand.harness import Budget
from deskhand.providers import Type
from deskhand.redaction import MASK, Flow, Redactor
from deskhand.testing import FakeAnthropic, FakeComputer, FakeTurn, member, tool_use
from deskhand.tools import Observation
from tests.harness.driving import Driver, computer_with_screen

CANARY = 'c4n4ry/with "quotes" & ümlaut'
SECRETS = Secrets({"password": SecretStr(CANARY)})
FORMS = (CANARY, json.dumps(CANARY)[1:-1], quote(CANARY, safe=""), base64.b64encode(CANARY.encode()).decode())


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def acting(*calls: ToolCall, seen: list[Observation]) -> Driver:
    async def drive(run: RunContext) -> None:
        seen.extend([await run.act(call) for call in calls])

    return Driver(drive)


async def test_computer_gets_the_value_and_the_log_its_name() -> None:
    """At the last hop: neither the call nor its events have it."""
    computer = computer_with_screen()
    seen: list[Observation] = []
    call = ToolCall("type", {"text": "my {{secret:password}}, and {{ secret:password }}"})
    async with acting(call, seen=seen).start(computer, "log in", secrets=SECRETS) as run:
        text = "".join([event.model_dump_json() async for event in run.events()])
    assert computer.performed == [Type(f"my {CANARY}, and {CANARY}")]
    assert "{{secret:password}}" in text
    assert CANARY not in text
    assert dict(seen[0].call.arguments)["text"] == call.arguments["text"]  # type: ignore[arg-type, index]


async def test_secret_that_comes_back_is_taken_out_of_what_the_model_is_told() -> None:
    """From output, data and errors, as JSON, URLs and base64 write it too."""
    registry = ToolRegistry()

    @registry.tool
    async def echo(context: ToolContext[object], text: str) -> dict[str, str]:
        """Give the text back in many ways."""
        context.output("stdout", text.encode()[:7])
        context.output("stdout", text.encode()[7:])
        return {"plain": text, "json": json.dumps(text), "url": quote(text, safe=""), "b64": FORMS[3]}

    @registry.tool
    async def fail(text: str) -> str:
        """Raise."""
        raise ToolError(f"cannot use {text}", hint=f"not {text}")

    @registry.tool
    async def crash(text: str) -> str:
        """Raise what is no error of ours."""
        raise ValueError(text)

    seen: list[Observation] = []
    calls = [ToolCall(name, {"text": "{{secret:password}}"}) for name in ("echo", "fail", "crash")]
    async with acting(*calls, seen=seen).start(computer_with_screen(), "go", tools=registry, secrets=SECRETS) as run:
        told = "".join([event.model_dump_json() async for event in run.events()])
    told += repr(seen) + repr(run) + repr(SECRETS)
    assert MASK in told
    assert [form for form in FORMS if form in told] == []


async def test_canary_is_nowhere_after_a_models_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Requests to the model, log, blobs and program logs are searched byte by byte."""
    caplog.set_level(logging.DEBUG)
    requests: list[str] = []
    script = [
        FakeTurn([member("type", text="{{secret:password}}"), tool_use("exec", command="echo '{{secret:password}}'")]),
        FakeTurn("I am in."),
    ]
    harness = ClaudeComputerUseHarness(
        model="claude-sonnet-5-5",
        client=FakeAnthropic(script).client(),
        on_request=lambda request: requests.append(json.dumps(dict(request))),
    )
    async with (
        FakeComputer() as computer,
        SqliteLog(tmp_path / "log.db") as log,
    ):
        blobs = DirectoryBlobs(tmp_path / "blobs")
        result = await harness.run(
            computer, f"log in with {CANARY}", log=log, blobs=blobs, secrets=SECRETS, metadata={"note": CANARY}
        )
        assert result.ok
        assert CANARY in computer.typed
    kept = all_bytes(tmp_path)
    assert "{{secret:password}}" in requests[0]  # the model is told which there are
    assert MASK in requests[-1]
    for form in FORMS:
        assert form.encode() not in kept
        assert form not in "".join(requests)
        assert form not in caplog.text


async def test_value_that_people_write_themselves_is_not_told_to_an_agent() -> None:
    """In the goal, in a word to it, in what a person says when they hand the computer back."""
    told: list[str] = []
    heard = anyio.Event()

    async def drive(run: RunContext) -> None:
        told.append(run.goal)
        told.extend(await run.inbox.wait())
        heard.set()
        told.extend(await run.inbox.wait())

    with anyio.fail_after(10):
        async with Driver(drive).start(computer_with_screen(), f"use {CANARY}", secrets=SECRETS) as run:
            await run.steer(f"it is {CANARY}")
            await heard.wait()
            async with await run.takeover("ann") as hands:
                await hands.hand_back(f"I typed {CANARY}")
            await run.result()
    assert told[:2] == [f"use {MASK}", f"it is {MASK}"]
    assert f"I typed {MASK}" in told[2]


async def test_secret_goes_only_to_the_computers_it_is_for() -> None:
    """Elsewhere it is refused, and the text with its name is not sent either."""
    seen: list[Observation] = []
    secrets = Secrets({"key": Secret(SecretStr("abcdef123"), computers="orgo:*")})
    computer = computer_with_screen()
    await acting(ToolCall("type", {"text": "{{secret:key}}"}), seen=seen).run(computer, "go", secrets=secrets)
    assert (seen[0].outcome, seen[0].effect, computer.performed) == ("error", "no", [])
    assert seen[0].error is not None
    assert seen[0].error.code == "permission_denied"
    assert "must not go to recording:cmp_1" in seen[0].text


async def test_unknown_secret_is_an_error_that_names_those_that_there_are() -> None:
    """The model can correct itself."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    await acting(ToolCall("type", {"text": "{{secret:pasword}}"}), seen=seen).run(computer, "go", secrets=SECRETS)
    assert (seen[0].outcome, computer.performed) == ("error", [])
    assert "use one of: password" in seen[0].text


async def test_call_refused_for_its_secret_counts_in_no_budget() -> None:
    """Nothing was sent: the one action that the run has is still there."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    calls = ToolCall("type", {"text": "{{secret:unknown}}"}), ToolCall("type", {"text": "hello"})
    result = await acting(*calls, seen=seen).run(computer, "go", secrets=SECRETS, budget=Budget(actions=1))
    assert result.outcome == "completed"
    assert [observation.ok for observation in seen] == [False, True]
    assert computer.performed == [Type("hello")]


async def test_without_secrets_the_text_is_typed_as_it_is() -> None:
    """Nobody else's double braces are touched."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    await acting(ToolCall("type", {"text": "{{secret:x}} {{name}}"}), seen=seen).run(computer, "go")
    assert computer.performed == [Type("{{secret:x}} {{name}}")]


@pytest.mark.parametrize(("name", "value"), [("", "long enough"), ("a b", "long enough"), ("ok", "short")])
def test_secret_that_cannot_be_one_is_refused(name: str, value: str) -> None:
    """A bad name, or a value that is in too many texts by chance; the value is not told."""
    with pytest.raises(InvalidInputError) as caught:
        Secrets({name: SecretStr(value)})
    assert value not in str(caught.value)


@given(st.text(max_size=30), st.text(max_size=30), st.lists(st.integers(0, 80), max_size=10))
def test_flow_hides_a_secret_however_its_text_is_cut(before: str, after: str, cuts: list[int]) -> None:
    """What a piece ends in the middle of is held back until it is known what it is."""
    redactor = Redactor(exact=["hidden-value"])
    text = f"{before}hidden-value{after}"
    marks = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    flow = Flow(redactor)
    shown = "".join(flow.feed(text[start:end]) for start, end in itertools.pairwise(marks)) + flow.flush()
    assert shown == redactor.text(text)
    assert "hidden-value" not in shown
