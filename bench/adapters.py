#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench adapters: adapters on TinyLlama 1.1B's shape, by memory and speed, beside FP32 and 4-bit weights.

Writes a model of that shape with random weights as sharded BF16 safetensors, and trains adapters of rank 16 on all linear layers,
batch 1 x 512, with activation checkpointing. The forms of the weights alternate, each run in a fresh process. Peak memory is VmHWM
from start, reading the shards included, to the written result. Then adapters beside BF16 and NF4 weights learn SQuAD's answers
(squad_learning.py). Writes build/bench/adapters.json.

  lora_fp32.tinyllama.peak_gib   beside FP32 weights
  lora_bf16.tinyllama.peak_gib   beside BF16 weights
  qlora.tinyllama.peak_gib       beside NF4 weights with double quantization
  qlora.tinyllama.speed_vs_lora_bf16
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
LENGTH, WARM_UP = 512, 3
ADAPTERS = {"lora": {"rank": 16, "alpha": 32, "targets": ["all-linear"]}}
RATES = (3e-4, 1e-3, 3e-3)
FORMS = {"lora_fp32": {}, "lora_bf16": {"weightsPrecision": "WEIGHTS_PRECISION_BF16"}, "qlora": {"quantization": "QUANTIZATION_NF4"}}


def tensors(layer_count):
    """(name, shape) in two halves, like the shards of a downloaded model."""
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


def train(work, form, options):
    """(peak in GiB, tokens per second) of a whole job in a fresh process."""
    spec = {"finetune": {"steps": WARM_UP + options.steps, "batchSize": 1, "sequenceLength": LENGTH, "learningRate": 1e-4,
                         "precision": f"PRECISION_{options.precision.upper()}", "activationCheckpointing": options.checkpointing,
                         **ADAPTERS, **FORMS[form]}}
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "text.txt", spec, options.threads)
    seconds = [frame["step"]["compute_seconds"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
    peak, speed = int(result_of(frames)["peak_memory_bytes"]) / 2**30, LENGTH / statistics.median(seconds[WARM_UP:])
    print(f"  {form:<10} {peak:5.2f} GiB, {speed:6.1f} tokens/s", flush=True)
    return peak, speed


def compare_memory(options, figures):
    played = {form: [] for form in FORMS}
    with tempfile.TemporaryDirectory(prefix="wattle-adapters-") as directory:
        work = pathlib.Path(directory)
        make_model(work / "model")
        (work / "text.txt").write_text(TEXT)
        for number in range(options.rounds):
            for form in list(FORMS) if number % 2 == 0 else reversed(FORMS):
                played[form].append(train(work, form, options))
    for form, done in played.items():
        peaks, speeds = zip(*done)
        add(figures, f"{form}.tinyllama.peak_gib", peaks, "GiB", "", digits=2)
        add(figures, f"{form}.tinyllama.tokens_per_s", speeds, "tokens/s", "", digits=1)
    add(figures, "qlora.tinyllama.speed_vs_lora_bf16", [own[1] / other[1] for own, other in zip(played["qlora"], played["lora_bf16"], strict=True)],
        "x", "LoRA over BF16")


def compare_learning(options, figures):
    methods = {form: squad_learning.Method({"warmupSteps": 20, **ADAPTERS, **FORMS[form]}, RATES, options.learning_steps)
               for form in ("lora_bf16", "qlora")}
    learned = squad_learning.compare(methods, options)
    if not learned:
        return
    own, other = learned["qlora"], learned["lora_bf16"]
    add(figures, "qlora.heldout_loss_above_lora_bf16_percent",
        [100.0 * (mine / peer - 1.0) for mine, peer in zip(own.after, other.after, strict=True)], "%",
        f"LoRA over BF16, {options.learning_steps} steps, from {other.before:.3f} to {other.loss():.3f}, rate {other.rate:g}; QLoRA from "
        f"{own.before:.3f} to {own.loss():.3f}, rate {own.rate:g}", digits=2)


def parser():
    told = argparse.ArgumentParser(prog="./dev bench adapters", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--rounds", type=int, default=5, help="of memory and speed, one run of each form; 0: none")
    told.add_argument("--steps", type=int, default=3, help=f"whose median is a run's speed, after {WARM_UP} that warm up")
    told.add_argument("--learning-steps", type=int, default=500, help="of each run that compares held-out losses; 0: none")
    told.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the factors of products")
    told.add_argument("--no-checkpointing", dest="checkpointing", action="store_false")
    told.add_argument("--threads", type=int, default=os.cpu_count())
    squad_learning.add_arguments(told)
    return told


def main():
    options = parser().parse_args()
    if options.rounds < 0 or options.steps < 1:
        parser().error("--rounds: at least 0; --steps: at least 1")
    figures = []
    if options.rounds > 0:
        compare_memory(options, figures)
    if options.learning_steps > 0:
        compare_learning(options, figures)
    write_figures("adapters", figures)


if __name__ == "__main__":
    main()
