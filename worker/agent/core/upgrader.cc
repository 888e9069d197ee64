// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/upgrader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

#include "base/crash_point.h"
#include "base/crc32c.h"
#include "base/fault_point.h"
#include "proto/release_version.h"
#include "worker/agent/storage/upgrade_file.h"
#include "worker/upgrade/trial.h"

namespace wattle::agent {
namespace {

constexpr absl::Duration kFetchRetryMax = absl::Minutes(10);
constexpr int kFailedFetchesMax = 5;
constexpr absl::Duration kPassRetry = absl::Seconds(5);
constexpr char kPage[] = "docs/operate/upgrade.md";

bool IsOfTheLink(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsUnavailable(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsUnauthenticated(status);
}

}  // namespace

Upgrader::Upgrader(Disk* disk, AgentPorts* ports, Settings settings)
    : disk_(*disk),
      ports_(*ports),
      settings_(std::move(settings)),
      fetch_backoff_(kFetchRetryMin, Crc32c(settings_.device_id)) {}

void Upgrader::Start(const std::string& state_problem, Monotonic now) {
  record_ = ReadUpgradeRecord(disk_);
  if (upgrade::HasEnded(record_)) {
    phase_ = Phase::kEnded;
    return TellEnd();
  }
  if (!upgrade::OnTrial(record_)) {
    record_.Clear();
    return;
  }
  phase_ = Phase::kTest;
  if (settings_.version != record_.order().version()) {
    return Fail(absl::StrCat("release ", record_.order().version(), " holds a worker of version ",
                             settings_.version, "; push the programs of ",
                             record_.order().version()));
  }
  if (!state_problem.empty()) {
    return Fail(absl::StrCat("it cannot read the state of this board: ", state_problem));
  }
  ports_.Note(absl::StrCat("upgrade ", record_.order().upgrade_id(), ": release ",
                           record_.order().version(), " is tested, start ", record_.starts(),
                           " of ", upgrade::kStartsMax));
  next_pass_ = now;
  ports_.StartSelfTest();
  CrashPoint("upgrade:test");
}

void Upgrader::OnDesired(const v1::DesiredSet& desired) {
  desired_id_ = desired.upgrade().upgrade_id();
  switch (phase_) {
    case Phase::kSwitch:  // the switch is in progress, and its end will be reported
    case Phase::kTest:
    case Phase::kLeft:
      return;
    case Phase::kNone:
    case Phase::kFetch:
    case Phase::kReady:
    case Phase::kEnded:
      break;
  }
  if (record_.has_order() && record_.order().upgrade_id() == desired_id_) {
    return;
  }
  if (phase_ == Phase::kFetch || phase_ == Phase::kReady) {
    GiveUp();
  }
  if (!desired_id_.empty()) {
    Take(desired.upgrade());
  }
}

void Upgrader::GiveUp() {
  ports_.Note(absl::StrCat("upgrade ", record_.order().upgrade_id(), ": given up"));
  phase_ = Phase::kNone;
  record_.Clear();
  ready_since_.reset();
}

void Upgrader::Take(const v1::UpgradeOrder& order) {
  record_.Clear();
  *record_.mutable_order() = order;
  record_.set_from_version(settings_.version);
  failed_fetches_ = 0;
  fetched_bytes_ = size_bytes_ = 0;
  ready_since_.reset();
  next_fetch_ = Monotonic();
  if (order.version() == settings_.version) {
    record_.set_passed(true);
    phase_ = Phase::kEnded;
    return TellEnd();
  }
  const std::string refusal = WhyRefused(order);
  if (!refusal.empty()) {
    return Refuse(refusal);
  }
  phase_ = Phase::kFetch;
}

std::string Upgrader::WhyRefused(const v1::UpgradeOrder& order) const {
  const auto version = ParseReleaseVersion(order.version());
  const auto own = ParseReleaseVersion(settings_.version);
  if (!version.has_value()) {  // the version becomes the name of a folder
    return absl::StrCat("\"", order.version(), "\": wanted a version such as 1.4.0");
  }
  if (!settings_.takes_releases) {
    return absl::StrCat(
        "this worker has no folder for releases; start it by its service, or with "
        "--releases DIR under wattle-launch (",
        kPage, ")");
  }
  if (own.has_value() && IsOlderRelease(*version, *own) && !order.allow_downgrade()) {
    return absl::StrCat("release ", order.version(), " is older than the worker's ",
                        settings_.version, "; order it with --allow-downgrade");
  }
  return "";
}

// The record stays, so that a restart does not retry a refused order. If the disk fails, the order
// is refused again.
void Upgrader::Refuse(const std::string& reason) {
  ports_.Note(absl::StrCat("upgrade ", record_.order().upgrade_id(), ": refused: ", reason));
  record_.set_failure(reason);
  phase_ = Phase::kEnded;
  ready_since_.reset();
  const absl::Status written = Write();
  if (!written.ok()) {
    ports_.Note(std::string(written.message()));
  }
  TellEnd();
}

bool Upgrader::wants_fetch(Monotonic now) const {
  return phase_ == Phase::kFetch && !fetching_ && now >= next_fetch_;
}

void Upgrader::BeginFetch() {
  fetching_ = true;
}

void Upgrader::OnProgress(int64_t fetched_bytes, int64_t size_bytes) {
  CrashPoint("upgrade:fetch");
  fetched_bytes_ = fetched_bytes;
  size_bytes_ = size_bytes;
}

void Upgrader::OnFetched(const absl::Status& status, Monotonic now) {
  const bool wanted = !fetch_is_unwanted();
  fetching_ = false;
  if (!wanted) {
    return;
  }
  if (status.ok()) {
    fetch_backoff_.Reset();
    phase_ = Phase::kReady;
    ready_since_ = now;
    CrashPoint("upgrade:installed");
    return;
  }
  next_fetch_ = now + fetch_backoff_.AfterFailure(kFetchRetryMax);
  if (IsOfTheLink(status)) {
    return;
  }
  ports_.Note(absl::StrCat("upgrade ", record_.order().upgrade_id(), ": ", status.message()));
  if (absl::IsInvalidArgument(status) || ++failed_fetches_ >= kFailedFetchesMax) {
    Refuse(std::string(status.message()));
  }
}

void Upgrader::BeginSwitch() {
  CrashPoint("upgrade:stop");
  phase_ = Phase::kSwitch;
  ready_since_.reset();
}

// The record is written first: a start that finds it continues with the link.
void Upgrader::Switch(Monotonic now) {
  self_tested_ = false;  // this process may have passed the test of its own release
  record_.set_from_release(ports_.CurrentRelease());
  v1::UpgradeRecord before = record_;
  upgrade::BeginTrial(settings_.boot_id, now, record_);
  if (const absl::Status written = Write(); !written.ok()) {
    record_ = std::move(before);
    return Refuse(absl::StrCat("its switch could not be written: ", written.message()));
  }
  CrashPoint("upgrade:recorded");
  phase_ = Phase::kTest;
  // If the link is not set, the next start sets it.
  const absl::Status switched = ports_.SwitchRelease(record_.order().version());
  ports_.Note(switched.ok() ? absl::StrCat("upgrade ", record_.order().upgrade_id(), ": release ",
                                           record_.order().version(), " starts now")
                            : std::string(switched.message()));
}

bool Upgrader::on_trial() const {
  return phase_ == Phase::kTest || phase_ == Phase::kLeft;
}

void Upgrader::OnSelfTested(const absl::Status& status, Monotonic now) {
  if (phase_ != Phase::kTest) {
    return;
  }
  if (!status.ok() && !WATTLE_FAULT_POINT("self-test of a release")) {
    return Fail(absl::StrCat("its self-test failed: ", status.message()));
  }
  self_tested_ = true;
  next_pass_ = now;
  CrashPoint("upgrade:tested");
}

void Upgrader::Step(bool disk_is_healthy, bool reports_are_saved, Monotonic now) {
  if (phase_ == Phase::kTest && self_tested_ && disk_is_healthy && now >= next_pass_) {
    Pass(now);
  }
  if (phase_ == Phase::kTest &&
      upgrade::TrialLeft(record_, settings_.boot_id, now) <= absl::ZeroDuration()) {
    Fail(absl::StrCat("it did not pass its test within ", absl::FormatDuration(upgrade::kTrialTime),
                      "; read its log on the board"));
  }
  if (phase_ == Phase::kEnded && !ended_ && reports_are_saved &&
      record_.order().upgrade_id() != desired_id_) {
    RemoveUpgradeRecord(disk_);
    record_.Clear();
    phase_ = Phase::kNone;
  }
}

Monotonic Upgrader::NextStep() const {
  if (phase_ == Phase::kFetch && !fetching_) {
    return next_fetch_;
  }
  if (phase_ == Phase::kTest) {
    const Monotonic over =
        Monotonic(absl::Seconds(record_.switched_boottime_seconds())) + upgrade::kTrialTime;
    return self_tested_ ? std::min(next_pass_, over) : over;
  }
  return Monotonic(absl::InfiniteDuration());
}

// Writing the record is the synced write that the test requires.
void Upgrader::Pass(Monotonic now) {
  record_.set_passed(true);
  if (const absl::Status written = Write(); !written.ok()) {
    record_.clear_passed();
    next_pass_ = now + kPassRetry;
    return ports_.Note(std::string(written.message()));
  }
  CrashPoint("upgrade:passed");
  phase_ = Phase::kEnded;
  TellEnd();
  ports_.KeepReleases({record_.order().version(), record_.from_release()});
  ports_.Note(absl::StrCat("upgrade ", record_.order().upgrade_id(), ": release ",
                           record_.order().version(), " passed its test"));
}

// The process ends even if the disk fails: a later start counts as well, and goes back too.
void Upgrader::Fail(const std::string& reason) {
  ports_.Note(absl::StrCat("upgrade ", record_.order().upgrade_id(), ": ", reason,
                           "; the board goes back to ", record_.from_version()));
  record_.set_failure(reason);
  phase_ = Phase::kLeft;
  absl::Status left = Write();
  if (left.ok()) {
    CrashPoint("upgrade:failed");
    left = ports_.SwitchRelease(record_.from_release());
  }
  if (!left.ok()) {
    ports_.Note(std::string(left.message()));
  }
}

void Upgrader::TellEnd() {
  v1::UpgradeEnded ended;
  ended.set_upgrade_id(record_.order().upgrade_id());
  ended.set_version(record_.order().version());
  ended.set_active(record_.passed());
  ended.set_refused(!record_.passed() && !record_.switched());
  ended.set_reason(record_.failure());
  ended_ = std::move(ended);
}

absl::Status Upgrader::Write() {
  return WriteUpgradeRecord(record_, disk_);
}

std::optional<v1::UpgradeProgress> Upgrader::Progress() const {
  v1::UpgradeProgress progress;
  switch (phase_) {
    case Phase::kFetch:
      progress.set_phase("fetch");
      break;
    case Phase::kReady:
      progress.set_phase("wait for a checkpoint");
      break;
    case Phase::kSwitch:
      progress.set_phase("switch");
      break;
    case Phase::kTest:
    case Phase::kLeft:
      progress.set_phase("test");
      break;
    case Phase::kNone:
    case Phase::kEnded:
      return std::nullopt;
  }
  progress.set_upgrade_id(record_.order().upgrade_id());
  progress.set_version(record_.order().version());
  progress.set_fetched_bytes(fetched_bytes_);
  progress.set_size_bytes(size_bytes_);
  return progress;
}

}  // namespace wattle::agent
