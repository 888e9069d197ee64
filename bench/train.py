#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench train: tokens per second and peak memory of full fine-tuning, beside PyTorch, in one run.

Each engine trains the same shape (GPT-2 Small, DistilGPT2; batch 4 x 256, FP32, AdamW, clipping, dropout) in a process of its own:
ours, ours in the lean mode (train_lean.py), PyTorch of the same libtorch and a newer PyTorch (--best-python). Each PyTorch runs as it is
fastest: eager or, the newer one, by torch.compile; with waiting threads of OpenMP that spin or that sleep. Three runs of each before the
rounds decide. The processes alternate; a round is one of each, in turn first. A round's figure is the median of its steps after the
warm-up ones; the ratio printed is the median of the rounds' ratios, with its range. Peak memory is VmHWM of the whole process, from
start to written checkpoint for ours. Each round also measures the best product of both PyTorches: the speed of a step that consists of products only.
A comparison in BF16 follows: our products of rounded factors beside autocast. Then fine-tuning on SQuAD beside the transformers script
(train_squad.py), MeZO's memory, the lean mode's, and the figures of ./dev bench adapters and ./dev bench memory; last the lean mode's
quality and QLoRA's. The whole takes hours: after each part build/bench/train.json is written anew.

  --rounds N  --steps N  --warm-up N  --threads N  --shapes gpt2,distilgpt2 (none: no shape)
  --dropouts 0.1,0     of the shapes' comparisons, which are made apart; keys of another dropout than 0.1 name it. The other parts: 0.1
  --squad-steps N      measured steps of a SQuAD run; 0 leaves SQuAD out
  --mezo-rounds N      rounds of the memory of MeZO beside a loss's (./dev bench mezo); 0 leaves it out
  --lean-steps N       of each run that compares the lean mode's quality with FP32 AdamW; 0: none; --no-lean: no lean part
  --no-adapters        leave out the figures of ./dev bench adapters
  --no-estimator       leave out the figures of ./dev bench memory
  --best-python PATH   the Python that has a newer PyTorch; "" leaves it and BF16 out (default build/venv-torch's)
  --no-fp32            leave out the comparison in FP32
  --peer-python PATH   the Python that has PyTorch (default /usr/bin/python3, Debian's: the libtorch that ours is linked with)
"""

import argparse
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

import adapters
import memory
import mezo
import squad_learning
import train_lean
import train_squad
from figures import add, write_figures
from random_model import ROOT, RUNNER, TEXT, WAITS, environment, make_model, result_of, run_task

LAYERS = {"gpt2": 12, "distilgpt2": 6}
BATCH, LENGTH = 4, 256
DROPOUT = 0.1  # of the published configurations


@dataclasses.dataclass(frozen=True)
class Shape:
    """A model's shape and the dropout that it is trained with."""
    name: str
    dropout: float

    @property
    def layers(self):
        return LAYERS[self.name]

    @property
    def key(self):
        return self.name if self.dropout == DROPOUT else f"{self.name}.dropout_{self.dropout:g}"


def config_of(layers, dropout):
    return {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": layers,
            "attn_pdrop": dropout, "embd_pdrop": dropout, "resid_pdrop": dropout}


def flops_per_token(layers):
    """Operations of a training step: six for each weight that is multiplied (the head once, no positions), and causal attention."""
    width, vocabulary = 768, 50257
    return 6 * (layers * 12 * width * width + vocabulary * width) + 6 * LENGTH * width * layers


def spec_of(steps, precision, form=None):
    """A job of the bench's shape. form: fields beside those of the exact mode."""
    return {"finetune": {"steps": steps, "batchSize": BATCH, "sequenceLength": LENGTH, "learningRate": 1e-5, "weightDecay": 0.01,
                         "clipNorm": 1.0, "precision": f"PRECISION_{precision.upper()}", **(form or {})}}


def run_ours(work, options, precision="fp32", form=None):
    """A whole job in a fresh process: its tokens per second and its peak memory. form: as in spec_of."""
    spec = spec_of(options.warm_up + options.steps, precision, form)
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "text.txt", spec, options.threads)
    steps = [frame["step"]["compute_seconds"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
    return {"tokens_per_s": BATCH * LENGTH / statistics.median(steps[options.warm_up:]),
            "peak_mib": int(result_of(frames)["peak_memory_bytes"]) / 2**20}


def libraries_of_ours():
    """MiB of a wattle-runner that has loaded its libraries and no model. A small Python starts the runner: the figure begins with the peak
    of the process that does."""
    program = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", program, RUNNER, "--help"], capture_output=True, text=True, env=environment(), check=True)
    return int(done.stdout) / 1024


def run_peer(python, *arguments, waits="spinning"):
    """The peer's output; ends this run with the peer's last line if the peer fails."""
    done = subprocess.run([python, ROOT / "bench/train_peer.py", *map(str, arguments)], capture_output=True, text=True, env=environment(waits),
                          check=False)
    if done.returncode != 0:
        sys.exit(f"the peer failed: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
    return json.loads(done.stdout)


def run_torch(python, work, shape, options, precision, way):
    """way: eager or compiled, and a key of WAITS."""
    form, waits = way
    done = run_peer(python, work / "text.txt", shape.layers, options.steps, options.warm_up, options.threads, shape.dropout, precision, form,
                    waits=waits)
    return {**done, "way": f"{form}, {waits}", "tokens_per_s": BATCH * LENGTH / statistics.median(done["step_seconds"])}


def best_way(python, work, shape, options, precision, forms=("eager", "compiled")):
    """The way in which this PyTorch is fastest. The medians of three alternating runs of each decide."""
    runs = {way: [] for way in itertools.product(forms, WAITS)}
    for _ in range(3):
        for way, taken in runs.items():
            taken.append(run_torch(python, work, shape, options, precision, way)["tokens_per_s"])
    speed = {way: statistics.median(taken) for way, taken in runs.items()}
    print(f"  PyTorch of {python} in {precision.upper()}, tokens/s: "
          + "; ".join(f"{form}, {waits} {each:.0f}" for (form, waits), each in speed.items()), flush=True)
    return max(speed, key=speed.get)


def play_rounds(options, runs):
    """The results of each of `runs`, a list in the order of the rounds; the first one alternates."""
    played = {which: [] for which in runs}
    for number in range(options.rounds):
        for which in list(runs) if number % 2 == 0 else reversed(runs):
            played[which].append(runs[which]())
        texts = [f"{which} {done[-1]['tokens_per_s']:.0f} tokens/s, {done[-1]['peak_mib']:.0f} MiB" if "peak_mib" in done[-1]
                 else f"{which} {done[-1]['flops'] / 1e9:.0f} GFLOP/s" for which, done in played.items()]
        print(f"  round {number + 1}: {'; '.join(texts)}", flush=True)
    return played


def speeds(played):
    return [done["tokens_per_s"] for done in played]


def peaks(played):
    return [done["peak_mib"] for done in played]


def ratios(ours, theirs, scale=1.0):
    return [scale * mine / other for mine, other in zip(ours, theirs)]


def told(played):
    return f"PyTorch {played[0]['version']}, {played[0]['way']}, {statistics.median(speeds(played)):.1f} tokens/s, {played[-1]['peak_mib']:.0f} MiB"


def add_bound(figures, key, ours, theirs, bound):
    """The share of `bound`, the tokens per second of only the products, that Wattle reaches, beside the peer."""
    add(figures, key, ratios(ours, bound, 100.0), "%",
        f"the products: {statistics.median(bound):.0f} tokens/s; the peer reaches {statistics.median(ratios(theirs, bound, 100.0)):.1f} %")


def bench_fp32(shape, work, options, figures):
    name, same, newer = shape.key, options.peer_python, options.best_python
    way_of_same = best_way(same, work, shape, options, "fp32", ("eager",))
    runs = {"ours": lambda: run_ours(work, options), "lean": lambda: run_ours(work, options, form=train_lean.LEAN),
            "same": lambda: run_torch(same, work, shape, options, "fp32", way_of_same),
            "products": lambda: run_peer(same, "gemm", options.threads, "fp32")}
    if newer:
        way_of_newer = best_way(newer, work, shape, options, "fp32")
        runs["newer"] = lambda: run_torch(newer, work, shape, options, "fp32", way_of_newer)
        runs["newer_products"] = lambda: run_peer(newer, "gemm", options.threads, "fp32")
    played = play_rounds(options, runs)
    ours, peer = speeds(played["ours"]), told(played["same"])
    add(figures, f"{name}.fp32.tokens_per_s", ours, "tokens/s", peer)
    add(figures, f"{name}.fp32.peak_mib", peaks(played["ours"]), "MiB", peer)
    add(figures, f"{name}.speedup_vs_torch_same_libtorch", ratios(ours, speeds(played["same"])), "x", peer)
    add(figures, f"{name}.fp32_memory_ratio_vs_torch_fp32", ratios(peaks(played["ours"]), peaks(played["same"])), "x", peer)
    own = libraries_of_ours()
    add(figures, f"{name}.lean_memory_ratio_vs_torch_fp32", ratios(peaks(played["lean"]), peaks(played["same"])), "x", peer)
    libraries = f"libraries loaded, no model: ours {own:.0f} MiB, the peer's {played['same'][-1]['libraries_mib']:.0f} MiB"
    theirs = [done["peak_mib"] - done["libraries_mib"] for done in played["same"]]
    for key, which in (("fp32", "ours"), ("lean", "lean")):
        add(figures, f"{name}.{key}_memory_ratio_above_libraries", ratios([peak - own for peak in peaks(played[which])], theirs), "x", libraries)
    add(figures, f"{name}.lean_speed_vs_exact", ratios(speeds(played["lean"]), ours), "x", "this engine's exact mode")
    if not newer:
        return  # these figures name the faster of two
    fastest = max((played["same"], played["newer"]), key=lambda done: statistics.median(speeds(done)))
    bound = [max(one["flops"], other["flops"]) / flops_per_token(shape.layers) for one, other in zip(played["products"], played["newer_products"])]
    add(figures, f"{name}.speedup_vs_torch_fp32", ratios(ours, speeds(fastest)), "x", f"the faster of both: {told(fastest)}")
    add_bound(figures, f"{name}.fp32_bound_percent", ours, speeds(fastest), bound)


def bench_bf16(shape, work, options, figures):
    name, python = shape.key, options.best_python
    way = best_way(python, work, shape, options, "bf16")
    played = play_rounds(options, {"ours": lambda: run_ours(work, options, "bf16"),
                                   "newer": lambda: run_torch(python, work, shape, options, "bf16", way),
                                   "newer_products": lambda: run_peer(python, "gemm", options.threads, "bf16")})
    ours, theirs = speeds(played["ours"]), speeds(played["newer"])
    bound = [done["flops"] / flops_per_token(shape.layers) for done in played["newer_products"]]
    peer = f"BF16 autocast: {told(played['newer'])}"
    add(figures, f"{name}.bf16.tokens_per_s", ours, "tokens/s", peer)
    add(figures, f"{name}.bf16.peak_mib", peaks(played["ours"]), "MiB", peer)
    add(figures, f"{name}.speedup_vs_torch_best", ratios(ours, theirs), "x", peer)
    add_bound(figures, f"{name}.best_bound_percent", ours, theirs, bound)


def bench_shape(shape, options, figures):
    print(f"{shape.key}: batch {BATCH} x {LENGTH}, dropout {shape.dropout:g}", flush=True)
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model", config_of(shape.layers, shape.dropout))
        (work / "text.txt").write_text(TEXT)
        if options.fp32:
            bench_fp32(shape, work, options, figures)
        if options.best_python:
            bench_bf16(shape, work, options, figures)


def machine():
    model = re.search(r"model name\s*:\s*(.+)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{model.group(1) if model else 'unknown processor'}, {os.cpu_count()} cores"


def add_estimator(figures):
    found = memory.compare(memory.parser().parse_args([]))
    figures += [{"key": f"estimator.{key}", "value": found[key], "unit": "%"} for key in ("max_over_percent", "max_under_percent")]


def parts(shapes, options):
    """The parts of a run, each a function that adds its figures: speed and memory first, learning last, because it takes longest."""
    small = config_of(LAYERS["gpt2"], DROPOUT)
    adapted = adapters.parser().parse_args([], argparse.Namespace(threads=options.threads, seeds=options.seeds, seed=options.seed))
    for shape in shapes:
        yield functools.partial(bench_shape, shape, options)
    if options.squad_steps > 0:
        yield functools.partial(train_squad.bench, small, options)
    if options.mezo_rounds > 0:
        yield functools.partial(mezo.compare_memory, argparse.Namespace(rounds=options.mezo_rounds, threads=options.threads))
    if options.lean:
        yield functools.partial(train_lean.bench_peak, small, options)
    if options.adapters:
        yield functools.partial(adapters.compare_memory, adapted)
    if options.estimator:
        yield add_estimator
    if options.lean and options.lean_steps > 0:
        yield functools.partial(train_lean.bench_quality, options)
    if options.adapters:
        yield functools.partial(adapters.compare_learning, adapted)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dropouts", default=f"{DROPOUT},0")
    parser.add_argument("--shapes", default="gpt2,distilgpt2")
    parser.add_argument("--squad-steps", type=int, default=6)
    parser.add_argument("--mezo-rounds", type=int, default=1)
    parser.add_argument("--lean", action=argparse.BooleanOptionalAction, default=True, help="the lean mode's peak and quality")
    parser.add_argument("--lean-steps", type=int, default=500, help="of each run that compares the quality; 0: none")
    parser.add_argument("--no-adapters", dest="adapters", action="store_false")
    squad_learning.add_arguments(parser)
    parser.add_argument("--peer-python", default="/usr/bin/python3")
    parser.add_argument("--best-python", default=str(ROOT / "build/venv-torch/bin/python"))
    parser.add_argument("--no-fp32", dest="fp32", action="store_false")
    parser.add_argument("--no-estimator", dest="estimator", action="store_false")
    options = parser.parse_args()
    if options.best_python and not pathlib.Path(options.best_python).exists():
        print(f"{options.best_python} is not there: no newer PyTorch, and no figure that names one")
        options.best_python = ""
    names = [] if options.shapes == "none" else options.shapes.split(",")
    if not set(names) <= set(LAYERS) or options.rounds < 1 or options.steps < 1 or options.warm_up < 0 or options.squad_steps < 0 or options.lean_steps < 0:
        parser.error(f"--shapes: wants some of {', '.join(LAYERS)}, or none; rounds and steps at least 1")
    try:
        shapes = [Shape(name, float(dropout)) for dropout in options.dropouts.split(",") for name in names]
    except ValueError:
        shapes = None
    if shapes is None or not all(0 <= shape.dropout < 1 for shape in shapes):
        parser.error(f"--dropouts: wants numbers from 0 to below 1, with commas; found {options.dropouts}")
    print(f"{machine()}, {options.threads} threads")
    figures = []
    for part in parts(shapes, options):
        part(figures)
        write_figures("train", figures)  # an interrupted run of hours keeps its figures so far


if __name__ == "__main__":
    main()
