# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The lean part of ./dev bench train: full fine-tuning with Adafactor, updates in the backward pass and activation checkpointing.

Its memory and speed at the bench's shape stand in train.py beside the exact mode and the peer. Here: the peak of GPT-2 Small at batch
1 x 256, and how far a lean run lowers the held-out loss, as a share of what FP32 AdamW lowers it by: ../shared/models/gpt2-30m on the
answers of SQuAD 2.0's training articles, with the evaluation articles held out; the same data, order and steps, each optimizer with its
best rate of a fixed list.
"""

import argparse
import pathlib
import tempfile

import mezo
from random_model import TEXT, make_model, result_of, run_task

LEAN = {"optimizer": "OPTIMIZER_ADAFACTOR", "updateInBackward": True, "activationCheckpointing": True}
RATES = {"adamw": (3e-5, 1e-4, 3e-4), "adamw_8bit": (3e-5, 1e-4, 3e-4), "adafactor": (1e-4, 3e-4, 1e-3)}
BATCH, SEED, HELDOUT_QUESTIONS = 8, 3, 600
LEAST_DROP = 0.3  # nat: below, the comparison says little


def bench_peak(config, options, figures):
    with tempfile.TemporaryDirectory(prefix="wattle-lean-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model", config)
        (work / "text.txt").write_text(TEXT)
        spec = {"finetune": {"steps": 3, "batchSize": 1, "sequenceLength": 256, "learningRate": 1e-4, "clipNorm": 1.0, **LEAN}}
        result = result_of(run_task(directory, work / "model", work / "text.txt", spec, options.threads))
    peak = int(result["peak_memory_bytes"]) / 2**30
    print(f"lean GPT-2 Small, 1 x 256: {peak:.2f} GiB at most", flush=True)
    figures.append({"key": "lean.gpt2_b1x256.peak_gib", "value": round(peak, 3), "unit": "GiB"})


def train(work, optimizer, rate, options):
    """(held-out loss before, after)."""
    fields = {"warmupSteps": 20, "clipNorm": 1.0, "optimizer": f"OPTIMIZER_{optimizer.upper()}", "updateInBackward": optimizer != "adamw"}
    return mezo.heldout_losses(work, fields, options.lean_steps, rate, argparse.Namespace(batch=BATCH, seed=SEED, threads=options.threads))


def bench_quality(options, figures):
    with tempfile.TemporaryDirectory(prefix="wattle-lean-") as directory:
        work = pathlib.Path(directory)
        mezo.write_split(work, HELDOUT_QUESTIONS)
        best = {}
        for optimizer, rates in RATES.items():
            for rate in rates:
                before, after = train(work, optimizer, rate, options)
                print(f"  {optimizer} at {rate:g}: held-out loss {before:.4f} to {after:.4f}", flush=True)
                best[optimizer] = min(best.get(optimizer, after), after)
    exact = before - best["adamw"]
    if exact < LEAST_DROP:
        print(f"  FP32 AdamW lowers the loss by {exact:.3f} nat alone: take more --lean-steps (the figure wants {LEAST_DROP})")
    for optimizer in ("adamw_8bit", "adafactor"):
        share = 100.0 * (before - best[optimizer]) / exact
        print(f"{optimizer}, updates in the backward pass: {share:.1f} % of the drop of FP32 AdamW after {options.lean_steps} steps; held-out "
              f"loss {best[optimizer]:.4f}, {100.0 * (best[optimizer] / best['adamw'] - 1):+.2f} %")
        figures.append({"key": f"lean.{optimizer}.loss_drop_percent_of_fp32", "value": round(share, 1), "unit": "%",
                        "peer": f"FP32 AdamW, {options.lean_steps} steps, drop {exact:.3f} nat"})
    figures.append({**figures[-1], "key": "lean.loss_drop_percent_of_fp32"})  # of the mode whose memory is measured


def bench(config, options, figures):
    bench_peak(config, options, figures)
    if options.lean_steps == 0:
        return
    if not mezo.can_compare_learning():
        print(f"lean: no comparison of quality: {mezo.SQUAD} or {mezo.TRAINED} is not there")
        return
    bench_quality(options, figures)
