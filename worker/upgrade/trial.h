// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The trial of a release that a worker switched to: the release has three starts and ten minutes to
// pass its test, else the board goes back to what ran before. The record (upgrade.pb) is written
// before the link `current` follows, so a cut at any place leaves a pair from which the next start
// goes on to the old or to the new release. Pure; thread-safe.
#ifndef WATTLE_WORKER_UPGRADE_TRIAL_H_
#define WATTLE_WORKER_UPGRADE_TRIAL_H_

#include <optional>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/worker_state.pb.h"

namespace wattle::upgrade {

inline constexpr int kStartsMax = 3;
// The board is back within ten minutes, and the kill and the start that lead back take their time.
inline constexpr absl::Duration kTrialTime = absl::Seconds(570);

// Whether the order's release was switched to, and neither passed nor failed yet.
[[nodiscard]] bool OnTrial(const v1::UpgradeRecord& record);
// Whether the order came to an end: the release passed, was left, or was never switched to.
[[nodiscard]] bool HasEnded(const v1::UpgradeRecord& record);

// The trial begins now, with all its time and all its starts.
void BeginTrial(const std::string& boot_id, Monotonic boottime, v1::UpgradeRecord& record);
// What is left of the trial's time; zero: it is over. A reboot gives all of the time again, and the
// count of starts bounds the reboots. REQUIRES: OnTrial.
[[nodiscard]] absl::Duration TrialLeft(const v1::UpgradeRecord& record, const std::string& boot_id,
                                       Monotonic boottime);

// What a start of the worker does before anything else: first the record is written, then the link
// is set.
struct Launch {
  std::optional<v1::UpgradeRecord> record;  // nothing: it stays as it is
  // The release that the link is to point to; "": there is no link, the installed programs run;
  // nothing: as it is.
  std::optional<std::string> release;
};
[[nodiscard]] Launch PlanLaunch(const v1::UpgradeRecord& record, const std::string& boot_id,
                                Monotonic boottime);

}  // namespace wattle::upgrade

#endif  // WATTLE_WORKER_UPGRADE_TRIAL_H_
