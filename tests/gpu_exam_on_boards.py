#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""gpu_exam_on_boards (a ctest): bench/gpu_exam.py as a board's owner runs it, with programs that answer as on a Jetson Xavier NX: no nvidia-smi,
no PyTorch, no BF16, too little memory for one model. A missing feature is no failure, but a figure that is not a number is one."""

import fnmatch
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))

import gpu_exam  # noqa: E402

PROGRAMS = {
    "wattle-runner": """
import json, os, pathlib, sys
answers = {"--check-device": "ok", "--version": "wattle-0/libtorch-2", "--compile-kernels": "ok: compiled 2 of 2 files of kernels in 1.0 s",
           "--measure-rates": '{"fp32Flops": 1e9}', "--initialize": ""}
if sys.argv[1] in answers:
    print(answers[sys.argv[1]])
    sys.exit(0)
task = json.load(open(sys.argv[2]))
if task["spec"].get("finetune", {}).get("precision") == "PRECISION_BF16":
    print("failed: precision: bf16; this GPU (compute capability 7.2) has no BF16 products, which begin with 8.0; use precision: fp16", file=sys.stderr)
    sys.exit(1)
os.makedirs(task["outputDirectory"])
pathlib.Path(task["outputDirectory"], "generations.jsonl").write_text("{}")
for step in range(60):
    print(json.dumps({"step": {"phase": "train", "compute_seconds": 0.5}}))
""",
    "wattle-gpu-exam": """
print("[       OK ] GpuFaultsTest.One (1 ms)")
""",
    "wattle-gpu-decode": """
import os, sys
if sys.argv[1:] == ["tinyllama", "fp32"]:
    print("wattle-gpu-decode: decode: not enough memory; use a smaller batch_size (CUDA out of memory)", file=sys.stderr)
    sys.exit(1)
print('{"tokens_per_s": 9.5, "best_tokens_per_s": 10, "bandwidth_share": 0.5, "read_bytes_per_s": 5e10, "logit_error": %s, "early_error": 0, "kernels": []}'
      % os.environ.get("LOGIT_ERROR", "0.001"))
""",
    "wattle-box-load": """
import sys
if sys.argv[-1] == "full":
    print("wattle-box-load: Landlock: this kernel is built without it", file=sys.stderr)
    sys.exit(1)
print("step_seconds=0.25")
""",
}
# JetPack 6 prints this: the GPU has no memory of its own.
NVIDIA_SMI = """
import sys
print("[N/A]" if sys.argv[1] == "--query-gpu=memory.used" else "Orin (nvgpu), 540.3.0, [N/A], [N/A], [N/A]")
"""


def refuse(constant):
    raise ValueError(f"{constant} is no JSON")


class ExamTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name in ("programs", "path"):
            (self.folder / name).mkdir()
        for name, text in PROGRAMS.items():
            self.write(f"programs/{name}", text)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(f"#!{sys.executable}{text}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def sit(self, *options, **environment):
        """The exam's exit status, and its JSON."""
        done = subprocess.run([sys.executable, ROOT / "bench/gpu_exam.py", "--programs", self.folder / "programs", "--out", self.folder / "out", "--no-peers",
                               *options], env={**os.environ, "PATH": str(self.folder / "path"), **environment}, capture_output=True, text=True, check=False)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, json.loads((self.folder / "out/gpu-exam.json").read_text(), parse_constant=refuse)

    def test_a_part_that_is_none_is_refused(self):
        done = subprocess.run([sys.executable, ROOT / "bench/gpu_exam.py", "--parts=tests,job_tests"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stderr.endswith("--parts: no part is called 'job_tests'\n"), done.stderr)

    def test_a_failed_test_of_the_engine_is_named(self):
        for program in gpu_exam.ENGINE_TESTS:
            self.write(f"programs/{program}", """
import os, sys
print("[       OK ] JobTest.One (1 ms)")
if os.environ["WATTLE_TEST_DEVICE"] != "cuda" or sys.argv[0].endswith("mezo_test"):
    print("[  FAILED  ] JobTest.Two (1 ms)")
    sys.exit(1)
""")
        status, told = self.sit("--parts=engine_tests")
        figures = {figure["key"]: figure for figure in told["figures"]}
        self.assertEqual(figures["cuda.engine_tests.passed"]["value"], 5)
        self.assertEqual((figures["cuda.engine_tests.failed"]["value"], figures["cuda.engine_tests.failed"]["peer"]), (1, "JobTest.Two"))
        self.assertEqual([one["what"] for one in told["failed"]], ["engine_tests wattle_mezo_test"])
        self.assertNotEqual(status, 0)

    def test_what_a_board_lacks_is_left_out_and_no_failure(self):
        status, told = self.sit()
        self.assertEqual(told["failed"], [])
        self.assertEqual(status, 0)
        self.assertEqual([one["what"] for one in told["left_out"]],
                         ["box full", "decode tinyllama fp32", "train.bf16", "train.bf16.adamw_8bit"])
        figures = {figure["key"]: figure["value"] for figure in told["figures"]}
        self.assertEqual(figures["cuda.train.fp16.tokens_per_s"], 8192)
        self.assertIn("cuda.train.fp16.adamw_8bit.tokens_per_s", figures)
        self.assertIn("cuda.train.fp32.tokens_per_s", figures)
        self.assertEqual(figures["cuda.tests.passed"], len(gpu_exam.GROUPS))
        self.assertEqual(figures["cuda.box.seccomp.step_seconds"], 0.25)
        self.assertEqual(told["machine"]["engine"], "wattle-0/libtorch-2")

    def test_an_nvidia_smi_without_numbers_is_a_boards(self):
        self.write("path/nvidia-smi", NVIDIA_SMI)
        status, told = self.sit("--parts", "train")
        self.assertEqual((status, told["failed"]), (0, []))
        self.assertEqual(told["machine"]["card"], "Orin (nvgpu), 540.3.0, [N/A], [N/A], [N/A]")

    def test_what_is_no_number_is_a_failure_and_no_figure(self):
        status, told = self.sit("--parts", "decode", "--models", "gpt2-small", "--formats", "int8", LOGIT_ERROR="nan")
        self.assertEqual(status, 1)
        self.assertEqual([one["what"] for one in told["failed"]], ["gpt2-small.int8.logit_error"])
        self.assertNotIn("cuda.gpt2-small.int8.logit_error", [figure["key"] for figure in told["figures"]])

    def test_an_answer_that_nobody_foresaw_ends_its_part_alone(self):
        self.write("programs/wattle-gpu-decode", "\nprint('no JSON')\n")
        (self.folder / "programs/wattle-box-load").unlink()
        status, told = self.sit("--parts", "decode,jobs,train")
        self.assertEqual(status, 1)
        self.assertEqual([one["what"] for one in told["failed"]], ["decode", "box none", "box seccomp", "jobs"])
        self.assertIn("cuda.train.fp32.tokens_per_s", [figure["key"] for figure in told["figures"]])

    def test_every_test_of_the_program_is_in_a_group(self):
        source = (ROOT / "worker/engine/device/gpu_exam_test.cc").read_text()
        patterns = [pattern for group in gpu_exam.GROUPS for pattern in group.split(":")]
        names = [f"Every/{suite}.{name}/one" if kind == "TEST_P" else f"{suite}.{name}" for kind, suite, name in re.findall(r"^(TEST\w*)\((\w+), (\w+)\)", source, re.M)]
        self.assertGreater(len(names), 20)
        self.assertEqual([name for name in names if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)], [])

    def test_groups_share_the_memory_of_a_board(self):
        self.assertEqual([gpu_exam.groups_at_once(int(gib * (1 << 20))) for gib in (3.3, 7.4, 15.2, 30.6, 61.4, 128)], [1, 1, 1, 3, 7, 7])


if __name__ == "__main__":
    unittest.main()
