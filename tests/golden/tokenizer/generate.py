# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes a small tokenizer.json of each kind, and what Hugging Face's tokenizers make of difficult texts. See README.md."""

import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

HERE = pathlib.Path(__file__).parent
SEED = 41
VOCABULARY = 420
TEXT = ["The board in the field isn't awake; we'll wake it when the sun's there. It's 2024, 1234567 watts and 89 % charge.",
        "  def read(self):\n      return self.watts\n\n\n\tprint('watt')", "Zoë's café naïve Ångström", "東京の太陽 태양광 발전", "DON'T I'LL"] * 3
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|NUMBER| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = ["", " ", "  ", "   ", "\n", "\n\n", " \n \n  x", "\t\t\n", "a  b   c    d", "the sun's", "THE SUN'S I'LL don'T 'ſ ＇s", "1234567 12 3", "x1y22z333",
         "١٢٣ ½ ²³ Ⅷ １２３", "cafe\u0301 café \u212b A\u030a Å", "a\u0323\u0307 a\u0307\u0323", "\u1112\u1161\u11ab\u1100\u116e\u11a8 한국",
         "\ufa30 \U0002f800 \u2126 \u0958", "e\u0301\u0301 \u0344 q\u0307\u0323", "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f31e☀\ufe0f", "שלום مرحبا नमस्ते",
         "a\u180eb\u0085c\u00a0d\u2003e\u3000f", "\u200b\ufeffx", "def f(x):\n        return x  # \t\n\n\n    y", "<s>the</s><|endoftext|><bos>", " ▁the▁sun", "▁", "wattage wattage",
         "東京の太陽は", "!!!???...\r\n\r\n--", "a\r\nb\rc", "\x00\x01\x7f", "the   the      the        end"]

# Around the longest added runs of phi, 31 spaces and 9 tabs, and of both mixed.
RUNS = ([f"a{' ' * n}b" for n in range(2, 36)] + [f"a{chr(9) * n}b" for n in range(2, 20)] + [" " * 63, "\t" * 29, "x" + " " * 95]
        + ["    \t\t  x\t   \ty", "\n        if x:\n\t\t\treturn\t \t  0   \n", " \t  \t\t   \t\t\t    ", "\t\t\u00a0  \u3000   \u2003\t\t", "  é  e\u0301   東  1  !   "])


def random_texts():
    draw = random.Random(SEED)
    pools = ["abcdefgh ", " \n\t\r\u00a0\u3000", "0123456789१२ⅷ½", "'sStTrReEvVmMlLdD", "éèêÅ\u0301\u0308\u0323\u030a", "\u1100\u1161\u11a8가각", "東京太陽", "🌞☀\ufe0f\u200d", "!?.,;-_()"]
    return ["".join(draw.choice(draw.choice(pools)) for _ in range(draw.randint(3, 40))) for _ in range(60)]


def byte_level(normalizer=None, before=(), use_regex=False, added=()):
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizer
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*before, last]) if before else last
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXT, BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], show_progress=False,
                                                   initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_tokens([AddedToken(text, normalized=True) for text in added])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def split(number):
    return pre_tokenizers.Split(Regex(SPLIT.replace("NUMBER", number)), behavior="isolated", invert=False)


def llama3():
    tokenizer = byte_level(before=[split(r"\p{N}{1,3}")])
    text = json.loads(tokenizer.to_str())
    text["model"]["ignore_merges"] = True
    text["model"]["vocab"]["Ġwattage"] = len(text["model"]["vocab"])  # no merges lead to it
    tokenizer = Tokenizer.from_str(json.dumps(text))
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.token_to_id("<|endoftext|>"))])])
    return tokenizer


def characters(normalizer, pre_tokenizer):
    tokenizer = Tokenizer(BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.train_from_iterator([line.replace("東京", "") for line in TEXT], BpeTrainer(
        vocab_size=VOCABULARY, show_progress=False, special_tokens=["<unk>", "<bos>", "<eos>"] + [f"<0x{byte:02X}>" for byte in range(256)]))
    text = json.loads(tokenizer.to_str())
    text["added_tokens"] = text["added_tokens"][:3]  # bytes are tokens only in the vocabulary
    tokenizer = Tokenizer.from_str(json.dumps(text))
    tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return tokenizer


def main():
    spaces = [" " * n for n in range(31, 1, -1)]
    tabs = ["\t" * n for n in range(9, 1, -1)]
    kinds = {
        "gpt2": byte_level(use_regex=True),
        "gpt_neox": byte_level(normalizers.NFC(), use_regex=True, added=spaces[-3:]),
        "phi": byte_level(use_regex=True, added=spaces + tabs),  # those of CodeGen
        "smollm2": byte_level(before=[pre_tokenizers.Digits(individual_digits=True)], use_regex=True),
        "qwen2": byte_level(normalizers.NFC(), before=[split(r"\p{N}")]),
        "llama3": llama3(),
        "gemma": characters(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", behavior="merged_with_previous")),
        "llama2": characters(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None),
        "mistral": characters(None, pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)),
    }
    for name, tokenizer in kinds.items():
        tokenizer.save(str(HERE / f"{name}.json"), pretty=False)
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        # A user's text that spells a special token is text for us.
        texts = [text for text in TEXTS + random_texts() + (RUNS if name == "phi" else []) if not any(token in text for token in special)]
        cases = [{"text": text, "tokens": tokenizer.encode(text, add_special_tokens=False).ids} for text in texts]
        begin = tokenizer.encode("", add_special_tokens=True).ids
        (HERE / f"{name}.expected.json").write_text(json.dumps({"begin": begin, "cases": cases}) + "\n")
        print(name, tokenizer.get_vocab_size(), "tokens,", len(cases), "texts")


if __name__ == "__main__":
    main()
