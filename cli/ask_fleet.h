// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Asks a coordinator all that an overview of the fleet (status, top, doctor) shows. One thread.
#ifndef WATTLE_CLI_ASK_FLEET_H_
#define WATTLE_CLI_ASK_FLEET_H_

#include "absl/status/statusor.h"
#include "cli/fleet_summary.h"
#include "cli/session.h"

namespace wattle::cli {

// Everything except today's joules. Calls that an older coordinator does not know are left out of
// the answers. Errors: those of the calls that every coordinator knows.
absl::StatusOr<FleetAnswers> AskFleet(Session& session);
// The joules since midnight (UTC). Apart, because the coordinator reads its ledger for them.
void AskToday(Session& session, FleetAnswers& answers);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ASK_FLEET_H_
