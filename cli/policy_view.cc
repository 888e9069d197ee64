// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/fleet_view.h"
#include "cli/table.h"

#include "units/format.h"
#include "units/quantity.h"

namespace wattle::cli {
namespace {

std::string Selector(const v1::Policy& policy) {
  return policy.selector().empty() ? "every device" : absl::StrJoin(policy.selector(), ", ");
}

std::string Reserve(const v1::Policy& policy) {
  return policy.reserve_state_of_charge_ratio() == 0.0
             ? ""
             : FormatPercent(Fraction(policy.reserve_state_of_charge_ratio()));
}

std::string Limit(const v1::Policy& policy) {
  return policy.max_temperature_celsius() == 0.0
             ? ""
             : FormatTemperature(Celsius(policy.max_temperature_celsius()));
}

}  // namespace

std::string RenderPolicies(const v1::ListPoliciesResponse& policies, const TextStyle& style) {
  if (policies.policies().empty()) {
    return "no policies; apply one with: wattle policy apply FILE\n";
  }
  Table table({{"policy"},
               {"devices", Align::kLeft, true},
               {"reserve", Align::kRight},
               {"max temperature", Align::kRight}});
  for (const v1::Policy& policy : policies.policies()) {
    table.AddRow({policy.name(), Selector(policy), Reserve(policy), Limit(policy)});
  }
  return table.Render(style);
}

std::string RenderPolicy(const v1::Policy& policy) {
  std::string out = absl::StrCat(policy.name(), ": ", Selector(policy));
  if (!Reserve(policy).empty()) {
    absl::StrAppend(&out, ", keeps ", Reserve(policy), " of charge");
  }
  if (!Limit(policy).empty()) {
    absl::StrAppend(&out, ", stops above ", Limit(policy));
  }
  if (policy.missing_gauge() == v1::MISSING_GAUGE_REFUSE) {
    absl::StrAppend(&out, ", refuses devices without a battery gauge");
  }
  return absl::StrCat(Printable(out), "\n");
}

}  // namespace wattle::cli
