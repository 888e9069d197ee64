// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The worker's checked flags.
#ifndef WATTLE_WORKER_AGENT_CONFIG_H_
#define WATTLE_WORKER_AGENT_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

#include "telemetry/sensors/settings.h"
#include "worker/power/powerd_client.h"
#include "worker/sandbox/level.h"

namespace wattle::agent {

// Value of --metrics: the worker serves no page, and the coordinator shows the values of its
// heartbeats.
inline constexpr char kNoMetrics[] = "none";
// Value of --metrics: the worker serves no page, and its samples go to Prometheus through the
// coordinator.
inline constexpr char kPushedMetrics[] = "pushed";

struct Config {
  std::vector<std::string> coordinators;  // tried in turn; empty: the one of the enrolment
  bool plaintext_loopback = false;
  std::string name;                      // empty: the host's, or the emulated board's
  std::string state_dir;                 // empty: under the user's state folder
  std::string releases;                  // folder of releases; empty: upgrades are refused
  std::string metrics = "127.0.0.1:0";   // or kNoMetrics, kPushedMetrics
  std::string metrics_token_file;        // empty: no token reads the page
  std::string signers;                   // folder of public keys; empty: every model is run
  double metrics_interval_seconds = 15;  // between pushed samples
  int64_t metrics_spool_bytes = int64_t{32} << 20;
  // Isolation of the runners: the worker tries `isolation`, and does not start with less than the
  // minimum.
  sandbox::Level isolation = sandbox::Level::kFull;
  sandbox::Level isolation_min = sandbox::Level::kNone;
  std::string runner;  // empty: wattle-runner beside this program
  std::string device = "cpu";
  int threads = 0;  // 0: all cores; emulated: 1
  std::vector<std::pair<std::string, std::string>> labels;
  int64_t disk_quota_bytes = 0;                     // 0: the board file's, or 20 GiB
  int64_t disk_reserve_bytes = int64_t{256} << 20;  // of the state folder's disk, kept free
  std::string peer_listen;  // PORT or IP:PORT; empty: boards of the site get nothing from this one
  double peer_bytes_per_second = 8 << 20;  // to all of them together
  double runner_silence_seconds = 60;
  std::vector<std::string> exclusive;  // programs of the owner that have the board to themselves
  bool allow_power_modes = false;
  std::string powerd_socket = kPowerdSocket;
  std::string power_mode;   // the mode while the worker runs; empty: unchanged
  std::string sensor_root;  // a recorded file tree instead of this machine's
  std::vector<telemetry::SourceSettings> sensors;  // the entries of the file that --sensors names

  std::string emulate;       // empty: this machine itself
  std::string emulated_dir;  // empty: searched near the program
  uint64_t emulation_seed = 0;
  double hidden_offset_percent = 10;
  double time_scale = 1;
  std::optional<double> state_of_charge;  // 0 to 1
  std::optional<double> battery_wh;
  // Date of this build, not a flag: a clock that shows an earlier time is wrong.
  absl::Time source_date = absl::InfinitePast();
};

// Reads the command line into *config. Returns the exit code if the program should end (help,
// version, or an error; all printed), or nullopt if it should go on.
std::optional<int> ParseCommandLine(int argc, char** argv, const std::string& version,
                                    Config* config);

// Errors: kInvalidArgument names the flag.
absl::Status Validate(const Config& config);

// The state folder of a worker that names none: under XDG_STATE_HOME, else under HOME. emulate: the
// board that it emulates, or empty. Call it before any thread is started.
std::string DefaultStateDirectory(const std::string& emulate);

// The directory of this program's file.
std::string ProgramDirectory();

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_CONFIG_H_
