"""The model of `lm_train` in PyTorch: GPT-2's architecture, tied embedding, no dropout."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

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

    def forward(self, x, mask):
        rows, length, width = x.shape
        q, k, v = (
            part.view(rows, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.attn(self.ln_1(x)).split(width, dim=2)
        )
        if mask is None:
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            attended = flex_attention(q, k, v, block_mask=mask)
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

    def forward(self, ids, targets, places=None, mask=None):
        """Mean loss of the targets that are not -100. Without places and mask every row is one document."""
        x = self.tokens(ids) + (self.places.weight[: ids.shape[1]] if places is None else self.places(places))
        for block in self.blocks:
            x = block(x, mask)
        logits = F.linear(self.ln_f(x), self.tokens.weight)
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))

    def load(self, tensors: dict) -> None:
        """Takes tensors under their names in Hugging Face's GPT-2, whose matrices are [inputs, outputs]."""
        names = {"wte": "tokens", "wpe": "places", "ln_f": "ln_f"}
        for layer in range(len(self.blocks)):
            for theirs, ours in {"ln_1": "ln_1", "attn.c_attn": "attn", "attn.c_proj": "attn_out", "ln_2": "ln_2",
                                 "mlp.c_fc": "mlp", "mlp.c_proj": "mlp_out"}.items():
                names[f"h.{layer}.{theirs}"] = f"blocks.{layer}.{ours}"
        state = {}
        for name, tensor in tensors.items():
            module, kind = name.removeprefix("transformer.").rsplit(".", 1)
            is_linear = ".attn." in module or ".mlp." in module
            state[names[module] + "." + kind] = tensor.T if is_linear and kind == "weight" else tensor
        self.load_state_dict(state)


def parameter_groups(model: nn.Module, weight_decay: float) -> list:
    """Matrices decay, vectors do not."""
    parameters = list(model.parameters())
    return [{"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0}]
