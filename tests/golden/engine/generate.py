# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes config.json and gpt2_tiny.safetensors beside this file. See README.md."""

import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = pathlib.Path(__file__).parent
SEED = 20
IGNORED = -100  # transformers' label of a position without loss


def main():
    torch.manual_seed(SEED)
    config = GPT2Config(
        vocab_size=53, n_positions=24, n_embd=16, n_layer=2, n_head=4,
        attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=52, eos_token_id=52)
    model = GPT2LMHeadModel(config).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "ln_" in name and name.endswith("weight"):
                parameter.copy_(1.0 + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            elif "c_attn" in name:
                parameter.copy_(0.7 * noise)
            else:
                parameter.copy_(0.4 * noise)
    lengths = [17, 9, 24]
    tokens = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    mask = torch.zeros_like(tokens)
    for row, length in enumerate(lengths):
        tokens[row, :length] = torch.randint(0, config.vocab_size, (length,))
        mask[row, 1 + length // 2:length] = 1  # the second half of each sequence counts
    labels = torch.where(mask == 1, tokens, torch.tensor(IGNORED))
    output = model(input_ids=tokens, labels=labels)
    output.loss.backward()
    tensors = {
        "tokens": tokens, "mask": mask, "lengths": torch.tensor(lengths),
        "logits": output.logits.detach(), "loss": output.loss.detach().reshape(1)}
    for name, parameter in model.named_parameters():
        tensors["weight:" + name.removeprefix("transformer.")] = parameter.detach().clone()
        tensors["gradient:" + name.removeprefix("transformer.")] = parameter.grad.clone()
    save_file({k: v.contiguous() for k, v in tensors.items()}, HERE / "gpt2_tiny.safetensors")
    (HERE / "config.json").write_text(json.dumps(json.loads(config.to_json_string()), indent=1) + "\n")
    print("loss", output.loss.item(), "logits from", output.logits.min().item(), "to", output.logits.max().item())


if __name__ == "__main__":
    main()
