#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The demo's main job on the programs for arm64, under qemu: `./dev test --all` and `./dev arm64 --demo`.

A coordinator and one emulated Raspberry Pi 5, all of them arm64 programs that qemu runs on this machine: a person logs in, a board
enrols, model and data are pushed, a job is planned, the model is fine-tuned for a few steps, evaluated before and after, and answers in
int8. What the demo does on three boards and in full would take hours under qemu. Then this machine's own programs do the same, and the
figures have to agree. This shows that the programs work on arm64, not how fast they are.

The runner is not shut off from the machine here (--isolation=none): a filter would see qemu's system calls.
Wants build/arm64 and build/arm64-sysroot, which ./dev arm64 makes, and for the comparison the programs of ./dev build.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy/demo"))

import fleet as fleets  # noqa: E402

WRAPPERS = ROOT / "build/arm64/under-qemu"
OWN = ROOT / "build/release/bin"
DEMO = ROOT / "deploy/demo"
PROGRAMS = ("wattle", "wattle-coordinator", "wattle-worker", "wattle-runner")
CPU = "cortex-a76"  # The Raspberry Pi 5's.
QUESTIONS = 8
ANSWERED = 3
FINETUNE = {"finetune.steps": 6, "finetune.batch_size": 2, "finetune.warmup_steps": 1, "finetune.checkpoint_every_steps": 3}
JOB_SECONDS_MAX = 900
DIFFERENCE_MAX = 0.01  # Tolerance of losses and perplexities between the architectures, which sum FP32 in different orders.


def write_wrappers():
    """Makes a script for each program that starts it under qemu. The runner would restart itself for this variable, which qemu cannot do."""
    WRAPPERS.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        wrapper = WRAPPERS / program
        wrapper.write_text(f"#!/bin/sh\nunset OPENBLAS_CORETYPE\nexport OMP_WAIT_POLICY=passive\n"
                           f"exec qemu-aarch64-static -cpu {CPU} -L {ROOT}/build/arm64-sysroot {ROOT}/build/arm64/bin/{program} \"$@\"\n")
        wrapper.chmod(0o755)


def first_questions(file, to):
    """The paragraphs of a SQuAD file that have its first questions."""
    data, kept = json.loads(file.read_text()), []
    for paragraph in (paragraph for article in data["data"] for paragraph in article["paragraphs"]):
        if sum(len(one["qas"]) for one in kept) >= QUESTIONS:
            break
        kept.append(paragraph)
    to.write_text(json.dumps({"version": "v2.0", "data": [{"title": "first", "paragraphs": kept}]}))
    return to


class Arm64Demo:
    def __init__(self, fleet):
        self.fleet, self.started, self.failed, self.figures = fleet, time.monotonic(), [], {}

    def say(self, text):
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", flush=True)

    def check(self, holds, text):
        self.say(f"{'ok    ' if holds else 'FAILED'} {text}")
        if not holds:
            self.failed.append(text)

    def start(self):
        self.fleet.start_coordinator()
        self.say(f"logged in: {self.fleet.run_wattle('whoami').stdout.strip()}")
        extra = ["--time-scale=0", "--isolation=none", f"--runner={fleets.BIN / 'wattle-runner'}", "--runner-silence-seconds=600"]
        self.fleet.start_worker("pi-5", emulate="raspberry-pi-5", extra=extra)
        self.fleet.until_connected("pi-5", timeout_seconds=120)
        self.say("the board is connected")

    def push(self):
        directory = self.fleet.directory
        prompts = directory / "prompts.jsonl"
        prompts.write_text("".join((DEMO / "prompts.jsonl").read_text().splitlines(keepends=True)[:ANSWERED]))
        self.fleet.wattle("model", "push", "demo-base", DEMO / "model")
        self.fleet.wattle("data", "push", "fleet-qa-train", DEMO / "fleet-qa-train.json")
        self.fleet.wattle("data", "push", "fleet-qa-heldout", first_questions(DEMO / "fleet-qa-heldout.json", directory / "heldout.json"))
        self.fleet.wattle("data", "push", "fleet-qa-prompts", prompts)

    def run(self, file, settings):
        """The receipt of the job, which succeeded."""
        overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        plan = self.fleet.wattle("plan", DEMO / file, *overrides)
        job_id = self.fleet.wattle("submit", DEMO / file, *overrides)["job"]["job_id"]
        job = self.fleet.until_done(job_id, JOB_SECONDS_MAX)
        if job["state"] != "JOB_STATE_SUCCEEDED":
            raise fleets.FleetError(f"{file}: {job['state']}: {job.get('reason', '')}\n{self.fleet.run_wattle('job', 'logs', job_id).stdout}")
        receipt = fleets.receipt_of(job)
        device = plan["candidates"][0]["device_name"]
        self.check(len(job["attempts"]) == 1, f"{file}: planned for {device}, ran there in one attempt, with a receipt of "
                   f"{receipt['run']['gross_energy_joules']:.2f} J, emulated")
        return job_id, receipt

    def play(self):
        self.start()
        self.push()
        trained, receipt = self.run("finetune.yaml", FINETUNE)
        before, after = (fleets.metric(receipt, f"heldout_loss_{when}") for when in ("before", "after"))
        self.figures.update(loss_before=before, loss_after=after)
        self.check(after < before, f"the held-out loss fell from {before:.3f} to {after:.3f}")
        log = self.fleet.run_wattle("job", "logs", trained).stdout
        self.check("checkpoint of step 3" in log, "there was a checkpoint")
        perplexities = []
        for model in ("demo-base", f"job:{trained}/output"):
            _, receipt = self.run("evaluate.yaml", {"evaluate.model": model, "evaluate.max_answer_tokens": 4})
            perplexities.append(fleets.metric(receipt, "perplexity"))
        self.check(perplexities[1] < perplexities[0], f"the perplexity fell from {perplexities[0]:.1f} to {perplexities[1]:.1f}")
        self.figures.update(perplexity_before=perplexities[0], perplexity_after=perplexities[1])
        answered, receipt = self.run("generate.yaml", {"generate.model": f"job:{trained}/output", "generate.max_new_tokens": 8})
        self.check(int(receipt["work"]["generated_tokens"]) >= ANSWERED, f"{receipt['work']['generated_tokens']} tokens were generated, in int8")
        self.fleet.wattle("model", "pull", f"job:{answered}/output", self.fleet.directory / "answers")
        for line in (self.fleet.directory / "answers/generations.jsonl").read_text().splitlines():
            self.say(f"       {' '.join(json.loads(line)['text'].split())[:90]}")
        return self.figures if not self.failed else None


def run_fleet():
    """One fleet of the programs of WATTLE_BIN; the last line of output is its figures, as JSON."""
    fleets.leave_no_fleet_behind()
    with fleets.Fleet() as fleet:
        try:
            figures = Arm64Demo(fleet).play()
        except fleets.FleetError as error:
            print(f"arm64 demo: {error}")
            for log in sorted(fleet.directory.glob("*.log")):
                print(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}")
            return 1
    if figures is None:
        return 1
    print(json.dumps(figures))
    return 0


def figures_of(programs):
    """The figures of run_fleet() for these programs, or None."""
    print(f"the programs of {programs.relative_to(ROOT)}", flush=True)
    child = subprocess.Popen([sys.executable, __file__, "--fleet"], env={**os.environ, "WATTLE_BIN": str(programs)}, stdout=subprocess.PIPE, text=True)
    lines = []
    try:
        for line in child.stdout:
            lines.append(line)
            print(f"  {line}", end="", flush=True)
        return json.loads(lines[-1]) if child.wait() == 0 else None
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()


def main():
    if sys.argv[1:] == ["--fleet"]:
        return run_fleet()
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    fleets.leave_no_fleet_behind()
    write_wrappers()
    arm64 = figures_of(WRAPPERS)
    if arm64 is None:
        return 1
    if not (OWN / "wattle-runner").exists():
        print("FAILED not compared: this machine's own programs are not built; ./dev build makes them")
        return 1
    own = figures_of(OWN)
    if own is None:
        return 1
    apart = [name for name, value in own.items() if abs(arm64[name] - value) > DIFFERENCE_MAX * value]
    print(f"FAILED apart: {', '.join(apart)}" if apart else f"the figures of both agree within {100 * DIFFERENCE_MAX:g} %")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
