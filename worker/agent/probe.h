// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The result of a probe: every channel of every source with its file, its value and age, its
// cadence and the cost of a read; the source that measures the device, and the reason; the unusable
// sources, and the remedy.
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

// Reads all sources once, at the same time, each within its deadline. A source that misses its
// deadline keeps its thread and is reported as a problem.
std::vector<ProbedSource> ProbeSources(std::vector<telemetry::Candidate> candidates,
                                       const Clock& clock);

std::string ProbeText(const std::vector<ProbedSource>& sources);
// A JSON list with one object for each source; an unknown value is null.
std::string ProbeJson(const std::vector<ProbedSource>& sources);

// Copies the files of the sources, power modes and the board's identity from the tree at root ("":
// this machine) into directory, so that the owner of an unknown board can send them in. The copy
// works as --sensor-root and as a test fixture. Serial numbers and unreadable files are left out.
// Errors: kFailedPrecondition if the directory is not empty; those of writing.
absl::Status RecordSensors(const std::string& root, const std::string& directory);

// Adds the figures of `./dev gpu-exam` to a recording. Errors: kInvalidArgument if the file is not
// an exam; those of reading and writing.
absl::Status RecordExam(const std::string& exam, const std::string& directory);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_PROBE_H_
