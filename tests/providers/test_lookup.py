"""Providers by name, bundled and third-party, and the two ways to a computer."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import pytest

from deskhand import Engine, ProbeHarness
from deskhand.errors import (
    AuthError,
    ConfigError,
    ConnectionLostError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    QuotaError,
    RateLimitedError,
)
from deskhand.harness.events import ComputerStatusChanged
from deskhand.providers import (
    ComputeProvider,
    ComputerInfo,
    ComputerSpec,
    ExternalComputer,
    attach,
    open_computer,
    provider,
    provider_names,
)
from tests.tools.recording import RecordingComputer


class ThirdParty(ComputeProvider):
    """A provider as another package might bring it."""

    name = "third"
    created: ClassVar[list[tuple[str, ComputerSpec | None, dict[str, object]]]] = []
    left = 0

    def __init__(self, *, api_key: str | None = None, timeout: float = 5.0) -> None:
        self.api_key, self.timeout = api_key, timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ThirdParty.left += 1

    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> ExternalComputer:
        self.created.append((name, spec, vendor_options))
        return RecordingComputer()

    async def get(self, computer_id: str) -> ExternalComputer:
        if computer_id != "cmp:1":
            raise NotFoundError(f"{computer_id} is not there")
        return RecordingComputer()

    async def list(self) -> list[ComputerInfo]:
        return []


class Open(ThirdParty):
    """Takes whatever it is given."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.options = options


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other packages beside this one, good and bad."""
    (tmp_path / "broken_provider.py").write_text("raise RuntimeError('no license\\nhere')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    here = __name__
    names = {
        "third": f"{here}:ThirdParty",
        "open": f"{here}:Open",
        "full": f"{here}:Full",
        "absent": "no_such_package:Provider",
        "nameless": f"{here}:Nothing",
        "function": f"{here}:installed",
        "broken": "broken_provider:Provider",
        "local": f"{here}:ThirdParty",
    }
    entries = [EntryPoint(name, value, "deskhand.providers") for name, value in names.items()]
    real = importlib.metadata.entry_points(group="deskhand.providers")
    monkeypatch.setattr("deskhand.providers.lookup.entry_points", lambda group: [*entries, *real])
    monkeypatch.delitem(sys.modules, "broken_provider", raising=False)


@pytest.mark.usefixtures("installed")
async def test_third_party_provider_is_found_by_its_entry_point() -> None:
    """With its own options; it is left again after each use."""
    assert {"third", "local"} <= set(provider_names())
    assert provider_names().count("local") == 1
    found = provider("third", api_key="k", timeout=1.5)
    assert isinstance(found, ThirdParty)
    assert (found.api_key, found.timeout) == ("k", 1.5)
    ThirdParty.created.clear()
    left = ThirdParty.left
    spec = ComputerSpec(screen=(800, 600))
    async with open_computer("third", label="mine", spec=spec, region="eu") as computer:
        assert (await computer.exec("x")).ok
    async with attach("third:cmp:1") as computer:
        assert (await computer.exec("x")).ok
    assert ThirdParty.created == [("mine", spec, {"region": "eu"})]
    assert ThirdParty.left == left + 2


@pytest.mark.usefixtures("installed")
def test_bundled_name_is_not_taken_by_another_package() -> None:
    """``local`` stays what it is, whoever registers that name."""
    assert not isinstance(provider("local"), ThirdParty)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("thrid", "no provider is called 'thrid'; did you mean 'third'?"),
        ("Local", "no provider is called 'Local'; did you mean 'local'?"),
        ("zzz", "no provider is called 'zzz'"),
        ("", "no provider is called ''"),
        ("absent", "the provider 'absent' cannot be loaded: No module named 'no_such_package'"),
        ("nameless", "the provider 'nameless' cannot be loaded"),
        ("broken", "the provider 'broken' cannot be loaded: no license ⏎ here"),
        ("function", "the provider 'function' is not a ComputeProvider"),
    ],
)
def test_provider_that_cannot_be_had_says_why(name: str, text: str) -> None:
    """One error, with the nearest name or the cause, and what to do."""
    with pytest.raises(ConfigError) as caught:
        provider(name)
    assert text in caught.value.message
    assert caught.value.hint


@pytest.mark.usefixtures("installed")
def test_unknown_option_is_refused_with_the_nearest_name() -> None:
    """Before the provider is made; one that takes anything is given it."""
    with pytest.raises(InvalidInputError, match="no option 'api_kye'; did you mean 'api_key'") as caught:
        provider("third", api_kye="k")
    assert "api_key, timeout" in str(caught.value.hint)
    with pytest.raises(InvalidInputError, match="did you mean 'pool'"):
        provider("local", pol=3)
    found = provider("open", anything=1)
    assert isinstance(found, Open)
    assert found.options == {"anything": 1}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["third:cmp:1", "third:", ":cmp"])
async def test_names_of_computers_and_of_providers_are_told_apart(name: str) -> None:
    """Each door says which is the other."""
    with pytest.raises(InvalidInputError, match="names a"):
        provider(name)
    with pytest.raises(InvalidInputError, match="names an existing computer"):
        async with open_computer(name):
            pytest.fail("it names no provider")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["third", "third:", ""])
async def test_attach_needs_an_id(name: str) -> None:
    """A provider alone is no computer."""
    with pytest.raises(InvalidInputError, match="names no computer"):
        async with attach(name):
            pytest.fail("it names no computer")


class Full(ThirdParty):
    """Has no room, or fails otherwise."""

    name = "full"
    error: ClassVar[DeskhandError]

    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> ExternalComputer:
        raise self.error


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("kind", [QuotaError, RateLimitedError, OverloadedError, ConnectionLostError])
async def test_of_several_providers_the_first_that_has_a_computer_gives_it(kind: type[DeskhandError]) -> None:
    """No quota, no capacity or no way there: the next one is asked, and the computer tells why; all are left."""
    Full.error = kind("no room", provider="full", effect="no")
    left = ThirdParty.left
    async with open_computer(["full", "third"], label="mine") as computer:
        assert computer.instead_of == (Full.error,)
        assert ThirdParty.left == left + 1
    assert ThirdParty.left == left + 2


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "error",
    [
        AuthError("a wrong key"),
        InvalidInputError("a wrong size"),
        OverloadedError("it may have been created", effect="unknown"),
        OutcomeUnknownError("nobody knows"),
    ],
)
async def test_no_other_provider_is_asked_after_a_mistake_or_what_may_have_taken_effect(error: DeskhandError) -> None:
    """A second computer beside one that nobody knows of would be paid for twice."""
    Full.error = error
    ThirdParty.created.clear()
    with pytest.raises(type(error)):
        async with open_computer(["full", "third"]):
            pytest.fail("the first one's error must come out")
    assert ThirdParty.created == []


@pytest.mark.usefixtures("installed")
async def test_name_that_is_none_is_told_before_any_provider_is_asked() -> None:
    """A slip of the pen does not wait until the others have no room."""
    ThirdParty.created.clear()
    with pytest.raises(ConfigError, match="nopp"):
        async with open_computer(["third", "nopp"]):
            pytest.fail("it must not be opened")
    assert ThirdParty.created == []


@pytest.mark.usefixtures("installed")
async def test_where_no_provider_has_a_computer_the_last_error_tells_of_all() -> None:
    """The others' messages are its notes. No name, or the name of a computer, is refused."""
    Full.error = QuotaError("no room", effect="no")
    with pytest.raises(QuotaError, match="no room") as caught:
        async with open_computer(["full", "full"]):
            pytest.fail("there is no room")
    assert caught.value.__notes__ == ["before that: no room"]
    for names in ([], ["third", "third:cmp:1"]):
        with pytest.raises(InvalidInputError):
            async with open_computer(names):
                pytest.fail("it names no provider")


@pytest.mark.usefixtures("installed")
async def test_run_records_which_provider_gave_its_computer() -> None:
    """The event with the computer's status has the providers that had none."""
    Full.error = QuotaError("no room", provider="full", effect="no")
    async with Engine() as engine:
        run = await engine.start(ProbeHarness(), ComputerSpec(), "look", provider=["full", "third"])
        await run.result()
        events = [event async for event in run.events(types=["computer.status"])]
    assert isinstance(events[0], ComputerStatusChanged)
    assert [one.model_dump() for one in events[0].data.instead_of or ()] == [{"provider": "full", "code": "quota"}]


@pytest.mark.usefixtures("installed")
async def test_attach_to_what_is_not_there() -> None:
    """The provider's own error comes out as it is, and the provider is left."""
    left = ThirdParty.left
    with pytest.raises(NotFoundError, match="cmp_2 is not there"):
        async with attach("third:cmp_2"):
            pytest.fail("it is not there")
    assert ThirdParty.left == left + 1


async def test_local_creation_refuses_unknown_options_with_the_nearest_name() -> None:
    """Before anything is started."""
    with pytest.raises(InvalidInputError, match="no option 'desktp'; did you mean 'desktop'"):
        async with open_computer("local", desktp=False):
            pytest.fail("it has no such option")
