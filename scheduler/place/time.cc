// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Earliest completion in wall time, waiting included.
#include "absl/time/time.h"

#include <string>

#include "absl/strings/str_cat.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/objective.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

class Time final : public ObjectiveFunction {
 public:
  [[nodiscard]] v1::Objective objective() const override { return v1::OBJECTIVE_TIME; }
  [[nodiscard]] double Cost(const v1::Candidate& candidate) const override {
    return candidate.finish_in_seconds();
  }
  [[nodiscard]] std::string Format(double cost) const override {
    return FormatElapsed(absl::Seconds(cost));
  }
};

}  // namespace

const ObjectiveFunction& TimeObjective() {
  static const auto* const kObjective = new Time();
  return *kObjective;
}

}  // namespace wattle::scheduler
