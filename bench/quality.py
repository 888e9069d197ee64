#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench quality: what quantization costs in quality, on trained models, with the quantize and evaluate jobs that a fleet runs.

Each recipe is made by a quantize job from calibration text and compared with its FP32 parent on another text: change of perplexity,
KL divergence, top-1 agreement, distinct bigrams of sampled text. int4 is rounded to nearest as well, beside. The adaptive recipe
(bits by matrix, at most 1.3 times int4's bytes) stands beside random assignments of int8 to matrices with as many bytes.
The same after six channels of each norm were made 50 times larger and the weights that read them as much smaller, which leaves the
FP32 function as it was (the head is untied for that) and imitates the outliers of large models.

Prints tables and writes build/bench/quality.json: a list of {"key", "value", "unit", "peer", "goal"}.

  --model DIR --calibration FILE --evaluation FILE   a trained model and its two texts, instead of the ones below
  --randoms N    random assignments (default 20)     --tokens N    calibration tokens (default 16384)
  --windows N    windows of text, or questions, that evaluate (default 32)     --threads N
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile

import texts
from figures import write_figures
from random_model import metrics_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNNER = ROOT / "build/release/bin/wattle-runner"
MODELS = {
    "gpt2-30m": (texts.FOLDER / "models/gpt2-30m", texts.FOLDER / "data/wikitext2/valid.txt", texts.FOLDER / "data/wikitext2/test.txt"),
    "demo": (ROOT / "deploy/demo/model", ROOT / "deploy/demo/fleet-qa-train.json", ROOT / "deploy/demo/fleet-qa-heldout.json"),
}
OUTLIER_CHANNELS, OUTLIER_FACTOR = (5, 60, 101, 190, 250, 333), 50.0
COMPENSATED = {"rounding": "ROUNDING_COMPENSATED"}
RECIPES = {
    "int8": {"recipe": {"matrices": {"bits": 8}}, **COMPENSATED},
    "int4": {"recipe": {"matrices": {"bits": 4, "group_size": 64}}, **COMPENSATED},
    "int4_nearest": {"recipe": {"matrices": {"bits": 4, "group_size": 64}}},
    "int4_head8": {"recipe": {"matrices": {"bits": 4, "group_size": 64}, "head": {"bits": 8}}, **COMPENSATED},
    "adaptive": {"quantization": "QUANTIZATION_ADAPTIVE"},
}
GOALS = {"int8.ppl_change_percent": "≤ 0.5", "int4.ppl_change_percent": "≤ 3", "adaptive.ppl_change_percent": "≤ 1",
         "int4.compensation_removes_percent": "≥ 40"}
TEXT_DRAWS = 8
PROMPTS = ["The history of the river", "In the year of the war", "Question: What is the name of the", "A small town in the north"]


def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    return header, data[8 + length:]


def floats_of(entry, body):
    begin, end = entry["data_offsets"]
    code, size = {"F16": ("e", 2), "F32": ("f", 4)}[entry["dtype"]]
    return list(struct.unpack(f"<{(end - begin) // size}{code}", body[begin:end]))


def make_outliers(parent, directory):
    """The same function with outlier channels in every norm, in F32; its head is its own."""
    shutil.copytree(parent, directory)
    os.chmod(directory, 0o755)
    for file in directory.iterdir():
        os.chmod(file, 0o644)
    header, body = read_safetensors(parent / "model.safetensors")
    header.pop("__metadata__", None)
    prefix = "transformer." if any(name.startswith("transformer.") for name in header) else ""
    config = json.loads((directory / "config.json").read_text())
    width, changed = config["n_embd"], {}

    def floats(name):
        if name not in changed:
            changed[name] = (header[name]["shape"], floats_of(header[name], body))
        return changed[name][1]

    def enlarge(norm):
        for part in ("weight", "bias"):
            values = floats(f"{prefix}{norm}.{part}")
            for channel in OUTLIER_CHANNELS:
                values[channel % width] *= OUTLIER_FACTOR

    for layer in range(config["n_layer"]):
        for norm, matrix in (("ln_1", "attn.c_attn"), ("ln_2", "mlp.c_fc")):
            enlarge(f"h.{layer}.{norm}")
            name = f"{prefix}h.{layer}.{matrix}.weight"
            weights, outputs = floats(name), header[name]["shape"][1]  # [inputs, outputs]
            for channel in OUTLIER_CHANNELS:
                for i in range(channel % width * outputs, (channel % width + 1) * outputs):
                    weights[i] /= OUTLIER_FACTOR
    enlarge("ln_f")
    table = f"{prefix}wte.weight"
    head = floats_of(header[table], body)
    for channel in OUTLIER_CHANNELS:
        for row in range(header[table]["shape"][0]):
            head[row * width + channel % width] /= OUTLIER_FACTOR
    changed["lm_head.weight"] = (header[table]["shape"], head)
    config["tie_word_embeddings"] = False
    (directory / "config.json").write_text(json.dumps(config))

    out, pieces, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(set(header) | set(changed)):
        # All floats in F32: a model whose tensors differ in type is refused.
        if name in changed or header[name]["dtype"] == "F16":
            shape, values = changed[name] if name in changed else (header[name]["shape"], floats_of(header[name], body))
            dtype, data = "F32", struct.pack(f"<{len(values)}f", *values)
        else:
            begin, end = header[name]["data_offsets"]
            shape, dtype, data = header[name]["shape"], header[name]["dtype"], body[begin:end]
        out[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        pieces.append(data)
        offset += len(data)
    text = json.dumps(out).encode()
    text += b" " * (-len(text) % 8)
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(pieces))


def distinct_share(texts):
    """The share of distinct pairs among all pairs of neighbouring words."""
    pairs = [pair for text in texts for pair in zip(text.split(), text.split()[1:])]
    return len(set(pairs)) / max(1, len(pairs))


class Model:
    """One parent with its texts; runs jobs with wattle-runner."""

    def __init__(self, name, parent, texts, work, options):
        self.name, self.parent, self.options = name, parent, options
        self.calibration, self.evaluation = texts
        self.work = work / name
        self.work.mkdir()

    def run(self, output, spec, **files):
        task = {"spec": spec, "threads": self.options.threads, "output_directory": str(output), **files}
        path = self.work / "task.json"
        path.write_text(json.dumps(task))
        done = subprocess.run([RUNNER, "--task", path, "--json"], capture_output=True, text=True)
        last = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
        if "result" not in last:
            sys.exit(f"bench: {spec}: {done.stderr[-600:]}")
        return metrics_of(last["result"])

    def quantize(self, name, spec):
        """The directory of the result, and the form of each matrix."""
        output = self.work / name
        shutil.rmtree(output, ignore_errors=True)
        files = {"model_directory": str(self.parent)}
        spec = dict(spec)
        if spec.get("rounding") or spec.get("quantization"):
            files["calibration_data_file"] = str(self.calibration)
            spec["calibration_tokens"] = self.options.tokens
        self.run(output, {"quantize": spec}, **files)
        return output, json.loads((output / "quantization.json").read_text())

    def evaluate(self, model):
        spec = {"evaluate": {"loss_on": "LOSS_ON_ALL", "limit_examples": self.options.windows, "batch_size": 4,
                             "reference_model": "parent"}}
        return self.run(self.work / "evaluation", spec, model_directory=str(model), data_file=str(self.evaluation),
                        reference_model_directory=str(self.parent))

    def distinct(self, model):
        """Mean over some draws: one draw of four texts differs from the next by several percent, whatever the model."""
        output, shares = self.work / "texts", []
        for seed in range(7, 7 + TEXT_DRAWS):
            spec = {"generate": {"prompts": PROMPTS, "max_new_tokens": 96, "temperature": 0.8, "seed": seed}}
            self.run(output, spec, model_directory=str(model))
            shares.append(distinct_share([json.loads(line)["text"] for line in (output / "generations.jsonl").read_text().splitlines()]))
        return statistics.mean(shares)


class Bench:
    def __init__(self, options):
        self.options = options
        self.figures = []

    def add(self, key, value, unit, peer=None, goal=None):
        self.figures.append({"key": key, "value": round(value, 4), "unit": unit, "peer": peer, "goal": goal})

    def print_forms(self, forms):
        print(f"  adaptive is {forms['quantization']}: norms and biases fp32, keys and values {forms['kv_cache']}")
        for matrix in forms["matrices"]:
            importance = f"{matrix['importance_nats']:12.6f}" if "importance_nats" in matrix else f"{'-':>12}"
            print(f"    {matrix['tensor']:36} {matrix['format']:10} {matrix['stored_bytes']:>12,} bytes  importance {importance} nats")

    def random_recipe(self, forms, budget, generator):
        """int8 for matrices in random order, as far as the bytes suffice."""
        matrices = [dict(m) for m in forms["matrices"] if "importance_nats" in m]
        def sizes(m):  # int8: a byte and an FP32 scale a row; int4: half a byte, and an FP16 scale for each group of 64
            return m["int8"], m["int4"]
        generator.shuffle(matrices)
        used = sum(sizes(m)[1] for m in matrices)
        recipe = {"matrices": {"bits": 4, "group_size": 64}, "exceptions": []}
        for matrix in matrices:
            more = sizes(matrix)[0] - sizes(matrix)[1]
            if used + more <= budget:
                used += more
                recipe["exceptions"].append({"tensor": matrix["tensor"], "format": {"bits": 8}})
        recipe["exceptions"].sort(key=lambda exception: exception["tensor"])
        return recipe

    def one_model(self, prefix, model, with_randoms):
        forms, results = {}, {}
        for name, spec in RECIPES.items():
            directory, forms[name] = model.quantize(name, spec)
            results[name] = model.evaluate(directory)
        multiplied = {m["tensor"] for m in forms["adaptive"]["matrices"] if "importance_nats" in m}
        bytes_of = {name: sum(m["stored_bytes"] for m in forms[name]["matrices"] if m["tensor"] in multiplied) for name in RECIPES}
        print(f"\n{prefix or ''}{model.name}: perplexity of the parent {results['int8']['reference_perplexity']:.3f}")
        print(f"{'':14} {'bytes':>12} {'perplexity':>11} {'KL, nats':>9} {'same top':>9}")
        for name, metrics in results.items():
            print(f"{name:14} {bytes_of[name]:12,} {metrics['perplexity_change_percent']:+10.3f}% {metrics['kl_divergence']:9.5f}"
                  f" {metrics['top1_agreement_percent']:8.2f}%")
        self.print_forms(forms["adaptive"])
        for name in ("int8", "int4", "adaptive"):
            key = f"{name}.ppl_change_percent"
            self.add(prefix + key, results[name]["perplexity_change_percent"], "%", "its FP32 parent", GOALS[key])
        nearest, rounded = results["int4_nearest"]["kl_divergence"], results["int4"]["kl_divergence"]
        self.add(f"{prefix}int4.nearest_ppl_change_percent", results["int4_nearest"]["perplexity_change_percent"], "%")
        self.add(f"{prefix}int4.compensation_removes_percent", 100 * (1 - rounded / nearest), "%", "KL divergence of rounding to nearest",
                 GOALS["int4.compensation_removes_percent"])
        loss = {name: metrics["kl_divergence"] for name, metrics in results.items()}
        wide, wide_forms = model.quantize("adaptive_wide", {**RECIPES["adaptive"], "size_budget_bytes": bytes_of["int4_head8"]})
        wide_loss = model.evaluate(wide)["kl_divergence"]
        wide_bytes = sum(m["stored_bytes"] for m in wide_forms["matrices"] if m["tensor"] in multiplied)
        print(f"  adaptive with the bytes of int4_head8: {wide_bytes:,} bytes, KL {wide_loss:.5f} nats")
        self.add(f"{prefix}adaptive.loss_ratio_vs_int4", loss["adaptive"] / loss["int4"], "x", "KL divergence of int4", "< 1")
        self.add(f"{prefix}adaptive.loss_ratio_vs_int4_head8", wide_loss / loss["int4_head8"], "x", "int4 with an int8 head, equal bytes", "< 1")
        self.add(f"{prefix}adaptive.bytes_over_int4", bytes_of["adaptive"] / bytes_of["int4"], "x", None, "≤ 1.3")
        if with_randoms and self.options.randoms > 0:
            self.randoms(prefix, model, forms, bytes_of, loss["adaptive"])
        if self.options.texts:
            parent = model.distinct(model.parent)
            for name in ("int8", "int4", "adaptive"):
                self.add(f"{prefix}{name}.distinct_bigrams_ratio", model.distinct(model.work / name) / parent, "x", "the parent's texts", "≥ 0.95")

    def randoms(self, prefix, model, forms, bytes_of, adaptive):
        of = {name: {m["tensor"]: m["stored_bytes"] for m in forms[name]["matrices"]} for name in ("int8", "int4")}
        known = {"matrices": [{**m, "int8": of["int8"][m["tensor"]], "int4": of["int4"][m["tensor"]]}
                              for m in forms["adaptive"]["matrices"]]}
        generator, losses = random.Random(1), []
        for _ in range(self.options.randoms):
            recipe = self.random_recipe(known, bytes_of["adaptive"], generator)
            directory, _ = model.quantize("random", {"recipe": recipe, **COMPENSATED})
            losses.append(model.evaluate(directory)["kl_divergence"])
        print(f"  {len(losses)} random assignments of at most as many bytes: KL {min(losses):.5f} to {max(losses):.5f} nats,"
              f" median {statistics.median(losses):.5f}; adaptive {adaptive:.5f}")
        self.add(f"{prefix}adaptive.loss_ratio_vs_random", adaptive / statistics.median(losses), "x",
                 f"median of {len(losses)} random assignments", "< 1")

    def run(self):
        chosen = MODELS
        if self.options.model:
            chosen = {self.options.model.name: (self.options.model, self.options.calibration, self.options.evaluation)}
        with tempfile.TemporaryDirectory(prefix="wattle-quality-") as directory:
            work = pathlib.Path(directory)
            for number, (name, (parent, *of_parent)) in enumerate(chosen.items()):
                texts.need(parent, *of_parent)
                prefix = "" if number == 0 else f"{name}."
                self.one_model(prefix, Model(name, parent, of_parent, work, self.options), True)
                outliers = work / f"{name}-outliers"
                make_outliers(parent, outliers)
                self.one_model(f"{prefix}outlier.", Model(f"{name}, outliers", outliers, of_parent, work, self.options), False)
        return self.figures


def parser():
    options = argparse.ArgumentParser(prog="./dev bench quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=pathlib.Path)
    options.add_argument("--calibration", type=pathlib.Path)
    options.add_argument("--evaluation", type=pathlib.Path)
    options.add_argument("--randoms", type=int, default=20)
    options.add_argument("--tokens", type=int, default=16384)
    options.add_argument("--windows", type=int, default=32)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--no-texts", dest="texts", action="store_false", help="leave out the sampled texts")
    return options


def main():
    options = parser().parse_args()
    if options.model and not (options.calibration and options.evaluation):
        sys.exit("bench: --model wants --calibration and --evaluation: two different texts")
    figures = Bench(options).run()
    print(f"\n{'key':46} {'value':>9} {'unit':4} {'goal':8} beside")
    for figure in figures:
        print(f"{figure['key']:46} {figure['value']:9.3f} {figure['unit']:4} {figure['goal'] or '-':8} {figure['peer'] or '-'}")
    write_figures("quality", figures)


if __name__ == "__main__":
    main()
