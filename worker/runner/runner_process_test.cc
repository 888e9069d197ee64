// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The program wattle-runner from an agent's point of view: over pipes, paced, stopped, abandoned,
// and killed at every kind of file operation of a checkpoint. A killed run resumes bit for bit.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "formats/safetensors.h"
#include "wattle/v1/runner.pb.h"
#include "worker/engine/kernels/instruction_set.h"
#include "worker/engine/testing/test_model.h"
#include "worker/runner/frame_channel.h"

namespace wattle::runner {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using Environment = std::map<std::string, std::string>;

// A started wattle-runner. Its pipes close with the object; Wait() must have been called before.
class Runner {
 public:
  // environment: added to this test's own.
  explicit Runner(const Environment& environment = {}) {
    int down[2];
    int up[2];
    EXPECT_EQ(pipe2(down, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(up, O_CLOEXEC), 0);
    process_ = fork();
    if (process_ == 0) {
      dup2(down[0], STDIN_FILENO);
      dup2(up[1], STDOUT_FILENO);
      setenv("OMP_WAIT_POLICY", "passive", 1);  // as the agent does; else it starts itself twice
      unsetenv("OPENBLAS_CORETYPE");
      for (const auto& [name, value] : environment) {
        setenv(name.c_str(), value.c_str(), 1);
      }
      const std::string program = absl::StrCat(WATTLE_BINARY_DIR, "/bin/wattle-runner");
      execl(program.c_str(), "wattle-runner", nullptr);
      _exit(127);
    }
    close(down[0]);
    close(up[1]);
    down_ = down[1];
    up_ = up[0];
    reader_.emplace(up_);
  }
  ~Runner() {
    CloseInput();
    close(up_);
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void Send(const google::protobuf::MessageLite& message) {
    EXPECT_THAT(FrameChannelWriter(down_).Write(message), IsOk());
  }
  void Continue() {
    v1::RunnerCommand command;
    command.mutable_continue_step();
    Send(command);
  }
  void Stop(bool discard) {
    v1::RunnerCommand command;
    command.mutable_stop()->set_discard(discard);
    Send(command);
  }
  // The next frame about the task; an empty one at the end.
  v1::RunnerFrame Next() {
    v1::RunnerFrame frame;
    do {
      const auto outcome = reader_->Read(frame);
      if (!outcome.ok() || *outcome != FrameChannelReader::Outcome::kMessage) {
        return {};
      }
    } while (frame.has_alive());
    return frame;
  }
  // All frames to the end.
  std::vector<v1::RunnerFrame> Rest() {
    std::vector<v1::RunnerFrame> frames;
    while (true) {
      v1::RunnerFrame frame = Next();
      if (frame.frame_case() == v1::RunnerFrame::FRAME_NOT_SET) {
        return frames;
      }
      frames.push_back(std::move(frame));
    }
  }
  void CloseInput() {
    if (down_ >= 0) {
      close(down_);
      down_ = -1;
    }
  }
  int Wait() {
    int status = 0;
    EXPECT_EQ(waitpid(process_, &status, 0), process_);
    return status;
  }

 private:
  pid_t process_ = -1;
  int down_ = -1;
  int up_ = -1;
  std::optional<FrameChannelReader> reader_;  // of up_
};

// A finetune task over tiny files: 4 steps, dropout and accumulation on.
v1::RunnerTask TinyTask(const std::string& name) {
  const engine::FinetuneSettings settings = engine::TinyFinetune(name);
  v1::RunnerTask task;
  task.set_attempt_id("j1.1");
  task.set_model_directory(settings.model.directory);
  task.set_data_file(settings.data);
  task.set_heldout_data_file(settings.heldout_data);
  task.set_work_directory(settings.work_directory);
  task.set_output_directory(settings.output_directory);
  task.set_threads(1);
  v1::FinetuneSpec& spec = *task.mutable_spec()->mutable_finetune();
  spec.set_epochs(2);
  spec.set_batch_size(2);
  spec.set_gradient_accumulation_steps(2);
  spec.set_learning_rate(1e-2);
  spec.set_warmup_steps(1);
  spec.set_weight_decay(0.1);
  spec.set_clip_norm(0.5);
  spec.set_seed(11);
  spec.set_checkpoint_every_steps(1);
  return task;
}

std::vector<double> TrainingLosses(const std::vector<v1::RunnerFrame>& frames) {
  std::vector<double> losses;
  for (const v1::RunnerFrame& frame : frames) {
    if (frame.step().phase() == "train") {
      losses.push_back(frame.step().loss());
    }
  }
  return losses;
}

std::string ResultBytes(const v1::RunnerTask& task) {
  return engine::FileBytes(task.output_directory() + "/model.safetensors");
}

std::string OptimizerBytes(const v1::RunnerTask& task) {
  return engine::FileBytes(task.work_directory() + "/checkpoint-0000000004/optimizer.safetensors");
}

struct WholeRun {
  std::vector<double> losses;
  std::string model;
  std::string optimizer;
};

// All frames of a runner that reaches the result.
std::vector<v1::RunnerFrame> RunToTheResult(const v1::RunnerTask& task, Runner& runner) {
  runner.Send(task);
  auto frames = runner.Rest();
  EXPECT_EQ(runner.Wait(), 0);
  EXPECT_TRUE(!frames.empty() && frames.back().has_result());
  return frames;
}

WholeRun RunWhole(const v1::RunnerTask& task = TinyTask("whole")) {
  Runner runner;
  const auto frames = RunToTheResult(task, runner);
  return {TrainingLosses(frames), ResultBytes(task), OptimizerBytes(task)};
}

TEST(RunnerProcessTest, ThePeakIsThatOfTheRunnerAndNotOfTheProcessThatStartedIt) {
  const std::vector<char> ballast(size_t{1} << 30, 1);
  Runner runner;
  const auto frames = RunToTheResult(TinyTask("peak"), runner);
  const int64_t peak = frames.back().result().peak_memory_bytes();
  EXPECT_GT(peak, int64_t{10} << 20);
  EXPECT_LT(peak, static_cast<int64_t>(ballast.size()));
}

TEST(RunnerProcessTest, ATaskGivesPhasesStepsAndAResult) {
  v1::RunnerTask task = TinyTask("run");
  Runner runner;
  runner.Send(task);
  const auto frames = runner.Rest();
  EXPECT_EQ(runner.Wait(), 0);
  ASSERT_FALSE(frames.empty());
  ASSERT_TRUE(frames.back().has_result()) << frames.back().ShortDebugString();
  const v1::RunnerResult& result = frames.back().result();
  EXPECT_EQ(result.work().steps(), 4);
  EXPECT_EQ(result.work().examples(), 14);
  EXPECT_EQ(result.work().signature().method(), v1::METHOD_FINETUNE_FULL);
  EXPECT_DOUBLE_EQ(result.work().units(), static_cast<double>(result.work().tokens()));
  EXPECT_THAT(result.engine_version(), HasSubstr("libtorch-"));
  EXPECT_EQ(TrainingLosses(frames).size(), 4U);
  std::vector<std::string> names;
  for (const v1::Metric& metric : result.metrics()) {
    names.push_back(metric.name());
  }
  EXPECT_THAT(names, testing::IsSupersetOf({"heldout_loss_before", "heldout_loss_after"}));
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

// A run that is only measured: without a directory for its result.
TEST(RunnerProcessTest, ATaskWithoutAnOutputDirectoryLeavesNoResult) {
  v1::RunnerTask task = TinyTask("measured");
  const std::string output = task.output_directory();
  std::filesystem::remove_all(output);
  task.clear_output_directory();
  task.set_checkpoints_when_told(true);
  task.mutable_spec()->mutable_finetune()->clear_checkpoint_every_steps();
  Runner runner;
  const auto frames = RunToTheResult(task, runner);
  EXPECT_EQ(frames.back().result().work().steps(), 4);
  EXPECT_FALSE(std::filesystem::exists(output));
  EXPECT_TRUE(std::filesystem::is_empty(task.work_directory())) << "no checkpoint either";
  for (const v1::RunnerFrame& frame : frames) {
    EXPECT_NE(frame.phase().phase(), "save");
  }
}

// This run's pace would spoil a profile row of another optimizer or precision.
TEST(RunnerProcessTest, ATrainingIsMeasuredUnderTheSettingsThatItIsPredictedBy) {
  struct Case {
    const char* optimizer;
    const char* precision;
    bool update_in_backward;
    void (*set)(v1::FinetuneSpec&);
  };
  const Case cases[] = {
      {"mezo-2", "fp16", false,
       [](v1::FinetuneSpec& spec) {
         spec.set_optimizer(v1::OPTIMIZER_MEZO);
         spec.set_precision(v1::PRECISION_FP16);
         spec.mutable_mezo()->set_samples(2);
         spec.clear_clip_norm();
       }},
      {"adafactor", "bf16+bf16-weights", true,
       [](v1::FinetuneSpec& spec) {
         spec.set_optimizer(v1::OPTIMIZER_ADAFACTOR);
         spec.set_precision(v1::PRECISION_BF16);
         spec.set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
         spec.set_update_in_backward(true);
         spec.clear_gradient_accumulation_steps();
       }},
      {"adamw-8bit", "fp16", false,
       [](v1::FinetuneSpec& spec) {
         spec.set_optimizer(v1::OPTIMIZER_ADAMW_8BIT);
         spec.set_precision(v1::PRECISION_FP16);
       }},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.optimizer);
    v1::RunnerTask task = TinyTask(each.optimizer);
    each.set(*task.mutable_spec()->mutable_finetune());
    Runner runner;
    runner.Send(task);
    const auto frames = runner.Rest();
    EXPECT_EQ(runner.Wait(), 0);
    ASSERT_TRUE(!frames.empty() && frames.back().has_result());
    const v1::WorkloadSignature& signature = frames.back().result().work().signature();
    EXPECT_EQ(signature.optimizer(), each.optimizer);
    EXPECT_EQ(signature.precision(), each.precision);
    EXPECT_EQ(signature.update_in_backward(), each.update_in_backward);
    std::vector<std::string> metrics;
    for (const v1::Metric& metric : frames.back().result().metrics()) {
      metrics.push_back(metric.name());
    }
    const bool has_loss_scale =
        signature.precision() == "fp16" && signature.optimizer() != "mezo-2";
    EXPECT_EQ(std::count(metrics.begin(), metrics.end(), "loss_scale"), has_loss_scale ? 1 : 0);
    EXPECT_EQ(std::count(metrics.begin(), metrics.end(), "skipped_steps"), has_loss_scale ? 1 : 0);
  }
}

TEST(RunnerProcessTest, TheEnvironmentLimitsTheInstructionSet) {
  const v1::RunnerTask task = TinyTask("limited");
  Runner runner(Environment{{kernels::kInstructionSetVariable, "portable"}});
  RunToTheResult(task, runner);
  const auto checkpoint = formats::SafetensorsFile::Open(
      task.work_directory() + "/checkpoint-0000000004/optimizer.safetensors");
  ASSERT_THAT(checkpoint, IsOk());
  EXPECT_THAT(checkpoint->metadata().at("build"),
              HasSubstr(", kernels portable, products portable,"));
}

TEST(RunnerProcessTest, AnInstructionSetThatTheProcessorLacksIsAnError) {
  Runner runner(Environment{{kernels::kInstructionSetVariable, "mmx"}});
  EXPECT_TRUE(runner.Rest().empty());
  const int status = runner.Wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

class PacedRunTest : public testing::TestWithParam<int> {};

TEST_P(PacedRunTest, WaitsAndAStopLeavesACheckpointToGoOnFrom) {
  v1::RunnerTask whole_task = TinyTask("whole");
  whole_task.set_threads(GetParam());
  const WholeRun whole = RunWhole(whole_task);
  v1::RunnerTask task = TinyTask("paced");
  task.set_threads(GetParam());
  task.set_gated(true);
  task.clear_heldout_data_file();
  task.mutable_spec()->mutable_finetune()->set_checkpoint_every_steps(100);
  std::vector<v1::RunnerFrame> frames;
  {
    Runner runner;
    runner.Send(task);
    while (TrainingLosses(frames).size() < 2) {
      frames.push_back(runner.Next());
      ASSERT_NE(frames.back().frame_case(), v1::RunnerFrame::FRAME_NOT_SET);
      if (TrainingLosses(frames).size() == 1 && frames.back().has_step()) {
        runner.Continue();
      }
    }
    runner.Stop(/*discard=*/false);
    const auto rest = runner.Rest();
    EXPECT_EQ(runner.Wait(), 0);
    ASSERT_TRUE(!rest.empty() && rest.back().has_stopped());
    EXPECT_EQ(rest.back().stopped().step(), 2);
  }
  task.set_gated(false);
  Runner runner;
  runner.Send(task);
  const auto rest = runner.Rest();
  EXPECT_EQ(runner.Wait(), 0);
  frames.insert(frames.end(), rest.begin(), rest.end());
  EXPECT_EQ(TrainingLosses(frames), whole.losses);
  EXPECT_EQ(ResultBytes(task), whole.model);
  EXPECT_TRUE(frames.back().has_result());
  EXPECT_FALSE(frames.back().result().numerically_continued());
}

INSTANTIATE_TEST_SUITE_P(Threads, PacedRunTest, testing::Values(1, 2));

TEST(RunnerProcessTest, TheEndOfItsInputIsTheEndOfTheRunner) {
  v1::RunnerTask task = TinyTask("run");
  task.set_gated(true);
  Runner runner;
  runner.Send(task);
  while (!runner.Next().has_step()) {
  }
  runner.CloseInput();  // same as if the agent dies
  const int status = runner.Wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_NE(WEXITSTATUS(status), 0);
}

struct FailureCase {
  const char* name;
  v1::FailureClass failure_class;
  const char* message;
  void (*spoil)(v1::RunnerTask& task);
};

void PrintTo(const FailureCase& each, std::ostream* out) {
  *out << each.name;
}

class RunnerFailureTest : public testing::TestWithParam<FailureCase> {};

TEST_P(RunnerFailureTest, IsOneClassedLine) {
  v1::RunnerTask task = TinyTask("run");
  GetParam().spoil(task);
  Runner runner;
  runner.Send(task);
  const auto frames = runner.Rest();
  EXPECT_NE(runner.Wait(), 0);
  ASSERT_TRUE(!frames.empty() && frames.back().has_failure());
  const v1::RunnerFailure& failure = frames.back().failure();
  EXPECT_EQ(failure.failure_class(), GetParam().failure_class) << failure.message();
  EXPECT_THAT(failure.message(), HasSubstr(GetParam().message));
  EXPECT_THAT(failure.message(), testing::Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, RunnerFailureTest,
    testing::Values(
        FailureCase{"MissingModel", v1::FAILURE_CLASS_DATA, "/nowhere",
                    [](v1::RunnerTask& task) { task.set_model_directory("/nowhere"); }},
        FailureCase{"TruncatedWeights", v1::FAILURE_CLASS_DATA, "model.safetensors",
                    [](v1::RunnerTask& task) {
                      fs::resize_file(task.model_directory() + "/model.safetensors", 5000);
                    }},
        FailureCase{"DataThatIsNotSquad", v1::FAILURE_CLASS_DATA, "data.json",
                    [](v1::RunnerTask& task) { std::ofstream(task.data_file()) << "{}"; }},
        FailureCase{"PromptTooLong", v1::FAILURE_CLASS_DATA,
                    "tokens leave no room in this model's context of ",
                    [](v1::RunnerTask& task) {
                      task.clear_data_file();
                      v1::GenerateSpec& generate = *task.mutable_spec()->mutable_generate();
                      generate.set_model("tiny");
                      for (int i = 0; i < 300; ++i) {
                        absl::StrAppend(generate.prompts_size() == 0 ? generate.add_prompts()
                                                                     : generate.mutable_prompts(0),
                                        "winter roof ");
                      }
                    }},
        FailureCase{"SequenceTooLong", v1::FAILURE_CLASS_SPEC, "sequence_length",
                    [](v1::RunnerTask& task) {
                      task.mutable_spec()->mutable_finetune()->set_sequence_length(4096);
                    }},
        FailureCase{"LossNotFinite", v1::FAILURE_CLASS_JOB, "not finite",
                    [](v1::RunnerTask& task) {
                      task.mutable_spec()->mutable_finetune()->set_learning_rate(1e30);
                    }}),
    [](const auto& row) { return row.param.name; });

// A run resumed with other threads or another instruction set.
struct ContinuedCase {
  const char* name;
  int threads;             // after the stop; 1 before
  bool another_processor;  // after the stop
  void (*set)(v1::FinetuneSpec& spec);
};

void PrintTo(const ContinuedCase& each, std::ostream* out) {
  *out << each.name;
}

constexpr int64_t kCut = 8;
constexpr int64_t kStepsAfterCut = 50;

v1::RunnerTask TaskOf(const ContinuedCase& each, const std::string& name) {
  v1::RunnerTask task = TinyTask(name);
  v1::FinetuneSpec& spec = *task.mutable_spec()->mutable_finetune();
  spec.set_steps(kCut + kStepsAfterCut);
  spec.set_evaluate_every_steps(kCut);
  spec.set_checkpoint_every_steps(kCut);
  each.set(spec);
  return task;
}

// Runs a task until it has reported so many training steps and evaluates after the next, or, if
// there are none, after the step that it resumed from. The checkpoint that it then leaves has the
// state of its memory.
void StopInAnEvaluation(v1::RunnerTask task, size_t steps_before, Runner& runner) {
  task.set_gated(true);
  runner.Send(task);
  size_t trained = 0;
  while (true) {
    const v1::RunnerFrame frame = runner.Next();
    ASSERT_NE(frame.frame_case(), v1::RunnerFrame::FRAME_NOT_SET);
    if (!frame.has_step()) {
      continue;
    }
    trained += frame.step().phase() == "train" ? 1 : 0;
    if (frame.step().phase() == "evaluate" && trained == steps_before) {
      break;
    }
    runner.Continue();
  }
  runner.Stop(/*discard=*/false);
  const auto rest = runner.Rest();
  EXPECT_EQ(runner.Wait(), 0);
  ASSERT_TRUE(!rest.empty() && rest.back().has_stopped());
  EXPECT_EQ(rest.back().stopped().step(), kCut);
}

// Everything in the two files of the checkpoint of step kCut except the description of the writer.
struct CheckpointContent {
  formats::SafetensorsMetadata metadata;
  std::map<std::string, std::string> tensors;
};

CheckpointContent ContentAtTheCut(const v1::RunnerTask& task) {
  CheckpointContent content;
  const std::string directory = absl::StrFormat("%s/checkpoint-%010d", task.work_directory(), kCut);
  for (const auto& entry : fs::directory_iterator(directory)) {
    const auto file = formats::SafetensorsFile::Open(entry.path().string());
    EXPECT_THAT(file, IsOk());
    for (const formats::TensorEntry& tensor : file->tensors()) {
      std::string& bytes = content.tensors[tensor.name];
      bytes.resize(static_cast<size_t>(tensor.size_bytes()));
      EXPECT_THAT(file->Read(tensor, absl::MakeSpan(reinterpret_cast<std::byte*>(bytes.data()),
                                                    bytes.size())),
                  IsOk());
    }
    content.metadata.insert(file->metadata().begin(), file->metadata().end());
  }
  content.metadata.erase("build");
  content.metadata.erase("wattle.crc32c");  // Read has compared the tensors with it
  content.metadata.erase("numerically_continued");
  return content;
}

// The instruction sets of a processor with fewer than this test's, or with more.
Environment OfAnotherProcessor() {
  const bool portable = absl::string_view(kernels::BestKernels().name) == "portable";
  return {{"ATEN_CPU_CAPABILITY", portable ? "avx2" : "default"},
          {kernels::kInstructionSetVariable, portable ? "avx2" : "portable"}};
}

class NumericallyContinuedTest : public testing::TestWithParam<ContinuedCase> {};

TEST_P(NumericallyContinuedTest, EveryBitIsRestoredAndTheLossesStayNear) {
  const ContinuedCase& each = GetParam();
  Runner uninterrupted;
  const std::vector<double> wanted =
      TrainingLosses(RunToTheResult(TaskOf(each, "whole"), uninterrupted));
  ASSERT_EQ(wanted.size(), static_cast<size_t>(kCut + kStepsAfterCut));
  v1::RunnerTask task = TaskOf(each, "parts");
  Runner begun;
  StopInAnEvaluation(task, kCut - 1, begun);
  const CheckpointContent left = ContentAtTheCut(task);
  EXPECT_FALSE(left.tensors.empty());
  task.set_threads(each.threads);
  const Environment processor = each.another_processor ? OfAnotherProcessor() : Environment();
  // This runner writes what it restored, and the next one finds a checkpoint of its own kind.
  Runner restored(processor);
  StopInAnEvaluation(task, 0, restored);
  const CheckpointContent written = ContentAtTheCut(task);
  EXPECT_EQ(written.metadata, left.metadata);
  EXPECT_TRUE(written.tensors == left.tensors);

  Runner continued(processor);
  const auto frames = RunToTheResult(task, continued);
  ASSERT_FALSE(frames.empty());
  EXPECT_TRUE(frames.back().result().numerically_continued());
  const std::vector<double> losses = TrainingLosses(frames);
  ASSERT_EQ(losses.size(), static_cast<size_t>(kStepsAfterCut));
  double worst = 0.0;
  for (size_t i = 0; i < losses.size(); ++i) {
    worst = std::max(worst, std::abs(losses[i] / wanted[kCut + i] - 1.0));
  }
  RecordProperty("largest_relative_difference", absl::StrCat(worst));
  EXPECT_LE(worst, 1e-3);
}

constexpr ContinuedCase kContinuedCases[] = {
    {"ThreadsOfAdamW", 2, false, [](v1::FinetuneSpec& /*spec*/) {}},
    {"ThreadsOfFp16", 2, false,
     [](v1::FinetuneSpec& spec) { spec.set_precision(v1::PRECISION_FP16); }},
#if defined(__x86_64__)
    {"InstructionSetOfAdamW", 1, true, [](v1::FinetuneSpec& /*spec*/) {}},
    {"InstructionSetOfEightBitAdamAndBf16Weights", 1, true,
     [](v1::FinetuneSpec& spec) {
       spec.set_optimizer(v1::OPTIMIZER_ADAMW_8BIT);
       spec.set_weights_precision(v1::WEIGHTS_PRECISION_BF16);
       spec.set_learning_rate(1e-3);
     }},
    {"InstructionSetOfAdapters", 1, true,
     [](v1::FinetuneSpec& spec) { spec.mutable_lora()->set_rank(4); }},
    {"InstructionSetOfMezo", 1, true,
     [](v1::FinetuneSpec& spec) {
       spec.set_optimizer(v1::OPTIMIZER_MEZO);
       spec.set_learning_rate(1e-4);
       spec.clear_clip_norm();
     }},
#endif
};

INSTANTIATE_TEST_SUITE_P(Cases, NumericallyContinuedTest, testing::ValuesIn(kContinuedCases),
                         [](const auto& row) { return row.param.name; });

// Before and after each kind of file operation of a checkpoint, in the middle of both files, and
// after a progress frame.
constexpr const char* kCrashPlaces[] = {"weights:write:1",
                                        "weights:write:40",
                                        "optimizer:write:3",
                                        "optimizer:write:70:after",
                                        "weights:sync:2",
                                        "optimizer:sync:2:after",
                                        "weights:rename:2",
                                        "optimizer:rename:3:after",
                                        "directory:rename:2",
                                        "directory:rename:2:after",
                                        "directory:sync_directory:3",
                                        "directory:sync_directory:1:after",
                                        "frame:step:5:after"};

// Runs a task that is killed at `place`, then again to its end.
void ExpectTheSameAfterACrash(const std::string& place, const v1::RunnerTask& task,
                              const WholeRun& whole) {
  size_t steps_before = 0;
  {
    Runner runner(Environment{{"WATTLE_CRASH_AT", place}});
    runner.Send(task);
    steps_before = TrainingLosses(runner.Rest()).size();
    const int status = runner.Wait();
    ASSERT_TRUE(WIFSIGNALED(status)) << "was never reached";
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
  }
  Runner runner;
  runner.Send(task);
  const std::vector<double> after = TrainingLosses(runner.Rest());
  EXPECT_EQ(runner.Wait(), 0);
  ASSERT_LE(after.size(), whole.losses.size());
  EXPECT_GE(steps_before + after.size(), whole.losses.size());
  const std::vector<double> wanted(whole.losses.end() - static_cast<std::ptrdiff_t>(after.size()),
                                   whole.losses.end());
  EXPECT_EQ(after, wanted);
  EXPECT_EQ(ResultBytes(task), whole.model);
  EXPECT_EQ(OptimizerBytes(task), whole.optimizer);
  for (const auto& entry : fs::directory_iterator(task.work_directory())) {
    EXPECT_THAT(entry.path().string(), testing::Not(testing::EndsWith(".partial")));
  }
}

TEST(RunnerCrashTest, AKilledRunGoesOnBitForBit) {
  const WholeRun whole = RunWhole();
  for (const char* place : kCrashPlaces) {
    SCOPED_TRACE(place);
    ExpectTheSameAfterACrash(place, TinyTask("killed"), whole);
  }
}

// The last layers, packed batches, and the best weights of a run that may stop early.
TEST(RunnerCrashTest, AKilledRunOfOtherMethodsGoesOnBitForBit) {
  const auto task_of = [](const std::string& name) {
    v1::RunnerTask task = TinyTask(name);
    task.mutable_spec()->mutable_finetune()->set_last_layers(1);
    task.mutable_spec()->mutable_finetune()->set_packing(true);
    task.mutable_spec()->mutable_finetune()->set_evaluate_every_steps(1);
    task.mutable_spec()->mutable_finetune()->set_early_stop_evaluations(4);
    return task;
  };
  const WholeRun whole = RunWhole(task_of("whole_last"));
  for (const char* place :
       {"weights:write:3", "optimizer:write:30:after", "weights:rename:2",
        "directory:rename:2:after", "best:write:2", "best:rename:1", "best:rename:2:after"}) {
    SCOPED_TRACE(place);
    ExpectTheSameAfterACrash(place, task_of("killed_last"), whole);
  }
}

}  // namespace
}  // namespace wattle::runner
