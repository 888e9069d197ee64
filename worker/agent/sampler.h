// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Polls every source at its own cadence, each on its own thread, so that a hanging chip or a
// distant plug delays no other source. A read that never returns keeps its thread; the other
// sources continue, and the readings of the hung source grow old.
#ifndef WATTLE_WORKER_AGENT_SAMPLER_H_
#define WATTLE_WORKER_AGENT_SAMPLER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/sensors/source.h"

namespace wattle::agent {

class Sampler {
 public:
  using Sink =
      std::function<void(size_t source, absl::StatusOr<std::vector<telemetry::Reading>> readings)>;

  // sink: called on the source's thread. clock: must outlive the last thread of the process.
  Sampler(std::vector<std::unique_ptr<telemetry::Source>> sources, Sink sink, const Clock& clock);
  // Ends the calls of the sink. Waits for threads that are not in a read, and for half a second for
  // the others.
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // Sets whether work runs. While the device is idle, sources are polled at most twice a second.
  void SetBusy(bool busy);

  // The numbers of the sources whose present read exceeds their deadline.
  [[nodiscard]] std::vector<size_t> Hung() const;

 private:
  struct Line;  // one source with its thread
  static void Run(const std::shared_ptr<Line>& line);

  std::vector<std::shared_ptr<Line>> lines_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SAMPLER_H_
