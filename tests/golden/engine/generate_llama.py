# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes the directory llama_tiny beside this file. See README.md."""

import json
import pathlib
import random

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, normalizers, processors
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).parent / "llama_tiny"
SEED = 21
IGNORED = -100  # transformers' label of a position without loss
MERGES = ["▁ t", "h e", "▁t he", "▁ a", "▁ s", "u n", "▁s un", "▁ b", "o a", "▁b oa", "r d", "▁boa rd", "i n", "e r", "▁ w", "a t", "▁w at", "t s"]
TEXT = "The sun is on the board, and the board waits in the watts. Zoë's 東京 mast sees the sun; a board reads the watts.\n"
TEXTS = ["the sun", " the  sun", "", "a\nboard", "東京 Zoë", "\U0001f31e the", "<s> the </s>", "un▁der the sun", "\x01 board"]


def make_tokenizer():
    """Bytes, characters and merges, as a Llama tokenizer.json has them."""
    characters = sorted(set("abcdefghijklmnopqrstuvwxyzTZ.,;'\n▁ë"))
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + characters
    tokens += [merge.replace(" ", "") for merge in MERGES]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    model = BPE(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in MERGES], unk_token="<unk>",
                fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer, len(tokens)


def make_model(vocabulary):
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=100.0, bos_token_id=1,
        eos_token_id=2, tie_word_embeddings=False)
    model = LlamaForCausalLM(config).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "norm" in name:
                parameter.copy_(1.0 + 0.3 * noise)
            elif "q_proj" in name or "k_proj" in name:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(0.3 * noise)
    return model


def batch_of(vocabulary):
    lengths = [17, 9, 24]
    tokens = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(0, vocabulary, (length,))
        mask[row, 1 + length // 2:length] = 1  # the second half of each sequence counts
    return torch.tensor(lengths), tokens, mask


def strided_loss(model, tokens, window, stride):
    """The usual script of a perplexity: only tokens that no earlier window scored count."""
    total, count, scored = 0.0, 0, 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + window, len(tokens))
        labels = torch.tensor([tokens[begin:end]])
        labels[:, :max(0, scored - begin)] = IGNORED
        predicted = int((labels[:, 1:] != IGNORED).sum())
        if predicted:
            total += float(model(input_ids=torch.tensor([tokens[begin:end]]), labels=labels).loss) * predicted
            count += predicted
        scored = end
        if end == len(tokens):
            break
    return total / count, count


def main():
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(SEED)
    random.seed(SEED)
    tokenizer, vocabulary = make_tokenizer()
    model = make_model(vocabulary)
    model.save_pretrained(HERE, safe_serialization=True)
    (HERE / "generation_config.json").unlink(missing_ok=True)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.save(str(HERE / "tokenizer.json"))
    fast = PreTrainedTokenizerFast(tokenizer_file=str(HERE / "tokenizer.json"))

    lengths, tokens, mask = batch_of(vocabulary)
    labels = torch.where(mask == 1, tokens, torch.tensor(IGNORED))
    output = model(input_ids=tokens, labels=labels)
    output.loss.backward()
    tensors = {"tokens": tokens, "mask": mask, "lengths": lengths, "logits": output.logits.detach(),
               "loss": output.loss.detach().reshape(1)}
    for name, parameter in model.named_parameters():
        tensors["gradient:" + name.removeprefix("model.")] = parameter.grad.clone()
    save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "golden.safetensors")

    model.eval()
    with torch.no_grad():
        prompt = "the sun"
        ids = fast(prompt, return_tensors="pt").input_ids
        made = model.generate(ids, max_new_tokens=20, do_sample=False, pad_token_id=0)[0, ids.shape[1]:].tolist()
        text = TEXT * 4
        loss, count = strided_loss(model, fast(text).input_ids, 64, 32)
    expected = {
        "text": text, "loss": loss, "predicted_tokens": count, "prompt": prompt, "generated": made,
        # Without the begin token, and with special tokens taken as text: what a user's data gets.
        "encodings": [{"text": each, "tokens": tokenizer.encode(each, add_special_tokens=False).ids}
                      for each in TEXTS if "<s>" not in each],
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=True) + "\n")
    print("loss", output.loss.item(), "logits from", output.logits.min().item(), "to", output.logits.max().item(),
          "perplexity's loss", loss, "generated", made)


if __name__ == "__main__":
    main()
