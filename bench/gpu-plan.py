#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench gpu-plan: what a token and a step of training cost the GPU path, without a GPU.

The CUDA kernels run on the host and count what their warps ask for: bytes of weights, each once for the lanes of a warp that ask together,
against the bytes in which the model is stored. Launches, waits of the host and bytes that cross (the larger of both ways) are those of one token
as jobs decode it, drawn by temperature, top-k and top-p; from the second token on the launches are one graph, which the count leaves out.
A step of training runs on the guarded device of the tests, with the kernels on the host: waits for all that was asked of the device, the most
of any step but the first of a run, and bytes of the tensors that a pass makes over those of the tensor plan.
The bounds are not measurements: a token reads the weights at the bandwidth that the board's data sheet promises, and its products add in
FP32 at the clock of the power mode. A board does worse than the lower of the two. Spills are those of tests/golden/cuda_kernels.txt.
Writes build/bench/gpu-plan.json.
"""

import collections
import json
import subprocess
import tempfile

from figures import ROOT, add, write_figures

MODELS = {"gpt2-small": 12 * 12 * 768 * 768 + 50257 * 768, "tinyllama": 22 * (2048 * (2048 + 512) + 2048 * 2048 + 3 * 2048 * 5632) + 32000 * 2048}
FORMATS = ["fp32", "fp16", "bf16", "int8", "int8-g32", "int6-g16", "int4-g32", "int4-g64", "int4a-g64", "nf4-g64", "nf4dq-g64"]

# Bits of the memory bus, its clock (two transfers each), CUDA cores, their clock: NVIDIA's module data sheets and, for the Orin Nano and the
# Xavier NX, the power modes of their nvpmodel.conf.
Board = collections.namedtuple("Board", "title bus_bits memory_hertz cores gpu_hertz")
BOARDS = {
    "nano": Board("Jetson Nano", 64, 1600e6, 128, 921.6e6),
    "tx2": Board("Jetson TX2", 128, 1866e6, 256, 1300e6),
    "xavier-nx": Board("Jetson Xavier NX, 15 W", 128, 1600e6, 384, 1100e6),
    "agx-xavier": Board("Jetson AGX Xavier", 256, 2133e6, 512, 1377e6),
    "orin-nano-7w": Board("Jetson Orin Nano, 7 W", 128, 2133e6, 1024, 408e6),
    "orin-nano-15w": Board("Jetson Orin Nano, 15 W", 128, 2133e6, 1024, 612e6),
    "orin-nano-25w": Board("Jetson Orin Nano, 25 W", 128, 3199e6, 1024, 918e6),
    "orin-nano-super": Board("Jetson Orin Nano, MAXN_SUPER", 128, 3199e6, 1024, 1020e6),
    "orin-nx": Board("Jetson Orin NX", 128, 3199e6, 1024, 918e6),
    "agx-orin": Board("Jetson AGX Orin", 256, 3199e6, 2048, 1300e6),
}


def bound_tokens_per_second(board, bytes_read, weights):
    memory_seconds = bytes_read / (board.bus_bits / 8 * 2 * board.memory_hertz)
    arithmetic_seconds = weights / (board.cores * board.gpu_hertz)
    return 1 / max(memory_seconds, arithmetic_seconds)


def training():
    """The results of the guarded device's tests for a step: its waits, and its tensors' bytes over the plan's."""
    told = {}
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        tests = "Modes/AheadTest.AStepHasNoWaitInsideAndItsLossIsThatOfTheHost/Whole:Architectures/TrainingPlanTest.*"
        subprocess.run([ROOT / "build/release/bin/wattle_device_test", f"--gtest_filter={tests}", f"--gtest_output=json:{out.name}"],
                       stdout=subprocess.DEVNULL, check=True)
        for suite in json.load(out)["testsuites"]:
            for test in suite["testsuite"]:
                told.update((f"{test['name']}.{key}", value) for key, value in test.items())
    of_run = [int(value) for key, value in sorted(told.items()) if ".waits_of_step_" in key]
    return of_run, [float(value) for key, value in told.items() if key.endswith(".activation_bytes_over_plan")]


def main():
    figures = []
    for model, weights in MODELS.items():
        for name in FORMATS:
            counted = subprocess.run([ROOT / "build/release/bin/wattle-gpu-plan", model, name], capture_output=True, text=True, check=True)
            read, packed, launches, waits, host_bytes, layers = (int(word) for word in counted.stdout.split())
            key = f"{model}.{name}"
            add(figures, f"{key}.bytes_read_over_packed", [read / packed], "", "at most 1.05")
            add(figures, f"{key}.launches_per_token", [launches], "launches", f"at most 8 a layer + 8 = {8 * layers + 8}")
            add(figures, f"{key}.syncs_per_token", [waits], "waits", "1")
            add(figures, f"{key}.host_bytes_per_token", [host_bytes], "bytes", "at most 64 each way")
            for board_key, board in BOARDS.items():
                add(figures, f"boards.{board_key}.{model}.{name}.bound_tokens_per_s", [bound_tokens_per_second(board, read, weights)], "tokens/s",
                    f"bound, not measured: {board.title}", 1)
    waits, over_plan = training()
    add(figures, "train.syncs_per_step", [max(waits)], "waits", "0")
    add(figures, "train.activation_bytes_over_plan", [max(over_plan)], "", "1", 2)
    table = [line.split() for line in (ROOT / "tests/golden/cuda_kernels.txt").read_text().splitlines()[1:]]
    add(figures, "kernels.max_spills", [max(int(row[3]) for row in table)], "bytes", f"0 wanted, of {len(table)} compilations")
    write_figures("gpu-plan", figures)


if __name__ == "__main__":
    main()
