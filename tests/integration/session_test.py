# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""What a person sees at a terminal: a text that grows, Ctrl-C, the worker's log, a wrong address."""

import http.server
import json
import os
import re
import signal
import subprocess
import threading
import unittest

from fleet import BIN
from scene import DEMO, Scene

PROMPT = "Question: Where does the mast stand?\nAnswer:"


class Session(Scene):
    def command(self, *arguments):
        return [str(BIN / "wattle"), "--coordinator", self.fleet.grpc, *[str(argument) for argument in arguments]]

    def slow_board(self):
        """A board that takes seconds for a text, so that there is a while in which it is half made."""
        self.fleet.start_coordinator()
        self.fleet.start_worker("slow", emulate="raspberry-pi-5", extra=["--time-scale=60", "--hidden-offset-percent=0"])
        self.fleet.until_connected("slow")
        self.fleet.wattle("model", "push", "base", DEMO / "model")

    def text_of_progress(self):
        jobs = self.fleet.api("jobs").get("jobs", [])
        return jobs and (self.fleet.progress(jobs[0]) or {}).get("text", "").strip()

    def read_until(self, stream, wanted, holds):
        """Reads bytes of the stream until holds(text); the text so far."""
        text = b""
        while not holds(text.decode(errors="replace")):
            more = os.read(stream.fileno(), 4096)
            self.assertTrue(more, f"the output ended before {wanted}: {text!r}")
            text += more
        return text.decode(errors="replace")

    def test_a_text_is_shown_while_it_is_generated_and_ctrl_c_leaves_the_job_alone(self):
        self.slow_board()
        with subprocess.Popen(self.command("generate", "--model", "base", "--max-new-tokens", "200", PROMPT), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.fleet.env) as client:
            told = self.fleet.until("the device to tell some text", self.text_of_progress)
            shown = self.read_until(client.stdout, "a part of the text", lambda text: told.split("\n")[0][:12] in text)
            self.assertEqual(self.fleet.job("j1")["state"], "JOB_STATE_ACTIVE", "the text came while the job ran: " + shown)
            client.send_signal(signal.SIGINT)
            _, errors = client.communicate(timeout=30)
            self.assertEqual(client.returncode, 130, errors)
            self.assertEqual(len(errors.decode().strip().splitlines()), 1, errors)
            for part in ("j1 goes on", "wattle job watch j1", "wattle job cancel j1"):
                self.assertIn(part, errors.decode())
        self.assertEqual(self.fleet.job("j1")["state"], "JOB_STATE_ACTIVE", "Ctrl-C is for the command, not for the job")
        self.fleet.wattle("job", "cancel", "j1")
        self.assertEqual(self.fleet.until_done("j1")["state"], "JOB_STATE_CANCELLED")

    def test_a_generation_prints_its_whole_text_and_ends_as_its_job(self):
        self.start()
        marker = self.fleet.directory / "held"
        marker.touch()  # The first runner does not hang; the second hangs until its time is over.
        self.plain_worker("one", env=self.held_at("frame:step:1:after"))
        self.fleet.until_connected("one")
        self.push_demo()
        done = self.fleet.run_wattle("generate", "--model", "base", "--max-new-tokens", "24", PROMPT)
        self.assertEqual(done.returncode, 0, done.stderr)
        whole = self.fleet.wattle("job", "output", "j1")["text"]
        self.assertTrue(whole.strip())
        self.assertIn(whole.strip(), done.stdout)
        marker.unlink()
        failed = self.fleet.run_wattle("generate", "--model", "base", "--set", "timeout_seconds=0.5", PROMPT)
        self.assertEqual(failed.returncode, 1, failed.stdout + failed.stderr)
        self.assertIn("wattle job logs j2", failed.stderr)

    def test_the_worker_logs_when_it_connects_to_whom_and_what_it_found(self):
        self.start("one")
        worker = self.fleet.workers["one"]
        # The coordinator may know first that the worker is connected.
        self.fleet.until("the worker to say so too", lambda: f"coordinator {self.fleet.grpc}: connected" in worker.log())
        lines = worker.log().splitlines()
        stamped = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z wattle-worker: (.*)$")
        said = [match.group(1) for match in map(stamped.match, lines) if match]
        self.assertEqual(len(said), len(lines) - 1, f"each line but the ready line has a time: {lines}")
        self.assertIn(f"coordinator {self.fleet.grpc}: connected", said)
        self.assertTrue([line for line in said if line.startswith("found: ")], said)
        self.assertTrue([line for line in said if "power" in line], said)
        self.fleet.coordinator.kill()
        self.fleet.until("the worker to notice", lambda: "connection lost; trying again" in self.fleet.workers["one"].log())
        self.fleet.start_coordinator()
        self.fleet.until("the worker to come back", lambda: self.fleet.workers["one"].log().count(": connected") == 2)

    def test_a_peer_that_is_no_coordinator(self):
        class Page(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.fleet.start_coordinator()
            for address in (f"127.0.0.1:{server.server_port}", self.fleet.http):
                with self.subTest(address=address):
                    done = subprocess.run([str(BIN / "wattle"), "--coordinator", address, "devices"], capture_output=True, text=True,
                                          timeout=60, check=False, env=self.fleet.env)
                    self.assertEqual(done.returncode, 4, done.stderr)
                    self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
                    self.assertIn(address, done.stderr)
                    self.assertIn("gRPC", done.stderr)
            server.shutdown()


if __name__ == "__main__":
    unittest.main()
