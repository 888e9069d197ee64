// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Status, events and energy use of the whole coordinator, for people. Reads the durable state, and
// the journal on its own connection. Thread-safe.
#ifndef WATTLE_COORDINATOR_RUNTIME_OVERVIEW_H_
#define WATTLE_COORDINATOR_RUNTIME_OVERVIEW_H_

#include <functional>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"

#include "coordinator/core/projects.h"
#include "coordinator/runtime/event_feed.h"
#include "coordinator/runtime/runtime.h"
#include "coordinator/store/journal_reader.h"
#include "wattle/v1/coordinator.pb.h"

namespace wattle::runtime {

class Overview {
 public:
  // runtime: must outlive the Overview. Open adds the journal's latest events to the feed before it
  // returns. before_look: see EventFeed::Run. Errors: those of the journal.
  static absl::StatusOr<std::unique_ptr<Overview>> Open(Runtime& runtime,
                                                        std::function<void()> before_look = {});
  ~Overview();
  Overview(const Overview&) = delete;
  Overview& operator=(const Overview&) = delete;

  // The coordinator's status without the version and the heartbeat interval, which the caller adds.
  [[nodiscard]] absl::StatusOr<v1::CoordinatorStatus> GetCoordinator(
      const v1::GetCoordinatorRequest& request) const;
  // Reports the jobs of the scope and all boards. Errors: kInvalidArgument for a span that ends
  // before it begins.
  [[nodiscard]] absl::StatusOr<v1::EnergyReport> ReportEnergy(
      const v1::ReportEnergyRequest& request, const core::Scope& scope) const;
  // Whether the scope may see the event: it concerns a covered job or the fleet.
  [[nodiscard]] bool Covers(const core::Scope& scope, const v1::FleetEvent& event) const;
  EventFeed& feed() { return feed_; }
  // Stops the feed and wakes every caller that waits for an event.
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
