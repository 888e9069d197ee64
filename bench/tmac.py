#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench tmac: int4 products by table look-up (T-MAC) beside our multiplications, on NEON without a dot product.

No such board is at hand, so llvm-mca counts the cycles of the inner loops on its model of a Cortex-A72 (Raspberry Pi 4): sixteen rows,
eight columns, one input, everything in the first-level cache, and the building of the tables left out. qemu runs the same loops and
holds their sums against each other. Writes build/bench/tmac.json.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from figures import ROOT, write_figures

SOURCE = ROOT / "bench/tmac_loops.cc"
COMPILE = ["aarch64-linux-gnu-g++", "-std=c++20", "-O3", "-ffp-contract=off", "-mcpu=cortex-a72", f"-I{ROOT}", str(SOURCE)]
LOOPS = {"multiply": "our kernel: widening multiplications", "look-up-8-bit": "look-ups, sums rounded to 8 bits",
         "look-up-16-bit": "look-ups, exact"}
WEIGHTS, ITERATIONS = 16 * 8, 500


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="wattle-tmac-") as work:
        program, assembly = pathlib.Path(work) / "loops", pathlib.Path(work) / "loops.s"
        subprocess.run([*COMPILE, "-static", "-o", program], check=True)
        if subprocess.run(["qemu-aarch64-static", "-cpu", "cortex-a72", program], check=False).returncode != 0:
            sys.exit("bench: the loops disagree")
        subprocess.run([*COMPILE, "-S", "-o", assembly], check=True)
        report = subprocess.run(["llvm-mca", "-mtriple=aarch64-linux-gnu", "-mcpu=cortex-a72", f"-iterations={ITERATIONS}", assembly],
                                check=True, capture_output=True, text=True).stdout
    cycles = {name: int(total) / ITERATIONS for name, total in
              re.findall(r"Code Region - (\S+)\n.*?Total Cycles:\s+(\d+)", report, re.DOTALL)}
    figures = []
    print(f"{'inner loop':<40} {'cycles':>8} {'per weight':>11} {'speed':>7}")
    for name, text in LOOPS.items():
        speed = cycles["multiply"] / cycles[name]
        print(f"{text:<40} {cycles[name]:8.1f} {cycles[name] / WEIGHTS:11.3f} {speed:6.2f}x")
        figures.append({"key": f"{name}.cycles_per_weight", "value": round(cycles[name] / WEIGHTS, 4), "unit": "cycles"})
    write_figures("tmac", figures)


if __name__ == "__main__":
    main()
