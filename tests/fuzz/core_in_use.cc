// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/core_in_use.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/fleet_for_test.h"
#include "coordinator/core/state.h"

namespace wattle::fuzz {
namespace {

const core::Fleet& Busy() {
  static const core::Fleet& fleet = *[] {
    auto* made = new core::Fleet();
    core::PlaceFirst(*made);
    return made;
  }();
  return fleet;
}

}  // namespace

absl::Status DecideInUse(const std::vector<core::Command>& commands) {
  core::State state = Busy().state;
  for (const core::Command& command : commands) {
    const core::Decision decision =
        core::Decide(state, command, Busy().observations, core::Now(/*seconds=*/5));
    for (const v1::Event& event : decision.events) {
      core::Apply(state, event, core::Now(/*seconds=*/5).monotonic);
    }
    WATTLE_RETURN_IF_ERROR(decision.status);
  }
  const auto again = core::ParseSnapshot(core::SnapshotBytes(state));
  WATTLE_CHECK(again.ok() && core::SnapshotBytes(*again) == core::SnapshotBytes(state),
               "a state comes back from its snapshot");
  return absl::OkStatus();
}

}  // namespace wattle::fuzz
