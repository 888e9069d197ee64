// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/sweep_view.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/json_output.h"
#include "cli/labels.h"
#include "cli/table.h"
#include <nlohmann/json.hpp>

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

// nullptr if no device is feasible.
const v1::Candidate* ChosenOf(const v1::PlanResponse& plan) {
  for (const v1::Candidate& candidate : plan.candidates()) {
    if (!plan.chosen_device_id().empty() && plan.certain_failure().empty() &&
        candidate.device_id() == plan.chosen_device_id()) {
      return &candidate;
    }
  }
  return nullptr;
}

std::string WhenWords(const v1::PlanResponse& plan, const v1::Candidate* chosen) {
  if (!plan.certain_failure().empty()) {
    return absl::StrCat("certain to fail: ", Printable(plan.certain_failure()));
  }
  if (chosen == nullptr) {
    return absl::StrCat("no device is feasible: ", Printable(plan.reason()));
  }
  return plan.wait()
             ? absl::StrCat("free in ", FormatElapsed(absl::Seconds(chosen->start_in_seconds())))
             : "now";
}

}  // namespace

std::string RenderSweep(const std::vector<SweptPlan>& plans, const TextStyle& style) {
  Table table({{"job"},
               {"device"},
               {"device s", Align::kRight},
               {"energy", Align::kRight},
               {"marginal", Align::kRight},
               {"start", Align::kLeft, true}});
  double energy_joules = 0.0;
  double marginal_joules = 0.0;
  int placed = 0;
  for (const SweptPlan& one : plans) {
    const v1::Candidate* chosen = ChosenOf(one.plan);
    std::vector<std::string> cells = {Printable(one.job)};
    if (chosen == nullptr) {
      cells.insert(cells.end(), 4, "");
    } else {
      const v1::Prediction& prediction = chosen->prediction();
      cells.insert(cells.end(), {Printable(chosen->device_name()),
                                 FormatSeconds(prediction.run_seconds().mean()),
                                 FormatEnergy(Joules(prediction.run_energy_joules().mean())),
                                 FormatEnergy(Joules(chosen->marginal_energy_joules()))});
      energy_joules += prediction.run_energy_joules().mean();
      marginal_joules += chosen->marginal_energy_joules();
      ++placed;
    }
    cells.push_back(WhenWords(one.plan, chosen));
    table.AddRow(std::move(cells));
  }
  return absl::StrCat(
      "plans of a sweep: ", plans.size(), " jobs, each planned as if it came alone\n\n",
      table.Render(style), "\ntogether: ", FormatEnergy(Joules(energy_joules)), ", marginal ",
      FormatEnergy(Joules(marginal_joules)),
      placed == static_cast<int>(plans.size()) ? ""
                                               : absl::StrCat(", of the ", placed, " that can run"),
      "\n");
}

std::string SweepJson(const std::vector<SweptPlan>& plans) {
  nlohmann::ordered_json document;
  document["plans"] = nlohmann::ordered_json::array();
  for (const SweptPlan& one : plans) {
    document["plans"].push_back(
        {{"name", one.job}, {"plan", nlohmann::ordered_json::parse(ToJsonLine(one.plan))}});
  }
  return absl::StrCat(document.dump(1), "\n");
}

}  // namespace wattle::cli
