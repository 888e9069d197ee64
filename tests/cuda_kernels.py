#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Compiles every CUDA kernel for the boards' GPUs, with NVRTC and ptxas of PyPI and without a GPU, and compares the resources of each one with
tests/golden/cuda_kernels.txt: registers, spilled bytes (none may be), shared memory, and the share of a multiprocessor's warps that fit at once.
On the last of these GPUs, kernels of a graph may begin early: until their wait they may read only constants. The NVRTC of a JetPack is older: the
nearest versions on PyPI compile every file too.

  build/venv-nvrtc/bin/python tests/cuda_kernels.py [--update]

The versions of both compilers are those of ./dev, so the numbers are the same everywhere.
"""
import concurrent.futures
import ctypes
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
KERNELS = ROOT / "worker/engine/device/cuda/kernels"
GOLDEN = ROOT / "tests/golden/cuda_kernels.txt"
OPTIONS = [b"--std=c++17"]  # the flags of worker/engine/device/cuda/kernel_compiler.cc
# All others: 128. From worker/engine/device/cuda/kernels/arguments.h.
THREADS_OF_BLOCK = {"rotary": 32, "choose": 512, "norm_rows": 512, "cross_entropy": 512, "attention_64": 512, "attention_128": 256, "attention_256": 256,
                    **{f"product_{format}_rows{rows}": 512 if rows == 1 else 256
                       for format in ("int8", "int8g", "int6", "int4", "int4a", "nf4") for rows in (1, 2, 4, 8)}}

# For each multiprocessor: threads, blocks, bytes of shared memory, and the bytes reserved for each block (CUDA C++ Programming
# Guide 12.9, table "Technical Specifications per Compute Capability"). All have 65,536 registers, given to warps by 256.
LIMITS = {
    "sm_53": (2048, 32, 64 << 10, 0),  # Jetson Nano
    "sm_62": (2048, 32, 64 << 10, 0),  # TX2
    "sm_72": (2048, 32, 96 << 10, 0),  # Xavier
    "sm_87": (1536, 16, 164 << 10, 1024),  # Orin
    "sm_90": (2048, 32, 228 << 10, 1024),  # H100, of ./dev gpu-exam's kind
}

# Kernels of a graph (worker/engine/device/cuda/decode_step.cc), and from which GPU on they begin early (driver.cc).
IN_GRAPHS = re.compile(r"product_\w+_rows\d|embed_\w+|norm_rows|rotary|attention_\d+|choose|weigh|draw")
BEGINS_EARLY = "sm_90"


# The NVRTC of JetPack 5 is 11.4, which PyPI lacks, and that of JetPack 6 is 12.2; with the boards of each.
OF_JETPACK = {"11.7": ("sm_72", "sm_87"), "12.2": ("sm_87",)}


def site_packages():
    return pathlib.Path(next(path for path in sys.path if path.endswith("site-packages"))) / "nvidia"


def compile_to_ptx(source, architecture, folder=None):
    """folder: the folder of another NVRTC."""
    folder = folder or site_packages() / "cuda_nvrtc/lib"
    for builtins in folder.glob("libnvrtc-builtins.so.*"):
        ctypes.CDLL(str(builtins))
    nvrtc = ctypes.CDLL(str(next(folder.glob("libnvrtc.so.*"))))
    headers = sorted([*KERNELS.glob("*.cuh"), KERNELS / "arguments.h"])
    texts = (ctypes.c_char_p * len(headers))(*[header.read_bytes() for header in headers])
    names = (ctypes.c_char_p * len(headers))(*[header.name.encode() for header in headers])
    program = ctypes.c_void_p()
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), source.name.encode(), len(headers), texts, names):
        raise RuntimeError(f"{source.name}: NVRTC made no program")
    options = [*OPTIONS, b"--gpu-architecture=" + architecture.replace("sm", "compute").encode()]
    failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))

    def text(name):
        size = ctypes.c_size_t()
        getattr(nvrtc, f"nvrtcGet{name}Size")(program, ctypes.byref(size))
        out = ctypes.create_string_buffer(size.value)
        getattr(nvrtc, f"nvrtcGet{name}")(program, out)
        return out.value.decode()

    log = "\n".join(line for line in text("ProgramLog").splitlines() if "deprecated" not in line).strip("\0 \n")
    if failed or log:
        raise RuntimeError(f"{source.name} for {architecture}: {log}")
    return text("PTX")


def occupancy(architecture, kernel, registers, shared):
    threads, blocks, memory, reserved = LIMITS[architecture]
    warps = THREADS_OF_BLOCK.get(kernel, 128) // 32
    by_registers = 65536 // (-(-registers * 32 // 256) * 256) // warps
    by_memory = memory // (shared + reserved) if shared + reserved else blocks
    return min(blocks, threads // 32 // warps, by_registers, by_memory) * warps / (threads // 32)


def touched_early(ptx):
    """The forbidden memory accesses of a graph's kernels before they wait for the previous kernel."""
    for kernel, body in re.findall(r"\.entry (\w+)\((.*?)\n\}", ptx, re.DOTALL):
        if not IN_GRAPHS.fullmatch(kernel):
            continue
        early, wait, _ = body.partition("griddepcontrol.wait;")
        if not wait:
            yield f"{kernel} does not wait for the kernel before it"
        for word in sorted(set(re.findall(r"\b(?:ld|st|atom|red)\.[\w.:]+", early)) if wait else []):
            if not re.match(r"\w+\.(param|shared)\b|ld\.global\.nc\b", word):
                yield f"{kernel} has {word} before it waits for the kernel before it"


def rows_of(job):
    source, architecture = job
    with tempfile.TemporaryDirectory() as folder:
        ptx = pathlib.Path(folder) / "kernel.ptx"
        text = compile_to_ptx(source, architecture)
        ptx.write_text(text)
        made = subprocess.run([site_packages() / "cuda_nvcc/bin/ptxas", "-v", f"-arch={architecture}", ptx, "-o", ptx.with_suffix(".cubin")],
                              capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"{source.name} for {architecture}: {made.stderr}")
    found = re.findall(r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
                       r"Used (\d+) registers([^\n]*)", made.stderr, re.DOTALL)
    rows = []
    for kernel, stack, stores, loads, registers, rest in found:
        shared = re.search(r"(\d+) bytes smem", rest)
        shared = int(shared.group(1)) if shared else 0
        rows.append((kernel, architecture, int(registers), int(stores) + int(loads), int(stack), shared,
                     occupancy(architecture, kernel, int(registers), shared)))
    return rows, list(touched_early(text)) if architecture == BEGINS_EARLY else []


def compile_as_on_a_board(job):
    source, version, architecture = job
    compile_to_ptx(source, architecture, ROOT / f"build/venv-nvrtc/cuda-{version}/nvidia/cuda_nvrtc/lib")


def main():
    jobs = [(source, architecture) for source in sorted(KERNELS.glob("*.cu")) for architecture in LIMITS]
    with concurrent.futures.ProcessPoolExecutor(int(os.environ.get("WATTLE_JOBS", os.cpu_count()))) as pool:
        made = list(pool.map(rows_of, jobs))
        of_boards = [(source, version, architecture) for source, _ in jobs[:: len(LIMITS)] for version, architectures in OF_JETPACK.items() for architecture in architectures]
        list(pool.map(compile_as_on_a_board, of_boards))
    rows = sorted(row for of_job, _ in made for row in of_job)
    early = [line for _, of_job in made for line in of_job]
    lines = [f"{'kernel':24} {'GPU':6} {'registers':>9} {'spilled':>7} {'stack':>5} {'shared':>6} {'occupancy':>9}"]
    lines += [f"{kernel:24} {gpu:6} {registers:9} {spilled:7} {stack:5} {shared:6} {100 * share:8.0f}%"
              for kernel, gpu, registers, spilled, stack, shared, share in rows]
    table = "\n".join(lines) + "\n"
    spilled = [row for row in rows if row[3]]
    for row in spilled:
        print(f"{row[0]} for {row[1]} spills {row[3]} bytes of registers; none may")
    for line in early:
        print(line)
    if "--update" in sys.argv[1:]:
        GOLDEN.write_text(table)
    expected = GOLDEN.read_text()
    sys.stdout.writelines(difflib.unified_diff(expected.splitlines(True), table.splitlines(True), "expected", "compiled", n=0))
    if table != expected:
        print("read the change; if it is right: build/venv-nvrtc/bin/python tests/cuda_kernels.py --update")
    print(f"{len(rows)} compilations of {len({row[0] for row in rows})} kernels for {', '.join(LIMITS)}; {len(spilled)} spill, {len(early)} faults of early kernels; "
          f"{len(of_boards)} files compiled by NVRTC {' and '.join(OF_JETPACK)}")
    return 1 if spilled or early or table != expected else 0


if __name__ == "__main__":
    sys.exit(main())
