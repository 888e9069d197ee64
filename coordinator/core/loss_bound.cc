// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/loss_bound.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/inputs_internal.h"
#include "policy/selector.h"
#include "proto/job_kind.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/predict/work.h"
#include "units/format.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::core {
namespace {

// Only the newest jobs, because a submit waits for this search.
constexpr int kJobsLookedAt = 1000;
// Checkpoints of two jobs with one model have equal sizes, except for rounding.
constexpr double kSameSize = 1.001;

double CheckpointBytesOf(const v1::JobSpec& spec, const std::vector<scheduler::InputView>& inputs,
                         const scheduler::Snapshot& snapshot) {
  if (!KindOf(spec).keeps_checkpoints) {
    return 0;
  }
  const absl::StatusOr<scheduler::WorkAmount> work =
      scheduler::WorkOf(spec, inputs, *snapshot.profiles);
  return work.ok() ? work->checkpoint_bytes : 0;
}

// Bytes of all checkpoints and the result; nullopt: the result's size is unknown.
std::optional<double> WrittenBytes(const State& state, const v1::Receipt& receipt) {
  const auto checkpoints = static_cast<double>(receipt.checkpoint_bytes());
  if (receipt.output_artifact_id().empty()) {
    return checkpoints;
  }
  const v1::ArtifactInfo* const result =
      state.artifacts.Find(ArtifactId(receipt.output_artifact_id()));
  return result == nullptr ? std::nullopt
                           : std::optional(checkpoints + static_cast<double>(result->size_bytes()));
}

// The policy that sets the bound.
std::string PolicyOf(const std::vector<v1::Policy>& policies, const v1::DeviceInfo& device,
                     absl::Duration loss_max) {
  for (const v1::Policy* const policy : policy::Selecting(policies, device)) {
    if (absl::Seconds(policy->loss_seconds_max()) == loss_max) {
      return policy->name();
    }
  }
  return "";
}

}  // namespace

LossBound::LossBound(const State& state, const scheduler::Snapshot& snapshot,
                     const scheduler::JobView& job)
    : snapshot_(snapshot) {
  const bool bounded =
      std::any_of(snapshot.policies.begin(), snapshot.policies.end(),
                  [](const v1::Policy& policy) { return policy.loss_seconds_max() > 0; });
  if (!bounded || job.profile_point.has_value()) {  // A profile job's runs write no checkpoints.
    return;
  }
  checkpoint_bytes_ = CheckpointBytesOf(job.spec, job.inputs, snapshot);
  int looked_at = 0;
  for (auto record = state.jobs.rbegin();
       checkpoint_bytes_ > 0 && record != state.jobs.rend() && looked_at < kJobsLookedAt;
       ++record, ++looked_at) {
    Measure(state, record->second.job());
  }
}

// The newest attempt of a board counts, so existing entries stay.
void LossBound::Measure(const State& state, const v1::Job& job) {
  std::optional<double> bytes;  // Size of one checkpoint.
  for (auto attempt = job.attempts().rbegin(); attempt != job.attempts().rend(); ++attempt) {
    const v1::Receipt& receipt = attempt->receipt();
    const DeviceId device(attempt->device_id());
    if (receipt.checkpoint_bytes() <= 0 || receipt.checkpoint_seconds() <= 0 ||
        measured_.contains(device)) {
      continue;
    }
    if (!bytes) {
      bytes = CheckpointBytesOf(job.spec(), ViewsOf(state, job), snapshot_);
    }
    const std::optional<double> written = WrittenBytes(state, receipt);
    if (*bytes > 0 && *bytes <= kSameSize * checkpoint_bytes_ && written) {
      measured_[device] = {absl::Seconds(receipt.checkpoint_seconds() * *bytes / *written),
                           attempt->attempt_id()};
    }
  }
}

std::string LossBound::WhyNot(const v1::DeviceInfo& device) const {
  const auto measured = measured_.find(DeviceId(device.device_id()));
  if (measured == measured_.end()) {
    return "";
  }
  const std::optional<absl::Duration> loss_max =
      scheduler::LimitsFor(snapshot_.policies, device).loss_max;
  const absl::Duration time = measured->second.time;
  if (!loss_max || time <= *loss_max) {
    return "";
  }
  return absl::StrCat("policy ", PolicyOf(snapshot_.policies, device, *loss_max),
                      ": loss_seconds_max: ", absl::ToDoubleSeconds(*loss_max),
                      ": a checkpoint that was no larger took ", FormatElapsed(time), " on ",
                      device.name(), " (", measured->second.attempt,
                      "), so a power cut costs as much; want ",
                      std::ceil(absl::ToDoubleSeconds(time)), " or more there, or 0");
}

std::string LossBound::WhyNone(const v1::PlanResponse& plan) const {
  std::string first;
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (candidate.permanent()) {
      continue;  // The device could not run the job anyway.
    }
    const auto view = std::find_if(snapshot_.devices.begin(), snapshot_.devices.end(),
                                   [&](const scheduler::DeviceView& one) {
                                     return one.device.info().device_id() == candidate.device_id();
                                   });
    const std::string why = view == snapshot_.devices.end() ? "" : WhyNot(view->device.info());
    if (why.empty()) {
      return "";
    }
    if (first.empty()) {
      first = why;
    }
  }
  return first;
}

}  // namespace wattle::core
