"""What E2B answers about sandboxes, read without trusting it: nothing is made up, no address is taken as it comes."""

from __future__ import annotations

import httpx2
import pytest
from pydantic_core import to_json

from deskhand.errors import DeskhandError, ProtocolError, ProviderError
from deskhand.providers import ComputerStatus
from deskhand.providers.e2b import E2BProvider
from tests.providers.behind import shell_only
from tests.providers.e2b.parts import e2b

JSON = "application/json"
NONSENSE = (b"<html>Sign in</html>", b"", b'{"sandboxID": ', b"null", b'"x"', b'{"sandboxID": NaN}')


async def test_answers_about_a_sandbox_that_make_no_sense_are_told() -> None:
    """A page, nothing, half an object: what there is stays as it was."""
    async with e2b() as hosted:
        computer = await hosted.create()
        for body in (*NONSENSE, b"[]"):
            hosted.simulator.respond(body, route="get")
            with pytest.raises(ProtocolError) as caught:
                await computer.refresh()
            assert caught.value.effect == "no"
        for body in (*NONSENSE, b"{}"):
            hosted.simulator.respond(body, route="list")
            with pytest.raises(ProtocolError):
                await hosted.provider.list()
        hosted.simulator.respond(b'[7, null, {"sandboxID": "i1", "state": "of tomorrow"}]', route="list")
        [told] = await hosted.provider.list()
        assert (told.id, told.status) == ("i1", ComputerStatus.ERROR)
        assert computer.info.status is ComputerStatus.RUNNING


async def test_list_whose_pages_never_end_is_told() -> None:
    """The same page again and again is no list."""
    pages: list[httpx2.URL] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        pages.append(request.url)
        return httpx2.Response(200, json=[], headers={"x-next-token": "again"})

    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as own,
        E2BProvider(api_key="e2b_x", base_url="http://vendor.test", http_client=own) as provider,
    ):
        with pytest.raises(ProtocolError, match="again and again"):
            await provider.list()
    assert len(pages) == 2


@pytest.mark.parametrize("domain", ["evil.test/x", "evil.test:1", "a@evil.test", "evil.test#", " ", 7])
async def test_domain_that_is_none_is_refused(domain: object) -> None:
    """Commands and the sandbox's token would go there."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        fields = {"sandboxID": "i1", "envdAccessToken": "t", "domain": domain}
        hosted.simulator.respond(to_json(fields), route="get", content_type=JSON)
        with pytest.raises(ProtocolError, match="as a domain"):
            await hosted.provider.get("i1")
        assert (await computer.exec("true")).ok


COPIES: dict[str, tuple[bytes, type[DeskhandError], str]] = {
    "why there is none": (b'[{"error": {"code": 500, "message": "no room"}}]', ProviderError, "no"),
    "no copy": (b"[]", ProtocolError, "unknown"),
    "no id": (b'[{"sandbox": {}}]', ProtocolError, "unknown"),
    "a page": (b"<html>", ProtocolError, "unknown"),
}


@pytest.mark.parametrize("what", COPIES)
async def test_answer_to_a_copy_that_tells_of_none(what: str) -> None:
    """A reason is a refusal; anything else is a doubt, and no copy is made up."""
    body, kind, effect = COPIES[what]
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(body, route="fork", content_type=JSON)
        with pytest.raises(DeskhandError) as caught:
            await computer.clone("twin")
        assert (type(caught.value), caught.value.effect) == (kind, effect)
        assert len(hosted.simulator.asked("fork")) == 1
        assert [*hosted.simulator.computers] == [computer.info.id]


async def test_files_that_the_daemon_describes_in_nonsense_are_told() -> None:
    """No entry, sizes and times that are none; a write that is not confirmed is none."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        for entry in ({}, {"entry": 7}, {"entry": {"size": "much"}}, {"entry": {"modifiedTime": "yesterday"}}):
            hosted.simulator.respond(to_json(entry), route="stat", content_type=JSON)
            with pytest.raises(ProtocolError) as caught:
                await computer.stat("file")
            assert caught.value.effect == "no"
        hosted.simulator.respond(b'{"entries": 7}', route="list_dir", content_type=JSON)
        with pytest.raises(ProtocolError):
            await computer.list_dir(".")
        for body in (b"", b"{}", b"[]", b"<html>"):
            hosted.simulator.respond(body, route="write_file")
            with pytest.raises(ProtocolError, match="was written"):
                await computer.write_file("file", b"x")
