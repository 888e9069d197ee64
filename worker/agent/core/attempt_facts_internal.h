// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Small functions about attempts that the core's files share. All are pure.
#ifndef WATTLE_WORKER_AGENT_CORE_ATTEMPT_FACTS_INTERNAL_H_
#define WATTLE_WORKER_AGENT_CORE_ATTEMPT_FACTS_INTERNAL_H_

#include <algorithm>
#include <string>

#include "policy/held_back.h"
#include "proto/state_names.h"
#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/worker_state.pb.h"
#include "worker/agent/core/agent_ports.h"

namespace wattle::agent {

// The attempt whose end the report carries; empty for every other report.
inline std::string EndedAttempt(const v1::Report& report) {
  if (report.has_finished()) {
    return report.finished().attempt_id();
  }
  if (report.has_failed()) {
    return report.failed().attempt_id();
  }
  return report.has_stopped() ? report.stopped().attempt_id() : "";
}

// Applies the report of an attempt's end to its record. REQUIRES: !EndedAttempt(report).empty()
inline void TakeEnd(const v1::Report& report, v1::HeldAttemptRecord& record) {
  if (report.has_finished()) {
    record.set_state(v1::ATTEMPT_STATE_FINISHED);
    *record.mutable_receipt() = report.finished().receipt();
  } else if (report.has_failed()) {
    record.set_state(v1::ATTEMPT_STATE_FAILED);
    *record.mutable_receipt() = report.failed().receipt();
  } else {
    record.set_state(v1::ATTEMPT_STATE_SUPERSEDED);
    *record.mutable_receipt() = report.stopped().receipt();
  }
}

// Adds the fetched bytes, also those of a failed fetch.
inline void CountFetched(const FetchResult& result, v1::Receipt& receipt) {
  receipt.set_fetched_bytes(receipt.fetched_bytes() + result.moved_bytes);
  receipt.set_peer_fetched_bytes(receipt.peer_fetched_bytes() + result.peer_bytes);
}

// The longer of both values in each part.
inline policy::StopEstimate LongerOf(const policy::StopEstimate& a, const policy::StopEstimate& b) {
  return {.start = std::max(a.start, b.start),
          .step = std::max(a.step, b.step),
          .checkpoint = std::max(a.checkpoint, b.checkpoint),
          .load = std::max(a.load, b.load)};
}

// Names the attempt and its token in a fact.
template <typename Fact>
void SetAttempt(const v1::Assignment& assignment, Fact* fact) {
  fact->set_attempt_id(assignment.attempt_id());
  fact->set_fencing_token(assignment.fencing_token());
}

// An attempt that never began has no receipt: it drew no energy, and no source is known.
inline void SetReceipt(const v1::HeldAttemptRecord& record, v1::AttemptStopped* stopped) {
  if (!record.receipt().attempt_id().empty()) {
    *stopped->mutable_receipt() = record.receipt();
  }
}

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_ATTEMPT_FACTS_INTERNAL_H_
