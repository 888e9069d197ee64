// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A runner for tests: speaks the frames, trains nothing, needs no libtorch. The program makes
// `steps` of the task's finetune spec (default 5) steps of 8 examples each, keeps its step in
// work_directory/step, and writes output_directory/config.json. The job's name selects a fault:
// "crash-at:N" (SIGKILL to itself after step N, once), "abort-at:N", "fail" (a failure frame of
// class data), "garbage" (no frames), "oversize" (a frame without an end), "flood-frames" (500 of
// 0.9 MiB), "flood" (200,000 lines), "hang" (no step ever ends), "stop-at:N" (SIGSTOP to itself
// after step N, once), "sleep-ms:N" (per step), "tell-score" (a line with its out-of-memory score).
// Sends only one sign of life.
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

#include "wattle/v1/runner.pb.h"
#include "worker/child/frames/frames.h"

// Off, because the leak check at the end makes a thread by clone, which a runner's sandbox refuses.
int __lsan_is_turned_off() {
  return 1;
}  // NOLINT(bugprone-reserved-identifier): AddressSanitizer's

// NOLINTBEGIN(concurrency-mt-unsafe): one thread
namespace {

using wattle::child::EncodeFrame;
using wattle::child::FrameReader;
namespace v1 = wattle::v1;

void SendAll(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (size <= 0) {
      std::exit(3);
    }
    bytes.remove_prefix(static_cast<size_t>(size));
  }
}

void SendFrame(const v1::RunnerFrame& frame) {
  SendAll(EncodeFrame(frame.SerializeAsString()));
}

std::string ReadMessage(FrameReader& reader) {
  while (true) {
    auto message = reader.Next();
    if (!message.ok()) {
      std::exit(4);
    }
    if (message->has_value()) {
      return **message;
    }
    char buffer[4096];
    const ssize_t size = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (size <= 0) {
      std::exit(5);
    }
    reader.Append({buffer, static_cast<size_t>(size)});
  }
}

std::optional<int> Trouble(const v1::RunnerTask& task, absl::string_view prefix) {
  absl::string_view name = task.spec().name();
  int value = 0;
  if (absl::ConsumePrefix(&name, prefix) && absl::SimpleAtoi(name, &value)) {
    return value;
  }
  return std::nullopt;
}

// Returns true to continue.
bool AwaitContinue(FrameReader& reader, bool gated, int step) {
  // Without a gate, checks for a stop without waiting, because the tests stop only gated runs.
  if (!gated) {
    return true;
  }
  v1::RunnerCommand command;
  command.ParseFromString(ReadMessage(reader));
  if (command.has_stop()) {
    v1::RunnerFrame frame;
    frame.mutable_stopped()->set_step(command.stop().discard() ? 0 : step);
    SendFrame(frame);
    return false;
  }
  return true;
}

void SendPhase(const std::string& phase, int from_step, int steps) {
  v1::RunnerFrame frame;
  frame.mutable_phase()->set_phase(phase);
  frame.mutable_phase()->set_from_step(from_step);
  frame.mutable_phase()->set_steps_total(steps);
  SendFrame(frame);
}

int Train(const v1::RunnerTask& task, FrameReader& reader) {
  const int steps =
      task.spec().finetune().steps() > 0 ? static_cast<int>(task.spec().finetune().steps()) : 5;
  const std::string step_file = task.work_directory() + "/step";
  int step = 0;
  std::ifstream(step_file) >> step;
  SendPhase("load", 0, 0);
  SendPhase("train", step, steps);
  const bool resumed = step > 0;
  while (step < steps) {
    ++step;
    if (const auto milliseconds = Trouble(task, "sleep-ms:")) {
      usleep(static_cast<useconds_t>(*milliseconds) * 1000);
    }
    v1::RunnerFrame frame;
    v1::StepDone& done = *frame.mutable_step();
    done.set_phase("train");
    done.set_step(step);
    done.set_steps_total(steps);
    done.set_loss(4.0 / step);
    done.set_tokens(800);
    done.set_examples(8);
    done.set_flops(1e11);
    SendFrame(frame);
    if (!AwaitContinue(reader, task.gated(), step)) {
      std::ofstream(step_file) << step;
      return 0;
    }
    if (step % 2 == 0 && step < steps) {
      SendPhase("checkpoint", step, steps);
      std::ofstream(step_file) << step;
      v1::RunnerFrame checkpoint;
      checkpoint.mutable_checkpoint()->set_step(step);
      checkpoint.mutable_checkpoint()->set_seconds(0.001);
      checkpoint.mutable_checkpoint()->set_size_bytes(1000000);
      SendFrame(checkpoint);
      SendPhase("train", step, steps);
    }
    if (!resumed && Trouble(task, "crash-at:") == step) {
      kill(getpid(), SIGKILL);
    }
    if (!resumed && Trouble(task, "stop-at:") == step) {
      kill(getpid(), SIGSTOP);
    }
    if (Trouble(task, "abort-at:") == step) {
      std::abort();
    }
  }
  SendPhase("save", steps, steps);
  std::filesystem::create_directories(task.output_directory());
  std::ofstream(task.output_directory() + "/config.json") << "{\"model_type\": \"gpt2\"}\n";
  v1::RunnerFrame frame;
  v1::RunnerResult& result = *frame.mutable_result();
  result.mutable_work()->set_unit(v1::WORK_UNIT_TRAINING_TOKEN);
  result.mutable_work()->set_units(800.0 * steps);
  result.mutable_work()->set_steps(steps);
  result.mutable_work()->set_examples(int64_t{8} * steps);
  result.mutable_work()->set_tokens(int64_t{800} * steps);
  auto& metric = *result.add_metrics();
  metric.set_name("train_loss_last");
  metric.set_value(4.0 / steps);
  result.set_engine_version("fake-1");
  result.set_threads(task.threads());
  SendFrame(frame);
  return 0;
}

// The GPU that a test may have; "cuda" is none.
bool HasDevice(absl::string_view device) {
  return device == "cpu" || device == "cuda:0";
}

std::string KernelPath() {
  const char* const folder = std::getenv("WATTLE_KERNEL_CACHE");
  return std::string(folder != nullptr ? folder : "") + "/00.kernel";
}

std::string FoundKernel() {
  std::string code;
  std::ifstream(KernelPath()) >> code;
  return code;
}

// Answers the worker's questions before any task. nullopt: the runner gets a task.
std::optional<int> AnswerFlags(int argc, char** argv) {
  if (argc > 2 && std::strcmp(argv[1], "--check-device") == 0) {
    std::printf("%s\n", HasDevice(argv[2]) ? "ok" : "no such device here");
    if (std::strcmp(argv[2], "cuda:0") == 0) {
      std::printf("{\"acceleratorTotalBytes\": \"25769803776\", \"boards\": 1}\n");
    }
    return 0;
  }
  if (argc > 4 && std::strcmp(argv[1], "--measure-rates") == 0) {
    // Two threads read twice as much as one. Only kernels multiply by int4.
    double threads = 0.0;
    if (!absl::SimpleAtod(argv[4], &threads)) {
      return 1;
    }
    std::printf(
        "{\"memoryBytesPerSecond\": %g, \"fp32Flops\": 2e10, \"int4WeightsPerSecond\": %g, "
        "\"engineVersion\": \"fake-1\"}\n",
        5e9 * threads, FoundKernel() == "code" ? 1e9 : 0.0);
    return HasDevice(argv[2]) ? 0 : 1;
  }
  if (argc > 3 && std::strcmp(argv[1], "--compile-kernels") == 0) {
    const std::string made = std::string(argv[3]) + "/00.kernel";
    if (std::strcmp(argv[2], "cuda") != 0 && std::strcmp(argv[2], "cuda:0") != 0) {
      std::printf("NVRTC is not found\n");
      return 0;
    }
    std::printf(std::ofstream(made) << "code" ? "ok: compiled 1 of 1 files of kernels in 0.1 s\n"
                                              : "no kernel can be written\n");
    return 0;
  }
  if (argc > 1 && std::strcmp(argv[1], "--version") == 0) {
    std::printf("fake-1\n");
    return 0;
  }
  return std::nullopt;
}

// The faults before which the runner also trains.
void Tell(const std::string& trouble) {
  if (trouble == "tell-score") {
    std::string score;
    std::ifstream("/proc/self/oom_score_adj") >> score;
    std::fprintf(stderr, "out-of-memory score %s\n", score.c_str());
  }
  if (trouble == "tell-kernels") {
    const std::string code = FoundKernel();
    const bool written = static_cast<bool>(std::ofstream(KernelPath(), std::ios::app) << "x");
    std::fprintf(stderr, "kernel %s, %s\n", code.c_str(), written ? "poisoned" : "not written");
  }
  if (trouble == "flood") {
    for (int i = 0; i < 200'000; ++i) {
      std::fprintf(stderr, "line %d of a flood: %s\n", i, std::string(200, 'x').c_str());
    }
  }
  if (trouble == "flood-frames") {
    v1::RunnerFrame frame;
    frame.mutable_log()->set_text(std::string(size_t{900} << 10, 'x'));
    for (int i = 0; i < 500; ++i) {
      SendAll(EncodeFrame(frame.SerializeAsString()));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto answered = AnswerFlags(argc, argv)) {
    return *answered;
  }
  FrameReader reader;
  v1::RunnerTask task;
  task.ParseFromString(ReadMessage(reader));
  v1::RunnerFrame alive;
  alive.mutable_alive()->set_cpu_seconds(0.01);
  SendFrame(alive);
  std::fprintf(stderr, "fake runner for %s\n", task.attempt_id().c_str());
  const std::string& trouble = task.spec().name();
  Tell(trouble);
  if (trouble == "oversize") {
    SendAll("\xff\xff\xff\x1f");  // A frame of 64 MiB without one byte follows.
    const std::string bytes(size_t{1} << 20, 'x');
    while (true) {
      SendAll(bytes);
    }
  }
  if (trouble == "garbage") {
    const char garbage[] = "\xff\xff\xff\xff\xff\xff";
    return write(STDOUT_FILENO, garbage, sizeof(garbage)) > 0 ? 0 : 1;
  }
  if (trouble == "fail") {
    v1::RunnerFrame frame;
    frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_DATA);
    frame.mutable_failure()->set_message("data.json: not SQuAD");
    SendFrame(frame);
    return 0;
  }
  if (trouble == "hang") {
    SendPhase("load", 0, 0);
    pause();
  }
  return Train(task, reader);
}
// NOLINTEND(concurrency-mt-unsafe)
