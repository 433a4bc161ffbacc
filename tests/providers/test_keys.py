"""Key names: one canonical name each, many aliases, and the nearest for what is none."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand.errors import InvalidInputError
from deskhand.providers import MODIFIERS, NAMED_KEYS, parse_chord, parse_key
from deskhand.providers.keysyms import KEYSYM_NAMES, keysym_name


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("a", "a"),
        ("A", "A"),
        ("ö", "ö"),
        ("+", "+"),
        (" ", "space"),
        ("Return", "enter"),
        ("KP_Enter", "kp_enter"),
        ("Page_Up", "page_up"),
        ("Page Down", "page_down"),
        ("Prior", "page_up"),
        ("ArrowUp", "up"),
        ("ControlLeft", "ctrl"),
        ("Control_L", "ctrl"),
        ("cmd", "super"),
        ("Option", "alt"),
        ("Meta", "super"),
        ("Super_L", "super"),
        ("ISO_Level3_Shift", "altgr"),
        ("Esc", "escape"),
        ("ESCAPE", "escape"),
        ("BackSpace", "backspace"),
        ("Del", "delete"),
        ("F12", "f12"),
        ("KeyQ", "q"),
        ("Digit7", "7"),
        ("Numpad3", "kp_3"),
        ("minus", "-"),
        ("bracketleft", "["),
        ("XF86AudioMute", "volume_mute"),
    ],
)
def test_parse_key_knows_what_others_call_it(name: str, key: str) -> None:
    """Canonical, xdotool and X, web and macOS names, in any case."""
    assert parse_key(name) == key
    assert parse_key(key) == key


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("entr", "enter"), ("escpe", "escape"), ("crtl", "ctrl"), ("page_dwn", "page_down"), ("bakspace", "backspace")],
)
def test_parse_key_names_the_nearest(name: str, nearest: str) -> None:
    """A misspelt name is refused, and what was meant is said."""
    with pytest.raises(InvalidInputError, match=f"no key is called '{name}'; did you mean '{nearest}'") as caught:
        parse_key(name)
    assert caught.value.hint


def test_key_that_is_like_none_has_no_suggestion() -> None:
    """A name that shares half its letters with something is no slip of the pen."""
    with pytest.raises(InvalidInputError, match="no key is called 'foo'") as caught:
        parse_chord("ctrl+foo")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["", "\x00", "qqqqqqqq", "ab", "f99", "ctrl+s", "a; rm -rf ~", "$(id)", "a\nkeydown b", "--window", "`id`", "a b"],
)
def test_parse_key_refuses_what_is_no_key(name: str) -> None:
    """Also a chord, which is more than one."""
    with pytest.raises(InvalidInputError, match="no key is called"):
        parse_key(name)


@pytest.mark.parametrize(
    ("chord", "keys"),
    [
        ("ctrl+s", ("ctrl", "s")),
        ("ctrl+S", ("ctrl", "s")),
        ("S", ("S",)),
        ("s+ctrl", ("ctrl", "s")),
        ("Ctrl+Shift+T", ("ctrl", "shift", "t")),
        ("ctrl++", ("ctrl", "+")),
        ("+", ("+",)),
        ("ctrl+minus", ("ctrl", "-")),
        ("shift", ("shift",)),
        ("alt+Tab", ("alt", "tab")),
        ("super+Page_Up", ("super", "page_up")),
        (" ", ("space",)),
        (("ctrl", "t"), ("ctrl", "t")),
        (("+", "ctrl"), ("ctrl", "+")),
    ],
)
def test_parse_chord_puts_modifiers_first(chord: str | tuple[str, ...], keys: tuple[str, ...]) -> None:
    """Text or names; a letter's case means nothing beside a modifier."""
    assert parse_chord(chord) == keys
    assert parse_chord(keys) == keys


@pytest.mark.parametrize(
    ("chord", "text"),
    [
        ("", "empty"),
        ((), "empty"),
        ("ctrl+", "empty key"),
        ("+s", "empty key"),
        ("ctrl+ctrl", "twice"),
        ("ctrl+control", "twice"),
        ("ctrl+entr", "did you mean 'enter'"),
    ],
)
def test_parse_chord_refuses_what_is_none(chord: str | tuple[str, ...], text: str) -> None:
    """Nothing, half a chord, one key twice, unknown keys."""
    with pytest.raises(InvalidInputError, match=text):
        parse_chord(chord)


@given(st.sets(st.sampled_from(sorted(NAMED_KEYS)), min_size=1, max_size=4))
def test_parse_chord_is_stable_for_canonical_names(names: set[str]) -> None:
    """Joined and parsed again it is the same; modifiers stand first."""
    keys = parse_chord(tuple(sorted(names)))
    assert parse_chord("+".join(keys)) == keys
    assert set(keys) == names
    assert [key in MODIFIERS for key in keys] == sorted((key in MODIFIERS for key in keys), reverse=True)


@given(st.text(max_size=12))
def test_parse_key_gives_a_canonical_name_or_says_no(name: str) -> None:
    """Whatever it is given."""
    try:
        key = parse_key(name)
    except InvalidInputError:
        return
    assert key in NAMED_KEYS or len(key) == 1
    assert parse_key(key) == key


def test_every_key_has_a_name_of_x_that_is_one_word() -> None:
    """As a shell and xdotool take it; read back, it is the same key."""
    signs = [chr(code) for code in range(0x21, 0x7F)]
    assert set(KEYSYM_NAMES) == NAMED_KEYS
    for key in [*NAMED_KEYS, *signs]:
        assert re.fullmatch("[A-Za-z0-9_]+", keysym_name(key)), key
        assert parse_key(keysym_name(key)) == key


@pytest.mark.parametrize(("key", "name"), [("é", "U00E9"), ("漢", "U6F22"), ("😀", "U1F600")])
def test_character_beyond_ascii_has_its_number_as_name(key: str, name: str) -> None:
    """X knows every character by its code point."""
    assert keysym_name(key) == name
