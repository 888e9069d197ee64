# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes nf4.safetensors beside this file: NF4 with double quantization by bitsandbytes. See README.md."""

import pathlib

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file

SEED, ROWS, COLUMNS, GROUP = 53, 288, 64, 64  # more than one block of 256 scales


def main():
    torch.manual_seed(SEED)
    # Rows of different size, one with an outlier.
    weight = torch.randn(ROWS, COLUMNS) * (0.02 * torch.rand(ROWS, 1) + 0.01)
    weight[5, 7] = 0.7
    packed, state = bnb.quantize_4bit(weight, blocksize=GROUP, compress_statistics=True, quant_type="nf4")
    tensors = {"weight": weight, "packed": packed.flatten(), "levels": state.code, "scale_codes": state.absmax,
               "block_scales": state.state2.absmax, "mean": state.offset.reshape(1), "map": state.state2.code,
               "dequantized": bnb.dequantize_4bit(packed, state)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, pathlib.Path(__file__).parent / "nf4.safetensors")
    print({name: tuple(tensor.shape) for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
