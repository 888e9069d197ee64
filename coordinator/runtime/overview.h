// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The coordinator as a whole, for people: how it is, what happened, where the joules went. Reads
// the durable state, and the journal on a connection of its own. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_OVERVIEW_H_
#define WATTLE_COORDINATOR_RUNTIME_OVERVIEW_H_

#include <memory>
#include <thread>

#include "absl/status/statusor.h"

#include "coordinator/runtime/event_feed.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/store/journal_reader.h"
#include "wattle/v1/coordinator.pb.h"

namespace wattle::runtime {

class Overview {
 public:
  // runtime: outlives the Overview. Takes in the journal's latest events before it returns. Errors:
  // those of the journal.
  static absl::StatusOr<std::unique_ptr<Overview>> Open(Runtime& runtime);
  ~Overview();
  Overview(const Overview&) = delete;
  Overview& operator=(const Overview&) = delete;

  // All but the version and the heartbeat, which the caller knows.
  [[nodiscard]] absl::StatusOr<v1::CoordinatorStatus> GetCoordinator(
      const v1::GetCoordinatorRequest& request) const;
  // Errors: kInvalidArgument for a span that is none.
  [[nodiscard]] absl::StatusOr<v1::EnergyReport> ReportEnergy(
      const v1::ReportEnergyRequest& request) const;
  EventFeed& feed() { return feed_; }
  // Nothing more is told; those who wait for an event wait no longer.
  void Stop();

 private:
  Overview(Runtime& runtime, std::unique_ptr<store::JournalReader> journal);

  Runtime& runtime_;
  const std::unique_ptr<store::JournalReader> journal_;
  EventFeed feed_;
  std::thread feeder_;
};

}  // namespace wattle::runtime

#endif  // WATTLE_COORDINATOR_RUNTIME_OVERVIEW_H_
