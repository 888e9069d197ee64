#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench security: what a runner's box costs.

Each figure is measured with the box and without it in turn in the same run, and its range is that of the rounds. Writes
build/bench/security.json.

  box_start_ms     what isolation full adds to the start of a small program, from the preparation to its end
  box_step_ratio   time of a training step without the box, by that with it (1: the box costs nothing)
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"

from figures import add, write_figures  # noqa: E402

TASK = """attempt_id: "j1.1" model_directory: "{root}/deploy/demo/model" data_file: "{root}/deploy/demo/fleet-qa-train.json"
work_directory: "{work}/work" output_directory: "{work}/output" threads: 1
spec {{ finetune {{ steps: {steps} batch_size: 4 sequence_length: 128 learning_rate: 0.001 }} }}
"""


def load(*arguments):
    """The numbers that wattle-box-load prints, by name."""
    done = subprocess.run([BIN / "wattle-box-load", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"wattle-box-load {arguments[0]}: {done.stderr.strip()[-400:]}")
    return {name: float(number) for name, number in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}


def step_seconds(level, steps):
    with tempfile.TemporaryDirectory(prefix="wattle-box-") as work:
        for name in ("work", "output"):
            (pathlib.Path(work) / name).mkdir()
        task = pathlib.Path(work) / "task"
        task.write_text(TASK.format(root=ROOT, work=work, steps=steps))
        return load("steps", BIN / "wattle-runner", task, level)["step_seconds"]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench security", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of each figure [7]")
    parser.add_argument("--steps", type=int, default=60, help="of a training [60]")
    options = parser.parse_args()
    figures = []
    starts = [load("start", 30) for _ in range(options.rounds)]
    add(figures, "box_start_ms", [start["full"] - start["none"] for start in starts], "ms",
        f"seccomp alone {sorted(start['seccomp'] - start['none'] for start in starts)[len(starts) // 2]:.2f} ms")
    ratios, without = [], []
    for number in range(options.rounds):
        levels = ("none", "full") if number % 2 == 0 else ("full", "none")  # Neither always has the warmer machine.
        seconds = {level: step_seconds(level, options.steps) for level in levels}
        ratios.append(seconds["none"] / seconds["full"])
        without.append(1000 * seconds["none"])
    add(figures, "box_step_ratio", ratios, "", f"a step without the box: {min(without):.1f} to {max(without):.1f} ms", 4)
    write_figures("security", figures)


if __name__ == "__main__":
    main()
