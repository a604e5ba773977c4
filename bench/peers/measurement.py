"""Runs one measurement in a process of its own, on given cores, and watches its memory."""

import json
import os
import signal
import statistics
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.2


class MeasurementError(Exception):
    """Says why a measurement came to no end."""


@dataclass(frozen=True)
class Sample:
    """What one repetition gave. All but `seconds` should be the same in every repetition."""

    seconds: float
    text_bytes: int
    tokens: int
    documents: int
    different: dict[str, int]  # documents whose ids are not those of a reference, by its name
    peak_bytes: int


@dataclass
class Series:
    """Collects the repetitions of one measurement."""

    samples: list[Sample] = field(default_factory=list)
    failure: str = ""

    def megabytes_per_second(self) -> list[float]:
        return sorted(sample.text_bytes / 1e6 / sample.seconds for sample in self.samples)

    def to_json(self) -> dict:
        if self.failure:
            return {"failure": self.failure}
        speeds = self.megabytes_per_second()
        last = self.samples[-1]
        return {
            "text_bytes": last.text_bytes,
            "documents": last.documents,
            "tokens": last.tokens,
            "different_documents": {
                name: max(sample.different[name] for sample in self.samples) for name in last.different
            },
            "seconds": [sample.seconds for sample in self.samples],
            "megabytes_per_second": statistics.median(speeds),
            "megabytes_per_second_range": [speeds[0], speeds[-1]],
            "tokens_per_second": statistics.median(speeds) * 1e6 * last.tokens / last.text_bytes,
            "peak_bytes": max(sample.peak_bytes for sample in self.samples),
        }


def resident_bytes(session: int) -> int:
    """Sum over the processes of a session; a page that two of them share counts twice."""
    pages = 0
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                pages += int((process / "statm").read_text().split()[1])
        except (OSError, IndexError):
            pass  # it has ended
    return pages * os.sysconf("SC_PAGE_SIZE")


class MemoryWatch:
    """Samples the memory of a session until it is stopped."""

    def __init__(self, session: int) -> None:
        self.peak = 0
        self._session = session
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self.peak

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, resident_bytes(self._session))


def cores(threads: int) -> list[int]:
    return sorted(os.sched_getaffinity(0))[:threads]


def run_pinned(command: list[str], threads: int, timeout: float, environment: dict[str, str]) -> tuple[list[dict], int]:
    """Runs a command on the first `threads` cores. Gives the JSON lines that it printed and its peak memory, which is
    not watched any more once the first of them is there: that line says that the clock has stopped."""
    process = subprocess.Popen(
        ["taskset", "-c", ",".join(map(str, cores(threads))), *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None and process.stderr is not None
    standard_error = process.stderr
    watch = MemoryWatch(process.pid)
    timer = threading.Timer(timeout, lambda: os.killpg(process.pid, signal.SIGKILL))
    timer.start()
    errors: list[str] = []
    error_reader = threading.Thread(target=lambda: errors.extend(standard_error))
    error_reader.start()
    lines: list[dict] = []
    try:
        for line in process.stdout:
            if line.startswith("{"):
                if not lines:
                    watch.stop()
                lines.append(json.loads(line))
        status = process.wait()
    finally:
        timer.cancel()
        peak = watch.stop()
        error_reader.join()
    if status == -signal.SIGKILL:
        raise MeasurementError(f"not done after {timeout:.0f} s, or out of memory")
    if status != 0:
        reason = ([line.strip() for line in errors if line.strip()] or ["no output"])[-1][:300]
        raise MeasurementError(reason.removeprefix("unsupported: "))
    return lines, peak
