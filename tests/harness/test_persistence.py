"""What would outlive a run is told by its name, however the name is spelt; what it composes itself cannot be."""

from __future__ import annotations

import pytest

from deskhand import Policy, ToolCall
from deskhand.harness import ApprovalRequest, Rule
from deskhand.tools import Observation
from tests.harness.driving import computer_with_screen
from tests.harness.test_policy import acting

PLACES = [
    "~/.bashrc",
    "~root/.profile",
    "$HOME/.zshenv",
    ".config/autostart/x.desktop",
    ".config/openbox/autostart",
    "/home/a/.ssh/authorized_keys",
    "/etc/cron.d/x",
    "/var/spool/cron/crontabs/a",
    "~/.config/systemd/user/x.service",
    "/etc/sudoers.d/a",
    "/etc/ld.so.preload",
    "project/.git/hooks/pre-commit",
    "/home/a/policy.toml",
    ".mcp.json",
    "~/.config/Claude/claude_desktop_config.json",
    "~/.claude/settings.json",
    "venv/lib/python3.11/site-packages/x.pth",
]
SPELLINGS = [
    "/home/a/notes/../.ssh/authorized_keys",
    "/home/a//.ssh//authorized_keys",
    "/home/a/./.ssh/./authorized_keys",
    "/proc/self/root/etc/cron.d/x",
    "/proc/1/root/home/a/.bashrc",
    "/proc/self/cwd/.bashrc",
    "/tmp/../etc/./profile.d/x.sh",
    "./.bashrc",
    " ~/.bashrc",
    "/HOME/A/.BASHRC",
]
HARMLESS = ["notes.txt", "/home/a/report.pdf", "src/profile.py", "acronyms.txt", "/tmp/bashful"]
COMMANDS = [
    "echo x >> ~/.bashrc",
    "echo x >>.bashrc",
    "cat k | tee -a /home/a/.ssh/authorized_keys",
    "crontab -l | { cat; echo x; } | crontab -",
    "sudo systemctl enable --now x",
    "X=1 at now + 1 hour",
    "true && /usr/bin/crontab f",
    "cp x ~/.ba''shrc",
    "cp x ~/.bash\\rc",
    'cp x "$HOME/.config/auto""start/x.desktop"',
]


async def asked_why(call: ToolCall) -> list[str]:
    """Let a cautious run do a call; return for what reasons a person was asked."""
    reasons: list[str] = []

    async def on_approval(request: ApprovalRequest) -> bool:
        reasons.append(request.reason)
        return False

    computer = computer_with_screen()
    await acting(call).run(computer, "go", policy=Policy.cautious(), on_approval=on_approval)
    assert computer.files == {}
    return reasons


@pytest.mark.parametrize("path", [*PLACES, *SPELLINGS])
async def test_file_that_would_outlive_the_run_is_asked_about_however_it_is_spelt(path: str) -> None:
    """Nothing is written without a person's yes, and the reason says what the file is for."""
    [reason] = await asked_why(ToolCall("write_file", {"path": path, "content": "x"}))
    assert reason.startswith("it ")


@pytest.mark.parametrize("path", HARMLESS)
async def test_file_that_is_only_a_file_is_not_asked_about(path: str) -> None:
    """A policy that asks for everything is answered without reading."""
    computer = computer_with_screen()
    harness = acting(ToolCall("write_file", {"path": path, "content": "x"}))
    await harness.run(computer, "go", policy=Policy.cautious(), on_approval=_never)
    assert list(computer.files) == [path]


async def _never(request: ApprovalRequest) -> bool:
    raise AssertionError(request.reason)


@pytest.mark.parametrize("command", COMMANDS)
async def test_command_that_plainly_outlives_the_run_can_be_refused(command: str) -> None:
    """By a rule of one's own, where other commands may run; the cautious policy asks and says why."""
    policy = Policy([Rule(verdict="deny", persists=True), Rule(verdict="allow")])
    seen: list[Observation] = []
    await acting(ToolCall("exec", {"command": command}), seen=seen).run(computer_with_screen(), "go", policy=policy)
    assert (seen[0].outcome, seen[0].effect) == ("denied", "no")
    [reason] = await asked_why(ToolCall("exec", {"command": command}))
    assert reason != "its risk is high"


async def test_code_is_looked_at_like_a_command() -> None:
    """As far as its words are plain."""
    for code in ("import os; os.system('crontab -r')", "open('/root/.bashrc', 'a').write('x')"):
        assert "its risk is high" not in await asked_why(ToolCall("python", {"code": code}))


@pytest.mark.parametrize("command", ["ls -la", "echo meet me at noon", "rm -rf build", "cat notes.txt"])
async def test_command_that_leaves_nothing_is_asked_about_for_its_risk_alone(command: str) -> None:
    """That it is a command is what is asked about."""
    assert await asked_why(ToolCall("exec", {"command": command})) == ["its risk is high"]


async def test_command_that_is_too_long_to_be_looked_through_counts_as_one_that_stays() -> None:
    """Nobody hides a name behind much text."""
    call = ToolCall("exec", {"command": "#" * 40_000 + "\ncrontab f"})
    assert await asked_why(call) == ["it is too long to be looked through"]


@pytest.mark.parametrize("path", ["a/" * 2000, "mcp" * 1000, "/mcp" * 1000, "../" * 1300])
async def test_long_path_is_looked_through_or_refused(path: str) -> None:
    """However it is made."""
    seen: list[Observation] = []
    policy = Policy([Rule(verdict="deny", persists=True)])
    call = ToolCall("write_file", {"path": path + "/.bashrc", "content": ""})
    await acting(call, seen=seen).run(computer_with_screen(), "go", policy=policy)
    assert seen[0].outcome in {"denied", "error"}
