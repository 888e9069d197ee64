#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench memory: the peak memory that the planner expects of a job, beside what the runner takes.

Draws models (80 to 160 million parameters, random weights), methods (METHODS below, each at least once in as many jobs, with and
without activation checkpointing), batches, lengths and data: a text, with or without a held-out one, short questions beside a held-out
text in windows of the whole context, and for LARGE_JOBS of the jobs a SQuAD file of 43 MB (the dev set eleven times; left
out where that is absent). Each is trained for two steps in a fresh wattle-runner; its peak is VmHWM from start to written result, mapped
pages included. Then it draws generate and evaluate jobs in the same way (FORMS below). The tokens are bytes, and the estimate knows that,
as a coordinator does after a job. Writes build/bench/memory.json.

  max_over_percent    the estimate above the peak, at most (a job is refused that would fit)
  max_under_percent   the estimate below the peak, at most (a job is started that does not fit)
  inference.*         the same of generate and evaluate jobs
"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import tempfile
import typing

import texts
from figures import write_figures
from random_model import ROOT, TEXT, make_model, result_of, run_task

ESTIMATE = ROOT / "build/release/bin/wattle-job-memory"
PARAMETERS = (80e6, 160e6)
EVALUATED_BYTES = 4096  # a token each: several windows of 1,024
ROWS_MAX = 1024  # tokens of one forward pass: keeps a run short
SQUAD = texts.FOLDER / "data/squad/squad-v2.0-dev-full.json"
LARGE_JOBS, LARGE_COPIES = 3, 11
LARGE_VOCABULARY = 128256
# By name: fields of the job beside batch and length.
METHODS = {
    "full": {}, "full adamw_8bit": {"optimizer": "OPTIMIZER_ADAMW_8BIT"},
    "full bf16": {"precision": "PRECISION_BF16"}, "full fp16": {"precision": "PRECISION_FP16"},
    "full over bf16": {"weightsPrecision": "WEIGHTS_PRECISION_BF16", "precision": "PRECISION_BF16"},
    "lean adamw_8bit": {"optimizer": "OPTIMIZER_ADAMW_8BIT", "updateInBackward": True},
    "lean adafactor": {"optimizer": "OPTIMIZER_ADAFACTOR", "updateInBackward": True},
    "last 2": {"lastLayers": 2}, "mezo": {"optimizer": "OPTIMIZER_MEZO"},
    "quantization-aware int8": {"quantization": "QUANTIZATION_INT8"}, "mezo lora": {"optimizer": "OPTIMIZER_MEZO"},
    "lora": {}, "lora over bf16": {"weightsPrecision": "WEIGHTS_PRECISION_BF16", "precision": "PRECISION_BF16"},
    "lora fp16": {"precision": "PRECISION_FP16"},
    "qlora int8": {"quantization": "QUANTIZATION_INT8"}, "qlora int4": {"quantization": "QUANTIZATION_INT4"},
    "qlora nf4": {"quantization": "QUANTIZATION_NF4"}, "qlora nf4 bf16": {"quantization": "QUANTIZATION_NF4", "precision": "PRECISION_BF16"},
}
DATA = (("text", None), ("text", "text"), ("text", "text"), ("short squad", "text"))  # and held-out data
FORMS = ("none", "int8", "int4", "nf4")


class Job(typing.NamedTuple):
    config: dict
    spec: dict
    name: str
    data: str | None = "text"  # a name of write_data
    heldout: str | None = None


def vocabulary(draw):
    return LARGE_VOCABULARY if draw.random() < 0.25 else draw.randint(20000, 50257)


def gpt2_config(draw):
    width = 64 * draw.randint(8, 16)
    return {"model_type": "gpt2", "vocab_size": vocabulary(draw), "n_positions": 1024, "n_embd": width,
            "n_head": width // 64, "n_layer": draw.randint(6, 16)}


def llama_config(draw):
    heads = draw.choice((8, 12, 16))
    return {"model_type": "llama", "vocab_size": vocabulary(draw), "max_position_embeddings": 1024,
            "hidden_size": 64 * heads, "intermediate_size": 64 * draw.randint(2 * heads, 4 * heads), "num_attention_heads": heads,
            "num_key_value_heads": draw.choice([heads, heads // 4]), "num_hidden_layers": draw.randint(6, 16), "rms_norm_eps": 1e-5,
            "hidden_act": "silu", "rope_theta": 10000.0, "tie_word_embeddings": draw.random() < 0.5}


def parameters(config):
    if config["model_type"] == "gpt2":
        width, vocabulary = config["n_embd"], config["vocab_size"]
        return vocabulary * width + config["n_positions"] * width + config["n_layer"] * 12 * width * width
    width = config["hidden_size"]
    keys = width * config["num_key_value_heads"] // config["num_attention_heads"]
    layer = 2 * width * width + 2 * width * keys + 3 * width * config["intermediate_size"]
    return config["vocab_size"] * width * (1 if config["tie_word_embeddings"] else 2) + config["num_hidden_layers"] * layer


def draw_model(draw):
    while True:
        config = draw.choice((gpt2_config, llama_config))(draw)
        if PARAMETERS[0] <= parameters(config) <= PARAMETERS[1]:
            return config, f"{config['model_type']} {parameters(config) / 1e6:.0f} M"


def draw_training(draw, method, large):
    config, model = draw_model(draw)
    length = 256 if large else draw.choice((64, 128, 256, 512, 1024))
    batch = draw.choice([size for size in (1, 2, 4, 8, 16) if size * length <= ROWS_MAX])
    data, heldout = ("large squad", None) if large else draw.choice(DATA)
    finetune = {"steps": 2, "batchSize": batch, "sequenceLength": length, "learningRate": 1e-5,
                "activationCheckpointing": draw.random() < 0.3 and "mezo" not in method, **METHODS[method]}
    if data == "short squad":  # as long as they are
        del finetune["sequenceLength"]
        length, finetune["batchSize"] = "short", min(batch, 4)
    if heldout is not None:
        finetune["heldoutData"] = heldout
    if "lora" in method:
        finetune["lora"] = {"rank": draw.choice((4, 8, 16, 32)), "alpha": 16}
    name = f"{model}, {method}, {finetune['batchSize']} x {length}"
    marks = ((finetune["activationCheckpointing"], "checkpointing"), (large, "43 MB"), (heldout is not None, "held out"))
    return Job(config, {"finetune": finetune}, ", ".join([name, *(mark for is_so, mark in marks if is_so)]), data, heldout)


def draw_inference(draw):
    config, model = draw_model(draw)
    form = draw.choice(FORMS)
    quantization = "QUANTIZATION_" + form.upper()
    if draw.random() < 0.5:
        batch, tokens = draw.choice((1, 1, 4)), draw.choice((16, 128))
        prompts = [TEXT[:draw.randint(10, 600)] for _ in range(batch)]
        return Job(config, {"generate": {"prompts": prompts, "maxNewTokens": tokens, "batchSize": batch, "quantization": quantization}},
                   f"{model}, generate {form}, {batch} x {tokens}", None)
    batch = draw.choice((1, 2, 4))
    return Job(config, {"evaluate": {"batchSize": batch, "quantization": quantization}}, f"{model}, evaluate {form}, {batch} windows",
               "short text")


def question(identifier, text):
    return {"id": identifier, "question": text, "answers": [{"text": "panel", "answer_start": 15}], "is_impossible": False}


def large_squad():
    """The dev set several times, with ids of their own."""
    articles = json.loads(SQUAD.read_text())["data"]
    copies = []
    for copy in range(LARGE_COPIES):
        for article in json.loads(json.dumps(articles)):
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    asked["id"] = f"{copy}-{asked['id']}"
            copies.append(article)
    return {"version": "v2.0", "data": copies}


def write_data(kind, directory, stem):
    """The path of data of that kind; None for None."""
    if kind is None:
        return None
    path = pathlib.Path(directory) / f"{stem}{'.json' if 'squad' in kind else '.txt'}"
    if kind == "large squad":
        path.write_text(json.dumps(large_squad()))
    elif kind == "short squad":
        asked = [question(str(number), "Who?") for number in range(100)]
        path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "The mast has a panel.", "qas": asked}]}]}))
    else:
        path.write_text(TEXT[:EVALUATED_BYTES] if kind == "short text" or stem == "heldout" else TEXT)
    return path


def measure(job, options):
    """(expected, taken) in bytes."""
    with tempfile.TemporaryDirectory(prefix="wattle-memory-") as directory:
        model = pathlib.Path(directory) / "model"
        make_model(model, job.config)
        data, heldout = write_data(job.data, directory, "data"), write_data(job.heldout, directory, "heldout")
        files = {} if heldout is None else {"heldoutDataFile": str(heldout)}
        taken = int(result_of(run_task(directory, model, data, job.spec, options.threads, **files))["peak_memory_bytes"])
        known = [] if data is None else ["1", data] + ([] if heldout is None else [heldout])  # a byte is a token
        expected = subprocess.run([ESTIMATE, model, json.dumps(job.spec), *known], check=True, capture_output=True, text=True).stdout
        return int(expected), taken


def errors_of(jobs, options):
    """The estimate against the peak of drawn jobs, in percent."""
    errors = []
    for number, job in enumerate(jobs):
        expected, taken = measure(job, options)
        errors.append(100.0 * (expected - taken) / taken)
        print(f"  {number + 1:2}  {job.name:<66} expected {expected / 2**20:6.0f} MiB, took {taken / 2**20:6.0f} MiB  {errors[-1]:+6.1f} %",
              flush=True)
    return errors


def bounds(errors):
    return {"max_over_percent": round(max(0.0, *errors), 1), "max_under_percent": round(max(0.0, *(-error for error in errors)), 1),
            "median_percent": round(statistics.median(errors), 1), "jobs": len(errors)}


def compare(options):
    """The figures of drawn jobs."""
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    print(f"estimate of memory: seed {seed}, {options.threads} threads", flush=True)
    draw = random.Random(seed)
    methods = draw.sample(list(METHODS), len(METHODS)) + draw.choices(list(METHODS), k=options.jobs)
    large = set(draw.sample(range(options.jobs), min(LARGE_JOBS, options.jobs)))
    if not SQUAD.exists():
        print(f"{SQUAD} is absent (bench/data/README.md): no job reads a large file")
        large = set()
    trained = [draw_training(draw, method, number in large) for number, method in enumerate(methods[:options.jobs])]
    figures = bounds(errors_of(trained, options))
    if options.inference_jobs > 0:
        inference = bounds(errors_of([draw_inference(draw) for _ in range(options.inference_jobs)], options))
        figures |= {f"inference.{key}": value for key, value in inference.items()}
    return {**figures, "seed": seed}


def parser():
    options = argparse.ArgumentParser(prog="./dev bench memory", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--jobs", type=int, default=30, help="that train (default 30)")
    options.add_argument("--inference-jobs", type=int, default=10, help="that generate or evaluate (default 10; 0: none)")
    options.add_argument("--seed", type=int, default=None, help="of the draw; default: a new one, which is printed")
    options.add_argument("--threads", type=int, default=2)
    return options


def main():
    options = parser().parse_args()
    if options.jobs < 1:
        parser().error("--jobs: at least 1")
    figures = compare(options)
    for key, value in figures.items():
        print(f"{key:<20} {value}")
    write_figures("memory", figures)


if __name__ == "__main__":
    main()
