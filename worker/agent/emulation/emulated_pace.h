// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The pace of an emulated board. The board's work is scheduled in device time, and this machine may
// be ahead or behind. The runner's gate opens when the wall clock has caught up. One thread.
#ifndef WATTLE_WORKER_AGENT_EMULATION_EMULATED_PACE_H_
#define WATTLE_WORKER_AGENT_EMULATION_EMULATED_PACE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "worker/agent/core/pace.h"
#include "worker/agent/emulation/emulator.h"

namespace wattle::agent {

class EmulatedPace final : public Pace {
 public:
  // emulator: must outlive the pace. time_scale: wall seconds for a device second.
  EmulatedPace(Emulator* emulator, double time_scale)
      : emulator_(emulator), time_scale_(time_scale) {}

  [[nodiscard]] bool gated() const override { return true; }
  void SetActivity(Monotonic from, Activity activity) override;
  [[nodiscard]] Monotonic TransferEnd(Monotonic begin, int64_t moved_bytes,
                                      Monotonic now) const override;
  std::optional<WorkSpan> BeginRunner(const v1::RunnerTask& task, int64_t model_bytes,
                                      Monotonic now) override;
  Monotonic BeginPhase(Monotonic now) override;
  Monotonic EndStep(const v1::StepDone& step, Monotonic now) override;
  [[nodiscard]] std::optional<Monotonic> gate_opens() const override { return gate_opens_; }
  void GateOpened() override { gate_opens_.reset(); }
  std::optional<WorkSpan> EndWrite(int64_t size_bytes, Monotonic now) override;
  void EndRunner() override { gate_opens_.reset(); }
  [[nodiscard]] bool Overrun(absl::Duration step_time) const override;

 private:
  void KeepLag();

  Emulator* emulator_;
  double time_scale_;
  Monotonic schedule_;  // end of the scheduled work
  std::optional<Monotonic> gate_opens_;
  std::string attempt_id_;  // the runner's attempt
  absl::Duration
      lag_;  // how far this machine is behind the schedule at the latest step; below 0: ahead
  absl::Duration lag_total_;  // sum over the attempt's phases
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_EMULATION_EMULATED_PACE_H_
