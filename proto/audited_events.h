// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which events of the fleet are its audit: what somebody asked for, who was let in or shut out, and
// what was refused; and how the audit tells them. Pure; thread-safe.
#ifndef WATTLE_PROTO_AUDITED_EVENTS_H_
#define WATTLE_PROTO_AUDITED_EVENTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "wattle/v1/coordinator.pb.h"

namespace wattle {

// The kind of an event that is not in the journal: a call was refused, counted over a minute.
inline constexpr char kCallRefused[] = "call_refused";

// Of the journal: the calls that were refused in a minute.
inline constexpr char kRefusalsCounted[] = "refusals_counted";
// Whether it is one of these two, which a stranger makes as often as they like.
bool IsRefusal(absl::string_view kind);

// kind: of a FleetEvent.
bool IsAudited(absl::string_view kind);

// Those of the journal but kRefusalsCounted.
const std::vector<std::string>& AuditedKinds();
// Whether it is audited as what people do all day, many times a minute: jobs and artifacts.
bool IsOfDailyWork(absl::string_view kind);

// The event's sentence, and whose call it was: "policy solar applied; person ada from 10.0.0.7".
std::string AuditText(const v1::FleetEvent& event);

}  // namespace wattle

#endif  // WATTLE_PROTO_AUDITED_EVENTS_H_
