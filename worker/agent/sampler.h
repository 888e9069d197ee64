// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Asks every source at its own cadence, each on a thread of its own: a chip that hangs or a plug
// that is far away delays nobody else. A read that never returns is left behind with its thread;
// the others go on, and the readings of the hung source grow old.
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

  // sink: called on the source's thread. clock: outlives the process's last thread.
  Sampler(std::vector<std::unique_ptr<telemetry::Source>> sources, Sink sink, const Clock& clock);
  // After this the sink is not called any more. Waits for threads that are in no read, and for half
  // a second for the others.
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  // Whether work runs. While the device is idle sources are asked twice a second at most.
  void SetBusy(bool busy);

  // The sources whose present read takes longer than their deadline, by number.
  [[nodiscard]] std::vector<size_t> Hung() const;

 private:
  struct Line;  // one source with its thread
  static void Run(const std::shared_ptr<Line>& line);

  std::vector<std::shared_ptr<Line>> lines_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_SAMPLER_H_
