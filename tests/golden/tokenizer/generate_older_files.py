# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes what transformers makes of difficult texts with vocab.json, merges.txt and the files beside them. See README.md."""

import json
import pathlib
import sys
import tempfile

import transformers

from generate import RUNS, TEXTS

HERE = pathlib.Path(__file__).parent
EXPECTED = HERE / "older_files.expected.json"
TURNS = ["<|im_start|>", "<|im_end|>"]
# Special tokens and added ones next to text, which transformers recognizes in every text.
MARKED = ["<|endoftext|>", "the sun<|endoftext|> the  sun", "<|im_start|>user\nWhat's 123?<|im_end|>\n", "x <|im_end|>   y"]


def added(tokens, **fields):
    return {text: dict({"content": text, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False}, **fields) for text in tokens}


def decoder(first, tokens):
    return {str(first + i): token for i, token in enumerate(tokens)}


def kinds():
    """Name: the golden with the vocabulary and the merges, transformers' class, and the files beside them."""
    tokenizers = {name: json.loads((HERE / f"{name}.json").read_text()) for name in ["gpt2", "qwen2", "phi"]}
    runs = {token["content"]: token["id"] for token in tokenizers["phi"]["added_tokens"] if not token["special"]}
    size = {name: len(tokenizer["model"]["vocab"]) for name, tokenizer in tokenizers.items()}
    turns = {text: size["qwen2"] + i for i, text in enumerate(TURNS)}
    end = decoder(0, added(["<|endoftext|>"], special=True).values())
    return {
        "gpt2": ("gpt2", "GPT2Tokenizer", {}),
        "gpt2_begin": ("gpt2", "GPT2Tokenizer", {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True}}),
        "qwen2": ("qwen2", "Qwen2Tokenizer", {"tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": TURNS[1],
            "additional_special_tokens": TURNS, "added_tokens_decoder": end | decoder(size["qwen2"], added(TURNS, special=True).values())}}),
        # Without tokenizer_config.json, AutoTokenizer asks the model.
        "qwen2_by_model": ("qwen2", "Qwen2Tokenizer", {
            "config.json": {"model_type": "qwen2"}, "added_tokens.json": turns, "special_tokens_map.json": {"additional_special_tokens": TURNS}}),
        "phi": ("phi", "CodeGenTokenizer", {"tokenizer_config.json": {"tokenizer_class": "CodeGenTokenizer"}, "added_tokens.json": runs}),
        "phi_by_decoder": ("phi", "CodeGenTokenizer", {"tokenizer_config.json": {
            "tokenizer_class": "CodeGenTokenizer", "add_prefix_space": False, "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>", "added_tokens_decoder": end | decoder(size["phi"], added(runs, special=False, normalized=True).values())}}),
    }


def write_files(directory, base, files):
    model = json.loads((HERE / f"{base}.json").read_text())["model"]
    lines = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (directory / "vocab.json").write_text(json.dumps(model["vocab"]))
    (directory / "merges.txt").write_text("\n".join(["#version: 0.2", *lines]) + "\n")
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))


def main():
    expected = {}
    for name, (base, tokenizer_class, files) in kinds().items():
        if not hasattr(transformers, tokenizer_class):
            print(name, "is left out:", transformers.__version__, "has no", tokenizer_class)
            continue
        with tempfile.TemporaryDirectory() as directory:
            write_files(pathlib.Path(directory), base, files)
            asked = "AutoTokenizer" if "config.json" in files else tokenizer_class
            tokenizer = getattr(transformers, asked).from_pretrained(directory)
        # The second kinds differ only in the files.
        texts = MARKED + (TEXTS[::4] if "_" in name else TEXTS + (RUNS if base == "phi" else []))
        cases = [{"text": text, "tokens": tokenizer.encode(text, add_special_tokens=False)} for text in texts]
        special = sorted(id for text, id in tokenizer.get_added_vocab().items() if text in tokenizer.all_special_tokens)
        expected[name] = {"base": base, "files": files, "begin": tokenizer.encode(""), "special": special, "cases": cases}
        print(name, len(tokenizer), "tokens,", len(cases), "texts")
    if sys.argv[1:] == ["--check"]:
        golden = json.loads(EXPECTED.read_text())
        different = [(name, case["text"], case["tokens"], golden_case["tokens"]) for name, each in expected.items()
                     for case, golden_case in zip(each["cases"], golden[name]["cases"], strict=True) if case != golden_case]
        different += [name for name, each in expected.items() if each != golden[name]]
        sys.exit(f"transformers {transformers.__version__} differs: {different}" if different else 0)
    EXPECTED.write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
