#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench step: where the time of a training step goes, beside the time of its matrix products at their best.

GPT-2 Small's shape, batch 4 x 256, AdamW, clipping, dropout, in FP32 and BF16. perf samples the stacks of wattle-runner; a sample of its
first thread, which takes part in all work, counts for the outermost part of the step that its stack names (PARTS below). OpenBLAS's
kernels cannot be unwound: where libtorch multiplies, they are a part of their own. The bound of a part is its FLOP at the speed of the
best product of the same type, measured after the run (bench/train.py). Writes build/bench/step.json.

  {precision}.{part}_percent          of the time of the steps
  {precision}.{part}_bound_percent    the time of the part's products at their best, for the parts that have any
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import train
from figures import write_figures
from random_model import ROOT, RUNNER, TEXT, make_model, run_task

SHAPE = "gpt2"
STEP = "wattle::engine::Trainer::Step"
# part: functions, one of which is in the stack; the first match counts.
PARTS = {
    "optimizer": ("Trainer::UpdateByGradients",),
    "head and loss": ("HeadLossAndGradients",),
    "attention": ("AttentionForward", "AttentionBackward"),
    "linear layers": ("LinearForward", "LinearBackward"),
    "norms": ("NormForward", "NormBackward"),
    "nonlinearities": ("ActivationForward", "ActivationBackward"),
    "dropout, residual stream": ("EndForward", "EndBackward"),
    "data": ("Trainer::Draw", "MakeTokenBatch"),
}
OTHER, BLAS = "embedding and what is left", "products of libtorch"


def flops_of_parts(counted):
    """FLOP of a token by part: like train.flops_per_token, split because no part has all products."""
    layers, width, vocabulary = train.LAYERS[SHAPE], 768, 50257
    if counted[BLAS] > 0.0:
        return {BLAS: train.flops_per_token(layers)}
    return {"linear layers": 6 * layers * 12 * width * width, "head and loss": 6 * vocabulary * width,
            "attention": 6 * train.LENGTH * width * layers}


def check_names():
    """Ends the bench if a function of PARTS does not exist: a renamed one would silently leave its part empty."""
    symbols = subprocess.run(["nm", "-C", RUNNER], capture_output=True, text=True, check=True).stdout
    lost = [name for names in PARTS.values() for name in (*names, STEP) if f"{name}(" not in symbols]
    if lost:
        sys.exit(f"wattle-runner has no function {lost[0]}: correct PARTS in bench/step.py")


def record(work, precision, options):
    """(seconds of the measured steps, stacks of the first thread: lists of functions) of a run of the bench's shape under perf."""
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "text.txt", train.spec_of(options.steps, precision), options.threads,
                          under=["perf", "record", "--quiet", "-F", "97", "--call-graph", "dwarf,16384", "-o", work / "perf.data"])
    seconds = [frame["step"]["compute_seconds"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
    script = subprocess.run(["perf", "script", "--no-inline", "-F", "pid,tid,ip,sym", "-i", work / "perf.data"], capture_output=True, text=True,
                            check=True).stdout
    stacks = [sample.splitlines() for sample in script.split("\n\n") if sample.strip()]
    return seconds, [[line.split(maxsplit=1)[-1] for line in stack[1:]] for stack in stacks if len(set(stack[0].split()[0].split("/"))) == 1]


def shares(stacks):
    """{part: share} of the samples within steps."""
    counts = dict.fromkeys([*PARTS, BLAS, OTHER], 0)
    for stack in stacks:
        if stack and stack[0].startswith("sgemm_"):
            counts[BLAS] += 1
        elif any(STEP in function for function in stack):
            fits = (part for part, names in PARTS.items() if any(name in function for function in stack for name in names))
            counts[next(fits, OTHER)] += 1
    total = sum(counts.values())
    if total < 200:
        sys.exit(f"perf has {total} samples of steps alone: too few; does perf unwind this program?")
    return {part: count / total for part, count in counts.items()}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench step", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dropout", type=float, default=0.1)
    options = parser.parse_args()
    pythons = [python for python in ("/usr/bin/python3", str(ROOT / "build/venv-torch/bin/python")) if pathlib.Path(python).exists()]
    check_names()
    figures = []
    with tempfile.TemporaryDirectory(prefix="wattle-step-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model", train.config_of(train.LAYERS[SHAPE], options.dropout))
        (work / "text.txt").write_text(TEXT)
        for precision in ("fp32", "bf16"):
            seconds, stacks = record(work, precision, options)
            flops_per_second = max(train.run_peer(python, "gemm", options.threads, precision)["flops"] for python in pythons)
            step = statistics.median(seconds)
            print(f"{precision}: {step:.2f} s a step, best product {flops_per_second / 1e9:.0f} GFLOP/s")
            counted = shares(stacks)
            for part, share in sorted(counted.items(), key=lambda item: -item[1]):
                key = part.replace(",", "").replace(" ", "_")
                flops = flops_of_parts(counted).get(part, 0) * train.BATCH * train.LENGTH
                bound = 100.0 * flops / flops_per_second / step
                print(f"  {part:<26} {100.0 * share:5.1f} %{f', products alone {bound:5.1f} %' if flops else ''}", flush=True)
                figures.append({"key": f"{precision}.{key}_percent", "value": round(100.0 * share, 1), "unit": "%"})
                if flops:
                    figures.append({"key": f"{precision}.{key}_bound_percent", "value": round(bound, 1), "unit": "%"})
    write_figures("step", figures)


if __name__ == "__main__":
    main()
