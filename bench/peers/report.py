"""Turns results into Markdown, and puts that between the markers of a document."""

import shlex
from pathlib import Path

BEGIN = "<!-- peers: begin. Made by bench/peers/run; do not edit. -->"
END = "<!-- peers: end -->"
REFERENCES = ("library", "package")
JOBS = {
    "tokenize": "Tokenization alone",
    "pipeline": "Compressed shards to token ids",
}


def speed(result: dict) -> str:
    low, high = result["megabytes_per_second_range"]
    return f"{result['megabytes_per_second']:.1f} ({low:.1f} to {high:.1f})"


def is_exact(result: dict) -> bool:
    """Whether all ids are those of one of the references."""
    return 0 in result["different_documents"].values()


def best_peer(rows: list[dict], threads: int) -> float:
    """The speed of the fastest exact peer, 0 where there is none."""
    speeds = [row["result"]["megabytes_per_second"] for row in rows
              if row["threads"] == threads and row["peer"] != "penstock" and is_exact(row["result"])]
    return max(speeds, default=0.0)


def table(rows: list[dict], versions: dict[str, str]) -> list[str]:
    heads = ["what", "threads", "text MB/s", "M tokens/s", "against best exact peer", "documents that differ",
             "peak MB", "text MB"]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for row in sorted(rows, key=lambda row: (row["threads"], -row["result"]["megabytes_per_second"])):
        result = row["result"]
        best = best_peer(rows, row["threads"])
        mode = f", {row['mode']}" if row["mode"] else ""
        different = " / ".join(str(result["different_documents"].get(name, "?")) for name in REFERENCES)
        cells = [
            f"{row['peer']} {versions.get(row['peer'], '')}{mode}",
            str(row["threads"]),
            speed(result),
            f"{result['tokens_per_second'] / 1e6:.2f}",
            f"{result['megabytes_per_second'] / best:.2f}" if best > 0 and is_exact(result) else "",
            f"{different} of {result['documents']}",
            f"{result['peak_bytes'] / 1e6:.0f}",
            f"{result['text_bytes'] / 1e6:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def markdown(results: dict) -> str:
    machine = results["machine"]
    lines = [
        f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, {machine['system']}, Python "
        f"{machine['python']}, Penstock {machine['commit']}; medians of {results['repeats']}, with the range.",
        f"Documents that differ: from libsentencepiece {machine['libsentencepiece']} / from the package sentencepiece "
        f"{results['versions']['sentencepiece']}.",
        "",
        f"    {shlex.join(results['command'])}",
    ]
    for job, title in JOBS.items():
        groups: dict[tuple[str, str], list[dict]] = {}
        for row in results["rows"]:
            if row["job"] == job and "failure" not in row["result"]:
                groups.setdefault((row["model"], row["set"]), []).append(row)
        lines += ["", f"### {title}"] if groups else []
        for (model, set_name), rows in groups.items():
            lines += ["", f"**{model}, {set_name}**", "", *table(rows, results["versions"])]
    lines += left_out(results)
    return "\n".join(lines) + "\n"


def left_out(results: dict) -> list[str]:
    """One line for each reason for which a peer is missing, with the models and threads that it is for."""
    cases: dict[str, dict[str, None]] = {}
    for row in results["rows"]:
        if "failure" in row["result"]:
            reason = f"{row['peer']}: {row['result']['failure']}"
            cases.setdefault(reason, {})[f"{row['model']} on {row['threads']}"] = None
    lines = [f"- {reason} ({', '.join(where)})" for reason, where in cases.items()]
    lines += [f"- {name} is not installed: {reason}" for name, reason in results["not_installed"].items()]
    return ["", "### What is not in the tables", "", *lines] if lines else []


def write_between_markers(document: Path, text: str) -> None:
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document} has no lines '{BEGIN}' and '{END}'")
    document.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
