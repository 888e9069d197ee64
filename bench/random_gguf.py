# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""GGUF files with random weights, without a tokenizer, as read by llama.cpp in the benches: GPT-2's block or Llama's, the head tied to the embedding."""

import array
import random
import struct

from random_model import SHAPES

GGUF_VERSION, ALIGNMENT = 3, 32
U32, F32_VALUE, TEXT = 4, 6, 8  # kinds of metadata
F32, Q4_0, Q8_0, Q6_K = 0, 2, 8, 14  # types of tensors
BLOCKS = {F32: (1, 4), Q4_0: (32, 18), Q8_0: (32, 34), Q6_K: (256, 210)}  # weights and bytes of a block
# A file's number for its format, and the types of its matrices and of its tied head, as llama.cpp's own quantization chooses them.
FORMATS = {"F32": (0, F32, F32), "Q8_0": (7, Q8_0, Q8_0), "Q4_0": (2, Q4_0, Q6_K)}
DEVIATION = 0.02  # standard deviation of a matrix's weights


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_entry(key, kind, value):
    head = gguf_text(key) + struct.pack("<I", kind)
    return head + (gguf_text(value) if kind == TEXT else struct.pack("<I" if kind == U32 else "<f", value))


class RandomTensors:
    """Random weights that repeat after a while, so that a file is written in seconds."""

    def __init__(self):
        generator = random.Random(1)
        self.period = array.array("f", (generator.gauss(0, 1) for _ in range(1 << 16)))
        # Evenly spread codes, whose scale gives DEVIATION: that of codes to the half, the quarter and so on of 256 values.
        scale = {kind: struct.pack("<e", DEVIATION / deviation) for kind, deviation in ((Q4_0, 4.6), (Q8_0, 73.9), (Q6_K, 18.5))}
        blocks = range(4093)
        self.codes = {Q4_0: b"".join(scale[Q4_0] + generator.randbytes(16) for _ in blocks),
                      Q8_0: b"".join(scale[Q8_0] + generator.randbytes(32) for _ in blocks),
                      Q6_K: b"".join(generator.randbytes(192) + b"\1" * 16 + scale[Q6_K] for _ in blocks)}

    def bytes(self, kind, count, mean, deviation):
        part = self.codes[kind] if kind != F32 else array.array("f", (mean + deviation * value for value in self.period)).tobytes()
        size = tensor_bytes(kind, count)
        return part * (size // len(part)) + part[:size % len(part)]


def tensor_bytes(kind, count):
    weights, size = BLOCKS[kind]
    return count // weights * size


def metadata(shape, number):
    name = "llama" if shape.llama else "gpt2"
    counts = {"context_length": shape.positions, "embedding_length": shape.width, "feed_forward_length": shape.mlp, "block_count": shape.layers,
              "attention.head_count": shape.heads, "attention.head_count_kv": shape.kv_heads, "vocab_size": shape.vocabulary}
    if shape.llama:
        counts["rope.dimension_count"] = shape.width // shape.heads
    return [gguf_entry("general.architecture", TEXT, name), gguf_entry("general.name", TEXT, "random"), gguf_entry("general.file_type", U32, number),
            *(gguf_entry(f"{name}.{key}", U32, value) for key, value in counts.items()),
            gguf_entry(f"{name}.attention.layer_norm_{'rms_' if shape.llama else ''}epsilon", F32_VALUE, 1e-5),
            gguf_entry("tokenizer.ggml.model", TEXT, "none")]


def tensors(shape, matrix, head):
    """(name, shape in ggml's order: inputs, then outputs; type; mean) of each tensor."""
    listed = [("token_embd.weight", (shape.width, shape.vocabulary), head, 0.0)]

    def norm(name):
        listed.append((f"{name}.weight", (shape.width,), F32, 1.0))
        if not shape.llama:
            listed.append((f"{name}.bias", (shape.width,), F32, 0.0))

    def linear(name, inputs, outputs):
        listed.append((f"{name}.weight", (inputs, outputs), matrix, 0.0))
        if not shape.llama:
            listed.append((f"{name}.bias", (outputs,), F32, 0.0))

    keys = shape.width // shape.heads * shape.kv_heads
    if not shape.llama:
        listed.append(("position_embd.weight", (shape.width, shape.positions), F32, 0.0))
    for layer in (f"blk.{number}" for number in range(shape.layers)):
        norm(f"{layer}.attn_norm")
        for name, outputs in (("q", shape.width), ("k", keys), ("v", keys)) if shape.llama else (("qkv", 3 * shape.width),):
            linear(f"{layer}.attn_{name}", shape.width, outputs)
        linear(f"{layer}.attn_output", shape.width, shape.width)
        norm(f"{layer}.ffn_norm")
        for name in ("gate", "up") if shape.llama else ("up",):
            linear(f"{layer}.ffn_{name}", shape.width, shape.mlp)
        linear(f"{layer}.ffn_down", shape.mlp, shape.width)
    norm("output_norm")
    return listed


def write_gguf(path, model, name):
    """model: of random_model.SHAPES; name: of FORMATS."""
    shape = SHAPES[model]
    number, matrix, head = FORMATS[name]
    infos, parts, offset = [], [], 0
    for tensor, dimensions, kind, mean in tensors(shape, matrix, head):
        count = dimensions[0] * (dimensions[1] if len(dimensions) == 2 else 1)
        infos.append(gguf_text(tensor) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset))
        parts.append((kind, count, mean, DEVIATION if len(dimensions) == 2 else 0.1))
        offset += (tensor_bytes(kind, count) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    entries = metadata(shape, number)
    start = b"GGUF" + struct.pack("<IQQ", GGUF_VERSION, len(infos), len(entries)) + b"".join(entries) + b"".join(infos)
    weights = RandomTensors()
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        file.write(start + b"\0" * (-len(start) % ALIGNMENT))
        for part in parts:
            data = weights.bytes(*part)
            file.write(data + b"\0" * (-len(data) % ALIGNMENT))
    unfinished.rename(path)
