// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which events of the fleet are its audit: what somebody asked for, who was let in or shut out, and
// what was refused. Pure; thread-safe.
#ifndef WATTLE_PROTO_AUDITED_EVENTS_H_
#define WATTLE_PROTO_AUDITED_EVENTS_H_

#include "absl/strings/string_view.h"

namespace wattle {

// The kind of an event that is not in the journal: a call was refused, counted over a minute.
inline constexpr char kCallRefused[] = "call_refused";

// kind: of a FleetEvent.
bool IsAudited(absl::string_view kind);

}  // namespace wattle

#endif  // WATTLE_PROTO_AUDITED_EVENTS_H_
