// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/upgrade/trial.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace wattle::upgrade {

bool OnTrial(const v1::UpgradeRecord& record) {
  return record.switched() && !record.passed() && record.failure().empty();
}

bool HasEnded(const v1::UpgradeRecord& record) {
  return record.has_order() && (record.passed() || !record.failure().empty());
}

void BeginTrial(const std::string& boot_id, Monotonic boottime, v1::UpgradeRecord& record) {
  record.set_switched(true);
  record.set_starts(0);
  record.set_boot_id(boot_id);
  record.set_switched_boottime_seconds(absl::ToDoubleSeconds(boottime.since_boot()));
}

absl::Duration TrialLeft(const v1::UpgradeRecord& record, const std::string& boot_id,
                         Monotonic boottime) {
  if (record.boot_id() != boot_id) {
    return kTrialTime;
  }
  const absl::Duration spent =
      boottime.since_boot() - absl::Seconds(record.switched_boottime_seconds());
  return std::max(kTrialTime - spent, absl::ZeroDuration());
}

Launch PlanLaunch(const v1::UpgradeRecord& record, const std::string& boot_id, Monotonic boottime) {
  if (!record.switched() || record.passed()) {
    return {};
  }
  if (!record.failure().empty()) {
    return {.record = {}, .release = record.from_release()};
  }
  v1::UpgradeRecord next = record;
  if (TrialLeft(record, boot_id, boottime) <= absl::ZeroDuration()) {
    next.set_failure(absl::StrCat("it did not pass its test within ",
                                  absl::FormatDuration(kTrialTime), "; read its log on the board"));
  } else if (record.starts() >= kStartsMax) {
    next.set_failure(absl::StrCat("it ended ", record.starts(),
                                  " times before it passed its test; read its log on the board"));
  } else {
    next.set_starts(record.starts() + 1);
    if (record.boot_id() != boot_id) {
      next.set_boot_id(boot_id);
      next.set_switched_boottime_seconds(absl::ToDoubleSeconds(boottime.since_boot()));
    }
  }
  const std::string release = next.failure().empty() ? next.order().version() : next.from_release();
  return {.record = std::move(next), .release = release};
}

}  // namespace wattle::upgrade
