#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""llama.cpp as a peer of ./dev bench infer: GPT-2's shapes with random weights, through llama_decode of llama-cpp-python.

Reads commands, one a line, and answers each with one line:
  decode F32|Q8_0|Q4_0 THREADS           a 32-token prompt, then 64 timed steps with argmax: seconds
  prefill F32|Q8_0|Q4_0 TOKENS THREADS   one prompt, logits of its last token: seconds
The GGUF files are written into DIRECTORY once; llama.cpp itself quantizes the F32 one (its Q4_0 keeps the tied head in Q6_K).
Usage: infer_llama.py gpt2|distilgpt2 DIRECTORY [--write-only]
"""

import ctypes
import pathlib
import sys
import time

from random_gguf import write_gguf
from random_model import SHAPES

PROMPT_TOKENS, DECODE_TOKENS, LONGEST_PROMPT = 32, 64, 512
MODELS = {"gpt2": "gpt2-small", "distilgpt2": "distilgpt2"}  # of random_model.py
VOCABULARY = SHAPES["gpt2-small"].vocabulary


def write_files(shape, directory):
    """{format: path}; existing files are kept."""
    import llama_cpp
    directory.mkdir(parents=True, exist_ok=True)
    paths = {name: directory / f"{shape}-{name}.gguf" for name in ("F32", "Q8_0", "Q4_0")}
    if not paths["F32"].exists():
        write_gguf(paths["F32"], MODELS[shape], "F32")
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
        """Computes logits only for the last token."""
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
