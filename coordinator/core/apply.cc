// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Apply: applies an event to the state, without decisions. The meaning of an event never changes; a
// new rule is a new event.
#include <optional>
#include <variant>
#include <vector>

#include "base/check.h"
#include "coordinator/core/apply_internal.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "proto/visit_event.h"

namespace wattle::core {

std::vector<Effect> Apply(State& state, const v1::Event& event, std::optional<Monotonic> now) {
  WATTLE_CHECK(event.sequence() == state.last_sequence.value() + 1, "events have no gaps");
  state.last_sequence = SequenceNumber(event.sequence());
  Applier applier(state, event, now);
  VisitEvent(event, [&applier](const auto& fact) { applier.On(fact); });
  return applier.TakeEffects();
}

// The event is from a newer version. The journal's schema version prevents its replay here.
void Applier::On(std::monostate /*fact*/) {
  WATTLE_CHECK(false, "an event says what happened");
}

}  // namespace wattle::core
