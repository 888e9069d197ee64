#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""jetson_container (a ctest): the arguments that deploy/jetson/run passes to docker, and that docs/operate/jetson.md names only programs of the image."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "deploy/jetson/run"
OF_THE_BOARD = {"/sys/firmware/devicetree/base": "/run/device-tree", "/etc/nvpmodel.conf": "/etc/nvpmodel.conf",
                "/etc/nv_tegra_release": "/etc/nv_tegra_release", "/var/lib/nvpmodel": "/var/lib/nvpmodel"}


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "path").mkdir()
        for name in ("dirname", "readlink", "uname", "mkdir", "bash"):
            (self.folder / "path" / name).symlink_to(f"/usr/bin/{name}")

    def run_script(self, program, *arguments, there=()):
        """The arguments of docker, on a board where the paths `there` exist."""
        if program is not None:
            path = self.folder / "path" / program
            path.write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n")
            path.chmod(0o755)
        checkout = self.folder / "checkout/deploy/jetson"
        checkout.mkdir(parents=True)
        text = SCRIPT.read_text()
        for place in OF_THE_BOARD:  # a board of the test's own
            self.assertEqual(text.count(f" {place}:"), 1)
            text = text.replace(f" {place}:", f" {self.folder}{place}:")
        for place in there:
            (self.folder / place.lstrip("/")).mkdir(parents=True)
        (checkout / "run").write_text(text)
        return subprocess.run(["/bin/bash", checkout / "run", *arguments], env={"PATH": str(self.folder / "path")}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)

    def test_the_worker_gets_the_gpu_and_what_the_board_tells_of_itself(self):
        there = list(OF_THE_BOARD)[:3]
        words = self.run_script("docker", "probe", "--device", "cuda", there=there).stdout.splitlines()
        self.assertEqual(words[:2], ["run", "--runtime"])
        self.assertEqual(words[-4:], ["wattle-jetson", "probe", "--device", "cuda"])
        self.assertEqual(words[words.index("--hostname") + 1], os.uname().nodename)
        self.assertIn("--rm", words)
        mounts = [words[i + 1] for i, word in enumerate(words) if word == "-v"]
        self.assertEqual(mounts[:3], ["/sys:/sys:ro", "wattle:/var/lib/wattle-worker", f"{self.folder}/checkout/build/bench:/wattle/build/bench"])
        self.assertEqual(mounts[3:], [f"{self.folder}{place}:{OF_THE_BOARD[place]}:ro" for place in there])

    def test_a_worker_that_stays_is_not_removed(self):
        words = self.run_script("docker", "--stay", "--device", "cuda").stdout.splitlines()
        self.assertEqual(words[-3:], ["wattle-jetson", "--device", "cuda"])
        self.assertIn("unless-stopped", words)
        self.assertNotIn("--rm", words)

    def test_another_program_is_the_images_entry(self):
        words = self.run_script("podman", "--program", "python3", "bench/gpu_exam.py").stdout.splitlines()
        self.assertEqual(words[words.index("--entrypoint") + 1:][:3], ["python3", "wattle-jetson", "bench/gpu_exam.py"])
        self.assertIn("nvidia.com/gpu=all", words)

    def test_without_docker_one_line_says_so(self):
        done = self.run_script(None, "probe")
        self.assertEqual((done.returncode, done.stderr), (1, "run: neither docker nor podman is there; install one\n"))


class PageTest(unittest.TestCase):
    def test_the_image_has_the_programs_that_the_exam_wants(self):
        built = re.search(r"ninja .*?&&|ninja .*?\n\n", (ROOT / "deploy/jetson/Containerfile").read_text(), re.S).group(0)
        exam = (ROOT / "bench/gpu_exam.py").read_text()
        for name in sorted(set(re.findall(r'exam\.program\("([\w-]+)"\)', exam))):
            self.assertRegex(built, rf"\b{name}\b")

    def test_every_command_of_the_page_goes_by_the_script(self):
        page = (ROOT / "docs/operate/jetson.md").read_text()
        commands = [line.strip() for line in page.splitlines() if line.startswith("    ")]
        self.assertIn("deploy/jetson/run probe --device cuda --state-dir /var/lib/wattle-worker", commands)
        self.assertEqual([command for command in commands if not re.match(r"git clone|deploy/jetson/(build|run) ", command)], [])


if __name__ == "__main__":
    unittest.main()
