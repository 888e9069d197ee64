# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""A scene with a real Prometheus on the shipped configuration, at the pace of a test."""

import json
import os
import shutil
import socket
import urllib.parse
import urllib.request

from fleet import ROOT, Process
from scene import Scene

TOOLS = ROOT / "build/tools/prometheus/usr/bin"
DEPLOY = ROOT / "deploy/prometheus"


def program(name):
    found = TOOLS / name if (TOOLS / name).exists() else shutil.which(name)
    if not found and os.environ.get("CI"):
        raise AssertionError(f"{name} must be there in CI: ./dev deps fetches Debian's prometheus")
    return found


def free_address():
    with socket.socket() as probe:  # A port that was free a moment ago.
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def shipped(name, *changes):
    """A file of deploy/prometheus with each (shipped, here) replaced; a change that fits nothing is an error."""
    text = (DEPLOY / name).read_text()
    for there, here in changes:
        assert there in text, f"{DEPLOY / name}: no {there}"
        text = text.replace(there, here)
    return text


class PrometheusScene(Scene):
    def pace(self):
        """What turns a shipped configuration that scrapes into one for this coordinator and a test's patience."""
        return (("127.0.0.1:7411", self.fleet.http), ("scrape_interval: 15s", "scrape_interval: 500ms\n  scrape_timeout: 400ms"),
                ("/sd\n", "/sd\n        refresh_interval: 1s\n"), ("evaluation_interval: 30s", "evaluation_interval: 1s"))

    def start_prometheus(self, *flags, rules=False, address=None):
        """Sets self.prometheus to its address. rules: with those of deploy/prometheus, computed each second."""
        directory = self.fleet.directory
        if rules:
            (directory / "rules").mkdir()
            for path in (DEPLOY / "rules").glob("*.yml"):
                (directory / "rules" / path.name).write_text(path.read_text().replace("interval: 1m", "interval: 1s"))
        self.prometheus = address or free_address()
        self.start_server("prometheus", self.prometheus, shipped("prometheus.yml", *self.pace()), *flags)

    def start_server(self, name, address, configuration, *flags):
        """A Prometheus of that name in the fleet's directory; started again it goes on with its data. Returns the process."""
        if not program("prometheus"):
            self.skipTest("Debian's prometheus is not here; ./dev deps fetches it")
        directory = self.fleet.directory
        (directory / f"{name}.yml").write_text(configuration)
        command = [program("prometheus"), f"--config.file={directory}/{name}.yml", f"--storage.tsdb.path={directory}/{name}-tsdb",
                   f"--web.listen-address={address}", "--log.level=warn", "--log.format=json", *flags]
        process = Process(name, command, directory / f"{name}.log", r"")
        process.start()
        self.addCleanup(process.stop)
        self.assertEqual(self.fleet.until(name, lambda: self.server_state(process, address)), "ready", process.log())
        return process

    def server_state(self, process, address):
        if not process.running():
            return "ended"
        try:
            with urllib.request.urlopen(f"http://{address}/-/ready", timeout=2) as answer:
                return "ready" if answer.status == 200 else None
        except OSError:
            return None

    def get_json(self, path, address=None):
        with urllib.request.urlopen(f"http://{address or self.prometheus}{path}", timeout=10) as answer:
            return json.loads(answer.read())

    def query(self, expression, address=None):
        return self.get_json("/api/v1/query?" + urllib.parse.urlencode({"query": expression}), address)["data"]["result"]

    def value(self, expression, timeout_seconds=30):
        result = self.fleet.until(f"prometheus to answer {expression}", lambda: self.query(expression), timeout_seconds)
        self.assertEqual(len(result), 1, result)
        return float(result[0]["value"][1])

    def until_true(self, comparison, timeout_seconds=30, address=None):
        return self.fleet.until(f"prometheus to say {comparison}", lambda: self.query(comparison, address), timeout_seconds)

    def page_of(self, worker):
        return self.fleet.fetch(worker.metrics, "/metrics")
