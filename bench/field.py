#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench field: what a worker alone keeps of its work.

Sixty simulated days of one fine-tune, with cuts of the power drawn at random; the seeds are printed. The worker's own code chooses when a
checkpoint is written, and nothing tells it how often cuts come. Beside it stand the best of all fixed intervals, chosen afterwards on
the same cuts, and one of fifty steps. Writes build/bench/field.json.

  checkpoint.progress_of_optimum.FORM.M   work kept, by that of the best fixed interval, where cuts come every M on average [goal: 0.8]
  flash.checkpoint_gb_per_day.FORM.M      what the worker's checkpoints write, as the mean of the worst month [goal: 20 with the bound]

FORM: `full`, GPT-2 Small with AdamW in FP32 (1.49 GB, 37 s at 40 MB/s, steps of 4.7 s), without a bound of the card's writes; `bounded`, the same with 20 GB a day; `adapters` (30 MB, 0.75 s), with that bound too.
"""

import argparse
import re
import secrets
import subprocess

from figures import ROOT, add, write_figures

BETWEEN_CUTS = {"1h": 3600, "1d": 86_400, "7d": 7 * 86_400}
FORMS = {"full": (37.0, 1_490_000_000, 4.7, 1e15), "bounded": (37.0, 1_490_000_000, 4.7, 20e9), "adapters": (0.75, 30_000_000, 4.7, 20e9)}


def outcome(form, between_cuts, seed):
    write, size, step, flash = FORMS[form]
    done = subprocess.run([ROOT / "build/release/bin/wattle-checkpoint-cuts", *map(str, (write, size, step, between_cuts, flash, seed))],
                          capture_output=True, text=True, check=True)
    return {name: float(number) for name, number in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench field", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31), help="of the first draw [drawn]")
    parser.add_argument("--draws", type=int, default=9, help="of cuts, for each figure [9]")
    options = parser.parse_args()
    print(f"seeds {options.seed} to {options.seed + options.draws - 1}")
    figures = []
    for form in FORMS:
        for name, between_cuts in BETWEEN_CUTS.items():
            draws = [outcome(form, between_cuts, options.seed + draw) for draw in range(options.draws)]
            fifty = sorted(draw["fifty"] / draw["best"] for draw in draws)[len(draws) // 2]
            add(figures, f"checkpoint.progress_of_optimum.{form}.{name}", [draw["ours"] / draw["best"] for draw in draws], "",
                f"every fifty steps: {fifty:.3f}")
            add(figures, f"flash.checkpoint_gb_per_day.{form}.{name}", [draw["bytes_per_day"] / 1e9 for draw in draws], "GB", "")
    write_figures("field", figures)


if __name__ == "__main__":
    main()
