# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The examples of a SQuAD fine-tuning as wattle-runner makes them and in its order: what a peer of the bench is fed with, so that both
train on the same tokens in the same steps. Checked by the bench: without dropout the losses of both agree."""

import json

MASK32, MASK64 = 2**32 - 1, 2**64 - 1
DATA_ORDER = 5  # worker/engine/kernels/random.h


def philox(counter, key):
    """Philox4x32-10."""
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(second >> 32) ^ counter[1] ^ key[0], second & MASK32, (first >> 32) ^ counter[3] ^ key[1], first & MASK32]
        key = [(key[0] + 0x9E3779B9) & MASK32, (key[1] + 0xBB67AE85) & MASK32]
    return counter


def runs_that_begin_alike(examples):
    """worker/engine/train/data_order.h: lists of neighbours, of examples as examples_of makes them, of which more than half is common."""
    runs = [[0]]
    for i in range(1, len(examples)):
        (before, counted_before), (own, counted) = examples[i - 1], examples[i]
        limit = min(len(before) - counted_before, len(own) - counted) - 1
        common = next((place for place in range(limit) if before[place] != own[place]), limit)
        if 2 * common > min(len(before), len(own)):
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def epoch_order(runs, seed, epoch):
    """worker/engine/train/data_order.h: the examples of the runs, shuffled run by run after Fisher and Yates."""
    order = list(runs)
    for i in range(len(runs) - 1, 0, -1):
        element = 2 * i
        bits = philox([element // 4, epoch >> 32, DATA_ORDER, epoch & MASK32], [seed & MASK32, seed >> 32])
        other = ((bits[element % 4] << 32 | bits[element % 4 + 1]) & MASK64) % (i + 1)
        order[i], order[other] = order[other], order[i]
    return [example for run in order for example in run]


def questions_of(path):
    """(context, question, answer) in file order, as formats/squad.h words them."""
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                answer = "unanswerable" if qa.get("is_impossible") else qa["answers"][0]["text"]
                yield paragraph["context"], f"\nQuestion: {qa['question']}\nAnswer:", f" {answer}"


def examples_of(path, encode, end_token):
    """(tokens, how many of them are the answer's) of every question. encode: text to tokens."""
    contexts = {}
    examples = []
    for context, question, answer in questions_of(path):
        if context not in contexts:
            contexts[context] = encode(context)
        counted = [*encode(answer), end_token]
        examples.append(([*contexts[context], *encode(question), *counted], len(counted)))
    return examples
