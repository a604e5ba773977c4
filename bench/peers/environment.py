"""Makes the virtual environment in which the peers run."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Environment:
    python: Path
    not_installed: dict[str, str]  # name of a requirement -> why it is not there


def requirements_of(file: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def make_environment(folder: Path, with_torch: bool) -> Environment:
    """Installs what is not installed yet. A requirement that fails is told, and the others go on."""
    requirements = requirements_of(HERE / "requirements.txt")
    if with_torch:
        requirements += requirements_of(HERE / "requirements-torch.txt")
    constraints = HERE / "constraints.txt"
    wanted = {"requirements": requirements, "python": sys.version,
              "constraints": hashlib.sha256(constraints.read_bytes()).hexdigest()}
    python = folder / "bin" / "python"
    state_file = folder / "peers.json"
    if state_file.exists():
        state = json.loads(state_file.read_text())
        if state["wanted"] == wanted:
            return Environment(python, state["not_installed"])
    print(f"installing the peers into {folder} ...", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    not_installed = {}
    if subprocess.run([*install, *requirements], capture_output=True).returncode != 0:
        for requirement in requirements:
            finished = subprocess.run([*install, requirement], capture_output=True, text=True)
            if finished.returncode != 0:
                reasons = [line for line in finished.stderr.splitlines() if line.startswith("ERROR:")]
                not_installed[requirement.partition("==")[0]] = (reasons or ["pip failed"])[0].removeprefix("ERROR: ")
    state_file.write_text(json.dumps({"wanted": wanted, "not_installed": not_installed}))
    return Environment(python, not_installed)
