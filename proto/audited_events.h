// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Defines the audit: the events that record requests, admissions, revocations and refusals, and
// their text in the audit. Pure; thread-safe.
#ifndef WATTLE_PROTO_AUDITED_EVENTS_H_
#define WATTLE_PROTO_AUDITED_EVENTS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

#include "wattle/v1/coordinator.pb.h"

namespace wattle {

// The kind of an event that is not in the journal: a call was refused, counted over a minute.
inline constexpr char kCallRefused[] = "call_refused";

// The journal's kind for the calls refused in a minute.
inline constexpr char kRefusalsCounted[] = "refusals_counted";
// Whether the kind is one of these two, which a stranger can cause at any rate.
bool IsRefusal(absl::string_view kind);

// kind: a FleetEvent's.
bool IsAudited(absl::string_view kind);

// The audited kinds of the journal, except kRefusalsCounted.
const std::vector<std::string>& AuditedKinds();
// Whether the kind is audited but frequent daily work: jobs and artifacts.
bool IsOfDailyWork(absl::string_view kind);

// The event's sentence and the caller: "policy solar applied; person ada from 10.0.0.7".
std::string AuditText(const v1::FleetEvent& event);

}  // namespace wattle

#endif  // WATTLE_PROTO_AUDITED_EVENTS_H_
