// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a paused attempt is expected to resume. Its device is busy until then and for the remaining
// work. Pure.
#ifndef WATTLE_COORDINATOR_CORE_PAUSED_H_
#define WATTLE_COORDINATOR_CORE_PAUSED_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::core {

struct ExpectedReturn {
  absl::Duration in = absl::ZeroDuration();  // From now, wall time.
  std::string why;                           // One clause for people; empty: not paused.
  bool is_guess = false;                     // Neither a clock nor the sun determines `in`.
};

// The fleet at `now`, the time from which the end of a pause is expected.
struct Outlook {
  const State& state;
  const Observations& observations;
  const std::vector<v1::Policy>& policies;  // The fleet's.
  const Instant& now;
};

// How the attempt rests at its device's reserve; nullopt: it keeps no checkpoints, a window or a
// budget stops it too, or the device's sun is unknown. REQUIRES: as ReturnOf.
std::optional<scheduler::RestsAtReserve> RestsOf(const Outlook& outlook, const v1::Attempt& attempt,
                                                 const v1::Device& device);

// For a window or a budget, the clock determines the end of the pause. For a rest at the reserve,
// the plan does, because the rest follows the sun: such an attempt counts as one that resumes now.
// Any other pause is expected to last as long as the longest one that this process saw on the
// device, or a day if it saw none. A pause that has lasted longer is expected to last as long
// again, a day at most. REQUIRES: the attempt is `device`'s.
ExpectedReturn ReturnOf(const Outlook& outlook, const v1::Attempt& attempt,
                        const v1::Device& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PAUSED_H_
