"""Policies: rules decide which calls run, outside the model; a person decides where they ask."""

from __future__ import annotations

import io
from collections.abc import Mapping

import anyio
import pytest
from PIL import Image
from pydantic import JsonValue

from deskhand import ConfigError, MemoryBlobs, Policy, RunContext, ToolCall, open_run
from deskhand.errors import InvalidInputError
from deskhand.harness import ApprovalRequest, Decision, Engine, Judgement, PolicyRequest, Rule
from deskhand.harness.events import ActionStarted, ApprovalRequested, ApprovalResolved
from deskhand.providers import Click, Type
from deskhand.testing import capture_events
from deskhand.tools import Observation, SafetyCheck
from tests.harness.driving import Driver, computer_with_screen

ASK = Policy([Rule(verdict="ask", tool="left_click", reason="clicks are for people")])


def acting(*calls: ToolCall, seen: list[Observation] | None = None) -> Driver:
    """Act once for each call."""

    async def drive(run: RunContext) -> str:
        for call in calls:
            observation = await run.act(call)
            if seen is not None:
                seen.append(observation)
        return "done"

    return Driver(drive)


def click(x: int = 5, y: int = 6) -> ToolCall:
    return ToolCall("left_click", {"x": x, "y": y})


async def yes(request: ApprovalRequest) -> Decision:
    return Decision("approved", "ann")


@pytest.mark.parametrize(
    ("rules", "outcomes"),
    [
        ([], ["ok", "ok"]),
        ([Rule(verdict="deny", tool="left_click")], ["denied", "ok"]),
        ([Rule(verdict="deny", tool="left_*")], ["denied", "ok"]),
        ([Rule(verdict="allow", tool="left_click"), Rule(verdict="deny")], ["ok", "denied"]),
        ([Rule(verdict="deny", risk="medium")], ["ok", "denied"]),
        ([Rule(verdict="deny", arguments={"text": "*password*"})], ["ok", "denied"]),
        ([Rule(verdict="deny", arguments={"x": "5"})], ["denied", "ok"]),
        ([Rule(verdict="deny", arguments={"absent": "*"})], ["ok", "ok"]),
        ([Rule(verdict="deny", computer="orgo:*")], ["ok", "ok"]),
        ([Rule(verdict="deny", computer="recording:*")], ["denied", "denied"]),
    ],
)
async def test_first_rule_that_matches_decides(rules: list[Rule], outcomes: list[str]) -> None:
    """By tool, arguments, risk and computer; nothing of a refused call reaches the computer."""
    seen: list[Observation] = []
    computer = computer_with_screen()
    harness = acting(click(), ToolCall("type", {"text": "my password"}), seen=seen)
    await harness.run(computer, "go", policy=Policy(rules))
    assert [one.outcome for one in seen] == outcomes
    assert len(computer.performed) == outcomes.count("ok")


async def test_refused_call_says_why_and_the_run_goes_on() -> None:
    """The model is told the rule's reason."""
    seen: list[Observation] = []
    policy = Policy([Rule(verdict="deny", tool="left_click", reason="look only")])
    result = await acting(click(), seen=seen).run(computer_with_screen(), "go", policy=policy)
    assert result.ok
    assert (seen[0].outcome, seen[0].effect) == ("denied", "no")
    assert seen[0].text == "Not executed: the policy refuses it: look only"


async def test_policy_that_asks_waits_for_a_person_and_shows_the_evidence() -> None:
    """The request has the whole call, its digest, its risk, and the frame's part around the target."""
    asked: list[ApprovalRequest] = []
    blobs = MemoryBlobs()

    async def on_approval(request: ApprovalRequest) -> bool:
        asked.append(request)
        return True

    computer = computer_with_screen()

    async def drive(run: RunContext) -> None:
        await run.look()
        await run.act(click(640, 400))

    result = await Driver(drive).run(computer, "go", policy=ASK, on_approval=on_approval, blobs=blobs)
    assert result.ok
    request = asked[0]
    assert (request.reason, request.risk, len(request.digest)) == ("clicks are for people", "low", 64)
    assert request.crop is not None
    with Image.open(io.BytesIO(await blobs.get(request.crop))) as crop:
        assert crop.size == (400, 240)
        assert crop.getpixel((200 - 12, 120)) == (255, 0, 64)
    assert computer.performed == [Click(640, 400)]


async def test_approval_holds_for_exactly_those_arguments_and_that_frame() -> None:
    """Another argument, frame or run makes another digest, and each call is asked about."""
    digests: list[str] = []

    async def on_approval(request: ApprovalRequest) -> bool:
        digests.append(request.digest)
        return True

    async def drive(run: RunContext) -> None:
        await run.look()
        await run.act(click())
        await run.act(click())
        await run.act(click(5, 7))
        await run.look()
        await run.act(click())

    for _ in range(2):
        await Driver(drive).run(computer_with_screen(), "go", policy=ASK, on_approval=on_approval)
    assert len(digests) == 8
    assert len(set(digests)) == 6  # (the same call on the same frame, twice, has the same)


async def test_person_may_change_the_arguments() -> None:
    """What runs is what the person gave; the log has both, and the digest of what ran."""
    computer = computer_with_screen()
    async with acting(click()).start(computer, "go", policy=ASK) as run:
        with anyio.fail_after(10):
            async for event in run.events():
                if isinstance(event, ApprovalRequested):
                    asked = event.data
                    await run.approve(asked.call_id, arguments={"x": 50, "y": 60}, actor="ann")
                if isinstance(event, ApprovalResolved):
                    answered = event.data
                if isinstance(event, ActionStarted):
                    assert event.data.arguments["x"] == 50
    assert asked.arguments["x"] == 5
    assert answered.arguments == {"x": 50, "y": 60}
    assert answered.digest != asked.digest
    assert computer.performed == [Click(50, 60)]


@pytest.mark.parametrize(("arguments", "outcome"), [({"x": "left", "y": 1}, "denied"), ({"x": 99, "y": 1}, "denied")])
async def test_changed_arguments_are_checked_like_any_others(arguments: Mapping[str, JsonValue], outcome: str) -> None:
    """By the tool's schema, and by the rules that refuse: a person's yes is no way around them."""
    rules = [Rule(verdict="deny", arguments={"x": "99"}), Rule(verdict="ask", tool="left_click")]

    async def on_approval(request: ApprovalRequest) -> Decision:
        return Decision("approved", "ann", arguments=arguments)

    seen: list[Observation] = []
    computer = computer_with_screen()
    await acting(click(), seen=seen).run(computer, "go", policy=Policy(rules), on_approval=on_approval)
    assert [one.outcome for one in seen] == [outcome]
    assert computer.performed == []


async def test_arguments_that_do_not_fit_are_told_to_whoever_gives_them_and_the_call_still_waits() -> None:
    """The answer is not spent: another one counts."""
    computer = computer_with_screen()

    async def elsewhere(request: ApprovalRequest) -> bool:
        await anyio.sleep_forever()
        return False

    started = acting(click()).start(computer, "go", policy=ASK, on_approval=elsewhere)
    async with started as run, capture_events(run) as events:
        asked = await events.until("approval.requested")
        assert isinstance(asked, ApprovalRequested)
        with pytest.raises(InvalidInputError, match="x"):
            await run.approve(asked.data.call_id, arguments={"x": "left", "y": 1})
        with pytest.raises(InvalidInputError, match="reason has"):
            await run.deny(asked.data.call_id, "no" * 40_000)
        await run.approve(asked.data.call_id, arguments={"x": 3, "y": 4})
        await run.result()
    assert computer.performed == [Click(3, 4)]


async def test_always_spares_the_same_tool_for_the_rest_of_the_run_but_no_vendors_check() -> None:
    """The second click is not asked about; one with a vendor's check is, each time."""
    asked: list[str] = []

    async def on_approval(request: ApprovalRequest) -> Decision:
        asked.append(request.reason)
        return Decision("approved", "ann", always=True)

    flagged = ToolCall("left_click", {"x": 1, "y": 1}, checks=(SafetyCheck("sc", message="a bank"),))
    policy = Policy([Rule(verdict="ask", reason="new")])
    harness = acting(click(), click(7, 8), ToolCall("type", {"text": "x"}), flagged, flagged)
    result = await harness.run(computer_with_screen(), "go", policy=policy, on_approval=on_approval)
    assert result.ok
    assert asked == ["new", "new", "a bank", "a bank"]


async def test_policy_as_code_sees_the_whole_call() -> None:
    """A function, also a coroutine, judges by whatever it likes."""
    seen: list[PolicyRequest] = []

    async def policy(request: PolicyRequest) -> Judgement:
        seen.append(request)
        return Judgement("deny" if request.user == "bob" else "allow", "not bob")

    computer = computer_with_screen()
    await acting(click()).run(computer, "go", policy=policy, user="bob")
    await acting(click()).run(computer, "go", policy=lambda request: "allow", user="bob")
    assert computer.performed == [Click(5, 6)]
    assert (seen[0].call.name, seen[0].risk, seen[0].effect, seen[0].computer.provider) == (
        "left_click",
        "low",
        "unrepeatable",
        "recording",
    )


@pytest.mark.parametrize("said", ["yes", None, 1, True])
async def test_policy_that_fails_or_says_nonsense_has_refused(said: object) -> None:
    """Nothing runs on the account of a broken policy."""

    def broken(request: PolicyRequest) -> Judgement:
        if said == "yes":
            raise ValueError("no such rule")
        return said  # type: ignore[return-value]

    seen: list[Observation] = []
    computer = computer_with_screen()
    await acting(click(), seen=seen).run(computer, "go", policy=broken)
    assert (seen[0].outcome, computer.performed) == ("denied", [])
    assert "the policy" in seen[0].text


async def test_of_an_engines_policy_and_a_runs_own_the_stricter_counts() -> None:
    """Neither can undo the other."""
    deny, allow = Policy(default="deny"), Policy(default="allow")
    computer = computer_with_screen()
    for engines, own in ((deny, allow), (allow, deny), (allow, allow)):
        async with Engine(policy=engines) as engine, engine.open(computer, "go", policy=own) as run:
            await run.act(click())
    assert computer.performed == [Click(5, 6)]


async def test_policy_that_asks_where_nobody_can_answer_is_refused_at_start() -> None:
    """Before anything is done; `start` gives a handle by which somebody may answer."""
    computer = computer_with_screen()
    with pytest.raises(ConfigError, match="nobody can be asked") as caught:
        await acting(click()).run(computer, "go", policy=ASK)
    assert "on_approval" in str(caught.value.hint)
    assert computer.performed == []
    assert (await acting(click()).run(computer, "go", policy=ASK, on_approval=yes)).ok


async def test_open_run_heeds_the_policy_too() -> None:
    """It lives in the executor, so that everybody's own loop has it."""
    computer = computer_with_screen()
    async with open_run(computer, "go", policy=Policy([Rule(verdict="deny", tool="type")])) as run:
        assert (await run.act("type", text="x")).outcome == "denied"
        assert (await run.act("key", key="enter")).ok


@pytest.mark.parametrize(
    ("call", "asks"),
    [
        (ToolCall("exec", {"command": "ls"}), True),
        (ToolCall("type", {"text": "hello"}), False),
        (ToolCall("write_file", {"path": "/home/a/notes.txt", "content": ""}), False),
        (ToolCall("write_file", {"path": "~/.bashrc", "content": ""}), True),
        (ToolCall("write_file", {"path": ".ssh/authorized_keys", "content": ""}), True),
        (ToolCall("write_file", {"path": "/etc/cron.d/x", "content": ""}), True),
    ],
)
async def test_cautious_policy_asks_for_what_may_do_much_harm_or_outlives_the_run(call: ToolCall, asks: bool) -> None:
    """Commands, and files that run later by themselves; what a person sees happen on the screen is not asked about."""
    asked: list[str] = []

    async def on_approval(request: ApprovalRequest) -> bool:
        asked.append(request.reason)
        return False

    computer = computer_with_screen()
    await acting(call).run(computer, "go", policy=Policy.cautious(), on_approval=on_approval)
    assert bool(asked) == asks


async def test_policy_is_read_from_toml() -> None:
    """As `Rule` has it; the file's default counts for what no rule matches."""
    policy = Policy.from_toml(
        """
        default = "deny"

        [[rule]]
        verdict = "allow"
        tool = "type"
        arguments = { text = "hello*" }
        """
    )
    computer = computer_with_screen()
    calls = (ToolCall("type", {"text": "hello there"}), ToolCall("type", {"text": "bye"}), click())
    await acting(*calls).run(computer, "go", policy=policy)
    assert computer.performed == [Type("hello there")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default = ", "is no TOML"),
        ('default = "maybe"', "default: "),
        ('[[rule]]\ntool = "x"', "rule.0.verdict: "),
        ('[[rule]]\nverdict = "ask"\nwhen = "now"', "rule.0.when: "),
        ('[[rule]]\nverdict = "ask"\nrisk = "some"', "rule.0.risk: "),
        ('rules = "x"', "rules: "),
    ],
)
def test_policy_that_cannot_be_read_says_where(text: str, said: str) -> None:
    """And shows what a rule looks like."""
    with pytest.raises(ConfigError, match=said) as caught:
        Policy.from_toml(text)
    assert "[[rule]]" in str(caught.value.hint)
