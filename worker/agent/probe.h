// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What can be measured on this board: every channel of every source with its file, its value and
// how old that is, how often it is new and what a read costs; which source measures the device and
// why; what is there and cannot be used, with the remedy.
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
  absl::Status problem{};        // of discovery or of the read; OK: the source answers
  telemetry::SourceInfo info{};  // empty where discovery failed
  absl::Duration cost{};         // of one read
  Monotonic asked_at{};
  // By channel; absent: the channel has no value now.
  std::vector<std::optional<telemetry::Reading>> readings{};
  bool measures_device = false;
  std::string reason{};  // why the source measures the device, or does not; empty: no power source
};

// Asks every source once, all at a time, each within its deadline. A source that does not answer by
// then is left behind with its thread, and has a problem.
std::vector<ProbedSource> ProbeSources(std::vector<telemetry::Candidate> candidates,
                                       const Clock& clock);

std::string ProbeText(const std::vector<ProbedSource>& sources);
// A JSON list with an object for each source; a value that is not known is null.
std::string ProbeJson(const std::vector<ProbedSource>& sources);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_H_
