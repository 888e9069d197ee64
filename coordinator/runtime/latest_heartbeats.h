// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The latest values of each live stream, in one slot per device, never stored. A stream writes its
// slot under the slot's own lock by swapping messages, so that a heartbeat costs neither an
// allocation nor a command. Readers merge the slots on demand. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_LATEST_HEARTBEATS_H_
#define WATTLE_COORDINATOR_RUNTIME_LATEST_HEARTBEATS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "coordinator/core/standstill_detector.h"
#include "coordinator/core/state.h"
#include "proto/run_curve.h"
#include "units/id.h"
#include "wattle/v1/device.pb.h"

namespace wattle::runtime {

// Contents of a hello; see core::DeviceObservation.
struct Greeting {
  bool caught_up = true;
  std::set<AttemptId> results_to_come;
  bool takes_queued = false;
};

class LatestHeartbeats {
 public:
  class Slot {
   public:
    explicit Slot(DeviceId device) : device_(std::move(device)) {}

    // Takes the heartbeat by a swap: `heartbeat` then holds its predecessor, which the caller
    // overwrites.
    void Take(v1::Heartbeat& heartbeat, const core::Instant& now);
    // Begins a stream and returns its number. The device is connected until this stream ends.
    uint64_t Connected(const core::Instant& now, Greeting greeting = {});
    // The following calls concern the stream with this number, and have no effect once a newer
    // stream has begun. Greeted: the stream sent another hello.
    void Greeted(uint64_t stream, Greeting greeting);
    // The device has sent its last report from before its hello.
    void CaughtUp(uint64_t stream);
    // The device has reported the attempt's end.
    void EndCame(uint64_t stream, const AttemptId& attempt);
    // The device has received policies with which it promises a heartbeat this often. The longer of
    // this promise and the one before applies until the device's next heartbeat.
    void Promised(uint64_t stream, absl::Duration interval);
    // Ends the stream with this number. Returns false if a newer stream has begun, so that the
    // device is still connected.
    bool Disconnected(uint64_t stream);
    // If the slot changed since `version`, copies the slot and advances `version`.
    bool CopyIfNewer(uint64_t& version, core::DeviceObservation& observation) const;
    // The attempt's progress from the last heartbeat; nullopt if that heartbeat had none.
    [[nodiscard]] std::optional<v1::AttemptProgress> ProgressOf(const AttemptId& attempt) const;
    // The attempt's curve so far, from its heartbeats; empty for any other attempt.
    [[nodiscard]] RunCurve::Points CurveOf(const AttemptId& attempt) const;
    [[nodiscard]] const DeviceId& device() const { return device_; }

   private:
    void Chart() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

    const DeviceId device_;
    mutable absl::Mutex mutex_;
    uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
    uint64_t stream_ ABSL_GUARDED_BY(mutex_) = 0;  // number of the latest stream
    core::DeviceObservation observation_ ABSL_GUARDED_BY(mutex_);
    absl::Duration promised_ ABSL_GUARDED_BY(mutex_){};  // the latest promise
    // The chart of one attempt, because a device runs one at a time.
    std::string charted_attempt_ ABSL_GUARDED_BY(mutex_);
    int64_t charted_step_ ABSL_GUARDED_BY(mutex_) = 0;
    double charted_heldout_loss_ ABSL_GUARDED_BY(mutex_) = 0;
    RunCurve::Totals charted_totals_ ABSL_GUARDED_BY(mutex_);
    RunCurve curve_ ABSL_GUARDED_BY(mutex_);
  };

  // A reader's own copy, which Refresh updates. One thread owns a Reader.
  struct Reader {
    core::Observations observations;
    std::vector<uint64_t> versions;  // One for each slot.
  };

  // The operator's settings; see core::Observations.
  struct Settings {
    absl::Duration unreachable_after = absl::Seconds(10);
    absl::Duration impossible_grace = absl::Minutes(10);
    bool hold_impossible = false;
    std::function<absl::Status(const v1::ArtifactInfo&)> check_model = {};
    // See core::StandstillDetector.
    absl::Duration break_min = absl::Seconds(5);
  };
  LatestHeartbeats(const core::Instant& started, const Settings& settings)
      : started_(started),
        settings_(settings),
        standstill_(started.monotonic, settings.break_min) {}

  // The process is running at `now`; see core::StandstillDetector. A reader that measures silences
  // calls Listen before its Refresh, so that breaks before `now` are included.
  void Listen(Monotonic now);

  // The device's slot, created by the first call. The slot lives as long as the board or a holder.
  std::shared_ptr<Slot> SlotFor(const DeviceId& device);

  [[nodiscard]] Reader MakeReader() const;
  // Copies the slots that changed since the last Refresh.
  void Refresh(Reader& reader) const;
  // A copy of all slots, for a reader that reads once.
  [[nodiscard]] core::Observations Snapshot() const;
  // A copy of the slots of only these devices, so that reading one job does not cost a copy of the
  // fleet.
  [[nodiscard]] core::Observations SnapshotOf(const std::vector<DeviceId>& devices) const;

  // The device's slot; null if there is none yet.
  [[nodiscard]] std::shared_ptr<Slot> FindSlot(const DeviceId& device) const;
  // Sets the reasons of the latest plan; null: there was nothing to plan.
  void SetWaiting(std::shared_ptr<const std::map<JobId, core::WaitingJob>> waiting);

  void CountHeartbeat() { heartbeats_.fetch_add(1, std::memory_order_relaxed); }
  // Counts a worker's message of a kind that this version does not know; such messages are skipped.
  void CountUnknownMessage() { unknown_messages_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t unknown_messages_total() const {
    return unknown_messages_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t heartbeats_total() const {
    return heartbeats_.load(std::memory_order_relaxed);
  }

 private:
  [[nodiscard]] std::vector<std::shared_ptr<Slot>> Slots() const;
  static void CollectProgress(core::Observations& observations);

  const core::Instant started_;
  const Settings settings_;
  std::atomic<uint64_t> heartbeats_{0};
  std::atomic<uint64_t> unknown_messages_{0};
  mutable absl::Mutex mutex_;  // Each slot has its own mutex.
  core::StandstillDetector standstill_ ABSL_GUARDED_BY(mutex_);
  std::map<DeviceId, std::shared_ptr<Slot>> by_device_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);  // In order of creation.
  std::shared_ptr<const std::map<JobId, core::WaitingJob>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_LATEST_HEARTBEATS_H_
