// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/runner.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "base/fault_point.h"
#include "proto/job_kind.h"
#include "proto/training_signature.h"
#include "worker/agent/core/attempt_run.h"

namespace wattle::sim {
namespace {

constexpr size_t kCheckpointsKept = 2;
constexpr int kDrawsPerStep = 3;
constexpr double kLoadSteps = 0.5;  // as a share of a step's time
constexpr int64_t kTokensPerExample = 128;
constexpr int64_t kBatchDefault = 4;
// Lengths of jobs whose specs name none: a step quantizes part of a layer or generates a token.
constexpr int64_t kLayerSteps = 6;
constexpr int64_t kGenerationSteps = 12;
constexpr int64_t kExamplesPerStep = 4;
// Tokens per prompt, the spec's default.
constexpr int64_t kGeneratedTokens = 32;

uint64_t Mix(uint64_t a, uint64_t b) {
  return Random(a ^ (b * 0x9e3779b97f4a7c15u)).Next();
}

uint64_t SeedOf(const v1::JobSpec& spec) {
  uint64_t seed = static_cast<uint64_t>(spec.finetune().seed()) + 1;
  for (const char c : spec.name()) {
    seed = Mix(seed, static_cast<unsigned char>(c));
  }
  return seed;
}

int64_t BatchOf(const v1::JobSpec& spec) {
  const int64_t batch = IntegerIn(spec, "batch_size");
  return batch > 0 ? batch : kBatchDefault;
}

void Advance(uint64_t seed, uint64_t& counter, uint64_t& weights) {
  for (int i = 0; i < kDrawsPerStep; ++i) {
    weights = Mix(weights, Mix(seed, counter++));
  }
}

}  // namespace

int64_t StepsOf(const v1::JobSpec& spec) {
  switch (KindOf(spec).unit) {
    case v1::WORK_UNIT_PARAMETER:
      return kLayerSteps;
    case v1::WORK_UNIT_GENERATED_TOKEN:
      return kGenerationSteps;
    default:
      return std::max(IntegerIn(spec, "steps"),
                      IntegerIn(spec, "limit_examples") / kExamplesPerStep);
  }
}

uint64_t ExpectedResult(const v1::JobSpec& spec) {
  uint64_t counter = 0;
  uint64_t weights = 0;
  for (int64_t step = 0; step < StepsOf(spec); ++step) {
    Advance(SeedOf(spec), counter, weights);
  }
  return weights;
}

Runner::Runner(EventLoop& loop, Random& random, agent::Disk& disk, const Settings& settings,
               Port port)
    : loop_(loop), random_(random), disk_(disk), settings_(settings), port_(std::move(port)) {}

Runner::~Runner() {
  if (running_) {
    port_.set_working(false);
  }
}

void Runner::After(double seconds, void (Runner::*action)()) {
  loop_.After(seconds, [this, action, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired() && running_ && !hung_) {
      (this->*action)();
    }
  });
}

std::string CheckpointFile(const std::string& work_directory, int64_t step) {
  return absl::StrCat(agent::CheckpointDirectory(work_directory, step), "/state");
}

std::vector<int64_t> Runner::CheckpointSteps() const {
  std::vector<int64_t> steps;
  for (const agent::DiskEntry& entry : disk_.List(task_.work_directory())) {
    const size_t dash = entry.name.rfind('-');
    int64_t step = 0;
    if (dash != std::string::npos && absl::SimpleAtoi(entry.name.substr(dash + 1), &step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

void Runner::Start(const v1::RunnerTask& task) {
  task_ = task;
  running_ = true;
  steps_total_ = settings_.workload ? settings_.workload->steps : StepsOf(task.spec());
  fails_at_ =
      settings_.fails ? random_.Below(static_cast<int>(std::max<int64_t>(steps_total_, 1))) : -1;
  if (settings_.workload) {
    port_.set_power(settings_.workload->start_power);
  }
  port_.set_working(true);
  After(0.0, &Runner::Load);
}

void Runner::Phase(const std::string& phase) {
  phase_ = phase;
  v1::RunnerFrame frame;
  frame.mutable_phase()->set_phase(phase);
  frame.mutable_phase()->set_from_step(step_);
  frame.mutable_phase()->set_steps_total(steps_total_);
  port_.on_frame(frame);
}

bool Runner::Restore(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ' ');
  int64_t step = 0;
  uint64_t counter = 0;
  uint64_t weights = 0;
  uint64_t check = 0;
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[0], &step) ||
      !absl::SimpleAtoi(parts[1], &counter) || !absl::SimpleAtoi(parts[2], &weights) ||
      !absl::SimpleAtoi(parts[3], &check) ||
      check != Mix(static_cast<uint64_t>(step), Mix(counter, weights))) {
    return false;
  }
  step_ = step;
  counter_ = WATTLE_FAULT_POINT("random counter on resume") ? 0 : counter;
  weights_ = weights;
  return true;
}

void Runner::Load() {
  Phase("load");
  for (const int64_t step : CheckpointSteps()) {
    if (KindOf(task_.spec()).keeps_checkpoints &&
        Restore(disk_.Read(CheckpointFile(task_.work_directory(), step)).value_or(""))) {
      break;  // A damaged checkpoint is skipped; without any the run starts from the beginning.
    }
  }
  After(
      settings_.workload ? settings_.workload->start_seconds : settings_.step_seconds * kLoadSteps,
      &Runner::Step);
}

// Frames end at the checkpoints that the job asks for.
int64_t Runner::StepsUntilNextFrame() const {
  if (!settings_.workload) {
    return 1;
  }
  const int64_t every = IntegerIn(task_.spec(), "checkpoint_every_steps");
  const int64_t left = steps_total_ - step_;
  return std::min(
      {settings_.workload->steps_together, left, every > 0 ? every - step_ % every : left});
}

bool Runner::TakeCheckpointDue() {
  const int64_t every = IntegerIn(task_.spec(), "checkpoint_every_steps");
  const bool due = std::exchange(checkpoint_ordered_, false) || (every > 0 && step_ % every == 0);
  return KindOf(task_.spec()).keeps_checkpoints && due && step_ < steps_total_;
}

// Begins the first or the next step.
void Runner::Step() {
  if (const std::string main_phase(KindOf(task_.spec()).main_phase); phase_ != main_phase) {
    if (settings_.workload) {
      port_.set_power(settings_.workload->power);
    }
    Phase(main_phase);
    if (!running_) {
      return;
    }
  }
  if (stop_) {
    if (!discard_ && KindOf(task_.spec()).keeps_checkpoints) {
      SaveCheckpoint();
    }
    if (running_) {
      v1::RunnerFrame frame;
      frame.mutable_stopped()->set_step(step_);
      port_.on_frame(frame);
      Exit(true);
    }
    return;
  }
  if (step_ >= steps_total_) {
    Finish();
    return;
  }
  steps_under_way_ = StepsUntilNextFrame();
  const double seconds =
      settings_.workload ? settings_.workload->step_seconds * static_cast<double>(steps_under_way_)
                         : settings_.step_seconds * random_.Between(0.9, 1.1);
  After(settings_.slower_by ? settings_.slower_by() * seconds : seconds, &Runner::StepDone);
}

void Runner::StepDone() {
  if (step_ == fails_at_) {
    v1::RunnerFrame frame;
    frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_JOB);
    frame.mutable_failure()->set_message("simulated: the loss is not finite");
    port_.on_frame(frame);
    Exit(true);
    return;
  }
  const uint64_t seed = SeedOf(task_.spec());
  for (int64_t i = 0; i < steps_under_way_; ++i) {
    Advance(seed, counter_, weights_);
  }
  step_ += steps_under_way_;
  v1::RunnerFrame frame;
  v1::StepDone& done = *frame.mutable_step();
  done.set_phase(phase_);
  done.set_step(step_);
  done.set_steps_total(steps_total_);
  done.set_loss(1.0);
  const double tokens = settings_.workload
                            ? settings_.workload->tokens_per_step
                            : static_cast<double>(BatchOf(task_.spec()) * kTokensPerExample);
  done.set_tokens(static_cast<int64_t>(tokens * static_cast<double>(steps_under_way_)));
  done.set_tokens_left(static_cast<int64_t>(tokens * static_cast<double>(steps_total_ - step_)));
  done.set_compute_seconds(settings_.step_seconds);
  waits_ = task_.gated();
  port_.on_frame(frame);
  if (!running_) {
    return;
  }
  if (TakeCheckpointDue()) {
    SaveCheckpoint();
  }
  if (running_ && !waits_) {
    Step();
  }
}

void Runner::SaveCheckpoint() {
  const std::string text = absl::StrCat(step_, " ", counter_, " ", weights_, " ",
                                        Mix(static_cast<uint64_t>(step_), Mix(counter_, weights_)));
  if (!disk_.Replace(CheckpointFile(task_.work_directory(), step_), text).ok()) {
    return;  // A failed checkpoint does not end training.
  }
  const std::vector<int64_t> steps = CheckpointSteps();
  for (size_t i = kCheckpointsKept; i < steps.size(); ++i) {
    disk_.Remove(agent::CheckpointDirectory(task_.work_directory(), steps[i]));
  }
  v1::RunnerFrame frame;
  frame.mutable_checkpoint()->set_step(step_);
  const auto& workload = settings_.workload;
  frame.mutable_checkpoint()->set_seconds(workload ? workload->checkpoint_seconds : 0.1);
  frame.mutable_checkpoint()->set_size_bytes(workload ? workload->checkpoint_bytes
                                                      : static_cast<int64_t>(text.size()));
  port_.on_frame(frame);
}

void Runner::Finish() {
  const bool keeps_result = !task_.output_directory().empty();
  if (keeps_result) {
    Phase("save");
  }
  if (keeps_result &&
      !disk_.Replace(absl::StrCat(task_.output_directory(), "/weights"), absl::StrCat(weights_))
           .ok()) {
    v1::RunnerFrame frame;
    frame.mutable_failure()->set_failure_class(v1::FAILURE_CLASS_DEVICE);
    frame.mutable_failure()->set_message("simulated: the result does not fit on the disk");
    port_.on_frame(frame);
    Exit(true);
    return;
  }
  v1::RunnerFrame frame;
  v1::RunnerResult& result = *frame.mutable_result();
  const JobKind& kind = KindOf(task_.spec());
  *result.mutable_work() = settings_.workload ? settings_.workload->work : SmallWork();
  result.mutable_work()->mutable_signature()->set_engine_version(settings_.engine);
  if (kind.makes_model) {
    *result.mutable_model_shape() = result.work().signature().model();
    result.set_parameter_count(kModelParameters);
    result.set_quantization(kind.quantizes_model ? "int8" : "none");
  }
  port_.on_frame(frame);
  if (running_) {
    Exit(true);
  }
}

v1::WorkDone Runner::SmallWork() const {
  v1::WorkDone work;
  v1::WorkloadSignature& signature = *work.mutable_signature();
  const v1::JobSpec& spec = task_.spec();
  const JobKind& kind = KindOf(spec);
  signature.set_method(kind.methods.front());
  signature.mutable_model()->set_architecture("gpt2");
  signature.mutable_model()->set_layers(kModelLayers);
  signature.mutable_model()->set_width(kModelWidth);
  signature.mutable_model()->set_heads(kModelHeads);
  signature.mutable_model()->set_vocabulary_size(512);
  signature.mutable_model()->set_context_length(128);
  SetTrainingSettings(spec.finetune(), signature);
  signature.set_quantization(kind.quantizes_model ? "int8" : "none");
  if (kind.unit == v1::WORK_UNIT_GENERATED_TOKEN) {
    signature.set_batch_size(1);
  } else if (kind.unit != v1::WORK_UNIT_PARAMETER) {
    signature.set_batch_size(static_cast<int>(BatchOf(spec)));
    signature.set_sequence_length(static_cast<int>(kTokensPerExample));
  }
  signature.set_engine("wattle");
  work.set_unit(kind.unit);
  work.set_steps(steps_total_);
  work.set_tokens(kind.unit == v1::WORK_UNIT_GENERATED_TOKEN
                      ? kGeneratedTokens
                      : steps_total_ * BatchOf(spec) * kTokensPerExample);
  work.set_units(kind.unit == v1::WORK_UNIT_PARAMETER ? static_cast<double>(kModelParameters)
                                                      : static_cast<double>(work.tokens()));
  work.set_examples(steps_total_ * BatchOf(spec));
  return work;
}

void Runner::Exit(bool clean) {
  running_ = false;
  port_.set_working(false);
  loop_.After(0.0, [this, clean, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) {
      port_.on_exit(clean);
    }
  });
}

void Runner::Command(const v1::RunnerCommand& command) {
  if (!running_) {
    return;
  }
  if (command.has_write_checkpoint()) {
    checkpoint_ordered_ = true;
    return;
  }
  if (command.has_stop()) {
    stop_ = true;
    discard_ = command.stop().discard();
  }
  // A stop also opens the gate, because the runner is between two steps.
  if (std::exchange(waits_, false)) {
    After(0.0, &Runner::Step);
  }
}

void Runner::Kill() {
  if (running_) {
    Exit(false);
  }
}
void Runner::Crash() {
  Kill();
}
void Runner::Hang() {
  hung_ = running_;
}

}  // namespace wattle::sim
