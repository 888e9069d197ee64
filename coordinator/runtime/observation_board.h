// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the live streams said last: one slot for each device, latest value only, never stored. A
// stream writes its slot under the slot's own lock by swapping messages, so that a heartbeat costs
// neither an allocation nor a command; whoever decides, plans or shows merges the slots when it
// needs them. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_OBSERVATION_BOARD_H_
#define WATTLE_COORDINATOR_RUNTIME_OBSERVATION_BOARD_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "coordinator/core/state.h"
#include "proto/run_curve.h"
#include "units/id.h"
#include "wattle/v1/device.pb.h"

namespace wattle::runtime {

class ObservationBoard {
 public:
  class Slot {
   public:
    explicit Slot(DeviceId device) : device_(std::move(device)) {}

    // Takes the heartbeat; what `heartbeat` then holds is its predecessor, to be overwritten.
    void Take(v1::Heartbeat& heartbeat, const core::Instant& now);
    // A stream of the device begins: the device is connected until that very stream ends. Returns
    // the stream's number. caught_up: see core::DeviceObservation.
    uint64_t Connected(const core::Instant& now, bool caught_up = true);
    // Of the stream with that number; nothing where a newer stream has taken over.
    void SetCaughtUp(uint64_t stream, bool caught_up);
    // The stream with that number ended. False where a newer stream had taken over: the device is
    // still connected.
    bool Disconnected(uint64_t stream);
    // Copies the slot if it changed since `version`, and moves `version` on.
    bool CopyIfNewer(uint64_t& version, core::DeviceObservation& observation) const;
    // What the last heartbeat told of the attempt; nothing where it did not.
    [[nodiscard]] std::optional<v1::AttemptProgress> ProgressOf(const AttemptId& attempt) const;
    // The attempt's curve so far, as its heartbeats told it; empty where they did not.
    [[nodiscard]] RunCurve::Points CurveOf(const AttemptId& attempt) const;
    [[nodiscard]] const DeviceId& device() const { return device_; }

   private:
    void Chart() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

    const DeviceId device_;
    mutable absl::Mutex mutex_;
    uint64_t version_ ABSL_GUARDED_BY(mutex_) = 1;
    uint64_t stream_ ABSL_GUARDED_BY(mutex_) = 0;  // of the latest Connected
    core::DeviceObservation observation_ ABSL_GUARDED_BY(mutex_);
    // Of one attempt: a device runs one at a time.
    std::string charted_attempt_ ABSL_GUARDED_BY(mutex_);
    int64_t charted_step_ ABSL_GUARDED_BY(mutex_) = 0;
    double charted_heldout_loss_ ABSL_GUARDED_BY(mutex_) = 0;
    RunCurve::Totals charted_totals_ ABSL_GUARDED_BY(mutex_);
    RunCurve curve_ ABSL_GUARDED_BY(mutex_);
  };

  // A reader's own copy, brought up to date by Refresh. One thread owns a reader.
  struct Reader {
    core::Observations observations;
    std::vector<uint64_t> versions;  // By slot.
  };

  // What the operator set; see core::Observations.
  struct Settings {
    absl::Duration unreachable_after = absl::Seconds(10);
    absl::Duration impossible_grace = absl::Minutes(10);
    bool hold_impossible = false;
  };
  ObservationBoard(const core::Instant& started, const Settings& settings)
      : started_(started), settings_(settings) {}

  // Made at the first call for a device; lives as long as the board's user holds it.
  std::shared_ptr<Slot> SlotFor(const DeviceId& device);

  [[nodiscard]] Reader MakeReader() const;
  // Copies the slots that changed since the last Refresh.
  void Refresh(Reader& reader) const;
  // Everything, for a reader that comes once.
  [[nodiscard]] core::Observations Snapshot() const;
  // Of these devices alone: a look at one job must not cost a copy of the fleet.
  [[nodiscard]] core::Observations SnapshotOf(const std::vector<DeviceId>& devices) const;

  // Null where the device has no slot yet.
  [[nodiscard]] std::shared_ptr<Slot> FindSlot(const DeviceId& device) const;
  // Of the latest plan; null: nothing was to be planned.
  void SetWhyNotNow(std::shared_ptr<const std::map<JobId, std::string>> why);

  void CountHeartbeat() { heartbeats_.fetch_add(1, std::memory_order_relaxed); }
  // Messages of workers whose kind this version does not know; they were skipped.
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
  mutable absl::Mutex mutex_;  // Of the lists; a slot has its own.
  std::map<DeviceId, std::shared_ptr<Slot>> by_device_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Slot>> slots_ ABSL_GUARDED_BY(mutex_);  // In order of arrival.
  std::shared_ptr<const std::map<JobId, std::string>> why_not_now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_OBSERVATION_BOARD_H_
