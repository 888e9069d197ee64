// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "base/status_macros.h"
#include "coordinator/core/state.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(snapshot, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const core::State state, core::ParseSnapshot(bytes));
  const auto again = core::ParseSnapshot(core::SnapshotBytes(state));
  WATTLE_CHECK(again.ok() && core::SnapshotBytes(*again) == core::SnapshotBytes(state),
               "a state comes back as it was");
  return absl::OkStatus();
}
