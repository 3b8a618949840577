"""Where the time of an opened page goes, noted in the browser itself: the web socket, files, and
tasks that keep the page from answering; and the processor time of all of the browser.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

NOTE = """(() => {
  const noted = window.noted = {asked: null, first: null, last: null, messages: 0, bytes: 0,
    tasks: []};
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...words) {
      super(...words);
      this.addEventListener('open', () => { noted.asked ??= performance.now(); });
      this.addEventListener('message', event => {
        noted.first ??= performance.now();
        noted.last = performance.now();
        noted.messages += 1;
        noted.bytes += event.data.byteLength ?? event.data.size ?? event.data.length;
      });
    }
  };
  new PerformanceObserver(list => list.getEntries().forEach(
    task => noted.tasks.push([task.startTime, task.duration])))
    .observe({type: 'longtask', buffered: true});
})()"""
"""For ``add_init_script``: notes the socket's messages and tasks of more than 50 ms."""
READ = """seen => {
  const {asked, first, last, messages, bytes, tasks} = window.noted;
  const files = performance.getEntriesByType('resource').filter(file => file.responseEnd <= seen);
  const sum = numbers => numbers.reduce((all, one) => all + one, 0);
  return {
    "socket open": asked, "first message": first, "last message": Math.min(last, seen),
    messages, "kB by socket": bytes / 1000, files: files.length,
    "kB by HTTP": sum(files.map(file => file.transferSize)) / 1000,
    "long tasks": sum(tasks.filter(([start]) => start < seen).map(([, took]) => took)),
  };
}"""
Trace = dict[str, float]


def trace_of(page: Any, seen: float) -> Trace:
    """What the page noted until ``seen``, milliseconds after it was opened."""
    return {name: value or 0.0 for name, value in page.evaluate(READ, seen).items()}


def words(traces: Sequence[Trace]) -> str:
    """Medians in a line, in milliseconds after the opening where nothing else is said."""
    return ", ".join(
        f"{name} {statistics.median(trace[name] for trace in traces):,.0f}" for name in traces[0]
    )


class BrowserTime:
    """Processor time of all the browser's processes in milliseconds."""

    def __init__(self, browser: Any) -> None:
        self._session = browser.new_browser_cdp_session()
        self._last: dict[int, float] = {}
        self.lap()

    def lap(self) -> float:
        """Since the last lap. What a process took that has ended since then is not counted."""
        found = self._session.send("SystemInfo.getProcessInfo")["processInfo"]
        now = {process["id"]: process["cpuTime"] for process in found}
        spent = sum(time - self._last.get(process, 0.0) for process, time in now.items())
        self._last = now
        return 1000 * spent
