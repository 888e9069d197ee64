#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Fine-tuning on SQuAD with transformers: the peer of ./dev bench train's SQuAD part. One process, one JSON line of figures.

The usual script: batches padded to their longest example, an attention mask, labels of -100 outside of the answers, AdamW (fused),
clipping, a linear schedule; BF16 by autocast. train_squad_peer.py OPTIONS-AS-JSON
"""

import json
import pathlib
import re
import sys
import time

import torch
import transformers

import squad_data

IGNORED = -100


def batch_of(examples, padding):
    """A data collator's result: input_ids, attention_mask, labels."""
    longest = max(len(tokens) for tokens, _ in examples)
    ids = torch.full((len(examples), longest), padding)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    labels = torch.full((len(examples), longest), IGNORED)
    for row, (tokens, counted) in enumerate(examples):
        ids[row, :len(tokens)] = torch.tensor(tokens)
        mask[row, :len(tokens)] = 1
        labels[row, len(tokens) - counted:len(tokens)] = ids[row, len(tokens) - counted:len(tokens)]
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def examples_in(path, tokenizer, end_token):
    return squad_data.examples_of(pathlib.Path(path), lambda text: tokenizer(text, add_special_tokens=False)["input_ids"], end_token)


@torch.no_grad()
def loss_of(model, examples, batch, padding):
    """The mean loss of a token of the answers."""
    model.eval()
    total = 0.0
    for first in range(0, len(examples), batch):
        part = examples[first:first + batch]
        total += model(**batch_of(part, padding)).loss.item() * sum(counted for _, counted in part)
    return total / sum(counted for _, counted in examples)


def main():
    options = json.loads(sys.argv[1])
    torch.set_num_threads(options["threads"])
    torch.manual_seed(1)
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.GPT2TokenizerFast(f"{options['model']}/vocab.json", f"{options['model']}/merges.txt")
    end_token = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    examples = examples_in(options["data"], tokenizer, end_token)
    order = squad_data.epoch_order(squad_data.runs_that_begin_alike(examples), seed=0, epoch=0)
    model = transformers.GPT2LMHeadModel.from_pretrained(options["model"], dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=options["rate"], weight_decay=0.0, fused=True)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, 0, options["steps"])
    seconds, losses, places = [], [], []
    for step in range(options["steps"]):
        drawn = [examples[i] for i in order[step * options["batch"]:(step + 1) * options["batch"]]]
        start = time.perf_counter()
        batch = batch_of(drawn, end_token)
        with torch.autocast("cpu", torch.bfloat16, enabled=options["precision"] == "bf16"):
            loss = model(**batch).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        places.append(batch["input_ids"].numel())
    peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)) / 1024
    heldout = loss_of(model, examples_in(options["heldout"], tokenizer, end_token), options["batch"], end_token) if "heldout" in options else None
    print(json.dumps({"step_seconds": seconds, "losses": losses, "heldout_loss": heldout, "places": places, "peak_mib": peak,
                      "longest": max(len(tokens) for tokens, _ in examples),
                      "version": f"transformers {transformers.__version__}, PyTorch {torch.__version__}"}))


if __name__ == "__main__":
    main()
