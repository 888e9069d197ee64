#!/usr/bin/env python3
# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""./dev gpu-exam: the engine on the NVIDIA GPU of this machine. Without one it says so and exits 3, which is never a pass.

Every test of wattle-gpu-exam runs on the GPU, beside the host: kernels, families' goldens, generations, ways of training, resume bit for bit. Then
a real job decodes and one trains, directly and in a runner's box; decoding and training are timed beside PyTorch, eager and by torch.compile, and
beside llama.cpp and bitsandbytes where they are (./dev gpu-exam --pack-peers brings them). What takes too long or fails is reported and left out.
What the machine lacks (BF16 before Ampere, memory for a model) is left out and is no failure. Writes build/bench/gpu-exam.json and a table.

  --programs DIR   where wattle-gpu-exam, wattle-gpu-decode, wattle-runner and wattle-box-load are (default build/gpu-exam/bin)
  --golden DIR     tests/golden, of the same commit (default that of this checkout)
  --out DIR        where the JSON and the logs go (default build/bench)
  --peers DIR      where llama/ (llama-bench and its libraries) and python/ (bitsandbytes) are (default build/gpu-exam)
  --parts A,B      of: ahead, tests, rates, jobs, decode, peers, llamacpp, bitsandbytes, prompts, train, moments, sanitizer (default all); a ratio to
                   a peer of decoding needs decode before it. peers: PyTorch; moments: training with moments of 8 bits, beside bitsandbytes.
                   engine_tests, which is not among all: all tests of the engine and its jobs, on the GPU, by the programs of ENGINE_TESTS; no card ran them yet
  --models A,B --formats A,B   of decode
  --no-peers       without PyTorch, llama.cpp and bitsandbytes
  --patience N     every limit of time is N times as long (default 8 on arm64, whose GPU is a board's, else 1)
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from random_gguf import write_gguf
from random_model import byte_symbols

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = pathlib.Path(__file__).resolve().parent
NO_GPU = 3
MODELS = ["gpt2-small", "tinyllama"]
FORMATS = ["int8", "int4-g64", "nf4-g64", "fp32"]
PARTS = ["ahead", "tests", "rates", "jobs", "decode", "peers", "llamacpp", "bitsandbytes", "prompts", "train", "moments", "sanitizer"]
LLAMA_FORMATS = {"Q8_0": "int8", "Q4_0": "int4-g64"}  # and the format of Wattle that it is compared with
GPT2 = {"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "attn_pdrop": 0.1,
        "embd_pdrop": 0.1, "resid_pdrop": 0.1}
BATCH, LENGTH, WARM_UP, STEPS = 8, 512, 5, 20  # the settings of gpu_exam_peer.py


PEERS = ["peers", "llamacpp", "bitsandbytes", "prompts"]  # parts that measure only peers
# Words of cuda_capability.cc, torch_border.h and landlock.cc.
LACKS_BF16, LACKS_MEMORY, LACKS_LANDLOCK = "has no BF16 products", "not enough memory", "Landlock: "
GROUP_GIB = 8  # of the machine's memory for each group of tests: a board's GPU takes that of every process from there


def is_board():
    return platform.machine() == "aarch64"


def memory_kib(name):
    return int(re.search(rf"^{name}:\s+(\d+) kB", pathlib.Path("/proc/meminfo").read_text(), re.M).group(1))


class GpuMemory:
    """The peak memory of the whole GPU during a command, read ten times a second. A board's GPU shares the board's memory, and no nvidia-smi
    reports it."""

    def __enter__(self):
        self.before = self.used()
        self.peak, self.ended = self.before, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.ended.wait(0.1):
            self.peak = max(self.peak, self.used())

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    @staticmethod
    def used():
        told = nvidia_smi("--query-gpu=memory.used", "--format=csv,noheader,nounits").split()
        if told and told[0].isdigit():
            return int(told[0])
        return (memory_kib("MemTotal") - memory_kib("MemAvailable")) // 1024 if is_board() else 0


def nvidia_smi(*arguments):
    """Its output; empty if it fails or does not exist, as on a Jetson."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def machine(exam):
    """A description of the machine, for readers of the JSON elsewhere."""
    told = {"card": nvidia_smi("--query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem", "--format=csv,noheader").strip(),
            "memory_kib": memory_kib("MemTotal"), "architecture": platform.machine()}
    # A container's device tree is where deploy/jetson/run mounts it.
    for key, path in (("board", "/run/device-tree/model"), ("board", "/proc/device-tree/model"), ("l4t", "/etc/nv_tegra_release")):
        if os.path.isfile(path):
            told[key] = pathlib.Path(path).read_text(errors="replace").strip("\0\n").splitlines()[0]
    told["engine"] = (exam.run("version", [exam.program("wattle-runner"), "--version"], 60) or "").strip()
    return told


class Exam:
    def __init__(self, options):
        self.options = options
        self.figures = []
        self.failed = []
        self.left_out = []
        self.machine = {}
        self.out = pathlib.Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.begin = time.monotonic()
        self.lock = threading.Lock()
        self.made = ""  # by the last job of generation
        self.kernels = pathlib.Path(tempfile.mkdtemp(prefix="wattle-kernels-"))
        self.peers = pathlib.Path(options.peers).resolve()
        self.paths = {}  # of peers, while they run

    def say(self, text):
        print(f"[{time.monotonic() - self.begin:5.0f} s] {text}", flush=True)

    def add(self, key, value, unit, peer=""):
        if not math.isfinite(value):  # JSON has no such number
            self.fail(key, f"{value} is no number")
            return
        self.say(f"{key}: {value:.6g} {unit}{'; ' if peer else ''}{peer}")
        self.figures.append({"key": f"cuda.{key}", "value": value, "unit": unit, "peer": peer})
        self.write()

    def ratio(self, key, ours, peer):
        """Adds the ratio of the figure `ours` of this run to a peer's rate, if the figure exists."""
        found = [figure["value"] for figure in self.figures if figure["key"] == f"cuda.{ours}"]
        if found:
            self.add(key, found[-1] / peer, "x")
        else:
            self.say(f"{key}: left out, without {ours} in this run")

    def fail(self, what, why):
        self.say(f"FAILED: {what}: {why}")
        self.failed.append({"what": what, "why": why})
        self.write()

    def leave_out(self, what, why):
        self.say(f"left out: {what}: {why}")
        self.left_out.append({"what": what, "why": why})
        self.write()

    def lacked(self, what):
        return any(one["what"] == what for one in self.left_out)

    def write(self):
        told = {"machine": self.machine, "figures": self.figures, "failed": self.failed, "left_out": self.left_out}
        (self.out / "gpu-exam.json").write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")

    def run(self, what, command, seconds, log=None, lacks=(), more=None):
        """The standard output of a command, or None if it failed, which is printed. Its log keeps both outputs. lacks: words of a last line which show
        that the machine lacks a requirement, so that nothing failed. more: additional environment variables."""
        seconds *= self.options.patience
        environment = {**os.environ, **self.paths, "WATTLE_GOLDEN": self.options.golden, "WATTLE_KERNEL_CACHE": str(self.kernels), **(more or {})}
        try:
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as expired:
            texts = [part.decode(errors="replace") if isinstance(part, bytes) else part or "" for part in (expired.stdout, expired.stderr)]
            self.keep(log or what, texts)
            self.fail(what, f"not done after {seconds} s")
            return None
        except OSError as error:
            self.fail(what, str(error))
            return None
        self.keep(log or what, [done.stdout, done.stderr])
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            if any(words in last for words in lacks):
                self.leave_out(what, last)
            else:
                self.fail(what, f"exit {done.returncode}: {last}")
            return None
        return done.stdout

    def keep(self, what, texts):
        with self.lock, open(self.out / "gpu-exam.log", "a", encoding="utf-8") as log:
            log.write(f"=== {what}\n" + "\n".join(texts) + "\n")

    def program(self, name):
        return pathlib.Path(self.options.programs) / name


# Each group in a separate process, so that a crash loses only one group.
GROUPS = ["GpuKernelsTest.*", "*GpuStoredTest*:GpuRandomTest.*:GpuRoundingTest.*", "*GpuGenerationTest*:GpuCacheTest.*:GpuPromptTest.*", "*GpuFamilyTest*",
          "*GpuRecipeTest*:GpuCheckpointTest.*:GpuFaultsTest.*:GpuTf32Test.*", "*GpuModeTest.Losses*", "*GpuModeTest.ARun*"]


def groups_at_once(kib):
    return max(1, min(len(GROUPS), kib // (GROUP_GIB << 20)))


def tests(exam):
    begin = time.monotonic()
    command = [exam.program("wattle-gpu-exam")]
    with concurrent.futures.ThreadPoolExecutor(groups_at_once(memory_kib("MemTotal"))) as threads:
        ended = list(threads.map(lambda group: exam.run(f"tests {group}", [*command, f"--gtest_filter={group}"], exam.options.limit), GROUPS))
    log = (exam.out / "gpu-exam.log").read_text(errors="replace")
    passed = len(re.findall(r"^\[       OK \]", log, re.M))
    failed = sorted(set(re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", log, re.M)))
    exam.add("tests.passed", passed, "tests")
    exam.add("tests.failed", len(failed), "tests", " ".join(failed))
    exam.add("tests.groups_not_done", sum(done is None for done in ended), "groups", "with a failed test, a crash, or too slow")
    exam.add("tests.seconds", time.monotonic() - begin, "s")
    for name, milliseconds in re.findall(r"^compiled (\S+) in (\d+) ms", log, re.M):
        exam.add(f"nvrtc.{name}.ms", int(milliseconds), "ms")


# The tests of the engine and its jobs, which run on the device that WATTLE_TEST_DEVICE names.
ENGINE_TESTS = ["wattle_engine_test", "wattle_engine_jobs_test", "wattle_precision_test", "wattle_gguf_directory_test", "wattle_mezo_test"]


def engine_tests(exam):
    for program in ENGINE_TESTS:
        exam.run(f"engine_tests {program}", [exam.program(program)], exam.options.limit, more={"WATTLE_TEST_DEVICE": "cuda"})
    logs = (exam.out / "gpu-exam.log").read_text(errors="replace").split("=== engine_tests ")[1:]
    exam.add("engine_tests.passed", sum(len(re.findall(r"^\[       OK \]", log, re.M)) for log in logs), "tests")
    failed = {name for log in logs for name in re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", log, re.M)}
    exam.add("engine_tests.failed", len(failed), "tests", " ".join(sorted(failed)))


def sanitizer(exam):
    checker = shutil.which("compute-sanitizer")
    if checker is None:
        exam.say("compute-sanitizer is not installed: left out")
        return
    filters = "GpuGenerationTest.LogitsAreThoseOfTheCpu/*:GpuStoredTest.RowsAreThoseOfTheHost/int8"
    for tool in ("memcheck", "racecheck"):
        text = exam.run(f"sanitizer {tool}", [checker, "--tool", tool, "--error-exitcode", "9", exam.program("wattle-gpu-exam"), f"--gtest_filter={filters}"], 90)
        if text is not None:
            exam.say(f"compute-sanitizer {tool}: {text.strip().splitlines()[-1]}")
            exam.add(f"sanitizer.{tool}.errors", 0, "errors")


def decode(exam):
    for model in exam.options.models.split(","):
        for name in exam.options.formats.split(","):
            text = exam.run(f"decode {model} {name}", [exam.program("wattle-gpu-decode"), model, name], 100, lacks=[LACKS_MEMORY])
            if text is None:
                continue
            told = json.loads(re.sub(r": -?nan\b", ": NaN", text.splitlines()[-1]))
            key = f"{model}.{name}"
            exam.add(f"{key}.tokens_per_s", told["tokens_per_s"], "tokens/s", f"the best token: {told['best_tokens_per_s']:.0f}")
            exam.add(f"{key}.bandwidth_percent", 100 * told["bandwidth_share"], "%", f"of {told['read_bytes_per_s'] / 1e9:.0f} GB/s read by a sum")
            exam.add(f"{key}.logit_error", told["logit_error"], "", "of the CPU's operator, whose products round inputs")
            for other in sorted(told.keys() - {"model", "format", "tokens_per_s", "best_tokens_per_s", "bandwidth_share", "read_bytes_per_s", "logit_error", "kernels"}):
                exam.add(f"{key}.{other}", told[other], "")
            if told["early_error"] != 0:
                exam.fail(f"decode {model} {name}", f"logits of kernels that begin early differ from those of kernels in turn by {told['early_error']}")
            for group in told["kernels"]:
                exam.add(f"{key}.us.{group['kernel'].replace(' ', '.')}", group["us"], "us", f"a launch of {group['launches']} a token")


def peer(exam, what, *arguments, limit=120):
    text = exam.run(f"peer {what}", [exam.options.python, BENCH / "gpu_exam_peer.py", *arguments], limit)
    return json.loads(text.splitlines()[-1]) if text else None


def peers(exam):
    told = peer(exam, "bandwidth", "bandwidth")
    if told:
        exam.add("torch.read_bytes_per_s", told["read"], "B/s", "a sum of 4 GiB")
        exam.add("torch.copy_bytes_per_s", told["copy"], "B/s", "a copy of 4 GiB, read and written")
    for form in ("eager", "compiled"):
        for model in exam.options.models.split(","):
            for kind in ("bf16", "fp32") if form == "eager" else ("bf16",):
                told = peer(exam, f"{model} {kind} {form}", "decode", model, kind, form)
                if told:
                    exam.add(f"torch.{model}.{kind}.{form}.tokens_per_s", told["tokens_per_s"], "tokens/s", f"PyTorch {told['version']}")


def path_of(name, *folders):
    """A path variable with some folders first."""
    return {name: os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get(name)])])}


# The libraries in PyTorch's packages for CUDA 13.
CUDA_FOLDERS = "import glob, os, sys; print(os.pathsep.join({os.path.dirname(file) for path in sys.path for file in glob.glob(path + '/nvidia/*/lib/*.so.13')}))"


def llamacpp(exam):
    """llama.cpp's own llama-bench on random weights of the models' shapes. Threads: one or several; the faster result counts."""
    program = exam.peers / "llama/llama-bench"
    if not program.is_file():
        exam.say(f"llama.cpp is not there: {program}; ./dev gpu-exam --pack-peers builds it")
        return
    folders = exam.run("folders of CUDA", [exam.options.python, "-c", CUDA_FOLDERS], 30)
    exam.paths = path_of("LD_LIBRARY_PATH", program.parent, (folders or "").strip())
    with tempfile.TemporaryDirectory(prefix="wattle-gguf-") as directory:
        for model in exam.options.models.split(","):
            for name, ours in LLAMA_FORMATS.items():
                llama_bench(exam, program, pathlib.Path(directory) / f"{model}-{name}.gguf", (model, name, ours))
    exam.paths = {}


def llama_bench(exam, program, path, case):
    model, name, ours = case
    version = program.parent / "version"
    peer_text = f"llama.cpp of {version.read_text().strip()}" if version.is_file() else "llama.cpp"
    begin = time.monotonic()
    write_gguf(path, model, name)
    exam.say(f"{path.name}: {path.stat().st_size / 1e6:.0f} MB written in {time.monotonic() - begin:.1f} s")
    text = exam.run(f"llama.cpp {model} {name}", [program, "-m", path, "-ngl", "99", "-p", "512", "-n", "128", "-t", "1,8", "-o", "json"], 40)
    path.unlink()
    if text is None:
        return
    runs = json.loads(text)
    if not runs[0]["gpu_info"]:
        exam.fail(f"llama.cpp {model} {name}", "it found no GPU")
        return
    for key, what, shares in (("tokens_per_s", "n_gen", "ratio"), ("prompt_tokens_per_s", "n_prompt", "prefill_ratio")):
        rate = max(run["avg_ts"] for run in runs if run[what])
        exam.add(f"peers.llamacpp.{model}.{name.lower()}.{key}", rate, "tokens/s", peer_text)
        exam.ratio(f"{model}.{ours}.{shares}_vs_llamacpp_{name.lower()}", f"{model}.{ours}.{key}", rate)


def find_bitsandbytes(exam):
    """Adds exam.peers to Python's path; returns whether the package exists."""
    exam.paths = path_of("PYTHONPATH", exam.peers / "python")
    command = [exam.options.python, "-c", "import importlib.util; print(importlib.util.find_spec('bitsandbytes') is not None)"]
    if (exam.run("whether bitsandbytes is there", command, 30) or "").strip() == "True":
        return True
    exam.say(f"bitsandbytes is not there: neither in {exam.options.python} nor in {exam.peers / 'python'}; ./dev gpu-exam --pack-peers brings it")
    return False


def bitsandbytes(exam):
    if find_bitsandbytes(exam):
        for model in exam.options.models.split(","):
            for kind, ours in (("int8", "int8"), ("nf4", "nf4-g64")):
                told = peer(exam, f"bitsandbytes {model} {kind}", "bitsandbytes", model, kind, limit=50)
                if told is None:
                    continue
                for form in ("eager", "captured"):
                    if form in told:
                        exam.add(f"peers.bitsandbytes.{model}.{kind}.{form}.tokens_per_s", told[form], "tokens/s", f"bitsandbytes {told['version']}, head in 16 bits")
                    else:
                        exam.say(f"bitsandbytes {model} {kind}: no CUDA graph: {told['not_captured']}")
                exam.ratio(f"{model}.{ours}.ratio_vs_bitsandbytes_{kind}", f"{model}.{ours}.tokens_per_s", max(told["eager"], told.get("captured", 0.0)))
    exam.paths = {}


def prompts(exam):
    """PyTorch's prompts; Wattle's are among the figures of decode."""
    for model in exam.options.models.split(","):
        for kind in ("bf16", "fp32"):
            told = peer(exam, f"prompt {model} {kind}", "prompt", model, kind, "eager")
            if told:
                exam.add(f"torch.{model}.{kind}.eager.prompt_tokens_per_s", told["tokens_per_s"], "tokens/s", f"512 tokens, PyTorch {told['version']}")


def ahead(exam):
    """Compiles the kernels like wattle-worker probe --device cuda, for the parts that follow."""
    for what in ("compiled", "found"):
        text = exam.run(f"kernels {what}", [exam.program("wattle-runner"), "--compile-kernels", "cuda", exam.kernels], 300)
        told = re.match(r"ok: compiled (\d+) of (\d+) files of kernels in ([0-9.]+) s", text or "")
        if told is None:
            exam.fail(f"kernels {what}", (text or "no answer").strip())
            return
        exam.add(f"kernels.{what}.seconds", float(told.group(3)), "s", f"{told.group(1)} of {told.group(2)} files were compiled")


def make_model(exam, directory, config):
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({**config, "bos_token_id": 256, "eos_token_id": 256}))
    (directory / "vocab.json").write_text(json.dumps({**byte_symbols(), "<|endoftext|>": 256}))
    (directory / "merges.txt").write_text("#version: 0.2\n")
    return exam.run("model", [exam.program("wattle-runner"), "--initialize", directory, "--seed", "1"], 120) is not None


def run_task(exam, what, work, model, spec, *, device="cuda", text=None):
    """A whole job in a fresh process: its frames, or None."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    task = {"modelDirectory": str(model), "workDirectory": f"{directory}/work", "outputDirectory": f"{directory}/output", "threads": 4, "spec": spec,
            "device": device}
    if text is not None:
        task["dataFile"] = str(text)
    (directory / "task.json").write_text(json.dumps(task))
    done = exam.run(what, [exam.program("wattle-runner"), "--task", directory / "task.json", "--json"], 150, lacks=[LACKS_BF16, LACKS_MEMORY])
    made = directory / "output/generations.jsonl"
    if made.is_file():
        exam.made = made.read_text()
    return None if done is None else [json.loads(line) for line in done.splitlines() if line.startswith("{")]


def rates(exam):
    for what in (["--measure-rates", "cuda", "--threads", "4"],):
        text = exam.run(" ".join(what), [exam.program("wattle-runner"), *what], 100)
        exam.say(f"wattle-runner {' '.join(what)}: {(text or 'failed').strip()}")
        if text and text.startswith("{"):
            for key, value in json.loads(text).items():
                if not isinstance(value, str) or value.replace(".", "").isdigit():
                    exam.add(f"rates.{key}", float(value), "")


def jobs(exam, work):
    model = work / "gpt2"
    if not make_model(exam, model, GPT2):
        return
    for recipe in ("none", "int8"):
        spec = {"generate": {"prompts": ["The mast has a panel, a battery and a board."], "maxNewTokens": 200}}
        if recipe != "none":
            spec["generate"]["quantization"] = f"QUANTIZATION_{recipe.upper()}"
        told = {}
        for device in ("cpu", "cuda"):
            frames = run_task(exam, f"generate {recipe} {device}", work, model, spec, device=device)
            if frames is None:
                continue
            told[device] = exam.made
            seconds = [frame["step"]["compute_seconds"] for frame in frames if "step" in frame and "compute_seconds" in frame["step"]]
            if len(seconds) > 40:
                exam.add(f"job.generate.{recipe}.{device}.tokens_per_s", 1 / statistics.median(seconds[20:]), "tokens/s", "a whole job, GPT-2 Small's shape")
        if len(told) == 2:
            exam.add(f"job.generate.{recipe}.same_text", float(told["cpu"] == told["cuda"]), "", "1: what the CPU writes, to the last byte")
    box(exam, work, model)


def box(exam, work, model):
    for level in ("none", "seccomp", "full"):
        directory = pathlib.Path(tempfile.mkdtemp(dir=work))
        for name in ("work", "output"):
            (directory / name).mkdir()
        (directory / "task.txt").write_text(
            f'model_directory: "{model}" work_directory: "{directory}/work" output_directory: "{directory}/output" threads: 4 device: "cuda"\n'
            'spec { generate { prompts: "The mast has a panel" max_new_tokens: 40 } }\n')
        text = exam.run(f"box {level}", [exam.program("wattle-box-load"), "steps", exam.program("wattle-runner"), directory / "task.txt", level], 100, lacks=[LACKS_LANDLOCK])
        if text:
            exam.add(f"box.{level}.step_seconds", float(text.strip().split("=")[1]), "s")
        elif level != "none" and not exam.lacked(f"box {level}"):
            trace_box(exam, level)


def trace_box(exam, level):
    """Why a sandboxed runner finds no GPU: the calls that its sandbox refuses, and the folders that it needs."""
    for folders in ([], ["/dev"], ["/proc"], ["/sys"], ["/etc"], ["/usr"], ["/var"], ["/tmp"], ["/run"], ["/"]):
        command = [exam.program("wattle-box-load"), "trace", exam.program("wattle-runner"), level, *(folder for folder in folders if os.path.isdir(folder))]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60 * exam.options.patience, check=False)
        exam.say(f"box {level}, may also read {' '.join(folders) or 'nothing'}: exit {done.returncode}: " + "; ".join(done.stdout.split("\n") + done.stderr.split("\n")[-3:]))
        if level != "full":
            break


def training(exam, work):
    """A model of GPT-2 Small's shape and a text, or None."""
    model = work / "gpt2"
    if not model.is_dir() and not make_model(exam, model, GPT2):
        return None
    text = work / "text.txt"
    text.write_text(("The mast has a panel, a battery and a board; it wakes up with the sun. " * 8000)[:LENGTH * 1000])
    return model, text


def train_ours(exam, work, kind, key, **more):
    """Whether the GPU has such products."""
    model, text = training(exam, work) or (None, None)
    if model is None:
        return True
    spec = {"finetune": {"steps": WARM_UP + STEPS, "batchSize": BATCH, "sequenceLength": LENGTH, "learningRate": 1e-5, "weightDecay": 0.01,
                         "clipNorm": 1.0, "precision": f"PRECISION_{kind.upper()}", **more}}
    with GpuMemory() as memory:
        frames = run_task(exam, key, work, model, spec, text=text)
    seconds = [] if frames is None else [frame["step"]["compute_seconds"] for frame in frames if frame.get("step", {}).get("phase") == "train"]
    if len(seconds) > WARM_UP:
        exam.add(f"{key}.tokens_per_s", BATCH * LENGTH / statistics.median(seconds[WARM_UP:]), "tokens/s", f"GPT-2 Small's shape, batch {BATCH} x {LENGTH}")
        exam.add(f"{key}.gpu_mib", memory.peak - memory.before, "MiB", "of the whole board" if is_board() else "of the whole process, by nvidia-smi")
    return not any(one["what"] == key and LACKS_BF16 in one["why"] for one in exam.left_out)


def train_peer(exam, kind, form, key):
    with GpuMemory() as memory:
        told = peer(exam, f"train {kind} {form}", "train", kind, form)
    if told:
        exam.add(f"{key}.tokens_per_s", told["tokens_per_s"], "tokens/s", f"PyTorch {told['version']}")
        exam.add(f"{key}.gpu_mib", memory.peak - memory.before, "MiB", f"its tensors {told['peak_bytes'] / 2**20:.0f} MiB")


def train(exam, work):
    for kind in ("bf16", "tf32", "fp32"):
        if not train_ours(exam, work, kind, f"train.{kind}"):
            train_ours(exam, work, "fp16", "train.fp16")
            continue
        forms = ["eager"] if kind == "tf32" else ["eager", "compiled"]
        for form in forms if not exam.options.no_peers else []:
            train_peer(exam, kind, form, f"torch.train.{kind}.{form}")


def moments(exam, work):
    if not train_ours(exam, work, "bf16", "train.bf16.adamw_8bit", optimizer="OPTIMIZER_ADAMW_8BIT"):
        train_ours(exam, work, "fp16", "train.fp16.adamw_8bit", optimizer="OPTIMIZER_ADAMW_8BIT")
    if not exam.options.no_peers and find_bitsandbytes(exam):
        train_peer(exam, "bf16", "8bit", "peers.bitsandbytes.train.bf16")
    exam.paths = {}


def sit(exam, part, work):
    run = {"ahead": ahead, "prompts": prompts, "tests": tests, "engine_tests": engine_tests, "rates": rates, "sanitizer": sanitizer, "decode": decode, "peers": peers,
           "llamacpp": llamacpp, "bitsandbytes": bitsandbytes}.get(part)
    if run is not None:
        run(exam)
    else:
        {"jobs": jobs, "train": train, "moments": moments}[part](exam, work)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default=str(ROOT / "build/gpu-exam/bin"))
    parser.add_argument("--golden", default=str(ROOT / "tests/golden"))
    parser.add_argument("--out", default=str(ROOT / "build/bench"))
    parser.add_argument("--peers", default=str(ROOT / "build/gpu-exam"))
    parser.add_argument("--python", default="python3", help="the Python that has PyTorch")
    parser.add_argument("--limit", type=int, default=600, help="seconds that a group of tests may take")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--no-peers", action="store_true", help="without PyTorch, llama.cpp and bitsandbytes")
    parser.add_argument("--patience", type=float, default=8 if is_board() else 1, help="every limit of time is so many times as long")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--formats", default=",".join(FORMATS))
    options = parser.parse_args()
    if unknown := sorted(set(options.parts.split(",")) - {*PARTS, "engine_tests"}):
        parser.error(f"--parts: no part is called {unknown[0]!r}")
    options.golden = str(pathlib.Path(options.golden).resolve())
    exam = Exam(options)
    (exam.out / "gpu-exam.log").write_text("")
    checked = subprocess.run([exam.program("wattle-runner"), "--check-device", "cuda"], capture_output=True, text=True, check=False)
    if checked.returncode != 0 or checked.stdout.split("\n")[0] != "ok":
        print(f"gpu-exam: no GPU was examined: {checked.stdout.strip() or checked.stderr.strip()}")
        sys.exit(NO_GPU)
    exam.machine = machine(exam)
    exam.say("; ".join(f"{key}: {value}" for key, value in exam.machine.items()))
    work = pathlib.Path(tempfile.mkdtemp(prefix="wattle-exam-"))
    try:
        for part in options.parts.split(","):
            if options.no_peers and part in PEERS:
                continue
            exam.say(f"--- {part}")
            begin = time.monotonic()
            try:
                sit(exam, part, work)
            except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError) as error:  # the other parts still give results
                exam.fail(part, repr(error))
            exam.say(f"--- {part}: {time.monotonic() - begin:.0f} s")
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(exam.kernels, ignore_errors=True)
        exam.write()
    width = max((len(figure["key"]) for figure in exam.figures), default=0)
    for figure in exam.figures:
        print(f"{figure['key']:{width}} {figure['value']:>14.6g} {figure['unit']:10} {figure['peer'][:100]}")
    for one in exam.left_out:
        print(f"left out: {one['what']}: {one['why']}")
    for failure in exam.failed:
        print(f"FAILED: {failure['what']}: {failure['why']}")
    sys.exit(1 if exam.failed else 0)


if __name__ == "__main__":
    main()
