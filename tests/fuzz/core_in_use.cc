// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/core_in_use.h"

#include "base/check.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/state.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::fuzz {
namespace {

// Enrols ann, so that commands about people find a person.
void LetAnnIn(core::Fleet& fleet) {
  v1::EnrolmentToken token;
  token.set_token_id("token");
  token.set_kind(core::kPersonKind);
  token.set_person("ann");
  token.set_role("submitter");
  token.set_uses(1);
  token.set_expires_unix_seconds(core::ToUnix(core::Now(/*seconds=*/60).wall));
  core::Do(fleet.state, fleet.observations, core::CreateTokens{{token}});
  core::Enrol enrol;
  enrol.identity.set_id("ann");
  enrol.identity.set_token_id(token.token_id());
  enrol.identity.set_signing_request_sha256("request");
  enrol.identity.set_public_key_sha256("key");
  core::Do(fleet.state, fleet.observations, enrol);
}

const core::Fleet& Busy() {
  static const core::Fleet& fleet = *[] {
    auto* made = new core::Fleet();
    core::PlaceFirst(*made);
    LetAnnIn(*made);
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
