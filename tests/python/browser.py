"""A headless Chromium, driven by the DevTools protocol over two pipes."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 30.0


class Browser:
    """One page of a browser."""

    def __init__(self, requests: int, answers: int, process: subprocess.Popen[bytes]) -> None:
        self._requests, self._answers, self._process = requests, answers, process
        self._buffer = b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        answer = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = answer["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Sends a command and waits for its result; events that come before are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 16)
            if not part:
                raise RuntimeError(f"Chromium ended with status {self._process.wait()}.")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def run(self, script: str) -> Any:
        """The value of an expression in the page, of a promise when it is kept."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, scheme: str) -> None:
        """Sets what `prefers-color-scheme` tells the page."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def open(self, page: Path, ready: str) -> None:
        """Opens a file and waits until an expression is true."""
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.wait(f"document.readyState === 'complete' && ({ready})")

    def wait(self, condition: str) -> None:
        end = time.monotonic() + SECONDS
        while not self.run(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"{condition} was not true in {SECONDS} s.")
            time.sleep(0.02)

    def frame(self) -> None:
        """Waits until what was changed has been drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def point(self, selector: str, press: bool = False) -> None:
        """Moves the pointer to the middle of an element, and clicks."""
        x, y = self.run(
            f"(() => {{ const element = document.querySelector({selector!r});"
            "element.scrollIntoView({block: 'nearest'});"
            "const box = element.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        kinds = ["mouseMoved", *(["mousePressed", "mouseReleased"] if press else [])]
        for kind in kinds:
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)
        self.frame()

    def key(self, name: str) -> None:
        """Presses a key: "ArrowDown", "Enter", "Escape", " ", ..."""
        text = {"Enter": "\r", " ": " "}.get(name)
        more = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)
        self.frame()

    def screenshot(self, path: Path) -> None:
        content = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(content))

    def complaints(self) -> list[str]:
        """Errors of scripts, messages of the console, and addresses beside the page's own that
        were asked for."""
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(parameters["exceptionDetails"]))
            elif event["method"] in ("Runtime.consoleAPICalled", "Log.entryAdded"):
                found.append(json.dumps(parameters))
            elif event["method"] == "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                found += [url] if not url.startswith(("file:", "data:", "blob:")) else []
        return found

    @contextmanager
    def trace(self) -> Iterator[list[dict[str, Any]]]:
        """Fills a list with the events of a trace when the context ends."""
        found: list[dict[str, Any]] = []
        session, self._session = self._session, None
        self.call("Tracing.start", categories="devtools.timeline,toplevel")
        self._session = session
        yield found
        self._session = None
        self.call("Tracing.end")
        while not any(event["method"] == "Tracing.tracingComplete" for event in self.events):
            self.events.append(self._receive())
        self._session = session
        for event in self.events:
            if event["method"] == "Tracing.dataCollected":
                found += event["params"]["value"]
        self.events = [event for event in self.events if not event["method"].startswith("Tracing")]


def longest_frame(trace: list[dict[str, Any]]) -> float:
    """Milliseconds of script, layout and paint of the longest frame in a trace of one page.

    That is the work of the page's thread from the start of one frame to that of the next, by the
    clock of the thread: time in which other processes have the processor does not count.
    """
    names = {"FunctionCall", "EventDispatch", "UpdateLayoutTree", "Layout", "FireAnimationFrame"}
    names |= {"EvaluateScript", "RunMicrotasks", "PrePaint", "Paint", "Layerize", "HitTest"}
    frames = [event for event in trace if event["name"] == "FireAnimationFrame" and "tts" in event]
    threads = {(event["pid"], event["tid"]) for event in frames}
    done = [
        (event["tts"], event["tts"] + event.get("tdur", 0))
        for event in trace
        if event["name"] in names and (event["pid"], event["tid"]) in threads and "tts" in event
    ]
    starts = sorted(event["tts"] for event in frames)
    spent = dict.fromkeys([0, *starts], 0.0)
    end_of_last = 0.0
    marks = [0, *starts]
    at = 0
    for start, end in sorted(done):  # calls that contain others come before them
        while at + 1 < len(marks) and marks[at + 1] <= start:
            at += 1
        spent[marks[at]] += max(0.0, end - max(start, end_of_last)) / 1000
        end_of_last = max(end_of_last, end)
    return max(spent.values())


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """A new Chromium with an empty profile in this folder."""
    assert CHROMIUM is not None
    read_requests, requests = os.pipe()
    answers, write_answers = os.pipe()
    # Chromium reads commands from descriptor 3 and writes answers to 4.
    command = f'exec "$0" "$@" 3<&{read_requests} 4>&{write_answers}'
    flags = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    flags += ["--no-first-run", "--disable-gpu", "--disable-background-networking"]
    flags += ["--disable-component-update", "--disable-default-apps", "--disable-sync"]
    flags += ["--hide-scrollbars"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # which root cannot have
    process = subprocess.Popen(
        ["bash", "-c", command, CHROMIUM, *flags],
        pass_fds=(read_requests, write_answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_requests)
    os.close(write_answers)
    try:
        yield Browser(requests, answers, process)
    finally:
        os.close(requests)
        os.close(answers)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
