"""Says what a measurement ran on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def value_in(file: str, key: str, separator: str) -> str:
    try:
        for line in Path(file).read_text().splitlines():
            name, _, value = line.partition(separator)
            if name.strip() == key:
                return value.strip().strip('"')
    except OSError:
        pass
    return "unknown"


def output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe(repository: Path) -> dict:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": value_in("/proc/cpuinfo", "model name", ":"),
        "cores": len(os.sched_getaffinity(0)),
        "memory": value_in("/proc/meminfo", "MemTotal", ":"),
        "system": value_in("/etc/os-release", "PRETTY_NAME", "="),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libsentencepiece": output_of("dpkg-query", "--show", "--showformat=${Version}", "libsentencepiece0"),
        "commit": output_of("git", "-C", str(repository), "describe", "--always", "--dirty"),
    }
