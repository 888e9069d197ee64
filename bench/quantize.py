#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench quantize: the peak memory of quantizing a model of 1.1 billion parameters, layer by layer.

Writes a model of TinyLlama 1.1B's shape with random weights as sharded BF16 safetensors (2.2 GB) and quantizes it in a fresh
wattle-runner for each recipe: int8 and int4 in groups of 64 rounded to nearest, and int4 with error compensation. Peak memory is
VmHWM from start to the written result, reading the shards included. Writes build/bench/quantize.json.

  FORM.tinyllama.peak_gib    int8, int4 and int4_compensated; at most 4

Compensation takes half an hour on two cores with 2,048 calibration tokens, and longer with the default of 16,384; --layers makes the
model shallower, and --calibration-tokens its text shorter.
"""

import argparse
import pathlib
import tempfile
import time

import adapters
from figures import write_figures
from random_model import TEXT, result_of, run_task

INT4 = {"recipe": {"matrices": {"bits": 4, "groupSize": 64}}}
FORMS = {"int8": {"recipe": {"matrices": {"bits": 8}}}, "int4": INT4, "int4_compensated": {**INT4, "rounding": "ROUNDING_COMPENSATED"}}
GOAL_GIB = 4.0


def parser():
    options = argparse.ArgumentParser(prog="./dev bench quantize", description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    options.add_argument("--layers", type=int, default=adapters.LAYERS)
    options.add_argument("--calibration-tokens", type=int, default=16384)
    options.add_argument("--threads", type=int, default=2)
    return options


def main():
    options = parser().parse_args()
    if not 1 <= options.layers <= adapters.LAYERS:
        parser().error(f"--layers: 1 to {adapters.LAYERS}")
    figures = []
    with tempfile.TemporaryDirectory(prefix="wattle-quantize-") as work:
        model, text = pathlib.Path(work) / "model", pathlib.Path(work) / "text.txt"
        adapters.make_model(model, options.layers)
        text.write_text(TEXT)
        print(f"{options.layers} of {adapters.LAYERS} layers", flush=True)
        for form in options.forms:
            spec, files = dict(FORMS[form]), {}
            if "rounding" in spec:
                spec["calibrationTokens"], files = options.calibration_tokens, {"calibrationDataFile": str(text)}
            start = time.monotonic()
            with tempfile.TemporaryDirectory(dir=work) as directory:
                result = result_of(run_task(directory, model, None, {"quantize": spec}, options.threads, **files))
            peak = int(result["peak_memory_bytes"]) / 2**30
            print(f"{form:<17} {peak:5.2f} GiB, {time.monotonic() - start:6.0f} s", flush=True)
            name = "tinyllama" if options.layers == adapters.LAYERS else f"tinyllama_{options.layers}_layers"
            figures.append({"key": f"{form}.{name}.peak_gib", "value": round(peak, 2), "unit": "GiB", "goal": f"≤ {GOAL_GIB:g}"})
    write_figures("quantize", figures)


if __name__ == "__main__":
    main()
