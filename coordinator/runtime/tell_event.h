// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells an event of the journal as one sentence for people. Pure; thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_TELL_EVENT_H_
#define WATTLE_COORDINATOR_RUNTIME_TELL_EVENT_H_

#include <functional>
#include <optional>
#include <string>

#include "wattle/v1/coordinator.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle::runtime {

// The look-ups that the sentences need beside the event.
struct EventContext {
  std::function<std::string(const std::string& device_id)> device_name;
  std::function<std::string(const std::string& attempt_id)> device_of_attempt;  // The device's id.
};

// nullopt for events of bookkeeping: acknowledged reports, ledgers, resolved inputs, learned
// profiles, jobs that moved to the history.
std::optional<v1::FleetEvent> TellEvent(const v1::Event& event, const EventContext& context);

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_TELL_EVENT_H_
