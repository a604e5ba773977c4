#!/usr/bin/env python3
"""Ten training steps of a tiny GPT-2 in PyTorch, in double precision on the CPU: what `lm_train` is compared with.

    bench/peers/ten_steps_with_torch.py >tests/data/ten_steps_with_torch.json

Weights and tokens follow formulas, which tests/gpu/torch_steps_test.cpp has too, so that the file holds what PyTorch
found and nothing else. Attention, positions and targets end where a document does.
"""

import json
import math
import sys

import torch
from torch.nn import functional as F

VOCABULARY, LENGTH, WIDTH, LAYERS, HEADS = 61, 24, 32, 2, 2
ROWS, STEPS = 4, 10
RATE, FINAL_RATE, WARM_UP, DECAY = 0.01, 0.001, 3, 9  # as the options of lm_train
MATRICES = {"attn.c_attn": (WIDTH, 3 * WIDTH), "attn.c_proj": (WIDTH, WIDTH),
            "mlp.c_fc": (WIDTH, 4 * WIDTH), "mlp.c_proj": (4 * WIDTH, WIDTH)}  # inputs, outputs


def shapes() -> dict:
    """Of every tensor, under its name in Hugging Face's GPT-2."""
    found = {"wte.weight": (VOCABULARY, WIDTH), "wpe.weight": (LENGTH, WIDTH)}
    for layer in range(LAYERS):
        for name, shape in MATRICES.items():
            found[f"h.{layer}.{name}.weight"] = shape
            found[f"h.{layer}.{name}.bias"] = shape[1:]
        for norm in ("ln_1", "ln_2"):
            found[f"h.{layer}.{norm}.weight"] = found[f"h.{layer}.{norm}.bias"] = (WIDTH,)
    found["ln_f.weight"] = found["ln_f.bias"] = (WIDTH,)
    return found


def weights(name: str, shape: tuple) -> torch.Tensor:
    e = torch.arange(math.prod(shape), dtype=torch.float64)
    base = 1.0 if "ln_" in name and name.endswith("weight") else 0.0
    values = base + 0.2 * torch.sin(0.7 * e * e + sum(name.encode()))
    return values.float().double().view(shape).requires_grad_()  # lm_train begins with floats


def stream(num_tokens: int):
    """Tokens and the document of each: document d has 3 + 7 d % 31 tokens."""
    tokens, documents = [], []
    document = 0
    while len(tokens) < num_tokens:
        for i in range(3 + 7 * document % 31):
            tokens.append((document * document + 5 * i + i * i * document) % VOCABULARY)
            documents.append(document)
        document += 1
    return torch.tensor(tokens[:num_tokens]), torch.tensor(documents[:num_tokens])


def logits(p: dict, tokens: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
    same = documents[:, :, None] == documents[:, None, :]
    seen = same & torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    places = seen.sum(-1) - 1
    x = p["wte.weight"][tokens] + p["wpe.weight"][places]

    def linear(x, name):
        return x @ p[name + ".weight"] + p[name + ".bias"]

    def norm(x, name):
        return F.layer_norm(x, (WIDTH,), p[name + ".weight"], p[name + ".bias"])

    for layer in range(LAYERS):
        h = f"h.{layer}."
        q, k, v = (part.view(ROWS, LENGTH, HEADS, -1).transpose(1, 2)
                   for part in linear(norm(x, h + "ln_1"), h + "attn.c_attn").split(WIDTH, dim=-1))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=seen[:, None])
        x = x + linear(attended.transpose(1, 2).reshape(ROWS, LENGTH, WIDTH), h + "attn.c_proj")
        up = F.gelu(linear(norm(x, h + "ln_2"), h + "mlp.c_fc"), approximate="tanh")
        x = x + linear(up, h + "mlp.c_proj")
    return norm(x, "ln_f") @ p["wte.weight"].T


def rate(step: int) -> float:
    if step <= WARM_UP:
        return RATE * step / WARM_UP
    done = min(1.0, (step - WARM_UP) / (DECAY - WARM_UP))
    return FINAL_RATE + (RATE - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * done))


def main() -> int:
    p = {name: weights(name, shape) for name, shape in shapes().items()}
    optimiser = torch.optim.AdamW(
        [{"params": [t for t in p.values() if t.dim() > 1], "weight_decay": 0.1},
         {"params": [t for t in p.values() if t.dim() == 1], "weight_decay": 0.0}],
        betas=(0.9, 0.95), eps=1e-8)
    tokens, documents = (part.view(STEPS, ROWS, LENGTH) for part in stream(STEPS * ROWS * LENGTH))
    found = {"torch": torch.__version__, "loss": [], "accuracy": [], "gradient_norm": []}
    for step in range(STEPS):
        ids, document = tokens[step], documents[step]
        predicted = logits(p, ids, document)[:, :-1]
        scored = document[:, 1:] == document[:, :-1]
        loss = F.cross_entropy(predicted[scored], ids[:, 1:][scored])
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(p.values(), 1.0)
        for group in optimiser.param_groups:
            group["lr"] = rate(step + 1)
        optimiser.step()
        optimiser.zero_grad()
        found["loss"].append(loss.item())
        found["accuracy"].append((predicted.argmax(-1) == ids[:, 1:])[scored].double().mean().item())
        found["gradient_norm"].append(norm.item())
    found["norm_of_weights"] = {name: tensor.norm().item() for name, tensor in p.items()}
    json.dump(found, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
