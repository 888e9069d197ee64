#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench tmac: our products on NEON without a dot product, and for int4 table look-ups (T-MAC) beside them.

No such board is at hand, so llvm-mca counts the cycles of the inner loops on its model of a Cortex-A72 (Raspberry Pi 4): sixteen rows,
one input, everything in the first-level cache, and the building of the tables left out. qemu runs the same loops and holds their sums
against each other. Writes build/bench/tmac.json.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

from figures import ROOT, write_figures

SOURCE = ROOT / "bench/tmac_loops.cc"
COMPILE = ["aarch64-linux-gnu-g++", "-std=c++20", "-O3", "-ffp-contract=off", "-mcpu=cortex-a72", f"-I{ROOT}", str(SOURCE)]
ROWS, ITERATIONS = 16, 500
# Name: the text, columns of one round, and the loop that its speed is compared with.
LOOPS = {"int4": ("int4, our kernel: sums in 16 bits", 32, "int4"), "int4-32-bit": ("int4, each sum to 32 bits at once", 8, "int4"),
         "look-up-8-bit": ("int4, look-ups, sums rounded to 8 bits", 8, "int4"), "look-up-16-bit": ("int4, look-ups, exact", 8, "int4"),
         "int8": ("int8, our kernel: sums in 16 bits", 8, "int8"), "int8-32-bit": ("int8, each sum to 32 bits at once", 16, "int8"),
         "nf4": ("NF4, our kernel: sums in 16 bits", 8, "nf4"), "nf4-32-bit": ("NF4, each sum to 32 bits at once", 8, "nf4")}


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
    per_weight = {name: cycles[name] / (ROWS * columns) for name, (_, columns, _) in LOOPS.items()}
    figures = []
    print(f"{'inner loop':<40} {'cycles per weight':>17} {'speed':>7}")
    for name, (text, _, ours) in LOOPS.items():
        print(f"{text:<40} {per_weight[name]:17.3f} {per_weight[ours] / per_weight[name]:6.2f}x")
        figures.append({"key": f"{name}.cycles_per_weight", "value": round(per_weight[name], 4), "unit": "cycles"})
    write_figures("tmac", figures)


if __name__ == "__main__":
    main()
