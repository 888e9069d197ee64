// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Fewest marginal joules of the fleet. Waiting costs none, so a job waits for the better board.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/objective.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

class Energy final : public ObjectiveFunction {
 public:
  [[nodiscard]] v1::Objective objective() const override { return v1::OBJECTIVE_ENERGY; }
  [[nodiscard]] double Cost(const v1::Candidate& candidate) const override {
    return candidate.marginal_energy_joules();
  }
  [[nodiscard]] std::string Format(double cost) const override {
    return FormatEnergy(Joules(cost));
  }
};

}  // namespace

const ObjectiveFunction& EnergyObjective() {
  static const auto* const kObjective = new Energy();
  return *kObjective;
}

}  // namespace wattle::scheduler
