// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// When the parts of an attempt happen on the device. On a real device they happen when this machine
// does them: RealPace. An emulated board has a time of its own: EmulatedPace (emulation/) says when
// the board would be done, and the runner waits at a gate after each step until then. All times are
// device time. One thread.
#ifndef WATTLE_WORKER_AGENT_CORE_PACE_H_
#define WATTLE_WORKER_AGENT_CORE_PACE_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "wattle/v1/runner.pb.h"
#include "worker/agent/core/energy_account.h"

namespace wattle::agent {

// Work of the device between two instants, of which the second may lie ahead of now.
struct WorkSpan {
  Monotonic begin;
  Monotonic end;
};

class Pace {
 public:
  virtual ~Pace() = default;

  // Whether the runner waits after each step until it is told to go on.
  [[nodiscard]] virtual bool gated() const = 0;

  // From `from` on the device does this: an emulated board draws power accordingly.
  virtual void SetActivity(Monotonic from, Activity activity) = 0;

  // A transfer of `moved_bytes` began at `begin` and is done on this machine: when it is done on
  // the device.
  [[nodiscard]] virtual Monotonic TransferEnd(Monotonic begin, int64_t moved_bytes,
                                              Monotonic now) const = 0;

  // The functions from here on follow one run of the runner, in the order of its frames. Those that
  // return a WorkSpan know ahead of time when the device is done; after it the device waits for
  // this machine. nullopt: only this machine tells, by its next frame.

  // The runner starts and loads a model whose files have model_bytes.
  virtual std::optional<WorkSpan> BeginRunner(const v1::RunnerTask& task, int64_t model_bytes,
                                              Monotonic now) = 0;
  // A phase begins: from when on it counts.
  virtual Monotonic BeginPhase(Monotonic now) = 0;
  // A step ended, of the job's own work or of an evaluation: when it ends on the device.
  virtual Monotonic EndStep(const v1::StepDone& step, Monotonic now) = 0;
  // The instant at which the gate after the latest step opens; nullopt: no runner waits at it. The
  // gate has opened once GateOpened was called.
  [[nodiscard]] virtual std::optional<Monotonic> gate_opens() const = 0;
  virtual void GateOpened() = 0;
  // A checkpoint was written, or the result's files.
  virtual std::optional<WorkSpan> EndWrite(int64_t size_bytes, Monotonic now) = 0;
  // The runner left, or is told to stop: nobody waits at the gate.
  virtual void EndRunner() = 0;
  // Whether this machine was too slow for the device during steps, evaluations included, that took
  // `step_time` together: their receipt tells nothing about the device.
  [[nodiscard]] virtual bool Overrun(absl::Duration step_time) const = 0;
};

// The device is this machine.
class RealPace final : public Pace {
 public:
  [[nodiscard]] bool gated() const override { return false; }
  void SetActivity(Monotonic /*from*/, Activity /*activity*/) override {}
  [[nodiscard]] Monotonic TransferEnd(Monotonic /*begin*/, int64_t /*moved_bytes*/,
                                      Monotonic now) const override {
    return now;
  }
  std::optional<WorkSpan> BeginRunner(const v1::RunnerTask& /*task*/, int64_t /*model_bytes*/,
                                      Monotonic /*now*/) override {
    return std::nullopt;
  }
  Monotonic BeginPhase(Monotonic now) override { return now; }
  Monotonic EndStep(const v1::StepDone& /*step*/, Monotonic now) override { return now; }
  [[nodiscard]] std::optional<Monotonic> gate_opens() const override { return std::nullopt; }
  void GateOpened() override {}
  std::optional<WorkSpan> EndWrite(int64_t /*size_bytes*/, Monotonic /*now*/) override {
    return std::nullopt;
  }
  void EndRunner() override {}
  [[nodiscard]] bool Overrun(absl::Duration /*step_time*/) const override { return false; }
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CORE_PACE_H_
