"""The keyboard, as an application on the machine receives it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import anyio

from deskhand.errors import InvalidInputError
from deskhand.providers import Capability
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, ConformanceError, Target, expect, expect_equal, refuses
from deskhand.testing.received import Received, typed_text

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES, Capability.KEYBOARD, truth=True)

_CHORDS: Final[dict[str, tuple[str, ...]]] = {
    "ctrl+s": ("ctrl", "s"),
    "ctrl+shift+t": ("ctrl", "shift", "t"),
    "ctrl+alt+k": ("ctrl", "alt", "k"),
    "super+j": ("super", "j"),
    "shift+tab": ("shift", "tab"),
    "alt+left": ("alt", "left"),
    "ctrl++": ("ctrl", "+"),
    "ctrl+-": ("ctrl", "-"),
    "ctrl+home": ("ctrl", "home"),
    "Control_L+Return": ("ctrl", "enter"),
}
_SINGLE: Final = (
    *("enter", "tab", "space", "backspace", "escape", "delete", "insert", "home", "end", "page_up", "page_down"),
    *("up", "down", "left", "right", "f1", "f5", "f12", "a", "Z", "7", "?", "ö", "kp_enter", "kp_5"),
)
_SHIFTED: Final = frozenset({"shift"})
_HOSTILE: Final = '\'; rm -rf "$HOME" `id` $(id) \\ && || > < | * ? # ~ %s {a,b} [x] ! ^ & \\n ; exit'


def _struck(events: Sequence[Received], name: str) -> Received:
    """Find the press of a key; whether a letter is a capital one depends on Shift, which may be struck first."""
    for event in events:
        if event.kind == "key_down" and event.name.lower() == name.lower():
            return event
    found = [event.name for event in events if event.kind == "key_down"]
    raise ConformanceError(f"the key {name} never went down; {found} did")


def _expect_released(events: Sequence[Received]) -> None:
    """Fail if a key went down more often than it came up, but for repeats."""
    state: dict[str, bool] = {}
    for event in events:
        if event.kind in {"key_down", "key_up"}:
            state[event.name.lower()] = event.kind == "key_down"
    expect_equal("the keys still held", [name for name, is_down in state.items() if is_down], [])


@_case()
async def key_strikes_single_keys(target: Target) -> None:
    """Every common key arrives as itself, once, with nothing else held than the Shift it may need."""
    for name in _SINGLE:
        await target.forget()
        await target.computer.key(name)
        events = await target.received()
        struck = _struck(events, name)
        expect(struck.modifiers <= _SHIFTED | {"altgr"}, f"{name} arrived with {sorted(struck.modifiers)} held")
        expect_equal(f"how often {name} went down", sum(event.name == struck.name for event in events), 2)
        _expect_released(events)


@_case()
async def key_strikes_chords_in_order(target: Target) -> None:
    """The modifiers of a chord are down when its key is struck, and all are up after it."""
    for chord, keys in _CHORDS.items():
        await target.forget()
        await target.computer.key(chord)
        events = await target.received()
        *held, name = keys
        struck = _struck(events, name)
        more = struck.modifiers - set(held)
        expect(set(held) <= struck.modifiers, f"{chord} arrived as {name} with {sorted(struck.modifiers)} held")
        expect(more <= _SHIFTED, f"{chord} arrived with {sorted(more)} held besides")
        _expect_released(events)


@_case()
async def key_repeats(target: Target) -> None:
    """A key is struck as often as asked for, released in between."""
    await target.computer.key("down", repeat=12)
    events = await target.received()
    kinds = [event.kind for event in events if event.name == "down"]
    expect_equal("what arrived of twelve strokes", kinds, ["key_down", "key_up"] * 12)


@_case()
async def key_knows_the_names_of_other_systems(target: Target) -> None:
    """Names of X, the web and macOS mean the same key, in any case."""
    for name, meant in {"Page_Up": "page_up", "ArrowLeft": "left", "ESC": "escape", "KP_Enter": "kp_enter"}.items():
        await target.forget()
        await target.computer.key(name)
        _struck(await target.received(), meant)


@_case()
async def unknown_keys_are_refused(target: Target) -> None:
    """A key that does not exist is refused before anything is sent."""
    for chord in ("no_such_key", "ctrl+", "", "ctrl+nonsense", "a+a"):
        with refuses(InvalidInputError, f"the chord {chord!r}"):
            await target.computer.key(chord)
    with refuses(InvalidInputError, "a control character in a text"):
        await target.computer.type("a\x1bb")
    expect_equal("what arrived of all that", await target.received(), [])


@_case(Capability.FULL_INPUT)
async def hold_key_holds_as_long_as_asked(target: Target) -> None:
    """A held chord goes down at once, stays down for the duration, and comes up."""
    await target.computer.hold_key("shift+x", 0.6)
    events = await target.received()
    down = _struck(events, "x")
    up = next((event for event in events if event.kind == "key_up" and event.name.lower() == "x"), None)
    if up is None:
        raise ConformanceError("the held key never came up")
    last = [event for event in events if event.kind == "key_up"][-1]
    expect(0.55 <= last.time - down.time < 1.5, f"the key was held {last.time - down.time:.3f} s, asked for was 0.6 s")
    expect("shift" in down.modifiers, "the chord's modifier was not held")
    _expect_released(events)


@_case(Capability.FULL_INPUT)
async def hold_key_cancelled_releases(target: Target) -> None:
    """Whoever stops waiting for a held key lets go of it."""
    with anyio.move_on_after(0.3):
        await target.computer.hold_key("ctrl+shift+x", 60)
    events = await target.received()
    _struck(events, "x")
    _expect_released(events)


async def _types(target: Target, text: str) -> None:
    """Type a text and compare what arrived, character for character."""
    await target.forget()
    await target.computer.type(text)
    events = await target.received()
    wanted = text.replace("\r\n", "\n")
    got = typed_text(events)
    if got != wanted:
        pairs = enumerate(zip(got, wanted, strict=False))
        at = next((index for index, (one, other) in pairs if one != other), min(len(got), len(wanted)))
        raise ConformanceError(
            f"of {len(wanted)} characters {len(got)} arrived, the first {at} as typed; "
            f"then {got[at : at + 20]!r} in place of {wanted[at : at + 20]!r}"
        )
    _expect_released(events)


@_case()
async def type_ascii(target: Target) -> None:
    """Every printable ASCII character arrives."""
    await _types(target, "".join(chr(code) for code in range(0x20, 0x7F)))


@_case()
async def type_letters_of_many_scripts(target: Target) -> None:
    """Letters beyond ASCII arrive: European, Greek, Cyrillic, Chinese, Japanese, Korean."""
    await _types(target, "Zażółć gęślą jaźń, Größe, Ñandú, ŁÓDŹ; αβγΩ; Привет; 漢字かなカナ; 한국어")


@_case()
async def type_emoji_with_joiners(target: Target) -> None:
    """Emoji arrive whole: joined families, flags, skin tones, variation selectors."""
    await _types(target, "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ❤️ 😀 🧑🏿‍🚀")


@_case()
async def type_right_to_left(target: Target) -> None:
    """Right-to-left text arrives in the order of its characters, marks included."""
    await _types(target, "שלום עולם، مرحبا بالعالم \u200fabc\u200e ١٢٣")


@_case()
async def type_combining_marks(target: Target) -> None:
    """Combining marks arrive as they are, neither composed nor lost."""
    await _types(target, "e\u0301 n\u0303 o\u0308\u0323 Z\u0351\u036b\u0343 A\u030a vs Å, हिन्दी, ไทย")


@_case()
async def type_five_hundred_characters(target: Target) -> None:
    """A long text arrives without a loss."""
    text = "The quick brown fox jumps over the lazy dog; 0123456789 times, “quoted” — and paid in €! "
    await _types(target, (text * 6)[:500])


@_case()
async def type_many_different_characters(target: Target) -> None:
    """More different characters than a keyboard has keys arrive, each as itself."""
    await _types(target, "".join(chr(code) for code in range(0x4E00, 0x4E00 + 260)))


@_case()
async def type_what_would_hurt_a_shell(target: Target) -> None:
    """Quotes, dollars, backticks and semicolons are characters like others."""
    await _types(target, _HOSTILE)


@_case()
async def type_newlines_and_tabs(target: Target) -> None:
    """A newline strikes Return, a tab strikes Tab; CRLF is one newline."""
    await target.computer.type("one\n\ttwo\r\nthree\n")
    events = await target.received()
    expect_equal("the text", typed_text(events), "one\n\ttwo\nthree\n")
    struck = [event.name for event in events if event.kind == "key_down" and event.text in {"\n", "\t"}]
    expect_equal("the keys", struck, ["enter", "tab", "enter", "enter"])


@_case()
async def type_nothing(target: Target) -> None:
    """An empty text strikes no key."""
    await target.computer.type("")
    expect_equal("what arrived", [event for event in await target.received() if event.kind != "motion"], [])


@_case()
async def type_in_turn(target: Target) -> None:
    """Texts and keys that follow each other arrive in order."""
    await target.computer.type("añb")
    await target.computer.key("enter")
    await target.computer.type("漢c")
    await target.computer.key("ctrl+s")
    await target.computer.type("éz")
    events = await target.received()
    expect_equal("the text", typed_text([event for event in events if "ctrl" not in event.modifiers]), "añb\n漢céz")
