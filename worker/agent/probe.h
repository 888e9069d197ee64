// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The result of a probe: every channel of every source with its file, its value and age, its
// cadence and the cost of a read; the source that measures the device, and the reason; the present
// sources that cannot be used, and the remedy.
#ifndef WATTLE_WORKER_AGENT_PROBE_H_
#define WATTLE_WORKER_AGENT_PROBE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/sensors/source.h"

namespace wattle::agent {

struct ProbedSource {
  std::string name{};
  absl::Status problem{};        // error of discovery or of the read; OK: the source answers
  telemetry::SourceInfo info{};  // empty if discovery failed
  absl::Duration cost{};         // of one read
  Monotonic asked_at{};
  // One for each channel; absent: the channel has no value now.
  std::vector<std::optional<telemetry::Reading>> readings{};
  bool measures_device = false;
  std::string reason{};  // why the source measures the device or not; empty: no power source
};

// Asks all sources once, at the same time, each within its deadline. A source that does not answer
// by then keeps its thread and is reported as a problem.
std::vector<ProbedSource> ProbeSources(std::vector<telemetry::Candidate> candidates,
                                       const Clock& clock);

std::string ProbeText(const std::vector<ProbedSource>& sources);
// A JSON list with one object for each source; an unknown value is null.
std::string ProbeJson(const std::vector<ProbedSource>& sources);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_H_
