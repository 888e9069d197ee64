# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Boards that wait for approval, the lists of who is let in, and quotas, as a person meets them."""

import json
import pathlib
import shutil
import signal
import subprocess
import unittest

from fleet import BIN
from scene import DEMO, Scene


class Access(Scene):
    def question(self):
        return self.job_file("question", generate={"model": "base", "prompts": ["Who?"], "max_new_tokens": 4})

    def test_a_board_works_once_it_is_approved(self):
        fleet = self.fleet
        fleet.start_coordinator()
        token = fleet.output("wattle", "device", "token", "--approve").strip()
        fleet.output("wattle-worker", "enroll", token, "--state-dir", fleet.directory / "mast")
        waiting = [one for one in fleet.wattle("access", "ls", "--kind", "device")["identities"] if one["waits_for_approval"]]
        self.assertEqual(len(waiting), 1)
        fleet.start_worker("mast", emulate="raspberry-pi-5", extra=["--time-scale=0.01"])
        fleet.until_connected("mast")
        self.assertIn("waits for approval", fleet.run_wattle("devices").stdout)
        doctor = fleet.run_wattle("doctor")
        self.assertEqual(doctor.returncode, 5)
        self.assertIn("wattle device approve mast", doctor.stdout)

        fleet.wattle("model", "push", "base", DEMO / "model")
        job = fleet.wattle("submit", self.question())["job"]["job_id"]
        reason = fleet.until("the plan to refuse the board", lambda: "approv" in fleet.job(job)["reason"] and fleet.job(job)["reason"])
        self.assertIn("wattle device approve mast", reason)
        approved = fleet.run_wattle("device", "approve", "mast")
        self.assertEqual(approved.returncode, 0, approved.stderr)
        self.assert_succeeded(fleet.until_done(job))
        self.assertNotIn("waits for approval", fleet.run_wattle("devices").stdout)
        self.assertIn("was approved by", fleet.run_wattle("events").stdout)

    def test_approval_survives_a_restart(self):
        fleet = self.fleet
        fleet.start_coordinator()
        token = fleet.output("wattle", "device", "token", "--approve", "--uses", "2").strip()
        for name in ("one", "two"):
            fleet.output("wattle-worker", "enroll", token, "--state-dir", fleet.directory / name)
        ids = [one["id"] for one in fleet.wattle("access", "ls", "--kind", "device")["identities"]]
        fleet.wattle("device", "approve", ids[0])
        fleet.coordinator.kill()
        fleet.start_coordinator()
        waits = {one["id"]: one["waits_for_approval"] for one in fleet.wattle("access", "ls")["identities"] if one["kind"] == "device"}
        self.assertEqual(waits, {ids[0]: False, ids[1]: True})

    def test_of_a_copied_card_neither_works_until_the_operator_decides(self):
        fleet = self.fleet
        fleet.start_coordinator()
        fleet.enroll("mast")
        fleet.wattle("model", "push", "base", DEMO / "model")
        shutil.copytree(fleet.directory / "mast", fleet.directory / "copy")
        fleet.start_worker("mast", emulate="raspberry-pi-5", extra=["--time-scale=0.01"])
        fleet.until_connected("mast")
        copy = fleet.start_worker("copy", emulate="raspberry-pi-5", extra=["--time-scale=0.01"], called="mast")
        fleet.until("the copied card to be noticed", lambda: "two processes show the certificate" in fleet.run_wattle("doctor").stdout)
        self.assertIn("waits for approval", fleet.run_wattle("devices").stdout)
        fleet.until("the audit to tell it", lambda: "Neither gets work" in fleet.run_wattle("audit").stdout)
        job = fleet.wattle("submit", self.question())["job"]["job_id"]
        fleet.until("the plan to refuse the board", lambda: "wattle device approve mast" in fleet.job(job)["reason"])

        copy.kill()
        self.assertEqual(fleet.run_wattle("device", "approve", "mast").returncode, 0)
        self.assert_succeeded(fleet.until_done(job))
        self.assertNotIn("two processes", fleet.run_wattle("doctor").stdout)

    def test_a_worker_that_is_killed_and_started_again_is_no_copied_card(self):
        fleet = self.fleet
        fleet.start_coordinator()
        worker = fleet.start_worker("mast", emulate="raspberry-pi-5", extra=["--time-scale=0.01"])
        fleet.until_connected("mast")
        for _ in range(8):
            welcomes = worker.log().count(": connected")
            worker.kill()
            worker = fleet.start_worker("mast", emulate="raspberry-pi-5", extra=["--time-scale=0.01"])
            fleet.until("the worker to be let in", lambda before=welcomes: worker.log().count(": connected") > before)
        # Its link dies without a word: the process stands still, and the board, started anew, dials from the same card.
        fleet.wattle("model", "push", "base", DEMO / "model")
        worker.signal(signal.SIGSTOP)
        shutil.copytree(fleet.directory / "mast", fleet.directory / "again", ignore=lambda folder, names: [
            name for name in names if (pathlib.Path(folder) / name).is_socket()])
        fleet.start_worker("again", emulate="raspberry-pi-5", extra=["--time-scale=0.01"], called="mast")
        self.assert_succeeded(fleet.until_done(fleet.wattle("submit", self.question())["job"]["job_id"]))
        worker.kill()
        self.assertNotIn("Neither gets work", fleet.run_wattle("audit").stdout)
        self.assertNotIn("waits for approval", fleet.run_wattle("devices").stdout)

    def test_a_quota_refuses_in_one_line(self):
        fleet = self.fleet
        fleet.start_coordinator()
        fleet.wattle("model", "push", "base", DEMO / "model")
        me = fleet.wattle("whoami")["id"]
        fleet.wattle("quota", "set", me, "--open-jobs", "1")
        self.assertIn("quota: 0 of 1 open jobs", fleet.run_wattle("whoami").stdout)
        submit = ("submit", self.question())
        fleet.wattle(*submit)
        refused = fleet.run_wattle(*submit)
        self.assertEqual(refused.returncode, 5, refused.stderr)
        self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
        self.assertIn(f"quota of {me}: 1 of 1 open jobs; an admin raises it: wattle quota set {me} --open-jobs N", refused.stderr)
        for flags in (["--open-jobs", "-1"], ["--energy-wh-per-day", "nan"], ["--submits-per-minute", "many"],
                      ["--artifact-gib", "nan"], ["--artifact-gib", "-1"], []):
            bad = fleet.run_wattle("quota", "set", me, *flags)
            self.assertEqual((bad.returncode, len(bad.stderr.strip().splitlines())), (2, 1), bad.stderr)
        unknown = fleet.run_wattle("quota", "set", "nobody", "--open-jobs", "1")
        self.assertEqual(unknown.returncode, 3, unknown.stderr)
        fleet.coordinator.kill()
        fleet.start_coordinator()
        self.assertEqual([one["quota"]["open_jobs_max"] for one in fleet.wattle("quota", "ls")["quotas"]], [1])
        fleet.wattle("quota", "rm", me)
        self.assertEqual(fleet.run_wattle(*submit, "-o", "json").returncode, 0)

    def test_contexts_are_kept_chosen_and_forgotten(self):
        fleet = self.fleet
        fleet.start_coordinator()
        token = fleet.output("wattle", "person", "token", "mia", "--role", "viewer").strip()
        identities = fleet.directory / "config/wattle/identities"
        for name in ("", "../home", ".home", "a b"):
            bad = fleet.run_wattle("login", token, "--name", name)
            self.assertEqual((bad.returncode, len(bad.stderr.strip().splitlines())), (2, 1), bad.stderr)
        # A context keeps its person, and the same token works elsewhere.
        kept = (identities / "default/key.pem").read_bytes()
        for _ in range(2):
            other = fleet.run_wattle("login", token)
            self.assertEqual(other.returncode, 5, other.stderr)
            self.assertRegex(other.stderr, r"^wattle: context default: is root's of the fleet (\w+), and the token is mia's of the fleet \1; "
                                           r"repeat it with --name NAME, or after wattle context rm default\n$")
        self.assertEqual((identities / "default/key.pem").read_bytes(), kept)
        self.assertEqual(fleet.run_wattle("login", token, "--name", "home").stdout, f"logged in as mia to {fleet.grpc}, context home, now in use\n")
        self.assertEqual(sorted(path.name for path in identities.iterdir()), ["default", "home"])
        again = fleet.output("wattle", "person", "token", "mia", "--role", "viewer", "--context", "default").strip()
        self.assertEqual(fleet.run_wattle("login", again, "--name", "home").returncode, 0, "the same person")
        self.assertEqual(fleet.run_wattle("context", "list").stdout, f"  default  {fleet.grpc}\n* home  {fleet.grpc}\n")

        def who(*flags):
            return fleet.wattle("whoami", *flags)["id"]
        self.assertEqual((who(), who("--context", "default")), ("mia", "root"))
        fleet.wattle("context", "use", "default")
        self.assertEqual((who(), who("--context", "home")), ("root", "mia"))
        kept = (identities.parent / "contexts.yaml").read_text()
        for name in ("..", "../..", '""', "home/", ".home"):  # Else 'rm' would remove what is no identity.
            (identities.parent / "contexts.yaml").write_text(f"contexts:\n  {name}:\n    coordinator: h:1\n")
            bad = fleet.run_wattle("context", "rm", name.strip('"'))
            self.assertEqual((bad.returncode, len(bad.stderr.strip().splitlines())), (2, 1), bad.stderr)
            self.assertIn("contexts.yaml: context", bad.stderr)
        (identities.parent / "contexts.yaml").write_text(kept)
        (identities.parent / "contexts.yaml").chmod(0o600)
        for path in (identities.parent, *identities.parent.rglob("*")):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        fleet.wattle("context", "rm", "home")
        self.assertFalse((identities / "home").exists(), "its key is forgotten too")
        for arguments in (("whoami", "--context", "home"), ("context", "use", "home"), ("context", "rm", "home")):
            gone = fleet.run_wattle(*arguments)
            self.assertEqual((gone.returncode, gone.stderr), (3, 'wattle: no context "home"; there are default; wattle context use NAME\n'))
        fleet.wattle("context", "rm", "default")
        nobody = fleet.run_wattle("whoami")
        self.assertEqual((nobody.returncode, len(nobody.stderr.strip().splitlines())), (5, 1), nobody.stderr)
        self.assertIn("you are logged in to no fleet", nobody.stderr)

    def test_a_stolen_board_is_shut_out_and_a_new_card_comes_back(self):
        fleet = self.fleet
        fleet.start_coordinator()
        for flags in (["--count", "0"], ["--count", "1001"], ["--uses", "0"], ["--ttl", "31d"], ["--label", "mast3"], ["--address", "hub"]):
            bad = fleet.run_wattle("device", "token", *flags)
            self.assertEqual((bad.returncode, len(bad.stderr.strip().splitlines())), (2, 1), (flags, bad.stderr))
        tokens = [made["token"] for made in fleet.wattle("device", "token", "--label", "site=mast3", "--count", "3", "--ttl", "1h")["tokens"]]
        self.assertEqual(len(set(tokens)), 3)

        def enroll(token):
            command = [BIN / "wattle-worker", "enroll", token, "--state-dir", fleet.directory / "mast"]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(enroll(tokens[0]).returncode, 0)
        worker = self.plain_worker("mast")
        fleet.until_connected("mast")
        fleet.wattle("model", "push", "base", DEMO / "model")
        question = self.job_file("question", required_labels=["site=mast3"], generate={"model": "base", "prompts": ["Who?"], "max_new_tokens": 4})
        before = fleet.submit(question)
        self.assert_succeeded(fleet.until_done(before))

        revoked = fleet.wattle("device", "revoke", "mast", "--reason", "stolen", "--since", "7d")
        self.assertEqual((revoked["device_id"], revoked["job_ids"]), (worker.device_id, [before]))
        self.assertEqual(fleet.run_wattle("device", "revoke", "nobody").returncode, 3)
        fleet.until("the board to be told", lambda: "was revoked" in worker.log())
        self.assertTrue(worker.running(), "it deletes nothing and ends nothing")
        after = fleet.submit(question)
        self.assertRegex(fleet.run_wattle("audit").stdout, "revoked.*stolen; person")
        worker.stop()
        refused = enroll(tokens[1])
        self.assertEqual((refused.returncode, len(refused.stderr.strip().splitlines())), (1, 1), refused.stderr)
        self.assertIn("this key was revoked", refused.stderr)
        self.assertEqual(fleet.job(after)["attempts"], [], "no work for the thief")

        shutil.rmtree(fleet.directory / "mast/credentials")
        self.assertEqual(enroll(tokens[1]).returncode, 0, "it was not spent")
        worker.start()
        self.assertEqual(self.assert_succeeded(fleet.until_done(after))["attempts"][0]["device_id"], worker.device_id)

    def assert_lets_nobody_in(self, token, says, codes):
        """The codes of the board's and of the person's command, each of which says it in one line."""
        fleet = self.fleet
        board = [BIN / "wattle-worker", "enroll", token, "--state-dir", fleet.directory / "refused"]
        person = [BIN / "wattle", "login", token]
        env = {**fleet.env, "XDG_CONFIG_HOME": str(fleet.directory / "refused-config")}
        for command, code in zip((board, person), codes, strict=True):
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual((done.returncode, len(done.stderr.strip().splitlines())), (code, 1), done.stderr)
            self.assertIn(says, done.stderr)
            self.assertNotIn(token.split(":")[4] if token.count(":") > 4 else "\0", done.stderr)

    def test_a_token_that_lets_nobody_in_is_told_in_one_line(self):
        fleet = self.fleet
        fleet.start_coordinator()
        tokens = {"device": fleet.output("wattle", "device", "token").strip(),
                  "person": fleet.output("wattle", "person", "token", "mia", "--role", "viewer").strip()}
        for token in tokens.values():
            head, secret, pin = token.rsplit(":", 2)
            self.assert_lets_nobody_in(token[:-1], "copy the whole token", (2, 2))
            self.assert_lets_nobody_in(f"{head}:{secret}:{'0' * len(pin)}", "no certificate of it has the token's pin", (1, 4))
            self.assert_lets_nobody_in(f"{head}:{'0' * len(secret)}:{pin}", "this coordinator made none like it", (1, 5))
        self.assert_lets_nobody_in("hello", "does not begin with wattle1:", (2, 2))
        # Neither is spent by whoever takes the other's.
        enroll = ("wattle-worker", "enroll", tokens["device"], "--state-dir", fleet.directory / "mast")
        wrong = subprocess.run([BIN / "wattle", "login", tokens["device"]], env=fleet.env, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(wrong.returncode, 5, wrong.stderr)
        self.assertRegex(wrong.stderr, r"^wattle: token \w+: is a device's, and is not spent; use it by 'wattle-worker enroll TOKEN' on the board\n$")
        wrong = subprocess.run([BIN / "wattle-worker", "enroll", tokens["person"], "--state-dir", fleet.directory / "mast"],
                               env=fleet.env, capture_output=True, text=True, check=False, timeout=60)
        self.assertRegex(wrong.stderr, r"^wattle-worker enroll: token \w+: is a person's, and is not spent; use it by 'wattle login TOKEN'\n$")
        fleet.output(*enroll)
        env = {**fleet.env, "XDG_CONFIG_HOME": str(fleet.directory / "config-mia")}
        subprocess.run([BIN / "wattle", "login", tokens["person"]], env=env, check=True, capture_output=True, timeout=60)
        self.assert_lets_nobody_in(tokens["device"], "was used 1 of 1 times already", (1, 5))
        unused = fleet.output("wattle", "device", "token").strip()
        fleet.wattle("device", "token", "--revoke", unused)
        self.assert_lets_nobody_in(unused, "was revoked", (1, 5))

    def test_a_key_that_others_may_read_is_told_in_one_line(self):
        fleet = self.fleet
        fleet.start_coordinator()
        fleet.output("wattle-worker", "enroll", fleet.output("wattle", "device", "token").strip(), "--state-dir", fleet.directory / "mast")
        authority = fleet.directory / "coordinator/authority"
        key_of_a_person = next(fleet.directory.glob("config/wattle/identities/*/key.pem"))
        cases = [(key_of_a_person, 5, ["wattle", "devices"]),
                 (fleet.directory / "mast/credentials/key.pem", 1, ["wattle-worker", "--coordinator", fleet.grpc, "--state-dir", fleet.directory / "mast"])]
        fleet.wattle("devices")  # Works before the keys become readable.
        for key in sorted(authority.glob("*_key.pem")):
            cases.append((key, 1, ["wattle-coordinator", "--data-dir", fleet.directory / "coordinator", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]))
        self.assertEqual(len(cases), 5, cases)
        for key, code, (program, *arguments) in cases:
            if program == "wattle-coordinator":
                fleet.coordinator.stop()
            key.chmod(0o640)
            done = subprocess.run([BIN / program, *arguments], env=fleet.env, capture_output=True, text=True, check=False, timeout=60)
            key.chmod(0o600)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(f"{key}: others may read this key; chmod 600 it", done.stderr.splitlines()[-1])

    def test_a_role_that_does_not_exist_is_refused_in_one_line(self):
        self.fleet.start_coordinator()
        for role in ("king", "worker", "service", ""):
            done = self.fleet.run_wattle("person", "token", "mia", "--role", role)
            self.assertEqual((done.returncode, len(done.stderr.strip().splitlines())), (2, 1), done.stderr)
            self.assertIn("viewer, submitter, operator or admin", done.stderr)

    def as_person(self, name, role, *projects):
        """Runs `wattle` as somebody who has just logged in."""
        token = self.fleet.output("wattle", "person", "token", name, "--role", role, *(["--project", ",".join(projects)] if projects else [])).strip()
        env = {**self.fleet.env, "XDG_CONFIG_HOME": str(self.fleet.directory / f"config-{name}")}

        def run(*arguments):
            return subprocess.run([BIN / "wattle", *map(str, arguments)], env=env, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(run("login", token).returncode, 0)
        return run

    def test_two_projects_see_nothing_of_each_other(self):
        fleet = self.fleet
        fleet.start_coordinator()
        for project in ("north", "south"):
            fleet.wattle("project", "set", project)
        ann, bob = self.as_person("ann", "submitter", "north"), self.as_person("bob", "submitter", "south")
        self.assertIn("north", ann("whoami").stdout)
        pushed = ann("model", "push", "base", DEMO / "model", "--project", "north", "-o", "json")
        self.assertEqual(pushed.returncode, 0, pushed.stderr)
        artifact = json.loads(pushed.stdout)["artifact_id"]
        question = self.question()
        submitted = ann("submit", question, "--project", "north", "-o", "json")
        self.assertEqual(submitted.returncode, 0, submitted.stderr)
        job = json.loads(submitted.stdout)["job"]["job_id"]

        for reference in ("base", artifact):
            refused = bob("model", "pull", reference, fleet.directory / "stolen")
            self.assertIn(refused.returncode, (3, 5), refused.stdout)
            self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
        self.assertNotIn("base", bob("model", "ls").stdout)
        self.assertNotIn(job, bob("jobs").stdout)
        self.assertIn(job, ann("jobs").stdout)
        for verb in ("show", "watch", "logs", "cancel", "receipt"):
            refused = bob("job", verb, job)
            self.assertIn(refused.returncode, (3, 5), (verb, refused.stdout, refused.stderr))
        foreign = bob("submit", question, "--project", "north")
        self.assertEqual((foreign.returncode, len(foreign.stderr.strip().splitlines())), (5, 1), foreign.stderr)
        self.assertIn("north", foreign.stderr)

        # The same bytes, pushed by their owner, are his too. An admin sees all; a project in use stays.
        again = bob("model", "push", "mine", DEMO / "model", "--project", "south", "-o", "json")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(json.loads(again.stdout)["artifact_id"], artifact)
        self.assertIn(job, fleet.run_wattle("jobs").stdout)
        kept = fleet.run_wattle("project", "rm", "north")
        self.assertNotEqual(kept.returncode, 0)
        self.assertEqual(len(kept.stderr.strip().splitlines()), 1, kept.stderr)
        fleet.wattle("project", "member", "bob", "--project", "north,south")
        fleet.coordinator.kill()
        fleet.start_coordinator()
        self.assertIn(job, bob("jobs").stdout)

    def test_services_are_told_with_their_ends(self):
        self.fleet.start_coordinator()
        services = self.fleet.run_wattle("service", "ls").stdout
        self.assertRegex(services, r"prometheus\s+[0-9a-f]{16}\s+until 20")
        page = self.fleet.get("/metrics")
        self.assertIn('wattle_coordinator_service_token_end_timestamp_seconds{service="prometheus"}', str(page))
        self.assertIn("wattle_coordinator_certificate_end_timestamp_seconds", str(page))


if __name__ == "__main__":
    unittest.main()
