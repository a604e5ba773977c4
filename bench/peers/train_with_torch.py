#!/usr/bin/env python3
"""Trains GPT-2 with PyTorch on random tokens and tells how fast: what `gpu_bench train` is compared with.

The model is that of `lm_train` (GPT-2's architecture, tied embedding, no dropout), in PyTorch's fastest documented
way: torch.compile, scaled_dot_product_attention, bf16 autocast, fused AdamW, batches that are on the device already.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

SIZES = {"small": (768, 12, 12), "medium": (1024, 24, 16)}  # width, layers, heads


class Block(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.Linear(width, 3 * width)
        self.attn_out = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Linear(width, 4 * width)
        self.mlp_out = nn.Linear(4 * width, width)

    def forward(self, x):
        rows, length, width = x.shape
        q, k, v = (
            part.view(rows, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.attn(self.ln_1(x)).split(width, dim=2)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_out(attended.transpose(1, 2).reshape(rows, length, width))
        return x + self.mlp_out(F.gelu(self.mlp(self.ln_2(x)), approximate="tanh"))


class Transformer(nn.Module):
    def __init__(self, vocabulary: int, length: int, width: int, layers: int, heads: int):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))


def measure(options) -> dict:
    width, layers, heads = SIZES[options.model]
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    model = Transformer(options.vocabulary, options.sequence_length, width, layers, heads).cuda()
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), fused=True)
    compiled = torch.compile(model)
    shape = (options.batch_size, options.sequence_length + 1)
    ids = torch.randint(options.vocabulary, shape, device="cuda")
    pieces = options.batch_size // options.micro_batch

    def step():
        for rows in ids.split(options.micro_batch):
            with torch.autocast("cuda", dtype=torch.bfloat16):
                loss = compiled(rows[:, :-1], rows[:, 1:]) / pieces
            loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    for _ in range(options.warm_up):
        step()
    seconds = []
    for _ in range(options.repeats):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(options.steps):
            step()
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - begin) / options.steps)
    tokens = options.batch_size * options.sequence_length
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(),
        "model": options.model,
        "batch_size": options.batch_size,
        "micro_batch": options.micro_batch,
        "sequence_length": options.sequence_length,
        "vocabulary": options.vocabulary,
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
    options = parser.parse_args()
    if options.batch_size % options.micro_batch != 0:
        parser.error(f"--micro-batch: {options.micro_batch} does not divide {options.batch_size}")
    json.dump(measure(options), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
