#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench mezo: training with forward passes only, its peak memory beside that of a loss, and what it learns beside LoRA.

Memory: GPT-2 Small's shape (random weights, FP32), batch 4 x 256, loss on every token. Evaluations of the loss and MeZO trainings of the
same examples alternate, each in a fresh wattle-runner; peak memory is VmHWM from start to written result and checkpoint.
Learning (squad_learning.py): how far MeZO of every weight, MeZO of adapters and LoRA with AdamW lower the held-out loss of SQuAD's
answers. All pass forward over as many examples; LoRA passes backward besides. Writes build/bench/mezo.json.

  mezo.memory_ratio_vs_inference        peak of a training / peak of a loss
  mezo.squad_heldout_loss_drop          how far MeZO of every weight lowers the held-out loss, in nats of an answer's token
  mezo_lora.squad_heldout_loss_drop     MeZO of adapters
  lora.squad_heldout_loss_drop          LoRA with AdamW, after as many forward tokens
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile

import squad_learning
from figures import add, write_figures
from random_model import make_model, result_of, run_task

BATCH, LENGTH = 4, 256
GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12}
MEZO = {"optimizer": "OPTIMIZER_MEZO"}
ADAPTERS = {"lora": {"rank": 8, "alpha": 16}}
# name: fields, forward passes of a step, rates
METHODS = {
    "mezo": (MEZO, 2, (3e-5, 1e-4, 3e-4)),
    "mezo_lora": ({**MEZO, **ADAPTERS}, 2, (3e-4, 1e-3, 3e-3)),
    "lora": (ADAPTERS, 1, (1e-3, 3e-3, 1e-2)),
}


def write_questions(path, questions):
    """SQuAD questions, each longer than LENGTH tokens of a byte."""
    context = "The mast has a panel, a battery and a board; it wakes up with the sun. " * 5
    qas = [{"id": str(i), "question": f"What has the mast {i}?", "is_impossible": False,
            "answers": [{"text": "panel", "answer_start": context.index("panel")}]} for i in range(questions)]
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Mast", "paragraphs": [{"context": context, "qas": qas}]}]}))


def peak_of(work, spec, threads):
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "squad.json", spec, threads)
    return int(result_of(frames)["peak_memory_bytes"])


def compare_memory(options, figures):
    shape = {"batchSize": BATCH, "sequenceLength": LENGTH, "lossOn": "LOSS_ON_ALL"}
    specs = {"loss": {"evaluate": shape},
             "mezo": {"finetune": {**shape, **MEZO, "steps": 2, "learningRate": 1e-6}}}
    peaks = {which: [] for which in specs}
    with tempfile.TemporaryDirectory(prefix="wattle-mezo-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model", GPT2)
        write_questions(work / "squad.json", 2 * BATCH)
        for number in range(options.rounds):
            for which in sorted(specs, reverse=number % 2 == 1):
                peaks[which].append(peak_of(work, specs[which], options.threads))
            print(f"  memory round {number + 1}: a loss {peaks['loss'][-1] / 2**20:.0f} MiB, MeZO {peaks['mezo'][-1] / 2**20:.0f} MiB", flush=True)
    ratios = [own / other for own, other in zip(peaks["mezo"], peaks["loss"], strict=True)]
    peer = f"wattle, loss of the same batch, {statistics.median(peaks['loss']) / 2**20:.0f} MiB"
    add(figures, "mezo.memory_ratio_vs_inference", ratios, "x", peer)


def compare_learning(options, figures):
    methods = {name: squad_learning.Method(fields, rates, options.passes // passes)
               for name, (fields, passes, rates) in METHODS.items() if name in options.methods}
    for name, learned in squad_learning.compare(methods, options, options.batch, options.heldout).items():
        note = f"from {learned.before:.4f}; {options.passes} forward passes of {options.batch} examples, rate {learned.rate:g}"
        add(figures, f"{name}.squad_heldout_loss_drop", learned.drops(), "nat", note, digits=4)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench mezo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of the memory; 0 leaves it out")
    parser.add_argument("--passes", type=int, default=400, help="forward passes of each method; 0 leaves learning out")
    parser.add_argument("--methods", default=",".join(METHODS))
    squad_learning.add_arguments(parser)
    parser.add_argument("--batch", type=int, default=16, help="examples of a forward pass")
    parser.add_argument("--heldout", type=int, default=200, help="questions of the held-out loss; 0: all")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    options.methods = options.methods.split(",")
    if not set(options.methods) <= set(METHODS) or options.rounds < 0 or options.passes < 0 or options.batch < 1:
        parser.error(f"--methods: wants some of {', '.join(METHODS)}; rounds and passes at least 0, batch at least 1")
    figures = []
    if options.rounds > 0:
        compare_memory(options, figures)
    if options.passes > 0:
        compare_learning(options, figures)
    write_figures("mezo", figures)


if __name__ == "__main__":
    main()
