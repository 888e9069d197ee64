#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench starts: from the start of a wattle-runner to its first step, with the model only on the disk, and with the model in memory.

Models of GPT-2 Small's shape and of a small one (random weights, FP32), cold and warm starts in turn, --runs of each. The medians are printed;
the line goes through the shortest ones, because other work on the machine only adds to a start. Before a cold
start the model's files leave the page cache; the programs stay there. Writes build/bench/starts.json.

  SHAPE.cold_start_s     the model is read from the disk
  SHAPE.warm_start_s     a job of the same model ran before
  process_start_s        what is left at no weights: the line through the shortest warm start of each
  weights_mb_per_s       the slope of that line: how fast a core takes weights that lie in memory
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

from figures import add, write_figures
from random_model import RUNNER, environment, make_model

COMMON = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "activation_function": "gelu_new"}
SHAPES = {"gpt2_small": {"n_layer": 12, "n_embd": 768, "n_head": 12}, "gpt2_tiny": {"n_layer": 4, "n_embd": 256, "n_head": 4}}
SPEC = {"generate": {"model": "m", "prompts": ["The mast"], "maxNewTokens": 2}}


def drop_from_memory(model):
    for path in model.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start_seconds(directory, model, threads):
    """Seconds until the first frame of the phase after the load."""
    task = {"modelDirectory": str(model), "workDirectory": f"{directory}/work", "outputDirectory": f"{directory}/output", "threads": threads,
            "spec": SPEC}
    path = pathlib.Path(directory) / "task.json"
    path.write_text(json.dumps(task))
    begun = time.monotonic()
    seconds = None
    said = pathlib.Path(directory) / "said"
    with open(said, "w", encoding="utf-8") as errors, subprocess.Popen(
            [RUNNER, "--task", path, "--json"], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment()) as runner:
        for line in runner.stdout:
            phase = json.loads(line).get("phase", {}).get("phase", "load")
            if seconds is None and phase != "load":
                seconds = time.monotonic() - begun
    if runner.returncode != 0:
        raise SystemExit(f"starts: wattle-runner failed: {(said.read_text().strip() or 'no message').splitlines()[-1]}")
    return seconds


def parser():
    options = argparse.ArgumentParser(prog="./dev bench starts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--threads", type=int, default=2)
    return options


def main():
    options = parser().parse_args()
    figures, warm, megabytes = [], {}, {}
    with tempfile.TemporaryDirectory(prefix="wattle-starts-") as work:
        for shape, config in SHAPES.items():
            model = pathlib.Path(work) / shape
            make_model(model, {**COMMON, **config})
            megabytes[shape] = sum(path.stat().st_size for path in model.iterdir()) / 1e6
            seconds = {"cold": [], "warm": []}
            for _ in range(options.runs):
                for kind, values in seconds.items():
                    if kind == "cold":
                        drop_from_memory(model)
                    with tempfile.TemporaryDirectory(dir=work) as directory:
                        values.append(start_seconds(directory, model, options.threads))
            warm[shape] = min(seconds["warm"])
            for kind, values in seconds.items():
                add(figures, f"{shape}.{kind}_start_s", values, "s", f"{megabytes[shape]:.0f} MB", digits=2)
    large, small = SHAPES
    rate = (megabytes[large] - megabytes[small]) / (warm[large] - warm[small])
    add(figures, "weights_mb_per_s", [rate], "MB/s", "", digits=0)
    add(figures, "process_start_s", [warm[small] - megabytes[small] / rate], "s", "", digits=2)
    write_figures("starts", figures)


if __name__ == "__main__":
    main()
