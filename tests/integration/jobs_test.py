# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Jobs as a user runs them, on the real processes."""

import json
import shutil
import subprocess
import unittest

from fleet import ROOT, metric, receipt_of
from scene import FINETUNE, Scene

PUBLISHED = {  # The papers' tables 3 and 4: seconds, watt-hours, watts.
    ("squad-gpt2", "jetson-xavier-nx"): (14561, 57.82, 14.29),
    ("squad-gpt2", "jetson-orin-nano"): (11726, 36.33, 11.15),
    ("squad-distilgpt2", "jetson-xavier-nx"): (15896, 59.05, 13.37),
    ("squad-distilgpt2", "jetson-orin-nano"): (9414, 28.91, 11.05),
}


class Jobs(Scene):
    def test_finetune_generate_quantize_and_evaluate(self):
        self.start("one")
        self.push_demo()
        trained = self.fleet.submit(self.finetune_file(steps=30, batch_size=8, gradient_accumulation_steps=1, sequence_length=160,
                                                       limit_examples=0, learning_rate=1e-3))
        generate = self.fleet.submit(self.job_file("generate", generate={
            "model": f"job:{trained}/output", "prompts": ["The mast is", "Battery"], "max_new_tokens": 8, "quantization": "int8"}))
        quantize = self.fleet.submit(self.job_file("quantize", quantize={"model": f"job:{trained}/output"}))
        evaluate = self.fleet.submit(self.job_file("evaluate", evaluate={"model": f"job:{quantize}/output", "data": "heldout"}))
        self.assertEqual(self.fleet.job(generate)["state"], "JOB_STATE_WAITING", "its input does not exist yet")

        receipt = receipt_of(self.assert_succeeded(self.fleet.until_done(trained)))
        self.assertLess(metric(receipt, "heldout_loss_after"), metric(receipt, "heldout_loss_before"))
        self.assertFalse(receipt["emulated"])
        self.assertGreater(len(receipt["curve"]), 10, "a chart of the run")
        log = self.fleet.run_wattle("job", "logs", trained).stdout
        for line in ("fetched model base, data train", "the runner starts on cpu, 1 thread", "train: 30 steps", "checkpoint of step", "heldout_loss_after"):
            self.assertIn(line, log)
        self.assertGreater(receipt["run"]["seconds"], 0)
        for job in (generate, quantize, evaluate):
            self.assert_succeeded(self.fleet.until_done(job))
        self.assertGreater(metric(receipt_of(self.fleet.job(evaluate)), "perplexity"), 1.0)

        target = self.fleet.directory / "pulled"
        self.fleet.wattle("model", "pull", f"job:{generate}/output", target)
        lines = [json.loads(line) for line in (target / "generations.jsonl").read_text().splitlines()]
        self.assertEqual([line["prompt"] for line in lines], ["The mast is", "Battery"])
        self.assertGreater(int(receipt_of(self.fleet.job(generate))["work"]["generated_tokens"]), 0)

    def test_every_family_that_the_engine_reads_can_be_placed(self):
        """Weights and tokenizer of a small Llama under the name of Mistral, whose tensors have the same names."""
        self.start("one")
        model = self.fleet.directory / "mistral"
        shutil.copytree(ROOT / "tests/golden/engine/llama_tiny", model)
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "model_type": "mistral", "architectures": ["MistralForCausalLM"],
                                                       "sliding_window": None}))
        self.fleet.wattle("model", "push", "mistral", model)
        job = self.fleet.submit(self.job_file("generate", generate={"model": "mistral", "prompts": ["a"], "max_new_tokens": 4}))
        work = receipt_of(self.assert_succeeded(self.fleet.until_done(job)))["work"]
        self.assertEqual(int(work["generated_tokens"]), 4)
        self.assertEqual(int(work["truncated_examples"]), 1)  # Predictions of lengths stand on which texts were cut.

    def test_a_calibrated_model_tells_its_quality_against_its_parent(self):
        self.start("one")
        self.push_demo()
        quantize = self.fleet.submit(self.job_file("quantize", quantize={
            "model": "base", "quantization": "int4", "rounding": "compensated", "calibration_data": "train", "calibration_tokens": 2048}))
        evaluate = self.fleet.submit(self.job_file("evaluate", evaluate={
            "model": f"job:{quantize}/output", "reference_model": "base", "data": "heldout", "limit_examples": 8,
            "score_answers": True, "max_answer_tokens": 8}))
        self.assert_succeeded(self.fleet.until_done(quantize))
        receipt = receipt_of(self.assert_succeeded(self.fleet.until_done(evaluate)))
        self.assertEqual(metric(receipt_of(self.fleet.job(quantize)), "calibration_tokens"), 2048)
        self.assertGreater(metric(receipt, "kl_divergence"), 0)
        self.assertGreater(metric(receipt, "top1_agreement_percent"), 50)
        self.assertLess(metric(receipt, "perplexity_change_percent"), 30)  # of few tokens
        self.assertEqual(metric(receipt, "squad_questions"), 8)
        self.assertGreaterEqual(metric(receipt, "squad_f1_percent"), metric(receipt, "squad_exact_match_percent"))
        target = self.fleet.directory / "pulled"
        self.fleet.wattle("model", "pull", f"job:{evaluate}/output", target)
        self.assertEqual(len(json.loads((target / "predictions.json").read_text())), 8)

    def test_failure_of_an_input_propagates(self):
        self.start("one")
        self.push_demo()
        trained = self.fleet.submit(self.finetune_file(steps=400))
        generate = self.fleet.submit(self.job_file("generate", generate={"model": f"job:{trained}/output", "prompts": ["a"]}))
        self.fleet.until_step(trained)
        self.fleet.wattle("job", "cancel", trained)
        job = self.fleet.until_done(generate)
        self.assertEqual(job["state"], "JOB_STATE_FAILED")
        self.assertIn(trained, job["reason"])

    def test_cancel_stops_the_runner_and_books_its_joules(self):
        self.start("one")
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file(steps=400))
        self.fleet.until_step(job_id, 2)
        self.fleet.wattle("job", "cancel", job_id)
        self.assertEqual(self.fleet.until_done(job_id)["state"], "JOB_STATE_CANCELLED")
        self.fleet.until("the device to be free", lambda: not self.fleet.devices()["one"].get("running_attempt_id"))
        attempt = self.fleet.until("the stopped attempt's receipt", lambda: (
            self.fleet.job(job_id)["attempts"][-1] if self.fleet.job(job_id)["attempts"][-1].get("receipt") else None))
        self.assertEqual(attempt["state"], "ATTEMPT_STATE_SUPERSEDED")
        self.assertGreater(attempt["receipt"]["total"]["seconds"], 0)

    def test_two_jobs_compete_for_one_device(self):
        self.start("one")
        self.push_demo()
        first = self.fleet.submit(self.finetune_file(steps=8))
        second = self.fleet.submit(self.finetune_file("urgent", steps=2), priority=5)
        third = self.fleet.submit(self.finetune_file("patient", steps=2))
        jobs = [self.assert_succeeded(self.fleet.until_done(job)) for job in (first, second, third)]
        spans = [(job["attempts"][0]["started_unix_seconds"], job["finished_unix_seconds"]) for job in jobs]
        self.assertLessEqual(spans[0][1], spans[1][0] + 1e-3, "one attempt at a time")
        self.assertLessEqual(spans[1][1], spans[2][0] + 1e-3, "the higher priority goes first")

    def test_drain_moves_the_job_and_resume_brings_the_device_back(self):
        self.start("one")
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file(steps=60))
        self.fleet.until_step(job_id, 4)
        self.plain_worker("two")
        self.fleet.until_connected("two")
        self.fleet.wattle("device", "drain", "one")
        job = self.assert_succeeded(self.fleet.until_done(job_id))
        devices = self.fleet.devices()
        self.assertEqual(job["attempts"][-1]["device_id"], devices["two"]["info"]["device_id"])
        self.assertTrue(devices["one"]["drained"])
        self.fleet.wattle("device", "resume", "one")
        self.fleet.wattle("device", "drain", "two")
        again = self.fleet.submit(self.finetune_file("again", steps=2))
        job = self.assert_succeeded(self.fleet.until_done(again))
        self.assertEqual(job["attempts"][-1]["device_id"], devices["one"]["info"]["device_id"])

    def test_a_repeated_submit_is_one_job(self):
        self.start()
        self.fleet.start_worker("one", extra=["--threads=1"])
        self.push_demo()
        path = self.finetune_file(steps=1)
        first = self.fleet.wattle("submit", path, "--idempotency-key", "0123456789abcdef")
        second = self.fleet.wattle("submit", path, "--idempotency-key", "0123456789abcdef")
        self.assertEqual(first["job"]["job_id"], second["job"]["job_id"])
        self.assertTrue(second["existed"])
        self.assertEqual(len(self.fleet.api("jobs")["jobs"]), 1)

    def test_backup_of_a_running_coordinator_is_a_whole_copy(self):
        self.start()
        self.plain_worker("one", env=self.held_at("frame:step:5:after"))
        self.fleet.until_connected("one")
        self.push_demo()
        job_id = self.fleet.submit(self.finetune_file())
        held = self.until_held()
        copy = self.fleet.directory / "copy"
        done = subprocess.run([str(self.fleet.coordinator.command[0]), "backup", "--data-dir",
                                            str(self.fleet.directory / "coordinator"), "--to", str(copy)], capture_output=True, text=True,
                                           check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.let_go(held)
        self.assert_succeeded(self.fleet.until_done(job_id))
        for worker in self.fleet.workers.values():
            worker.stop()
        self.fleet.workers.clear()
        self.fleet.coordinator.stop()
        (self.fleet.directory / "coordinator").rename(self.fleet.directory / "original")
        copy.rename(self.fleet.directory / "coordinator")
        self.fleet.start_coordinator()
        job = self.fleet.job(job_id)
        self.assertIn(job["state"], ("JOB_STATE_ACTIVE", "JOB_STATE_QUEUED"))
        self.assertTrue({artifact["name"] for artifact in self.fleet.api("artifacts")["artifacts"]} >= {"base", "train", "heldout"})


class Published(Scene):
    """The published rows as priors, on emulated boards."""

    def plan(self, example, *arguments):
        plan = self.fleet.wattle("plan", ROOT / f"deploy/examples/{example}.yaml", *arguments)
        return plan, {candidate["device_class"]: candidate for candidate in plan["candidates"]}

    def check_rows(self):
        for (example, board), (seconds, watt_hours, watts) in PUBLISHED.items():
            plan, candidates = self.plan(example)
            prediction = candidates[board]["prediction"]
            self.assertAlmostEqual(prediction["run_seconds"]["mean"] / seconds, 1, delta=0.005, msg=(example, board))
            self.assertAlmostEqual(prediction["run_energy_joules"]["mean"] / 3600 / watt_hours, 1, delta=0.005, msg=(example, board))
            self.assertAlmostEqual(prediction["mean_power_watts"] / watts, 1, delta=0.005, msg=(example, board))
            self.assertEqual(plan["chosen_device_id"], candidates["jetson-orin-nano"]["device_id"])
            self.assertEqual(prediction["provenance"], "PROVENANCE_PUBLISHED")

    def test_plan_predicts_the_published_rows_also_after_measured_jobs(self):
        self.start()
        for name, board in (("nx", "jetson-xavier-nx"), ("nano", "jetson-orin-nano")):
            self.fleet.start_worker(name, emulate=board, extra=["--time-scale=0", f"--label=board={name}"])
        self.fleet.until_connected("nx", "nano")
        self.check_rows()
        self.push_demo()
        for name in ("nx", "nano"):
            job = self.fleet.submit(self.job_file(f"on-{name}", required_labels=[f"board={name}"], finetune={**FINETUNE, "steps": 4}))
            self.assert_succeeded(self.fleet.until_done(job))
        self.check_rows()

    def test_it_is_a_rate_and_not_a_look_up(self):
        self.start()
        self.fleet.start_worker("nano", emulate="jetson-orin-nano", extra=["--time-scale=0"])
        self.fleet.until_connected("nano")

        def run(*settings):
            arguments = [part for setting in settings for part in ("--set", setting)]
            _, candidates = self.plan("squad-gpt2", *arguments)
            return candidates["jetson-orin-nano"]["prediction"]["run_seconds"]

        whole = run()
        self.assertAlmostEqual(run("finetune.data_shape.examples=5000")["mean"] / whole["mean"], 0.5, delta=0.001)
        self.assertAlmostEqual(run("finetune.epochs=1")["mean"] / whole["mean"], 0.5, delta=0.001)
        self.assertAlmostEqual(run("name=something else")["mean"], whole["mean"], delta=1e-6)
        self.assertGreater(abs(run("finetune.model_shape.width=960")["mean"] / whole["mean"] - 1), 0.1)

        def width(interval):
            return (interval["high"] - interval["low"]) / interval["mean"]

        self.assertGreater(width(run("finetune.batch_size=3")), width(whole))
        self.assertGreater(width(run("finetune.sequence_length=300")), width(whole))


if __name__ == "__main__":
    unittest.main()
