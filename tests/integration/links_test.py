# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Jobs of a real worker over the worst link that Wattle promises to work on."""

import time
import unittest

from link_proxy import LinkProxy
from scene import Scene

SEED = 34
ROUND_TRIP_SECONDS = 5.0
LOST_RATIO = 0.01
BYTES_PER_SECOND = 1000


class Links(Scene):
    def start_behind_a_link(self):
        self.start()
        self.push_demo()
        self.proxy = LinkProxy(self.fleet.grpc, seed=SEED)
        self.fleet.start_worker("barn", coordinator=self.proxy.address, extra=["--threads=1"])
        self.fleet.until_connected("barn")

    def generate(self, prompt):
        return self.fleet.submit(self.job_file("generate", generate={"model": "base", "prompts": [prompt], "max_new_tokens": 8}))

    def assert_one_attempt(self, job_id):
        job = self.assert_succeeded(self.fleet.until_done(job_id, 600))
        self.assertEqual(len(job["attempts"]), 1, job["attempts"])

    def test_slow_a_job_is_fetched_run_and_told_over_a_link_of_five_seconds_with_losses(self):
        self.start_behind_a_link()
        self.fleet.workers["barn"].stop()
        self.proxy.round_trip_seconds = ROUND_TRIP_SECONDS
        self.proxy.lost_ratio = LOST_RATIO
        self.fleet.workers["barn"].start()  # The connection is made over that link too.
        self.fleet.until_connected("barn")
        self.assert_one_attempt(self.generate("The mast is"))

    def test_slow_a_job_whose_model_is_there_ends_over_a_link_of_a_kilobyte_a_second(self):
        self.start_behind_a_link()
        self.assert_one_attempt(self.generate("The mast is"))
        self.proxy.bytes_per_second = BYTES_PER_SECOND
        self.proxy.round_trip_seconds = ROUND_TRIP_SECONDS
        self.proxy.lost_ratio = LOST_RATIO
        begin = time.monotonic()
        self.assert_one_attempt(self.generate("Battery"))
        print(f"told {time.monotonic() - begin:.0f} s after it was submitted")


if __name__ == "__main__":
    unittest.main()
