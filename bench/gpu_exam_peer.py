#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""PyTorch and bitsandbytes on a GPU: peers of ./dev gpu-exam. One process, one JSON line.

gpu_exam_peer.py decode MODEL fp32|fp16|bf16 eager|compiled     tokens per second of one sequence, random weights of the model's shapes
gpu_exam_peer.py prompt MODEL fp32|fp16|bf16 eager              tokens per second of a prompt of 512
gpu_exam_peer.py bitsandbytes MODEL int8|nf4                    as decode, with its layers for those of the blocks; eager, and as one CUDA graph
gpu_exam_peer.py train fp32|tf32|bf16 eager|compiled|8bit       tokens per second of full fine-tuning, GPT-2 Small's shape; 8bit: eager, with
                                                                bitsandbytes' AdamW, whose moments take 8 bits
gpu_exam_peer.py bandwidth                                      bytes a second of a sum, and of a copy (read and written)

Lean modules rather than transformers', which is slower: fused projections, a static cache of 192 positions (a prompt: 512), attention by
scaled_dot_product_attention, the next token chosen on the GPU and never waited for. compiled: torch.compile, mode reduce-overhead, which captures
CUDA graphs. bitsandbytes: the head and the embedding stay in 16 bits, as it leaves them; int8 without outliers and NF4 with FP32 scales, its
fastest forms.
"""

import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

from random_model import SHAPES

PROMPT, TIMED, LONG_PROMPT = 32, 128, 512
CAPACITY = LONG_PROMPT if "prompt" in sys.argv[1:2] else 192
BATCH, LENGTH, WARM_UP, STEPS = 8, 512, 5, 20
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def turned(x, cosines, sines):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), -1)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, mlp = shape.width, shape.mlp
        self.heads, self.kv_heads, self.llama = shape.heads, shape.kv_heads, shape.llama
        self.head = width // self.heads
        norm = nn.RMSNorm if self.llama else nn.LayerNorm
        self.norm_1, self.norm_2 = norm(width), norm(width)
        bias = not self.llama
        self.qkv = nn.Linear(width, (self.heads + 2 * self.kv_heads) * self.head, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.up, self.down = nn.Linear(width, mlp * (2 if self.llama else 1), bias=bias), nn.Linear(mlp, width, bias=bias)
        self.register_buffer("keys", torch.zeros(1, self.kv_heads, CAPACITY, self.head))
        self.register_buffer("values", torch.zeros(1, self.kv_heads, CAPACITY, self.head))

    def forward(self, x, places, mask, cosines, sines):
        rows = x.shape[1]
        query, key, value = self.qkv(self.norm_1(x)).view(1, rows, -1, self.head).transpose(1, 2).split(
            (self.heads, self.kv_heads, self.kv_heads), 1)
        if self.llama:
            query, key = turned(query, cosines, sines), turned(key, cosines, sines)
        self.keys.index_copy_(2, places, key)
        self.values.index_copy_(2, places, value)
        attended = functional.scaled_dot_product_attention(query, self.keys, self.values, attn_mask=mask, enable_gqa=self.heads != self.kv_heads)
        x = x + self.output(attended.transpose(1, 2).reshape(1, rows, -1))
        inner = self.up(self.norm_2(x))
        if self.llama:
            gate, inner = inner.chunk(2, -1)
            return x + self.down(functional.silu(gate) * inner)
        return x + self.down(functional.gelu(inner, approximate="tanh"))


class Decoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        width, heads, llama = shape.width, shape.heads, shape.llama
        self.tokens = nn.Embedding(shape.vocabulary, width)
        self.positions = None if llama else nn.Embedding(CAPACITY, width)
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.layers)])
        self.norm = (nn.RMSNorm if llama else nn.LayerNorm)(width)
        angles = torch.outer(torch.arange(CAPACITY).float(), 10000.0 ** (-torch.arange(0, width // heads, 2).float() / (width // heads)))
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())
        self.register_buffer("mask", torch.ones(CAPACITY, CAPACITY, dtype=torch.bool).tril())

    def forward(self, tokens, places):
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions(places)
        mask, cosines, sines = self.mask[places][None, None], self.cosines[places], self.sines[places]
        for block in self.blocks:
            x = block(x, places, mask, cosines, sines)
        return functional.linear(self.norm(x[:, -1:]), self.tokens.weight).argmax(-1)


def eager(call):
    """A step by step that calls `call`."""
    def start(token):
        places, last = torch.arange(PROMPT, PROMPT + TIMED).view(-1, 1), [token]

        def step(i):
            last[0] = call(last[0], places[i]).clone()
        return step
    return start


def captured(model):
    """Steps as one CUDA graph, whose token is its next input."""
    def start(token):
        token, place = token.clone(), torch.full((1,), PROMPT)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                model(token, place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            token.copy_(model(token, place))
            place.add_(1)

        def step(_, inputs=(token, place)):  # the graph reads these: they must live as long as the graph
            assert inputs
            graph.replay()
        return step
    return start


def tokens_per_s(model, form):
    """The best of three sequences. form: what makes a function of one step from the first token."""
    rates = []
    with torch.inference_mode():
        for _ in range(3):
            step = form(model(torch.full((1, PROMPT), 464), torch.arange(PROMPT)))
            for i in range(8):  # compiles, captures
                step(i)
            torch.cuda.synchronize()
            start = time.perf_counter()
            for i in range(8, TIMED):
                step(i)
            torch.cuda.synchronize()
            rates.append((TIMED - 8) / (time.perf_counter() - start))
    return max(rates)


def decoder(name, kind):
    torch.manual_seed(1)
    model = Decoder(SHAPES[name]).to(TYPES[kind]).eval()
    model.mask = model.mask.bool()
    return model


def decode(name, kind, form):
    model = decoder(name, kind)
    rate = tokens_per_s(model, eager(torch.compile(model, mode="reduce-overhead") if form == "compiled" else model))
    return {"tokens_per_s": rate, "peak_bytes": torch.cuda.max_memory_allocated(), "version": torch.__version__}


def quantized(linear, kind):
    """bitsandbytes' layer with the weights of one of PyTorch's."""
    from bitsandbytes import nn as layers  # pylint: disable=import-outside-toplevel
    sizes, weights = (linear.in_features, linear.out_features, linear.bias is not None), linear.weight.data
    if kind == "int8":
        layer = layers.Linear8bitLt(*sizes, has_fp16_weights=False, device="meta")
        layer.weight = layers.Int8Params(weights.cpu(), requires_grad=False, has_fp16_weights=False)  # quantized on their way back
    else:
        layer = layers.Linear4bit(*sizes, compute_dtype=weights.dtype, device="meta")
        layer.weight = layers.Params4bit(weights, requires_grad=False, compress_statistics=False, quant_type="nf4", module=layer)
    layer.bias = linear.bias
    return layer.to(weights.device)


def bitsandbytes(name, kind):
    import bitsandbytes as library  # pylint: disable=import-outside-toplevel
    model = decoder(name, "fp16" if kind == "int8" else "bf16")  # its int8 products give FP16
    for block in model.blocks:
        for part in ("qkv", "output", "up", "down"):
            setattr(block, part, quantized(getattr(block, part), kind))
    told = {"eager": tokens_per_s(model, eager(model)), "version": library.__version__}
    try:
        told["captured"] = tokens_per_s(model, captured(model))
    except RuntimeError as error:
        told["not_captured"] = str(error).splitlines()[0]
    return told


def prompt(name, kind, _form):
    model, seconds = decoder(name, kind), []
    with torch.inference_mode():
        tokens, places = torch.full((1, LONG_PROMPT), 464), torch.arange(LONG_PROMPT)
        for _ in range(7):
            torch.cuda.synchronize()
            start = time.perf_counter()
            model(tokens, places).item()
            seconds.append(time.perf_counter() - start)
    return {"tokens_per_s": LONG_PROMPT / statistics.median(seconds), "version": torch.__version__}


def train(kind, form):
    import train_peer  # pylint: disable=import-outside-toplevel
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    model = train_peer.Decoder(12, 0.1).train()
    if form == "8bit":
        from bitsandbytes.optim import AdamW8bit  # pylint: disable=import-outside-toplevel
        optimizer = AdamW8bit(model.parameters(), lr=1e-5, weight_decay=0.01)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    loss_of = torch.compile(model) if form == "compiled" else model
    seconds = []
    for _ in range(WARM_UP + STEPS):
        tokens = torch.randint(256, (BATCH, LENGTH))
        torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=kind == "bf16"):
            loss = loss_of(tokens)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    return {"tokens_per_s": BATCH * LENGTH / statistics.median(seconds[WARM_UP:]), "peak_bytes": torch.cuda.max_memory_allocated(),
            "version": torch.__version__}


def bandwidth():
    array = torch.ones(2**30)
    best = {"read": 0.0, "copy": 0.0}
    for what, call in (("read", array.sum), ("copy", array.clone)):
        for _ in range(6):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            call()
            end.record()
            torch.cuda.synchronize()
            best[what] = max(best[what], array.nbytes * (2 if what == "copy" else 1) / (begin.elapsed_time(end) / 1e3))
    return best


def main():
    if not torch.cuda.is_available():
        sys.exit("gpu_exam_peer.py: PyTorch finds no GPU")
    torch.set_default_device("cuda")
    which, *rest = sys.argv[1:]
    print(json.dumps({"decode": decode, "bitsandbytes": bitsandbytes, "prompt": prompt, "train": train, "bandwidth": bandwidth}[which](*rest)))


if __name__ == "__main__":
    main()
