# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The lean part of ./dev bench train: full fine-tuning with Adafactor, updates in the backward pass and activation checkpointing.

train.py measures its memory and speed at the bench's shape beside the exact mode and the peer. This file measures the peak of GPT-2 Small at batch
1 x 256, and how far lean runs, and a run with BF16 products, lower the held-out loss of SQuAD's answers (squad_learning.py), as a share
of what FP32 AdamW lowers it by, after the same examples in the same order.
"""

import pathlib
import tempfile

import squad_learning
from figures import add
from random_model import TEXT, make_model, result_of, run_task

LEAN = {"optimizer": "OPTIMIZER_ADAFACTOR", "updateInBackward": True, "activationCheckpointing": True}
EXACT = {"warmupSteps": 20, "clipNorm": 1.0}
# name: fields beside those of the exact mode, rates
METHODS = {
    "adamw": ({}, (3e-5, 1e-4, 3e-4)),
    "bf16": ({"precision": "PRECISION_BF16"}, (3e-5, 1e-4, 3e-4)),
    "lean.adamw_8bit": ({"optimizer": "OPTIMIZER_ADAMW_8BIT", "updateInBackward": True}, (3e-5, 1e-4, 3e-4)),
    "lean.adafactor": ({"optimizer": "OPTIMIZER_ADAFACTOR", "updateInBackward": True}, (1e-4, 3e-4, 1e-3)),
}
LEAST_DROP = 0.3  # nat: below it the comparison is inaccurate


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


def bench_quality(options, figures):
    methods = {name: squad_learning.Method({**EXACT, **fields}, rates, options.lean_steps) for name, (fields, rates) in METHODS.items()}
    learned = squad_learning.compare(methods, options)
    if not learned:
        return
    exact = learned.pop("adamw")
    if min(exact.drops()) < LEAST_DROP:
        print(f"  FP32 AdamW lowers the loss by {min(exact.drops()):.3f} nat alone: take more --lean-steps (the figure wants {LEAST_DROP})")
    peer = f"FP32 AdamW, {options.lean_steps} steps, from {exact.before:.3f} to {exact.loss():.3f}, rate {exact.rate:g}"
    for name, own in learned.items():
        losses = [100.0 * (mine / other - 1.0) for mine, other in zip(own.after, exact.after, strict=True)]
        drops = [100.0 * mine / other for mine, other in zip(own.drops(), exact.drops(), strict=True)]
        add(figures, f"{name}.heldout_loss_above_fp32_percent", losses, "%", f"{peer}; own rate {own.rate:g}", digits=2)
        add(figures, f"{name}.loss_drop_percent_of_fp32", drops, "%", f"{peer}; own rate {own.rate:g}", digits=1)
    figures.append({**figures[-1], "key": "lean.loss_drop_percent_of_fp32"})  # of the mode whose memory is measured
