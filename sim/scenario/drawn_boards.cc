// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/drawn_boards.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "policy/limits.h"
#include "policy/selector.h"
#include "proto/spec_revision.h"
#include "sim/random.h"
#include "sim/scenario/submissions.h"
#include "sim/scenario/true_rates.h"

namespace wattle::sim {
namespace {

// A day of drawn sun is brighter than the file's by at most this factor.
constexpr double kSunFactorMax = 1.3;
// A board's step, and the update of all boards, come after this share of the scenario.
constexpr double kChangesFrom = 0.3;
constexpr double kChangesUntil = 0.6;
// The air around boards that `rates` lets throttle.
constexpr Celsius kAirMean{20.0};
constexpr double kAirSwing = 15.0;

// The panel's watts by hour in this seed.
std::shared_ptr<const std::vector<double>> SunOf(const Scenario& scenario, Watts panel,
                                                 uint64_t seed) {
  auto watts = std::make_shared<std::vector<double>>();
  Random random(SeedOf(seed, 1));
  double factor = 1.0;
  for (size_t hour = 0; hour < scenario.sun.size(); ++hour) {
    if (hour % kHoursOfDay == 0) {
      factor = std::min(std::exp(scenario.sun_spread * DrawNormal(random)), kSunFactorMax);
    }
    watts->push_back(panel.value() * scenario.sun[hour] * factor);
  }
  return watts;
}

double DrawMoment(const Scenario& scenario, Random& random) {
  return kBeginSeconds + scenario.duration_seconds * random.Between(kChangesFrom, kChangesUntil);
}

policy::Limits LimitsOfGroup(const Scenario& scenario, const BoardGroup& group) {
  return policy::LimitsOf(PoliciesOf(scenario, group));
}

// In a shared pack one group may give the panel of all.
Watts PanelOf(const Scenario& scenario, const BoardGroup& group) {
  Watts panel = group.panel;
  const std::string pack = SharedPackOf(scenario, group);
  for (const BoardGroup& other : scenario.fleet) {
    if (!pack.empty() && SharedPackOf(scenario, other) == pack) {
      panel = std::max(panel, other.panel);
    }
  }
  return panel;
}

void AddTimes(const FaultTimes& fault, const BoardGroup& group, Random& random,
              std::vector<TimeOff>& times) {
  if (fault.group != group.name) {
    return;
  }
  if (!(fault.per_day > 0.0)) {
    times.push_back({fault.begin_seconds, fault.end_seconds});
    return;
  }
  double at = fault.begin_seconds + DrawPause(fault.per_day, random);
  while (at < fault.end_seconds) {
    times.push_back({at, at + fault.length_seconds});
    at += fault.length_seconds + DrawPause(fault.per_day, random);
  }
}

}  // namespace

v1::DeviceInfo InfoOf(const BoardGroup& group, int number) {
  v1::DeviceInfo info;
  info.set_name(group.BoardName(number));
  info.set_device_class(group.board_class.name);
  info.set_architecture("aarch64");
  info.set_time_scale(1.0);
  info.set_memory_bytes(group.board_class.memory_bytes);
  info.set_cores(group.board_class.cores);
  info.set_accelerator(group.board_class.accelerator);
  info.set_accelerator_total_bytes(group.board_class.card_bytes);
  info.set_throughput_flops_datasheet(group.board_class.flops_per_second);
  info.set_energy_source(v1::ENERGY_SOURCE_INA3221);
  info.set_energy_scope("module");
  info.set_engine_version("wattle-sim");
  info.set_cache_quota_bytes(int64_t{1} << 36);
  if (group.link_by_hour.empty()) {
    info.set_link_bytes_per_second(group.link_bytes_per_second);
  }
  info.set_has_battery_gauge(group.pack.has_value());
  info.set_gauge_error_ratio(group.pack ? group.gauge_error.value() : 0.0);
  info.set_spec_revision(kSpecRevision);
  if (!group.power_mode.empty()) {
    info.set_power_mode(group.power_mode);
    info.add_power_modes()->set_name(group.power_mode);
  }
  for (const v1::Label& label : group.labels) {
    *info.add_labels() = label;
  }
  v1::Label& of_group = *info.add_labels();
  of_group.set_key("group");
  of_group.set_value(group.name);
  return info;
}

SpeedChanges SpeedOf(const Scenario& scenario, int number, uint64_t seed) {
  SpeedChanges speed;
  Random of_all(SeedOf(seed, 2));
  Random random(SeedOf(seed, 1000 + static_cast<uint64_t>(number)));
  if (scenario.software != 1.0) {
    speed.software = scenario.software;
    speed.software_at_seconds = DrawMoment(scenario, of_all);
  }
  if (scenario.step != 1.0) {
    speed.step = scenario.step;
    speed.step_at_seconds = DrawMoment(scenario, random);
  }
  speed.drift_per_day = std::log(scenario.drift) * random.Between(-1.0, 1.0) * kSecondsOfDay /
                        scenario.duration_seconds;
  speed.throttle = scenario.throttle;
  return speed;
}

std::vector<TimeOff> TimesOff(const Scenario& scenario, const BoardGroup& group, int number,
                              uint64_t seed) {
  std::vector<TimeOff> times;
  Random random(SeedOf(seed, 1'000'000 + static_cast<uint64_t>(number)));
  for (const FaultTimes& cut : scenario.power_cuts) {
    AddTimes(cut, group, random, times);
  }
  return times;
}

std::vector<TimeOff> TimesOfFault(const Scenario& scenario, v1::ScenarioFaultKind kind,
                                  const BoardGroup& group, BoardDraw draw) {
  std::vector<TimeOff> times;
  Random random(
      SeedOf(draw.seed, 2'000'000 + 10 * static_cast<uint64_t>(draw.number) +
                            static_cast<uint64_t>(kind - v1::SCENARIO_FAULT_KIND_DISK_FULL)));
  for (const ScenarioFault& fault : scenario.faults) {
    if (fault.kind == kind) {
      AddTimes(fault.times, group, random, times);
    }
  }
  return times;
}

std::vector<const v1::Policy*> PoliciesOf(const Scenario& scenario, const BoardGroup& group) {
  std::vector<const v1::Policy*> policies;
  if (group.policy) {
    policies.push_back(&*group.policy);
  }
  for (const v1::Policy& policy : scenario.fleet_policies) {
    if (policy::Selects(policy, InfoOf(group, 1))) {
      policies.push_back(&policy);
    }
  }
  return policies;
}

std::string SharedPackOf(const Scenario& scenario, const BoardGroup& group) {
  const policy::Limits limits = LimitsOfGroup(scenario, group);
  return limits.power_group && limits.power_group->shared_pack ? limits.power_group->name : "";
}

BoardSettings BoardOf(const Scenario& scenario, const BoardGroup& group, uint64_t seed) {
  BoardSettings board;
  board.idle = group.board_class.idle;
  board.battery = group.pack;
  board.charge = group.charge;
  board.day_seconds = kSecondsOfDay;
  board.gauge_error = group.gauge_error;
  if (const Watts panel = PanelOf(scenario, group); group.pack && panel > Watts(0)) {
    board.sun_watts = SunOf(scenario, panel, seed);
    board.sun_begins_seconds = kBeginSeconds;
  }
  const policy::Limits limits = LimitsOfGroup(scenario, group);
  board.reserve = limits.reserve ? limits.reserve->state_of_charge : Fraction(0);
  if (group.heat) {
    board.heat = *group.heat;
  } else if (scenario.throttle > 1.0) {
    board.heat.air = kAirMean;
    board.heat.air_swing_kelvin = kAirSwing;
  }
  return board;
}

}  // namespace wattle::sim
