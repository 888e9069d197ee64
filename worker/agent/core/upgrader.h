// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// An upgrade of this worker, as its coordinator orders it (DesiredSet.upgrade): fetch → ready →
// switch in the old process; the test and its outcome in the new one. Each order ends once, in a
// report, and its record stays until the coordinator withdraws the order, so that a failed order is
// not retried. The test never needs the link. Use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_UPGRADER_H_
#define WATTLE_WORKER_AGENT_CORE_UPGRADER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "wattle/v1/device.pb.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/core/agent_ports.h"
#include "worker/agent/storage/disk.h"

namespace wattle::agent {

class Upgrader {
 public:
  struct Settings {
    std::string version;          // of this worker
    bool takes_releases = false;  // it has a folder for them
    std::string device_id;        // distributes the fetches of a fleet over time
    std::string boot_id;
  };
  // disk and ports: outlive the object.
  Upgrader(Disk* disk, AgentPorts* ports, Settings settings);

  // The process starts. state_problem: the part of the state that could not be read; "": none.
  void Start(const std::string& state_problem, Monotonic now);
  void OnDesired(const v1::DesiredSet& desired);
  // The fetch ended; with OK the release is installed.
  void OnFetched(const absl::Status& status, Monotonic now);
  void OnProgress(int64_t fetched_bytes, int64_t size_bytes);
  void OnSelfTested(const absl::Status& status, Monotonic now);
  // disk_is_healthy: small writes succeed. reports_are_saved: no report waits for the disk.
  void Step(bool disk_is_healthy, bool reports_are_saved, Monotonic now);
  // The time at which Step has work without an event; infinite: none.
  [[nodiscard]] Monotonic NextStep() const;

  // No work runs during the test: a board has no memory for a test beside it.
  [[nodiscard]] bool on_trial() const;
  [[nodiscard]] const v1::UpgradeOrder& order() const { return record_.order(); }

  [[nodiscard]] bool wants_fetch(Monotonic now) const;
  void BeginFetch();
  [[nodiscard]] bool fetching() const { return fetching_; }
  // A fetch continues for an order that no longer exists.
  [[nodiscard]] bool fetch_is_unwanted() const { return fetching_ && phase_ != Phase::kFetch; }

  // When the release was ready and began to wait for the run; absent: not ready.
  [[nodiscard]] std::optional<Monotonic> ready_since() const { return ready_since_; }
  // The process is ending for the upgrade. `switches` holds until Switch was called.
  void BeginSwitch();
  [[nodiscard]] bool switches() const { return phase_ == Phase::kSwitch; }
  void Switch(Monotonic now);
  // The release failed on this board: the process must end, and the previous release starts.
  [[nodiscard]] bool wants_restart() const { return phase_ == Phase::kLeft; }

  // The end to report; returned once in a process.
  [[nodiscard]] std::optional<v1::UpgradeEnded> TakeEnded() {
    return std::exchange(ended_, std::nullopt);
  }
  [[nodiscard]] std::optional<v1::UpgradeProgress> Progress() const;

 private:
  enum class Phase { kNone, kFetch, kReady, kSwitch, kTest, kLeft, kEnded };

  void Take(const v1::UpgradeOrder& order);
  [[nodiscard]] std::string WhyRefused(const v1::UpgradeOrder& order) const;
  void Refuse(const std::string& reason);
  void GiveUp();
  void Pass(Monotonic now);
  void Fail(const std::string& reason);
  void TellEnd();
  [[nodiscard]] absl::Status Write();

  Disk& disk_;
  AgentPorts& ports_;
  const Settings settings_;
  Phase phase_ = Phase::kNone;
  v1::UpgradeRecord record_;
  std::string desired_id_;  // of the order that the coordinator has now; "": none
  std::optional<v1::UpgradeEnded> ended_;
  bool fetching_ = false;
  int failed_fetches_ = 0;  // in a row, for reasons of the release or of this board
  static constexpr absl::Duration kFetchRetryMin = absl::Seconds(5);
  Backoff fetch_backoff_;
  Monotonic next_fetch_;  // wall
  int64_t fetched_bytes_ = 0;
  int64_t size_bytes_ = 0;
  std::optional<Monotonic> ready_since_;
  bool self_tested_ = false;
  Monotonic next_pass_;  // wall; the disk refused the record
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_UPGRADER_H_
