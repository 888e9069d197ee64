#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The demo: a coordinator and three emulated boards on this machine, real jobs, receipts. Started by ./dev demo.

  --verbose     print the receipt of each job before the closing table
  --keep        leave the fleet up at the end, with a Prometheus, and print how to go on with it
  --no-jobs     with --keep: a fresh fleet, no jobs
  --squad FILE  fine-tune on questions of a SQuAD 2.0 file instead of the demo's own
  --model DIR   start from this GPT-2 directory instead of the demo's own base model
                (both cap the work)
  --seed N      of the boards' hidden offsets, which the scheduler has to learn

What it asserts is printed line by line near the end, and one table closes it; the exit status is 1 if one of the lines does not hold.
The boards have clocks of their own, which stand still while this machine computes. Jobs are planned in rounds: all of a round before the
first of them ends, and none before the round before has ended. Hence the table is the same on every machine (docs/adr/0004).
"""

import argparse
import itertools
import json
import math
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import fleet as fleets
from fleet import BIN, ENDINGS, ROOT, Fleet, FleetError, leave_no_fleet_behind, metric, receipt_of

HERE = pathlib.Path(__file__).resolve().parent
BOARDS = {"xavier-nx": "jetson-xavier-nx", "orin-nano": "jetson-orin-nano", "pi-5": "raspberry-pi-5"}
# The Orin Nano runs on a battery, the others on a supply: 90 Wh, four fifths full.
BATTERY = ("--battery-wh=90", "--state-of-charge=0.8")
SEED = 7  # The first board's hidden offsets; the others take the next ones. --seed N takes another.
PROMETHEUS = "127.0.0.1:9090"  # With --keep.
# What each board runs before the first plan. The reserve keeps the Orin Nano out of what follows the fine-tunes.
MEASURED_FIRST = {"xavier-nx": ("finetune", "evaluate"), "orin-nano": ("finetune",), "pi-5": ("finetune", "generate", "evaluate")}
MEASURED_SECONDS = 1  # The length of each, by the first prediction, which no plan can use yet.
PROGRESS_SECONDS = 15.0  # Between two lines of progress, where no terminal can rewrite one.
INTERVAL_RATIO_MAX = 3.0  # Upper over lower end of every interval that the demo prints.
LOSS_FALL_MIN_PERCENT = 20.0  # The held-out answer loss must fall by this much.
FIRST_REPORT_SECONDS_MAX = 120.0  # Within which every board reports its idle draw, on the slowest machine.
QUANTITIES = ("run_seconds", "run_energy_joules")
CAPPED_EXAMPLES = 64  # With --squad or --model: steps and held-out examples are capped, so that it stays a demo.
CAPPED_LENGTH = 256
CAPPED_STEPS = (16, 64)  # Enough of these to make the run long beside what surrounds it:
CAPPED_RUN_SECONDS = 16.0  # device seconds on the fastest board.
CAPPED_HELDOUT = 16


def heading(text):
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def note(text):
    print(f"  {text}", flush=True)


def squad_paragraphs(file):
    """[(title of the article, paragraph)] of a SQuAD 2.0 file."""
    data = json.loads(file.read_text())
    return [(article["title"], paragraph) for article in data["data"] for paragraph in article["paragraphs"]]


def choice_words(placement):
    """(why the chosen board was taken, what that saved against the next best one); saved is "-" where there was no other."""
    best = placement.get("best", [])
    energy = placement.get("objective") != "OBJECTIVE_TIME"
    why = "fewest joules" if energy else "earliest end"
    if len(best) < 2:
        return why, "-"
    seconds = best[1]["finish_in_seconds"] - best[0]["finish_in_seconds"]
    joules = best[1]["marginal_energy_joules"] - best[0]["marginal_energy_joules"]
    other = best[1]["device_name"]
    if energy and joules >= 0:
        return why, f"{joules:.1f} J against {other}"
    # For how long the other one is busy still depends on this machine.
    saved = f"at once, {other} is busy" if best[1].get("start_in_seconds") else f"{seconds:.1f} s against {other}"
    # An hour of waiting costs a hundredth of the joules, and a job may leave the cheaper board to one that needs it more.
    return "fewest joules and waiting" if energy else why, saved


def seconds_words(seconds):
    """Three digits, as wattle prints seconds: 4.27, 83.4, 11726."""
    return f"{seconds:.2f}" if seconds < 9.995 else f"{seconds:.1f}" if seconds < 99.95 else f"{seconds:.0f}"


def joules_words(joules):
    return f"{joules:.1f}"


def interval_words(predicted, words):
    """The mean, and between which two values nine in ten of such predictions end."""
    return f"{words(predicted['mean'])} ({words(predicted['low'])}-{words(predicted['high'])})"


def latest_words(receipt, quantity, words):
    """The prediction of the run; with a star what its own first steps told, where it ran long enough to be probed."""
    return interval_words(latest(receipt, quantity), words) + (" *" if f"probed_{quantity}" in receipt else "")


def latest(receipt, quantity):
    """The prediction of the run that the closing table shows: the one of its own first steps, else the one with which it was placed."""
    return receipt.get(f"probed_{quantity}") or receipt["predicted"][quantity]


def widest_interval(told):
    """(upper over lower end, what it is of) of the widest of these intervals; told: [(what, interval)]."""
    return max((interval["high"] / interval["low"] if interval.get("low", 0) > 0 else math.inf, what) for what, interval in told)


def closing_lines(jobs):
    """One line for each job under a line of heads, aligned: numbers to the right."""
    heads = ("job", "kind", "device", "why", "predicted s", "took s", "predicted J", "took J", "saved")
    rows = []
    for job in jobs:
        attempt = next(attempt for attempt in job["attempts"] if attempt["attempt_id"] == receipt_of(job)["attempt_id"])
        receipt, placement = attempt["receipt"], attempt["placement"]
        run = receipt["run"]
        kind = next(kind for kind in ("finetune", "quantize", "generate", "evaluate") if kind in job["spec"])
        why, saved = choice_words(placement)
        device = next((best["device_name"] for best in placement.get("best", [])), attempt["device_id"][:8])
        rows.append((job["job_id"], kind, device, why, latest_words(receipt, "run_seconds", seconds_words),
                     seconds_words(run["seconds"]), latest_words(receipt, "run_energy_joules", joules_words),
                     joules_words(run["gross_energy_joules"]), saved))
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    numbers = range(4, 8)
    return ["  ".join(cell.rjust(width) if i in numbers else cell.ljust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in (heads, *rows)]


def inside_intervals(jobs):
    """How many of the jobs took seconds within the interval that was predicted."""
    receipts = [receipt_of(job) for job in jobs]
    return sum(receipt["predicted"]["run_seconds"]["low"] <= receipt["run"]["seconds"] <= receipt["predicted"]["run_seconds"]["high"]
               for receipt in receipts)


class Demo:
    def __init__(self, options):
        self.options = options
        self.fleet = Fleet(directory=tempfile.mkdtemp(prefix="wattle-demo-"), keep=options.keep)
        self.model = pathlib.Path(options.model or HERE / "model")
        self.train = pathlib.Path(options.squad or HERE / "fleet-qa-train.json")
        self.heldout = HERE / "fleet-qa-heldout.json"
        self.prompts = HERE / "prompts.jsonl"
        self.capped = bool(options.squad or options.model)
        self.checks = []
        self.told = []  # [(what, interval)] of every interval that a plan printed.
        self.capped_steps = CAPPED_STEPS[0]
        self.progress_at = time.monotonic()  # The last line's, where no terminal can rewrite it.

    def check(self, holds, text):
        self.checks.append((bool(holds), text))

    def cut(self, name, paragraphs, questions_wanted):
        """Writes the first of these paragraphs, as many as have so many questions, as a SQuAD 2.0 file; returns it and them."""
        kept, questions = [], 0
        for title, paragraph in paragraphs:
            if questions >= questions_wanted:
                break
            kept.append((title, paragraph))
            questions += len(paragraph["qas"])
        file = self.fleet.directory / name
        file.write_text(json.dumps({"version": "v2.0", "data": [{"title": title, "paragraphs": [paragraph]} for title, paragraph in kept]}))
        return file, kept

    def cap_data(self):
        """Training takes a file with the first questions and no others: a prediction knows the lengths of what is in a file, not of its
        first part. With --squad the held-out questions and the prompts are the last ones."""
        paragraphs = squad_paragraphs(self.train)
        self.train, _ = self.cut("train.json", paragraphs, CAPPED_EXAMPLES)
        heldout = reversed(paragraphs) if self.options.squad else squad_paragraphs(self.heldout)
        self.heldout, kept = self.cut("heldout.json", heldout, CAPPED_HELDOUT)
        self.prompts = self.fleet.directory / "prompts.jsonl"
        lines = [{"prompt": f"{paragraph['context'][:400]}\nQuestion: {paragraph['qas'][0]['question']}\nAnswer:"}
                 for _, paragraph in kept if paragraph["qas"]]
        self.prompts.write_text("".join(json.dumps(line) + "\n" for line in lines[:5]))

    # The stage ---------------------------------------------------------------------------------------------------------

    def job_settings(self):
        """Field overrides of finetune.yaml for other data or another model."""
        if not self.capped:
            return {}
        return {"finetune__steps": self.capped_steps, "finetune__limit_examples": CAPPED_EXAMPLES, "finetune__sequence_length": CAPPED_LENGTH,
                "finetune__batch_size": 4}

    def overrides(self):
        return [part for key, value in self.job_settings().items() for part in ("--set", f"{key.replace('__', '.')}={value}")]

    def choose_steps(self):
        """By the first prediction, which is the same everywhere: as many steps as make the run long beside what surrounds it."""
        plan = self.wattle("plan", HERE / "finetune.yaml", *self.overrides())
        step_seconds = min(candidate["prediction"]["run_seconds"]["mean"] for candidate in plan["candidates"]) / self.capped_steps
        self.capped_steps = min(max(math.ceil(CAPPED_RUN_SECONDS / step_seconds), CAPPED_STEPS[0]), CAPPED_STEPS[1])

    def start(self):
        if self.capped:
            self.cap_data()
        heading("A fleet of three emulated boards")
        keep_ports = ("127.0.0.1:7410", "127.0.0.1:7411") if self.options.keep else ("127.0.0.1:0", "127.0.0.1:0")
        self.fleet.start_coordinator(*keep_ports)
        note("wattle-coordinator access admin-token --data-dir DIR    a token for the first person, on the coordinator's machine")
        note("wattle login TOKEN                                      you, from then on: " + self.text("whoami"))
        note("wattle-worker enroll $(wattle device token)             each board, once; then it connects by itself")
        if self.options.keep:
            self.start_prometheus()
        for seed, (name, board) in enumerate(BOARDS.items(), self.options.seed):
            # People watch a fleet that stays up: its boards live at their own pace also while they rest.
            extra = [f"--time-scale={1 if self.options.keep else 0}", f"--emulation-seed={seed}", "--label=demo=yes"]
            extra += BATTERY if name == "orin-nano" else ()
            self.fleet.start_worker(name, emulate=board, extra=extra)
        self.fleet.until_connected(*BOARDS)
        self.fleet.until("idle watts", lambda: all(device["heartbeat"]["idle_power_watts"] for device in self.fleet.devices().values()),
                         FIRST_REPORT_SECONDS_MAX)
        print(self.text("devices"))

    def start_prometheus(self):
        """From the beginning, so that the graphs have the jobs. The demo goes on without it."""
        program = ROOT / "build/tools/prometheus/usr/bin/prometheus"
        program = program if program.exists() else shutil.which("prometheus")
        try:
            self.fleet.start_prometheus(program or "prometheus", PROMETHEUS)
        except (OSError, FleetError) as error:
            note(f"without Prometheus: {error}")
            self.fleet.prometheus = None

    def push(self):
        self.wattle("model", "push", "demo-base", self.model)
        self.wattle("data", "push", "fleet-qa-train", self.train)
        self.wattle("data", "push", "fleet-qa-heldout", self.heldout)
        self.wattle("data", "push", "fleet-qa-prompts", self.prompts)
        if self.capped:
            self.choose_steps()

    def wattle(self, *arguments):
        return self.fleet.wattle(*arguments)

    def text(self, *arguments):
        done = self.fleet.run_wattle(*arguments)
        return (done.stdout or done.stderr).rstrip()

    def plan(self, title, *arguments):
        """Prints the plan, keeps its intervals for the check, and returns it."""
        plan = self.wattle("plan", *arguments)
        print(self.text("plan", *arguments))
        for candidate in plan["candidates"]:
            prediction = candidate["prediction"]
            self.told += [(f"{title}, {candidate['device_name']}", prediction[quantity]) for quantity in QUANTITIES]
        return plan

    # The acts ----------------------------------------------------------------------------------------------------------

    def measure_first(self):
        """A short run of each workload on the boards that may get it."""
        heading(f"Measured first: about {MEASURED_SECONDS} s of each workload on each board")
        for number, runs in enumerate(itertools.zip_longest(*([(board, kind) for kind in kinds] for board, kinds in MEASURED_FIRST.items()))):
            files = []
            for board, kind in filter(None, runs):
                overrides = self.overrides() if kind == "finetune" else ["--set", f"{kind}.model=demo-base"]
                command = ["profile", "run", HERE / f"{kind}.yaml", "--device", board, "--seconds", MEASURED_SECONDS, "--runs", 1, "--budget", 0.5]
                note(f"wattle {' '.join(getattr(part, 'name', str(part)) for part in command)}")
                files.append(self.fleet.directory / f"measure-{number}-{board}.yaml")
                files[-1].write_text(self.text(*command, *overrides, "--dry-run") + "\n")
            self.all_ended([self.fleet.submit(file) for file in files])

    def finetune_twice(self):
        """(a) with objective energy, and as soon as it has its board (b) with objective time. Returns both jobs, ended."""
        settings, overrides = self.job_settings(), self.overrides()
        heading("(a) fine-tune for the fewest joules: where, and why")
        self.plan("plan (a)", HERE / "finetune.yaml", *overrides)
        first = self.fleet.submit(HERE / "finetune.yaml", **settings)
        self.until_placed(first)

        heading("(b) the same for the earliest end, submitted while (a) has its board")
        plan = self.plan("plan (b)", HERE / "finetune.yaml", "--set", "objective=time", *overrides)
        second = self.fleet.submit(HERE / "finetune.yaml", objective="time", **settings)
        jobs = self.all_ended([first, second])
        self.check_objective(plan, second)
        return jobs

    def until_placed(self, job_id):
        self.fleet.until(f"{job_id} to be placed", lambda: self.fleet.job(job_id).get("attempts"))

    def check_objective(self, plan, second):
        choice = {entry["objective"]: entry for entry in plan["choices"]}
        energy, fastest = choice["OBJECTIVE_ENERGY"], choice["OBJECTIVE_TIME"]
        names = {device["info"]["device_id"]: name for name, device in self.fleet.devices().items()}
        went_to = self.fleet.job(second)["attempts"][0]["device_id"]
        self.check(energy["device_id"] != fastest["device_id"] and energy.get("wait") and went_to == fastest["device_id"],
                   f"the objective decides: for time (b) went to {names.get(went_to)} at once; planned on the same snapshot, for energy "
                   f"it waits for {names.get(energy['device_id'])}")

    def check_reserve(self):
        """Under the policy the board that would have been chosen is excluded. The policy stays for what follows."""
        heading("A battery reserve: the fine-tune planned again, under a policy that keeps nine tenths of every battery")
        self.wattle("policy", "apply", HERE / "reserve.yaml")
        job = [HERE / "finetune.yaml", *self.overrides()]
        without = self.wattle("plan", *job, "--without-policies")
        with_policy = self.plan("plan under the reserve", *job)
        names = {candidate["device_id"]: candidate["device_name"] for candidate in without["candidates"]}
        excluded = {candidate["device_id"] for candidate in with_policy["candidates"] if candidate["refused_by"] == "battery_reserve"}
        chosen, instead = without["chosen_device_id"], with_policy["chosen_device_id"]
        self.check(chosen in excluded and instead and instead != chosen,
                   f"the reserve decides: without the policy the same plan chooses {names.get(chosen)}, with it "
                   f"{', '.join(names[device] for device in excluded) or 'nothing'} is excluded and {names.get(instead, 'nothing')} is chosen")

    def generate_and_evaluate(self, finetuned):
        """Returns the jobs: of the base model, then of the fine-tuned one, generation and evaluation each."""
        heading("(c) int8 batch generation and (d) perplexity and answers, before and after, under the same policy")
        jobs = []
        for model in ("demo-base", f"job:{finetuned}/output"):
            for kind in ("generate", "evaluate"):  # One after the other: together, their boards would depend on this machine's speed.
                jobs += self.all_ended([self.fleet.submit(HERE / f"{kind}.yaml", **{f"{kind}__model": model})])
        self.wattle("policy", "rm", "demo-reserve")
        return jobs

    def all_ended(self, job_ids):
        """The jobs of a round, once all have ended and each board has told what it has in its cache since."""
        self.watch(*job_ids)
        jobs, ended = [self.ended(job_id) for job_id in job_ids], time.time()
        self.fleet.until("the next heartbeat of each board",
                         lambda: all(device["heartbeat"]["unix_seconds"] > ended for device in self.fleet.devices().values()))
        return jobs

    def ended(self, job_id):
        job = self.fleet.job(job_id)
        if job["state"] != "JOB_STATE_SUCCEEDED":
            raise FleetError(f"{job_id} ended as {job['state']}: {job.get('reason', '')}")
        return job

    def watch(self, *job_ids):
        """One line a job while they run, in place on a terminal; elsewhere one line for all of them now and then."""
        live, drawn = sys.stdout.isatty(), 0
        while True:
            jobs = [self.fleet.job(job_id) for job_id in job_ids]
            if live:
                # A line that wraps would take two rows, and the cursor goes up by one for each job.
                width = shutil.get_terminal_size().columns - 1
                print(f"\033[{drawn}A" if drawn else "", end="")
                for job in jobs:
                    print("\033[2K" + ("  " + self.line(job))[:width], flush=True)
                drawn = len(jobs)
            elif time.monotonic() - self.progress_at > PROGRESS_SECONDS:
                self.progress_at = time.monotonic()
                note("; ".join(" ".join(self.line(job).split()) for job in jobs))
            if all(job["state"] in fleets.TERMINAL_STATES for job in jobs):
                return
            time.sleep(0.3)

    def line(self, job):
        names = {device["info"]["device_id"]: name for name, device in self.fleet.devices().items()}
        where = names.get(job["attempts"][-1]["device_id"], "?") if job.get("attempts") else "-"
        state = job["state"].removeprefix("JOB_STATE_").lower()
        text = f"{job['job_id']:4} {job['spec']['name'][:24]:24} {where:10} {state:9}"
        progress = self.fleet.progress(job)
        if state == "active" and progress and int(progress.get("steps_total", 0)):
            step, total = int(progress["step"]), int(progress["steps_total"])
            bar = "#" * (20 * step // total)
            text += f" [{bar:20}] {progress['phase']} {step}/{total}"
            text += f" loss {progress['loss']:.2f}" if progress.get("loss") else ""
            text += f" {progress.get('tokens_per_second', 0):.0f} tok/s {progress.get('power_watts', 0):.1f} W emulated"
        return text

    # What it came to -----------------------------------------------------------------------------------------------------

    def check_intervals(self, jobs):
        told = self.told + [(job["job_id"], latest(receipt_of(job), quantity)) for job in jobs for quantity in QUANTITIES]
        ratio, what = widest_interval(told)
        self.check(ratio <= INTERVAL_RATIO_MAX, f"of {len(told)} intervals in the tables the widest is {ratio:.1f} to 1, {what} "
                   f"(at most {INTERVAL_RATIO_MAX:.0f} to 1 wanted)")

    def closing_table(self, jobs):
        """The ten lines to read."""
        heading("What went where, and what it took: seconds and joules of the emulated boards, the same on every machine")
        for line in closing_lines(jobs):
            note(line)
        star = "; *: by its own first steps" if any(receipt_of(job).get("probed_run_seconds") for job in jobs) else ""
        note(f"in brackets: 9 in 10 between, by {MEASURED_SECONDS} s of each workload measured before, and the jobs above{star}. "
             f"{inside_intervals(jobs)} of {len(jobs)} took seconds within.")
        note("go on: ./dev demo --keep leaves the fleet up; ./dev demo --verbose prints the receipts; then docs/guide/README.md")

    def receipts(self, jobs):
        heading("Receipts: predicted against measured, in device seconds, watts and joules (all emulated)")
        for job in jobs:
            print(self.text("job", "receipt", job["job_id"]) + "\n")

    def losses(self, finetunes, evaluations):
        heading("Held-out loss, perplexity and exact answers, before and after")
        for job in finetunes:
            before, after = (metric(receipt_of(job), f"heldout_loss_{when}") for when in ("before", "after"))
            fall = 100 * (1 - after / before)
            note(f"{job['job_id']}: held-out answer loss {before:.3f} -> {after:.3f} ({fall:.0f} % lower)")
            self.check(fall >= LOSS_FALL_MIN_PERCENT,
                       f"{job['job_id']}: held-out loss fell by {fall:.0f} % (at least {LOSS_FALL_MIN_PERCENT:.0f} % wanted)")
            if self.capped:
                self.capped_note(job)
        before, after = (metric(receipt_of(job), "perplexity") for job in evaluations)
        note(f"perplexity of the held-out answers: {before:.1f} -> {after:.1f}")
        exact = [metric(receipt_of(job), "squad_exact_match_percent") for job in evaluations]
        note(f"held-out questions answered rightly (exact match): {exact[0]:.0f} % -> {exact[1]:.0f} %")
        self.check(after < before, f"perplexity fell from {before:.1f} to {after:.1f}")

    def capped_note(self, job):
        receipt = receipt_of(job)
        work = receipt["work"]
        questions = sum(len(paragraph["qas"]) for _, paragraph in squad_paragraphs(self.train))
        share = 100 * int(work["truncated_examples"]) / min(CAPPED_EXAMPLES, questions)
        note(f"{job['job_id']}: capped at {self.capped_steps} steps of the first {CAPPED_EXAMPLES} examples; {share:.0f} % of the examples "
             f"were truncated")

    def answers(self, after, before):
        heading("Three answers, before and after (int8, greedy)")
        texts = {}
        for name, job in (("before", before), ("after", after)):
            target = self.fleet.directory / f"answers-{name}"
            self.wattle("model", "pull", f"job:{job['job_id']}/output", target)
            lines = (target / "generations.jsonl").read_text().splitlines()
            texts[name] = [json.loads(line) for line in lines]
        for old, new in list(zip(texts["before"], texts["after"]))[:3]:
            note(old["prompt"].split("Question:")[-1].split("\n")[0].strip())
            note(f"  before: {' '.join(old['text'].split())[:90]}")
            note(f"  after:  {' '.join(new['text'].split())[:90]}")

    def offsets(self):
        heading("Hidden offsets of the emulated boards (the scheduler never saw them)")
        for name in BOARDS:
            path = self.fleet.directory / name / "hidden_offsets.json"
            offset = json.loads(path.read_text())
            note(f"{name}: time x {offset['time_factor']:.3f}, power x {offset['power_factor']:.3f}")
        note("all seconds above are the boards' own; while this machine computes their clocks stand still")

    def verdict(self):
        heading("Checked")
        for holds, text in self.checks:
            note(("ok    " if holds else "FAILED ") + text)
        return 0 if all(holds for holds, _ in self.checks) else 1

    def how_to_go_on(self):
        heading("The fleet is up")
        note(f"metrics    https://{self.fleet.http}/metrics      devices for Prometheus  https://{self.fleet.http}/sd")
        note(f"           curl --cacert {self.fleet.directory}/wattle-roots.pem -H \"Authorization: Bearer $(cat {self.fleet.directory}/wattle-token)\" URL")
        if self.fleet.prometheus:
            note(f"prometheus http://{PROMETHEUS}/graph?g0.expr=wattle_device_power_watts&g0.tab=0&g0.range_input=15m      alerts  http://{PROMETHEUS}/alerts")
        note(f"jobs       https://{self.fleet.http}/api/v1/jobs")
        note(f"export PATH=\"{BIN}:$PATH\" XDG_CONFIG_HOME=\"{self.fleet.directory}/config\"")
        note("wattle devices")
        note(f"wattle plan {ROOT}/deploy/examples/squad-gpt2.yaml")
        note(f"wattle submit {HERE}/finetune.yaml --watch")
        processes = [process for process in (self.fleet.coordinator, self.fleet.prometheus, *self.fleet.workers.values()) if process]
        note(f"to stop it: kill {' '.join(str(process.pid) for process in processes)}   (state: {self.fleet.directory})")

    def play(self):
        started = time.monotonic()
        if not self.options.no_jobs:
            print("Twelve jobs on three emulated boards, in a few minutes: six short ones measure the boards, two fine-tune a model, four evaluate it "
                  "and let it write, before and after. The last ten lines sum it up.", flush=True)
        self.start()
        self.push()
        if self.options.no_jobs:
            return 0
        self.measure_first()
        finetunes = self.finetune_twice()
        self.check_reserve()
        before, perplexity_before, after, perplexity_after = self.generate_and_evaluate(finetunes[0]["job_id"])
        jobs = [*finetunes, before, perplexity_before, after, perplexity_after]
        self.check_intervals(jobs)
        self.losses(finetunes, (perplexity_before, perplexity_after))
        self.answers(after, before)
        self.offsets()
        if self.options.verbose:
            self.receipts(jobs)
        status = self.verdict()
        minutes, seconds = divmod(int(time.monotonic() - started), 60)
        note(f"the demo took {minutes} min {seconds:02d} s of this machine")
        self.closing_table(jobs)
        if status:
            note("FAILED: see the lines above under \"Checked\"")
        return status


def command_line():
    parser = argparse.ArgumentParser(prog="./dev demo", description="Three emulated boards, real jobs, receipts.")
    parser.add_argument("--verbose", action="store_true", help="print the receipt of each job before the closing table")
    parser.add_argument("--keep", action="store_true", help="leave the fleet up, with a Prometheus, and print how to go on with it")
    parser.add_argument("--no-jobs", action="store_true", help="with --keep: a fresh fleet, no jobs")
    parser.add_argument("--squad", metavar="FILE", help="a SQuAD 2.0 file to fine-tune on instead of the demo's own; its work is capped")
    parser.add_argument("--model", metavar="DIR", help="a GPT-2 directory to start from instead of the demo's own; its work is capped")
    parser.add_argument("--seed", type=int, default=SEED, help="of the boards' hidden offsets, which the scheduler has to learn")
    parser.add_argument("--check-options", action="store_true", help=argparse.SUPPRESS)  # of ./dev: before it builds
    return parser


def main():
    parser = command_line()
    options = parser.parse_args()
    if options.no_jobs and not options.keep:
        parser.error("--no-jobs wants --keep")
    if options.squad:
        try:
            squad_paragraphs(pathlib.Path(options.squad))
        except (OSError, ValueError, LookupError, TypeError) as error:
            parser.error(f"--squad {options.squad}: cannot be read as SQuAD 2.0 JSON ({type(error).__name__}: {error}); give such a file")
    if options.model and not (pathlib.Path(options.model) / "config.json").is_file():
        parser.error(f"--model {options.model}: no config.json there; give a Hugging Face GPT-2 directory")
    if options.check_options:
        return 0
    leave_no_fleet_behind()
    demo = Demo(options)
    kept = False
    try:
        status = demo.play()
        if options.keep and status == 0:
            demo.how_to_go_on()
            kept = True
        return status
    except FleetError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted, stopping the fleet", file=sys.stderr)
        return 130
    finally:
        if not kept:
            for ending in ENDINGS:
                signal.signal(ending, signal.SIG_IGN)  # A second Ctrl-C must not leave half a fleet.
            demo.fleet.keep = False
            demo.fleet.stop()


if __name__ == "__main__":
    sys.exit(main())
