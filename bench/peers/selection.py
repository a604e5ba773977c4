"""Takes the beginning of a set of shards, in the forms that the peers read: CORPUS SET MEGABYTES FOLDER."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NUM_SHARDS = 4  # as many as `read` has lanes


def set_names(corpus: Path) -> list[str]:
    """The sets of a folder: what its shards are called before the last hyphen or underscore."""
    names = {shard.name.removesuffix(".jsonl.zst").replace("_", "-").rpartition("-")[0] or "all"
             for shard in corpus.glob("*.jsonl.zst")}
    return sorted(names)


def lines_of(shard: Path) -> Iterator[bytes]:
    with subprocess.Popen(["zstd", "-dcq", str(shard)], stdout=subprocess.PIPE) as decompressor:
        assert decompressor.stdout is not None
        yield from decompressor.stdout
        # A reader that has enough closes the pipe, and zstd may complain about that.


def documents_of(corpus: Path, set_name: str, text_bytes: int) -> list[tuple[bytes, int]]:
    """The first JSON lines whose texts make `text_bytes`, each with the size of its text."""
    documents = []
    left = text_bytes
    shards = sorted(shard for shard in corpus.glob("*.jsonl.zst")
                    if shard.name.startswith((f"{set_name}-", f"{set_name}_")))
    for shard in shards:
        for line in lines_of(shard):
            size = len(json.loads(line)["text"].encode())
            documents.append((line, size))
            left -= size
            if left <= 0:
                return documents
    return documents


def write_jsonl(path: Path, documents: list[tuple[bytes, int]]) -> None:
    path.write_bytes(b"".join(line for line, _ in documents))


def half_of(documents: list[tuple[bytes, int]]) -> int:
    """The first index at which half of the text is behind."""
    total = sum(size for _, size in documents)
    behind = 0
    for i, (_, size) in enumerate(documents):
        if 2 * behind >= total:
            return i
        behind += size
    return len(documents)


def select(corpus: Path, set_name: str, megabytes: int, folder: Path) -> None:
    """Writes first.jsonl and second.jsonl, the halves, and all of it as shards/N.jsonl.zst. What an earlier call wrote
    out of the same shards stays."""
    source = {"corpus": str(corpus.resolve()),
              "shards": {shard.name: shard.stat().st_size for shard in sorted(corpus.glob("*.jsonl.zst"))}}
    origin = folder / "origin.json"
    if origin.exists() and json.loads(origin.read_text()) == source:
        return
    shutil.rmtree(folder, ignore_errors=True)  # with the reference ids of other text
    (folder / "shards").mkdir(parents=True)
    documents = documents_of(corpus, set_name, megabytes * 1_000_000)
    middle = half_of(documents)
    write_jsonl(folder / "first.jsonl", documents[:middle])
    write_jsonl(folder / "second.jsonl", documents[middle:])
    for i in range(NUM_SHARDS):
        part = documents[i * len(documents) // NUM_SHARDS : (i + 1) * len(documents) // NUM_SHARDS]
        command = ["zstd", "-3", "-q", "-f", "-o", str(folder / "shards" / f"{i}.jsonl.zst")]
        subprocess.run(command, input=b"".join(line for line, _ in part), check=True)
    origin.write_text(json.dumps(source))


if __name__ == "__main__":
    # A process of its own: what the driver once held would count as memory of all that it starts.
    select(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
