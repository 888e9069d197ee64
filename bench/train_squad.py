# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The SQuAD part of ./dev bench train: examples per second of full fine-tuning of GPT-2 Small's shape, beside the transformers script.

Both get the same examples in the same steps (the engine's order), template, length, loss mask, schedule, clipping and dropout; no example
is longer than LENGTH, so none is cut. Ours packs and computes a paragraph once for its questions in a batch, which both get one after
the other; the script pads to the longest of the batch. A run without dropout before the rounds proves that both train on the same: the
losses of all steps agree, and afterwards the loss of held-out questions. The processes alternate; a round is one of each, in turn first.
A round's figure is examples over the sum of its steps after the warm-up ones. The script's best precision counts, with waiting threads of
OpenMP that spin or that sleep, whichever is faster.
"""

import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import pathlib

from figures import add
from random_model import ROOT, RUNNER, WAITS, environment, metrics_of, result_of, run_task
from squad_learning import SQUAD, TRAINED, write_articles

PEER_PYTHON = ROOT / "build/venv-torch/bin/python"
BATCH, LENGTH, RATE, ARTICLES = 8, 512, 5e-5, 4
WARM_UP = 3
CHECKED_STEPS, HELDOUT = 4, 24  # of the run that compares losses; held-out questions, of the next article
TOLERANCE = 2e-4  # of a loss, relative: single precision, sums in another order, the updates of the steps before


def missing():
    """The part's requirements that this machine lacks; empty: the part can run."""
    for path in (SQUAD, TRAINED / "merges.txt"):
        if not path.exists():
            return f"{path} is not there (bench/data/README.md)"
    done = subprocess.run([PEER_PYTHON, "-c", "import torch, transformers"], capture_output=True, check=False) if PEER_PYTHON.exists() else None
    return "" if done is not None and done.returncode == 0 else "build/venv-torch has no PyTorch with transformers"


def make_model(directory, config):
    directory.mkdir(parents=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(TRAINED / name, directory / name)
    (directory / "config.json").write_text(json.dumps({**config, "bos_token_id": 50256, "eos_token_id": 50256}))
    subprocess.run([RUNNER, "--initialize", directory, "--seed", "1"], check=True)


def set_dropout(directory, dropout):
    config = json.loads((directory / "config.json").read_text())
    config.update(attn_pdrop=dropout, embd_pdrop=dropout, resid_pdrop=dropout)
    (directory / "config.json").write_text(json.dumps(config))


def run_ours(work, steps, threads, **files):
    spec = {"finetune": {"steps": steps, "batchSize": BATCH, "sequenceLength": LENGTH, "learningRate": RATE, "clipNorm": 1.0, "packing": True,
                         "checkpointEverySteps": 1000}}
    with tempfile.TemporaryDirectory(dir=work) as directory:
        frames = run_task(directory, work / "model", work / "squad.json", spec, threads, **files)
    taken = [frame["step"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
    return {"step_seconds": [step["compute_seconds"] for step in taken], "losses": [step["loss"] for step in taken],
            "heldout_loss": metrics_of(result_of(frames)).get("heldout_loss_after")}


def run_peer(work, steps, threads, precision, waits="spinning", **files):
    options = {"model": str(work / "model"), "data": str(work / "squad.json"), "steps": steps, "batch": BATCH, "rate": RATE,
               "threads": threads, "precision": precision, **files}
    done = subprocess.run([PEER_PYTHON, ROOT / "bench/train_squad_peer.py", json.dumps(options)], capture_output=True, text=True,
                          env=environment(waits), check=False)
    if done.returncode != 0:
        sys.exit(f"the transformers script failed: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
    return json.loads(done.stdout)


def rate_of(run):
    seconds = run["step_seconds"][WARM_UP:]
    return BATCH * len(seconds) / sum(seconds)


def check_the_same_work(work, threads):
    heldout = str(work / "heldout.json")
    ours = run_ours(work, CHECKED_STEPS, threads, heldoutDataFile=heldout)
    peer = run_peer(work, CHECKED_STEPS, threads, "fp32", heldout=heldout)
    if peer["longest"] > LENGTH:
        sys.exit(f"squad: an example of {peer['longest']} tokens would be cut; want at most {LENGTH}")
    losses = [(f"loss of step {step}", *both) for step, both in enumerate(zip(ours["losses"], peer["losses"], strict=True), 1)]
    for name, own, other in [*losses, (f"loss of {HELDOUT} held-out questions afterwards", ours["heldout_loss"], peer["heldout_loss"])]:
        print(f"  squad without dropout, {name}: ours {own:.5f}, transformers {other:.5f}", flush=True)
        if abs(own - other) > TOLERANCE * other:
            sys.exit("squad: the losses differ: both do not train on the same")


def bench(config, options, figures):
    """config: of GPT-2 Small, with dropout."""
    reason = missing()
    if reason:
        print(f"squad: left out, {reason}")
        return
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as directory:
        work = pathlib.Path(directory)
        titles = [article["title"] for article in json.loads(SQUAD.read_text())["data"]]
        write_articles(work / "squad.json", titles[:ARTICLES], 0)
        write_articles(work / "heldout.json", titles[ARTICLES:ARTICLES + 1], HELDOUT)
        make_model(work / "model", config)
        set_dropout(work / "model", 0.0)
        check_the_same_work(work, options.threads)
        set_dropout(work / "model", config["resid_pdrop"])
        steps = WARM_UP + options.squad_steps
        peers = list(itertools.product(("fp32", "bf16"), WAITS))
        rates = {which: [] for which in ("ours", *peers)}
        for number in range(options.rounds):
            order = list(rates) if number % 2 == 0 else list(reversed(rates))
            done = {which: run_ours(work, steps, options.threads) if which == "ours" else run_peer(work, steps, options.threads, *which)
                    for which in order}
            for which, run in done.items():
                rates[which].append(rate_of(run))
            print(f"  squad round {number + 1}, examples/s: ours {rates['ours'][-1]:.2f}; "
                  + "; ".join(f"{', '.join(which)} {rates[which][-1]:.2f}" for which in peers), flush=True)

    def fastest(precisions):
        return max((which for which in peers if which[0] in precisions), key=lambda which: statistics.median(rates[which]))

    for key, which in (("squad.examples_per_s_ratio_vs_transformers", fastest(("fp32", "bf16"))),
                       ("squad.examples_per_s_ratio_vs_transformers_fp32", fastest(("fp32",)))):
        peer = f"{done[which]['version']}, {', '.join(which)}, {statistics.median(rates[which]):.2f} examples/s"
        add(figures, key, [own / other for own, other in zip(rates["ours"], rates[which], strict=True)], "x", peer)
    add(figures, "squad.fp32.examples_per_s", rates["ours"], "examples/s", "this engine alone")
