# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Trains small SentencePiece models, and writes what sentencepiece and transformers make of difficult texts. See README.md."""

import io
import json
import pathlib
import tempfile

import sentencepiece
import transformers

from generate import TEXT, TEXTS, random_texts

HERE = pathlib.Path(__file__).parent
# As Meta trained Llama 2's and Google Gemma's: BPE with bytes, no normalization.
COMMON = dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, vocab_size=420,
              character_coverage=0.98, allow_whitespace_only_pieces=True, split_digits=True, num_threads=1, minloglevel=2)
KINDS = {
    "spm_llama": dict(COMMON, add_dummy_prefix=True),
    # Gemma: ids of its own, no space before a text, pieces that the model recognizes itself.
    "spm_gemma": dict(COMMON, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>",
                      bos_piece="<bos>", user_defined_symbols=["<start_of_turn>", "\n\n", "   ", "▁▁▁▁", "watt"]),
    # Pieces of its own beside the space before a text.
    "spm_own": dict(COMMON, add_dummy_prefix=True, user_defined_symbols=["<sep>", "sun"]),
}
MORE = ["watt", "a watt", "wattwatt 12", "<start_of_turn>user\nhi", "<sep>", "<sep>the", "the<sep> sun sunsun", "the sun's\n\n\n\nx", "aaaaaaa ooooo   tttt"]


def train(settings):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT), model_writer=model, **settings)
    return model.getvalue()


def main():
    special = ["<s>", "</s>", "<unk>", "<bos>", "<eos>", "<pad>"]
    texts = [text for text in TEXTS + MORE + random_texts() if not any(token in text for token in special) and "\0" not in text]
    for name, settings in KINDS.items():
        model = train(settings)
        (HERE / f"{name}.model").write_bytes(model)
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        cases = [{"text": text, "tokens": processor.encode(text)} for text in texts]
        (HERE / f"{name}.expected.json").write_text(json.dumps({"begin": [processor.bos_id()], "cases": cases}) + "\n")
        print(name, processor.vocab_size(), "pieces,", len(cases), "texts")
    # Special tokens in a text, as transformers treats them: "legacy" puts a space behind each.
    model = (HERE / "spm_llama.model").read_bytes()
    marked = ["</s>the", "the</s> sun</s>\nwatt", "<s>", " </s>", "the<|turn|>sun", "<|turn|> the<|turn|>"]
    result = {"added_tokens": {"<|turn|>": 420}, "cases": []}
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "tokenizer.model").write_bytes(model)
        (pathlib.Path(directory) / "added_tokens.json").write_text(json.dumps(result["added_tokens"]))
        for legacy in [True, False]:
            tokenizer = transformers.LlamaTokenizer.from_pretrained(directory, legacy=legacy)
            result["cases"] += [{"text": text, "legacy": legacy, "tokens": tokenizer.encode(text, add_special_tokens=False)} for text in marked]
    (HERE / "spm_llama.special.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
