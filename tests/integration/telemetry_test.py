# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Telemetry by a real Prometheus: it discovers the workers by /sd, scrapes them and the coordinator, and answers PromQL.

Every query of dashboards and rules is asked: one that errs, that names a metric or label that nothing exports, or that returns nothing
where the fleet has data, fails. A site behind a thin link writes to a second Prometheus.
"""

import json
import math
import os
import random
import re
import subprocess
import sys
import unittest
import urllib.parse

from fleet import ROOT, receipt_of
from prometheus_scene import PrometheusScene, free_address, program, shipped
from scene import FINETUNE

sys.path.insert(0, str(ROOT / "tests"))
import dashboards  # noqa: E402
import metrics_doc  # noqa: E402

SEED = int(os.environ.get("WATTLE_SEED") or random.SystemRandom().randrange(1, 1_000_000))


class Telemetry(PrometheusScene):
    def test_prometheus_sees_the_fleet(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=1", "--battery-wh=50", "--state-of-charge=0.7"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        self.push_demo()
        # Idle first, then at work.
        idle = self.value('wattle_device_power_watts{device="nano"}')
        self.assertGreater(idle, 1.0)
        self.assertAlmostEqual(self.value('wattle_device_battery_charge_ratio{device="nano"}'), 0.7, delta=0.02)
        self.assertGreater(self.value('wattle_device_temperature_celsius{device="nano"}'), 10)
        job_id = self.fleet.submit(self.finetune_file(steps=12))
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        work = receipt_of(job)["work"]
        self.until_true(f'sum(wattle_worker_tokens_total{{device="nano"}}) >= {work["tokens"]}')
        self.assertGreater(self.value('max_over_time(wattle_device_power_watts{device="nano"}[2m])'), idle + 2)
        # Worker and coordinator are scraped each in its own time.
        self.until_true('wattle_worker_attempts_total{device="nano",state="finished"} == 1')
        self.until_true('wattle_coordinator_jobs{state="succeeded"} == 1')
        self.until_true('sum(wattle_coordinator_attempts_total{state="finished"}) == 1')
        self.until_true('count(up{job="wattle-worker"} == 1) == 1')

    def test_two_devices_of_one_name_are_told_apart(self):
        self.start()
        for directory in ("twin-a", "twin-b"):
            self.fleet.start_worker(directory, emulate="raspberry-pi-5", extra=["--time-scale=1"], called="twin")
        self.fleet.until("both workers", lambda: sum(device["connected"] for device in self.fleet.api("devices")["devices"]) == 2)
        page = [line.rsplit(" ", 1)[0] for line in self.fleet.get("/metrics").splitlines() if not line.startswith("#")]
        self.assertEqual(len(page), len(set(page)), "a series stands twice on the coordinator's page")
        self.start_prometheus()
        self.until_true("count(wattle_device_power_watts) == 2")
        self.until_true("count(wattle_device_connected) == 2")
        for series in self.query('{__name__=~"wattle_.*|up"}'):
            labels = series["metric"]
            renamed = [label for label in labels if label.startswith("exported_")]
            self.assertEqual(renamed, [], f"{labels['__name__']}: a label of /sd hides the worker's own")
            if labels["__name__"].startswith("wattle_device_"):
                self.assertIn("device_id", labels, labels["__name__"])

    def test_rate_of_joules_is_mean_watts_at_time_scale_one(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=1"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        power, energy = 'wattle_device_power_watts{device="nano"}', 'wattle_device_energy_joules_total{device="nano"}'
        # Samples from before the window on: else rate() extrapolates to its edges.
        self.fleet.until("30 s of samples", lambda: self.query(f"count_over_time({power}[30s]) >= 55"), 60)
        rate, mean = self.value(f"rate({energy}[20s])"), self.value(f"avg_over_time({power}[20s])")
        self.assertAlmostEqual(rate / mean, 1, delta=0.05, msg=(rate, mean))

    def truth(self, name, board):
        """Watts and heat of this very board: its file, times the hidden offset that the emulator drew and the scheduler never saw."""
        text = (ROOT / f"deploy/emulated/{board}.yaml").read_text()

        def number(pattern):
            return float(re.search(pattern, text, re.M | re.S).group(1))
        offsets = json.loads((self.fleet.directory / name / "hidden_offsets.json").read_text())
        factor = offsets["power_factor"]
        return {"factor": factor, "idle": factor * number(r"^idle_power_watts:\s*([0-9.]+)"),
                "start": factor * number(r"^start_power_watts:\s*([0-9.]+)"),
                "finetune": factor * number(r"^  finetune:.*?power_watts:\s*([0-9.]+)"),
                "ambient": number(r"ambient_celsius:\s*([0-9.]+)"), "kelvin_per_watt": number(r"kelvin_per_watt:\s*([0-9.]+)"),
                "time_constant": number(r"time_constant_seconds:\s*([0-9.]+)")}

    def assert_within(self, measured, truth, share, what):
        self.assertAlmostEqual(measured / truth, 1, delta=share, msg=f"{what}: {measured} against {truth}, WATTLE_SEED={SEED}")

    def test_energy_watts_and_heat_are_the_boards_truth(self):
        """Receipt and PromQL against the board's file: nothing that Wattle measured stands on the other side of a comparison."""
        print(f"seed {SEED}: hidden offset of the board")
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=[
            "--time-scale=6", "--hidden-offset-percent=20", f"--emulation-seed={SEED}"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        self.push_demo()
        truth = self.truth("nano", "jetson-orin-nano")
        self.assertGreater(abs(truth["factor"] - 1), 0.001, "an offset was drawn")
        # Ten deviations of a sample above the start of a runner: one sample of it in the mean of the load costs the whole bound.
        device, loaded = '{device="nano"}', f'wattle_device_power_watts{{device="nano"}} > {1.1 * truth["start"]}'
        spent = f'sum(wattle_device_energy_use_joules_total{{device="nano",use!~"idle|overhead"}})'
        # Idle: 20 samples of 1 % noise.
        self.fleet.until("idle samples", lambda: self.query(f'count_over_time(wattle_device_power_watts{device}[60s]) >= 20'), 60)
        self.assert_within(self.value(f"avg_over_time(wattle_device_power_watts{device}[10s])"), truth["idle"], 0.02, "idle watts")
        idle_celsius = truth["ambient"] + truth["kelvin_per_watt"] * truth["idle"]
        self.assert_within(self.value(f"wattle_device_temperature_celsius{device}"), idle_celsius, 0.02, "idle temperature")

        job_id = self.fleet.submit(self.finetune_file(steps=240, heldout_data="", checkpoint_every_steps=1000))
        self.fleet.until_step(job_id, 5)
        job = self.assert_succeeded(self.fleet.until_done(job_id, 400))
        run, total = receipt_of(job)["run"], receipt_of(job)["total"]
        self.assertEqual(run["source"], "ENERGY_SOURCE_EMULATED")
        covered = run["seconds"] * run["coverage_ratio"]
        # Noise of 1 % a sample: from 4 samples on, the bound of 2 % is four standard deviations of their mean.
        self.assertGreater(covered, 4, "device seconds of the run that samples cover")
        self.assert_within(run["gross_energy_joules"], truth["finetune"] * covered, 0.02, "joules of the run")
        self.assertAlmostEqual(receipt_of(job)["wall_seconds"] / run["seconds"], 6, delta=0.3)
        self.until_true(f"{spent} >= {0.98 * total['gross_energy_joules']}")
        self.assert_within(self.value(spent), total["gross_energy_joules"], 0.02, "joules under load by PromQL")
        self.assert_within(self.value(f'avg_over_time(({loaded})[5m:500ms])'), truth["finetune"], 0.02, "watts under load")

        # Heat follows the load with the board's time constant: from idle, through the start, through the run.
        celsius = idle_celsius
        for watts, seconds in ((truth["start"], receipt_of(job)["start_seconds"]), (truth["finetune"], run["seconds"])):
            steady = truth["ambient"] + truth["kelvin_per_watt"] * watts
            celsius = steady + (celsius - steady) * math.exp(-seconds / truth["time_constant"])
        self.assert_within(run["temperature_celsius_max"], celsius, 0.02, "hottest of the run")
        self.assert_within(self.value(f"max_over_time(wattle_device_temperature_celsius{device}[5m])"), celsius, 0.02, "hottest by PromQL")

    def test_a_revoked_token_reads_nothing_more(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=4"])
        self.fleet.until_connected("nano")
        self.start_prometheus()
        self.until_true("count(up == 1) == 2")
        token = (self.fleet.directory / "wattle-token").read_text()
        self.fleet.run_wattle("service", "revoke", token.split(":")[1])
        self.until_true('up{job="wattle-coordinator"} == 0')
        # The worker asks nobody: its file is what counts.
        self.assertTrue(self.query('up{job="wattle-worker"} == 1'))
        (self.fleet.directory / "wattle-page-token.sha256").write_text("# none\n")
        self.until_true('up{job="wattle-worker"} == 0')
        targets = self.get_json("/api/v1/targets")["data"]["activeTargets"]
        self.assertEqual([target["lastError"] for target in targets], ["server returned HTTP status 401 Unauthorized"] * 2)

    def test_metrics_are_clean_for_promtool(self):
        if not program("promtool"):
            self.skipTest("promtool is not here; ./dev deps fetches it")
        self.start()
        worker = self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=4"])
        self.fleet.until_connected("nano")
        for address in (self.fleet.http, worker.metrics):
            page = self.fleet.fetch(address, "/metrics").encode()
            done = subprocess.run([str(program("promtool")), "check", "metrics"], input=page, capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, b""), page.decode())


VARIABLES = {"device": "nano", "kind": ".*", "model": ".*", "device_class": ".*"}
# A group of labels as docs/metrics.md abbreviates it.
GROUPS = {"device…": {"device", "device_id", "device_class"}, "kind…": {"kind", "model", "device_class", "source"}}
ADDED = {"instance", "job"}  # By Prometheus.


def selectors(expression):
    """(metric, {labels}) of each selector of ours."""
    for name, matchers in re.findall(r"\b((?:wattle|process)[a-z0-9_:]*|up|ALERTS)\b(?!\s*\()(\{[^}]*\})?", expression):
        yield name, set(re.findall(r"([a-zA-Z_]+)\s*(?:=~|!=|!~|=)", re.sub(r'"[^"]*"', '""', matchers)))


def grouped(expression):
    """Labels of by (…), on (…), without (…), ignoring (…), group_left (…)."""
    for labels in re.findall(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)", expression):
        yield from (label.strip() for label in labels.split(",") if label.strip())


def filled(expression):
    return re.sub(r"\$\{?(\w+)\}?", lambda match: VARIABLES[match.group(1)], expression)


def rules_of(*files):
    return [rule for rule in rules() if rule[0] in files]


def rules():
    """(file, alert or record, its name, expression)"""
    for path in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml")):
        for kind, name, body in re.findall(r"- (alert|record): (\S+)\n(.*?)(?=\n      - |\n  - name|\Z)", path.read_text(), re.S):
            folded = re.search(r"expr: >-\n(.*?)(?=\n        \w+:|\Z)", body, re.S)
            plain = re.search(r"expr: (.+)", body)
            yield path.name, kind, name, " ".join((folded or plain).group(1).split())


class Dashboards(PrometheusScene):
    def setUp(self):
        super().setUp()
        self.wrong = []

    def start_fleet(self):
        """What a fleet in the field has: a board with a battery, one that nobody can reach, one that pushes its samples, policies, an
        ended job and one that waits."""
        prometheus = free_address()
        self.start(extra=["--remote-write", f"http://{prometheus}/api/v1/write"])
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=[
            "--time-scale=12", "--battery-wh=50", "--state-of-charge=0.7", "--label=board=nano"])
        self.fleet.start_worker("mast", emulate="raspberry-pi-5", metrics="none")
        self.fleet.until_connected("nano", "mast")
        policy = self.fleet.directory / "policy.yaml"
        policy.write_text("name: field\nreserve_state_of_charge_ratio: 0.2\nmax_temperature_celsius: 95\n")
        self.fleet.wattle("policy", "apply", policy)
        self.start_prometheus("--web.enable-remote-write-receiver", rules=True, address=prometheus)
        self.until_true('count(up == 1) == 2')  # Before anything happens: a counter's first value is no increase.
        self.fleet.start_worker("far", emulate="raspberry-pi-5", metrics="pushed", extra=["--time-scale=1", "--metrics-interval-seconds=0.5"])
        self.fleet.until_connected("far")
        self.push_demo()
        job = self.fleet.submit(self.job_file(required_labels=["board=nano"], finetune={**FINETUNE, "steps": 6, "heldout_data": "", "limit_examples": 40}))
        self.assert_succeeded(self.fleet.until_done(job, 300))
        for device in ("nano", "mast", "far"):
            self.fleet.wattle("device", "drain", device, "--reason", "so that a job waits")
        self.fleet.submit(self.job_file("waits", generate={"model": "base", "prompts": ["hello"], "max_new_tokens": 4}))
        self.until_true('wattle_coordinator_jobs{state="succeeded"} == 1')
        self.until_true('wattle_device_idle_power_watts{device="nano"} > 0', 240)
        self.until_true('count_over_time(wattle:kind_energy_joules_per_token:ratio1d[5m]) >= 2', 60)
        self.until_true('count_over_time(wattle_coordinator_compared_energy_joules_total[5m]) >= 2', 60)

    def known_labels(self):
        """{metric: its labels} of all series that there are."""
        known = {}
        for series in self.query('{__name__=~".+"}'):
            labels = dict(series["metric"])
            known.setdefault(labels.pop("__name__"), set()).update(labels)
        known.setdefault("ALERTS", {"alertname", "alertstate", "severity"})  # Nothing fires in a healthy fleet.
        for name in ("wattle_under_voltage", "wattle_under_voltage_events_total"):  # Only a real Raspberry Pi reports its supply.
            known.setdefault(name, {"device", "device_id", "device_class", "sensor", "channel"})
        return known

    def check_names(self, where, expression, known):
        for name, labels in selectors(expression):
            if name not in known:
                self.wrong.append(f"{where}: {name}: no such metric")
            elif labels - known[name]:
                self.wrong.append(f"{where}: {name} has no label {', '.join(sorted(labels - known[name]))}")
        for label in set(grouped(expression)) - set().union(*known.values()):
            self.wrong.append(f"{where}: nothing has the label {label}")

    def check_query(self, where, expression, legend):
        try:
            result = self.query(expression)
        except OSError as error:
            self.wrong.append(f"{where}: {error}: {expression}")
            return
        if not any(math.isfinite(float(series["value"][1])) for series in result):
            self.wrong.append(f"{where}: no data: {expression}")
        have = set().union(*(series["metric"] for series in result)) if result else set()
        for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", legend):
            if result and label not in have:
                self.wrong.append(f"{where}: the legend names {label}, which the result does not have: {expression}")

    def check_dashboards(self, known):
        queries = 0
        for name, dashboard in dashboards.read_all().items():
            for variable in dashboards.variables(dashboard).values():
                if variable["type"] == "query":
                    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
                    if label not in known.get(metric, set()):
                        self.wrong.append(f"{name}: variable {variable['name']}: {metric} has no label {label}")
            for panel in dashboard["panels"]:
                for target in panel["targets"]:
                    where, expression = f"{name}, `{panel['title']}`", filled(target["expr"])
                    self.check_names(where, expression, known)
                    self.check_query(where, expression, target["legendFormat"])
                    queries += 1
        self.assertGreater(queries, 60)

    def check_links(self):
        """A link of a dashboard leads to what it names: here the receipts of the coordinator's API."""
        links = [link["url"] for dashboard in dashboards.read_all().values() for link in dashboard.get("links", []) if "url" in link]
        self.assertTrue(links, "no dashboard leads to the receipts")
        for url in links:
            self.assertTrue(url.startswith("https://${coordinator}/"), url)
            jobs = json.loads(self.fleet.get(url.removeprefix("https://${coordinator}")))["jobs"]
            receipts = [attempt["receipt"] for job in jobs for attempt in job.get("attempts", []) if "receipt" in attempt]
            self.assertTrue(receipts and receipts[0]["total"]["gross_energy_joules"] > 0, url)

    def check_rules(self, known):
        recorded = 0
        for path, kind, name, expression in rules():
            if path == "sites.yml":
                continue  # ThinLink has a site.
            self.check_names(f"{path}: {name}", expression, known)
            if kind == "record":
                self.check_query(f"{path}: {name}", name, "")
                recorded += 1
        self.assertGreater(recorded, 5)
        state = self.get_json("/api/v1/rules")["data"]["groups"]
        self.assertGreater(sum(len(group["rules"]) for group in state), 30, "the rules were loaded")
        self.wrong += [f"{rule['name']}: {rule['lastError']}" for group in state for rule in group["rules"] if rule.get("lastError")]
        # Pending is as bad: this fleet is healthy.
        self.wrong += [f"{series['metric']['alertname']} is {series['metric']['alertstate']}: {series['metric']}" for series in self.query("ALERTS")]

    def check_page(self, text):
        """Types and labels of a live page against docs/metrics.md; the names are compared with the sources by tests/metrics_doc.py."""
        rows, _ = metrics_doc.documented((ROOT / "docs/metrics.md").read_text())
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        for name, kind in types.items():
            if rows.get(name, (None,))[0] != kind:
                self.wrong.append(f"docs/metrics.md: {name}: a {kind} here, there {rows.get(name)}")
        for series, labels in re.findall(r"^([a-z_]+)\{([^}]*)\}", text, re.M):
            name = series if series in types else re.sub(r"_(bucket|sum|count)$", "", series)
            said = set(re.findall(r"`([a-z_]+)`", rows[name][-1])) | {"le"}
            for group, members in GROUPS.items():
                said |= members if f"`{group}`" in rows[name][-1] else set()
            if series.startswith("wattle_") and not series.startswith("wattle_coordinator_"):
                said |= GROUPS["device…"]
            if set(re.findall(r'([a-z_]+)="', labels)) - said:
                self.wrong.append(f"docs/metrics.md: {name} has {labels}, there {sorted(said)}")

    def check_one_path(self):
        doubles = self.query('count by (__name__, device_id, source, use, sensor, channel, state, direction) '
                             '({__name__=~"wattle_(device|worker|sensor|rail|zone|throttled).*"}) > 1')
        self.assertEqual(doubles, [], "a series of a device comes twice")
        self.assertEqual({series["metric"]["job"] for series in self.query('wattle_device_power_watts{device="mast"}')}, {"wattle-coordinator"})
        for device in ("nano", "far"):
            self.assertEqual({series["metric"]["job"] for series in self.query(f'wattle_device_power_watts{{device="{device}"}}')}, {"wattle-worker"})

    def test_every_query_of_dashboards_and_rules_has_data(self):
        self.start_fleet()
        known = self.known_labels()
        self.check_dashboards(known)
        self.check_links()
        self.check_rules(known)
        self.check_page(self.fleet.get("/metrics"))
        self.check_page(self.page_of(self.fleet.workers["nano"]))
        self.check_one_path()
        self.assertEqual(self.wrong, [], "\n" + "\n".join(self.wrong))


class ThinLink(PrometheusScene):
    """Two Prometheus: one at the site, which scrapes and writes, and a central one, which was away for a while."""

    def values(self, address, start, end):
        """{scrape time: watts} of the site's board, as this Prometheus has them."""
        result = self.get_json("/api/v1/query?" + urllib.parse.urlencode({
            "query": f'wattle_device_power_watts{{device="nano"}}[{int(end - start)}s]', "time": end}), address)["data"]["result"]
        self.assertLessEqual(len(result), 1, "one device, one series")
        return dict(map(tuple, result[0]["values"])) if result else {}

    def newest(self, address):
        result = self.query('timestamp(wattle_device_power_watts{device="nano"})', address)
        return float(result[0]["value"][1]) if result else 0

    def test_a_site_behind_a_thin_link_leaves_no_hole(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=1"])
        self.fleet.until_connected("nano")
        site, central = free_address(), free_address()
        rules = self.fleet.directory / "rules"
        rules.mkdir()
        for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"):
            (rules / path.name).write_text(path.read_text())
        configuration = shipped("central.yml")
        receiver = self.start_server("central", central, configuration, "--web.enable-remote-write-receiver")
        self.start_server("site", site, shipped("site.yml", *self.pace(), ("central:9090", central), ("batch_send_deadline: 30s", "batch_send_deadline: 1s"),
                                                ("max_backoff: 1m", "max_backoff: 1s")))
        self.fleet.until("samples at the centre", lambda: self.newest(central))
        start = self.newest(central)
        receiver.stop()
        cut = self.newest(site)
        self.fleet.until("samples while the link is cut", lambda: self.newest(site) > cut + 10, 60)
        self.start_server("central", central, configuration, "--web.enable-remote-write-receiver")
        end = self.newest(site)
        self.fleet.until("the centre to catch up", lambda: self.newest(central) > end + 1, 90)
        here, there = self.values(site, start, end), self.values(central, start, end)
        self.assertGreater(len(here), 15, "the cut lasted ten seconds of two scrapes each")
        self.assertEqual(there, here, "the same samples, none lost, none twice")
        labels = self.query('wattle_device_power_watts{device="nano"}', central)[0]["metric"]
        self.assertEqual(labels["site"], "mast3")
        names = {series["metric"]["__name__"] for series in self.query('{site="mast3"}', central)}
        self.assertFalse({name for name in names if name.startswith(("wattle_coordinator_plan_seconds_bucket", "wattle_rail_"))}, "they stay at the site")
        # What the centre's alerts read came along.
        exported = {series["metric"]["__name__"] for series in self.query('{__name__=~".+"}', site)}
        for path, _, name, expression in rules_of("battery.yml", "coordinator.yml", "devices.yml", "remote_write.yml", "sites.yml"):
            needed = {metric for metric, _ in selectors(expression)}
            dropped = {metric for metric in needed & exported if metric not in names}
            self.assertEqual(dropped, set(), f"{path}: {name}")


if __name__ == "__main__":
    unittest.main()
