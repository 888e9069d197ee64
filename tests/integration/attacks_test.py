# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Attacks that want the real programs: secrets that leak, and a runner that floods."""

import base64
import os
import pathlib
import secrets
import socket
import subprocess
import unittest

from fleet import BIN
from scene import DEMO, Scene


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def command_lines():
    return "\n".join(command_line(pid) for pid in filter(str.isdigit, os.listdir("/proc")))


def core_file_bytes(pid):
    """The most that the process, or a child of it, could write."""
    line = next(line for line in pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines() if line.startswith("Max core file"))
    hard = line.split()[5]
    return float("inf") if hard == "unlimited" else int(hard)


def resident_mib(pid, line_of="VmRSS"):
    """VmRSS: now; VmHWM: at most."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith(line_of)).split()[1]) / 1024


class Attacks(Scene):
    def key_canaries(self):
        """A line of each private key of the fleet: the coordinator's, the boards', a person's."""
        canaries = {}
        for path in self.fleet.directory.rglob("*key*.pem"):
            text = path.read_text(encoding="ascii")
            if "PRIVATE KEY" in text:
                canaries[str(path.relative_to(self.fleet.directory))] = text.splitlines()[1]
        return canaries

    def test_secrets_are_in_no_log_metric_receipt_or_list_of_processes(self):
        fleet = self.fleet
        password = secrets.token_hex(12)
        (fleet.directory / "password").write_text(password)
        (fleet.directory / "password").chmod(0o600)
        self.start("one", extra=["--remote-write", "http://127.0.0.1:1/api/v1/write", "--remote-write-user", "fleet",
                                 "--remote-write-password-file", fleet.directory / "password"])
        self.push_demo()
        prompt = f"canary {secrets.token_hex(8)}"
        device_token = fleet.output("wattle", "device", "token").strip()
        person_token = fleet.output("wattle", "person", "token", "mia", "--role", "viewer").strip()
        canaries = {"prompt": prompt, "device token": device_token.split(":")[4], "person token": person_token.split(":")[4],
                    "service token": (fleet.directory / "wattle-token").read_text().rsplit(":", 1)[1], "password": password,
                    "password as it is sent": base64.b64encode(f"fleet:{password}".encode()).decode(), **self.key_canaries()}
        for wanted in ("authority/root_key.pem", "one/credentials/key.pem"):
            self.assertTrue(any(name.endswith(wanted) for name in canaries), (wanted, sorted(canaries)))
        job = fleet.submit(self.job_file("question", generate={"model": "base", "prompts": [prompt], "max_new_tokens": 4}))
        listed = []
        fleet.until("the question to be answered", lambda: listed.append(command_lines()) or fleet.job(job)["state"] == "JOB_STATE_SUCCEEDED", 180)
        fleet.start_worker("pusher", metrics="pushed")
        fleet.until("the coordinator to have sent the password", lambda: "remote write: " in fleet.coordinator.log())
        pages = {
            "list of processes": "\n".join(listed),
            "coordinator's metrics": str(fleet.get("/metrics")),
            "worker's metrics": str(fleet.fetch(fleet.workers["one"].metrics, "/metrics")),
            "receipt": fleet.output("wattle", "job", "receipt", job, "-o", "json"),
            "events": fleet.output("wattle", "events", "--limit", "1000", "-o", "json"),
            "identities": fleet.output("wattle", "access", "ls", "-o", "json"),
            "devices": fleet.output("wattle", "devices", "-o", "json"),
            "job's log": fleet.output("wattle", "job", "logs", job),
            **{path.name: path.read_text(errors="replace") for path in fleet.directory.glob("*.log")},
        }
        for page, text in pages.items():
            for name, canary in canaries.items():
                self.assertNotIn(canary, text, f"{name} is in the {page}")
        self.assertIn(str(BIN / "wattle-coordinator"), pages["list of processes"])
        journal = b"".join(path.read_bytes() for path in fleet.directory.rglob("journal.db*"))
        self.assertIn(prompt.encode(), journal, "the place where prompts are")
        for name, canary in canaries.items():
            if name != "prompt":
                self.assertNotIn(canary.encode(), journal, f"{name} is in the journal")
        for pid in (fleet.coordinator.pid, fleet.workers["one"].pid):
            self.assertLessEqual(core_file_bytes(pid), 1, command_line(pid))
        fleet.wattle("model", "pull", "base", fleet.directory / "pulled")
        for name, one in (("coordinator", "journal.db"), ("one", "key.pem"), ("pulled", "config.json")):
            written = [fleet.directory / name, *(fleet.directory / name).rglob("*")]
            self.assertIn(one, [path.name for path in written])
            open_to_others = {path.name: path.stat().st_mode & 0o777 for path in written if not path.is_symlink() and path.stat().st_mode & 0o077}
            self.assertEqual(open_to_others, {"one": 0o710, "owner.sock": 0o660} if name == "one" else {})

    def test_a_token_of_an_enrolment_is_hidden_from_the_list_of_processes(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            secret = secrets.token_hex(16)
            token = f"wattle1:127.0.0.1:{silent.getsockname()[1]}:{secrets.token_hex(8)}:{secret}:{secrets.token_hex(32)}"
            for command in (["wattle-worker", "enroll", token, "--state-dir", self.fleet.directory / "board"], ["wattle", "login", token]):
                env = {**os.environ, "XDG_CONFIG_HOME": str(self.fleet.directory / "config")}
                with subprocess.Popen([BIN / command[0], *map(str, command[1:])], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
                    try:
                        self.fleet.until("the token to be hidden", lambda pid=asking.pid: "wattle1:****" in command_line(pid))
                        self.assertNotIn(secret, command_line(asking.pid))
                        self.assertLessEqual(core_file_bytes(asking.pid), 1)
                    finally:
                        asking.kill()

    def start_flooder(self):
        """Beside a quiet board one whose runner does what the job's name says. The board, and its memory before."""
        self.start("quiet")
        self.push_demo()
        flooder = self.plain_worker("flooder", extra=[f"--runner={BIN / 'wattle_fake_runner'}", "--isolation=none"])
        self.fleet.until_connected("flooder")
        return flooder, resident_mib(flooder.pid)

    def submit_flood(self, name):
        return self.fleet.submit(self.job_file(name, required_labels=["device=flooder"], finetune={"model": "base", "data": "train", "steps": 2}))

    def answer_on_the_quiet_board(self):
        job = self.job_file("question", required_labels=["device=quiet"], generate={"model": "base", "prompts": ["Who?"], "max_new_tokens": 4})
        self.assert_succeeded(self.fleet.until_done(self.fleet.submit(job)))

    def test_a_runner_that_floods_disturbs_nobody(self):
        fleet = self.fleet
        flooder, before = self.start_flooder()
        flood = self.submit_flood("flood")
        self.answer_on_the_quiet_board()
        fleet.until("the flood to be over", lambda: "left out" in fleet.run_wattle("job", "logs", flood).stdout, 180)
        lines = fleet.run_wattle("job", "logs", flood).stdout.splitlines()
        self.assertLess(len(lines), 400)
        self.assertLess(resident_mib(flooder.pid) - before, 32)
        for name in ("flooder", "coordinator"):
            self.assertLess((fleet.directory / f"{name}.log").stat().st_size, 200_000, name)
        self.assertLess(sum(path.stat().st_size for path in (fleet.directory / "flooder" / "attempts").rglob("*") if path.is_file()), 1_000_000)

    def test_a_runner_that_floods_frames_disturbs_nobody(self):
        fleet = self.fleet
        flooder, before = self.start_flooder()
        many = self.submit_flood("flood-frames")
        self.answer_on_the_quiet_board()
        self.assert_succeeded(fleet.until_done(many, 180))  # 450 MiB of frames later.
        self.assertLess(max(map(len, fleet.run_wattle("job", "logs", many).stdout.splitlines())), 2100)
        endless = self.submit_flood("oversize")
        self.assertIn("a frame of more than 1 MiB", str(fleet.until_done(endless, 180)))
        self.assertLess(resident_mib(flooder.pid, "VmHWM") - before, 48)
        self.assertNotIn("flooder lost its connection", fleet.output("wattle", "events", "--limit", "1000"))


if __name__ == "__main__":
    unittest.main()
