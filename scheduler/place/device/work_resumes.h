// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When work that a device's guard has paused may resume: a window opens, or the day of an energy
// budget ends. Cooling of a board cannot be foreseen. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PLACE_DEVICE_WORK_RESUMES_H_
#define WATTLE_SCHEDULER_PLACE_DEVICE_WORK_RESUMES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "policy/held_back.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::scheduler {

struct WorkResumes {
  absl::Time at;    // After `now`.
  std::string why;  // For people: "the window of policy night opens".
};

// The moment at which the last of the limits that hold the device back at `now` ends. nullopt: no
// limit holds it, or the end of one is unknown. stop: of the paused work, because the guard starts
// work only if there is time to stop it.
std::optional<WorkResumes> WhenWorkResumes(const std::vector<v1::Policy>& policies,
                                           const v1::Device& device,
                                           const policy::StopEstimate& stop, absl::Time now);

// "09:40 UTC", with its date if it is more than 20 hours after `now`.
std::string FormatMoment(absl::Time at, absl::Time now);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_DEVICE_WORK_RESUMES_H_
