// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The time and the draw of an emulated board. The emulator uses only its board file and a seed, and
// nothing that the coordinator predicted. One thread.
#ifndef WATTLE_WORKER_AGENT_EMULATION_EMULATOR_H_
#define WATTLE_WORKER_AGENT_EMULATION_EMULATOR_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"

#include "base/clock.h"
#include "telemetry/sensors/emulated.h"
#include "wattle/v1/runner.pb.h"
#include "wattle/v1/spec.pb.h"
#include "worker/agent/core/energy_account.h"
#include "worker/agent/emulation/board_file.h"

namespace wattle::agent {

struct EmulationOptions {
  uint64_t seed = 0;
  double hidden_offset_ratio = 0.1;  // time and power are each off by up to this much
};

class Emulator {
 public:
  Emulator(BoardFile file, const EmulationOptions& options, Monotonic start);

  [[nodiscard]] telemetry::EmulatedBoard& board() { return board_; }
  [[nodiscard]] const BoardFile& file() const { return file_; }
  // The board's true time and draw, relative to its file.
  [[nodiscard]] double hidden_time_factor() const { return time_factor_; }
  [[nodiscard]] double hidden_power_factor() const { return board_.physics().power_factor; }

  // Sets the job of the next runner.
  void BeginRun(const v1::JobSpec& spec, const ModelDimensions& model);
  // Puts the load of an activity on the board.
  void SetActivity(Monotonic from, Activity activity);

  [[nodiscard]] absl::Duration TransferTime(int64_t size_bytes) const;
  [[nodiscard]] absl::Duration StartTime(int64_t model_bytes) const;
  [[nodiscard]] absl::Duration CheckpointTime(int64_t size_bytes) const;
  // The end of a step that begins at `begin`.
  Monotonic StepEnd(const v1::StepDone& step, Monotonic begin);

 private:
  [[nodiscard]] const WorkRate& RateOf(const std::string& phase) const;

  BoardFile file_;
  uint64_t seed_;
  double time_factor_;
  telemetry::EmulatedBoard board_;
  const BoardFile::Rates* rates_;  // The present job's processor.
  const WorkRate* run_rate_;
  const PublishedWorkload* published_ = nullptr;  // the present job's, if there is one
  std::string run_phase_ = "train";
  uint64_t steps_ = 0;  // steps so far, the index of the noise
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_EMULATION_EMULATOR_H_
