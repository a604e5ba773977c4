"""Takes the .jsonl.zst shards of a selection to token ids with one peer. Runs in the environment.

The clock runs from compressed shards to the peer's own output, a file or arrays; imports and the loading of the model
are not in it. Every document ends with the model's end-of-text id, except where a peer has no such option.
"""

import argparse
import json
import multiprocessing
import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import sentencepiece
from comparison import Clock, Reference, Unsupported, split_at, tell

SEQUENCE_LENGTH = 1024
BATCH = 1000  # documents in a call


class Pipeline(ABC):
    """Loads the model when it is made, works in `run`, and gives back its output's documents, without end ids."""

    def __init__(self, model: Path, threads: int, work: Path, out: Path) -> None:
        self.model = model
        self.threads = threads
        self.work = work
        self.out = out
        processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self.end = processor.eos_id()
        if self.end < 0:
            raise Unsupported("the model has no end-of-text id")
        self.end_piece = processor.id_to_piece(self.end)
        self.id_type = np.uint16 if processor.vocab_size() <= 1 << 16 else np.uint32

    @abstractmethod
    def run(self, shards: list[Path]) -> None: ...

    @abstractmethod
    def documents(self) -> list[np.ndarray]: ...


def decompress(shards: list[Path], jsonl: Path) -> None:
    import zstandard

    with jsonl.open("wb") as out:
        for shard in shards:
            with shard.open("rb") as compressed:
                zstandard.ZstdDecompressor().copy_stream(compressed, out)


class HuggingFaceDatasets(Pipeline):
    """`datasets`: load_dataset, then `map` in batches with `num_proc`, which tokenizes and groups into rows."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        os.environ.update(TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=str(self.out))
        import datasets
        import hugging_face

        datasets.disable_progress_bars()
        self._datasets = datasets
        self._tokenizer = hugging_face.load(self.model, self.work)
        self._rows = None

    def _to_rows(self, batch: dict) -> dict:
        ids = []
        for encoding in self._tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False):
            ids.extend(encoding.ids)
            ids.append(self.end)
        return {"input_ids": [ids[i : i + SEQUENCE_LENGTH] for i in range(0, len(ids), SEQUENCE_LENGTH)]}

    def run(self, shards: list[Path]) -> None:
        files = [str(shard) for shard in shards]
        loaded = self._datasets.load_dataset("json", data_files=files, split="train", num_proc=self.threads)
        self._rows = loaded.map(
            self._to_rows, batched=True, batch_size=BATCH, num_proc=self.threads, remove_columns=loaded.column_names
        )

    def documents(self) -> list[np.ndarray]:
        column = self._rows.data.column("input_ids").combine_chunks()
        return split_at(column.values.to_numpy(), self.end)


class Datatrove(Pipeline):
    """datatrove: JsonlReader and DocumentTokenizer under a LocalPipelineExecutor, a task a shard, no shuffling."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        import hugging_face
        from datatrove.executor import LocalPipelineExecutor
        from datatrove.pipeline.readers import JsonlReader
        from datatrove.pipeline.tokens import DocumentTokenizer

        self._classes = LocalPipelineExecutor, JsonlReader, DocumentTokenizer
        self._tokenizer = hugging_face.tokenizer_json(self.model, self.work)

    def run(self, shards: list[Path]) -> None:
        executor, reader, tokenizer = self._classes
        steps = [
            reader(str(shards[0].parent), glob_pattern="*.jsonl.zst"),
            tokenizer(
                str(self.out / "tokens"), str(self._tokenizer), eos_token=self.end_piece, shuffle_documents=False
            ),
        ]
        executor(
            steps, tasks=len(shards), workers=self.threads, logging_dir=str(self.out / "logs"), start_method="fork"
        ).run()

    def documents(self) -> list[np.ndarray]:
        documents = []
        for file in sorted((self.out / "tokens").glob("*.ds")):
            documents += split_at(np.fromfile(file, self.id_type), self.end)
        return documents


class MegatronEncoder:
    """`Encoder` of Megatron-LM's tools/preprocess_data.py, for one key and without sentence splitting."""

    processor: sentencepiece.SentencePieceProcessor

    def __init__(self, model: Path, end: int) -> None:
        self.model = model
        self.end = end

    def initializer(self) -> None:
        MegatronEncoder.processor = sentencepiece.SentencePieceProcessor(model_file=str(self.model))

    def encode(self, json_line: str) -> tuple[list[int], list[int], int]:
        document = json.loads(json_line)
        ids = MegatronEncoder.processor.encode_as_ids(document["text"])
        lengths = [len(ids)]
        if ids:
            ids.append(self.end)
            lengths[-1] += 1
        return ids, lengths, len(json_line)


class Megatron(Pipeline):
    """The loop of Megatron-LM's tools/preprocess_data.py (--append-eod, --partitions 1): a pool of processes, `imap`
    with 32 lines at a time, and the .bin and .idx files of its IndexedDatasetBuilder.

    Written out here because the package megatron-core has neither that script nor what it imports.
    """

    def run(self, shards: list[Path]) -> None:
        encoder = MegatronEncoder(self.model, self.end)
        pool = multiprocessing.Pool(self.threads, initializer=encoder.initializer)
        lengths: list[int] = []
        with (self.out / "tokens.bin").open("wb") as tokens:
            for ids, sentence_lengths, _ in pool.imap(encoder.encode, self._lines(shards), 32):
                tokens.write(np.array(ids, dtype=self.id_type).tobytes(order="C"))
                lengths.extend(sentence_lengths)
        self._write_index(lengths)
        pool.close()
        pool.join()

    @staticmethod
    def _lines(shards: list[Path]) -> Iterator[str]:
        import zstandard

        for shard in shards:  # preprocess_data.py opens .jsonl here
            with zstandard.open(shard, "rt", encoding="utf-8") as lines:
                yield from lines

    def _write_index(self, lengths: list[int]) -> None:
        width = np.dtype(self.id_type).itemsize
        with (self.out / "tokens.idx").open("wb") as index:
            index.write(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8 if width == 2 else 4, len(lengths),
                                                         len(lengths) + 1))
            index.write(np.array(lengths, np.int32).tobytes())
            index.write((np.concatenate([[0], np.cumsum(lengths)[:-1]]) * width).astype(np.int64).tobytes())
            index.write(np.arange(len(lengths) + 1, dtype=np.int64).tobytes())

    def documents(self) -> list[np.ndarray]:
        return split_at(np.fromfile(self.out / "tokens.bin", self.id_type), self.end)


class Gigatoken(Pipeline):
    """gigatoken: encode_files of a JsonlFileSource, from shards decompressed to a file (it reads no zstd), saved as one
    .npy. It appends no end ids."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        import gigatoken
        import gigatoken_loader

        self._gigatoken = gigatoken
        self._tokenizer = gigatoken_loader.load(self.model)
        self._ids = None

    def run(self, shards: list[Path]) -> None:
        import awkward

        jsonl = self.out / "text.jsonl"
        decompress(shards, jsonl)
        source = self._gigatoken.JsonlFileSource([jsonl], field="text")
        self._ids = self._tokenizer.encode_files(source, parallel=self.threads > 1)
        np.save(self.out / "tokens.npy", awkward.to_numpy(awkward.flatten(self._ids)).astype(self.id_type))

    def documents(self) -> list[np.ndarray]:
        return [ids.to_numpy() for ids in self._ids]


class MlxData(Pipeline):
    """mlx-data: a stream of lines, its own BPE with what read_bpe_from_spm makes of the model, prefetched by threads;
    from shards decompressed to a file (it reads no zstd), JSON by Python. It appends no end ids."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        import hugging_face
        import mlx.data
        from mlx.data.tokenizer_helpers import read_bpe_from_spm

        if hugging_face.model_proto(self.model).trainer_spec.model_type == hugging_face.UNIGRAM:
            raise Unsupported("its exact tokenizer is BPE only")
        self._data = mlx.data
        self._symbols, self._merges = read_bpe_from_spm(str(self.model))
        self._ids: list[np.ndarray] = []

    @staticmethod
    def _text(sample: dict) -> dict:
        text = json.loads(bytes(sample["line"]))["text"]
        return {"text": ("\u2581" + text.replace(" ", "\u2581")).encode()}

    def run(self, shards: list[Path]) -> None:
        jsonl = self.out / "text.jsonl"
        decompress(shards, jsonl)
        stream = self._data.buffer_from_vector([{"file": str(jsonl).encode()}]).to_stream()
        stream = stream.line_reader_from_key("file", "line").sample_transform(self._text)
        stream = stream.tokenize_bpe("text", self._symbols, self._merges).prefetch(64, self.threads)
        self._ids = [np.asarray(sample["text"]) for sample in stream]

    def documents(self) -> list[np.ndarray]:
        return self._ids


class Fairseq2n(Pipeline):
    """fairseq2n: read_text, JSON by Python, its SentencePiece encoder mapped on threads; from shards decompressed to a
    file (it reads no zstd)."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        try:
            import fairseq2n
            from fairseq2n.bindings.data.text.sentencepiece import SentencePieceEncoder, SentencePieceModel
            from fairseq2n.bindings.data.text.text_reader import read_text
        except (ImportError, OSError) as reason:
            raise Unsupported(str(reason)) from reason
        self._read_text = read_text
        self._encoder = SentencePieceEncoder(SentencePieceModel(self.model), suffix_tokens=[self.end_piece])
        self._ids: list = []

    def run(self, shards: list[Path]) -> None:
        jsonl = self.out / "text.jsonl"
        decompress(shards, jsonl)
        pipeline = self._read_text(jsonl).map(lambda line: json.loads(str(line))["text"])
        pipeline = pipeline.map(self._encoder, num_parallel_calls=self.threads).prefetch(16).and_return()
        self._ids = list(pipeline)

    def documents(self) -> list[np.ndarray]:
        return [ids.numpy()[:-1] for ids in self._ids]


PEERS: dict[str, Callable[..., Pipeline]] = {
    "datasets": HuggingFaceDatasets,
    "datatrove": Datatrove,
    "megatron": Megatron,
    "gigatoken": Gigatoken,
    "mlx-data": MlxData,
    "fairseq2n": Fairseq2n,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    arguments = parser.parse_args()

    peer = PEERS[arguments.peer](arguments.model, arguments.threads, arguments.work, arguments.out)
    shards = sorted((arguments.selection / "shards").iterdir())
    with Clock():
        peer.run(shards)
    documents = peer.documents()
    tokens = sum(len(ids) for ids in documents)
    reference = Reference(arguments.selection, arguments.model)
    tell(reference.text_bytes, tokens, len(documents), reference.different(documents))


if __name__ == "__main__":
    try:
        main()
    except Unsupported as reason:
        raise SystemExit(f"unsupported: {reason}") from None
