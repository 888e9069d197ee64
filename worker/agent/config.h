// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's flags, checked.
#ifndef WATTLE_WORKER_AGENT_CONFIG_H_
#define WATTLE_WORKER_AGENT_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "telemetry/sensors/settings.h"

namespace wattle::agent {

// As --metrics: the worker serves no page; the coordinator shows what its heartbeats say.
inline constexpr char kNoMetrics[] = "none";
// As --metrics: the worker serves no page; its samples go to Prometheus through the coordinator.
inline constexpr char kPushedMetrics[] = "pushed";

struct Config {
  std::string coordinator = "127.0.0.1:7410";
  std::string name;                      // empty: the host's, or the emulated board's
  std::string state_dir;                 // empty: under the user's state folder
  std::string metrics = "127.0.0.1:0";   // or kNoMetrics, kPushedMetrics
  double metrics_interval_seconds = 15;  // of pushed samples
  int64_t metrics_spool_bytes = int64_t{32} << 20;
  std::string runner;  // empty: wattle-runner beside this program
  std::string device = "cpu";
  int threads = 0;  // 0: all cores; emulated: 1
  std::vector<std::pair<std::string, std::string>> labels;
  int64_t disk_quota_bytes = 0;                     // 0: the board file's, or 20 GiB
  int64_t disk_reserve_bytes = int64_t{256} << 20;  // of the state folder's disk, kept free
  double runner_silence_seconds = 60;
  bool allow_power_modes = false;
  std::string power_mode;   // to be in while the worker runs; empty: as the board is
  std::string sensor_root;  // a recorded file tree instead of this machine's
  std::vector<telemetry::SourceSettings> sensors;  // of the file that --sensors names

  std::string emulate;       // empty: this very machine
  std::string emulated_dir;  // empty: looked for beside the program
  uint64_t emulation_seed = 0;
  double hidden_offset_percent = 10;
  double time_scale = 1;
  std::optional<double> state_of_charge;  // 0 to 1
  std::optional<double> battery_wh;
  bool print_hidden_offsets = false;
};

// Reads the command line into *config. Returns the exit code if the program should end here (help,
// version, an error, all printed); nullopt: go on.
std::optional<int> ParseCommandLine(int argc, char** argv, const std::string& version,
                                    Config* config);

// kInvalidArgument, naming the flag.
absl::Status Validate(const Config& config);

// Directory of this program's file.
std::string ProgramDirectory();

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CONFIG_H_
