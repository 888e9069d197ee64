// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/paused.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"

#include "coordinator/core/elapsed.h"
#include "coordinator/core/profiling.h"
#include "policy/guard_reason.h"
#include "policy/held_back.h"
#include "policy/limits.h"
#include "proto/job_kind.h"
#include "scheduler/place/device/work_resumes.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/place/sun/reserve_pauses.h"
#include "scheduler/place/sun/sun_outlook.h"
#include "units/format.h"
#include "units/id.h"

namespace wattle::core {
namespace {

// Pauses with an unknown end are mostly for heat or an empty battery, which end with the next night
// or the next sun.
constexpr absl::Duration kUnknownPause = absl::Hours(24);

}  // namespace

std::optional<scheduler::RestsAtReserve> RestsOf(const Outlook& outlook, const v1::Attempt& attempt,
                                                 const v1::Device& device) {
  const v1::JobSpec& spec = FindJob(outlook.state, JobId(attempt.job_id()))->job().spec();
  const policy::Limits limits = scheduler::LimitsFor(outlook.policies, device.info());
  if (IsProfile(spec) || !KindOf(spec).keeps_checkpoints || !scheduler::MayPause(device, limits) ||
      !scheduler::HasSeenSun(device)) {
    return std::nullopt;
  }
  return scheduler::RestsAtReserve{
      .held_back = policy::HeldBack(policy::PredictedStop(spec, attempt.prediction())),
      .restart = absl::Seconds(attempt.prediction().start_seconds())};
}

ExpectedReturn ReturnOf(const Outlook& outlook, const v1::Attempt& attempt,
                        const v1::Device& device) {
  const auto& [state, observations, policies, now] = outlook;
  if (attempt.state() != v1::ATTEMPT_STATE_PAUSED) {
    return {};
  }
  if (policy::IsAtReserve(attempt.reason()) && RestsOf(outlook, attempt, device).has_value()) {
    return {.why = absl::StrCat("its attempt ", attempt.attempt_id(),
                                " rests at its reserve until the sun has charged the battery")};
  }
  const std::string paused = absl::StrCat("its attempt ", attempt.attempt_id(), " is paused");
  const v1::JobRecord& job = *FindJob(state, JobId(attempt.job_id()));
  const policy::StopEstimate stop = policy::PredictedStop(job.job().spec(), attempt.prediction());
  if (const auto resumes = scheduler::WhenWorkResumes(policies, device, stop, now.wall);
      resumes.has_value()) {
    return {resumes->at - now.wall,
            absl::StrCat(paused, " until ", scheduler::FormatMoment(resumes->at, now.wall),
                         ", when ", resumes->why)};
  }
  const absl::Duration so_far =
      SinceStateChange(state, observations, AttemptId(attempt.attempt_id()), now.monotonic);
  const absl::Duration* const longest = state.longest_pause.Find(DeviceId(attempt.device_id()));
  const absl::Duration expected = longest == nullptr ? kUnknownPause : *longest;
  const absl::Duration in = so_far < expected ? expected - so_far : std::min(so_far, kUnknownPause);
  return {in,
          absl::StrCat(paused, " (", attempt.reason(), "), and ",
                       longest == nullptr ? "nothing tells until when: the plan expects "
                                          : "by its longest pause so far the plan expects ",
                       FormatElapsed(in), " more"),
          /*is_guess=*/true};
}

}  // namespace wattle::core
