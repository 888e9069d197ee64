// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fetches everything from a coordinator that an overview of the fleet (status, top, doctor) shows.
// Use it from one thread.
#ifndef WATTLE_CLI_ASK_FLEET_H_
#define WATTLE_CLI_ASK_FLEET_H_

#include "absl/status/statusor.h"
#include "cli/fleet_summary.h"
#include "cli/session.h"

namespace wattle::cli {

// Fetches everything except today's joules. Answers to calls that an older coordinator does not
// support are left out. Errors: those of the calls that every coordinator supports.
absl::StatusOr<FleetAnswers> AskFleet(Session& session);
// Fetches the joules since midnight (UTC). A separate call, because the coordinator reads its
// ledger for them.
void AskToday(Session& session, FleetAnswers& answers);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ASK_FLEET_H_
