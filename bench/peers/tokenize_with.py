"""Tokenizes the second half of a selection with one peer, once it has seen the first half. Runs in the environment.

The clock runs from texts in memory to ids in memory, as the peer gives them. The model is loaded and the first half
tokenized before, so that caches are as full as they are in a long run; the documents of the second half are new.
"""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from comparison import Clock, Reference, Unsupported, size_of, tell, texts_of

BATCH = 1000  # documents in a call, where a peer wants batches


class SentencePiece:
    def __init__(self, model: Path, threads: int, work: Path) -> None:
        import sentencepiece

        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self._threads = threads

    def prepare(self, texts: list[str]) -> list[str]:
        return texts

    def encode(self, texts: list[str]) -> list[list[int]]:
        return self._processor.encode(texts, num_threads=self._threads)

    def documents(self, encoded: list[list[int]]) -> Iterable:
        return encoded


class HuggingFaceTokenizers:
    def __init__(self, model: Path, threads: int, work: Path) -> None:
        import hugging_face

        self._tokenizer = hugging_face.load(model, work)

    def prepare(self, texts: list[str]) -> list[list[str]]:
        return [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]

    def encode(self, batches: list[list[str]]) -> list[list[int]]:
        encoded: list[list[int]] = []
        for batch in batches:
            encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            encoded.extend(encoding.ids for encoding in encodings)
        return encoded

    def documents(self, encoded: list[list[int]]) -> Iterable:
        return encoded


class Kitoken:
    def __init__(self, model: Path, threads: int, work: Path) -> None:
        import kitoken

        if threads > 1:
            raise Unsupported("the Python package encodes on one thread only")
        self._tokenizer = kitoken.Kitoken.from_sentencepiece_file(str(model))

    def prepare(self, texts: list[str]) -> list[str]:
        return texts

    def encode(self, texts: list[str]) -> list[list[int]]:
        return self._tokenizer.encode_all(texts)

    def documents(self, encoded: list[list[int]]) -> Iterable:
        return encoded


class Gigatoken:
    SEPARATOR = b"<|endoftext|>"

    def __init__(self, model: Path, threads: int, work: Path) -> None:
        import gigatoken
        import gigatoken_loader

        self._gigatoken = gigatoken
        self._parallel = threads > 1
        self._tokenizer = gigatoken_loader.load(model)

    def prepare(self, texts: list[str]):
        encoded = [text.encode() for text in texts]
        if any(self.SEPARATOR in text or not text for text in encoded):
            raise Unsupported("a document is empty, or holds the separator")
        return self._gigatoken.BytesSource(self.SEPARATOR.join(encoded), separator=self.SEPARATOR)

    def encode(self, source):
        return self._tokenizer.encode_batch(source, parallel=self._parallel)

    def documents(self, encoded) -> Iterable:
        return (ids.to_numpy() for ids in encoded)


PEERS: dict[str, Callable] = {
    "sentencepiece": SentencePiece,
    "tokenizers": HuggingFaceTokenizers,
    "kitoken": Kitoken,
    "gigatoken": Gigatoken,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()

    peer = PEERS[arguments.peer](arguments.model, arguments.threads, arguments.work)
    peer.encode(peer.prepare(texts_of(arguments.selection / "first.jsonl")))
    texts = texts_of(arguments.selection / "second.jsonl")
    prepared = peer.prepare(texts)
    with Clock():
        encoded = peer.encode(prepared)
    documents = list(peer.documents(encoded))
    tokens = sum(len(ids) for ids in documents)
    reference = Reference(arguments.selection, arguments.model)
    tell(size_of(texts), tokens, len(documents), reference.different_in_order(documents))


if __name__ == "__main__":
    try:
        main()
    except Unsupported as reason:
        raise SystemExit(f"unsupported: {reason}") from None
