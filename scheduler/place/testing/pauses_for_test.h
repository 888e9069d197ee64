// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Windows, daily budgets and paused attempts on the boards of a drawn fleet.
#ifndef WATTLE_SCHEDULER_PLACE_TESTING_PAUSES_FOR_TEST_H_
#define WATTLE_SCHEDULER_PLACE_TESTING_PAUSES_FOR_TEST_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "scheduler/place/snapshot.h"
#include "units/quantity.h"
#include "wattle/v1/policy.pb.h"

namespace wattle::scheduler {

// Half of the boards get some. dice: of their own, so that all else of a fleet stays as it is.
template <typename Generator>
void AddPauses(Generator dice, Snapshot& snapshot) {
  for (DeviceView& view : snapshot.devices) {
    const auto kind = static_cast<int>(dice() % 8);
    const auto hour = static_cast<int>(dice() % 24);
    const auto hours = static_cast<int>(4 + dice() % 16);
    const double budget_wh = 5 + static_cast<int>(dice() % 150);
    const absl::Duration pause = absl::Minutes(static_cast<int>(dice() % 1500));
    if (kind > 3) {
      continue;
    }
    v1::Policy policy;
    policy.set_name(absl::StrCat("pauses ", view.device.info().name()));
    policy.add_selector(absl::StrCat("device=", view.device.info().name()));
    if (kind % 2 == 0) {
      const auto clock = [](int of) {
        return absl::StrCat(of % 24 < 10 ? "0" : "", of % 24, ":00");
      };
      policy.add_work_windows(absl::StrCat(clock(hour), "-", clock(hour + hours)));
    }
    if (kind % 3 == 0) {
      policy.set_daily_energy_budget_wh(budget_wh);
      view.device.mutable_heartbeat()->set_has_budget_day(true);
      view.device.mutable_heartbeat()->set_budget_day_energy_joules(budget_wh * hours * 150);
    }
    if (!view.device.running_attempt_id().empty() && view.free_at > snapshot.now && kind < 3) {
      view.goes_on_at = snapshot.now + pause;
      view.free_at += pause;
    }
    snapshot.policies.push_back(policy);
  }
}

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PLACE_TESTING_PAUSES_FOR_TEST_H_
