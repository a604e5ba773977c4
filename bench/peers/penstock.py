"""What the comparison knows of Penstock: its program, its engines, its sinks."""

import hashlib
import json
import subprocess
from pathlib import Path

from measurement import MeasurementError, Sample, run_pinned

SEQUENCE_LENGTH = 1024


class Penstock:
    def __init__(self, build: Path, python: Path) -> None:
        self.program = build / "penstock"
        self.tokenizer_bench = build / "tokenizer_bench"  # may be missing
        self.python = python  # of the environment, to compare ids
        if not self.program.is_file():
            raise MeasurementError(f"{self.program} is not there: scripts/build builds it")
        self.version = self._output("--version").split()[1]
        # A build may be older than the choice between engines, or than the sink that lets go of everything.
        self.engines = ["fast", "library"] if "engine:" in self._output("stages", "tokenize") else ["library"]
        stages = [line.split()[0] for line in self._output("stages").splitlines() if line]
        self.sinks = ["write_npy", "discard"] if "discard" in stages else ["write_npy"]

    def _output(self, *arguments: str) -> str:
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=True).stdout

    def run(self, engine: str, sink: str, model: Path, selection: Path, threads: int, out: Path, timeout: float,
            lanes: int = 4) -> tuple[dict, int]:
        """Takes the selection to batches, which `write_npy` leaves in out/tokens.npy; gives summary and peak memory."""
        tokenize = {"model": str(model), "add_eos": True}
        if len(self.engines) > 1:
            tokenize["engine"] = engine
        config = {
            "threads": str(threads),
            "pipeline": [
                {"read": {"paths": str(selection / "shards" / "*.jsonl.zst"), "lanes": lanes}},
                {"parse": {"format": "jsonl", "text": "text"}},
                {"tokenize": tokenize},
                {"pack": {"batch_size": 32, "sequence_length": SEQUENCE_LENGTH}},
                {sink: {"path": str(out / "tokens.npy")} if sink == "write_npy" else {}},
            ],
        }
        config_file = out / "config.yaml"
        config_file.write_text(json.dumps(config))  # JSON is YAML
        summary_file = out / "summary.json"
        command = [str(self.program), "run", str(config_file), "--quiet", "--summary", str(summary_file)]
        _, peak = run_pinned(command, threads, timeout, {})
        summary = json.loads(summary_file.read_text())
        return summary, max(peak, summary["memory"]["peak_resident_bytes"])

    def write_reference(self, model: Path, selection: Path, threads: int, out: Path, timeout: float) -> None:
        """Puts what the library gives for the documents, in their order, where comparison.py looks for it."""
        reference = selection / f"{hashlib.sha256(model.read_bytes()).hexdigest()[:16]}.npy"
        if not reference.exists():
            self.run("library", "write_npy", model, selection, threads, out, timeout, lanes=1)
            (out / "tokens.npy").rename(reference)

    def different_documents(self, npy: Path, model: Path, selection: Path) -> dict:
        comparison = Path(__file__).resolve().with_name("comparison.py")
        command = [str(self.python), str(comparison), str(selection), str(model), "1", str(npy)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    def measure_pipeline(self, engine: str, sink: str, model: Path, selection: Path, threads: int, out: Path,
                         timeout: float) -> Sample:
        if sink != "write_npy":  # nothing stays to be compared: the same run with a file does
            self.run(engine, "write_npy", model, selection, threads, out, timeout)
        summary, peak = self.run(engine, sink, model, selection, threads, out, timeout)
        compared = self.different_documents(out / "tokens.npy", model, selection)
        return Sample(summary["wall_seconds"], summary["text_bytes"], compared["tokens"], compared["documents"],
                      compared["different"], peak)

    def measure_tokenizer(self, engine: str, model: Path, selection: Path, threads: int, out: Path,
                          timeout: float) -> Sample:
        """On one thread what tokenizer_bench calls steady; on more of them the time for which the stage `tokenize` of a
        run was busy, which includes the filling of its caches. The ids are those of the run."""
        summary, peak = self.run(engine, "write_npy", model, selection, threads, out, timeout)
        compared = self.different_documents(out / "tokens.npy", model, selection)
        if threads == 1 and self.tokenizer_bench.is_file():
            steady, peak = self._steady(engine, model, selection, out, timeout)
            seconds = steady["real_time"] / 1e3
            counted = steady["cpu_time"] / 1e3  # what its rates refer to
            text_bytes = round(steady["MB/s"] * 1e6 * counted)
            tokens = round(steady["Mtok/s"] * 1e6 * counted)
        else:
            (stage,) = [stage for stage in summary["stages"] if stage["name"] == "tokenize"]
            seconds = stage["busy_seconds"] / threads
            text_bytes = summary["text_bytes"]
            tokens = compared["tokens"]
        return Sample(seconds, text_bytes, tokens, compared["documents"], compared["different"], peak)

    def _steady(self, engine: str, model: Path, selection: Path, out: Path, timeout: float) -> tuple[dict, int]:
        file = out / "tokenizer_bench.json"
        shards = [str(shard) for shard in sorted((selection / "shards").iterdir())]
        command = [str(self.tokenizer_bench), "--benchmark_filter=steady", f"--benchmark_out={file}",
                   "--benchmark_out_format=json", "--engine", engine, str(model), *shards]
        _, peak = run_pinned(command, 1, timeout, {})
        (steady,) = json.loads(file.read_text())["benchmarks"]
        return steady, peak
