// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The boards of one supply (Policy.power_group.power_cap_watts) never draw more together than the
// cap: the idle watts of all of them, and the mean watts of each run above its board's idle watts.
#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "policy/burst_power.h"
#include "scheduler/place/power_group.h"
#include "scheduler/place/rule.h"
#include "scheduler/place/selector.h"
#include "scheduler/timetable/amounts.h"
#include "scheduler/timetable/supply.h"
#include "units/format.h"
#include "units/quantity.h"

namespace wattle::scheduler {
namespace {

timetable::SupplyRun RunOn(const Consideration& on) {
  const absl::Duration length = absl::Seconds(on.finish_in_seconds_upper - on.start_in_seconds);
  return {.begin = timetable::UnixSecondsUp(on.start()),
          .length = std::max<timetable::Seconds>(1, timetable::SecondsUp(length)),
          .power = SupplyPowerOf(on.device.device, policy::BurstPower(on.prediction))};
}

Watts WattsOf(timetable::Milliwatts power) {
  return Watts(static_cast<double>(power) / 1000);
}

std::optional<Refusal> CheckPowerCap(const Consideration& on) {
  if (on.load->supply == nullptr) {
    return std::nullopt;
  }
  const timetable::Supply& supply = *on.load->supply;
  const timetable::SupplyRun run = RunOn(on);
  if (supply.Fits(run)) {
    return std::nullopt;
  }
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

std::optional<absl::Time> PowerIsFree(const Consideration& on) {
  const std::optional<timetable::Seconds> begin = on.load->supply->EarliestFit(RunOn(on));
  return begin.has_value() ? std::optional(absl::FromUnixSeconds(*begin)) : std::nullopt;
}

}  // namespace

extern const Rule kPowerCapRule = {"power_cap", RuleScope::kLoad, CheckPowerCap, PowerIsFree,
                                   "the other boards of its supply draw too much"};

}  // namespace wattle::scheduler
