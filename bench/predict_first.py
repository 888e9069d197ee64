# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Plays the first jobs of unmeasured boards to the scheduler's predictor (wattle-predict-first).

Every job runs on a board of a class of its own, whose speed is drawn about what the predictor's datasheet level says. Its steps differ by noise, and half
of the boards become slower by up to HEAT while they warm up, which the first half minute does not show. The predictor learns from the first steps, predicts the
whole job, and learns from its receipt before the next one comes.
"""

import math
import statistics
import subprocess

from figures import ROOT, add

JOBS = 60
SPEED = 0.7          # Deviation of the logarithm of a board's speed about its first prediction.
NOISE = 0.08         # Deviation of one step's.
HEAT, HEAT_SECONDS = 0.12, 120


class Predictor:
    def __init__(self):
        self.process = subprocess.Popen([ROOT / "build/release/bin/wattle-predict-first"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("wattle-predict-first ended; its error is above")
        return tuple(map(float, answer.split()))


def steps_of(draw, count, mean):
    """Seconds of the job's steps on a board with its own noise and heat."""
    heat = HEAT * draw.random() if draw.random() < 0.5 else 0
    seconds, passed = [], 0.0
    for _ in range(count):
        step = mean * draw.lognormvariate(0, NOISE) * (1 + heat * (1 - math.exp(-passed / HEAT_SECONDS)))
        seconds.append(step)
        passed += step
    seconds[0] += draw.uniform(0.2, 2)  # The warm-up.
    return seconds


def first_job(predictor, draw, number):
    """(first (seconds, low, high), the same after the probe, seconds until the probe, true seconds, those of the first step) of one drawn job."""
    kind = draw.choice(("finetune", "evaluate"))
    batch, length = draw.choice((1, 2, 4, 8)), draw.choice((32, 64, 128))
    tokens, steps, *first = predictor.ask("job", f"board-{number}", f"b{number}", kind, batch, length, draw.randrange(400, 4000))
    steps = max(1, round(steps))
    mean = first[0] / steps * draw.lognormvariate(0, SPEED)
    seconds = steps_of(draw, steps, mean)
    *then, probed = predictor.ask("run", repr(draw.uniform(4, 20)), *map(repr, seconds))
    return first, then, probed, sum(seconds), seconds[0]


def refuse_clairvoyance(draw, seed):
    """Ends the bench if later steps change the prediction of the probe."""
    def play(stretch):
        predictor, told = Predictor(), []
        world = type(draw)(seed)
        for number in range(6):
            batch = world.choice((1, 2, 4))
            _, steps, *first = predictor.ask("job", f"board-{number}", f"b{number}", "finetune", batch, 64, 800)
            seconds = [first[0] / steps * world.lognormvariate(0, NOISE) for _ in range(round(steps))]
            enough = next(i for i in range(len(seconds)) if sum(seconds[1:i + 1]) >= 16) + 1
            rest = [second * (stretch if number == 5 else 1) for second in seconds[enough:]]
            told.append((first, predictor.ask("run", 10, *map(repr, seconds[:enough] + rest))[:3]))
        return told
    if play(1) != play(3):
        raise SystemExit("a prediction after a probe changed with the steps that came later: it knows the future")


def measure_first_jobs(draw, seeds, figures):
    refuse_clairvoyance(draw, draw.randrange(1 << 30))
    found = {"ratio_p50": [], "ratio_p90": [], "coverage_percent": [], "probe_s_p90": []}
    before, first_steps = [], []
    for _ in range(seeds):
        predictor = Predictor()
        jobs = [first_job(predictor, draw, number) for number in range(JOBS)]
        probed = [job for job in jobs if job[0][2] / job[0][1] > 3 and job[2] > 0]
        ratios = sorted(then[2] / then[1] for _, then, *_ in probed)
        at = lambda values, share: sorted(values)[min(len(values) - 1, int(share * len(values)))]
        found["ratio_p50"].append(at(ratios, 0.5))
        found["ratio_p90"].append(at(ratios, 0.9))
        found["coverage_percent"].append(100 * sum(then[1] <= true <= then[2] for _, then, _, true, _ in probed) / len(probed))
        found["probe_s_p90"].append(at([seconds for _, _, seconds, _, _ in probed], 0.9))
        before.append(at([first[2] / first[1] for first, *_ in probed], 0.5))
        # Work is counted in whole steps: no rule applies before the end of the first one.
        first_steps.append(at([first_step for *_, first_step in probed], 0.9))
    peers = {"ratio_p50": f"before the probe {statistics.median(before):.3g}", "probe_s_p90": f"the first step alone {statistics.median(first_steps):.3g}"}
    for key, values in found.items():
        add(figures, f"first_job.{key}", values, {"coverage_percent": "%", "probe_s_p90": "s"}.get(key, ""), peers.get(key, ""), digits=2)
