// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The limits of the owner's policies for one device. Planner, guard and simulation read policies
// only through these functions, so that they can never disagree. Pure; thread-safe.
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
  std::string policy{};  // the policy with this demand
};

struct TemperatureLimit {
  Celsius temperature{};
  std::string policy{};
};

// Boards that share a power source.
struct PowerGroupLimit {
  std::string name{};
  bool shared_pack = false;
  std::optional<Watts> cap{};  // limit of their total draw; absent: none
  std::string policy{};        // the policy that sets the cap, else the first that names the group
};

struct Limits {
  std::optional<ReserveLimit> reserve{};
  // The charge below which a board without work switches itself off; absent: it never does.
  std::optional<ReserveLimit> power_off{};
  std::optional<TemperatureLimit> temperature_max{};
  std::optional<BudgetLimit> budget{};
  std::vector<WindowLimit> windows{};  // each must be open
  std::vector<AliveLimit> alive{};     // each must be kept
  // The share of days whose sun may be less than a plan assumes; absent: no policy sets it.
  std::optional<double> sun_risk{};
  // The cost of an hour of waiting in a plan, as a share of a job's joules; absent: no policy sets
  // it.
  std::optional<double> patience_ratio_per_hour{};
  // The daily joules for exploration, as a share of the device's joules in a day; absent: no policy
  // sets it.
  std::optional<double> exploration_ratio{};
  // The place of the device's panel; absent: no policy sets it. If several policies do, the first
  // counts.
  std::optional<v1::Place> place{};
  // The group of boards that share the device's power source; absent: the device does not share it.
  std::optional<PowerGroupLimit> power_group{};
  // The work that a power cut may cost a fine-tune, and the bytes that checkpoints may write in a
  // day; absent: no policy sets it.
  std::optional<absl::Duration> loss_max{};
  std::optional<double> flash_bytes_per_day{};
  // The bytes that the device's link may carry in a day; absent: no policy sets it.
  std::optional<int64_t> link_bytes_per_day{};
  std::vector<WindowLimit> link_windows{};  // for transfers of artifacts; each must be open
  // The policy that requires a charge and refuses a device without a battery gauge; empty: none
  // does, and such a device works with a warning.
  std::string refuses_missing_gauge{};
  // Why the policies could not be read; empty: they were. A device with unknown limits takes no
  // work.
  std::string unreadable{};

  // Whether any limit can stop work.
  [[nodiscard]] bool any() const {
    return reserve || temperature_max || budget || !windows.empty() || !alive.empty();
  }
};

// The strictest demand of each kind. policies: those that select the device. A window, time or zone
// that cannot be read makes the limits unreadable; the coordinator accepts no such policy.
Limits LimitsOf(const std::vector<const v1::Policy*>& policies);

// The charge that work must leave in the battery at `now`: the reserve plus the idle draw until the
// latest stay-alive time. `policy` names the policies, for people. nullopt: no charge is required.
// capacity: absent if unknown; staying alive cannot be guarded then, and only the reserve counts.
std::optional<ReserveLimit> ChargeFloor(const Limits& limits, absl::Time now, Watts idle,
                                        std::optional<Joules> capacity);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_LIMITS_H_
