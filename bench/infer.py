#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench infer: speed of decoding and of reading prompts, GPT-2 Small's and DistilGPT-2's shapes with random weights, batch 1.

Decoding: a 32-token prompt, then 64 timed steps with greedy argmax (no loading, tokenization, prompt or text). Prefill: 512 tokens,
logits of the last position only, on every side. All sides take turns within a round, so that a ratio compares the same minute; a
figure is the median over the rounds. The bandwidth beside it is the best of five read loops over a buffer of the recipe's bytes, in
the same rounds. Prints tables and writes build/bench/infer.json: a list of {"key", "value", "unit", "peer", "goal"}.

Peers, each a process of its own with the environment that its users have: the libtorch of this build in FP32 with eager operators;
llama.cpp as pip's llama-cpp-python builds it (F32, Q8_0, Q4_0), or another build by --llama-bench PATH; the latest PyTorch by pip
with dynamic int8, output head included. A peer that cannot be installed is left out, with its keys. The adaptive row stands for a
recipe of at most 1.3 times int4's bytes: random weights have no importance to search by. The rows gguf_* have the forms that a file of
llama.cpp's has in memory (docs/guide/models.md), beside llama.cpp on such a file. The figures of quality are those of
./dev bench quality, which runs at the end (--no-quality leaves it out).
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import quality
from figures import write_figures

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
DECODE_TOKENS = 64
PREFILL_TOKENS = 512
RECIPES = {
    "fp32": "every tensor FP32",
    "int8": "every matrix, head and embedding int8 with an FP32 scale a row",
    "int4": "every matrix, head and embedding int4 in groups of 64 with an FP16 scale (4.25 bits)",
    "adaptive": "as int4, the head and embedding in groups of 32, the matrices that end attention and MLP int8",
    "gguf_q8_0": "a file of llama.cpp in Q8_0 as it runs: every matrix, head and embedding int8 in groups of 32 with an FP16 scale (8.5 bits)",
    "gguf_q4_0": "one in Q4_0: every matrix int4 in groups of 32 (4.5 bits); the tied head and embedding, which llama.cpp writes in Q6_K, int6 (6.56 bits)",
}
KV = "norms, biases and positions FP32; KV cache FP32; products of quantized weights with int8 inputs"
GOALS = {
    "fp32.speedup_vs_libtorch_eager": "≥ 1.2", "int8.speedup": "≥ 3.5", "int4.speedup": "≥ 6 (distilgpt2 ≥ 5)",
    "adaptive.speedup": "≥ 4.5 (distilgpt2 ≥ 4)", "int8.bandwidth_share_percent": "≥ 80 (gpt2)",
    "int4.bandwidth_share_percent": "≥ 80 (gpt2)", "int8.prefill_speedup": "≥ 2", "int4.prefill_speedup": "≥ 1.5",
    "int8.busy_core_ratio": "≥ 0.8", "fp32.ratio_vs_llamacpp_f32": "≥ 0.95", "int8.ratio_vs_llamacpp_q8_0": "≥ 1.2",
    "int4.ratio_vs_llamacpp_q4_0": "≥ 1.2", "int8.prefill_ratio_vs_torch_int8": "≥ 1",
    "int8.prefill_ratio_vs_llamacpp_q8_0": "≥ 1.3", "int4.prefill_ratio_vs_llamacpp_q4_0": "≥ 1.3",
}
VENV_LLAMA, VENV_TORCH = ROOT / "build/venv-llama", ROOT / "build/venv-torch"
GGUF = ROOT / "build/bench/gguf"
# DistilGPT-2 on a Raspberry Pi 5 as published (adaptive mixed-precision quantization on 4 Cortex-A76): seconds of one generation. Beside it a prediction for that board: bytes read per token at half the datasheet's 17.1 GB/s (scheduler/predict/datasheet.cc).
PI5_PUBLISHED_SECONDS = {"fp32": 6.215, "int8": 2.7178, "int4": 6.212, "adaptive": 6.2204}
PI5_BYTES_PER_SECOND = 17.1e9 * 0.5
# The recipes that it is compared with; the last one is that of the same file.
LLAMA_FORMATS = {"F32": ("fp32",), "Q8_0": ("int8", "gguf_q8_0"), "Q4_0": ("int4", "gguf_q4_0")}


class Side:
    """A program that answers one line for each line it is given."""

    def __init__(self, command, **variables):
        environment = {**os.environ, **variables}
        environment.pop("OPENBLAS_CORETYPE", None)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"bench: {self.process.args[0]} ended at '{line}' (status {self.process.wait()})")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class LlamaBench:
    """Another build of llama.cpp, run by its own bench: the same commands, answered from its tokens a second."""

    def __init__(self, program, shape):
        self.program, self.shape = program, shape

    def ask(self, line):
        command, name, *numbers = line.split()
        prompt, made = (0, DECODE_TOKENS) if command == "decode" else (int(numbers[0]), 0)
        answer = subprocess.run([self.program, "-m", GGUF / f"{self.shape}-{name}.gguf", "-t", numbers[-1], "-p", str(prompt), "-n", str(made),
                                 "-r", "1", "-o", "json"], capture_output=True, text=True, check=True)
        return (prompt + made) / json.loads(answer.stdout)[0]["avg_ts"]

    def close(self):
        pass


class Bench:
    def __init__(self, options):
        self.options = options
        self.figures = []

    def peers(self, shape):
        """{name: (side, its name of a format in a command)}; peers that are not installed are left out."""
        sides = {"libtorch": (Side([BIN / "wattle-infer-torch", shape]), "")}
        if (VENV_LLAMA / "ready").exists():
            command = [VENV_LLAMA / "bin/python", ROOT / "bench/infer_llama.py", shape, GGUF]
            if self.options.llama_bench:
                subprocess.run([*command, "--write-only"], check=True)
            llama = LlamaBench(self.options.llama_bench, shape) if self.options.llama_bench else Side(command)
            sides.update({f"llama {name}": (llama, name) for name in LLAMA_FORMATS})
        if (VENV_TORCH / "ready").exists():
            sides["torch int8"] = (Side([VENV_TORCH / "bin/python", ROOT / "bench/infer_torch_int8.py", shape]), "")
        return sides

    def add(self, key, value, unit, peer=None):
        goal = GOALS.get(key.split(".", 1)[1])
        self.figures.append({"key": key, "value": round(value, 3), "unit": unit, "peer": peer, "goal": goal})

    def rounds(self, ours, peers):
        """Seconds of each side in each round, {name: [seconds]}, and the bandwidth beside each recipe."""
        threads = self.options.threads
        decode = {recipe: (ours, f"decode {recipe} {threads}") for recipe in RECIPES}
        prefill = {recipe: (ours, f"prefill {recipe} {PREFILL_TOKENS} {threads}") for recipe in RECIPES}
        for name, (side, word) in peers.items():
            decode[name] = (side, " ".join(filter(None, ["decode", word, str(threads)])))
            prefill[name] = (side, " ".join(filter(None, ["prefill", word, str(PREFILL_TOKENS), str(threads)])))
        sizes = {recipe: ours.ask(f"load {recipe}") for recipe in RECIPES}
        seconds = {"decode": {name: [] for name in decode}, "prefill": {name: [] for name in prefill}}
        bandwidth = {recipe: [] for recipe in RECIPES}
        for number in range(self.options.rounds + 1):
            order = list(decode) if number % 2 == 0 else list(reversed(decode))
            for name in order:
                side, line = decode[name]
                seconds["decode"][name].append(side.ask(line))
                if name in RECIPES:
                    bandwidth[name].append(ours.ask(f"bandwidth {int(sizes[name])} {threads}"))
            if number <= self.options.prefill_rounds:
                for name in prefill:
                    side, line = prefill[name]
                    seconds["prefill"][name].append(side.ask(line))
        # The first round warms caches and pages, on every side.
        seconds = {kind: {name: values[1:] for name, values in by_name.items()} for kind, by_name in seconds.items()}
        return seconds, {recipe: values[1:] for recipe, values in bandwidth.items()}, sizes

    def busy_core(self, shape, ours):
        """Decoding on two threads against one thread, both while another process takes the last core."""
        core = os.cpu_count() - 1
        hog = subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=lambda: os.sched_setaffinity(0, {core}))
        try:
            ratios = []
            for _ in range(max(3, self.options.rounds // 4)):
                one = ours.ask("decode int8 1")
                ratios.append(one / ours.ask(f"decode int8 {self.options.threads}"))
        finally:
            hog.kill()
            hog.wait()
        self.add(f"{shape}.int8.busy_core_ratio", statistics.median(ratios), "x", "one thread, the second core busy")

    def report(self, shape, seconds, bandwidth, sizes):
        decode, prefill = seconds["decode"], seconds["prefill"]

        def ratio(slow, fast):
            return statistics.median(a / b for a, b in zip(slow, fast))

        print(f"\n{shape}: {self.options.threads} threads, {len(decode['fp32'])} rounds")
        print(f"{'':12} {'decode':>10} {'spread':>15} {'prefill':>10} {'MB/token':>9} {'GB/s':>7}")
        for name in decode:
            rates = sorted(DECODE_TOKENS / value for value in decode[name])
            line = f"{name:12} {statistics.median(rates):10.1f} {rates[0]:7.1f}-{rates[-1]:7.1f}"
            line += f" {PREFILL_TOKENS / statistics.median(prefill[name]):10.0f}" if name in prefill else f" {'-':>10}"
            if name in sizes:
                line += f" {sizes[name] / 1e6:9.1f} {statistics.median(bandwidth[name]) / 1e9:7.1f}"
            print(line)
        self.add(f"{shape}.fp32.speedup_vs_libtorch_eager", ratio(decode["libtorch"], decode["fp32"]), "x")
        for recipe in ("int8", "int4", "adaptive", "gguf_q8_0", "gguf_q4_0"):
            self.add(f"{shape}.{recipe}.speedup", ratio(decode["fp32"], decode[recipe]), "x")
        for recipe in RECIPES:
            shares = [100 * sizes[recipe] * DECODE_TOKENS / second / width
                      for second, width in zip(decode[recipe], bandwidth[recipe])]
            self.add(f"{shape}.{recipe}.bandwidth_share_percent", statistics.median(shares), "%")
        for recipe in ("int8", "int4", "gguf_q8_0", "gguf_q4_0"):
            self.add(f"{shape}.{recipe}.prefill_speedup", ratio(prefill["fp32"], prefill[recipe]), "x")
        for name, recipe in ((name, recipe) for name, recipes in LLAMA_FORMATS.items() for recipe in recipes):
            if f"llama {name}" in decode:
                peer = f"llama.cpp {name}{', by ' + str(self.options.llama_bench) if self.options.llama_bench else ''}"
                self.add(f"{shape}.{recipe}.ratio_vs_llamacpp_{name.lower()}", ratio(decode[f"llama {name}"], decode[recipe]), "x", peer)
                self.add(f"{shape}.{recipe}.prefill_ratio_vs_llamacpp_{name.lower()}", ratio(prefill[f"llama {name}"], prefill[recipe]), "x", peer)
        if "torch int8" in decode:
            peer = "PyTorch dynamic int8, head included"
            self.add(f"{shape}.int8.ratio_vs_torch_int8", ratio(decode["torch int8"], decode["int8"]), "x", peer)
            self.add(f"{shape}.int8.prefill_ratio_vs_torch_int8", ratio(prefill["torch int8"], prefill["int8"]), "x", peer)

    def beside_the_pi(self, seconds, sizes):
        rates = {recipe: DECODE_TOKENS / statistics.median(seconds["decode"][recipe]) for recipe in RECIPES}
        predicted = {recipe: PI5_BYTES_PER_SECOND / sizes[recipe] for recipe in RECIPES}
        print(f"\n{'distilgpt2':12} {'Pi 5, published':>20} {'this machine':>20} {'Pi 5, predicted from bytes':>28}")
        for recipe, published in PI5_PUBLISHED_SECONDS.items():
            print(f"{recipe:12} {published:10.4f} s {PI5_PUBLISHED_SECONDS['fp32'] / published:5.2f} x"
                  f" {rates[recipe]:10.1f} /s {rates[recipe] / rates['fp32']:4.2f} x"
                  f" {predicted[recipe]:18.1f} /s {predicted[recipe] / predicted['fp32']:4.2f} x")

    def run(self):
        print("recipes (bits of every tensor):")
        for name, text in RECIPES.items():
            print(f"  {name:9} {text}")
        print(f"  all       {KV}")
        for shape in self.options.shapes:
            ours = Side([BIN / "wattle-infer-load", shape], OMP_WAIT_POLICY="passive")
            peers = self.peers(shape)
            seconds, bandwidth, sizes = self.rounds(ours, peers)
            self.report(shape, seconds, bandwidth, sizes)
            if shape == "distilgpt2":
                self.beside_the_pi(seconds, sizes)
            self.busy_core(shape, ours)
            for side in {id(side): side for side in (ours, *(side for side, _ in peers.values()))}.values():
                side.close()
        if self.options.quality:
            self.figures += quality.Bench(quality.parser().parse_args(self.options.quality_arguments.split())).run()
        print(f"\n{'key':46} {'value':>9} {'unit':4} {'goal':22} beside")
        for figure in self.figures:
            print(f"{figure['key']:46} {figure['value']:9.2f} {figure['unit']:4} {figure['goal'] or '-':22} {figure['peer'] or '-'}")
        write_figures("infer", self.figures)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench infer")
    parser.add_argument("--rounds", type=int, default=20, help="alternating rounds of decoding (default 20)")
    parser.add_argument("--prefill-rounds", type=int, default=5, help="of which so many also read a prompt of 512 tokens (default 5)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shapes", nargs="+", choices=("gpt2", "distilgpt2"), default=["distilgpt2", "gpt2"])
    parser.add_argument("--llama-bench", metavar="PATH", help="this llama-bench program instead of pip's llama-cpp-python")
    parser.add_argument("--no-quality", dest="quality", action="store_false", help="leave the figures of quality out")
    parser.add_argument("--quality-arguments", default="", help="of ./dev bench quality, as one text: \"--randoms 5 --windows 16\"")
    Bench(parser.parse_args()).run()


if __name__ == "__main__":
    main()
