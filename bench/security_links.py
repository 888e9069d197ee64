# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""The cost of TLS for the coordinator and an agent, for bench/security.py. Processor time is that of the process named, of all its threads."""

import base64
import contextlib
import os
import pathlib
import re
import resource
import statistics
import subprocess
import tempfile
import time

from figures import ROOT, add
from fleet import BIN, Fleet

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
HEARTBEATS = r"^wattle_coordinator_heartbeats_total ([0-9.e+]+)"
STREAMS = 16
DATA_MIB = 256


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def printed(program, *arguments):
    return subprocess.run([BIN / program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def measure_handshakes(figures, fleet, rounds, seconds):
    rates, first_calls = [], []
    for _ in range(rounds):
        before = cpu_seconds(fleet.coordinator.pid)
        told = printed("wattle-tls-load", "dial", fleet.grpc, fleet.identity, seconds)
        count, median = (float(number) for number in re.findall(r"=([0-9.]+)", told))
        rates.append(count / (cpu_seconds(fleet.coordinator.pid) - before))
        first_calls.append(median)
    add(figures, "handshakes_per_cpu_second", rates, "1/s", "each with one call; the coordinator's processor")
    add(figures, "connect_first_call_p50_ms", first_calls, "ms", "from nothing to the answer")


def heartbeats_per_cpu_second(fleet, seconds, folders):
    before, used = float(re.search(HEARTBEATS, fleet.get("/metrics"), re.M)[1]), cpu_seconds(fleet.coordinator.pid)
    printed("wattle-heartbeat-load", fleet.grpc, STREAMS, seconds, *folders)
    taken = float(re.search(HEARTBEATS, fleet.get("/metrics"), re.M)[1]) - before
    return taken / (cpu_seconds(fleet.coordinator.pid) - used)


def measure_heartbeats(figures, fleet, plain, rounds, seconds):
    for number in range(STREAMS):
        fleet.enroll(f"load-{number}")
    folders = [fleet.directory / f"load-{number}/credentials" for number in range(STREAMS)]
    rates, ratios = [], []
    for _ in range(rounds):
        without = heartbeats_per_cpu_second(plain, seconds, [])
        rates.append(heartbeats_per_cpu_second(fleet, seconds, folders))
        ratios.append(rates[-1] / without)
    add(figures, "heartbeats_per_cpu_second_tls", rates, "1/s", f"{STREAMS} streams; the coordinator's processor")
    add(figures, "heartbeats_tls_ratio", ratios, "", "by those without TLS in the same round")


def measure_idle(figures, fleet, connections):
    before = rss_kib(fleet.coordinator.pid)
    holder = subprocess.Popen([BIN / "wattle-tls-load", "hold", fleet.grpc, fleet.identity, str(connections)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    with holder:
        if holder.stdout.readline().strip() != "holding":
            raise SystemExit("wattle-tls-load: the connections were not made")
        add(figures, "idle_connection_kib", [(rss_kib(fleet.coordinator.pid) - before) / connections], "KiB", f"{connections} connections")
        holder.stdin.close()


def pull_seconds(fleet, target):
    """Wall seconds of a pull, and the processor seconds of coordinator and client."""
    begin, used = time.monotonic(), cpu_seconds(fleet.coordinator.pid) + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    fleet.wattle("data", "pull", "random", target, timeout_seconds=300)
    seconds = time.monotonic() - begin
    return seconds, cpu_seconds(fleet.coordinator.pid) + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - used


def measure_chunks(figures, fleet, plain, rounds):
    text = fleet.directory / "random.txt"
    with open(text, "wb") as file:
        for _ in range(DATA_MIB):  # Lines of whole characters that hardly compress.
            file.write(base64.b64encode(os.urandom(3 * (1 << 18))))
    for one in (fleet, plain):
        one.wattle("data", "push", "random", text, timeout_seconds=300)
    rates, plain_rates, ratios = [], [], []
    with tempfile.TemporaryDirectory(prefix="wattle-pull-", dir="/dev/shm") as memory:  # A disk is slower than the link.
        for _ in range(rounds):
            plain_seconds, plain_used = pull_seconds(plain, f"{memory}/plain")
            seconds, used = pull_seconds(fleet, f"{memory}/tls")
            rates.append(DATA_MIB / seconds)
            plain_rates.append(DATA_MIB / plain_seconds)
            ratios.append(used / plain_used)
            subprocess.run(["rm", "-rf", f"{memory}/plain", f"{memory}/tls"], check=True)
        disk = [DATA_MIB / pull_seconds(fleet, fleet.directory / f"pulled-{number}")[0] for number in range(2)]
    add(figures, "chunk_mib_per_second_tls", rates, "MiB/s",
        f"a pull of {DATA_MIB} MiB into memory, with its check; without TLS {statistics.median(plain_rates):.0f}; to this disk {statistics.median(disk):.0f}")
    add(figures, "chunk_cpu_ratio", ratios, "", "coordinator and client, by those without TLS in the same round")


def measure_agent(figures, fleet, seconds):
    agent = fleet.start_worker("idle", extra=["--threads=1"])
    fleet.until_connected("idle")
    begin, used = time.monotonic(), cpu_seconds(agent.pid)
    time.sleep(seconds)
    add(figures, "agent_cpu_percent_tls", [100 * (cpu_seconds(agent.pid) - used) / (time.monotonic() - begin)], "%", f"idle for {seconds} s")
    add(figures, "agent_rss_mib", [rss_kib(agent.pid) / 1024], "MiB", "")


def measure_reconnect(figures, boards):
    """All boards of a fleet come back at once, as after a restart of the coordinator, while jobs are submitted."""
    with Fleet() as fleet:
        fleet.start_coordinator(extra=[f"--connections-per-address={2 * boards + 1000}"])
        fleet.wattle("model", "push", "base", ROOT / "deploy/demo/model")
        token = fleet.wattle("device", "token", "--uses", boards, "--ttl", "1h")["tokens"][0]["token"]
        with subprocess.Popen([BIN / "wattle-load", "devices", fleet.grpc, str(boards), "10", token], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as crowd:
            def until_connected():
                if crowd.stdout.readline().strip() != "connected":
                    raise SystemExit(f"not all of {boards} boards were welcomed")
            until_connected()
            crowd.stdin.write("again\n")
            crowd.stdin.flush()
            crowd.stdout.readline()  # Drops the figures of the first time, which only fills the journal.
            jobs = printed("wattle-load", "submit", fleet.grpc, "base", 200, 1, fleet.identity)
            until_connected()
            crowd.stdin.close()
            back = crowd.stdout.read()

        def number(text, name):
            return float(re.search(rf"{name}=([0-9.]+)", text)[1])
        add(figures, f"reconnect_{boards}_seconds", [number(back, "connected_seconds")], "s", f"until the last is welcome; {number(back, 'lost'):g} lost")
        add(figures, "reconnect_submit_p99_ms", [number(jobs, "p99_ms")], "ms", f"of 200 jobs meanwhile, in {number(jobs, 'seconds'):.1f} s")


def measure_exposure(figures):
    """The exposure of each installed unit, as rated by systemd: 0 (none) to 10."""
    with tempfile.TemporaryDirectory(prefix="wattle-units-") as folder:
        for source in sorted((ROOT / "deploy/systemd").glob("*.service.in")):
            unit = pathlib.Path(folder) / source.name.removesuffix(".in")
            unit.write_text(source.read_text().replace("@CMAKE_INSTALL_FULL_BINDIR@", str(BIN)))
            told = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", unit], check=True, capture_output=True, text=True,
                                  env={**os.environ, "LC_ALL": "C"}).stdout
            exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", told)[1])
            add(figures, f"systemd_exposure.{unit.stem}", [exposure], "", "of 10")


def measure_links(figures, options):
    with contextlib.ExitStack() as fleets:
        fleet, plain = fleets.enter_context(Fleet()), fleets.enter_context(Fleet(plaintext=True))
        fleet.start_coordinator(extra=[f"--connections-per-address={2 * options.connections + 1000}"])
        plain.start_coordinator()
        measure_handshakes(figures, fleet, options.rounds, options.seconds)
        measure_heartbeats(figures, fleet, plain, options.rounds, options.seconds)
        measure_chunks(figures, fleet, plain, options.rounds)
        measure_agent(figures, fleet, options.agent_seconds)
        measure_idle(figures, fleet, options.connections)
    measure_reconnect(figures, options.reconnections)
    measure_exposure(figures)
