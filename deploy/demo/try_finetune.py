#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#
# Fine-tunes the demo's base model with the reference implementation (transformers), in the template of formats/squad.h,
# and prints held-out loss and greedy answers before and after: where the figures in README.md and the settings in
# finetune.yaml come from. No part of the demo; an independent check of its model and data.

import argparse
import json
import pathlib
import random
import time

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2LMHeadModel

HERE = pathlib.Path(__file__).resolve().parent
IGNORED = -100


def examples(split):
    data = json.loads((HERE / f"fleet-qa-{split}.json").read_text())["data"]
    for paragraph in (p for article in data for p in article["paragraphs"]):
        for qa in paragraph["qas"]:
            answer = qa["answers"][0]["text"] if qa["answers"] else "unanswerable"
            yield f"{paragraph['context']}\nQuestion: {qa['question']}\nAnswer:", f" {answer}"


def packed(tokenizer, pairs, end):
    for prompt, answer in pairs:
        head, tail = tokenizer.encode(prompt).ids, tokenizer.encode(answer).ids + [end]
        yield head + tail, [IGNORED] * len(head) + tail


def collate(rows, end):
    length = max(len(tokens) for tokens, _ in rows)
    tokens = torch.full((len(rows), length), end)
    labels = torch.full((len(rows), length), IGNORED)
    for i, (t, l) in enumerate(rows):
        tokens[i, :len(t)], labels[i, :len(l)] = torch.tensor(t), torch.tensor(l)
    return tokens, labels


def heldout_loss(model, rows, end):
    """Mean over answer tokens, the end token included."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for i in range(0, len(rows), 16):
            tokens, labels = collate(rows[i:i + 16], end)
            n = int((labels[:, 1:] != IGNORED).sum())
            total += model(input_ids=tokens, labels=labels).loss.item() * n
            count += n
    return total / count


def answers(model, tokenizer, pairs, end, limit=12):
    model.eval()
    found = []
    for prompt, _ in pairs:
        tokens = torch.tensor([tokenizer.encode(prompt).ids])
        out = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=limit, do_sample=False,
                             pad_token_id=end)
        made = out[0, tokens.shape[1]:].tolist()
        found.append(tokenizer.decode(made[:made.index(end)] if end in made else made))
    return found


def finetune(model, rows, end, options):
    order, start = random.Random(options.seed), time.monotonic()
    torch.manual_seed(options.seed)
    decayed = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}],
                                  lr=options.rate)
    model.train()
    queue = []
    for step in range(options.steps):
        if len(queue) < options.batch:
            queue = order.sample(rows, len(rows))
        batch, queue = queue[:options.batch], queue[options.batch:]
        scale = min((step + 1) / options.warmup, (options.steps - step) / (options.steps - options.warmup))
        for group in optimizer.param_groups:
            group["lr"] = options.rate * scale
        tokens, labels = collate(batch, end)
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return (time.monotonic() - start) / options.steps


def main():
    parser = argparse.ArgumentParser(description="Fine-tunes the demo's model with transformers, on one thread.")
    parser.add_argument("--model", type=pathlib.Path, default=HERE / "model")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--warmup", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print every held-out answer, before and after")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = ByteLevelBPETokenizer(str(options.model / "vocab.json"), str(options.model / "merges.txt"))
    model = GPT2LMHeadModel.from_pretrained(options.model, dtype=torch.float32)
    end = model.config.eos_token_id
    train = list(packed(tokenizer, examples("train"), end))
    pairs = list(examples("heldout"))
    unseen = list(packed(tokenizer, pairs, end))
    before, first = heldout_loss(model, unseen, end), answers(model, tokenizer, pairs, end)
    seconds = finetune(model, train, end, options)
    after, last = heldout_loss(model, unseen, end), answers(model, tokenizer, pairs, end)
    exact = [sum(a == got for (_, a), got in zip(pairs, found)) for found in (first, last)]
    print(f"seed {options.seed} rate {options.rate} steps {options.steps}: held-out loss {before:.3f} -> {after:.3f}, "
          f"exact answers {exact[0]} -> {exact[1]} of {len(pairs)}, {seconds:.3f} s per step")
    if options.show:
        for (prompt, wanted), a, b in zip(pairs, first, last):
            print(f"{prompt!r}\n  wanted {wanted!r}\n  before {a!r}\n  after  {b!r}")


if __name__ == "__main__":
    main()
