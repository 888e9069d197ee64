#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench arm: what a weight costs the boards' cores, beside llama.cpp's kernels, without a board.

qemu tells which instructions one product runs, from the first to the last: for decoding one input, for a prompt sixteen. llvm-mca counts
their cycles on its model of the core, with everything in the first-level cache and every branch foreseen. LLVM has models of the
Cortex-A72 and of two server cores: Neoverse N1, which is a Cortex-A76, and Neoverse N2, whose vector and load units are as many as those
of a Cortex-A78AE. Those two leave out how many instructions a cycle the core decodes, so the slower of the two bounds counts. Nothing
here is measured on a board. "Threads" are those whose cycles take as long as a Raspberry Pi 5 takes to read the weights.
Writes build/bench/arm.json.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

from figures import ROOT, write_figures

KERNELS = ROOT / "worker/engine/kernels/isa"
LLAMA = ROOT / "build/llama-source/vendor/llama.cpp/ggml"
LLAMA_SOURCES = ["ggml-cpu/arch/arm/quants.c", "ggml-cpu/arch/arm/repack.cpp", "ggml-cpu/quants.c", "ggml-cpu/repack.cpp", "ggml-cpu/vec.cpp",
                 "ggml-quants.c"]
# Those of worker/engine/kernels/CMakeLists.txt; llama.cpp's kernels get the same, but for the order of sums, which it leaves to the compiler.
OPTIMIZE = ["-O3", "-DNDEBUG", "-fno-math-errno", "-fno-trapping-math"]
EXACT = ["-ffp-contract=off"]
BASE, DOT_PRODUCT = "-march=armv8-a", "-march=armv8.2-a+dotprod"

Core = collections.namedtuple("Core", "title qemu model decoded table peer")
CORES = {"a72": Core("Cortex-A72 (Raspberry Pi 4)", "cortex-a72", "cortex-a72", 3, "neon", "plain"),
         "a76": Core("Cortex-A76 (Raspberry Pi 5)", "cortex-a76", "neoverse-n1", 4, "neon-dotprod", "repacked"),
         "a78ae": Core("Cortex-A78AE (Jetson Orin)", "cortex-a76", "neoverse-n2", 4, "neon-dotprod", "repacked")}
# Bytes of a weight with its scales in a matrix of 2048 columns, and llama.cpp's format beside ours.
Format = collections.namedtuple("Format", "title bytes peer")
FORMATS = {"fp32": Format("FP32", 4, "F32"), "int8": Format("int8", 1 + 4 / 2048, "Q8_0"), "int4": Format("int4, groups of 64", 34 / 64, "Q4_0"),
           "int4_asymmetric": Format("int4 with minimums", 36 / 64, None), "nf4": Format("NF4", 34 / 64, None)}
TRAINING = "training"
Sizes = collections.namedtuple("Sizes", "inputs rows columns")
DECODE, PROMPT = Sizes(1, 16, 2048), Sizes(16, 32, 512)  # FP32 takes panels of 16 rows two at a time
PI5_HERTZ, PI5_BYTES_PER_SECOND = 2.4e9, 17e9


def between_marks(log, begin, end):
    """The addresses that qemu's log of single steps has between the marks, which are two functions' addresses."""
    addresses = [int(address, 16) for address in re.findall(r"^Trace \d+: \S+ \[\w+/(\w+)/", log, re.MULTILINE)]
    if addresses.count(begin) != 1 or addresses.count(end) != 1:
        raise SystemExit("bench: qemu's log does not have each mark once")
    return addresses[addresses.index(begin):addresses.index(end)]


def assembly(instructions):
    """What llvm-mca reads. It knows no calls and returns, and an address means nothing to it."""
    return "".join(re.sub(r"(#?0x)?[0-9a-f]+ <.*>", "target", instruction.split("//")[0]) + "\n" for instruction in instructions
                   if not re.match(r"(bl|blr|ret)\b", instruction))


def slower_bound(cycles, instructions, core):
    return max(cycles, instructions / core.decoded)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench: {command[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def build_ours(work):
    objects = []
    for source, flag in (("neon.cc", BASE), ("neon_dotprod.cc", DOT_PRODUCT), ("float_neon.cc", BASE)):
        objects.append(work / f"{source}.o")
        run("aarch64-linux-gnu-g++", "-std=c++20", *OPTIMIZE, *EXACT, flag, f"-I{ROOT}", "-c", KERNELS / source, "-o", objects[-1])
    program = work / "ours"
    run("aarch64-linux-gnu-g++", "-std=c++20", "-O2", "-static", f"-I{ROOT}", ROOT / "bench/arm_products.cc", *objects, "-o", program)
    return {core: program for core in CORES}


def build_llama(work):
    """A program for each core; none where the sources could not be fetched."""
    if not LLAMA.is_dir():
        return {}
    programs = {}
    for flag in (BASE, DOT_PRODUCT):
        includes = [f"-I{LLAMA / part}" for part in ("include", "src", "src/ggml-cpu")]
        options = [*OPTIMIZE, flag, "-D_GNU_SOURCE", "-ffunction-sections", "-fdata-sections", *includes]
        objects = []
        for source in LLAMA_SOURCES:
            objects.append(work / f"{flag}-{source.replace('/', '-')}.o")
            compiler = ["aarch64-linux-gnu-gcc"] if source.endswith(".c") else ["aarch64-linux-gnu-g++", "-std=c++17"]
            run(*compiler, *options, "-c", LLAMA / "src" / source, "-o", objects[-1])
        programs[flag] = work / f"llama{flag}"
        # Only the kernels are linked: what the rest of llama.cpp needs falls away with the rest.
        run("aarch64-linux-gnu-g++", "-std=c++20", *options, "-static", "-Wl,--gc-sections", ROOT / "bench/arm_llama.cc", *objects, "-o",
            programs[flag])
    return {name: programs[BASE if core.peer == "plain" else DOT_PRODUCT] for name, core in CORES.items()}


class Program:
    """One of the two programs, and the text of its instructions."""

    def __init__(self, path, work):
        self.path, self.log = path, work / "trace.log"
        self.text = {int(address, 16): text for address, text in
                     re.findall(r"^\s*([0-9a-f]+):\s+(.*)$", run("llvm-objdump-19", "-d", "--no-show-raw-insn", "--mattr=+dotprod", path), re.MULTILINE)}
        self.marks = {name: int(address, 16) for address, name in re.findall(r"(\w+) T (Bench\w+)", run("nm", path))}

    def instructions(self, cpu, arguments):
        run("qemu-aarch64-static", "-cpu", cpu, "-singlestep", "-d", "exec,nochain", "-D", self.log, self.path, *arguments)
        addresses = between_marks(self.log.read_text(), self.marks["BenchBegin"], self.marks["BenchEnd"])
        return [self.text[address] for address in addresses]


def cost(program, core, kind, format_name, sizes, work):
    """Cycles and instructions of one weight and one input."""
    instructions = program.instructions(core.qemu, [kind, format_name, *sizes])
    path = work / "trace.s"
    path.write_text(assembly(instructions))
    report = run("llvm-mca-19", "-mtriple=aarch64-linux-gnu", f"-mcpu={core.model}", "-iterations=1", "-instruction-info=0",
                 "-resource-pressure=0", path)
    products = sizes.inputs * sizes.rows * sizes.columns
    cycles = slower_bound(int(re.search(r"Total Cycles:\s+(\d+)", report).group(1)), len(instructions), core)
    return cycles / products, len(instructions) / products


def threads_to_memory_bound(cycles, bytes_of_weight):
    return cycles / PI5_HERTZ * PI5_BYTES_PER_SECOND / bytes_of_weight


class Bench:
    def __init__(self, work):
        self.work, self.figures, self.missed = work, [], []
        self.ours = {core: Program(path, work) for core, path in build_ours(work).items()}
        self.llama = {core: Program(path, work) for core, path in build_llama(work).items()}
        if not self.llama:
            print("llama.cpp's sources are not in build/llama-source: its kernels are left out")

    def add(self, key, value, unit, goal=None, reached=True):
        self.figures.append({"key": key, "value": round(value, 4), "unit": unit, "goal": goal})
        if not reached:
            self.missed.append(f"{key}: {value:.2f}, goal {goal}")

    def row(self, name, format_name, sizes):
        core, prompt = CORES[name], sizes is PROMPT
        title, bytes_of_weight, peer = FORMATS.get(format_name, ("training: rounded factors, in FP32", None, None))
        key = f"{name}.{format_name}{'.prompt' if prompt and format_name != TRAINING else ''}"
        cycles, instructions = cost(self.ours[name], core, core.table, format_name, sizes, self.work)
        self.add(f"{key}.cycles_per_weight", cycles, "cycles")
        self.add(f"{key}.instructions_per_weight", instructions, "instructions")
        line = f"  {title:<36} {sizes.inputs:>6} {instructions:12.3f} {cycles:8.4f}"
        if peer and self.llama:
            theirs, _ = cost(self.llama[name], core, core.peer, format_name, sizes, self.work)
            ratio = theirs / cycles
            goal = "> 1" if name == "a76" and not prompt and format_name in ("int8", "int4") else None
            self.add(f"{key}.ratio_vs_llamacpp", ratio, "theirs over ours", goal, goal is None or ratio > 1)
            line += f"   {peer:<5} {theirs:8.4f} {ratio:6.2f} x"
        if name == "a76" and bytes_of_weight and not prompt:
            threads = threads_to_memory_bound(cycles, bytes_of_weight)
            self.add(f"{key}.threads_to_memory_bound", threads, "threads", "<= 2", threads <= 2)
            line = f"{line:<92} {threads:8.2f} threads"
        print(line, flush=True)


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="wattle-arm-") as work:
        bench = Bench(pathlib.Path(work))
        for name, core in CORES.items():
            print(f"{core.title}\n  {'product':<36} {'inputs':>6} {'instructions':>12} {'cycles':>8}   llama.cpp's")
            for sizes in (DECODE, PROMPT):
                for format_name in FORMATS:
                    bench.row(name, format_name, sizes)
            bench.row(name, TRAINING, PROMPT)
    write_figures("arm", bench.figures)
    if bench.missed:
        sys.exit("bench: goals not reached: " + "; ".join(bench.missed))


if __name__ == "__main__":
    main()
