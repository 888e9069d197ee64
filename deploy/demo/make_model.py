#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#
# Makes the demo's base model in model/: a byte-level BPE and a small GPT-2, pretrained on text drawn from fleet_text.py
# (split "pretrain": its log entries speak of devices and jobs that occur in no question of the data set). Needs torch,
# tokenizers and safetensors; README.md has the one command, the versions, the time it took and the loss it reached.
# `--check` trains nothing: it draws the same text again and fails if a paragraph or question of the data set is in it.

import argparse
import json
import math
import os
import pathlib
import random
import re
import resource
import sys
import time

import torch
from safetensors.torch import save_file
from tokenizers import ByteLevelBPETokenizer
from torch import nn
from torch.nn import functional

import fleet_text

SEED = 7
TEXT_SEED = f"{SEED} text"
END = "<|endoftext|>"
VOCABULARY = 3072  # An upper bound; the BPE stops earlier when it runs out of pairs.
POSITIONS, WIDTH, LAYERS, HEADS = 256, 192, 4, 6
LENGTH, BATCH, WARMUP, PEAK_RATE = 128, 16, 60, 2e-3
HERE = pathlib.Path(__file__).resolve().parent
NOT_SAID = "not in the log"
SPEAKERS = ("Field", "Desk", "Crew", "Base", "Caller", "Office", "Depot", "Van", "Roof", "Harbour")

MANUAL = (
    "A worker that is off the network keeps its lease and goes on with its work.",
    "The crew cleans every panel in spring and looks for loose clamps and worn cables.",
    "When a board is hot, first check the fan, then the filter, then the paste under the heat sink.",
    "A checkpoint is safe only when it is on disk and its name has been changed.",
    "The planner never uses energy below the reserve, not even for a job with a deadline.",
    "If two devices can do the job, the one with fewer joules is chosen, unless time is the objective.",
    "A smart plug measures the whole board, a sensor on the carrier measures only its rails.",
    "People on the desk read the alerts, people in the field crew do the visits.",
    "Samples that were taken without a link are sent later, in time order, and gaps are marked.",
    "Before you open the door of a mast, drain the device and wait until the job is finished.",
    "A quantized model is smaller; what it writes should be read by a person now and then.",
    "The battery of a van is charged overnight at the depot, when power is cheap.",
    "Snow may cover a panel for days, so the reserve is higher in winter than in summer.",
    "An old pack has less charge than its label says; measure it once per year.",
    "Training at night is allowed when the charge is high and the next day will be clear.",
    "A device without a clock gets its time from the coordinator after the first contact.",
    "The receipt shows predicted and measured energy side by side, with the source of each number.",
    "Throttling makes a job slow, it does not make it wrong.",
    "Each device has one owner, who is called when an alert is not answered within an hour.",
    "The harbour lies behind the old weir; a boat and a crane are there in summer.",
    "The desk hangs a map of all the sites on the wall, and each pin on it is a device.",
    "A fuse costs little, a lost pack costs a lot: change the fuse first.",
    "Do not move a mast in wind, and never work alone on a roof.",
    "How many steps are lost depends on how often the device writes a checkpoint.",
    "Which device is best is not a matter of speed: it is a matter of energy, time and charge.",
    "What the log does not say, nobody knows.",
    "Question every number that has no source.",
    "Answer each alert within the hour, also at night.",
    "A question is unanswerable when the log does not hold the fact.",
    "An unanswerable call goes back to the field crew with a date.",
)


def restated(note, key, rng):
    """The same fact once more, in other words, as people repeat things in a log: what teaches the model to look back."""
    name, value = note.name_of(key), note.values[key]
    who = rng.choice(fleet_text.PEOPLE)
    before = rng.choice((f"In short, {name} is", f"{fleet_text.sentence_case(name)}:", f"Note that {name} is",
                         f"{who} wrote down {name}:", f"Checked by {who}: {name} is"))
    return [(before, 0), (f" {value}", 1), (".", 0)]


def call(rng, notes, speakers):
    """Somebody asks over the radio and somebody reads from the note above, which does not hold every fact."""
    note = rng.choice(notes)
    key = rng.choice(list(note.starts))
    value = note.values[key]
    if rng.random() < 0.2:
        key, value = rng.choice(note.unsaid), NOT_SAID
    asked = rng.choice(note.questions_of(key))
    pause = rng.choice((" ", "\n"))
    return [(f"{speakers[0]}: {asked}{pause}{speakers[1]}:", 0), (f" {value}", 1), (rng.choice((".", "")), 0)]


def roll_call(rng):
    """Names and numbers, read twice: copying pure and simple."""
    calls = [f"{rng.choice(fleet_text.KINDS)}-{rng.randint(1, 99):02d} {rng.randint(1, 999)}" for _ in range(6)]
    again = rng.sample(calls, len(calls))
    pieces = [(f"Roll call: {', '.join(calls)}. Read back:", 0)]
    for i, entry in enumerate(again):
        name, count = entry.split()
        pieces += [(f"{',' if i else ''} {name}", 0), (f" {count}", 1)]
    return pieces + [(".", 0)]


def document(rng):
    """A text in pieces, each with 1 where it repeats a value that the text has stated, else 0."""
    kind = rng.random()
    if kind < 0.04:
        return [(" ".join(rng.sample(MANUAL, rng.randint(2, 5))), 0)]
    if kind < 0.10:
        return roll_call(rng)
    notes = fleet_text.draw_pair(rng, "pretrain") if rng.random() < 0.2 else [fleet_text.draw_note(rng, "pretrain")]
    pieces = [(notes[0].text, 0)]
    speakers = rng.sample(fleet_text.PEOPLE + SPEAKERS, 2)
    for _ in range(rng.randint(2, 4)):
        pieces.append((rng.choice(("\n", "\n", " ")), 0))
        if rng.random() < 0.6:
            pieces += call(rng, notes, speakers)
        else:
            note = rng.choice(notes)
            pieces += restated(note, rng.choice(list(note.starts)), rng)
    return pieces


def text_of(pieces):
    return "".join(text for text, _ in pieces)


def train_tokenizer(rng, folder):
    """Long numbers are cut to two digits first, or the vocabulary would fill with numbers that are hardly ever seen."""
    corpus = (re.sub(r"(\d\d)\d+", r"\1", text_of(document(rng))) for _ in range(30000))
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(corpus, vocab_size=VOCABULARY, min_frequency=20, special_tokens=[END],
                                  show_progress=False)
    tokenizer.save_model(str(folder))
    return tokenizer


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.c_fc, self.mlp_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        rows, length, _ = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).view(rows, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(mixed.transpose(1, 2).reshape(rows, length, WIDTH))
        return x + self.mlp_proj(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    """GPT-2 as in the reference implementation, without dropout: pretraining sees no text twice."""

    def __init__(self, vocabulary):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, WIDTH), nn.Embedding(POSITIONS, WIDTH)
        self.h = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                nn.init.normal_(p, std=0.002 if "proj" in name else 0.02)
            elif "ln_" not in name:
                nn.init.zeros_(p)
        with torch.no_grad():
            self.start_copying()

    def start_copying(self):
        """Starts two layers as what small models learn late: look up what followed this token last time, and repeat it.

        Width is cut into blocks of one head's size. Block 0 holds the position as sines; in layer 0 two heads attend to
        the previous position and write its blocks 1 and 2 into blocks 3 and 4; in layer 1 two heads compare the present
        token's blocks 1 and 2 with those and pass on what they find. Training is free to change all of it.
        """
        size = WIDTH // HEADS
        def block(i):
            return slice(i * size, (i + 1) * size)
        self.wte.weight[:, block(0)] = 0
        angles = torch.arange(POSITIONS)[:, None] * torch.linspace(0.05, 2.6, size // 2)[None, :]
        self.wpe.weight.zero_()
        self.wpe.weight[:, block(0)] = torch.cat((angles.sin(), angles.cos()), 1) * 0.02 * 2.8
        turn = torch.linspace(0.05, 2.6, size // 2)
        sin, cos = torch.diag(turn.sin()), torch.diag(turn.cos())
        back_by_one = torch.cat((torch.cat((cos, -sin), 1), torch.cat((sin, cos), 1)), 0)
        eye = torch.eye(size)
        for head in (0, 1):
            first, second = self.h[0], self.h[1]
            q, k, v = (slice(part * WIDTH + head * size, part * WIDTH + (head + 1) * size) for part in range(3))
            for layer in (first, second):
                layer.c_attn.weight[q], layer.c_attn.weight[k] = 0, 0
            first.c_attn.weight[q, block(0)], first.c_attn.weight[k, block(0)] = 0.8 * back_by_one, 0.8 * eye
            first.c_attn.weight[v, block(1 + head)] = eye
            first.c_proj.weight[block(3 + head), block(head)] = 0.04 * eye
            second.c_attn.weight[q, block(1 + head)], second.c_attn.weight[k, block(3 + head)] = 1.3 * eye, 1.3 * eye
            second.c_attn.weight[v, block(1 + head)] = eye
            second.c_proj.weight[block(1 + head), block(head)] = 0.2 * eye

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return functional.linear(self.ln_f(x), self.wte.weight)


def encode(tokenizer, pieces):
    """Tokens of the whole text, and for each whether it belongs to a repeated value."""
    encoded = tokenizer.encode(text_of(pieces))
    edges, end = [], 0
    for text, repeats in pieces:
        end += len(text)
        edges.append((end, repeats))
    marks, piece = [], 0
    for start, stop in encoded.offsets:
        while stop > edges[piece][0]:
            piece += 1
        marks.append(edges[piece][1])
    return encoded.ids, marks


def draw_rows(rng, tokenizer, rows, length):
    """Rows of length + 1 tokens, each beginning with a document, and their marks."""
    end = tokenizer.token_to_id(END)
    batch, marked = [], []
    while len(batch) < rows:
        row, marks = [], []
        while len(row) <= length:
            ids, repeats = encode(tokenizer, document(rng))
            row, marks = row + ids + [end], marks + repeats + [0]
        batch.append(row[:length + 1])
        marked.append(marks[:length + 1])
    return torch.tensor(batch), torch.tensor(marked)


def losses(model, rows, marks):
    """Mean loss of all tokens, that of the repeated values, and the share of those that the model would have copied."""
    logits = model(rows[:, :-1]).flatten(0, 1)
    wanted, repeats = rows[:, 1:].flatten(), marks[:, 1:].flatten().bool()
    each = functional.cross_entropy(logits, wanted, reduction="none")
    copied = (logits.argmax(-1) == wanted)[repeats].float().mean()
    return each.mean(), each[repeats].mean(), copied


def rate(step, steps):
    if step < WARMUP:
        return PEAK_RATE * (step + 1) / WARMUP
    return PEAK_RATE * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (steps - WARMUP))))


def training_rows(rng, tokenizer, step):
    """Now and then full rows, so that every position has been seen."""
    long = step % 16 == 15
    return draw_rows(rng, tokenizer, BATCH // 2 if long else BATCH, POSITIONS if long else LENGTH)


def pretrain(model, tokenizer, steps):
    rng = random.Random(TEXT_SEED)
    unseen = draw_rows(random.Random(f"{SEED} unseen"), tokenizer, 64, LENGTH)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if p.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
                                  lr=PEAK_RATE, betas=(0.9, 0.95))
    start = time.monotonic()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        everything, repeats, _ = losses(model, *training_rows(rng, tokenizer, step))
        optimizer.zero_grad(set_to_none=True)
        (everything + repeats).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % 50 == 0 or step == 0:
            with torch.no_grad():
                everything, repeats, copied = losses(model, *unseen)
            print(f"step {step + 1}/{steps}  unseen text: loss {everything:.3f}, of repeated values {repeats:.3f}, "
                  f"copied {copied:.0%}  {time.monotonic() - start:.0f} s", flush=True)


def save(model, folder, vocabulary, end):
    """In the reference's names and layout: linear weights as [in, out], FP16."""
    state = {}
    for name, value in model.state_dict().items():
        name = re.sub(r"\.mlp_proj", ".mlp.c_proj", re.sub(r"\.c_fc", ".mlp.c_fc", name))
        name = re.sub(r"(h\.\d+)\.(c_attn|c_proj)", r"\1.attn.\2", name)
        if name.endswith("weight") and (".attn." in name or ".mlp." in name):
            value = value.t()
        state[name] = value.to(torch.float16).contiguous()
    save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": vocabulary, "n_embd": WIDTH,
        "n_head": HEADS, "n_layer": LAYERS, "n_positions": POSITIONS, "n_ctx": POSITIONS, "n_inner": None,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "initializer_range": 0.02,
        "bos_token_id": end, "eos_token_id": end, "attn_pdrop": 0.1, "resid_pdrop": 0.1, "embd_pdrop": 0.1,
        "tie_word_embeddings": True, "torch_dtype": "float16",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "model_max_length": POSITIONS,
        "bos_token": END, "eos_token": END, "unk_token": END}, indent=1) + "\n")


def check(tokenizer, steps):
    """Draws the text of a training run again and looks for what the data set must have for itself."""
    owned = {}
    for split in ("train", "heldout"):
        for article in json.loads((HERE / f"fleet-qa-{split}.json").read_text())["data"]:
            for paragraph in article["paragraphs"]:
                owned[paragraph["context"]] = split
                owned.update((qa["question"], split) for qa in paragraph["qas"])
    rng, rows = random.Random(TEXT_SEED), 0
    for step in range(steps):
        for row in training_rows(rng, tokenizer, step)[0].tolist():
            text, rows = tokenizer.decode(row), rows + 1
            for piece, split in owned.items():
                if piece in text:
                    sys.exit(f"the pretraining text has this of {split}: {piece}")
    print(f"{rows} rows of pretraining text: none holds one of {len(owned)} paragraphs and questions of the data set")


def main():
    parser = argparse.ArgumentParser(description="Makes the demo's small pretrained base model.")
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "model")
    parser.add_argument("--check", action="store_true", help="train nothing, look for the data set in the text")
    options = parser.parse_args()
    if options.check:
        files = (str(options.out / name) for name in ("vocab.json", "merges.txt"))
        return check(ByteLevelBPETokenizer(*files), options.steps)
    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    start = time.monotonic()
    tokenizer = train_tokenizer(random.Random(f"{SEED} tokenizer"), options.out)
    vocabulary = tokenizer.get_vocab_size()
    model = Gpt2(vocabulary)
    print(f"{vocabulary} tokens, {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    pretrain(model, tokenizer, options.steps)
    save(model, options.out, vocabulary, tokenizer.token_to_id(END))
    used = resource.getrusage(resource.RUSAGE_SELF)
    size = sum(f.stat().st_size for f in options.out.iterdir())
    print(f"{size / 1e6:.2f} MB, {time.monotonic() - start:.0f} s wall, {used.ru_utime + used.ru_stime:.0f} s CPU, "
          f"torch {torch.__version__}, {options.threads} threads")


if __name__ == "__main__":
    main()
