// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Explains a plan: one sentence for a choice or for its absence, and the bounded explanation of a
// placement.
#ifndef WATTLE_SCHEDULER_PLACE_EXPLAIN_EXPLAIN_INTERNAL_H_
#define WATTLE_SCHEDULER_PLACE_EXPLAIN_EXPLAIN_INTERNAL_H_

#include <optional>
#include <string>

#include "scheduler/place/device/evaluate_device_internal.h"
#include "scheduler/place/snapshot.h"
#include "wattle/v1/plan.pb.h"

namespace wattle::scheduler {

// The value of the first steps on the chosen device; nullopt: the job is no probe there.
std::optional<v1::ProbeValue> ValueOfProbe(const EvaluatedDevices& evaluated);

// Why no option is feasible: "no device can take it now; the nearest is orin: …".
std::string WhyNone(const FleetView& fleet, const JobView& job, const EvaluatedDevices& evaluated);

// "orin: 36.33 Wh; saves 21.49 Wh (37 %) against xavier". shown: the choice as shown to people.
// REQUIRES: there is a choice.
std::string WhyChosen(const FleetView& fleet, const JobView& job, const EvaluatedDevices& evaluated,
                      const v1::Candidate& shown);

// The choice of `evaluated` with the five best options and counts of the refusals. Without a
// feasible option, `best` has up to five refused ones with their reasons.
// REQUIRES: `evaluated` is the latest answer of `fleet`, about `job`.
v1::Placement PlacementOf(const FleetView& fleet, const JobView& job,
                          const EvaluatedDevices& evaluated);

// Whether devices exist and every refusal is permanent.
bool NeverFeasible(const EvaluatedDevices& evaluated);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_EXPLAIN_EXPLAIN_INTERNAL_H_
