// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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

std::string Budget(const v1::Policy& policy) {
  return policy.daily_energy_budget_wh() == 0.0
             ? ""
             : FormatEnergy(FromWattHours(policy.daily_energy_budget_wh()));
}

// The zone of a policy's times of day: " UTC", " UTC+02:00" or " Europe/Berlin".
std::string Zone(const v1::Policy& policy) {
  if (!policy.time_zone().empty()) {
    return absl::StrCat(" ", Printable(policy.time_zone()));
  }
  const int minutes = policy.utc_offset_minutes();
  return minutes == 0 ? " UTC"
                      : absl::StrFormat(" UTC%c%02d:%02d", minutes < 0 ? '-' : '+',
                                        std::abs(minutes) / 60, std::abs(minutes) % 60);
}

std::string Windows(const v1::Policy& policy) {
  return policy.work_windows().empty()
             ? ""
             : absl::StrCat(absl::StrJoin(policy.work_windows(), ", "), Zone(policy));
}

std::string Alive(const v1::Policy& policy) {
  const std::string& until = policy.stay_alive_until();
  return until.empty() || until.size() > 5 ? until : absl::StrCat(until, Zone(policy));
}

}  // namespace

std::optional<int> SelectedDevices(const v1::ListPoliciesResponse& policies,
                                   absl::string_view name) {
  for (int i = 0; i < policies.selected_devices_size() && i < policies.policies_size(); ++i) {
    if (policies.policies(i).name() == name) {
      return policies.selected_devices(i);
    }
  }
  return std::nullopt;
}

std::string RenderPolicies(const v1::ListPoliciesResponse& policies, const TextStyle& style) {
  if (policies.policies().empty()) {
    return "no policies; apply one with: wattle policy apply FILE\n";
  }
  Table table({{"policy"},
               {"devices", Align::kLeft, true},
               {"now", Align::kRight},
               {"reserve", Align::kRight},
               {"max temperature", Align::kRight},
               {"a day", Align::kRight},
               {"work windows", Align::kLeft, true},
               {"alive until"}});
  for (const v1::Policy& policy : policies.policies()) {
    const std::optional<int> now = SelectedDevices(policies, policy.name());
    table.AddRow({policy.name(), Selector(policy), now ? absl::StrCat(*now) : "", Reserve(policy),
                  Limit(policy), Budget(policy), Windows(policy), Alive(policy)});
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
  if (!Budget(policy).empty()) {
    absl::StrAppend(&out, ", draws at most ", Budget(policy), " a day");
  }
  if (!Windows(policy).empty()) {
    absl::StrAppend(&out, ", works ", Windows(policy));
  }
  if (!Alive(policy).empty()) {
    absl::StrAppend(&out, ", leaves charge to stay alive until ", Alive(policy));
  }
  if (policy.missing_gauge() == v1::MISSING_GAUGE_REFUSE) {
    absl::StrAppend(&out, ", refuses devices without a battery gauge");
  }
  return absl::StrCat(Printable(out), "\n");
}

}  // namespace wattle::cli
