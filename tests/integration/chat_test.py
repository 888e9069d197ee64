# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Conversations on the real processes: a chat model is fine-tuned on them, asked, and evaluated; a base model is refused."""

import json
import math

from fleet import ROOT, metric, receipt_of
from scene import DEMO, Scene

GOLDEN = ROOT / "tests/golden/chat/model"
QUESTION = "the sun's watt?"
ANSWER = "89 % charge"


class Chat(Scene):
    def push_chat(self):
        self.fleet.wattle("model", "push", "chat", GOLDEN)
        self.fleet.wattle("data", "push", "conversations", GOLDEN / "conversations.jsonl")

    def finetune_chat(self, model="chat", **settings):
        return self.job_file("learn", finetune={"model": model, "data": "conversations", "steps": 3, "batch_size": 3, "learning_rate": 1e-3,
                                                "learning_rate_schedule": "constant", "clip_norm": -1, "adam_epsilon": 1e-3, "packing": True,
                                                **settings})

    def newest_job(self):
        return self.fleet.job(self.fleet.api("jobs")["jobs"][0]["job_id"])

    def test_a_chat_model_learns_conversations_and_answers(self):
        expected = json.loads((GOLDEN / "expected.json").read_text())
        self.start("one")
        self.push_chat()

        # The losses of the run are those of the reference.
        learn = self.finetune_chat(heldout_data="conversations")
        job = self.fleet.submit(learn)
        receipt = receipt_of(self.assert_succeeded(self.fleet.until_done(job)))
        self.assertAlmostEqual(metric(receipt, "train_loss_first"), expected["losses"][0], delta=1e-4)
        self.assertAlmostEqual(metric(receipt, "heldout_loss_before"), expected["loss"], delta=1e-4)
        self.assertLess(metric(receipt, "heldout_loss_after"), expected["loss"])
        self.assertEqual(receipt["work"]["examples"], "9")

        # Asked by its template, the result answers and ends its turn.
        asked = self.fleet.run_wattle("generate", "--model", f"job:{job}/output", "--chat", "--max-new-tokens", "24", QUESTION)
        self.assertEqual(asked.returncode, 0, asked.stderr)
        self.assertIn(ANSWER, asked.stdout)
        receipt = receipt_of(self.newest_job())
        turn = next(one for one in expected["answers"] if [message["content"] for message in one["messages"]] == [QUESTION])
        self.assertEqual(int(receipt["work"]["prompt_tokens"]), turn["prompt_tokens"])
        self.assertEqual(int(receipt["work"]["generated_tokens"]), turn["generated_tokens"])

        # Without --chat the model continues the text of the prompt, which has fewer tokens.
        told = self.fleet.run_wattle("generate", "--model", f"job:{job}/output", "--max-new-tokens", "4", QUESTION)
        self.assertEqual(told.returncode, 0, told.stderr)
        receipt = receipt_of(self.newest_job())
        self.assertLess(int(receipt["work"]["prompt_tokens"]), turn["prompt_tokens"])

        # The loss of the result on the conversations is finite, and lower than the model's.
        evaluate = self.job_file("evaluate", evaluate={"model": f"job:{job}/output", "data": "conversations"})
        receipt = receipt_of(self.assert_succeeded(self.fleet.until_done(self.fleet.submit(evaluate))))
        self.assertLess(math.log(metric(receipt, "perplexity")), expected["loss"])

    def test_conversations_are_refused_for_a_model_without_a_template(self):
        self.start("one")
        self.push_chat()
        self.fleet.wattle("model", "push", "base", DEMO / "model")
        self.fleet.wattle("data", "push", "squad", DEMO / "fleet-qa-train.json")
        for data in ({}, {"data": "squad", "heldout_data": "conversations"}):
            self.assert_template_missing(self.fleet.until_done(self.fleet.submit(self.finetune_chat(model="base", **data))))
        self.assertNotEqual(self.fleet.run_wattle("generate", "--model", "base", "--chat", QUESTION).returncode, 0)
        self.assert_template_missing(self.newest_job())

    def assert_template_missing(self, job):
        """The attempt fails before any work, and no device tries again."""
        self.assertEqual(job["state"], "JOB_STATE_FAILED")
        self.assertEqual([attempt["receipt"]["failure_class"] for attempt in job["attempts"]], ["FAILURE_CLASS_DATA"])
        message = job["attempts"][0]["receipt"]["failure_message"]
        self.assertIn("chat_template: missing, so that conversations cannot be written for this model", message)
        self.assertNotIn("\n", message)
