"""A computer of your own in six lines; the README's first program. Needs an X server for the click and the picture."""

import asyncio

from deskhand import open_computer


async def main() -> None:
    """Run a command, click, take a picture."""
    async with open_computer("local") as computer:
        print((await computer.exec("uname -sm")).output)
        await computer.left_click(640, 400)
        picture = await computer.screenshot()
        print(len(picture), "bytes of PNG")


asyncio.run(main())
