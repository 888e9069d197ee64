# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes rounded.safetensors: the gradients of llama_tiny where every factor of every matrix product is rounded to BF16. See README.md."""

import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
IGNORED = -100  # transformers' label of a position without loss
# A block, and the head: the engine has one matrix for query, key and value, and one for gate and up.
KEPT = ["layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight", "layers.0.self_attn.v_proj.weight", "layers.0.self_attn.o_proj.weight",
        "layers.0.mlp.gate_proj.weight", "layers.0.mlp.up_proj.weight", "layers.0.mlp.down_proj.weight", "layers.0.input_layernorm.weight",
        "layers.0.post_attention_layernorm.weight", "lm_head.weight"]


FACTORS = torch.bfloat16  # generate_loss_scale.py sets another type


def rounded(x):
    return x.to(FACTORS).to(torch.float32)


class RoundedProduct(torch.autograd.Function):
    """left right, forward and backward of rounded factors, with FP32 sums."""

    @staticmethod
    def forward(context, left, right):
        context.save_for_backward(left, right)
        return PLAIN(rounded(left), rounded(right))

    @staticmethod
    def backward(context, gradient):
        left, right = context.saved_tensors
        of_left = PLAIN(rounded(gradient), rounded(right).transpose(-1, -2))
        of_right = PLAIN(rounded(left).transpose(-1, -2), rounded(gradient))
        return of_left, of_right


PLAIN = torch.matmul


def linear(x, weight, bias=None):
    rows = x.reshape(-1, x.shape[-1])
    out = RoundedProduct.apply(rows, weight.t()).reshape(*x.shape[:-1], -1)
    return out if bias is None else out + bias


def tiny_model_and_batch():
    """llama_tiny whose products all round their factors, the golden tensors of its batch, and the labels."""
    golden = load_file(HERE / "llama_tiny" / "golden.safetensors")
    model = transformers.LlamaForCausalLM.from_pretrained(HERE / "llama_tiny", attn_implementation="eager").train()
    labels = torch.where(golden["mask"] == 1, golden["tokens"], torch.tensor(IGNORED))
    torch.matmul, torch.nn.functional.linear = RoundedProduct.apply, linear
    return model, golden, labels


def main():
    model, golden, labels = tiny_model_and_batch()
    loss = model(input_ids=golden["tokens"], labels=labels).loss
    loss.backward()
    torch.matmul = PLAIN
    gradients = {name.removeprefix("model."): parameter.grad for name, parameter in model.named_parameters()}
    tensors = {name: gradients[name].contiguous() for name in KEPT}
    for name, gradient in tensors.items():
        exact = golden["gradient:" + name]
        print(name, "rounding changes it by", float((gradient - exact).norm() / exact.norm()))
    print("loss", loss.item(), "unrounded", golden["loss"].item())
    save_file({"loss": loss.detach().reshape(1), **tensors}, HERE / "rounded.safetensors")


if __name__ == "__main__":
    main()
