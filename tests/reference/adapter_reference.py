# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""wattle-runner against peft: adapter_reference.py RUNNER.

The adapters that a job begins with are loaded by peft and trained there on the same batches: every loss agrees, peft loads what the
job wrote and computes the logits of its own run, and the merged model that the job writes on request is that of peft.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from transformers import GPT2LMHeadModel

from engine_reference import SKIPPED, TEXT, TINY, agree, finetune, losses_of, make_model, windows

try:
    from peft import PeftModel
except ImportError:
    print("skipped: peft is not in build/venv (./dev test installs it)")
    sys.exit(SKIPPED)

STEPS, RATE = 5, 1e-2
LORA = dict(rank=4, alpha=12.0, targets=["c_attn", "mlp.c_proj"])


def logits_of(model, batch):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([batch[0]])).logits


def same(what, got, wanted, tolerance=1e-3):
    error = float((got - wanted).abs().max() / wanted.abs().max())
    print(f"{what}: relative error {error:.1e}")
    if not error < tolerance:  # five updates amplify the rounding
        sys.exit(f"{what} differ by more than {tolerance}")


def train(runner, work, name, steps=STEPS, rate=RATE, **lora):
    """Runs a job on the model in work / "model"; returns its result and its lines."""
    folder = work / name
    folder.mkdir()
    (folder / "model").symlink_to(work / "model")
    text = TEXT[:64 * 6]
    spec = dict(steps=steps, batchSize=len(windows(list(text.encode()), 64)), learningRate=rate, clipNorm=0.5, weightDecay=0.1,
                lora=dict(LORA, **lora))
    return folder / "result", finetune(runner, folder, spec, text)


def main():
    runner = sys.argv[1]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        (work / "model").mkdir()
        make_model(work / "model", scale=3.0, **TINY)
        batch = windows(list(TEXT[:64 * 6].encode()), 64)
        begun, _ = train(runner, work, "begun", steps=1, rate=1e-30)
        ended, lines = train(runner, work, "ended")
        merged, _ = train(runner, work, "merged", merge=True)

        def base():
            return GPT2LMHeadModel.from_pretrained(work / "model")

        model = PeftModel.from_pretrained(base(), begun, is_trainable=True).train()
        config = json.loads((ended / "adapter_config.json").read_text())
        print("rank", config["r"], "alpha", config["lora_alpha"], "targets", config["target_modules"])
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, weight_decay=0.1)
        first = None
        for step in range(1, STEPS + 1):
            total, count = losses_of(batch, model)
            first = first or float(total) / count
            agree(f"loss of step {step}", float(lines[step - 1].split(" loss ")[1].split()[0]), float(total) / count)
            optimizer.zero_grad()
            (total / count).backward()
            torch.nn.utils.clip_grad_norm_(trained, 0.5)
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - (step - 1) / STEPS)
            optimizer.step()
        wanted = logits_of(model, batch)
        if float((wanted - logits_of(base(), batch)).abs().max()) < 0.1:
            sys.exit("training changed nothing that could be compared")
        same("logits of the adapters as peft loads them", logits_of(PeftModel.from_pretrained(base(), ended), batch), wanted)
        same("logits of the merged model", logits_of(GPT2LMHeadModel.from_pretrained(merged), batch), wanted)


if __name__ == "__main__":
    main()
