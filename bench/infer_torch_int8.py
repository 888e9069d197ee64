#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""PyTorch's dynamic int8 as a peer of ./dev bench infer: GPT-2's shapes with random weights, every linear layer and the head
quantized by torch.ao.quantization.quantize_dynamic. Reads commands, one a line, and answers each with seconds:
  decode THREADS           a 32-token prompt, then 64 timed steps with argmax
  prefill TOKENS THREADS   one prompt, logits of its last token
Usage: infer_torch_int8.py gpt2|distilgpt2
"""

import sys
import time
import warnings

import torch
from torch import nn
from torch.nn import functional

WIDTH, HEADS, VOCABULARY, CONTEXT = 768, 12, 50257, 1024
PROMPT_TOKENS, DECODE_TOKENS = 32, 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.output = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x, cache, first):
        count = x.shape[0]
        query, key, value = (part.view(count, HEADS, -1).transpose(0, 1) for part in self.qkv(self.norm_1(x)).split(WIDTH, 1))
        cache[0][:, first:first + count] = key
        cache[1][:, first:first + count] = value
        seen = first + count
        attended = functional.scaled_dot_product_attention(query[None], cache[0][None, :, :seen], cache[1][None, :, :seen],
                                                           is_causal=count > 1)[0]
        x = x + self.output(attended.transpose(0, 1).reshape(count, WIDTH))
        return x + self.down(functional.gelu(self.up(self.norm_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def start(self, capacity):
        self.first = 0
        self.caches = [torch.zeros(2, HEADS, capacity, WIDTH // HEADS) for _ in self.blocks]

    def forward(self, tokens):
        """Logits of the last token. The first call may be a prompt of several tokens."""
        count = tokens.shape[0]
        x = self.tokens(tokens) + self.positions.weight[self.first:self.first + count]
        for block, cache in zip(self.blocks, self.caches):
            x = block(x, cache, self.first)
        self.first += count
        return self.head(self.norm(x[-1:]))[0]


def decode(model, threads):
    torch.set_num_threads(threads)
    model.start(PROMPT_TOKENS + DECODE_TOKENS)
    token = model(torch.full((PROMPT_TOKENS,), 464)).argmax(0, keepdim=True)
    begin = time.perf_counter()
    for _ in range(DECODE_TOKENS):
        token = model(token).argmax(0, keepdim=True)
    return time.perf_counter() - begin


def prefill(model, tokens, threads):
    torch.set_num_threads(threads)
    model.start(tokens)
    begin = time.perf_counter()
    model(torch.full((tokens,), 464))
    return time.perf_counter() - begin


def main():
    warnings.simplefilter("ignore")
    torch.manual_seed(1)
    model = Gpt2(12 if sys.argv[1] == "gpt2" else 6).eval()
    model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    with torch.inference_mode():
        for line in sys.stdin:
            command, *numbers = line.split()
            print({"decode": decode, "prefill": prefill}[command](model, *map(int, numbers)), flush=True)


if __name__ == "__main__":
    main()
