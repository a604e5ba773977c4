#!/usr/bin/env python3
"""Trains GPT-2 with PyTorch and tells how fast: what `gpu_bench train` is compared with.

The tokens are random and on the device already, or come from raw shards through a DataLoader whose workers tokenize.

The model is that of `lm_train` (GPT-2's architecture, tied embedding, no dropout), in PyTorch's fastest documented
way: torch.compile, scaled_dot_product_attention, bf16 autocast, fused AdamW.
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import sys
import time

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from torch_gpt2 import SIZES, Transformer


class Shards(IterableDataset):
    """Rows of tokens of .jsonl.zst shards, tokenized by the worker that reads them, over and over."""

    def __init__(self, paths: list, model: str, length: int):
        self.paths, self.model, self.length = paths, model, length

    def texts(self):
        import zstandard

        worker = get_worker_info()
        mine = self.paths[worker.id::worker.num_workers]
        while mine:
            for path in mine:
                with open(path, "rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as text:
                    for line in io.TextIOWrapper(text, "utf-8"):
                        yield json.loads(line)["text"]

    def __iter__(self):
        import sentencepiece

        tokenizer = sentencepiece.SentencePieceProcessor(model_file=self.model)
        pending = []
        for text in self.texts():
            pending += tokenizer.encode(text)
            pending.append(tokenizer.eos_id())
            while len(pending) > self.length:
                yield torch.tensor(pending[: self.length + 1])
                del pending[: self.length]


def batches(options):
    """The rows of one step after the other, on the device."""
    if not options.shards:
        shape = (options.batch_size, options.sequence_length + 1)
        ids = torch.randint(options.vocabulary, shape, device="cuda")
        while True:
            yield ids
    rows = Shards(options.shards, options.tokenizer, options.sequence_length)
    loader = DataLoader(rows, options.batch_size, num_workers=options.workers, pin_memory=True, prefetch_factor=4)
    for ids in loader:
        yield ids.cuda(non_blocking=True)


def processor_seconds() -> float:
    """Of this process and its workers, from /proc: they have not ended yet."""
    ticks = 0
    for pid in [os.getpid()] + [child.pid for child in multiprocessing.active_children()]:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(options) -> dict:
    width, layers, heads = SIZES[options.model]
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    model = Transformer(options.vocabulary, options.sequence_length, width, layers, heads).cuda()
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), fused=True)
    compiled = torch.compile(model)
    source = batches(options)
    pieces = options.batch_size // options.micro_batch

    def step():
        for rows in next(source).split(options.micro_batch):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = compiled(rows[:, :-1], rows[:, 1:]) / pieces
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(options.warm_up):
        step()
    seconds = []
    processor_begin, wall_begin = processor_seconds(), time.perf_counter()
    for _ in range(options.repeats):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(options.steps):
            step()
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - begin) / options.steps)
    cores = (processor_seconds() - processor_begin) / (time.perf_counter() - wall_begin)
    tokens = options.batch_size * options.sequence_length
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "model": options.model,
        "batch_size": options.batch_size,
        "micro_batch": options.micro_batch,
        "sequence_length": options.sequence_length,
        "vocabulary": options.vocabulary,
        "source": f"DataLoader, {options.workers} workers" if options.shards else "resident random tokens",
        "cores_used": cores,
        "tokens_per_second": {
            "median": tokens / statistics.median(seconds),
            "min": tokens / max(seconds),
            "max": tokens / min(seconds),
        },
        "peak_memory_bytes": torch.cuda.max_memory_allocated(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=SIZES, default="small")
    parser.add_argument("--batch-size", type=int, default=64, help="rows of a step")
    parser.add_argument("--micro-batch", type=int, default=32, help="rows at a time; divides --batch-size")
    parser.add_argument("--sequence-length", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=50304)
    parser.add_argument("--warm-up", type=int, default=5, help="steps that are not timed")
    parser.add_argument("--steps", type=int, default=10, help="steps in a timed repetition")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--shards", nargs="*", help="read these .jsonl.zst files in a DataLoader instead")
    parser.add_argument("--tokenizer", help="SentencePiece model for --shards")
    parser.add_argument("--workers", type=int, default=14, help="of the DataLoader; no more than there are shards")
    options = parser.parse_args()
    if options.shards and not options.tokenizer:
        parser.error("--shards needs --tokenizer")
    if options.batch_size % options.micro_batch != 0:
        parser.error(f"--micro-batch: {options.micro_batch} does not divide {options.batch_size}")
    json.dump(measure(options), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
