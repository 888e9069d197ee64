# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Real boards of one site behind one link, which want one model at the same time."""

import re
import unittest

from link_proxy import LinkProxy
from scene import DEMO, Scene

BOARDS = ["east", "north", "south", "west"]
# Of each board over the whole test: handshakes, heartbeats, the job's reports and its result.
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

    def run_everywhere(self):
        """One job on each board, all at once. Returns the bytes that crossed the link, and each board's receipt."""
        before = self.proxy.bytes
        jobs = {name: self.fleet.submit(self.job_file(f"on-{name}", required_labels=[f"device={name}"],
                                                      generate={"model": "base", "prompts": ["The mast is"], "max_new_tokens": 8}))
                for name in BOARDS}
        receipts = {name: self.assert_succeeded(self.fleet.until_done(job, 300))["attempts"][-1]["receipt"] for name, job in jobs.items()}
        return self.proxy.bytes - before, receipts

    def peer_bytes(self, name, direction):
        page = self.fleet.fetch(self.fleet.workers[name].metrics, "/metrics")
        found = re.search(rf'^wattle_worker_peer_bytes_total{{[^}}]*direction="{direction}"[^}}]*}} (\S+)$', page, re.MULTILINE)
        return float(found.group(1))

    def test_boards_of_a_site_take_one_copy_of_a_model_over_their_link(self):
        self.start_site(*BOARDS)
        model_bytes = sum(path.stat().st_size for path in (DEMO / "model").iterdir() if not path.name.startswith("."))
        link_bytes, receipts = self.run_everywhere()
        fetched = {name: int(receipt.get("fetched_bytes", 0)) for name, receipt in receipts.items()}
        print(f"model {model_bytes} bytes, over the link {link_bytes}, by receipts {fetched}")
        self.assertLessEqual(sum(fetched.values()), 1.1 * model_bytes)
        self.assertLessEqual(link_bytes, 1.1 * model_bytes + CHANGE_BYTES * len(BOARDS))
        self.fleet.until("the boards' pages to tell", lambda: sum(self.peer_bytes(name, "fetched") for name in BOARDS) >=
                         (len(BOARDS) - 1) * model_bytes * 0.99)


if __name__ == "__main__":
    unittest.main()
