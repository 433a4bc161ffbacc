"""JSON and TOML of others: a typed error or a value, whatever is in it, and never a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from deskhand import Policy, open_run
from deskhand.cli.replay import recorded
from deskhand.cli.terminal import Terminal
from deskhand.errors import ConfigError, CorruptJournalError, InvalidInputError
from deskhand.harness.events import EventBase, UnknownEvent, parse_event
from deskhand.tools import ToolCall
from deskhand.tools.arguments import parse_arguments
from tests.harness.driving import computer_with_screen

HALF: Final = "\\ud800"

REFUSED: Final[dict[str, str]] = {
    "deep-arrays": '{"command": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep-objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "unclosed": '{"command": ' + "[" * 100_000,
    "not-a-number": '{"command": NaN}',
    "infinity": '{"command": -Infinity}',
    "beyond-a-float": '{"command": 1e999}',
    "ten-thousand-digits": '{"command": ' + "9" * 10_000 + "}",
    "half-a-character": '{"command": "' + HALF + '"}',
    "half-a-character-as-a-name": '{"' + HALF + '": 1, "command": "ls"}',
    "a-name-twice": '{"command": "ls", "command": "rm -rf ~"}',
    "a-name-twice-inside": '{"command": {"a": 1, "a": 2}}',
    "a-name-twice-spelt-otherwise": '{"command": "ls", "\\u0063ommand": "rm -rf ~"}',
    "a-mark-in-front": '\ufeff{"command": "ls"}',
    "something-behind": '{"command": "ls"} {"command": "rm"}',
    "a-comment": '{"command": "ls"} // rm',
    "a-hundred-thousand-names": "{" + ",".join(f'"k{n}": 1' for n in range(100_000)) + "}",
    "unknown-names": '{"command": "ls", "__proto__": {"timeout": 1}, "constructor": 1}',
    "true-for-a-number": '{"command": "ls", "timeout": true}',
    "a-number-for-text": '{"command": 7}',
    "no-object": '["command", "ls"]',
    "nothing": "null",
    "single-quotes": "{'command': 'ls'}",
    "NUL": '{"command": "a\x00b"}',
}
"""Arguments of ``exec`` that no call may be made of."""


@pytest.mark.parametrize("what", list(REFUSED))
async def test_arguments_that_are_not_plain_json_are_an_error_for_the_model(what: str) -> None:
    """Typed, with nothing done: none of two equal names wins, nothing is read as what it is not."""
    computer = computer_with_screen()
    async with open_run(computer, "go") as run:
        refused = await run.act(ToolCall("exec", REFUSED[what]))
        assert (refused.outcome, refused.effect) == ("error", "no")
        assert refused.error is not None
        assert refused.error.code == "invalid_input"
        assert len(refused.text) < 2_000
        assert (await run.act("exec", command="ls")).ok


def test_names_of_other_languages_objects_mean_nothing() -> None:
    """They are names like any others."""
    assert parse_arguments('{"__proto__": {"x": 1}, "constructor": 2}') == {"__proto__": {"x": 1}, "constructor": 2}


EVENT: Final = '{"type": "custom", "source": "/runs/a", "run_id": "a", "seq": 1, "data": {"name": "a.b", "value": %s}}'

EVENTS: Final[dict[str, str]] = {
    **{what: text for what, text in REFUSED.items() if what != "unknown-names"},
    "deep-value": EVENT % ("[" * 100_000 + "]" * 100_000),
    "half-a-character-in-an-event": EVENT % f'"{HALF}"',
    "a-mark-before-an-event": "\ufeff" + EVENT % "1",
    "two-events-on-a-line": EVENT % "1" + EVENT % "2",
    "no-number-for-a-number": EVENT.replace('"seq": 1', '"seq": "one"') % "1",
    "known-type-of-another-shape": '{"type": "run.finished", "source": "s", "run_id": "a", "data": []}',
}


@pytest.mark.parametrize("what", list(EVENTS))
async def test_recorded_events_that_cannot_be_read_are_told_as_such(what: str, tmp_path: Path) -> None:
    """From a log and from a folder."""
    with pytest.raises(CorruptJournalError, match="cannot be read"):
        parse_event(EVENTS[what])
    if "\x00" in EVENTS[what] or not EVENTS[what].strip():
        return
    (tmp_path / "events.jsonl").write_text(EVENTS[what], encoding="utf-8")
    with pytest.raises(CorruptJournalError, match="cannot be read"):
        async for _ in recorded(Terminal(), str(tmp_path)):
            pass


def test_event_with_many_names_and_large_numbers_is_read() -> None:
    """What is legal is kept: a hundred thousand names, a thousand digits, names that mean something elsewhere."""
    names = ",".join(f'"k{n}": {n}' for n in range(100_000))
    event = parse_event('{"type": "a.new.one", "source": "s", "run_id": "a", "data": {"__proto__": 1, ' + names + "}}")
    assert isinstance(event, UnknownEvent)
    assert len(event.data) == 100_001
    number: EventBase = parse_event(EVENT % ("9" * 1_000))
    assert parse_event(number.to_json()) == number


POLICIES: Final[dict[str, str]] = {
    "deep-arrays": "default = " + "[" * 100_000 + "]" * 100_000,
    "deep-tables": "default = " + "{a = " * 50_000 + "1" + "}" * 50_000,
    "ten-thousand-digits": "default = " + "9" * 10_000,
    "not-a-number": "default = nan",
    "a-name-twice": 'default = "allow"\ndefault = "deny"',
    "half-a-character": 'default = "\\ud800"',
    "a-mark-in-front": '\ufeffdefault = "allow"',
    "true-for-text": "default = true",
    "a-rule-that-is-none": 'rule = ["allow"]',
    "unknown-names": '[[rule]]\nverdict = "allow"\n__proto__ = 1',
    "true-as-text": '[[rule]]\nverdict = "ask"\npersists = "perhaps"',
    "json": '{"default": "allow"}',
}


@pytest.mark.parametrize("what", list(POLICIES))
def test_policy_that_is_none_is_refused_whatever_is_wrong_with_it(what: str) -> None:
    """Never taken for one that allows."""
    with pytest.raises(ConfigError, match=r"policy\.toml"):
        Policy.from_toml(POLICIES[what])


@pytest.mark.parametrize("what", list(REFUSED))
def test_edited_arguments_are_read_as_strictly_as_a_models(what: str) -> None:
    """Whoever types them: what the reader takes, the tool's own schema still checks."""
    of_the_tool = {"unknown-names", "true-for-a-number", "a-number-for-text"}
    if what in of_the_tool:
        assert isinstance(parse_arguments(REFUSED[what]), dict)
        return
    with pytest.raises(InvalidInputError) as caught:
        parse_arguments(REFUSED[what])
    assert len(caught.value.message) < 500
