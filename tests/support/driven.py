"""A headless Chromium that a test drives as a person would: pages of this machine, keys, the mouse, and pictures of what it shows.

It is spoken to in Chromium's own DevTools protocol, over a pipe, so that no further library is needed and no port is opened.
"""

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from browser import CHROMIUM

SECONDS = 60  # until a page that does not do what is expected fails the test
SETTINGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]  # fmt: skip
KEYS = {" ": "Space"}


class Page:
    """A page of the browser; `requests` are the addresses that it asked for, `errors` what went wrong in it."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self._number, self._rest, self._session = 0, b"", None
        self.requests, self.errors = [], []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **values: object) -> dict:
        """Send a command and wait for its answer, noting what happens meanwhile."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            while b"\0" not in self._rest:
                more = self._in.raw.read(1 << 20)
                assert more, "the browser ended"
                self._rest += more
            line, _, self._rest = self._rest.partition(b"\0")
            said = json.loads(line)
            if said.get("id") == self._number:
                assert "error" not in said, said
                return said["result"]
            self._note(said.get("method"), said.get("params", {}))

    def _note(self, event: str | None, values: dict) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(values["exceptionDetails"].get("exception", {}).get("description", str(values)))
        elif event == "Log.entryAdded" and values["entry"]["level"] == "error":
            self.errors.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")

    def open(self, address: str) -> None:
        """Go to a page."""
        self.tell("Page.navigate", url=address)

    def value(self, expression: str) -> object:
        """What an expression of JavaScript, or its promise, gives in the page."""
        answer = self.tell("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of the first element that a CSS selector names; empty where there is none."""
        return self.value(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''")

    def wait(self, expression: str) -> object:
        """Wait until an expression is true, and give its value."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            if found := self.value(expression):
                return found
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}; errors of the page: {self.errors}")

    def press(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.tell(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=KEYS.get(key, key),
                **(text if kind == "keyDown" else {}),
            )

    def click(self, selector: str) -> None:
        """Click in the middle of the first element that a CSS selector names."""
        x, y = self.value(
            f"(box => [box.x + box.width / 2, box.y + box.height / 2])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Replace the text of an input, or the place of a slider, as typing does."""
        self.value(
            f"(input => {{ input.value = {json.dumps(text)}; input.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
            f"(document.querySelector({json.dumps(selector)}))"
        )

    def window(self, width: int, height: int, scheme: str = "light") -> None:
        """The size of the window, pixels, and whether its user likes light or dark pages."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, picture: Path) -> None:
        """Keep what the window shows as PNG."""
        picture.write_bytes(base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"]))


def _as_chromium_reads(reading: int, writing: int) -> None:
    """Let a process that begins read commands from file 3 and write answers to file 4."""
    high = [os.dup(handle) for handle in (reading, writing) for _ in range(8)]
    os.dup2(high[7], 3)
    os.dup2(high[15], 4)


@contextlib.contextmanager
def page(folder: Path) -> Iterator[Page]:
    """A new browser, whose profile lies in `folder`, with an empty page."""
    reading, to_browser = os.pipe()
    from_browser, writing = os.pipe()
    process = subprocess.Popen(
        [CHROMIUM, *SETTINGS, "--remote-debugging-pipe", f"--user-data-dir={folder / 'profile'}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(3, 4),
        preexec_fn=lambda: _as_chromium_reads(reading, writing),
    )  # fmt: skip
    os.close(reading)
    os.close(writing)
    try:
        yield Page(to_browser, from_browser)
    finally:
        process.terminate()
        process.wait()
