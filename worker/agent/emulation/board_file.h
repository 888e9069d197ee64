// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// deploy/emulated/<board>.yaml: the emulator's truth about a board. Unknown and missing fields are
// errors with file and line. Functions are thread-safe.
#ifndef WATTLE_WORKER_AGENT_EMULATION_BOARD_FILE_H_
#define WATTLE_WORKER_AGENT_EMULATION_BOARD_FILE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "telemetry/sensors/emulated.h"
#include "units/quantity.h"
#include "wattle/v1/device.pb.h"

namespace wattle::agent {

// The board's rate and power for one kind of work.
struct WorkRate {
  double flops_per_second = 0;  // sustained
  absl::Duration step_overhead;
  Watts power;
};

// A workload with published time and power, which replaces the kind's rate if it matches.
struct PublishedWorkload {
  std::string kind;          // "finetune"
  std::string architecture;  // "gpt2"
  int layers = 0;
  int width = 0;
  absl::Duration time_per_example;
  Watts power;
  std::optional<telemetry::ThrottlingDips> dips;
};

struct BoardFile {
  std::string board;
  std::string device_class;
  std::string architecture;
  std::string accelerator;
  int64_t memory_bytes = 0;
  int cores = 0;
  std::vector<v1::PowerMode> power_modes;  // A number that the file leaves out is 0.
  std::string power_mode;
  double throughput_flops_datasheet = 0;
  double link_bytes_per_second = 0;
  int64_t cache_quota_bytes = 0;

  absl::Duration start_time;         // of process and libraries
  double load_bytes_per_second = 0;  // for the model's files
  absl::Duration checkpoint_time;    // fixed part
  double storage_bytes_per_second = 0;
  Watts start_power;
  Watts transfer_power;
  Watts checkpoint_power;

  telemetry::EmulatedPhysics physics;

  // Under the names that the kinds of jobs have for their rates (proto/job_kind.h).
  using Rates = std::map<std::string, WorkRate, std::less<>>;
  Rates rates;
  Rates cpu_rates;  // The cores beside the accelerator; empty: the board does not offer them.
  std::vector<PublishedWorkload> workloads;
};

// Reads directory/<name>.yaml. Errors: kInvalidArgument lists the known boards, or says
// "file:line: …".
absl::StatusOr<BoardFile> ReadBoardFile(const std::string& directory, const std::string& name);

struct ModelDimensions {
  std::string architecture;
  int layers = 0;
  int width = 0;
};
// The dimensions in a model directory's config.json (names of the GPT-2 family); empty if it has
// none.
ModelDimensions ReadModelDimensions(const std::string& model_directory);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_EMULATION_BOARD_FILE_H_
