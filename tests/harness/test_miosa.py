"""The loop for MIOSA's models: over a socket to the simulated vendor, in every shape that it may answer in."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from deskhand import Engine, MiosaModelHarness, RunResult
from deskhand.errors import ConfigError, InvalidInputError
from deskhand.harness import Patience
from deskhand.providers import Click
from deskhand.testing.models import FakeOpenAI, FakeTurn, ModelView, Script, text, tool_use
from deskhand.testing.models.server import serve_loopback
from deskhand.testing.models.wire import WireAnswer, WireRequest
from deskhand.testing.simulators import MiosaSimulator
from deskhand.testing.simulators.miosa.dialect import MiosaDialect
from tests.harness.driving import small_computer
from tests.tools.recording import RecordingComputer

KEY_HINT = "export MIOSA_API_KEY=msk_i_...  # an intelligence key: the models take no other"

AT_ONCE = Patience(base=0)
VARIABLES = ("API_KEY", "ACCESS_TOKEN", "BASE_URL", "TENANT", "AI_GATEWAY_URL", "AI_GATEWAY_KEY")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*(f"MIOSA_{name}" for name in VARIABLES), "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def click_once(view: ModelView) -> FakeTurn:
    """Play a model that clicks and is done."""
    return FakeTurn("Done.") if view.turn else FakeTurn([text("Ich klicke, ö."), tool_use("left_click", x=10, y=20)])


@asynccontextmanager
async def simulated(script: Script = click_once, **dialect: Any) -> AsyncIterator[MiosaSimulator]:
    """Serve the vendor; nothing went wrong inside it."""
    async with MiosaSimulator(model=script, dialect=MiosaDialect(**dialect)) as simulator:
        yield simulator
        assert [*simulator.errors] == []


async def run(simulator: MiosaSimulator, computer: RecordingComputer | None = None, **settings: Any) -> RunResult[str]:
    """Run the loop without waiting between attempts."""
    settings = {"api_key": simulator.models_key, "base_url": simulator.base_url, "patience": AT_ONCE, **settings}
    result: RunResult[str] = await MiosaModelHarness(**settings).run(computer or small_computer(), "Go.")
    return result


@pytest.mark.parametrize("models", ["events", "whole"])
async def test_model_uses_a_computer_whether_the_answer_comes_in_pieces_or_whole(models: str) -> None:
    """A server that does not stream, though it was asked to, is understood as well."""
    computer = small_computer()
    async with simulated(models=models) as simulator:
        result = await run(simulator, computer)
        assert (result.outcome, result.output, result.turns) == ("completed", "Done.", 2), result.error
        asked = [request.body for request in simulator.asked("chat")]
    assert computer.performed == [Click(10, 20)]
    assert result.usage.output > 0
    assert [isinstance(body, dict) and (body["model"], body["stream"]) for body in asked] == [("gpt-6-astra", True)] * 2


async def test_another_makers_model_is_asked_by_its_name() -> None:
    """What a name stands for is the vendor's business."""
    async with simulated() as simulator:
        assert (await run(simulator, model="glm-5.2:cloud")).outcome == "completed"
        unknown = await run(simulator, model="no-such")
    assert unknown.error is not None
    assert (unknown.error.code, "name a model" in str(unknown.error.hint)) == ("not_found", True)


async def test_key_address_and_tenant_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the vendor's computers, a token counts before a key; nothing of another vendor's account goes along."""
    async with simulated() as simulator:
        simulator.add_tenant("theirs")
        monkeypatch.setenv("MIOSA_BASE_URL", simulator.origin)
        monkeypatch.setenv("MIOSA_API_KEY", "msk_i_wrong")
        monkeypatch.setenv("MIOSA_ACCESS_TOKEN", simulator.models_key)
        monkeypatch.setenv("MIOSA_TENANT", "theirs")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-vendor")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-vendor")
        monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-another-vendor")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer sk-of-another-vendor")
        result = await MiosaModelHarness().run(small_computer(), "Go.")
        assert result.outcome == "completed", result.error
        headers = [request.headers for request in simulator.asked("chat")]
    assert [one["x-miosa-tenant"] for one in headers] == ["theirs"] * 2
    assert "of-another-vendor" not in str(headers)


async def test_models_own_address_and_key_count_first_as_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the vendor's machines the key for everything else does not open the models; what is given counts before."""
    async with simulated() as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        assert (await MiosaModelHarness().run(small_computer(), "Go.")).outcome == "completed"
        given = await MiosaModelHarness(api_key="msk_i_wrong").run(small_computer(), "Go.")
        monkeypatch.delenv("MIOSA_AI_GATEWAY_KEY")
        half = await MiosaModelHarness().run(small_computer(), "Go.")
    assert given.error is not None
    assert half.error is not None
    assert (given.error.code, half.error.code) == ("auth", "permission_denied")
    assert "msk_i_" in str(half.error.hint)


async def test_missing_key_is_told_before_anything_is_asked() -> None:
    """The error says what to do, and names nobody else's key."""
    result = await MiosaModelHarness(base_url="http://127.0.0.1:9").run(small_computer(), "Go.")
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("config", KEY_HINT)
    assert "MIOSA's models" in result.error.message


def test_settings_that_contradict_each_other_are_refused() -> None:
    """At once, not in the middle of a run."""
    with pytest.raises(InvalidInputError):
        MiosaModelHarness(api_key="msk_i_a", access_token="b")
    with pytest.raises(InvalidInputError):
        MiosaModelHarness(tenant="a\nb")
    with pytest.raises(ConfigError):
        MiosaModelHarness(client=FakeOpenAI([]).client(), api_key="msk_i_a")


WRONG = "msk_i_wrong-and-secret"


def no_credit(simulator: MiosaSimulator) -> dict[str, Any]:
    simulator.set_balance(0)
    return {}


def capped(simulator: MiosaSimulator) -> dict[str, Any]:
    simulator.fail(402, route="chat", extra={"code": "TEAM_MEMBER_CAP_REACHED"})
    return {}


def too_large(simulator: MiosaSimulator) -> dict[str, Any]:
    simulator.fail(400, route="chat", extra={"code": "context_length_exceeded"})
    return {}


REFUSALS: dict[str, tuple[Any, str, str]] = {
    "key": (lambda _: {"api_key": WRONG}, "auth", KEY_HINT),
    "kind of key": (lambda simulator: {"api_key": simulator.key}, "permission_denied", "msk_i_"),
    "tenant": (lambda _: {"tenant": "nobody"}, "permission_denied", ""),
    "credit": (no_credit, "quota", "top it up"),
    "cap": (capped, "quota", "ask whoever set"),
    "context": (too_large, "budget_exceeded", ""),
}
"""What the vendor refuses for good, the error's code, and what to do about it."""


@pytest.mark.parametrize("errors", ["nested", "flat"])
@pytest.mark.parametrize("what", REFUSALS)
async def test_lasting_refusals_are_told_once_in_the_vendors_words(what: str, errors: str) -> None:
    """In both shapes of its errors: the code says what it is, the text goes along, and no key is named but its own."""
    arrange, code, hint = REFUSALS[what]
    async with simulated(errors=errors) as simulator:
        result = await run(simulator, **arrange(simulator))
        assert len(simulator.asked("chat")) == 1
        said = simulator.asked("chat")[0].error
    assert result.error is not None
    assert (result.error.code, result.turns) == (code, 0)
    assert "MIOSA's models answered" in result.error.message
    assert str(said) in result.error.message
    assert hint in str(result.error.hint)
    assert result.error.request_id or errors == "flat"  # (where a planned refusal tells none)
    assert "OPENAI" not in f"{result.error}"
    assert WRONG not in f"{result.error}"


@pytest.mark.parametrize("extra", [{"retry_after_ms": 86_400_000}, {"retry_after": 86_400}, {"retry_after": "86400"}])
@pytest.mark.parametrize("errors", ["nested", "flat"])
async def test_wait_that_stands_in_the_error_is_heeded(extra: dict[str, Any], errors: str) -> None:
    """A wait of a day ends the run at once and says so; a short one is waited for."""
    async with simulated(errors=errors) as simulator:
        simulator.fail(429, route="chat", extra=extra)
        with anyio.fail_after(20):
            result = await run(simulator)
        assert result.error is not None
        assert result.error.code == "rate_limited"
        assert "It asks to wait 8" in result.error.message
        simulator.fail(429, route="chat", extra={"retry_after_ms": 5})
        patient = await run(simulator, patience=Patience(base=3600, ceiling=3600))
    assert patient.outcome == "completed"


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_passing_failures_are_outlasted(status: int) -> None:
    """What a server may recover from is asked again."""
    async with simulated() as simulator:
        simulator.fail(status, route="chat", times=2)
        assert (await run(simulator)).outcome == "completed"
        assert len(simulator.asked("chat")) == 4


@pytest.mark.parametrize("models", ["events", "whole"])
async def test_cut_answer_is_asked_for_again_and_nothing_of_it_runs(models: str) -> None:
    """A run goes on after a cut answer as if it had never come."""
    computer = small_computer()
    async with simulated(models=models) as simulator:
        simulator.cut(after=150, route="chat")
        result = await run(simulator, computer)
        assert (result.outcome, result.turns) == ("completed", 2), result.error
        simulator.cut(after=150, route="chat", times=9)
        cut = await run(simulator)
    assert computer.performed == [Click(10, 20)]
    assert cut.error is not None
    assert cut.error.code in {"truncated_stream", "connection_lost"}


async def test_page_of_a_proxy_is_told_with_what_to_look_at() -> None:
    """What stands in the way is repeated in short."""
    async with simulated() as simulator:
        simulator.respond(route="chat")
        page = await run(simulator)
        simulator.respond(b'{"ok": true}', content_type="application/json", route="chat")
        other = await run(simulator)
        assert len(simulator.asked("chat")) == 2
    for result, said in ((page, "Please sign in"), (other, '{"ok": true}')):
        assert result.error is not None
        assert (result.error.code, said in result.error.message) == ("protocol", True)
        assert "MIOSA_BASE_URL" in str(result.error.hint)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"error": {"code": "rate_limited", "message": "slow down"}}, "completed"),
        (
            {"choices": [{"message": {"role": "assistant", "content": "Hi"}}]},
            "completed",
        ),  # (it does not say why it ends)
        ({"choices": []}, "failed"),
        (
            {"data": {"choices": [{"message": {"content": "In an envelope."}, "finish_reason": "stop"}]}},
            "In an envelope.",
        ),
    ],
    ids=["error", "unended", "empty", "envelope"],
)
async def test_whole_answers_are_read_as_strictly_as_streamed_ones(body: object, outcome: str) -> None:
    """What may pass is asked again, what is no answer is told, and an envelope is opened."""
    async with simulated() as simulator:
        simulator.respond(json.dumps(body).encode(), content_type="application/json", route="chat")
        result = await run(simulator)
    assert outcome in {result.outcome, result.output}, result.error


@pytest.mark.parametrize(("announced", "code"), [(True, "protocol"), (False, "payload_too_large")])
async def test_whole_answer_is_held_in_bounds(announced: bool, code: str) -> None:
    """One that says how large it is is not read at all, any other no further than one event may go."""
    sent = 0

    async def endless() -> AsyncGenerator[bytes, None]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * (1 << 20)

    async def answer(request: WireRequest) -> WireAnswer:
        del request
        kind = {"content-type": "application/json"}
        return WireAnswer(200, kind, b" " * (9 << 20) if announced else endless())

    async with serve_loopback(answer) as base_url:
        harness = MiosaModelHarness(api_key="msk_i_a", base_url=base_url, patience=AT_ONCE)
        with anyio.fail_after(30):
            result = await harness.run(small_computer(), "Go.")
    assert result.error is not None
    assert result.error.code == code
    assert sent < 64


async def test_key_goes_to_no_other_address() -> None:
    """A redirect is not followed, but told."""
    elsewhere: list[WireRequest] = []

    async def other(request: WireRequest) -> WireAnswer:
        elsewhere.append(request)
        return WireAnswer(200, {}, b"")

    async with serve_loopback(other) as address:

        async def moved(request: WireRequest) -> WireAnswer:
            return WireAnswer(307, {"location": f"{address}{request.path}"}, b"")

        async with serve_loopback(moved) as base_url:
            result = await MiosaModelHarness(api_key="msk_i_a", base_url=base_url).run(small_computer(), "Go.")
    assert result.error is not None
    assert (result.error.code, elsewhere) == ("config", [])
    assert "MIOSA_BASE_URL" in str(result.error.hint)


async def test_stopped_run_leaves_its_answer_at_once() -> None:
    """In the middle of an answer that goes on without end."""
    computer = small_computer()
    async with simulated() as simulator, Engine() as engine:
        simulator.stall(after=200, route="chat")
        harness = MiosaModelHarness(api_key=simulator.models_key, base_url=simulator.base_url)
        started = await engine.start(harness, computer, "Go.")
        with anyio.fail_after(20):
            await simulator.until_asked("chat")
            await started.stop(now=True)
            result = await started.result()
    assert (result.outcome, computer.performed) == ("stopped", [])
