// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the owner's policies demand of one device. Planner, guard and simulation read policies with
// these functions alone, so that they can never disagree. Pure; thread-safe.
#ifndef WATTLE_POLICY_LIMITS_H_
#define WATTLE_POLICY_LIMITS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

#include "policy/schedule.h"
#include "units/quantity.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::policy {

struct ReserveLimit {
  Fraction state_of_charge{};
  std::string policy{};  // whose demand it is
};

struct TemperatureLimit {
  Celsius temperature{};
  std::string policy{};
};

// Boards that share what gives them power.
struct PowerGroupLimit {
  std::string name{};
  bool shared_pack = false;
  std::optional<Watts> cap{};  // of what they draw together; absent: none
  std::string policy{};        // whose cap it is, else the first that names the group
};

struct Limits {
  std::optional<ReserveLimit> reserve{};
  // The charge below which a board without work switches itself off; absent: it never does.
  std::optional<ReserveLimit> power_off{};
  std::optional<TemperatureLimit> temperature_max{};
  std::optional<BudgetLimit> budget{};
  std::vector<WindowLimit> windows{};  // each must be open
  std::vector<AliveLimit> alive{};     // each must be kept
  // The share of days whose sun may be less than a plan counts on; absent: no policy says.
  std::optional<double> sun_risk{};
  // What an hour of waiting costs a plan, as a share of a job's joules; absent: no policy says.
  std::optional<double> patience_ratio_per_hour{};
  // What exploring may draw in a day, as a share of the device's joules of a day; absent: no policy
  // says.
  std::optional<double> exploration_ratio{};
  // Where the device's panel stands; absent: no policy says. Of several policies the first counts.
  std::optional<v1::Place> place{};
  // The group of boards that share the device's power; absent: it has its power to itself.
  std::optional<PowerGroupLimit> power_group{};
  // What a cut of the power may cost a fine-tune, and what checkpoints may write in a day; absent:
  // no policy says.
  std::optional<absl::Duration> loss_max{};
  std::optional<double> flash_bytes_per_day{};
  // What the device's link may carry in a day; absent: no policy says.
  std::optional<int64_t> link_bytes_per_day{};
  std::vector<WindowLimit> link_windows{};  // of artifacts; each must be open
  // The policy that asks for a charge and refuses a device without a battery gauge; empty: none
  // does, and such a device works with a warning.
  std::string refuses_missing_gauge{};
  // Why the policies could not be read; empty: they were. A device whose limits are not known takes
  // no work: they may be any.
  std::string unreadable{};

  // Whether work can be stopped by any of them.
  [[nodiscard]] bool any() const {
    return reserve || temperature_max || budget || !windows.empty() || !alive.empty();
  }
};

// The strictest demand of each kind. policies: those that select the device. A window, time or zone
// that cannot be read makes the limits unreadable: the coordinator takes no such policy.
Limits LimitsOf(const std::vector<const v1::Policy*>& policies);

// The charge that work must leave in the battery at `now`: the reserve, and on top of it the idle
// draw until the latest time to stay alive. `policy` says whose demands they are, for people.
// nullopt: no charge is asked for. capacity: absent where it is not known; staying alive cannot be
// guarded then, and the reserve alone counts.
std::optional<ReserveLimit> ChargeFloor(const Limits& limits, absl::Time now, Watts idle,
                                        std::optional<Joules> capacity);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_LIMITS_H_
