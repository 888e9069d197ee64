#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Full fine-tuning of a GPT-2 shape with plain PyTorch: the peer of ./dev bench train. One process, one JSON line of figures.

A lean module rather than transformers' (which is slower): fused projections, one additive mask, cross-entropy on all positions,
AdamW with the foreach implementation (fused, where PyTorch has it for processors), clipping, dropout.
train_peer.py TEXT LAYERS STEPS WARM_UP THREADS DROPOUT fp32|bf16 eager|compiled   on the windows of file TEXT, in the engine's order
                                                                bf16: under autocast; compiled: by torch.compile
train_peer.py gemm THREADS fp32|bf16                            FLOP/s of its best product of cubes
"""

import json
import pathlib
import re
import sys
import time

import torch
from torch import nn
from torch.nn import functional

import squad_data

WIDTH, HEADS, VOCABULARY, CONTEXT, BATCH, LENGTH = 768, 12, 50257, 1024, 4, 256


class Block(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.output = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = dropout

    def drop(self, x):
        return functional.dropout(x, self.dropout, self.training)

    def forward(self, x, mask):
        batch, length, _ = x.shape
        query, key, value = (part.view(batch, length, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norm_1(x)).split(WIDTH, 2))
        if hasattr(functional, "scaled_dot_product_attention"):
            attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True,
                                                               dropout_p=self.dropout if self.training else 0.0)
        else:
            scores = query @ key.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + mask
            attended = self.drop(scores.softmax(-1)) @ value
        x = x + self.drop(self.output(attended.transpose(1, 2).reshape(batch, length, WIDTH)))
        return x + self.drop(self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh")))


class Decoder(nn.Module):
    def __init__(self, layers, dropout):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList([Block(dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = dropout

    def forward(self, tokens):
        length = tokens.shape[1]
        mask = torch.full((length, length), float("-inf")).triu_(1)
        x = functional.dropout(self.tokens(tokens) + self.positions.weight[:length], self.dropout, self.training)
        for block in self.blocks:
            x = block(x, mask)
        logits = self.norm(x) @ self.tokens.weight.t()
        return functional.cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), tokens[:, 1:].reshape(-1))


def peak_mib():
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)) / 1024


def gemm_flops(threads, precision):
    """The best of several products of each size: the limit for products without the rest of a step."""
    torch.set_num_threads(threads)
    best = 0.0
    for size in (1024, 2048, 4096):
        left, right = (torch.randn(size, size).to(torch.bfloat16 if precision == "bf16" else torch.float32) for _ in range(2))
        for _ in range(8):
            start = time.perf_counter()
            left @ right
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def adamw(model):
    try:
        return torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, foreach=True)


def main():
    if sys.argv[1] == "gemm":
        print(json.dumps({"flops": gemm_flops(int(sys.argv[2]), sys.argv[3]), "version": torch.__version__}))
        return
    text = pathlib.Path(sys.argv[1]).read_bytes()
    layers, steps, warm_up, threads = (int(value) for value in sys.argv[2:6])
    dropout = float(sys.argv[6])
    precision, form = sys.argv[7:]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    libraries_mib = peak_mib()
    model = Decoder(layers, dropout).train()
    optimizer = adamw(model)
    loss_of = torch.compile(model) if form == "compiled" else model
    windows = torch.tensor(list(text)).view(-1, LENGTH)  # a token is a byte
    order = squad_data.epoch_order([[i] for i in range(len(windows))], seed=0, epoch=0)
    seconds = []
    for step in range(warm_up + steps):
        tokens = windows[order[step * BATCH:(step + 1) * BATCH]]
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = loss_of(tokens)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"step_seconds": seconds[warm_up:], "peak_mib": peak_mib(), "libraries_mib": libraries_mib,
                      "version": torch.__version__, "tokens": BATCH * LENGTH}))


if __name__ == "__main__":
    main()
