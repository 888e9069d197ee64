// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The trial of a release that a worker switched to: the release has three starts and ten minutes to
// pass its test, else the board returns to the former release. The record (upgrade.pb) is written
// before the link `current` follows, so after a power cut at any place the next start continues to
// the old or to the new release. Pure; thread-safe.
#ifndef WATTLE_WORKER_UPGRADE_TRIAL_H_
#define WATTLE_WORKER_UPGRADE_TRIAL_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/worker_state.pb.h"

namespace wattle::upgrade {

inline constexpr int kStartsMax = 3;
// The board is back within ten minutes; the difference is for the kill and the start of the old
// release.
inline constexpr absl::Duration kTrialTime = absl::Seconds(570);

// Whether the worker switched to the order's release, which has neither passed nor failed yet.
[[nodiscard]] bool OnTrial(const v1::UpgradeRecord& record);
// Whether the order is finished: the release passed, was abandoned, or was never switched to.
[[nodiscard]] bool HasEnded(const v1::UpgradeRecord& record);

// Starts the trial now, with its full time and all its starts.
void BeginTrial(const std::string& boot_id, Monotonic boottime, v1::UpgradeRecord& record);
// The remaining time of the trial; zero: over. A reboot restores the full time, and the count of
// starts limits the reboots. REQUIRES: OnTrial.
[[nodiscard]] absl::Duration TrialLeft(const v1::UpgradeRecord& record, const std::string& boot_id,
                                       Monotonic boottime);

// The first actions of a start of the worker: write the record, then set the link.
struct Launch {
  std::optional<v1::UpgradeRecord> record;  // nullopt: unchanged
  // The new target of the link; "": no link, so that the installed programs run; nullopt:
  // unchanged.
  std::optional<std::string> release;
};
[[nodiscard]] Launch PlanLaunch(const v1::UpgradeRecord& record, const std::string& boot_id,
                                Monotonic boottime);

}  // namespace wattle::upgrade

#endif  // WATTLE_WORKER_UPGRADE_TRIAL_H_
