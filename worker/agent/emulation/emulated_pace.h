// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The pace of an emulated board. Each frame of the runner schedules work in device time behind the
// work before. The board's clock moves to the end of the scheduled work and opens the runner's gate
// there, however long this machine took. One thread.
#ifndef WATTLE_WORKER_AGENT_EMULATION_EMULATED_PACE_H_
#define WATTLE_WORKER_AGENT_EMULATION_EMULATED_PACE_H_

#include <cstdint>
#include <optional>

#include "worker/agent/core/pace.h"
#include "worker/agent/emulation/emulator.h"

namespace wattle::agent {

class EmulatedPace final : public Pace {
 public:
  // emulator: must outlive the pace.
  explicit EmulatedPace(Emulator* emulator) : emulator_(emulator) {}

  [[nodiscard]] bool gated() const override { return true; }
  void SetActivity(Monotonic from, Activity activity) override;
  [[nodiscard]] Monotonic TransferEnd(int64_t moved_bytes, Monotonic now) const override;
  void BeginRunner(const v1::RunnerTask& task, int64_t model_bytes, Monotonic now) override;
  [[nodiscard]] Monotonic busy_until() const override { return schedule_; }
  Monotonic BeginPhase(Monotonic /*now*/) override { return schedule_; }
  Monotonic EndStep(const v1::StepDone& step, Monotonic now) override;
  [[nodiscard]] std::optional<Monotonic> gate_opens() const override { return gate_opens_; }
  void GateOpened() override { gate_opens_.reset(); }
  std::optional<WorkSpan> EndWrite(int64_t size_bytes, Monotonic now) override;
  void EndRunner() override { gate_opens_.reset(); }

 private:
  Emulator* emulator_;
  Monotonic schedule_;  // end of the scheduled work
  std::optional<Monotonic> gate_opens_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_EMULATION_EMULATED_PACE_H_
