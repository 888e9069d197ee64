// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When a paused attempt is expected to go on. Its device is busy until then and for the remaining
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
  bool is_guess = false;                     // Neither a clock nor the sun tells `in`.
};

// The fleet at the time `now`, from which the end of a pause is expected.
struct Outlook {
  const State& state;
  const Observations& observations;
  const std::vector<v1::Policy>& policies;  // The fleet's.
  const Instant& now;
};

// How the attempt rests at its device's reserve; nullopt: it keeps no checkpoints, a window or a
// budget stops it too, or nobody knows the device's sun. REQUIRES: as ReturnOf.
std::optional<scheduler::RestsAtReserve> RestsOf(const Outlook& outlook, const v1::Attempt& attempt,
                                                 const v1::Device& device);

// The clock tells the end of a pause for a window or a budget. The plan tells that of a rest at the
// reserve, because it follows the sun: such an attempt counts as one that goes on now. Any other
// pause is expected to last as long as the longest one that this process saw on the device, or a
// day if it saw none. A pause that has outlasted this is expected to last once more as long as it
// has lasted, a day at most. REQUIRES: the attempt is `device`'s.
ExpectedReturn ReturnOf(const Outlook& outlook, const v1::Attempt& attempt,
                        const v1::Device& device);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_PAUSED_H_
