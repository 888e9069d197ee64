// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/frame_sink.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

#include "base/crash_point.h"

namespace wattle::runner {
namespace {

std::string StepAsLine(const v1::StepDone& step) {
  std::string line = absl::StrCat(step.phase(), " ", step.step(), "/", step.steps_total());
  if (step.loss() != 0.0) {
    absl::StrAppendFormat(&line, " loss %.4f", step.loss());
  }
  if (step.heldout_loss() != 0.0) {
    absl::StrAppendFormat(&line, " held-out loss %.4f", step.heldout_loss());
  }
  if (step.tokens() > 0 && step.compute_seconds() > 0.0) {
    absl::StrAppendFormat(&line, " %.0f tokens/s",
                          static_cast<double>(step.tokens()) / step.compute_seconds());
  }
  return line;
}

}  // namespace

void FrameSink::OnPhase(engine::Phase phase, int64_t from_step, int64_t steps_total) {
  v1::RunnerFrame frame;
  frame.mutable_phase()->set_phase(std::string(engine::PhaseName(phase)));
  frame.mutable_phase()->set_from_step(from_step);
  frame.mutable_phase()->set_steps_total(steps_total);
  CrashPoint("frame:phase", FileOperationMoment::kBefore);
  write_(frame);
  CrashPoint("frame:phase", FileOperationMoment::kAfter);
}

engine::StepDecision FrameSink::OnStep(const engine::StepReport& report) {
  v1::RunnerFrame frame;
  v1::StepDone& step = *frame.mutable_step();
  step.set_phase(std::string(engine::PhaseName(report.phase)));
  step.set_step(report.step);
  step.set_steps_total(report.steps_total);
  step.set_loss(report.loss);
  step.set_heldout_loss(report.heldout_loss);
  step.set_tokens(report.tokens);
  step.set_real_tokens(report.real_tokens);
  step.set_tokens_left(report.tokens_left);
  step.set_text(report.text);
  step.set_examples(report.examples);
  step.set_flops(report.flops);
  step.set_compute_seconds(absl::ToDoubleSeconds(report.compute_time));
  CrashPoint("frame:step", FileOperationMoment::kBefore);
  write_(frame);
  CrashPoint("frame:step", FileOperationMoment::kAfter);
  return after_step_();
}

void FrameSink::OnCheckpoint(const engine::CheckpointReport& report) {
  checkpointed_step_ = report.step;
  v1::RunnerFrame frame;
  frame.mutable_checkpoint()->set_step(report.step);
  frame.mutable_checkpoint()->set_seconds(absl::ToDoubleSeconds(report.time));
  frame.mutable_checkpoint()->set_size_bytes(report.size_bytes);
  write_(frame);
}

void FrameSink::OnLog(const std::string& line) {
  v1::RunnerFrame frame;
  frame.mutable_log()->set_text(line);
  write_(frame);
}

std::string FrameAsLine(const v1::RunnerFrame& frame) {
  switch (frame.frame_case()) {
    case v1::RunnerFrame::kPhase:
      return absl::StrCat("phase ", frame.phase().phase());
    case v1::RunnerFrame::kStep:
      return StepAsLine(frame.step());
    case v1::RunnerFrame::kCheckpoint:
      return absl::StrFormat("checkpoint of step %d, %d bytes, %.2f s", frame.checkpoint().step(),
                             frame.checkpoint().size_bytes(), frame.checkpoint().seconds());
    case v1::RunnerFrame::kResult: {
      std::string line = "result";
      for (const v1::Metric& metric : frame.result().metrics()) {
        absl::StrAppendFormat(&line, " %s %.6g", metric.name(), metric.value());
      }
      return line;
    }
    case v1::RunnerFrame::kFailure:
      return absl::StrCat("failed: ", frame.failure().message());
    case v1::RunnerFrame::kStopped:
      return absl::StrCat("stopped; checkpoint of step ", frame.stopped().step());
    case v1::RunnerFrame::kLog:
      return frame.log().text();
    case v1::RunnerFrame::kAlive:
    case v1::RunnerFrame::FRAME_NOT_SET:
      return "";
  }
  return "";
}

}  // namespace wattle::runner
