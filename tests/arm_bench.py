#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""arm_bench (a ctest): how bench/arm.py reads qemu's log and the disassembly, on literals."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import arm  # noqa: E402

LOG = """Trace 0: 0x7f00 [0000000000001001/0000000000400100/00000001/00000201] main
Trace 0: 0x7f10 [0000000000001001/0000000000400200/00000001/00000201] BenchBegin
Trace 0: 0x7f20 [0000000000001001/0000000000400300/00000001/00000201] Product
Trace 0: 0x7f20 [0000000000001001/0000000000400300/00000001/00000201] Product
Trace 0: 0x7f30 [0000000000001001/0000000000400204/00000001/00000201] BenchEnd
Trace 0: 0x7f40 [0000000000001001/0000000000400104/00000001/00000201] main
"""


class ArmBenchTest(unittest.TestCase):
    def test_what_runs_between_the_marks_counts_each_time(self):
        self.assertEqual(arm.between_marks(LOG, 0x400200, 0x400204), [0x400200, 0x400300, 0x400300])

    def test_a_log_without_a_mark_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "each mark once"):
            arm.between_marks(LOG, 0x400200, 0x400208)

    def test_addresses_and_calls_are_not_for_llvm_mca(self):
        text = arm.assembly(["b.gt\t0x41b070 <_ZN6wattleEv+0x920>", "blr\tx1", "ret", "mov\tx1, #0x0                // =0",
                             "prfm\tpldl1keep, [x0, #0x800]", "bic\tx1, x1, x2"])
        self.assertEqual([" ".join(line.split()) for line in text.splitlines()],
                         ["b.gt target", "mov x1, #0x0", "prfm pldl1keep, [x0, #0x800]", "bic x1, x1, x2"])

    def test_the_slower_of_decoder_and_model_counts(self):
        core = arm.CORES["a76"]
        self.assertEqual(arm.slower_bound(100, 800, core), 200)
        self.assertEqual(arm.slower_bound(300, 800, core), 300)

    def test_a_kernel_of_xnnpack_is_found_by_its_name(self):
        source = arm.xnnpack_source("qd8_f32_qc8w", "4x16c4__asm_aarch64_neondot_ld128")
        self.assertEqual(str(source.relative_to(arm.XNNPACK)),
                         "src/qd8-f32-qc8w-gemm/gen/qd8-f32-qc8w-gemm-4x16c4-minmax-asm-aarch64-neondot-ld128.S")
        self.assertEqual(arm.xnnpack_source("f32", "6x8__neonfma").suffix, ".c")
        self.assertEqual(arm.xnnpack_definitions("INT8", "qd8_f32_qc8w", ("1x16c8__neoni8mm", "4x16c8__neoni8mm"))[1:],
                         ["-DINT8_MANY=xnn_qd8_f32_qc8w_gemm_minmax_ukernel_4x16c8__neoni8mm", "-DINT8_INPUTS=4", "-DINT8_COLUMNS=16"])

    def test_threads_follow_from_the_bytes_of_a_weight(self):
        # Ten cycles at 2.4 GHz for each byte; 17 GB/s need 170 G cycles a second: 70.8 threads.
        self.assertAlmostEqual(arm.threads_to_memory_bound(20, 2), 10 * 17 / 2.4)


if __name__ == "__main__":
    unittest.main()
