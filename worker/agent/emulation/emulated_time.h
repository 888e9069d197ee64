// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Moves the clock of an emulated board, and does what is due on the way in the order of the board's
// time: each sample of its sensor, and the end of the scheduled work. The clock never moves beyond
// the scheduled work: there it stands until this machine has done more. One thread.
#ifndef WATTLE_WORKER_AGENT_EMULATION_EMULATED_TIME_H_
#define WATTLE_WORKER_AGENT_EMULATION_EMULATED_TIME_H_

#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/sensors/source.h"
#include "worker/agent/core/agent_core.h"
#include "worker/agent/core/device_clock.h"
#include "worker/agent/core/device_readings.h"

namespace wattle::agent {

class EmulatedTime {
 public:
  // A board without a pace is idle for so long at its start, in which its idle draw is measured.
  static constexpr absl::Duration kIdleAtStart = absl::Seconds(10);

  // All of it must outlive this object. source: the board's, the first of the readings.
  EmulatedTime(DeviceClock* clock, AgentCore* core, DeviceReadings* readings,
               telemetry::Source* source, Monotonic start)
      : clock_(*clock),
        core_(*core),
        readings_(*readings),
        source_(*source),
        start_(start),
        next_sample_(start) {}

  // Moves the clock as far as it may by now. now.device follows.
  void Pass(Instant& now);
  // The wall time of the next call for the board's samples.
  [[nodiscard]] Monotonic NextPass(const Instant& now) const;

 private:
  [[nodiscard]] Monotonic Reach(const Instant& now);

  DeviceClock& clock_;
  AgentCore& core_;
  DeviceReadings& readings_;
  telemetry::Source& source_;
  const Monotonic start_;
  Monotonic next_sample_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_EMULATION_EMULATED_TIME_H_
