#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench security: what a runner's box costs, and what letting boards in and shutting them out takes.

Each figure of the box is measured with the box and without it in turn in the same run, and its range is that of the rounds. Clients
and coordinator share the machine. Writes build/bench/security.json.

  box_start_ms                 what isolation full adds to the start of a small program, from the preparation to its end
  box_step_ratio               time of a training step without the box, by that with it (1: the box costs nothing)
  gate_microseconds            the gate's judgement of one call, 1,000 boards in the journal
  enroll_N_boards_seconds      a process `wattle-worker enroll` for each board, 100 at a time, until the last has its certificate
  revocation_to_refused_ms     99th percentile of the boards: from the begin of the revocation until the board's call is refused
  revocation_to_stream_end_ms  the same until its open stream has ended
  access_cells                 decisions of the access table, and calls over TLS by each role for its own things and those of others, that
                               are compared with what is written
  access_mutants_alive         changed rows of the table that neither find
  attacks                      tests that carry an attack out
  attacks_that_succeed         of them those that get what they want
  fuzz_targets                 readers of foreign bytes with a target of ./dev fuzz
  fuzz_hours, crashes          what ./dev fuzz has run here, and found, so far
  handshakes_per_cpu_second    connections with a whole handshake and a call, by the coordinator's processor seconds
  connect_first_call_p50_ms    from nothing to the first answer
  heartbeats_per_cpu_second_tls, heartbeats_tls_ratio      and by those without TLS
  idle_connection_kib          memory of the coordinator for a connection that only stays
  chunk_mib_per_second_tls, chunk_cpu_ratio                a pull, and its processor time by that without TLS
  agent_cpu_percent_tls, agent_rss_mib                     of an idle agent
  reconnect_N_seconds          N boards come back, 256 handshakes at once, until the last has its welcome
  reconnect_submit_p99_ms      99th percentile of submitting a job meanwhile
  flood_WHO_memory_mib, flood_WHO_calls_p99_ms, flood_WHO_heartbeats_lost    floods of HTTP/2 frames by whoever has no certificate
                               (stranger), or one (enrolled): the coordinator's memory, the calls of others, heartbeats that did not come
  systemd_exposure.UNIT        of a unit in deploy/systemd, by systemd-analyze

--only links: the lines from handshakes_per_cpu_second to reconnect_submit_p99_ms; --only floods: those of floods; --only box, access or tests: those of a box, of the gate and enrolment, of the tests.
"""

import argparse
import concurrent.futures
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy/demo"))

from figures import add, write_figures  # noqa: E402
from fleet import BIN, Fleet  # noqa: E402
from security_floods import measure_floods  # noqa: E402
from security_links import measure_links  # noqa: E402

ATTACKS = ("wattle_attacks_test", "wattle_project_attacks_test", "wattle_connection_attacks_test", "wattle_peer_attacks_test",
           "wattle_tpm_attacks_test", "wattle_two_fleets_test", "wattle_upload_attacks_test")

TASK = """attempt_id: "j1.1" model_directory: "{root}/deploy/demo/model" data_file: "{root}/deploy/demo/fleet-qa-train.json"
work_directory: "{work}/work" output_directory: "{work}/output" threads: 1
spec {{ finetune {{ steps: {steps} batch_size: 4 sequence_length: 128 learning_rate: 0.001 }} }}
"""


def load(*arguments):
    """The numbers that wattle-box-load prints, by name."""
    done = subprocess.run([BIN / "wattle-box-load", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"wattle-box-load {arguments[0]}: {done.stderr.strip()[-400:]}")
    return {name: float(number) for name, number in re.findall(r"(\w+)=([0-9.]+)", done.stdout)}


def step_seconds(level, steps):
    with tempfile.TemporaryDirectory(prefix="wattle-box-") as work:
        for name in ("work", "output"):
            (pathlib.Path(work) / name).mkdir()
        task = pathlib.Path(work) / "task"
        task.write_text(TASK.format(root=ROOT, work=work, steps=steps))
        return load("steps", BIN / "wattle-runner", task, level)["step_seconds"]


def numbers_of(text, name):
    return [float(number) for number in re.findall(rf"{name}=([0-9.]+)", text)]


def access(*arguments):
    """The output of wattle-access-load."""
    done = subprocess.run([BIN / "wattle-access-load", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"wattle-access-load {arguments[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def gate_microseconds():
    with tempfile.TemporaryDirectory(prefix="wattle-gate-") as directory:
        return numbers_of(access("gate", directory, 200_000), "microseconds")[0]


def enroll(fleet, folder, token):
    fleet.output("wattle-worker", "enroll", token, "--state-dir", folder, timeout_seconds=300)
    return folder / "credentials"


def percentile_99(values):
    return sorted(values)[min(len(values) - 1, int(0.99 * len(values)))]


def measure_access(figures, boards, revocations):
    with Fleet() as fleet:
        fleet.start_coordinator()
        made = fleet.wattle("device", "token", "--count", boards, "--ttl", "1h")["tokens"]
        folders = [fleet.directory / f"board-{number}" for number in range(boards)]
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(max_workers=100) as pool:
            enrolled = list(pool.map(enroll, [fleet] * boards, folders, [token["token"] for token in made]))
        seconds = time.monotonic() - started
        add(figures, f"enroll_{boards}_boards_seconds", [seconds], "s", "100 at a time")
        told = access("revoke", fleet.grpc, fleet.identity, *enrolled[:revocations])
        for key, name in (("revocation_to_refused_ms", "call_ms"), ("revocation_to_stream_end_ms", "stream_ms")):
            values = numbers_of(told, name)
            add(figures, key, [percentile_99(values)], "ms", f"{len(values)} boards, median {statistics.median(values):.2f} ms")


def run_tests(program):
    """The results of a run of the test program, from GoogleTest's JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        subprocess.run([BIN / program, f"--gtest_output=json:{report.name}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return json.loads(pathlib.Path(report.name).read_text())


def failures_of(case):
    return len(case.get("failures", []))


def measure_tests(figures):
    cases = {case["name"]: case for program in ("wattle_access_test", "wattle_resource_access_test")
             for suite in run_tests(program)["testsuites"] for case in suite["testsuite"]}
    by_table, by_calls = cases["EveryRoleMayWhatIsWrittenAndNothingElse"], cases["EveryRoleGetsItsOwnAndWhatIsWrittenAndNothingElse"]
    changed, changed_under_calls = cases["EveryMutantOfTheTableDies"], cases["EveryMutantOfARowIsFoundByACall"]
    add(figures, "access_cells", [int(by_table["cells"]) + int(by_calls["cells"])], "",
        f"{by_calls['cells']} of them over TLS; {failures_of(by_table) + failures_of(by_calls)} differ")
    add(figures, "access_mutants_alive", [failures_of(changed) + failures_of(changed_under_calls)], "",
        f"of {int(changed['mutants']) + int(changed_under_calls['mutants'])}, {changed_under_calls['mutants']} of them looked for over TLS")
    runs = [run_tests(program) for program in ATTACKS]
    add(figures, "attacks", [sum(run["tests"] for run in runs)], "", "")
    add(figures, "attacks_that_succeed", [sum(run["failures"] + run["errors"] for run in runs)], "", "")
    listed = subprocess.run([BIN / "wattle_fuzz_replay_test", "--gtest_list_tests"], check=True, capture_output=True, text=True).stdout
    add(figures, "fuzz_targets", [listed.count("NoInputEndsTheProcess/")], "", "")
    fuzzed = ROOT / "build/bench/fuzz.json"
    for key in ("fuzz_hours", "crashes") if fuzzed.exists() else ():
        add(figures, key, [json.loads(fuzzed.read_text())[key]], "", "")


def measure_box(figures, options):
    starts = [load("start", 30) for _ in range(options.rounds)]
    add(figures, "box_start_ms", [start["full"] - start["none"] for start in starts], "ms",
        f"seccomp only {sorted(start['seccomp'] - start['none'] for start in starts)[len(starts) // 2]:.2f} ms")
    ratios, without = [], []
    for number in range(options.rounds):
        levels = ("none", "full") if number % 2 == 0 else ("full", "none")  # Alternating, so that neither side always has the warmer machine.
        seconds = {level: step_seconds(level, options.steps) for level in levels}
        ratios.append(seconds["none"] / seconds["full"])
        without.append(1000 * seconds["none"])
    add(figures, "box_step_ratio", ratios, "", f"a step without the box: {min(without):.1f} to {max(without):.1f} ms", 4)


def measure_gate_and_enrolment(figures, options):
    add(figures, "gate_microseconds", [gate_microseconds() for _ in range(options.rounds)], "us", "")
    measure_access(figures, options.boards, options.revocations)


PARTS = {"box": measure_box, "access": measure_gate_and_enrolment, "tests": lambda figures, _: measure_tests(figures), "links": measure_links,
         "floods": measure_floods}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench security", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of each figure [7]")
    parser.add_argument("--steps", type=int, default=60, help="of a training [60]")
    parser.add_argument("--boards", type=int, default=1000, help="that enrol [1000]")
    parser.add_argument("--revocations", type=int, default=200, help="of them that are revoked [200]")
    parser.add_argument("--connections", type=int, default=2000, help="that stay [2000]")
    parser.add_argument("--reconnections", type=int, default=10_000, help="boards that come back at once [10000]")
    parser.add_argument("--seconds", type=int, default=5, help="of handshakes and of heartbeats in a round [5]")
    parser.add_argument("--flood-connections", type=int, default=8, help="of a flood at once [8]")
    parser.add_argument("--flood-seconds", type=int, default=30, help="of a flood [30]")
    parser.add_argument("--agent-seconds", type=int, default=60, help="that an idle agent is watched [60]")
    parser.add_argument("--only", choices=PARTS, help="one part [all]")
    options = parser.parse_args()
    figures = []
    for name, measure in PARTS.items():
        if options.only in (None, name):
            measure(figures, options)
    write_figures("security", figures)


if __name__ == "__main__":
    main()
