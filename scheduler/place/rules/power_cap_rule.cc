// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The boards of one supply (Policy.power_group.power_cap_watts) never draw more together than the
// cap: the idle watts of all boards, plus each run's mean watts above its board's idle watts.
#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "policy/burst_power.h"
#include "scheduler/place/device/power_group.h"
#include "scheduler/place/rules/rule.h"
#include "scheduler/place/rules/selector.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/supply.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

timetable::Milliwatts PowerOf(const DeviceEvaluation& on) {
  return SupplyPowerOf(on.device.device, policy::BurstPower(on.prediction));
}

// The run if it begins at `begin`, with pauses as long as those of the evaluated start.
std::vector<timetable::SupplyRun> RunsFrom(const DeviceEvaluation& on, absl::Time begin) {
  const absl::Duration length = absl::Seconds(on.finish_in_seconds_upper - on.start_in_seconds);
  return SupplyRunsOf(*on.load, begin, begin + length, PowerOf(on));
}

// The first piece that does not fit; null if all do.
const timetable::SupplyRun* FirstTooMuch(const timetable::Supply& supply,
                                         const std::vector<timetable::SupplyRun>& runs) {
  const auto first = std::find_if(
      runs.begin(), runs.end(), [&](const timetable::SupplyRun& run) { return !supply.Fits(run); });
  return first == runs.end() ? nullptr : &*first;
}

Watts WattsOf(timetable::Milliwatts power) {
  return Watts(static_cast<double>(power) / 1000);
}

std::optional<Refusal> CheckPowerCap(const DeviceEvaluation& on) {
  if (on.load->supply == nullptr) {
    return std::nullopt;
  }
  const timetable::Supply& supply = *on.load->supply;
  const std::vector<timetable::SupplyRun> runs = RunsFrom(on, on.start());
  const timetable::SupplyRun* const too_much = FirstTooMuch(supply, runs);
  if (too_much == nullptr) {
    return std::nullopt;
  }
  const timetable::SupplyRun& run = *too_much;
  const policy::Limits& limits = on.limits;
  const bool alone = supply.FitsAlone(run.power);
  const timetable::Milliwatts others = alone ? supply.DrawOver(run) : supply.spec().idle;
  return Refuse(
      on,
      [&] {
        return absl::StrCat("would draw ", FormatPower(WattsOf(run.power)),
                            " above idle, the boards of ", limits.power_group->name,
                            alone ? " draw " : " idle at ", FormatPower(WattsOf(others)),
                            ", and their cap is ", FormatPower(WattsOf(supply.spec().cap)),
                            " (policy ", limits.power_group->policy, "); feasible ",
                            alone ? "once another of their jobs has ended" : "with a cap of ",
                            alone ? "" : FormatPower(WattsOf(others + run.power)));
      },
      /*permanent=*/!alone);
}

std::optional<absl::Time> PowerIsFree(const DeviceEvaluation& on) {
  const timetable::Supply& supply = *on.load->supply;
  std::vector<absl::Time> begins;  // Power becomes free only at the ends of other runs.
  for (const timetable::SupplyRun& other : supply.runs()) {
    const absl::Time end = absl::FromUnixSeconds(other.end());
    if (end > on.start()) {
      begins.push_back(end);
    }
  }
  std::sort(begins.begin(), begins.end());
  const auto first = std::find_if(begins.begin(), begins.end(), [&](absl::Time begin) {
    return FirstTooMuch(supply, RunsFrom(on, begin)) == nullptr;
  });
  return first == begins.end() ? std::nullopt : std::optional(*first);
}

}  // namespace

extern const Rule kPowerCapRule = {"power_cap", RuleScope::kLoad, CheckPowerCap, PowerIsFree,
                                   "the other boards of its supply draw too much"};

}  // namespace wattle::scheduler
