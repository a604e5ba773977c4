"""Reference ids, and what every adapter needs: documents in, figures and compared ids out. Runs in the environment."""

import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import sentencepiece


HALVES = ("first.jsonl", "second.jsonl")


class Unsupported(Exception):
    """Says why a peer cannot do what it was asked for."""


def texts_of(jsonl: Path) -> list[str]:
    with jsonl.open("rb") as lines:
        return [json.loads(line)["text"] for line in lines]


def size_of(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


class Reference:
    """Holds the ids of a selection's documents, half after half, as two reference implementations give them.

    `package` is the Python package sentencepiece; `library` is the system's libsentencepiece, in the tokens.npy that
    Penstock's library engine wrote. Their versions may differ, and newer ones give other ids for Unigram models.
    """

    def __init__(self, selection: Path, model: Path, threads: int = 1) -> None:
        name = hashlib.sha256(model.read_bytes()).hexdigest()[:16]
        file = selection / f"{name}.npz"
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        if not file.exists():
            halves = [texts_of(selection / half) for half in HALVES]
            texts = halves[0] + halves[1]
            documents = processor.encode(texts, num_threads=threads)
            np.savez(
                file,
                ids=np.concatenate([np.array(ids, np.uint32) for ids in documents]),
                ends=np.cumsum([len(ids) for ids in documents]),
                middle=len(halves[0]),
                text_bytes=size_of(texts),
            )
        stored = np.load(file)
        self.text_bytes = int(stored["text_bytes"])
        self._middle = int(stored["middle"])
        self._documents = {"package": np.split(stored["ids"], stored["ends"][:-1])}
        library = selection / f"{name}.npy"
        if library.exists():
            documents = split_at(np.load(library).ravel(), processor.eos_id())
            self._documents["library"] = documents[: len(self._documents["package"])]  # behind them is padding

    def different_in_order(self, documents: list) -> dict[str, int]:
        """How many documents of the second half are not as in the references."""
        return {name: compare_in_order(documents, all_of[self._middle :]) for name, all_of in self._documents.items()}

    def different(self, documents: list) -> dict[str, int]:
        """The same for all documents, in any order."""
        return {name: compare_in_any_order(documents, all_of) for name, all_of in self._documents.items()}


class Clock:
    """Measures what is inside its `with`, and tells the driver when that is over."""

    def __enter__(self) -> "Clock":
        self._begin = time.perf_counter()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.seconds = time.perf_counter() - self._begin
        if kind is None:
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(json.dumps({"seconds": self.seconds, "peak_bytes": peak}), flush=True)


def tell(text_bytes: int, tokens: int, documents: int, different: dict[str, int]) -> None:
    figures = {"text_bytes": text_bytes, "tokens": tokens, "documents": documents, "different": different}
    print(json.dumps(figures), flush=True)


def compare_in_order(documents: Iterable, reference: list[np.ndarray]) -> int:
    different = 0
    count = 0
    for ids, expected in zip(documents, reference):
        different += not np.array_equal(np.asarray(ids, np.uint32), expected)
        count += 1
    return different + len(reference) - count


def hash_of(ids: np.ndarray) -> bytes:
    return hashlib.md5(np.ascontiguousarray(ids, np.uint32).tobytes(), usedforsecurity=False).digest()


def split_at(stream: np.ndarray, end: int) -> list[np.ndarray]:
    """Documents of a stream in which the id `end` stands behind each; what follows the last one is padding."""
    ends = np.flatnonzero(stream == end)
    documents = np.split(stream, ends + 1)[:-1]
    return [document[:-1] for document in documents]


def compare_in_any_order(documents: Iterable[np.ndarray], reference: list[np.ndarray]) -> int:
    """How many documents of the reference are missing, or how many too many there are: pipelines may order documents as
    they like. Empty ones do not count, since padding with the end id looks like them."""
    difference = Counter(hash_of(ids) for ids in reference if len(ids) > 0)
    difference.subtract(hash_of(ids) for ids in documents if len(ids) > 0)
    missing = sum(count for count in difference.values() if count > 0)
    return max(missing, -sum(count for count in difference.values() if count < 0))


def main() -> None:
    """Makes a reference (SELECTION MODEL THREADS), or compares the .npy file of `penstock run` with it (... FILE)."""
    selection, model, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    reference = Reference(selection, model, threads)
    if len(sys.argv) > 4:
        end = sentencepiece.SentencePieceProcessor(model_file=str(model)).eos_id()
        documents = [ids for ids in split_at(np.load(sys.argv[4]).ravel(), end) if len(ids) > 0]  # padding is not
        tokens = sum(len(ids) for ids in documents)
        tell(reference.text_bytes, tokens, len(documents), reference.different(documents))


if __name__ == "__main__":
    main()
