# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The lean part of ./dev bench train: full fine-tuning with Adafactor, updates in the backward pass and activation checkpointing.

Its memory and speed at the bench's shape stand in train.py beside the exact mode and the peer. Here: the peak of GPT-2 Small at batch
1 x 256, and how far a lean run lowers the held-out loss, as a share of what FP32 AdamW lowers it by: the same start, data, order and
steps, each optimizer with its best rate of a fixed list.
"""

import pathlib
import shutil
import tempfile

from random_model import ROOT, TEXT, make_model, metrics_of, result_of, run_task

SHARED = ROOT.parent / "shared"
MODEL = SHARED / "models/gpt2-30m"
HELDOUT = SHARED / "data/wikitext2/test.txt"
LEAN = {"optimizer": "OPTIMIZER_ADAFACTOR", "updateInBackward": True, "activationCheckpointing": True}
RATES = {"adamw": (1e-4, 3e-4, 1e-3), "adamw_8bit": (1e-4, 3e-4, 1e-3), "adafactor": (3e-4, 1e-3, 3e-3)}
BATCH, LENGTH = 4, 256
LEAST_DROP = 0.3  # nat: below, the comparison says little


def missing():
    for path in (MODEL / "model.safetensors", HELDOUT):
        if not path.exists():
            return f"{path.relative_to(ROOT.parent)} is not there"
    return ""


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


def split_text(work):
    """The held-out text has more of its kind than the start was trained on: three quarters are trained on, the end is held out."""
    text = HELDOUT.read_text(encoding="utf-8")
    cut = text.rindex("\n", 0, len(text) * 3 // 4)
    (work / "train.txt").write_text(text[:cut], encoding="utf-8")
    (work / "heldout.txt").write_text(text[cut:cut + 120_000], encoding="utf-8")


def train(work, optimizer, rate, options):
    """(held-out loss before, after)."""
    spec = {"finetune": {"steps": options.lean_steps, "batchSize": BATCH, "sequenceLength": LENGTH, "learningRate": rate, "warmupSteps": 20,
                         "clipNorm": 1.0, "seed": "3", "lossOn": "LOSS_ON_ALL", "checkpointEverySteps": 100_000,
                         "optimizer": f"OPTIMIZER_{optimizer.upper()}", "updateInBackward": optimizer != "adamw"}}
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "train.txt", spec, options.threads, heldoutDataFile=str(work / "heldout.txt"))
    metrics = metrics_of(result_of(frames))
    return metrics["heldout_loss_before"], metrics["heldout_loss_after"]


def bench_quality(options, figures):
    with tempfile.TemporaryDirectory(prefix="wattle-lean-") as directory:
        work = pathlib.Path(directory)
        shutil.copytree(MODEL, work / "model")
        split_text(work)
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
    if missing():
        print(f"lean: no comparison of quality: {missing()}")
        return
    bench_quality(options, figures)
