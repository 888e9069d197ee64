// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Pace says when the parts of an attempt happen on the device. On a real device they happen when
// this machine does them: RealPace. An emulated board has a clock of its own: EmulatedPace
// (emulation/) computes when the board would be done, and the runner waits at a gate after each
// step until the clock is there. All times are device time. Use it from one thread.
#ifndef WATTLE_WORKER_AGENT_CORE_PACE_H_
#define WATTLE_WORKER_AGENT_CORE_PACE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/runner.pb.h"
#include "worker/agent/core/energy_account.h"

namespace wattle::agent {

// Work of the device between two instants. The second instant may lie in the future.
struct WorkSpan {
  Monotonic begin;
  Monotonic end;
};

class Pace {
 public:
  virtual ~Pace() = default;

  // Whether the runner waits after each step for the order to continue.
  [[nodiscard]] virtual bool gated() const = 0;

  // The device does `activity` from `from` on; an emulated board then draws the power of that
  // activity.
  virtual void SetActivity(Monotonic from, Activity activity) = 0;

  // When a transfer of `moved_bytes`, which this machine has done, is done on the device. An
  // emulated board's clock stood still meanwhile.
  [[nodiscard]] virtual Monotonic TransferEnd(int64_t moved_bytes, Monotonic now) const = 0;

  // The functions below follow one run of the runner, in the order of its frames.

  // The runner starts and loads a model with files of model_bytes.
  virtual void BeginRunner(const v1::RunnerTask& task, int64_t model_bytes, Monotonic now) = 0;
  // When the device has done the work that its runner reported so far. The clock of an emulated
  // board stands there until the next frame.
  [[nodiscard]] virtual Monotonic busy_until() const = 0;
  // A phase begins. Returns the instant from which its time counts.
  virtual Monotonic BeginPhase(Monotonic now) = 0;
  // A step of the job's own work or of an evaluation ended here. Returns when it ends on the
  // device.
  virtual Monotonic EndStep(const v1::StepDone& step, Monotonic now) = 0;
  // The instant at which the gate after the latest step opens; nullopt if no runner waits there.
  // The gate counts as open once GateOpened was called.
  [[nodiscard]] virtual std::optional<Monotonic> gate_opens() const = 0;
  virtual void GateOpened() = 0;
  // A checkpoint or the result's files were written. nullopt: only the runner reports how long it
  // took.
  virtual std::optional<WorkSpan> EndWrite(int64_t size_bytes, Monotonic now) = 0;
  // The runner exited or has to stop, so nobody waits at the gate.
  virtual void EndRunner() = 0;
};

// The pace of a real device: this machine is the device.
class RealPace final : public Pace {
 public:
  [[nodiscard]] bool gated() const override { return false; }
  void SetActivity(Monotonic /*from*/, Activity /*activity*/) override {}
  [[nodiscard]] Monotonic TransferEnd(int64_t /*moved_bytes*/, Monotonic now) const override {
    return now;
  }
  void BeginRunner(const v1::RunnerTask& /*task*/, int64_t /*model_bytes*/,
                   Monotonic /*now*/) override {}
  [[nodiscard]] Monotonic busy_until() const override {
    return Monotonic(absl::InfiniteDuration());
  }
  Monotonic BeginPhase(Monotonic now) override { return now; }
  Monotonic EndStep(const v1::StepDone& /*step*/, Monotonic now) override { return now; }
  [[nodiscard]] std::optional<Monotonic> gate_opens() const override { return std::nullopt; }
  void GateOpened() override {}
  std::optional<WorkSpan> EndWrite(int64_t /*size_bytes*/, Monotonic /*now*/) override {
    return std::nullopt;
  }
  void EndRunner() override {}
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_PACE_H_
