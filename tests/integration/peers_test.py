# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Real boards of one site behind one link, which want one model at the same time."""

import re
import unittest

from link_proxy import LinkProxy
from scene import DEMO, Scene

BOARDS = ["east", "north", "south", "west"]
MODEL_BYTES = sum(path.stat().st_size for path in (DEMO / "model").iterdir() if not path.name.startswith("."))
# Each board's bytes over the whole test: handshakes, heartbeats, the job's reports and its result.
CHANGE_BYTES = 250_000


class Peers(Scene):
    def start_site(self, *serving):
        """Boards of the site barn behind one link; those in `serving` give others what they have."""
        self.start()
        self.push_demo()
        self.proxy = LinkProxy(self.fleet.grpc)
        for name in BOARDS:
            extra = ["--threads=1", "--label=site=barn", *(["--peer-listen=127.0.0.1:0"] if name in serving else [])]
            self.fleet.start_worker(name, coordinator=self.proxy.address, extra=extra)
        self.fleet.until_connected(*BOARDS)

    def submit_everywhere(self):
        """One job on each board, all at once. Returns the ids."""
        return {name: self.fleet.submit(self.job_file(f"on-{name}", required_labels=[f"device={name}"],
                                                      generate={"model": "base", "prompts": ["The mast is"], "max_new_tokens": 8}))
                for name in BOARDS}

    def receipt(self, job_id):
        return self.assert_succeeded(self.fleet.until_done(job_id, 300))["attempts"][-1]["receipt"]

    def peer_bytes(self, name, direction):
        page = self.fleet.fetch(self.fleet.workers[name].metrics, "/metrics")
        found = re.search(rf'^wattle_worker_peer_bytes_total{{[^}}]*direction="{direction}"[^}}]*}} (\S+)$', page, re.MULTILINE)
        return float(found.group(1))

    def test_boards_of_a_site_take_one_copy_of_a_model_over_their_link(self):
        self.start_site(*BOARDS)
        before = self.proxy.bytes
        receipts = {name: self.receipt(job) for name, job in self.submit_everywhere().items()}
        fetched = {name: int(receipt.get("fetched_bytes", 0)) for name, receipt in receipts.items()}
        link_bytes = self.proxy.bytes - before
        print(f"model {MODEL_BYTES} bytes, over the link {link_bytes}, by receipts {fetched}")
        self.assertLessEqual(sum(fetched.values()), 1.1 * MODEL_BYTES)
        self.assertGreaterEqual(sum(int(receipt.get("peer_fetched_bytes", 0)) for receipt in receipts.values()), (len(BOARDS) - 1) * MODEL_BYTES * 0.99)
        self.assertLessEqual(link_bytes, 1.1 * MODEL_BYTES + CHANGE_BYTES * len(BOARDS))
        self.fleet.until("the boards' pages to tell", lambda: sum(self.peer_bytes(name, "fetched") for name in BOARDS) >=
                         (len(BOARDS) - 1) * MODEL_BYTES * 0.99)

    def test_the_next_board_fetches_when_the_first_is_cut_off(self):
        self.start_site(*BOARDS)
        self.proxy.bytes_per_second = 300_000
        jobs = self.submit_everywhere()

        def fetching():
            return [name for name in BOARDS if any((self.fleet.directory / name / "cache/incoming").glob("*/*")) and
                    any((self.fleet.directory / name / "cache/received").glob("*"))]
        first = self.fleet.until("a board to have a part of the model", fetching, 60)[0]
        self.fleet.workers[first].kill()
        self.proxy.bytes_per_second = None
        others = [self.receipt(jobs[name]) for name in BOARDS if name != first]
        self.assertLessEqual(sum(int(receipt.get("fetched_bytes", 0)) for receipt in others), 1.1 * MODEL_BYTES)
        self.fleet.workers[first].start()
        self.receipt(jobs[first])


if __name__ == "__main__":
    unittest.main()
