"""The keyboard map's decisions, without a server."""

from __future__ import annotations

import pytest

from deskhand.errors import InvalidInputError
from deskhand.providers.local.keymap import Keymap, Stroke, key_keysym, text_keysyms

MEDIA = 0x1008FF13
SHIFT_L = 0xFFE1


def a_keymap(spare: int = 2, media: int = 1) -> Keymap:
    """Return a map with the keys a and 1, Shift, and some spare ones."""
    rows = [[ord("a"), ord("A")], [ord("1"), ord("!")], [SHIFT_L, 0], *[[0, 0]] * spare, *[[MEDIA, 0]] * media]
    return Keymap(8, rows, {10})


def test_native_keysyms_need_no_binding() -> None:
    """What the server's map holds is struck as it is, with Shift on the second level."""
    keymap = a_keymap()
    assert keymap.find(ord("a")) == Stroke(8)
    assert keymap.find(ord("!")) == Stroke(9, shift=True)
    assert keymap.find(0x01000105) is None


def test_binding_takes_empty_keys_then_media_keys_and_sticks() -> None:
    """Empty keycodes go first; what is bound stays, and a media key that gave way is bound anew when asked for."""
    keymap = a_keymap()
    assert keymap.bind([0x01000105, ord("a"), 0x01000107]) == {11: 0x01000105, 12: 0x01000107}
    assert keymap.bind([0x01000105]) == {}
    assert keymap.find(MEDIA) == Stroke(13)
    assert keymap.bind([0x01000119]) == {13: 0x01000119}
    assert keymap.find(MEDIA) is None
    assert keymap.needs_recycling([MEDIA])
    assert keymap.bind([MEDIA]) == {12: MEDIA}  # the one unused for longest


def test_recycling_never_takes_a_key_that_the_same_chunk_needs() -> None:
    """The one unused for longest is bound anew, but not one that is wanted now."""
    keymap = a_keymap()
    keymap.bind([1001, 1002, 1003])
    assert keymap.bind([1001, 1004]) == {12: 1004}
    assert keymap.find(1001) == Stroke(11)
    assert keymap.find(1002) is None


def test_chunks_fit_the_spare_keys_and_lose_nothing() -> None:
    """Every chunk binds all of its foreign keysyms at once, and together they are the text."""
    keymap = a_keymap()
    text = [1000 + number % 7 for number in range(50)] + [ord("a")] * 30
    chunks = list(keymap.chunks(text, 20))
    assert [keysym for chunk in chunks for keysym in chunk] == text
    for chunk in chunks:
        assert len(chunk) <= 20
        keymap.bind(chunk)
        assert all(keymap.find(keysym) is not None for keysym in chunk)


def test_adopting_keeps_only_what_is_still_bound() -> None:
    """After somebody changed a bound key, the binding is forgotten, and what is left goes on."""
    before = a_keymap()
    before.bind([1001, 1002])
    rows = [[ord("a"), ord("A")], [ord("1"), ord("!")], [SHIFT_L, 0], [1001, 1001], [ord("q"), ord("Q")], [MEDIA, 0]]
    after = Keymap(8, rows, {10})
    after.adopt(before)
    assert after.bound == {1001: 11}
    assert after.find(ord("q")) == Stroke(12)
    assert after.capacity == 2


@pytest.mark.parametrize(
    ("text", "keysyms"),
    [
        ("aé", [0x61, 0xE9]),
        ("€😀", [0x010020AC, 0x0101F600]),
        ("a\r\nb\n\t", [0x61, 0xFF0D, 0x62, 0xFF0D, 0xFF09]),
        ("\u00a0\u0301", [0xA0, 0x01000301]),
    ],
    ids=["latin", "beyond", "breaks", "invisible"],
)
def test_text_becomes_keysyms(text: str, keysyms: list[int]) -> None:
    """Latin-1 is its own keysym, the rest Unicode's, and line breaks are Return."""
    assert text_keysyms(text) == keysyms


def test_control_characters_cannot_be_typed() -> None:
    """What no key can type is refused."""
    with pytest.raises(InvalidInputError, match=r"U\+0085"):
        text_keysyms("a\u0085b")
    assert key_keysym("volume_up") == MEDIA
