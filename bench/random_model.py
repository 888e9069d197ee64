# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Models with random weights, and wattle-runner tasks on them, shared by the benches of training."""

import json
import os
import pathlib
import subprocess
import sys
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNNER = ROOT / "build/release/bin/wattle-runner"
TEXT = ("The mast has a panel, a battery and a board; it wakes up with the sun. " * 2000)[:512 * 256]  # whole windows of 256 bytes


# Whether a peer's threads of OpenMP sleep while they wait, or spin for a while first as they do by default. Which is faster depends on the
# PyTorch and the precision, so the benches measure both. wattle-runner sets its own.
WAITS = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "passive"}}


class Shape(typing.NamedTuple):
    layers: int
    width: int
    heads: int
    kv_heads: int
    mlp: int
    vocabulary: int
    positions: int
    llama: bool  # RMSNorm, rotary, gated SiLU, no biases; otherwise GPT-2's block


SHAPES = {
    "distilgpt2": Shape(6, 768, 12, 12, 3072, 50257, 1024, False),
    "gpt2-small": Shape(12, 768, 12, 12, 3072, 50257, 1024, False),
    "tinyllama": Shape(22, 2048, 32, 4, 5632, 32000, 2048, True),
}


def environment(waits="spinning"):
    """The environment without the caller's settings of OpenBLAS and OpenMP. waits: a key of WAITS."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "OMP_"))}
    return {**own, **WAITS[waits]}


def byte_symbols():
    """GPT-2's mapping of bytes to visible characters."""
    symbols, following = {}, 256
    for byte in range(256):
        printable = 33 <= byte <= 126 or (byte >= 161 and byte != 173)
        symbols[chr(byte if printable else following)] = byte
        following += 0 if printable else 1
    return symbols


def write_files(directory, config):
    """A model directory without weights; its tokens are bytes."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({**config, "bos_token_id": 256, "eos_token_id": 256}))
    (directory / "vocab.json").write_text(json.dumps({**byte_symbols(), "<|endoftext|>": 256}))
    (directory / "merges.txt").write_text("#version: 0.2\n")


def make_model(directory, config):
    """A model directory with random weights."""
    write_files(directory, config)
    subprocess.run([RUNNER, "--initialize", directory, "--seed", "1"], check=True)


def run_task(directory, model, text, spec, threads, under=(), **files):
    """A whole job in a fresh process, with its files in `directory`; returns its frames. text: its data, or None; files: others; under: a
    command that starts the process."""
    if text is not None:
        files["dataFile"] = str(text)
    task = {"modelDirectory": str(model), "workDirectory": f"{directory}/work", "outputDirectory": f"{directory}/output",
            "threads": threads, "spec": spec, **files}
    path = pathlib.Path(directory) / "task.json"
    path.write_text(json.dumps(task))
    done = subprocess.run([*under, RUNNER, "--task", path, "--json"], capture_output=True, text=True, env=environment(), check=False)
    if done.returncode != 0:
        sys.exit(f"wattle-runner failed: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def result_of(frames):
    return next(frame["result"] for frame in frames if "result" in frame)


def metrics_of(result):
    """{name: value} of a result's metrics. JSON leaves a 0 out."""
    return {metric["name"]: metric.get("value", 0.0) for metric in result.get("metrics", [])}
