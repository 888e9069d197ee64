// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-runner: runs one task, then exits. Started by the agent it reads a RunnerTask from
// standard input and writes frames to standard output; started by a person with --task it prints
// its progress. See README.md in this folder.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"

#include "base/file.h"
#include "base/standard_output.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/runner.pb.h"
#include "worker/engine/compiled_ahead.h"
#include "worker/engine/model_job.h"
#include "worker/engine/rates.h"
#include "worker/engine/self_test.h"
#include "worker/runner/frame_channel.h"
#include "worker/runner/frame_sink.h"
#include "worker/runner/run_task.h"
#include "worker/runner/step_barrier.h"

namespace {

using wattle::engine::StepDecision;
namespace v1 = wattle::v1;

constexpr int64_t kTaskBytesMax = 1 << 20;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// OpenMP and OpenBLAS read these variables when they are loaded, before main, so the program sets
// them and executes itself again. Spinning threads on a busy machine cost orders of magnitude; a
// core type set by hand halves the speed of OpenBLAS.
void StartAgainWithOurEnvironment(char** arguments) {
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread
  const char* policy = std::getenv("OMP_WAIT_POLICY");
  if (policy != nullptr && std::strcmp(policy, "passive") == 0 &&
      std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    return;
  }
  setenv("OMP_WAIT_POLICY", "passive", 1);
  unsetenv("OPENBLAS_CORETYPE");
  // NOLINTEND(concurrency-mt-unsafe)
  // NOLINTNEXTLINE(clang-analyzer-optin.taint.GenericTaint): this program, with its own arguments
  execv("/proc/self/exe", arguments);
  std::perror("wattle-runner: cannot start again; goes on with the environment as it is");
}

// Returns freed memory to the system: otherwise glibc raises its threshold with each large block
// that is freed, up to 32 MiB, and keeps smaller blocks. The tensors of a pass do not use the heap
// (engine/pass_arena.h), so the system calls are few.
void GiveFreedMemoryBack() {
#ifdef __GLIBC__
  constexpr int kOwnMappingBytes = 1 << 20;
  constexpr int kKeptBytes = 4 << 20;
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread
  mallopt(M_MMAP_THRESHOLD, kOwnMappingBytes);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  // NOLINTEND(concurrency-mt-unsafe)
#endif
}

// Frames get a separate descriptor: anything that a library prints goes to standard error.
int TakeStandardOutput() {
  const int frames = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (frames < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    std::perror("wattle-runner: standard output");
    std::exit(kExitUsage);  // NOLINT(concurrency-mt-unsafe): before any thread
  }
  return frames;
}

int RunForAgent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGPIPE, SIG_IGN);
  const int frames = TakeStandardOutput();
  static wattle::runner::FrameChannelWriter writer(frames);
  static wattle::runner::FrameChannelReader reader(STDIN_FILENO);
  v1::RunnerTask task;
  const auto read = reader.Read(task);
  if (!read.ok() || *read != wattle::runner::FrameChannelReader::Outcome::kMessage) {
    std::fprintf(stderr, "wattle-runner: wants a task on standard input (%s), or --task FILE\n",
                 read.ok() ? "it is empty" : std::string(read.status().message()).c_str());
    return kExitUsage;
  }
  static wattle::runner::StepBarrier barrier(task.gated());
  const auto write = [](const v1::RunnerFrame& frame) {
    if (!writer.Write(frame).ok()) {
      _exit(kExitFailed);  // the agent is gone
    }
  };
  wattle::runner::FollowCommands(reader, barrier, write);
  wattle::runner::FrameSink sink(
      write, [] { return barrier.AfterStep(); }, [] { return barrier.TakeCheckpointOrder(); });
  const v1::RunnerFrame last = RunTask(task, sink);
  write(last);
  std::fflush(nullptr);
  _exit(last.has_failure() ? kExitFailed : 0);  // the thread that reads commands is still waiting
}

// A task written by a person: protobuf's text format, or JSON if it begins with a brace.
bool ReadTask(const std::string& path, v1::RunnerTask& task) {
  const auto text = wattle::ReadWholeFile(path, kTaskBytesMax);
  if (!text.ok()) {
    std::fprintf(stderr, "wattle-runner: %s\n", std::string(text.status().message()).c_str());
    return false;
  }
  if (absl::StartsWith(*text, "{")) {
    const auto parsed = google::protobuf::util::JsonStringToMessage(*text, &task);
    if (!parsed.ok()) {
      std::fprintf(stderr, "wattle-runner: %s: %s\n", path.c_str(), parsed.ToString().c_str());
    }
    return parsed.ok();
  }
  return google::protobuf::TextFormat::ParseFromString(*text, &task);  // prints its own errors
}

// For scripts: each frame as a line of JSON on standard output.
void PrintAsJson(const v1::RunnerFrame& frame) {
  std::string line;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (google::protobuf::util::MessageToJsonString(frame, &line, options).ok()) {
    std::printf("%s\n", line.c_str());
  }
}

int RunForPerson(const std::string& task_path, bool as_json) {
  v1::RunnerTask task;
  if (!ReadTask(task_path, task)) {
    return kExitUsage;
  }
  const auto print = [as_json](const v1::RunnerFrame& frame) {
    if (as_json) {
      PrintAsJson(frame);
    }
    std::fprintf(stderr, "%s\n", wattle::runner::FrameAsLine(frame).c_str());
  };
  wattle::runner::FrameSink sink(
      print, [] { return StepDecision::kGoOn; }, [] { return false; });
  const v1::RunnerFrame last = RunTask(task, sink);
  print(last);
  return last.has_result() ? 0 : kExitFailed;
}

// The second line has the facts of DeviceInfo that the worker reports; an older worker reads only
// the first line.
int PrintDevice(const std::string& device) {
  const absl::Status usable = wattle::engine::CheckDevice(device);
  std::printf("%s\n", usable.ok() ? "ok" : std::string(usable.message()).c_str());
  const wattle::engine::DeviceMemory memory =
      usable.ok() ? wattle::engine::MemoryOfDevice(device) : wattle::engine::DeviceMemory();
  v1::DeviceInfo facts;
  facts.set_accelerator_total_bytes(memory.total_bytes);
  facts.set_accelerator_shares_memory(memory.shares_host);
  std::string line;
  if (memory.total_bytes > 0 && google::protobuf::util::MessageToJsonString(facts, &line).ok()) {
    std::printf("%s\n", line.c_str());
  }
  return wattle::AfterOutput("wattle-runner", 0);
}

int PrintRates(const std::string& device, int threads) {
  absl::Status status = wattle::engine::SetThreads(threads);
  if (status.ok()) {
    const auto rates = wattle::engine::MeasureRates(device);
    std::string line;
    if (rates.ok() && google::protobuf::util::MessageToJsonString(*rates, &line).ok()) {
      std::printf("%s\n", line.c_str());
      return wattle::AfterOutput("wattle-runner", 0);
    }
    status = rates.status();
  }
  std::fprintf(stderr, "wattle-runner: --measure-rates %s: %s\n", device.c_str(),
               std::string(status.message()).c_str());
  return kExitFailed;
}

int PrintSelfTest(const std::string& device, int threads) {
  absl::Status status = wattle::engine::SetThreads(threads);
  if (status.ok()) {
    status = wattle::engine::SelfTest(device);
  }
  std::printf("%s\n", status.ok() ? "ok" : std::string(status.message()).c_str());
  return wattle::AfterOutput("wattle-runner", 0);
}

int PrintKernelsAhead(const std::string& device, const std::string& directory) {
  const auto made = wattle::engine::CompileKernelsAhead(device, directory);
  std::printf("%s\n", made.ok()
                          ? absl::StrFormat("ok: compiled %d of %d files of kernels in %.1f s",
                                            made->compiled, made->files, made->seconds)
                                .c_str()
                          : std::string(made.status().message()).c_str());
  return wattle::AfterOutput("wattle-runner", 0);
}

int Main(int argc, char** argv) {
  CLI::App app("Runs one Wattle task. Without an option: for the agent, over pipes.");
  std::string task_path;
  bool as_json = false;
  std::string initialize_directory;
  uint64_t seed = 0;
  std::string device;
  std::string measured_device;
  std::string tested_device;
  std::vector<std::string> kernels_ahead;
  int threads = 1;
  app.set_version_flag("--version", wattle::engine::EngineVersion());
  app.add_option("--task", task_path, "Run the RunnerTask in this file (text format or JSON)");
  app.add_flag("--json", as_json, "With --task: print frames as lines of JSON on standard output");
  app.add_option(
      "--check-device", device,
      "Print \"ok\" where jobs can run on this device (cpu, cuda) and a line of JSON with its "
      "memory, else why not");
  app.add_option(
      "--self-test", tested_device,
      "Print \"ok\" where the engine calculates rightly on this device (cpu, cuda), else "
      "what it got wrong");
  app.add_option("--measure-rates", measured_device,
                 "Print what this device (cpu, cuda) does in a second, as a line of JSON");
  app.add_option("--compile-kernels", kernels_ahead,
                 "DEVICE DIRECTORY: compile this device's kernels (cuda) into the directory, where "
                 "jobs find them")
      ->expected(2);
  app.add_option("--threads", threads, "Of --measure-rates and --self-test [1]");
  app.add_option("--initialize", initialize_directory,
                 "Write random weights into this directory, which has config.json and no weights");
  app.add_option("--seed", seed, "Of --initialize");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream help;
    app.exit(asked, help, std::cerr);
    return wattle::PrintHelp("wattle-runner", help.str());
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "wattle-runner: %s; see wattle-runner --help\n", error.what());
    return kExitUsage;
  }
  if (!device.empty()) {
    return PrintDevice(device);
  }
  if (!tested_device.empty()) {
    return PrintSelfTest(tested_device, threads);
  }
  if (!measured_device.empty()) {
    return PrintRates(measured_device, threads);
  }
  if (!kernels_ahead.empty()) {
    return PrintKernelsAhead(kernels_ahead[0], kernels_ahead[1]);
  }
  if (!initialize_directory.empty()) {
    const absl::Status status =
        wattle::engine::InitializeModelDirectory(initialize_directory, seed);
    if (!status.ok()) {
      std::fprintf(stderr, "wattle-runner: %s\n", std::string(status.message()).c_str());
      return kExitFailed;
    }
    return 0;
  }
  return task_path.empty() ? RunForAgent() : RunForPerson(task_path, as_json);
}

}  // namespace

int main(int argc, char** argv) {
  StartAgainWithOurEnvironment(argv);
  GiveFreedMemoryBack();
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "wattle-runner: %s\n", error.what());
    return kExitFailed;
  }
}
