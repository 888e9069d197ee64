// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Marginal joules x wall seconds until completion, waiting included.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "scheduler/place/constraint_registry_internal.h"
#include "scheduler/place/objective.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

class Edp final : public ObjectiveFunction {
 public:
  [[nodiscard]] v1::Objective objective() const override { return v1::OBJECTIVE_EDP; }
  [[nodiscard]] double Cost(const v1::Candidate& candidate) const override {
    return candidate.marginal_energy_joules() * candidate.finish_in_seconds();
  }
  [[nodiscard]] std::string Format(double cost) const override {
    return absl::StrCat(FormatEnergy(Joules(cost)), " x s");
  }
};

}  // namespace

const ObjectiveFunction& EdpObjective() {
  static const auto* const kObjective = new Edp();
  return *kObjective;
}

}  // namespace wattle::scheduler
