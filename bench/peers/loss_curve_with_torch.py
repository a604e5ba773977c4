#!/usr/bin/env python3
"""Trains GPT-2 with PyTorch on batches of ours from weights of ours and prints the loss of every step as JSON.

What `lm_train`'s loss curve is laid beside. Attention, positions and targets end where a document does, as there;
bf16 autocast, fp32 weights, AdamW, warm-up and cosine decay as in the configuration.
"""

import argparse
import json
import math
import struct
import sys
import time

import numpy
import torch
from torch import nn
from torch.nn.attention.flex_attention import create_block_mask

from torch_gpt2 import SIZES, Transformer, parameter_groups


def read_safetensors(path: str) -> dict:
    """F32 tensors by name. Format: 8 bytes length, JSON, the tensors."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        content = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = numpy.frombuffer(content[begin:end], "<f4").reshape(entry["shape"])
        tensors[name] = torch.from_numpy(array.copy())
    return tensors


def rate(options, step: int) -> float:
    if step <= options.warmup_steps:
        return options.learning_rate * step / options.warmup_steps
    done = min(1.0, (step - options.warmup_steps) / (options.decay_steps - options.warmup_steps))
    final = options.final_learning_rate
    return final + (options.learning_rate - final) * 0.5 * (1 + math.cos(math.pi * done))


def with_documents(rows: torch.Tensor, eos: int):
    """Inputs, targets, places in the document, and the mask of rows with shifted targets; a document ends with eos."""
    ids, following = rows[:, :-1], rows[:, 1:]
    document = torch.zeros_like(ids)
    document[:, 1:] = (ids[:, :-1] == eos).cumsum(1)
    targets = following.clone()
    # The last position's target is its row's last token, whatever document that is of.
    targets[:, :-1][document[:, 1:] != document[:, :-1]] = -100
    index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    begins = torch.where(torch.cat([torch.ones_like(ids[:, :1], dtype=torch.bool),
                                    document[:, 1:] != document[:, :-1]], 1), index, 0).cummax(1).values

    def seen(row, _head, query, key):
        return (document[row, query] == document[row, key]) & (query >= key)

    return ids, targets, index - begins, create_block_mask(seen, ids.shape[0], None, ids.shape[1], ids.shape[1])


def train(options) -> dict:
    width, layers, heads = SIZES[options.model]
    tensors = read_safetensors(options.weights)
    vocabulary, length = len(tensors["transformer.wte.weight"]), len(tensors["transformer.wpe.weight"])
    torch.set_float32_matmul_precision("high")
    model = Transformer(vocabulary, length, width, layers, heads).cuda()
    model.load(tensors)
    optimiser = torch.optim.AdamW(parameter_groups(model, 0.1), betas=(0.9, 0.95), fused=True)
    compiled = torch.compile(model)
    rows = numpy.load(options.tokens, mmap_mode="r")
    losses, begin = [], time.perf_counter()
    for step in range(options.steps):
        batch = rows[step * options.batch_size:(step + 1) * options.batch_size].astype(numpy.int64)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = compiled(*with_documents(torch.from_numpy(batch).cuda(), options.eos))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = rate(options, step + 1)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.detach())
    return {"torch": torch.__version__, "device": torch.cuda.get_device_name(),
            "loss": torch.stack(losses).tolist(), "seconds": time.perf_counter() - begin}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="safetensors file that training begins with")
    parser.add_argument("tokens", help="what write_npy wrote with pack.shifted_targets and tokenize.add_eos")
    parser.add_argument("--eos", type=int, default=2, help="id behind each document")
    parser.add_argument("--model", choices=SIZES, default="small")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    parser.add_argument("--warmup-steps", type=int, default=100)
    parser.add_argument("--decay-steps", type=int, default=1000)
    parser.add_argument("--final-learning-rate", type=float, default=6e-5)
    json.dump(train(parser.parse_args()), sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
