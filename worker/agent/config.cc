// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/config.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "base/host_port.h"
#include "base/standard_output.h"
#include "base/status_macros.h"
#include "policy/given_labels.h"
#include "worker/agent/link/peer_server.h"
#include "worker/agent/sensor_settings.h"

namespace wattle::agent {
namespace {

namespace fs = std::filesystem;

constexpr int kBatteryWhMax = 1'000'000;  // the coordinator's limit
constexpr char kExamples[] =
    "Examples:\n"
    "  wattle-worker enroll wattle1:...        once, with a token of 'wattle device token'\n"
    "  wattle-worker --label site=mast3\n"
    "  wattle-worker probe                     what this board can measure; see probe --help\n"
    "  wattle-worker hold --for 1h             the board is yours: its work pauses; also release, "
    "status\n"
    "  wattle-worker --emulate=jetson-xavier-nx --time-scale 0.1\n"
    "  wattle-worker --emulate=raspberry-pi-5 --battery-wh 100 --state-of-charge 0.6\n";

// An installed program has its boards under share/, a built one in the source tree above it.
std::string FindBoards() {
  const fs::path program = ProgramDirectory();
  std::error_code ignored;
  const fs::path installed = program.parent_path() / "share/wattle/emulated";
  if (fs::is_directory(installed, ignored)) {
    return installed;
  }
  for (fs::path above = program; above.has_relative_path(); above = above.parent_path()) {
    if (fs::is_directory(above / "deploy/emulated", ignored)) {
      return above / "deploy/emulated";
    }
  }
  return "deploy/emulated";
}

// Flags whose values must be converted for the Config.
struct RawFlags {
  std::vector<std::string> labels{};
  std::string isolation = "full";
  std::string isolation_min = "none";
  std::string sensors{};
};

void DeclareEmulation(CLI::App& app, Config* config) {
  const std::string group = "Emulation";
  app.add_option("--emulate", config->emulate,
                 "Behave like this board (deploy/emulated/BOARD.yaml): jetson-xavier-nx, "
                 "jetson-orin-nano, raspberry-pi-5")
      ->group(group);
  app.add_option("--emulated-dir", config->emulated_dir, "Folder of the board files")->group(group);
  app.add_option("--emulation-seed", config->emulation_seed, "Seed of noise and hidden offsets [0]")
      ->group(group);
  app.add_option("--hidden-offset-percent", config->hidden_offset_percent,
                 "The board differs from its file by up to this much in time and in power; "
                 "STATE_DIR/hidden_offsets.json says by how much")
      ->capture_default_str()
      ->group(group);
  app.add_option("--time-scale", config->time_scale,
                 "Fewest wall seconds for a device second; 0: as few as this machine needs")
      ->capture_default_str()
      ->group(group);
  app.add_option("--state-of-charge", config->state_of_charge,
                 "Charge of the battery at first, 0 to 1")
      ->group(group);
  app.add_option("--battery-wh", config->battery_wh, "Capacity of the battery; 0: none")
      ->group(group);
}

// How many artifacts stay here, and who else gets them.
void DeclareArtifacts(CLI::App& app, Config* config) {
  app.add_option("--disk-quota-bytes", config->disk_quota_bytes,
                 "Bytes of artifacts, checkpoints, results and records together above which "
                 "artifacts that no job needs are removed [20 GiB; emulated: the board's]");
  app.add_option("--disk-reserve-bytes", config->disk_reserve_bytes,
                 "Bytes of the state folder's disk that artifacts and checkpoints leave free")
      ->capture_default_str();
  app.add_option(
      "--peer-listen", config->peer_listen,
      "PORT or IP:PORT where boards with this board's label site fetch artifacts that it "
      "has, once the coordinator sends them; port 0: any free one [they fetch nothing "
      "here]");
  app.add_option("--peer-bytes-per-second", config->peer_bytes_per_second,
                 "With --peer-listen: the most that all of them get together")
      ->default_str("8388608");
}

void Declare(CLI::App& app, Config* config, RawFlags* raw) {
  app.add_option("--coordinator", config->coordinators,
                 "host:port of wattle-coordinator; several, separated by commas, are tried in turn "
                 "[the one that this board enrolled with]")
      ->delimiter(',');
  app.add_flag("--plaintext-loopback", config->plaintext_loopback,
               "For a debugger: a coordinator on this machine without TLS");
  app.add_option("--name", config->name, "Name for people [the host's, or the emulated board's]");
  app.add_option(
      "--state-dir", config->state_dir,
      "Folder for identity, spool, checkpoints and cache [~/.local/state/wattle-worker]");
  app.add_option("--releases", config->releases,
                 "Folder of this worker's releases, from which wattle-launch starts it: upgrades "
                 "that the coordinator orders are taken [they are refused]");
  app.add_option("--metrics", config->metrics,
                 "host:port for /metrics over HTTPS, which a certificate of the fleet reads; port "
                 "0: any free one. If Prometheus cannot reach this "
                 "device: pushed (samples go through the coordinator, also those from a time "
                 "without a link) or none (the coordinator shows the values of heartbeats)")
      ->capture_default_str();
  app.add_option(
      "--metrics-token-file", config->metrics_token_file,
      "File with the SHA-256 of the token by which Prometheus reads /metrics, as 'wattle "
      "service token NAME' tells it; read at each request");
  app.add_option("--signers", config->signers,
                 "Folder of public keys (PEM, P-256 or Ed25519; the file's name is the signer's): "
                 "only models that one of them signed are run, whatever the coordinator says");
  app.add_option("--metrics-interval-seconds", config->metrics_interval_seconds,
                 "With --metrics pushed: time between samples")
      ->capture_default_str();
  app.add_option("--metrics-spool-bytes", config->metrics_spool_bytes,
                 "With --metrics pushed: bytes of samples kept while there is no link; beyond them "
                 "older samples are thinned")
      ->capture_default_str();
  app.add_option("--runner", config->runner, "Path of wattle-runner [beside this program]");
  app.add_option("--isolation", raw->isolation,
                 "The most that a runner is shut off from this machine: full (system calls, "
                 "network and files), seccomp (system calls and network) or none")
      ->capture_default_str();
  app.add_option("--isolation-min", raw->isolation_min,
                 "Refuse to start where this machine gives less: full, seccomp or none")
      ->capture_default_str();
  app.add_option("--device", config->device, "cpu or cuda")->capture_default_str();
  app.add_option("--threads", config->threads, "Threads of a runner [all cores; emulated: 1]");
  app.add_option("--label", raw->labels, "key=value; may be repeated");
  DeclareArtifacts(app, config);
  app.add_option("--runner-silence-seconds", config->runner_silence_seconds,
                 "A runner that is silent for this long, or for three times as long before its "
                 "first message, counts as hung and is killed and resumed")
      ->capture_default_str();
  app.add_option("--exclusive", config->exclusive,
                 "A program of the board's owner: while it runs, the board is held as by "
                 "'wattle-worker hold'. Its name without folders; may be repeated")
      ->type_name("PROGRAM");
  app.add_flag("--allow-power-modes", config->allow_power_modes,
               "Let the worker set the board's power mode, by wattle-powerd or as root: nvpmodel's "
               "modes, else caps of frequencies and cores. The worker restores the board when it "
               "ends");
  app.add_option("--powerd-socket", config->powerd_socket,
                 "Where wattle-powerd sets modes for a worker that is not root")
      ->capture_default_str();
  app.add_option("--power-mode", config->power_mode,
                 "With --allow-power-modes: the mode while the worker runs");
  app.add_option("--sensor-root", config->sensor_root,
                 "Read sensors from a recorded file tree instead of this machine");
  app.add_option("--sensors", raw->sensors,
                 "YAML file with settings of sensors that the worker cannot find by itself");
  DeclareEmulation(app, config);
}

absl::StatusOr<sandbox::Level> LevelOf(absl::string_view flag, const std::string& name) {
  const std::optional<sandbox::Level> level = sandbox::ParseLevel(name);
  if (!level.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", name, ": wanted full, seccomp or none"));
  }
  return *level;
}

absl::Status ConvertIsolation(const RawFlags& raw, Config* config) {
  WATTLE_ASSIGN_OR_RETURN(config->isolation, LevelOf("--isolation", raw.isolation));
  WATTLE_ASSIGN_OR_RETURN(config->isolation_min, LevelOf("--isolation-min", raw.isolation_min));
  return absl::OkStatus();
}

void FillDefaults(Config* config) {
  if (config->state_dir.empty()) {
    config->state_dir = DefaultStateDirectory(config->emulate);
  }
  if (config->runner.empty()) {
    config->runner = ProgramDirectory() + "/wattle-runner";
  }
  if (config->emulated_dir.empty() && !config->emulate.empty()) {
    config->emulated_dir = FindBoards();
  }
}

}  // namespace

std::string DefaultStateDirectory(const std::string& emulate) {
  // NOLINTBEGIN(concurrency-mt-unsafe): before any thread is started
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  // NOLINTEND(concurrency-mt-unsafe)
  const std::string base = state != nullptr  ? std::string(state)
                           : home != nullptr ? std::string(home) + "/.local/state"
                                             : std::string("/var/lib");
  return emulate.empty() ? base + "/wattle-worker" : base + "/wattle-worker-" + emulate;
}

std::string ProgramDirectory() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

std::optional<int> ParseCommandLine(int argc, char** argv, const std::string& version,
                                    Config* config) {
  CLI::App app(
      "Wattle's device agent: runs the jobs that the coordinator places here and measures "
      "their energy.",
      "wattle-worker");
  app.footer(kExamples);
  app.set_version_flag("--version", "wattle-worker " + version);
  RawFlags raw;
  Declare(app, config, &raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream help;
    app.exit(asked, help, std::cerr);
    return PrintHelp("wattle-worker", help.str());
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "wattle-worker: %s; see wattle-worker --help\n", error.what());
    return 2;
  }
  for (const std::string& label : raw.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      std::fprintf(stderr, "wattle-worker: --label %s: wanted key=value\n", label.c_str());
      return 2;
    }
    config->labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
  }
  absl::Status status = ConvertIsolation(raw, config);
  if (status.ok() && !raw.sensors.empty()) {
    auto sensors = ReadSensorSettings(raw.sensors);
    status = sensors.status();
    config->sensors = std::move(sensors).value_or(config->sensors);
  }
  if (status.ok()) {
    status = Validate(*config);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "wattle-worker: %s\n", std::string(status.message()).c_str());
    return 2;
  }
  FillDefaults(config);
  return std::nullopt;
}

namespace {

// What describes the board: emulated, or with modes and sensors of its own.
absl::Status ValidateBoard(const Config& config) {
  if (!(config.hidden_offset_percent >= 0 && config.hidden_offset_percent <= 90)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--hidden-offset-percent ", config.hidden_offset_percent, ": wanted 0 to 90"));
  }
  if (config.state_of_charge && !(*config.state_of_charge >= 0 && *config.state_of_charge <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat("--state-of-charge ", *config.state_of_charge,
                                                   ": wanted 0 to 1 (0.6 is 60 %)"));
  }
  if (config.battery_wh && !(*config.battery_wh >= 0 && *config.battery_wh <= kBatteryWhMax)) {
    return absl::InvalidArgumentError(absl::StrCat("--battery-wh ", *config.battery_wh,
                                                   ": wanted watt-hours, 0 to ", kBatteryWhMax));
  }
  if (!config.power_mode.empty() && !config.allow_power_modes) {
    return absl::InvalidArgumentError(absl::StrCat("--power-mode ", config.power_mode,
                                                   ": changes the board; add --allow-power-modes"));
  }
  if (!config.emulate.empty() && config.allow_power_modes) {
    return absl::InvalidArgumentError(
        "--allow-power-modes is for a real device: an emulated board has the mode of its file");
  }
  const bool emulation_flags =
      config.time_scale != 1 || config.state_of_charge || config.battery_wh;
  if (config.emulate.empty() && emulation_flags) {
    return absl::InvalidArgumentError(
        "--time-scale, --state-of-charge and --battery-wh are for --emulate only: a real device "
        "measures its own");
  }
  if (!config.emulate.empty() && !config.sensors.empty()) {
    return absl::InvalidArgumentError(
        "--sensors is for a real device: an emulated board has the sensors of its board file");
  }
  return absl::OkStatus();
}

absl::Status ValidatePeers(const Config& config) {
  if (!(config.peer_bytes_per_second >= 1000 && config.peer_bytes_per_second <= 1e12)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--peer-bytes-per-second ", config.peer_bytes_per_second, ": wanted 1000 to 1e12"));
  }
  if (config.peer_listen.empty()) {
    return absl::OkStatus();
  }
  if (config.plaintext_loopback) {
    return absl::InvalidArgumentError(
        "--peer-listen: wants certificates on both sides; leave --plaintext-loopback out");
  }
  return PeerListenAddress(config.peer_listen).status();
}

absl::Status ValidateMetrics(const Config& config) {
  if (!config.metrics.empty() && config.metrics != kNoMetrics && config.metrics != kPushedMetrics) {
    WATTLE_RETURN_IF_ERROR(ParseHostPort("--metrics", config.metrics).status());
  }
  if (!(config.metrics_interval_seconds >= 0.1 && config.metrics_interval_seconds <= 3600)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--metrics-interval-seconds ", config.metrics_interval_seconds, ": wanted 0.1 to 3600"));
  }
  if (config.metrics_spool_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics-spool-bytes ", config.metrics_spool_bytes, ": wanted 0 or more"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const Config& config) {
  std::set<std::string> coordinators;
  for (const std::string& coordinator : config.coordinators) {
    WATTLE_RETURN_IF_ERROR(ParseHostPort("--coordinator", coordinator).status());
    if (!coordinators.insert(absl::AsciiStrToLower(coordinator)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("--coordinator ", coordinator, ": given twice; name each address once"));
    }
  }
  WATTLE_RETURN_IF_ERROR(ValidateMetrics(config));
  WATTLE_RETURN_IF_ERROR(ValidatePeers(config));
  for (const std::string& program : config.exclusive) {
    if (program.empty() || program.find('/') != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--exclusive \"", program,
                       "\": wanted a program's name without folders, as ps shows it"));
    }
  }
  if (config.disk_quota_bytes < 0) {
    return absl::InvalidArgumentError(absl::StrCat("--disk-quota-bytes ", config.disk_quota_bytes,
                                                   ": wanted bytes, 0 for the default"));
  }
  if (std::error_code error;
      !config.sensor_root.empty() && !fs::is_directory(config.sensor_root, error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--sensor-root ", config.sensor_root, ": no such directory; give a recorded file tree"));
  }
  if (config.device != "cpu" && config.device != "cuda") {
    return absl::InvalidArgumentError(
        absl::StrCat("--device ", config.device, ": wanted cpu or cuda"));
  }
  if (config.threads < 0 || config.threads > 1024) {
    return absl::InvalidArgumentError(
        absl::StrCat("--threads ", config.threads, ": wanted 1 to 1024"));
  }
  if (!(config.time_scale >= 0) || config.time_scale > 1000) {
    return absl::InvalidArgumentError(absl::StrCat("--time-scale ", config.time_scale,
                                                   ": wanted 0 to 1000 wall seconds a second"));
  }
  if (config.disk_reserve_bytes < 0) {
    return absl::InvalidArgumentError("--disk-reserve-bytes: wanted bytes, 0 or more");
  }
  if (!(config.runner_silence_seconds >= 5)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--runner-silence-seconds ", config.runner_silence_seconds,
                     ": wanted 5 or more; a runner speaks every 2 seconds"));
  }
  if (config.isolation_min > config.isolation) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--isolation-min ", sandbox::LevelName(config.isolation_min), ": is more than --isolation ",
        sandbox::LevelName(config.isolation), " permits; leave one of them out"));
  }
  WATTLE_RETURN_IF_ERROR(policy::CheckGivenLabels("--label", config.labels));
  return ValidateBoard(config);
}

}  // namespace wattle::agent
