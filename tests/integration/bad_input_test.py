# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Wrong input on the real programs: one clear line that says what to do, a status that scripts can use, nothing half-written."""

import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import unittest

from board import numbers_of, version_of
from fleet import BIN, FleetError
from scene import DEMO, FINETUNE, Scene


class BadInput(Scene):
    def refused(self, *arguments, status, says):
        done = self.fleet.run_wattle(*arguments)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        for text in says:
            self.assertIn(text, done.stderr)

    def test_job_files(self):
        self.start("one")
        self.push_demo()
        cases = [
            ({"finetune": {"model": "base", "data": "train", "precison": 1}}, 2, ["precison", "unknown field"]),
            ({"finetune": {"model": "base", "data": "train", "batch_sise": 1}}, 2, ["batch_sise", 'did you mean "batch_size"']),
            ({"deadline_minutes": 5, "finetune": {"model": "base", "data": "train"}}, 2, ["deadline_seconds"]),
            ({"finetune": {"model": "nothing", "data": "train"}}, 3, ["nothing", "model push"]),
            ({"sweep": 8, "finetune": {"model": "base", "data": "train"}}, 2, ["sweep: wants fields with their values"]),
            ({"quality_floor": {"perplexity_change_percent_max": 3}, "finetune": {"model": "base", "data": "train"}}, 2,
             ["quality_floor: only generate and evaluate jobs"]),
            ({"quality_floor": {"kl_divergence_max": 1, "models": ["nothing"]}, "generate": {"model": "base", "prompts": ["a"]}}, 3,
             ["quality_floor.models", "nothing"]),
            ({"finetune": {"model_shape": {"architecture": "gpt2", "layers": 2, "width": 64, "heads": 2, "vocabulary_size": 100,
                                           "context_length": 64}, "data": "train"}}, 2, ["wattle plan"]),
        ]
        for number, (fields, status, says) in enumerate(cases):
            with self.subTest(fields=fields):
                self.refused("submit", self.job_file(f"bad-{number}", **fields), status=status, says=says)
        self.assertEqual(self.fleet.api("jobs").get("jobs", []), [])

    def test_what_is_certain_to_fail_is_refused_before_a_device_spends_a_joule(self):
        self.start("one")
        self.push_demo()
        long = self.job_file("long", finetune={"model": "base", "data": "train", "sequence_length": 4096, "steps": 2})
        self.refused("submit", long, status=2, says=["4096 tokens", "context of model base, 256", "write at most 256"])
        plan = self.fleet.run_wattle("plan", long)
        self.assertEqual(plan.returncode, 5, plan.stdout + plan.stderr)
        self.assertIn("4096 tokens", plan.stdout + plan.stderr)
        answers = self.job_file("answers", evaluate={"model": "base", "data": "heldout", "score_answers": True, "max_answer_tokens": 256})
        self.refused("submit", answers, status=2, says=["evaluate.max_answer_tokens: 256 tokens", "write at most 255"])
        self.assertEqual(self.fleet.api("jobs").get("jobs", []), [])

    def test_the_board_refuses_what_only_the_tokenizer_shows(self):
        """The coordinator reads no tokenizer. The job fails once, with one line that names the prompt and the limit, and no device tries again."""
        self.start("one")
        self.push_demo()
        words = "winter roof " * 300  # The context of the demo's model is 256 tokens.
        chats = self.fleet.directory / "chats.jsonl"
        chats.write_text(json.dumps({"prompt": "A roof?"}) + "\n" + json.dumps({"id": "long", "prompt": words}) + "\n")
        self.fleet.wattle("data", "push", "chats", chats)
        word = self.fleet.directory / "word.txt"
        word.write_text(" winter")
        self.fleet.wattle("data", "push", "word", word)
        cases = [
            ({"generate": {"model": "base", "prompts": ["A roof?", words]}}, ["prompt 2: ", "tokens leave no room in this model's context of 256", "255 tokens at most"]),
            ({"generate": {"model": "base", "data": "chats"}}, ["prompt long: ", "context of 256"]),
            ({"evaluate": {"model": "base", "data": "word"}}, ["wants at least two tokens of text", "give a longer file"]),
        ]
        for number, (spec, says) in enumerate(cases):
            with self.subTest(spec=list(spec)):
                job = self.fleet.submit(self.job_file(f"board-{number}", **spec))
                attempts = self.fleet.until_state(job, "JOB_STATE_FAILED")["attempts"]
                self.assertEqual([attempt["receipt"]["failure_class"] for attempt in attempts], ["FAILURE_CLASS_DATA"])
                message = attempts[0]["receipt"]["failure_message"]
                for text in says:
                    self.assertIn(text, message)
                self.assertNotIn("\n", message)
        fits = self.fleet.submit(self.job_file("fits", generate={"model": "base", "prompts": ["winter " * 100], "max_new_tokens": 4}))
        self.fleet.until_done(fits)

    def test_names_are_neither_taken_nor_removed_by_mistake(self):
        self.start("one")
        self.push_demo()
        self.refused("data", "push", "train", DEMO / "fleet-qa-heldout.json", status=5, says=['"train" is the name of another', "--move"])
        self.refused("model", "push", "train", DEMO / "model", status=5, says=['"train" is the name of another data set', "--move"])
        self.refused("model", "rm", "train", status=2, says=["is a data set", "wattle data rm"])
        self.refused("data", "rm", "nothing", status=3, says=["nothing"])
        self.fleet.wattle("data", "push", "again", DEMO / "fleet-qa-heldout.json")
        self.assertIn("again, heldout", self.fleet.run_wattle("data", "ls").stdout)
        self.assertIn("stays under its other names", self.fleet.run_wattle("data", "rm", "again").stdout)
        self.fleet.wattle("data", "push", "train", DEMO / "fleet-qa-heldout.json", "--move")
        self.refused("device", "rm", "one", status=5, says=["one is connected", "stop its worker"])
        self.fleet.workers["one"].stop()
        self.fleet.until("the device to be away", lambda: not self.fleet.devices()["one"].get("connected"))
        self.fleet.wattle("device", "rm", "one")
        self.assertEqual(self.fleet.devices(), {})
        self.assertEqual(json.loads(self.fleet.get("/sd")), [])

    def test_what_is_not_a_file_or_not_text(self):
        self.start()
        pipe = self.fleet.directory / "pipe.txt"
        os.mkfifo(pipe)
        self.refused("data", "push", "p", pipe, status=2, says=["pipe.txt", "not a regular file"])
        short = self.fleet.directory / "short.txt"
        short.write_text("x")
        self.refused("data", "push", "p", short, status=2, says=["short.txt", "two tokens"])
        self.refused("policy", "apply", self.policy_file("idle"), status=2, says=["limits nothing"])
        self.refused("jobs", "--kind", "train", status=2, says=["finetune,quantize,"])
        self.refused("jobs", "--since", "soon", status=2, says=["30m, 24h, 7d"])

    def policy_file(self, name, **limits):
        path = self.fleet.directory / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, **limits}))
        return path

    def test_limits_of_boards_that_are_alone(self):
        self.start()
        for limits, says in (({"device_queue_depth": 0}, "device_queue_depth: 0: want 1 to 16"), ({"device_queue_depth": 17}, "17: want 1 to 16"),
                             ({"link": {"windows": []}}, "windows: is an empty list; give a window"), ({"link": {}}, "limits nothing"), ({"link": {"windows": ["09:00-09:00"]}}, "two different times of day"),
                             ({"link": {"bytes_per_day": 1000}}, "could not even say that it is there"),
                             ({"loss_seconds_max": 0.5}, "no checkpoint is written in less"),
                             ({"offline_seconds": 5}, "60 or more wall seconds")):
            with self.subTest(limits=limits):
                self.refused("policy", "apply", self.policy_file("alone", **limits), status=2, says=[says])
        for time, says in (("0", "wanted above 0"), ("721h", "at most 720h (30 days)"), ("31d", "wanted a time such as 30m")):
            done = subprocess.run([BIN / "wattle-worker", "hold", "--for", time], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, len(done.stderr.strip().splitlines())), (2, 1), done.stderr)
            self.assertIn(says, done.stderr)

    def test_releases_and_upgrades(self):
        self.start("one")
        folder = self.fleet.directory / "release"
        (folder / "bin").mkdir(parents=True)
        for program in ("wattle-worker", "wattle-runner"):
            shutil.copy(BIN / program, folder / "bin")
        major, minor, patch = numbers_of(version_of(BIN))
        older, newer, beyond = f"{major}.{minor - 1}.0", f"{major}.{minor}.{patch + 1}", f"{major + 1}.0.0"
        self.refused("release", "push", folder, "--version", older, "--digest", "0" * 64, status=2, says=["fetch the release again"])
        self.fleet.wattle("release", "push", folder, "--version", older)
        (folder / "NEWS").write_text("Other files, another release.")
        self.fleet.wattle("release", "push", folder, "--version", newer)
        self.refused("upgrade", "start", "--to", older, status=2, says=["older than what one", "--allow-downgrade"])
        self.refused("upgrade", "start", "--to", beyond, status=2, says=["serves workers from two releases before"])
        for stages, says in (("label=canary,100%", "no device that is in no earlier stage"), ("100%,20%", "adds no device"), ("0%", "wants a share"), ("", "wants a share")):
            self.refused("upgrade", "start", "--to", newer, "--stage", stages, status=2, says=[says])
        self.assertEqual(self.fleet.workers["one"].log().count("wattle-worker: control group: "), 1, "told once")

    def test_files_that_are_not_what_they_should_be(self):
        self.start()
        text = self.fleet.directory / "notes.json"
        text.write_text('{"data": 3}')
        self.refused("data", "push", "notes", text, status=2, says=["notes.json", "data: wants a list"])
        broken = self.fleet.directory / "broken"
        shutil.copytree(DEMO / "model", broken)
        weights = broken / "model.safetensors"
        os.truncate(weights, weights.stat().st_size - 1000)
        self.refused("model", "push", "broken", broken, status=2, says=["model.safetensors", "truncated"])
        self.assertEqual(self.fleet.api("artifacts").get("artifacts", []), [])

    def test_a_model_too_large_for_every_device(self):
        self.start("one")
        path = self.job_file("large", finetune={"model_shape": {"architecture": "gpt2", "layers": 96, "width": 12288, "heads": 96,
                                                                "vocabulary_size": 50257, "context_length": 2048},
                                                "data_shape": {"examples": 10}})
        done = self.fleet.run_wattle("plan", path)
        self.assertEqual(done.returncode, 5, done.stdout + done.stderr)
        self.assertIn("memory", done.stdout + done.stderr)

    def test_no_coordinator(self):
        done = subprocess.run([str(BIN / "wattle"), "--plaintext-loopback", "--coordinator", "127.0.0.1:1", "devices"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn("127.0.0.1:1", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_a_peer_that_is_no_coordinator(self):
        self.start()
        done = subprocess.run([str(BIN / "wattle"), "--coordinator", self.fleet.http, "devices"], capture_output=True, text=True, timeout=60,
                              check=False, env=self.fleet.env)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(f"what answers at {self.fleet.http} is no coordinator's gRPC port", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_the_log_of_a_worker_says_when_it_connected_to_whom_and_what_it_found(self):
        self.start("one")
        instant = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
        log = self.fleet.until("the line of the connection", lambda: ": connected" in self.fleet.workers["one"].log() and
                               self.fleet.workers["one"].log())
        for says in (f"coordinator {re.escape(self.fleet.grpc)}: connected$", r"found: .*; sensors: .*; runner wattle-"):
            self.assertRegex(log, re.compile(instant + "wattle-worker: " + says, re.MULTILINE))

    def coordinator(self, *arguments, **options):
        return subprocess.run([str(BIN / "wattle-coordinator"), *[str(a) for a in arguments]], capture_output=True, text=True, timeout=60,
                              check=False, **options)

    def test_wrong_flags_end_every_program_with_2(self):
        state = self.fleet.directory / "state"
        cases = [("wattle-coordinator", "--data-dir", flags, says) for flags, says in (
            (["--listen", "junk"], "has no port"), (["--listen", "127.0.0.1:"], "has no port"), (["--listen", "127.0.0.1:99999"], "0 to 65535"),
            (["--http", "127.0.0.1"], "has no port"), (["--heartbeat-seconds", "nan"], "nan"), (["--nonsense"], "--nonsense"),
            (["--heartbeat-seconds", "5", "--unreachable-seconds", "1"], "shorter than two heartbeats"),
            (["--renew-after-expiry", "-1"], "0 to 36500"), (["--renew-after-expiry", "nan"], "0 to 36500"),
            (["--renew-after-expiry", "400d"], "0 to 36500"),
            (["--moved-to", "hub"], "has no port"), (["--listen", "127.0.0.1:7", "--moved-to", "127.0.0.1:7"], "this coordinator's own --listen"))]
        cases += [("wattle-worker", "--state-dir", flags, says) for flags, says in (
            (["--coordinator", "junk"], "has no port"), (["--coordinator", "a:1,a:1"], "given twice"), (["--disk-quota-bytes", "-1"], "--disk-quota-bytes"), (["--sensor-root", "/nope"], "/nope"),
            (["--emulate", "raspberry-pi-5", "--time-scale", "nan"], "--time-scale"), (["--emulate=pi"], "no such board; there are: jetson-"),
            (["--emulate=raspberry-pi-5", "--battery-wh=-3"], "0 to 1000000"), (["--isolation", "high"], "full, seccomp or none"),
            (["--isolation", "seccomp", "--isolation-min", "full"], "--isolation-min full"), (["--nonsense"], "--nonsense"),
            (["--device", "cuda:7"], "wanted cpu or cuda"), (["--device", "tpu"], "wanted cpu or cuda"))]
        cases.append(("wattle-runner", "--task", ["--nonsense"], "--nonsense"))
        for program, directory, flags, says in cases:
            with self.subTest(program=program, flags=flags):
                done = subprocess.run([str(BIN / program), directory, str(state), *flags], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(says, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)

    def test_an_answer_that_cannot_be_written_is_an_error(self):
        for command in (["wattle-coordinator", "--help"], ["wattle-worker", "--version"], ["wattle-worker", "probe", "--json"],
                        ["wattle-runner", "--check-device", "cpu"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([BIN / command[0], *command[1:]], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, command)
            self.assertRegex(done.stderr, rf"^{command[0]}.*: cannot write the answer to standard output; is the disk full\?\n$")

    def test_a_worker_whose_gpu_does_not_answer_offers_its_cores(self):
        if subprocess.run([BIN / "wattle-runner", "--check-device", "cuda"], capture_output=True, text=True, timeout=120).stdout.startswith("ok\n"):
            self.skipTest("this machine's libtorch has CUDA")
        self.start()
        # A machine without the driver, and one whose runner has no libtorch that serves GPUs.
        for name, node, why in (("bare", None, "this machine has no NVIDIA driver"), ("driven", "nvidia0", 'finds no device "cuda"')):
            board = self.fleet.directory / f"board-of-{name}"
            for folder in ("proc", "dev"):
                (board / folder).mkdir(parents=True)
            (board / "proc/meminfo").write_text(pathlib.Path("/proc/meminfo").read_text())
            (board / "proc/device-tree").mkdir()
            (board / "proc/device-tree/compatible").write_text("nvidia,p3768-0000+p3767-0003\0nvidia,tegra234")
            if node:
                (board / "dev" / node).touch()
            worker = self.fleet.start_worker(name, extra=["--device", "cuda", "--sensor-root", board])
            self.fleet.until_connected(name)
            info = self.fleet.devices()[name]["info"]
            self.assertEqual((info.get("accelerator", ""), info.get("offers_cpu", False)), ("", False))
            self.assertEqual(info["device_class"], "jetson-orin-nano/cpu", "what it learns is no row of the GPU")
            finding, = [line for line in info["findings"] if "GPU" in line]
            self.assertRegex(finding, rf"^--device cuda: the GPU does not answer: .*{why}.*; work runs on the cores, and the worker's next start looks again$")
            self.assertIn(finding, worker.log())
            self.assertIn(finding, self.fleet.run_wattle("doctor").stdout)
        self.push_demo()
        for accelerator in ("any", "cpu"):
            file = self.job_file(f"tune-{accelerator}", accelerator=accelerator, finetune={**FINETUNE, "steps": 2})
            self.assert_succeeded(self.fleet.until_done(self.fleet.submit(file)))

    def test_a_model_that_fits_the_host_and_not_the_card_is_refused_with_the_cards_bytes(self):
        """The runner and the driver's folder are made up: a card of 1 GiB, in this machine's memory."""
        self.start()
        board = self.fleet.directory / "board"
        for folder in ("proc", "dev"):
            (board / folder).mkdir(parents=True)
        (board / "proc/meminfo").write_text(pathlib.Path("/proc/meminfo").read_text())
        (board / "dev/nvidia0").touch()
        runner = self.fleet.directory / "runner"
        runner.write_text("""#!/bin/sh
case $1 in
  --version) echo fake-1 ;;
  --check-device) echo ok; echo '{"acceleratorTotalBytes": "1073741824"}' ;;
esac
""")
        runner.chmod(0o755)
        self.fleet.start_worker("pc", extra=["--device", "cuda", "--sensor-root", board, f"--runner={runner}", "--isolation=none"])
        self.fleet.until_connected("pc")
        info = self.fleet.devices()["pc"]["info"]
        self.assertEqual((int(info["accelerator_total_bytes"]), info.get("accelerator_shares_memory", False)), (1 << 30, False))
        self.assertRegex(self.fleet.run_wattle("device", "show", "pc").stdout, r"\n +GPU memory +1\.0 GiB of its own\n")
        self.push_demo()
        plan = self.fleet.run_wattle("plan", self.job_file("on-card", accelerator="cuda", finetune=FINETUNE))
        self.assertRegex(plan.stdout, r"needs 1\.\d GiB of its card's memory \(1\.2 GiB of it assumed for CUDA .*972\.8 MiB of the card's 1\.0 GiB are usable")
        on_cores = self.fleet.run_wattle("plan", self.job_file("on-cores", finetune=FINETUNE))
        self.assertRegex(on_cores.stdout, r"\n\*  pc +CPU ")

    def test_port_in_use(self):
        self.start()
        for flag, address in (("--listen", self.fleet.grpc), ("--http", self.fleet.http)):
            other = {"--listen": "127.0.0.1:0", "--http": "127.0.0.1:0", flag: address}
            done = self.coordinator("--data-dir", self.fleet.directory / f"other{flag}", *[part for pair in other.items() for part in pair])
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(address, done.stderr)
            self.assertIn("in use", done.stderr)

    def test_second_coordinator_on_the_same_directory(self):
        self.start()
        done = self.coordinator("--data-dir", self.fleet.directory / "coordinator", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("another", done.stderr)

    def test_journal_of_a_newer_version(self):
        self.start()
        self.fleet.coordinator.stop()
        journals = list((self.fleet.directory / "coordinator").glob("*.db"))
        self.assertEqual(len(journals), 1, journals)
        with sqlite3.connect(journals[0]) as database:
            database.execute("PRAGMA user_version = 999")
        done = self.coordinator("--data-dir", self.fleet.directory / "coordinator", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("newer", done.stderr)
        with sqlite3.connect(journals[0]) as database:
            self.assertEqual(database.execute("PRAGMA user_version").fetchone()[0], 999, "it was left as it was")

    def test_full_disk_refuses_the_upload_and_keeps_what_is_there(self):
        if os.geteuid() != 0:
            self.skipTest("a small file system wants root")
        small = self.fleet.directory / "coordinator"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(small)], capture_output=True, check=False).returncode != 0:
            self.skipTest("mounting a small file system is not allowed here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(small)], check=False)
        self.start("one")
        self.push_demo()
        (small / "ballast").write_bytes(bytes(30 << 20))
        other = self.fleet.directory / "other.json"
        # White space whose 1 MiB chunks all differ: equal ones would be sent once.
        padding = "".join(" " * (n % 1000) + "\n" for n in range(42_000))
        other.write_text((DEMO / "fleet-qa-train.json").read_text().replace("SQuAD", "Squad") + padding)
        done = self.fleet.run_wattle("data", "push", "other", other)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("space", done.stderr)
        names = {artifact["name"] for artifact in self.fleet.api("artifacts")["artifacts"]}
        self.assertEqual(names, {"base", "train", "heldout"})
        self.assert_succeeded(self.fleet.until_done(self.fleet.submit(self.finetune_file(steps=2))))

    def test_a_worker_of_an_unknown_board(self):
        with self.assertRaises(FleetError) as caught:
            self.fleet.start_worker("x", emulate="jetson-nonsense", coordinator="127.0.0.1:1")
        self.assertIn("jetson-orin-nano", str(caught.exception), "it lists what there is")


if __name__ == "__main__":
    unittest.main()
