// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The calls that an overview of the fleet is made of. One thread.
#ifndef WATTLE_CLI_ASK_FLEET_H_
#define WATTLE_CLI_ASK_FLEET_H_

#include "absl/status/statusor.h"
#include "cli/fleet_summary.h"
#include "cli/session.h"

namespace wattle::cli {

// All of it but the joules of today. Errors: those of the calls that every coordinator knows; what
// an older one does not know is left out.
absl::StatusOr<FleetAnswers> AskFleet(Session& session);
// The joules since midnight (UTC), which cost the coordinator more to find.
void AskToday(Session& session, FleetAnswers& answers);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ASK_FLEET_H_
