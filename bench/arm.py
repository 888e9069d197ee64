#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev bench arm: what a weight costs the boards' cores, beside llama.cpp's and XNNPACK's kernels, without a board.

qemu tells which instructions one product runs, from the first to the last: for decoding one input, for a prompt sixteen. llvm-mca counts
their cycles on its model of the core, with everything in the first-level cache and every branch foreseen. LLVM has models of the
Cortex-A72 and of three server cores: Neoverse N1, which is a Cortex-A76; Neoverse N2, whose vector and load units are as many as those
of a Cortex-A78AE, and which LLVM takes for a Cortex-A720; and Neoverse V2, which it takes for a V3AE. Those three leave out how many
instructions a cycle the core decodes, so the slower of the two bounds counts. Nothing here is measured on a board. "Threads" are those
whose cycles take as long as a Raspberry Pi 5 takes to read the weights.
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
XNNPACK = ROOT / "build/xnnpack-source"
# The flags of worker/engine/kernels/CMakeLists.txt. The peers' kernels get the same, except for the order of sums, which they leave to the compiler.
OPTIMIZE = ["-O3", "-DNDEBUG", "-fno-math-errno", "-fno-trapping-math"]
EXACT = ["-ffp-contract=off"]
# The extensions of each core beyond plain NEON, by the names of Wattle's tables.
FLAGS = {"neon": "-march=armv8-a", "neon-dotprod": "-march=armv8.2-a+dotprod", "neon-i8mm": "-march=armv8.2-a+dotprod+i8mm"}

Core = collections.namedtuple("Core", "title qemu model decoded table")
CORES = {"a72": Core("Cortex-A72 (Raspberry Pi 4)", "cortex-a72", "cortex-a72", 3, "neon"),
         "a76": Core("Cortex-A76 (Raspberry Pi 5)", "cortex-a76", "neoverse-n1", 4, "neon-dotprod"),
         "a78ae": Core("Cortex-A78AE (Jetson Orin)", "cortex-a76", "neoverse-n2", 4, "neon-dotprod"),
         "a720": Core("Cortex-A720", "max", "neoverse-n2", 5, "neon-i8mm"),
         "v3ae": Core("Neoverse V3AE (Jetson Thor)", "max", "neoverse-v2", 10, "neon-i8mm")}
# Bytes of a weight with its scales in a matrix of 2048 columns, and the corresponding formats of llama.cpp and XNNPACK.
Format = collections.namedtuple("Format", "title bytes llama xnnpack")
FORMATS = {"fp32": Format("FP32", 4, "F32", "f32"), "fp16": Format("FP16", 2, "F16", None), "bf16": Format("BF16", 2, "BF16", None),
           "int8": Format("int8", 1 + 4 / 2048, "Q8_0", "qc8w"), "int8_g32": Format("int8, groups of 32", 34 / 32, "Q8_0", None),
           "int6": Format("int6", 210 / 256, "Q6_K", None),
           "int4": Format("int4, groups of 64", 34 / 64, "Q4_0", "qb4w"), "int4_asymmetric": Format("int4 with minimums", 36 / 64, None, None),
           "nf4": Format("NF4", 34 / 64, None, None)}
# The kernels that XNNPACK selects (its src/configs/gemm-config.c, init_*_gemm_config): for one row of inputs, for many, and their spelling.
CORTEX_A75, LD128 = "asm_aarch64_neonfma_cortex_a75_prfm", "asm_aarch64_neonfma_ld128"
XNNPACK_FLOATS = {"a72": (f"1x8__{CORTEX_A75}", f"4x8__{CORTEX_A75}"), "a76": (f"1x8__{CORTEX_A75}", f"6x8__{CORTEX_A75}")}
XNNPACK_OTHER_FLOATS = (f"1x8__{LD128}_acc4", f"6x8__{LD128}")
XNNPACK_INT8 = {"neon": ("1x8c2s4__neon_mlal", "2x8c2s4__neon_mlal"), "neon-dotprod": ("1x16c4__neondot", "4x16c4__asm_aarch64_neondot_ld128"),
                "neon-i8mm": ("1x16c8__neoni8mm", "4x16c8__neoni8mm")}
XNNPACK_INT4 = {"neon": ("1x16__neon_mlal_lane", "6x16__neon_mlal_lane"), "neon-dotprod": ("1x16c4__neondot", "4x16c4__neondot"),
                "neon-i8mm": ("1x16c8__neoni8mm", "4x16c8__neoni8mm")}
TRAINING = "training"
Sizes = collections.namedtuple("Sizes", "inputs rows columns")
DECODE, PROMPT = Sizes(1, 16, 2048), Sizes(16, 32, 512)  # FP32 takes panels of 16 rows two at a time
PI5_HERTZ, PI5_BYTES_PER_SECOND = 2.4e9, 17e9


def between_marks(log, begin, end):
    """The addresses in qemu's log of single steps between the marks, which are the addresses of two functions."""
    addresses = [int(address, 16) for address in re.findall(r"^Trace \d+: \S+ \[\w+/(\w+)/", log, re.MULTILINE)]
    if addresses.count(begin) != 1 or addresses.count(end) != 1:
        raise SystemExit("bench: qemu's log does not have each mark once")
    return addresses[addresses.index(begin):addresses.index(end)]


def assembly(instructions):
    """The input of llvm-mca, which supports neither calls and returns nor addresses."""
    return "".join(re.sub(r"(#?0x)?[0-9a-f]+ <.*>", "target", instruction.split("//")[0]) + "\n" for instruction in instructions
                   if not re.match(r"(bl|blr|ret)\b", instruction))


def slower_bound(cycles, instructions, core):
    return max(cycles, instructions / core.decoded)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench: {command[0]}: {done.stderr.strip()[-400:]}")
    return done.stdout


def compiler_of(source):
    return ["aarch64-linux-gnu-g++", "-std=c++20"] if source.suffix in (".cc", ".cpp") else ["aarch64-linux-gnu-gcc"]


def compiled(sources, options, work):
    objects = []
    for source in sources:
        objects.append(work / f"{len(list(work.iterdir()))}.o")
        run(*compiler_of(source), *options, "-c", source, "-o", objects[-1])
    return objects


def linked(driver, options, objects, program):
    # Only the kernels are linked, so the dependencies of the rest of a library are not needed.
    run("aarch64-linux-gnu-g++", "-std=c++20", *options, "-static", "-Wl,--gc-sections", ROOT / "bench" / driver, *objects, "-o", program)
    return program


def build_ours(work):
    objects = []
    for source, table in (("neon.cc", "neon"), ("neon_dotprod.cc", "neon-dotprod"), ("neon_i8mm.cc", "neon-i8mm"), ("float_neon.cc", "neon")):
        objects += compiled([KERNELS / source], [*OPTIMIZE, *EXACT, FLAGS[table], f"-I{ROOT}"], work)
    program = linked("arm_products.cc", ["-O2", f"-I{ROOT}"], objects, work / "ours")
    return {core: program for core in CORES}


def build_llama(work):
    """A program for each core; none if the sources could not be fetched."""
    if not LLAMA.is_dir():
        return {}
    programs = {}
    for table, flag in FLAGS.items():
        includes = [f"-I{LLAMA / part}" for part in ("include", "src", "src/ggml-cpu")]
        options = [*OPTIMIZE, flag, "-D_GNU_SOURCE", "-ffunction-sections", "-fdata-sections", *includes]
        objects = compiled([LLAMA / "src" / source for source in LLAMA_SOURCES], options, work)
        programs[table] = linked("arm_llama.cc", options, objects, work / f"llama-{table}")
    return {name: programs[core.table] for name, core in CORES.items()}


def xnnpack_source(family, kernel):
    """The file of a kernel that is named as in its function's name."""
    tile, way = kernel.split("__")
    name = f"{family}-gemm-{tile}-minmax-{way}".replace("_", "-")
    return XNNPACK / f"src/{family.replace('_', '-')}-gemm/gen/{name}{'.S' if way.startswith('asm') else '.c'}"


def xnnpack_definitions(prefix, family, kernels):
    """The definitions that bench/arm_xnnpack.cc needs for a format's two kernels."""
    one, many = (f"xnn_{family}_gemm_minmax_ukernel_{kernel}" for kernel in kernels)
    inputs, columns = re.match(r"(\d+)x(\d+)", kernels[1]).groups()
    return [f"-D{prefix}_ONE={one}", f"-D{prefix}_MANY={many}", f"-D{prefix}_INPUTS={inputs}", f"-D{prefix}_COLUMNS={columns}"]


def build_xnnpack(work):
    """Like build_llama, for XNNPACK."""
    if not XNNPACK.is_dir():
        return {}
    (work / "pthreadpool.h").write_text("typedef struct pthreadpool* pthreadpool_t;\n")  # all that the kernels' headers need from it
    programs = {}
    for name, core in CORES.items():
        options = [*OPTIMIZE, FLAGS[core.table], f"-I{work}", f"-I{XNNPACK / 'src'}", f"-I{XNNPACK / 'include'}"]
        definitions, sources = [], []
        for prefix, family, kernels in (("FP32", "f32", XNNPACK_FLOATS.get(name, XNNPACK_OTHER_FLOATS)),
                                        ("INT8", "qd8_f32_qc8w", XNNPACK_INT8[core.table]), ("INT4", "qd8_f32_qb4w", XNNPACK_INT4[core.table])):
            definitions += xnnpack_definitions(prefix, family, kernels)
            sources += [xnnpack_source(family, kernel) for kernel in kernels]
        programs[name] = linked("arm_xnnpack.cc", [*options, *definitions], compiled(sources, options, work), work / f"xnnpack-{name}")
    return programs


class Program:
    """One of the programs, and the text of its instructions."""

    def __init__(self, path, work):
        self.path, self.log = path, work / "trace.log"
        self.text = {int(address, 16): text for address, text in
                     re.findall(r"^\s*([0-9a-f]+):\s+(.*)$", run("llvm-objdump-19", "-d", "--no-show-raw-insn", "--mattr=+all", path), re.MULTILINE)}
        self.marks = {name: int(address, 16) for address, name in re.findall(r"(\w+) T (Bench\w+)", run("nm", path))}

    def instructions(self, cpu, arguments):
        run("qemu-aarch64-static", "-cpu", cpu, "-singlestep", "-d", "exec,nochain", "-D", self.log, self.path, *arguments)
        addresses = between_marks(self.log.read_text(), self.marks["BenchBegin"], self.marks["BenchEnd"])
        return [self.text[address] for address in addresses]


def cost(program, core, arguments, sizes, work):
    """Cycles and instructions of one weight and one input."""
    instructions = program.instructions(core.qemu, [*arguments, *sizes])
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
        self.ours = self.programs(build_ours)
        self.peers = {"llamacpp": self.programs(build_llama), "xnnpack": self.programs(build_xnnpack)}
        for name, programs in self.peers.items():
            if not programs:
                print(f"the sources of {name} are not in build/: its kernels are left out")

    def programs(self, build):
        built = build(self.work)
        programs = {path: Program(path, self.work) for path in set(built.values())}
        return {core: programs[path] for core, path in built.items()}

    def add(self, key, value, unit, goal=None, reached=True):
        self.figures.append({"key": key, "value": round(value, 4), "unit": unit, "goal": goal})
        if not reached:
            self.missed.append(f"{key}: {value:.2f}, goal {goal}")

    def peer_columns(self, name, format_name, sizes, key, cycles):
        """The cost of the same product in the peers' kernels, as columns of a row; ratios are theirs over Wattle's."""
        columns = ""
        for peer, format_of_peer in (("llamacpp", FORMATS[format_name].llama), ("xnnpack", FORMATS[format_name].xnnpack)):
            if not format_of_peer or not self.peers[peer]:
                columns += " " * 25
                continue
            theirs, _ = cost(self.peers[peer][name], CORES[name], [format_name], sizes, self.work)
            ratio = theirs / cycles
            goal = "> 1" if peer == "llamacpp" and name == "a76" and sizes is DECODE else None
            self.add(f"{key}.ratio_vs_{peer}", ratio, "theirs over ours", goal, goal is None or ratio > 1)
            columns += f"   {format_of_peer:<5} {theirs:8.4f} {ratio:5.2f} x"
        return columns

    def row(self, name, format_name, sizes):
        core, training = CORES[name], format_name == TRAINING
        title = "training: rounded factors, in FP32" if training else FORMATS[format_name].title
        key = f"{name}.{format_name}{'.prompt' if sizes is PROMPT and not training else ''}"
        cycles, instructions = cost(self.ours[name], core, [core.table, format_name], sizes, self.work)
        self.add(f"{key}.cycles_per_weight", cycles, "cycles")
        self.add(f"{key}.instructions_per_weight", instructions, "instructions")
        line = f"  {title:<36} {sizes.inputs:>6} {instructions:12.3f} {cycles:8.4f}"
        if not training:
            line += self.peer_columns(name, format_name, sizes, key, cycles)
        if name == "a76" and sizes is DECODE:
            threads = threads_to_memory_bound(cycles, FORMATS[format_name].bytes)
            self.add(f"{key}.threads_to_memory_bound", threads, "threads", "<= 2", threads <= 2)
            line += f" {threads:8.2f} threads"
        print(line.rstrip(), flush=True)


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="wattle-arm-") as work:
        bench = Bench(pathlib.Path(work))
        for name, core in CORES.items():
            print(f"{core.title}\n  {'product':<36} {'inputs':>6} {'instructions':>12} {'cycles':>8}   {'llama.cpp':<22}   XNNPACK")
            for sizes in (DECODE, PROMPT):
                for format_name in FORMATS:
                    bench.row(name, format_name, sizes)
            bench.row(name, TRAINING, PROMPT)
    write_figures("arm", bench.figures)
    if bench.missed:
        sys.exit("bench: goals not reached: " + "; ".join(bench.missed))


if __name__ == "__main__":
    main()
