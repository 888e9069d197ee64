#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench train: tokens per second and peak memory of full fine-tuning, beside PyTorch of the same libtorch, in one run.

Each engine trains the same shape (GPT-2 Small, DistilGPT2; batch 4 x 256, FP32, AdamW, clipping, dropout) in a process of its own.
The processes alternate; a round is one of each, in turn first. A round's figure is the median of its steps after the warm-up ones;
the ratio printed is the median of the rounds' ratios, with its range. Peak memory is VmHWM of the whole process, from start to
written checkpoint for ours. The lean mode (train_lean.py) stands beside both. With a newer PyTorch (--best-python) the same in BF16
follows: our products of rounded factors beside autocast, and the share that each reaches of that PyTorch's best BF16 product, which is
measured in each round. Then fine-tuning on SQuAD beside the transformers script (bench/train_squad.py). The figures of
./dev bench memory are taken at the end. Writes build/bench/train.json.

  --rounds N  --steps N  --warm-up N  --threads N  --dropout P  --shapes gpt2,distilgpt2 (none: no shape)
  --squad-steps N      measured steps of a SQuAD run; 0 leaves SQuAD out
  --mezo-rounds N      rounds of the memory of MeZO beside a loss's (./dev bench mezo); 0 leaves it out
  --lean-steps N       of each run that compares the lean mode's quality with FP32 AdamW; 0: none; --no-lean: no lean part
  --no-estimator       leave out the figures of ./dev bench memory
  --best-python PATH   the Python that has a newer PyTorch, the peer in BF16; "" leaves BF16 out (default build/venv-torch's)
  --no-fp32            leave out the comparison in FP32
  --peer-python PATH   the Python that has PyTorch (default /usr/bin/python3, Debian's: the libtorch that ours is linked with)
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import memory
import mezo
import train_lean
import train_squad
from figures import write_figures
from random_model import ROOT, TEXT, environment, make_model, result_of, run_task

LAYERS = {"gpt2": 12, "distilgpt2": 6}
BATCH, LENGTH = 4, 256


def config_of(layers, dropout):
    return {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": layers,
            "attn_pdrop": dropout, "embd_pdrop": dropout, "resid_pdrop": dropout}


def flops_per_token(layers):
    """Of training: six for each weight that is multiplied (the head once, no positions), and causal attention."""
    width, vocabulary = 768, 50257
    return 6 * (layers * 12 * width * width + vocabulary * width) + 6 * LENGTH * width * layers


def run_ours(work, options, precision="fp32", form=None):
    """A whole job in a fresh process; returns the seconds of its measured steps and its peak memory. form: fields of the job beside those
    of the exact mode."""
    spec = {"finetune": {"steps": options.warm_up + options.steps, "batchSize": BATCH, "sequenceLength": LENGTH,
                         "learningRate": 1e-5, "weightDecay": 0.01, "clipNorm": 1.0, "precision": f"PRECISION_{precision.upper()}",
                         **(form or {})}}
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "text.txt", spec, options.threads)
    steps = [frame["step"]["compute_seconds"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
    result = result_of(frames)
    return {"step_seconds": steps[options.warm_up:], "peak_mib": int(result["peak_memory_bytes"]) / 2**20,
            "version": result["engine_version"]}


def run_peer(python, *arguments):
    done = subprocess.run([python, ROOT / "bench/train_peer.py", *map(str, arguments)], capture_output=True, text=True, env=environment(),
                          check=False)
    if done.returncode != 0:
        sys.exit(f"the peer failed: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
    return json.loads(done.stdout)


def summary(ratios):
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def bench_shape(name, options, figures):
    layers = LAYERS[name]
    tokens = BATCH * LENGTH
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model", config_of(layers, options.dropout))
        (work / "text.txt").write_text(TEXT)
        speed_ratios, memory_ratios, ours, peers, lean_speeds, lean_memory = [], [], [], [], [], []
        for number in range(options.rounds):
            runs = {"ours": lambda: run_ours(work, options), "lean": lambda: run_ours(work, options, form=train_lean.LEAN),
                    "peer": lambda: run_peer(options.peer_python, layers, options.steps, options.warm_up, options.threads, options.dropout)}
            order = list(runs) if number % 2 == 0 else list(reversed(runs))
            done = {which: runs[which]() for which in order}
            speed = {which: tokens / statistics.median(done[which]["step_seconds"]) for which in order}
            ours.append(speed["ours"])
            peers.append(speed["peer"])
            speed_ratios.append(speed["ours"] / speed["peer"])
            memory_ratios.append(done["ours"]["peak_mib"] / done["peer"]["peak_mib"])
            lean_speeds.append(speed["lean"] / speed["ours"])
            lean_memory.append(done["lean"]["peak_mib"] / done["peer"]["peak_mib"])
            print(f"  {name} round {number + 1}: ours {speed['ours']:.0f} tokens/s, {done['ours']['peak_mib']:.0f} MiB; lean {speed['lean']:.0f} tokens/s, "
                  f"{done['lean']['peak_mib']:.0f} MiB; PyTorch "
                  f"{done['peer']['version']} {speed['peer']:.0f} tokens/s, {done['peer']['peak_mib']:.0f} MiB", flush=True)
    print(f"{name}: {statistics.median(ours):.0f} tokens/s, {summary(speed_ratios)} x PyTorch; peak memory {summary(memory_ratios)} x")
    print(f"{name}, lean: {summary(lean_speeds)} x the exact mode's tokens/s; peak memory {summary(lean_memory)} x PyTorch's")
    peer = f"PyTorch {done['peer']['version']}, {statistics.median(peers):.1f} tokens/s, {done['peer']['peak_mib']:.0f} MiB"
    figures.append({"key": f"{name}.fp32.tokens_per_s", "value": round(statistics.median(ours), 1), "unit": "tokens/s", "peer": peer})
    figures.append({"key": f"{name}.fp32.peak_mib", "value": round(done["ours"]["peak_mib"], 1), "unit": "MiB", "peer": peer})
    figures.append({"key": f"{name}.speedup_vs_torch_same_libtorch", "value": round(statistics.median(speed_ratios), 3), "unit": "x",
                    "peer": peer, "range": [round(min(speed_ratios), 3), round(max(speed_ratios), 3)]})
    figures.append({"key": f"{name}.fp32_memory_ratio_vs_torch_same_libtorch", "value": round(statistics.median(memory_ratios), 3),
                    "unit": "x", "peer": peer, "range": [round(min(memory_ratios), 3), round(max(memory_ratios), 3)]})
    figures.append({"key": f"{name}.lean_memory_ratio_vs_torch_fp32", "value": round(statistics.median(lean_memory), 3), "unit": "x",
                    "peer": peer, "range": [round(min(lean_memory), 3), round(max(lean_memory), 3)]})
    figures.append({"key": f"{name}.lean_speed_vs_exact", "value": round(statistics.median(lean_speeds), 3), "unit": "x",
                    "peer": "this engine's exact mode", "range": [round(min(lean_speeds), 3), round(max(lean_speeds), 3)]})


def bench_bf16(name, options, figures):
    layers, python = LAYERS[name], options.best_python
    tokens = BATCH * LENGTH
    ratios, shares, peer_shares, ours, peers = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model", config_of(layers, options.dropout))
        (work / "text.txt").write_text(TEXT)
        for number in range(options.rounds):
            runs = {"ours": lambda: run_ours(work, options, "bf16"),
                    "peer": lambda: run_peer(python, layers, options.steps, options.warm_up, options.threads, options.dropout, "bf16"),
                    "gemm": lambda: run_peer(python, "gemm", options.threads)}
            order = ["ours", "gemm", "peer"] if number % 2 == 0 else ["peer", "gemm", "ours"]
            done = {which: runs[which]() for which in order}
            speed = {which: tokens / statistics.median(done[which]["step_seconds"]) for which in ("ours", "peer")}
            bound = done["gemm"]["flops"] / flops_per_token(layers)
            ours.append(speed["ours"])
            peers.append(speed["peer"])
            ratios.append(speed["ours"] / speed["peer"])
            shares.append(100 * speed["ours"] / bound)
            peer_shares.append(100 * speed["peer"] / bound)
            print(f"  {name} BF16 round {number + 1}: ours {speed['ours']:.0f} tokens/s, {done['ours']['peak_mib']:.0f} MiB; PyTorch "
                  f"{done['peer']['version']} {speed['peer']:.0f} tokens/s, {done['peer']['peak_mib']:.0f} MiB; products alone {bound:.0f}",
                  flush=True)
    print(f"{name} BF16: {statistics.median(ours):.0f} tokens/s, {summary(ratios)} x PyTorch, {summary(shares)} % of the bound")
    peer = f"PyTorch {done['peer']['version']} BF16 autocast, {statistics.median(peers):.1f} tokens/s, {done['peer']['peak_mib']:.0f} MiB"
    figures.append({"key": f"{name}.bf16.tokens_per_s", "value": round(statistics.median(ours), 1), "unit": "tokens/s", "peer": peer})
    figures.append({"key": f"{name}.bf16.peak_mib", "value": round(done["ours"]["peak_mib"], 1), "unit": "MiB", "peer": peer})
    figures.append({"key": f"{name}.speedup_vs_torch_best", "value": round(statistics.median(ratios), 3), "unit": "x", "peer": peer,
                    "range": [round(min(ratios), 3), round(max(ratios), 3)]})
    figures.append({"key": f"{name}.best_bound_percent", "value": round(statistics.median(shares), 1), "unit": "%",
                    "peer": f"{peer}, {statistics.median(peer_shares):.1f} %", "range": [round(min(shares), 1), round(max(shares), 1)]})


def machine():
    model = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{model.group(1) if model else 'unknown processor'}, {os.cpu_count()} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--shapes", default="gpt2,distilgpt2")
    parser.add_argument("--squad-steps", type=int, default=6)
    parser.add_argument("--mezo-rounds", type=int, default=1)
    parser.add_argument("--lean", action=argparse.BooleanOptionalAction, default=True, help="the lean mode's peak and quality")
    parser.add_argument("--lean-steps", type=int, default=500, help="of each run that compares the quality; 0: none")
    parser.add_argument("--peer-python", default="/usr/bin/python3")
    parser.add_argument("--best-python", default=str(ROOT / "build/venv-torch/bin/python"))
    parser.add_argument("--no-fp32", dest="fp32", action="store_false")
    parser.add_argument("--no-estimator", dest="estimator", action="store_false")
    options = parser.parse_args()
    shapes = [] if options.shapes == "none" else options.shapes.split(",")
    if not set(shapes) <= set(LAYERS) or options.rounds < 1 or options.steps < 1 or options.warm_up < 0 or options.squad_steps < 0 or options.lean_steps < 0:
        parser.error(f"--shapes: wants some of {', '.join(LAYERS)}, or none; rounds and steps at least 1")
    print(f"{machine()}, {options.threads} threads, batch {BATCH} x {LENGTH}, dropout {options.dropout}")
    figures = []
    for name in shapes:
        if options.fp32:
            bench_shape(name, options, figures)
        if options.best_python:
            bench_bf16(name, options, figures)
    if options.squad_steps > 0:
        train_squad.bench(config_of(LAYERS["gpt2"], options.dropout), options, figures)
    if options.mezo_rounds > 0:
        mezo.compare_memory(argparse.Namespace(rounds=options.mezo_rounds, threads=options.threads), figures)
    if options.lean:
        train_lean.bench(config_of(LAYERS["gpt2"], options.dropout), options, figures)
    if options.estimator:
        found = memory.compare(memory.parser().parse_args([]))
        figures += [{"key": f"estimator.{key}", "value": found[key], "unit": "%"} for key in ("max_over_percent", "max_under_percent")]
    write_figures("train", figures)


if __name__ == "__main__":
    main()
