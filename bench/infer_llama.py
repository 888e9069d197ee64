#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""llama.cpp as a peer of ./dev bench infer: GPT-2's shapes with random weights, through llama_decode of llama-cpp-python.

Reads commands, one a line, and answers each with one line:
  decode F32|Q8_0|Q4_0 THREADS           a 32-token prompt, then 64 timed steps with argmax: seconds
  prefill F32|Q8_0|Q4_0 TOKENS THREADS   one prompt, logits of its last token: seconds
The GGUF files are written into DIRECTORY once; llama.cpp itself quantizes the F32 one (its Q4_0 keeps the tied head in Q6_K).
Usage: infer_llama.py gpt2|distilgpt2 DIRECTORY [--write-only]
"""

import array
import ctypes
import pathlib
import random
import struct
import sys
import time

WIDTH, HEADS, VOCABULARY, CONTEXT = 768, 12, 50257, 1024
PROMPT_TOKENS, DECODE_TOKENS, LONGEST_PROMPT = 32, 64, 512
GGUF_VERSION, ALIGNMENT, TYPE_F32 = 3, 32, 0
U32, F32_VALUE, TEXT = 4, 6, 8


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_entry(key, kind, value):
    head = gguf_text(key) + struct.pack("<I", kind)
    return head + (gguf_text(value) if kind == TEXT else struct.pack("<I" if kind == U32 else "<f", value))


class RandomFloats:
    """Normal deviates that repeat after a while, so that a file is written in seconds."""

    def __init__(self):
        generator = random.Random(1)
        self.period = array.array("f", (generator.gauss(0, 1) for _ in range(1 << 16)))

    def bytes(self, count, mean, deviation):
        part = array.array("f", (mean + deviation * value for value in self.period)).tobytes()
        whole, rest = divmod(4 * count, len(part))
        return part * whole + part[:rest]


def write_gguf(path, layers):
    """An F32 file without a tokenizer. Shapes are in ggml's order: inputs, then outputs."""
    entries = [gguf_entry("general.architecture", TEXT, "gpt2"), gguf_entry("general.name", TEXT, "random"),
               gguf_entry("general.file_type", U32, 0), gguf_entry("gpt2.context_length", U32, CONTEXT),
               gguf_entry("gpt2.embedding_length", U32, WIDTH), gguf_entry("gpt2.feed_forward_length", U32, 4 * WIDTH),
               gguf_entry("gpt2.block_count", U32, layers), gguf_entry("gpt2.attention.head_count", U32, HEADS),
               gguf_entry("gpt2.attention.layer_norm_epsilon", F32_VALUE, 1e-5), gguf_entry("gpt2.vocab_size", U32, VOCABULARY),
               gguf_entry("tokenizer.ggml.model", TEXT, "none")]
    tensors = [("token_embd.weight", (WIDTH, VOCABULARY), 0.0), ("position_embd.weight", (WIDTH, CONTEXT), 0.0)]

    def norm(name):
        tensors.extend([(f"{name}.weight", (WIDTH,), 1.0), (f"{name}.bias", (WIDTH,), 0.0)])

    def linear(name, inputs, outputs):
        tensors.extend([(f"{name}.weight", (inputs, outputs), 0.0), (f"{name}.bias", (outputs,), 0.0)])

    for layer in range(layers):
        norm(f"blk.{layer}.attn_norm")
        linear(f"blk.{layer}.attn_qkv", WIDTH, 3 * WIDTH)
        linear(f"blk.{layer}.attn_output", WIDTH, WIDTH)
        norm(f"blk.{layer}.ffn_norm")
        linear(f"blk.{layer}.ffn_up", WIDTH, 4 * WIDTH)
        linear(f"blk.{layer}.ffn_down", 4 * WIDTH, WIDTH)
    norm("output_norm")
    infos, offset, sizes = [], 0, []
    for name, shape, _ in tensors:
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        infos.append(gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, TYPE_F32, offset))
        sizes.append(count)
        offset += (4 * count + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", GGUF_VERSION, len(tensors), len(entries)) + b"".join(entries) + b"".join(infos)
    floats = RandomFloats()
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        file.write(head + b"\0" * (-len(head) % ALIGNMENT))
        for (_, shape, mean), count in zip(tensors, sizes):
            deviation = 0.02 if len(shape) == 2 else 0.1
            file.write(floats.bytes(count, mean, deviation) + b"\0" * (-4 * count % ALIGNMENT))
    unfinished.rename(path)


def write_files(shape, directory):
    """{format: path}; what is there already stays."""
    import llama_cpp
    directory.mkdir(parents=True, exist_ok=True)
    paths = {name: directory / f"{shape}-{name}.gguf" for name in ("F32", "Q8_0", "Q4_0")}
    if not paths["F32"].exists():
        write_gguf(paths["F32"], 12 if shape == "gpt2" else 6)
    for name, kind in (("Q8_0", llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0), ("Q4_0", llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0)):
        if paths[name].exists():
            continue
        unfinished = paths[name].with_suffix(".partial")
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = kind
        if llama_cpp.llama_model_quantize(str(paths["F32"]).encode(), str(unfinished).encode(), ctypes.byref(parameters)) != 0:
            sys.exit(f"{sys.argv[0]}: llama.cpp could not quantize {paths['F32']} to {name}")
        unfinished.rename(paths[name])
    return paths


class Peer:
    def __init__(self, path):
        import llama_cpp
        import numpy
        self.llama, self.numpy = llama_cpp, numpy
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"{sys.argv[0]}: llama.cpp cannot load {path}")
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = LONGEST_PROMPT + DECODE_TOKENS
        parameters.n_batch = parameters.n_ubatch = LONGEST_PROMPT
        self.context = llama_cpp.llama_init_from_model(self.model, parameters)
        if not self.context:
            sys.exit(f"{sys.argv[0]}: llama.cpp makes no context for {path}")

    def start(self, threads):
        self.llama.llama_set_n_threads(self.context, threads, threads)
        self.llama.llama_memory_clear(self.llama.llama_get_memory(self.context), True)

    def feed(self, tokens):
        """Logits are computed for the last token alone."""
        values = (self.llama.llama_token * len(tokens))(*tokens)
        if self.llama.llama_decode(self.context, self.llama.llama_batch_get_one(values, len(tokens))) != 0:
            sys.exit(f"{sys.argv[0]}: llama_decode failed")
        return self.llama.llama_get_logits_ith(self.context, -1)

    def argmax(self, logits):
        return int(self.numpy.ctypeslib.as_array(logits, shape=(VOCABULARY,)).argmax())

    def decode(self, threads):
        self.start(threads)
        token = self.argmax(self.feed([464] * PROMPT_TOKENS))
        begin = time.perf_counter()
        for _ in range(DECODE_TOKENS):
            token = self.argmax(self.feed([token]))
        return time.perf_counter() - begin

    def prefill(self, tokens, threads):
        self.start(threads)
        begin = time.perf_counter()
        self.feed([464] * tokens)[0]
        return time.perf_counter() - begin


def main():
    import llama_cpp
    quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    paths = write_files(sys.argv[1], pathlib.Path(sys.argv[2]))
    if "--write-only" in sys.argv[3:]:
        return
    peers = {}
    for line in sys.stdin:
        command, name, *numbers = line.split()
        if name not in peers:
            peers[name] = Peer(paths[name])
        print(getattr(peers[name], command)(*map(int, numbers)), flush=True)


if __name__ == "__main__":
    main()
