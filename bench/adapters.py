#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench adapters: adapters on TinyLlama 1.1B's shape, by memory and speed, beside FP32 and 4-bit weights.

Writes a model of that shape with random weights as sharded BF16 safetensors, and trains adapters of rank 16 on all linear layers,
batch 1 x 512, with activation checkpointing, each form of the weights in a fresh process. Peak memory is VmHWM from start, reading
the shards included, to the written result. Then adapters beside BF16 and NF4 weights learn SQuAD's answers (squad_learning.py).
Writes build/bench/adapters.json.

  lora_fp32.tinyllama.peak_gib   beside FP32 weights
  lora_bf16.tinyllama.peak_gib   beside BF16 weights
  qlora.tinyllama.peak_gib       beside NF4 weights with double quantization
  qlora.heldout_loss_above_lora_bf16_percent   after as many steps, of as many seeds
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile

import squad_learning
import torch
from figures import add, write_figures
from random_model import TEXT, result_of, run_task, write_files

WIDTH, LAYERS, MLP_WIDTH, HEADS, KV_HEADS, VOCABULARY = 2048, 22, 5632, 32, 4, 32000
CONFIG = {"model_type": "llama", "vocab_size": VOCABULARY, "max_position_embeddings": 2048, "hidden_size": WIDTH,
          "intermediate_size": MLP_WIDTH, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "num_hidden_layers": LAYERS,
          "rms_norm_eps": 1e-5, "hidden_act": "silu", "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
RATES = (3e-4, 1e-3, 3e-3)
FORMS = {"lora_fp32": {}, "lora_bf16": {"weightsPrecision": "WEIGHTS_PRECISION_BF16"}, "qlora": {"quantization": "QUANTIZATION_NF4"}}


def tensors(layer_count):
    """(name, shape) in two halves, as a download of the model comes."""
    keys = WIDTH // HEADS * KV_HEADS
    layers = [[(f"model.layers.{layer}.{name}.weight", shape) for name, shape in (
        ("input_layernorm", (WIDTH,)), ("self_attn.q_proj", (WIDTH, WIDTH)), ("self_attn.k_proj", (keys, WIDTH)),
        ("self_attn.v_proj", (keys, WIDTH)), ("self_attn.o_proj", (WIDTH, WIDTH)), ("post_attention_layernorm", (WIDTH,)),
        ("mlp.gate_proj", (MLP_WIDTH, WIDTH)), ("mlp.up_proj", (MLP_WIDTH, WIDTH)), ("mlp.down_proj", (WIDTH, MLP_WIDTH)))]
        for layer in range(layer_count)]
    yield [("model.embed_tokens.weight", (VOCABULARY, WIDTH)), *sum(layers[:layer_count // 2], [])]
    yield [*sum(layers[layer_count // 2:], []), ("model.norm.weight", (WIDTH,)), ("lm_head.weight", (VOCABULARY, WIDTH))]


def write_shard(path, names_and_shapes):
    """The format is https://github.com/huggingface/safetensors: length of the header, header, bytes."""
    header, end = {}, 0
    for name, shape in names_and_shapes:
        begin, end = end, end + 2 * torch.Size(shape).numel()
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in names_and_shapes:
            values = torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.02
            file.write(values.to(torch.bfloat16).view(torch.int16).numpy().tobytes())


def make_model(directory, layer_count=LAYERS):
    torch.manual_seed(1)
    write_files(directory, {**CONFIG, "num_hidden_layers": layer_count})
    shards = list(tensors(layer_count))
    names = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(directory / file, shard)
        names.update({name: file for name, _ in shard})
    (directory / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def compare_memory(options, figures):
    with tempfile.TemporaryDirectory(prefix="wattle-adapters-") as work:
        model, text = pathlib.Path(work) / "model", pathlib.Path(work) / "text.txt"
        make_model(model)
        text.write_text(TEXT)
        for form, fields in FORMS.items():
            spec = {"finetune": {"steps": options.steps, "batchSize": 1, "sequenceLength": 512, "learningRate": 1e-4,
                                 "precision": f"PRECISION_{options.precision.upper()}",
                                 "activationCheckpointing": options.checkpointing,
                                 "lora": {"rank": 16, "alpha": 32, "targets": ["all-linear"]}, **fields}}
            with tempfile.TemporaryDirectory(dir=work) as directory:
                frames = run_task(directory, model, text, spec, options.threads)
            seconds = [frame["step"]["compute_seconds"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
            peak = int(result_of(frames)["peak_memory_bytes"]) / 2**30
            speed = 512 / statistics.median(seconds[1:])
            print(f"{form:<10} {peak:5.2f} GiB, {speed:6.1f} tokens/s", flush=True)
            figures.append({"key": f"{form}.tinyllama.peak_gib", "value": round(peak, 2), "unit": "GiB"})
            figures.append({"key": f"{form}.tinyllama.tokens_per_s", "value": round(speed, 1), "unit": "tokens/s"})


def compare_learning(options, figures):
    methods = {form: squad_learning.Method({"warmupSteps": 20, "lora": {"rank": 16, "alpha": 32, "targets": ["all-linear"]}, **FORMS[form]},
                                           RATES, options.learning_steps) for form in ("lora_bf16", "qlora")}
    learned = squad_learning.compare(methods, options)
    own, other = learned["qlora"], learned["lora_bf16"]
    add(figures, "qlora.heldout_loss_above_lora_bf16_percent",
        [100.0 * (mine / peer - 1.0) for mine, peer in zip(own.after, other.after, strict=True)], "%",
        f"LoRA over BF16, {options.learning_steps} steps, from {other.before:.3f} to {other.loss():.3f}, rate {other.rate:g}; QLoRA from "
        f"{own.before:.3f} to {own.loss():.3f}, rate {own.rate:g}", digits=2)


def parser():
    told = argparse.ArgumentParser(prog="./dev bench adapters", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--steps", type=int, default=4, help="of each form; the first one does not count for the speed; 0: no memory and speed")
    told.add_argument("--learning-steps", type=int, default=500, help="of each run that compares held-out losses; 0: none")
    told.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the factors of products")
    told.add_argument("--no-checkpointing", dest="checkpointing", action="store_false")
    told.add_argument("--threads", type=int, default=os.cpu_count())
    squad_learning.add_arguments(told)
    return told


def bench(options, figures):
    if options.steps > 0:
        compare_memory(options, figures)
    if options.learning_steps > 0 and squad_learning.missing():
        print(f"adapters: no held-out losses: {squad_learning.missing()} is not there")
    elif options.learning_steps > 0:
        compare_learning(options, figures)


def main():
    told = parser()
    options = told.parse_args()
    if options.steps == 1:
        told.error("--steps: at least 2, or 0")
    figures = []
    bench(options, figures)
    write_figures("adapters", figures)


if __name__ == "__main__":
    main()
