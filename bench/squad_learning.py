# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""How far trainings lower the loss of models/gpt2-30m (texts.py) on SQuAD 2.0's answers: shared by the benches that compare methods.

Each method trains on the training articles; the held-out loss is that of questions of the evaluation articles. A method's rate is the
one of its list that leaves the lowest held-out loss after a run of the first seed drawn. Its losses are those of runs at that rate with
the other seeds: no run that a figure tells has chosen anything.
"""

import dataclasses
import json
import pathlib
import random
import statistics
import tempfile

import texts
from random_model import metrics_of, result_of, run_task

SQUAD = texts.FOLDER / "data/squad/squad-v2.0-dev-full.json"
SPLIT = texts.FOLDER / "data/squad/split-by-article.json"
TRAINED = texts.FOLDER / "models/gpt2-30m"
LENGTH = 256


@dataclasses.dataclass
class Method:
    fields: dict  # of the finetune job
    rates: tuple
    steps: int


@dataclasses.dataclass
class Learned:
    rate: float
    before: float  # held-out loss, nat of an answer's token
    after: list  # values of each seed

    def loss(self):
        return statistics.median(self.after)

    def drops(self):
        return [self.before - after for after in self.after]


def add_arguments(parser):
    parser.add_argument("--seeds", type=int, default=3, help="runs of each method whose held-out losses are measured; one more seed chooses rates")
    parser.add_argument("--seed", type=int, default=None, help="draws those seeds; default: a new one, which is printed")


def missing():
    """The file that the comparison needs and this machine does not have; None: none."""
    return next((path for path in (SQUAD, SPLIT, TRAINED / "model.safetensors") if not path.exists()), None)


def write_articles(path, titles, questions):
    """The articles with these titles, cut after so many questions; 0: all of them."""
    data = json.loads(SQUAD.read_text())
    articles, left = [], questions or 10**9
    for article in data["data"]:
        paragraphs = []
        for paragraph in article["paragraphs"] if article["title"] in titles else ():
            if left > 0:
                paragraphs.append({**paragraph, "qas": paragraph["qas"][:left]})
                left -= len(paragraphs[-1]["qas"])
        if paragraphs:
            articles.append({**article, "paragraphs": paragraphs})
    path.write_text(json.dumps({"version": "v2.0", "data": articles}))


def train(work, method, rate, seed, batch, threads):
    """The held-out loss before and after."""
    spec = {"finetune": {"steps": method.steps, "batchSize": batch, "sequenceLength": LENGTH, "learningRate": rate, "packing": True,
                         "seed": seed, "checkpointEverySteps": 100000, **method.fields}}
    with tempfile.TemporaryDirectory(dir=work) as directory:
        result = result_of(run_task(directory, TRAINED, work / "train.json", spec, threads,
                                    heldoutDataFile=str(work / "heldout.json")))
    figures = metrics_of(result)
    return figures["heldout_loss_before"], figures["heldout_loss_after"]


def compare(methods, options, batch=8, heldout=600):
    """{name: Learned} of {name: Method}; empty, with a message, if a file is missing. batch: examples of a step; heldout: questions, 0: all;
    options: those of add_arguments, and threads."""
    if missing():
        print(f"held-out losses: left out, {missing()} is not there (bench/data/README.md)")
        return {}
    drawn = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    chooser, *seeds = random.Random(drawn).sample(range(1_000_000), 1 + options.seeds)
    print(f"held-out losses: --seed {drawn}; seed {chooser} chooses the rates, {', '.join(map(str, seeds))} measure", flush=True)
    learned = {}
    with tempfile.TemporaryDirectory(prefix="wattle-squad-") as directory:
        work = pathlib.Path(directory)
        split = json.loads(SPLIT.read_text())
        write_articles(work / "train.json", split["train_titles"], 0)
        write_articles(work / "heldout.json", split["eval_titles"], heldout)
        for name, method in methods.items():
            tried = {}
            for rate in method.rates:
                before, tried[rate] = train(work, method, rate, chooser, batch, options.threads)
                print(f"  {name}, {method.steps} steps at {rate:g}: {before:.4f} to {tried[rate]:.4f}", flush=True)
            rate = min(tried, key=tried.get)
            learned[name] = Learned(rate, before, [train(work, method, rate, seed, batch, options.threads)[1] for seed in seeds])
            print(f"  {name} at {rate:g}: to {', '.join(f'{loss:.4f}' for loss in learned[name].after)}", flush=True)
    return learned
