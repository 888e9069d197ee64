# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes embeddings.json: vectors of texts by llama_tiny in transformers, one text at a time and without padding."""

import json
import pathlib

import torch
from transformers import AutoModel, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent
SEQUENCE_LENGTH = 24
TEXTS = ["the sun", "A board in the field wakes up when the sun is there, and sleeps at night.", "a", "the battery", "The mast has a panel."]


def main():
    torch.manual_seed(1)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "llama_tiny" / "tokenizer.json"))
    model = AutoModel.from_pretrained(HERE / "llama_tiny").float().eval()
    vectors, cut = [], 0
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        cut += len(ids) > SEQUENCE_LENGTH
        with torch.no_grad():
            hidden = model(torch.tensor([ids[:SEQUENCE_LENGTH]])).last_hidden_state[0]  # after the final norm
        vectors.append(torch.nn.functional.normalize(hidden.mean(0), dim=0).tolist())
        print(len(ids), "tokens", text)
    (HERE / "embeddings.json").write_text(json.dumps(
        {"sequence_length": SEQUENCE_LENGTH, "texts": TEXTS, "truncated": cut, "embeddings": vectors}, indent=1) + "\n")


if __name__ == "__main__":
    main()
