"""The settings that a desktop gets: whole in themselves, whatever is installed beside."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from deskhand.providers.local.desktop import write_desktop_files


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home folder with the desktop's files."""
    write_desktop_files(tmp_path)
    return tmp_path


def test_every_launcher_of_the_panel_has_an_icon_of_its_own(home: Path) -> None:
    """No icon theme needs to be installed: the panel's theme and its pictures come along."""
    panel = (home / ".config/tint2/tint2rc").read_text(encoding="utf-8")
    theme = re.search(r"^launcher_icon_theme = (\w+)$", panel, re.MULTILINE)
    assert theme is not None
    launchers = re.findall(r"^launcher_item_app = (\S+)$", panel, re.MULTILINE)
    assert launchers == ["terminal.desktop", "editor.desktop", "files.desktop"]
    icons = home / ".local/share/icons" / theme[1]
    assert "Directories=48x48/apps" in (icons / "index.theme").read_text(encoding="utf-8")
    for launcher in launchers:
        entry = configparser.ConfigParser()
        entry.read(home / ".local/share/applications" / launcher, encoding="utf-8")
        with Image.open(icons / "48x48/apps" / f"{entry['Desktop Entry']['Icon']}.png") as icon:
            assert icon.size == (48, 48)


def test_window_manager_keeps_no_alt_and_button_for_itself(home: Path) -> None:
    """Alt with a click or a drag belongs to the applications, and no window manager key is in their way."""
    configuration = ET.parse(home / ".config/openbox/rc.xml")
    buttons = [element.get("button", "") for element in configuration.iter() if element.tag.endswith("mousebind")]
    assert buttons
    assert not [button for button in buttons if "-" in button]
    keys = {element.get("key") for element in configuration.iter() if element.tag.endswith("keybind")}
    assert keys == {"A-F4", "A-Tab"}
