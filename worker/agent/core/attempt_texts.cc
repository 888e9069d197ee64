// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/attempt_texts.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"

#include "units/format.h"

namespace wattle::agent {
namespace {

std::string PhaseLine(const v1::PhaseChanged& phase) {
  if (phase.phase() == "checkpoint") {
    return "";  // the frame of the checkpoint gives the line
  }
  if (phase.steps_total() == 0) {
    return phase.phase();
  }
  return phase.from_step() == 0 ? absl::StrCat(phase.phase(), ": ", phase.steps_total(), " steps")
                                : absl::StrCat(phase.phase(), ": from step ", phase.from_step(),
                                               " of ", phase.steps_total());
}

std::string ResultLine(const v1::RunnerResult& result) {
  return absl::StrCat(
      "done", result.metrics().empty() ? "" : ": ",
      absl::StrJoin(result.metrics(), ", ", [](std::string* out, const v1::Metric& metric) {
        absl::StrAppendFormat(out, "%s %.6g", metric.name(), metric.value());
      }));
}

}  // namespace

std::string FetchedLine(const v1::Assignment& assignment, const FetchResult& result) {
  const std::string inputs = absl::StrJoin(
      assignment.inputs(), ", ", [](std::string* out, const v1::ResolvedInput& input) {
        absl::StrAppend(out, input.field(), " ", input.reference());
      });
  if (inputs.empty()) {
    return "";
  }
  std::vector<std::string> ways;
  if (result.moved_bytes > 0) {
    ways.push_back(absl::StrCat(FormatBytes(result.moved_bytes), " over the link"));
  }
  if (result.peer_bytes > 0) {
    ways.push_back(absl::StrCat(FormatBytes(result.peer_bytes), " from boards of the site"));
  }
  return absl::StrCat("fetched ", inputs, ": ",
                      ways.empty() ? "all were on this device already" : absl::StrJoin(ways, ", "));
}

std::string StartLine(const v1::RunnerTask& task) {
  return absl::StrCat("the runner starts on ", task.device(), ", ", task.threads(),
                      task.threads() == 1 ? " thread" : " threads");
}

std::string CheckpointLine(const CheckpointInterval& next, const CheckpointFacts& facts) {
  const std::string write = FormatElapsed(facts.write);
  const std::string between_cuts = FormatElapsed(facts.between_cuts);
  std::string line = absl::StrCat("a checkpoint about every ", FormatElapsed(next.interval), ": ");
  switch (next.bound) {
    case CheckpointBound::kNone:
      absl::StrAppend(&line, "one takes ", write, ", and cuts are expected every ", between_cuts);
      break;
    case CheckpointBound::kReserve:
      absl::StrAppend(&line, "the battery nears the reserve, which it reaches in ",
                      FormatElapsed(facts.until_reserve));
      break;
    case CheckpointBound::kFlash:
      absl::StrAppend(&line, "the card's budget allows no more (flash_bytes_per_day)");
      if (next.interval > facts.between_cuts) {
        absl::StrAppend(&line, "; cuts are expected every ", between_cuts,
                        ", so raise the budget or train adapters, which write less");
      }
      break;
    case CheckpointBound::kLoss:
      absl::StrAppend(&line, "a cut may cost no more (loss_seconds_max)");
      if (facts.loss_max < facts.write) {
        absl::StrAppend(&line, ", and one takes ", write);
      }
      break;
    case CheckpointBound::kCutOff:
      absl::StrAppend(&line, "a cut ended ", FormatElapsed(facts.cut_off),
                      " of work that had none");
      if (facts.flash_wait > next.interval) {
        absl::StrAppend(&line, ", so the card's budget is exceeded (flash_bytes_per_day)");
      }
      break;
  }
  return line;
}

std::string LineOf(const v1::RunnerFrame& frame) {
  switch (frame.frame_case()) {
    case v1::RunnerFrame::kPhase:
      return PhaseLine(frame.phase());
    case v1::RunnerFrame::kStep:
      return frame.step().heldout_loss() == 0.0
                 ? ""
                 : absl::StrFormat("step %d: held-out loss %.4g", frame.step().step(),
                                   frame.step().heldout_loss());
    case v1::RunnerFrame::kCheckpoint:
      return absl::StrCat("checkpoint of step ", frame.checkpoint().step(), ": ",
                          FormatBytes(frame.checkpoint().size_bytes()), " in ",
                          FormatElapsed(absl::Seconds(frame.checkpoint().seconds())));
    case v1::RunnerFrame::kResult:
      return ResultLine(frame.result());
    case v1::RunnerFrame::kStopped:
      return absl::StrCat("stopped at the checkpoint of step ", frame.stopped().step());
    case v1::RunnerFrame::kLog:
      return frame.log().text();
    case v1::RunnerFrame::kFailure:
    case v1::RunnerFrame::kAlive:
    case v1::RunnerFrame::FRAME_NOT_SET:
      return "";
  }
  return "";
}

std::string InUsersWords(const std::string& message, const v1::Assignment& assignment,
                         const std::vector<FetchedInput>& inputs) {
  std::string text = message;
  for (const FetchedInput& input : inputs) {
    for (const v1::ResolvedInput& named : assignment.inputs()) {
      if (named.field() != input.field || named.reference().empty()) {
        continue;
      }
      const std::string name = absl::StrCat(named.field(), " ", named.reference());
      // Replace the file's path before the path of its directory.
      for (const std::string& path : {input.file, input.directory}) {
        if (!path.empty()) {
          absl::StrReplaceAll({{path, name}}, &text);
        }
      }
    }
  }
  return text;
}

void AppendText(const std::string& text, v1::AttemptProgress& progress) {
  if (text.empty()) {
    return;
  }
  std::string& tail = *progress.mutable_text();
  tail += text;
  if (tail.size() > kTextTailBytes) {
    size_t first = tail.size() - kTextTailBytes;
    while (first < tail.size() && (static_cast<unsigned char>(tail[first]) & 0xc0U) == 0x80U) {
      ++first;
    }
    tail.erase(0, first);
  }
  progress.set_text_bytes(progress.text_bytes() + static_cast<int64_t>(text.size()));
}

}  // namespace wattle::agent
