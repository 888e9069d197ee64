# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes optimizers.safetensors beside this file: steps of AdamW with 8-bit moments and of Adafactor. See README.md."""

import pathlib

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file
from transformers.optimization import Adafactor

SEED, STEPS = 71, 4
RATE, BETA1, BETA2, EPSILON, DECAY = 0.01, 0.9, 0.95, 1e-8, 0.1
BLOCK = 256
ROWS, COLUMNS = 41, 103  # 4223 numbers: enough for 8 bits, and the last block is not full


def gradients():
    """Rows of different size, and one outlier, so that blocks and rows differ."""
    size = 10.0 ** torch.linspace(-4, 0, ROWS).unsqueeze(1)
    made = [torch.randn(ROWS, COLUMNS) * size for _ in range(STEPS)]
    made[1][3, 5] = 3.0
    return made


def adamw_8bit(weight, all_gradients, tensors):
    """bitsandbytes has the update only on GPUs: its formula here, and its quantization of the moments on the CPU."""
    maps = (bnb.create_dynamic_map(signed=True), bnb.create_dynamic_map(signed=False))
    states = [bnb.quantize_blockwise(torch.zeros(weight.numel()), code=code, blocksize=BLOCK) for code in maps]
    weight = weight.flatten().clone()
    for step, gradient in enumerate(all_gradients, 1):
        first, second = (bnb.dequantize_blockwise(codes, state) if step > 1 else torch.zeros(weight.numel())
                         for codes, state in states)
        first = BETA1 * first + (1 - BETA1) * gradient.flatten()
        second = BETA2 * second + (1 - BETA2) * gradient.flatten() ** 2
        weight *= 1 - RATE * DECAY
        weight -= RATE * (first / (1 - BETA1**step)) / ((second / (1 - BETA2**step)).sqrt() + EPSILON)
        states = [bnb.quantize_blockwise(moment, code=code, blocksize=BLOCK) for moment, code in zip((first, second), maps)]
        for name, (codes, state) in zip(("first", "second"), states):
            tensors[f"adamw_8bit.{name}_codes.{step}"], tensors[f"adamw_8bit.{name}_scales.{step}"] = codes.flatten(), state.absmax
        tensors[f"adamw_8bit.weight.{step}"] = weight.clone().view(ROWS, COLUMNS)
    tensors["signed_map"], tensors["unsigned_map"] = maps


def adafactor(name, weight, all_gradients, tensors):
    parameter = torch.nn.Parameter(weight.clone())
    optimizer = Adafactor([parameter], lr=RATE, weight_decay=DECAY, scale_parameter=False, relative_step=False, warmup_init=False)
    for step, gradient in enumerate(all_gradients, 1):
        parameter.grad = gradient.clone()
        optimizer.step()
        tensors[f"adafactor.{name}.{step}"] = parameter.detach().clone()


def main():
    torch.manual_seed(SEED)
    weight, vector = torch.randn(ROWS, COLUMNS) * 0.1, torch.randn(COLUMNS)
    all_gradients = gradients()
    tensors = {"weight": weight, "vector": vector}
    tensors |= {f"gradient.{step}": gradient for step, gradient in enumerate(all_gradients, 1)}
    adamw_8bit(weight, all_gradients, tensors)
    adafactor("matrix", weight, all_gradients, tensors)
    adafactor("vector", vector, [gradient[-1] for gradient in all_gradients], tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, pathlib.Path(__file__).parent / "optimizers.safetensors")
    print({name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
