// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A simulated board's folder of releases, the actions of its launcher before the worker starts, and
// the test of a release. The rules are those of worker/upgrade and worker/agent/core.
#include <utility>

#include "absl/strings/str_cat.h"

#include "sim/release.h"
#include "sim/worker.h"
#include "worker/agent/storage/upgrade_file.h"
#include "worker/upgrade/trial.h"

namespace wattle::sim {
namespace {

constexpr double kSelfTestSecondsMax = 8.0;
constexpr double kCrashSecondsMax = 0.9;  // before the self-test can end
constexpr double kSupervisorSeconds = 5.0;
// Limit for the return to the former release: ten minutes of power. A reboot restarts them, three
// starts are allowed, and the last kill and start take time too.
constexpr double kBackSeconds = 3.0 * 600.0 + 120.0;

}  // namespace

Monotonic Worker::Boottime() const {
  return Monotonic(absl::Seconds(world_.loop.now_seconds() - booted_seconds_));
}

// Like wattle-launch: the record, then the link. If the disk refuses the record, the link stays.
void Worker::Launch() {
  const v1::UpgradeRecord record = agent::ReadUpgradeRecord(disk_);
  const upgrade::Launch launch = upgrade::PlanLaunch(record, BootId(), Boottime());
  const bool written = !launch.record || agent::WriteUpgradeRecord(*launch.record, disk_).ok();
  if (written && launch.release) {
    SwitchRelease(*launch.release).IgnoreError();  // the next start tries again
  }
  version_ = release_.empty() ? kInstalledVersion : release_;
}

// For a process that has just started: a launcher ends a worker whose trial is over.
void Worker::WatchTrial() {
  const v1::UpgradeRecord record = agent::ReadUpgradeRecord(disk_);
  if (ReleaseOf(world_.options.seed, version_) == Release::kCrashes) {
    Later(world_.random.Between(0.01, kCrashSecondsMax), [this] { RestartSoon(); });
  }
  if (upgrade::OnTrial(record)) {
    const absl::Duration left = upgrade::TrialLeft(record, BootId(), Boottime());
    Later(absl::ToDoubleSeconds(left), [this] {
      if (upgrade::OnTrial(agent::ReadUpgradeRecord(disk_))) {
        RestartSoon();
      }
    });
  }
}

void Worker::RestartSoon() {
  Stop(ProcessStop::kCrash);
  world_.loop.After(kSupervisorSeconds, [this] { Start(); });
}

void Worker::StartReleaseFetch(const v1::UpgradeOrder& order) {
  transfer_ = ++transfers_;
  moving_ = {.left_bytes = kReleaseBytes};
  transfer_done_ = [this, version = order.version()](const absl::Status& status) {
    agent::FetchResult result;
    result.status = status;
    result.moved_bytes = moving_.moved_bytes;
    result.moved_in = absl::Seconds(moving_.seconds);
    if (status.ok()) {
      releases_.insert(version);
    }
    Call([&](const agent::Instant& now) { core_->OnReleaseFetched(result, now); });
  };
  Move(transfer_, 0.0, [this, transfer = transfer_] {
    const bool writes = disk_state_ == Disk::kHealthy || disk_state_ == Disk::kSlow;
    EndTransfer(transfer, writes ? absl::OkStatus()
                                 : absl::ResourceExhaustedError("no room for the release"));
  });
}

// The link is also on the card: a power cut may come before the switch.
absl::Status Worker::SwitchRelease(const std::string& version) {
  if (!version.empty() && !releases_.contains(version)) {
    return absl::NotFoundError(absl::StrCat("release ", version, ": is not installed"));
  }
  const absl::Status operated = disk_.Replace("link", "");
  if (operated.ok()) {
    release_ = version;
  }
  return operated;
}

void Worker::KeepReleases(const std::set<std::string>& versions) {
  for (auto release = releases_.begin(); release != releases_.end();) {
    release = versions.contains(*release) ? std::next(release) : releases_.erase(release);
  }
}

void Worker::StartSelfTest() {
  const Release release = ReleaseOf(world_.options.seed, version_);
  if (release == Release::kHangsInItsTest) {
    return;
  }
  Later(world_.random.Between(1.0, kSelfTestSecondsMax), [this, release] {
    const absl::Status tested = release == Release::kGood
                                    ? absl::OkStatus()
                                    : absl::InternalError("the engine computes wrong numbers");
    Call([&](const agent::Instant& now) { core_->OnSelfTested(tested, now); });
  });
}

// Checks that a bad release is left in time. A disk that refuses the record keeps the board where
// it is.
void Worker::CheckRelease() {
  const bool bad = ReleaseOf(world_.options.seed, version_) != Release::kGood;
  const double powered_seconds = board_.powered_seconds();
  if (!bad || lost_something_ || disk_state_ != Disk::kHealthy) {
    bad_release_since_seconds_.reset();
  } else if (!bad_release_since_seconds_) {
    bad_release_since_seconds_ = powered_seconds;
  } else if (powered_seconds > *bad_release_since_seconds_ + kBackSeconds) {
    world_.invariants.Break(absl::StrCat(device_id_, " runs release ", version_,
                                         ", which fails its test, for ",
                                         powered_seconds - *bad_release_since_seconds_, " s"));
  }
}

}  // namespace wattle::sim
