"""The demonstration's script in OpenAI's words: by the vendor's own runner, by a bare loop, by the bundled loops."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from openai import AsyncOpenAI
from openai.lib.computer import AsyncComputerToolset
from openai.lib.responses_tool_runner import AsyncRegisteredFunction, AsyncResponsesToolRunner

from deskhand import (
    ExternalComputer,
    Harness,
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
    ToolRegistry,
    computer_tools,
    open_computer,
)
from deskhand.demo import GOAL, scripted_openai, scripted_openai_functions, verify
from deskhand.demo.pretend import PretendDesktop
from deskhand.providers import Click, Drag, InputAction, Key, Move, Scroll, Type, Wait

MODEL = "gpt-5.5"
NOTCH = 120


async def data_url(computer: ExternalComputer) -> str:
    """What a computer's screen shows, as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(await computer.screenshot()).decode()}"


class Driver:
    """A computer as the vendor's toolset wants it."""

    def __init__(self, computer: ExternalComputer) -> None:
        self._computer = computer

    async def _perform(self, action: Any) -> None:
        made: dict[str, Callable[[], InputAction]] = {
            "click": lambda: Click(action.x, action.y),
            "move": lambda: Move(action.x, action.y),
            "drag": lambda: Drag(tuple((point.x, point.y) for point in action.path)),
            "scroll": lambda: Scroll(action.x, action.y, action.scroll_x // NOTCH, action.scroll_y // NOTCH),
            "keypress": lambda: Key("+".join(key.lower() for key in action.keys)),
            "type": lambda: Type(action.text),
            "wait": lambda: Wait(0.01),
        }
        await self._computer.perform(made[action.type]())

    click = double_click = drag = keypress = move = scroll = type = wait = _perform

    async def screenshot(self) -> Any:
        """Returns what the screen shows."""
        return {"type": "computer_screenshot", "image_url": await data_url(self._computer)}


async def test_script_plays_through_the_computer_tool() -> None:
    """The vendor's own runner does the whole demonstration with the computer tool and one function."""
    async with PretendDesktop() as computer, scripted_openai() as client:
        tools = computer_tools(computer)
        offered: list[Any] = [tool for tool in tools.openai_tools("responses") if tool["name"] == "exec"]

        async def run(arguments: dict[str, Any]) -> str:
            return (await tools.dispatch(computer, "exec", arguments)).text

        runner = AsyncResponsesToolRunner(
            computer=AsyncComputerToolset(Driver(computer)), functions=[AsyncRegisteredFunction(offered[0], run)]
        )
        params: Any = {"model": MODEL, "input": GOAL, "store": False}
        with anyio.fail_after(60):
            response = await runner.run(client, params, max_steps=100)
        verdict = await verify(computer)
        assert response.output_text.startswith("Done: ")
        assert verdict.ok, str(verdict)


async def test_script_plays_through_functions() -> None:
    """A loop over Chat Completions that only knows functions does the whole demonstration, with strict schemas."""
    async with PretendDesktop() as computer, scripted_openai_functions() as client:
        with anyio.fail_after(60):
            said = await play_functions(client, computer_tools(computer), computer)
        verdict = await verify(computer)
        assert said.startswith("Done: ")
        assert verdict.ok, str(verdict)


async def play_functions(client: AsyncOpenAI, tools: ToolRegistry, computer: ExternalComputer) -> str:
    """Answers function calls until there are none, and returns the last words."""
    messages: list[Any] = [{"role": "user", "content": GOAL}]
    offered: Any = tools.openai_tools("chat")
    while True:
        completion = await client.chat.completions.create(model=MODEL, messages=messages, tools=offered)
        message: Any = completion.choices[0].message
        if not message.tool_calls:
            return str(message.content)
        messages.append(message.to_dict())
        images: list[Any] = []
        for call in message.tool_calls:
            output = await tools.dispatch(computer, call.function.name, call.function.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": output.text or "done"})
            if output.image is not None:
                images.append({"type": "image_url", "image_url": {"url": await data_url(computer)}})
        if images:
            messages.append({"role": "user", "content": images})


Served = Callable[[], AbstractAsyncContextManager[AsyncOpenAI]]
Loop = Callable[[AsyncOpenAI], Harness[str]]
LOOPS: dict[str, tuple[Served, Loop]] = {
    "computer": (scripted_openai, lambda client: OpenAIComputerUseHarness(client=client)),
    "computer, kept": (scripted_openai, lambda client: OpenAIComputerUseHarness(client=client, keep_on_server=True)),
    "functions": (scripted_openai_functions, lambda client: OpenAIFunctionHarness(client=client)),
    "functions, chat": (scripted_openai_functions, lambda client: OpenAIFunctionHarness(client=client, api="chat")),
}
loops = pytest.mark.parametrize(("served", "loop"), LOOPS.values(), ids=LOOPS)


async def play(computer: ExternalComputer, served: Served, loop: Loop) -> None:
    """Plays the demonstration by one loop, and checks what it left on the machine."""
    with anyio.fail_after(60):
        async with served() as client:
            result = await loop(client).run(computer, GOAL)
    verdict = await verify(computer)
    assert (result.outcome, str(result.output)[:6]) == ("completed", "Done: ")
    assert verdict.ok, str(verdict)


@loops
@pytest.mark.parametrize("screen", [(1280, 800), pytest.param((1920, 1080), marks=pytest.mark.slow)])
async def test_bundled_loop_plays_the_script(screen: tuple[int, int], served: Served, loop: Loop) -> None:
    """Each loop for OpenAI does the demonstration on the make-believe desktop, also where frames are scaled."""
    async with PretendDesktop(screen) as computer:
        await play(computer, served, loop)


@pytest.mark.needs_x
@loops
async def test_bundled_loop_plays_the_script_on_a_real_desktop(served: Served, loop: Loop) -> None:
    """The same on the local computer."""
    async with open_computer("local") as computer:
        await play(computer, served, loop)
