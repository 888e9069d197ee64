# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A fleet on this machine: starts a coordinator and workers as real processes, talks to them as a user's script would (the
`wattle` command with -o json, and the HTTP API), and leaves no process behind. The demo, the integration tests and the
benches are written with it. Standard library only.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("WATTLE_BIN", ROOT / "build/release/bin"))
TERMINAL_STATES = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}


class FleetError(Exception):
    """What went wrong, in one line."""


class CommandError(FleetError):
    """A `wattle` command that left with another status than 0."""

    def __init__(self, arguments, status, stderr):
        super().__init__(f"wattle {' '.join(arguments)}: exit {status}: {stderr.strip()}")
        self.status = status
        self.stderr = stderr


ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def endings_deferred():
    """A signal that ends this program takes effect after the block: within the block a program could run that nobody knows yet.
    Python runs handlers only in the main thread, so there is nothing to defer in another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = []
    handlers = {ending: signal.signal(ending, lambda number, _: arrived.append(number)) for ending in ENDINGS}
    try:
        yield
    finally:
        for ending, handler in handlers.items():
            signal.signal(ending, handler)
        for number in arrived:
            signal.raise_signal(number)


class Process:
    """A program of ours with its output in a file; `ready` is a pattern of the line that says it is up."""

    def __init__(self, name, command, log_path, ready, env=None):
        self.name = name
        self.command = [str(part) for part in command]
        self.log_path = pathlib.Path(log_path)
        self.ready_pattern = re.compile(ready)
        self.env = env or {}
        self.popen = None

    def begin(self):
        """Starts the program and waits for nothing. Returns where in the log its lines begin."""
        offset = self.log_path.stat().st_size if self.log_path.exists() else 0
        with open(self.log_path, "ab") as log:
            environment = {**os.environ, **self.env}
            # A session of its own, so that Ctrl-C at the terminal reaches only the script, which then stops things in order.
            with endings_deferred():
                self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                              start_new_session=True)
        return offset

    def start(self, timeout_seconds=30):
        offset = self.begin()
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            text = self.log_path.read_bytes()[offset:].decode(errors="replace")
            match = self.ready_pattern.search(text)
            if match:
                return match
            if self.popen.poll() is not None:
                raise FleetError(f"{self.name} ended with {self.popen.returncode}: {text.strip()[-400:]}")
            time.sleep(0.02)
        raise FleetError(f"{self.name} was not ready after {timeout_seconds} s; its log is {self.log_path}")

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        os.kill(self.popen.pid, number)

    def kill(self):
        if self.running():
            os.kill(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def wait(self, timeout_seconds):
        return self.popen.wait(timeout_seconds)

    def stop(self, timeout_seconds=15):
        if not self.running():
            return
        self.popen.terminate()
        try:
            self.popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


def leave_no_fleet_behind():
    """From now on SIGTERM, and SIGHUP of a terminal that closes, end this program as Ctrl-C does: by way of what stops its fleet."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))


class Fleet:
    """with Fleet() as fleet: fleet.start_coordinator(); fleet.start_worker("nx", emulate="jetson-xavier-nx"); …"""

    def __init__(self, directory=None, keep=False, plaintext=False):
        """plaintext: for load generators that speak no TLS."""
        self.keep = keep
        self.plaintext = ["--plaintext-loopback"] if plaintext else []
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="wattle-fleet-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.coordinator = None
        self.prometheus = None
        self.workers = {}
        self.grpc = self.http = None
        self.programs = BIN  # The coordinator's release, with which people and boards enrol.
        # A user known to no other fleet: keys and contexts are in the fleet's own folder.
        self.env = {**os.environ, "XDG_CONFIG_HOME": str(self.directory / "config")}
        self.identity = self.directory / "config/wattle/identities/default"  # The person who logged in.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # Processes -----------------------------------------------------------------------------------------------------

    def start_coordinator(self, grpc="127.0.0.1:0", http="127.0.0.1:0", extra=(), env=None, programs=BIN):
        """programs: the folder of another release's."""
        command = [programs / "wattle-coordinator", "--data-dir", self.directory / "coordinator", "--listen", self.grpc or grpc, "--http",
                   self.http or http, *self.plaintext, *extra]
        self.coordinator = Process("coordinator", command, self.directory / "coordinator.log", r"listening grpc=(\S+) http=(\S+)", env)
        match = self.coordinator.start()
        # The same ports again after a restart: workers know only the address that they were started with.
        self.grpc, self.http = match.group(1), match.group(2)
        self.programs = programs
        self.log_in()
        self.give_prometheus_a_token()
        return self.coordinator

    def log_in(self):
        """As a user does: a token from the coordinator's own machine, exchanged for a certificate. Returns the command of it."""
        if self.plaintext or self.run_wattle("whoami").returncode == 0:
            return None
        self.run_wattle("context", "rm", "default")  # One of another authority stays otherwise.
        token = self.output(self.programs / "wattle-coordinator", "access", "admin-token", "--data-dir", self.directory / "coordinator").strip()
        return self.output(self.programs / "wattle", "login", token)

    def give_prometheus_a_token(self):
        """As an operator does, once: the files that deploy/prometheus/prometheus.yml names, beside its copy."""
        token, roots = self.directory / "wattle-token", self.directory / "wattle-roots.pem"
        if self.plaintext or token.exists():
            return
        made = self.output("wattle", "service", "token", "prometheus", "--ttl", "30d").strip()
        token.write_text(made)
        page = self.output("wattle", "service", "page-token").strip()
        (self.directory / "wattle-page-token").write_text(page)
        (self.directory / "wattle-page-token.sha256").write_text(hashlib.sha256(page.encode()).hexdigest() + "\n")
        shutil.copy(self.identity / "roots.pem", roots)

    def enroll(self, name):
        """The board of this folder becomes one of the fleet."""
        if self.plaintext or self.grpc is None or (self.directory / name / "credentials/certificate.pem").exists():
            return
        token = self.output("wattle", "device", "token").strip()
        self.output(self.programs / "wattle-worker", "enroll", token, "--state-dir", self.directory / name)

    def start_worker(self, name, emulate=None, extra=(), env=None, coordinator=None, called=None, metrics="127.0.0.1:0",
                     programs=BIN):
        """name: of its folder and log, and the device's unless `called` says otherwise. programs: the folder of another release's."""
        self.enroll(name)
        command = [programs / "wattle-worker", "--coordinator", coordinator or self.grpc, "--state-dir", self.directory / name, "--name", called or name,
                   "--metrics", metrics, *self.plaintext]
        hashes = self.directory / "wattle-page-token.sha256"
        if hashes.exists():
            command += ["--metrics-token-file", hashes]
        if emulate:
            command.append(f"--emulate={emulate}")
        command += list(extra)
        if "WATTLE_CRASH_AT" in (env or {}):  # Its marker lies outside of the attempt, and a runner may have to kill its agent.
            command.append("--isolation=none")
        worker = Process(name, command, self.directory / f"{name}.log", r"worker (\S+) id=(\S+) metrics=(\S+)", env)
        self.workers[name] = worker  # Known before it runs, so that stop() finds it whatever happens here.
        match = worker.start()
        worker.device_id, worker.metrics = match.group(2), match.group(3)
        return worker

    def start_prometheus(self, program, address):
        """On a copy of the shipped configuration, which expects the coordinator at its default ports, and the token beside it."""
        shutil.copy(ROOT / "deploy/prometheus/prometheus.yml", self.directory)
        shutil.copytree(ROOT / "deploy/prometheus/rules", self.directory / "rules", dirs_exist_ok=True)
        command = [program, f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/prometheus",
                   f"--web.listen-address={address}"]
        self.prometheus = Process("prometheus", command, self.directory / "prometheus.log", r"Server is ready to receive web requests")
        self.prometheus.start()
        return self.prometheus

    def stop(self):
        # Workers first, all at once: each stops its runner, spools what it must, and leaves.
        threads = [threading.Thread(target=worker.stop) for worker in self.workers.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for process in (self.coordinator, self.prometheus):
            if process:
                process.stop()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    # Talking to it -------------------------------------------------------------------------------------------------

    def wattle(self, *arguments, timeout_seconds=120):
        """Runs `wattle ARGUMENTS -o json` and returns its JSON, or raises CommandError."""
        done = self.run_wattle(*arguments, "-o", "json", timeout_seconds=timeout_seconds)
        if done.returncode != 0:
            raise CommandError([str(a) for a in arguments], done.returncode, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def run_wattle(self, *arguments, timeout_seconds=120):
        """Runs `wattle ARGUMENTS` and returns the finished process."""
        command = [str(BIN / "wattle"), "--coordinator", self.grpc or "127.0.0.1:1", *self.plaintext, *[str(a) for a in arguments]]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False, stdin=subprocess.DEVNULL,
                              env=self.env)

    def output(self, program, *arguments, timeout_seconds=60):
        """What a program of ours prints, or CommandError."""
        done = subprocess.run([str(BIN / program), *[str(a) for a in arguments]], capture_output=True, text=True, timeout=timeout_seconds,
                              check=False, stdin=subprocess.DEVNULL, env=self.env)
        if done.returncode != 0:
            raise CommandError([str(a) for a in arguments], done.returncode, done.stderr)
        return done.stdout

    def get(self, path, timeout_seconds=10):
        return self.fetch(self.http, path, timeout_seconds)

    def fetch(self, address, path, timeout_seconds=10):
        """A page of the coordinator or of a worker, read with the certificate of the person who logged in."""
        if self.plaintext:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout_seconds) as answer:
                return answer.read().decode()
        with urllib.request.urlopen(f"https://{address}{path}", timeout=timeout_seconds, context=self.tls_to(address)) as answer:
            return answer.read().decode()

    def tls_to(self, address):
        context = ssl.create_default_context(cafile=self.identity / "roots.pem")
        context.load_cert_chain(self.identity / "certificate.pem", self.identity / "key.pem")
        # A board's certificate has no address. Its chain tells that it is of this fleet.
        context.check_hostname = address == self.http
        return context

    def api(self, path):
        return json.loads(self.get(f"/api/v1/{path}"))

    def submit(self, path, **settings):
        """Submits a job file; settings override fields: submit("a.yaml", objective="time"). Returns the job's id."""
        overrides = [part for key, value in settings.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]
        return self.wattle("submit", path, *overrides)["job"]["job_id"]

    def job(self, job_id):
        return self.api(f"jobs/{job_id}")

    def devices(self):
        return {device["info"]["name"]: device for device in self.api("devices").get("devices", [])}

    def progress(self, job):
        """Latest progress of the job's current attempt, or None."""
        attempts = job.get("attempts", [])
        if not attempts:
            return None
        current = attempts[-1]["attempt_id"]
        for device in self.api("devices").get("devices", []):
            for progress in device.get("heartbeat", {}).get("progress", []):
                if progress["attempt_id"] == current:
                    return progress
        return None

    # Waiting -------------------------------------------------------------------------------------------------------

    def until(self, what, condition, timeout_seconds=60, interval_seconds=0.05):
        """Polls until condition() is truthy and returns that; FleetError names what was waited for."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise FleetError(f"waited {timeout_seconds} s for {what}")
            time.sleep(interval_seconds)

    def until_connected(self, *names, timeout_seconds=60):
        return self.until(f"{', '.join(names)} to connect",
                          lambda: all(self.devices().get(name, {}).get("connected") for name in names), timeout_seconds)

    def until_done(self, job_id, timeout_seconds=180):
        def done():
            job = self.job(job_id)
            return job if job["state"] in TERMINAL_STATES else None
        return self.until(f"{job_id} to end", done, timeout_seconds)

    def until_state(self, job_id, state, timeout_seconds=60):
        def reached():
            job = self.job(job_id)
            return job if job["state"] == state else None
        return self.until(f"{job_id} to be {state}", reached, timeout_seconds)

    def until_step(self, job_id, step=1, timeout_seconds=120, phase="train"):
        """Waits until the job's attempt has made that many steps of the phase."""
        def reached():
            job = self.job(job_id)
            if job["state"] in TERMINAL_STATES:
                raise FleetError(f"{job_id} ended as {job['state']}: {job.get('reason', '')}")
            progress = self.progress(job)
            return progress if progress and progress.get("phase") == phase and int(progress.get("step", 0)) >= step else None
        return self.until(f"{job_id} to make step {step}", reached, timeout_seconds)


def receipt_of(job):
    """The receipt of the job's last attempt."""
    return job["attempts"][-1]["receipt"]


def metric(receipt, name):
    for entry in receipt.get("metrics", []):
        if entry["name"] == name:
            return entry["value"]
    raise FleetError(f"the receipt has no metric {name}")
