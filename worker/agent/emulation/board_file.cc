// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/emulation/board_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/status_macros.h"
#include "formats/yaml_node.h"
#include "wattle/v1/board_file.pb.h"

namespace wattle::agent {
namespace {

constexpr int64_t kFileBytesMax = 1 << 20;

WorkRate RateOf(const v1::BoardFileRate& rate) {
  return {rate.throughput_flops(), absl::Seconds(rate.step_overhead_seconds()),
          Watts(rate.power_watts())};
}

BoardFile::Rates RatesOf(const v1::BoardFileRates& work) {
  return {{"finetune", RateOf(work.finetune())},
          {"evaluate", RateOf(work.evaluate())},
          {"generate", RateOf(work.generate())},
          {"generate_int8", RateOf(work.generate_int8())},
          {"quantize", RateOf(work.quantize())}};
}

PublishedWorkload WorkloadOf(const v1::BoardFileWorkload& told) {
  PublishedWorkload workload = {told.kind(),
                                told.architecture(),
                                told.layers(),
                                told.width(),
                                absl::Seconds(told.seconds_per_example()),
                                Watts(told.power_watts()),
                                std::nullopt};
  if (told.has_throttling_dips()) {
    const v1::BoardFileDips& dips = told.throttling_dips();
    workload.dips = telemetry::ThrottlingDips{absl::Seconds(dips.period_seconds()),
                                              absl::Seconds(dips.length_seconds()),
                                              Watts(dips.power_watts()), dips.speed_ratio()};
  }
  return workload;
}

v1::PowerMode PowerModeOf(const v1::BoardFilePowerMode& told) {
  v1::PowerMode mode;
  mode.set_name(told.name());
  mode.set_nominal_power_watts(told.nominal_power_watts());
  mode.set_cpu_mhz(told.cpu_mhz());
  mode.set_gpu_mhz(told.gpu_mhz());
  mode.set_memory_mhz(told.memory_mhz());
  mode.set_cores(told.cores());
  return mode;
}

telemetry::EmulatedPhysics PhysicsOf(const v1::BoardFile& told) {
  telemetry::EmulatedPhysics physics;
  physics.idle = Watts(told.idle_power_watts());
  physics.refresh_period = absl::Seconds(told.sensor().refresh_seconds());
  physics.noise_ratio = told.sensor().noise_ratio();
  physics.ambient = Celsius(told.thermal().ambient_celsius());
  physics.kelvin_per_watt = told.thermal().kelvin_per_watt();
  physics.thermal_time_constant = absl::Seconds(told.thermal().time_constant_seconds());
  if (told.has_battery()) {
    physics.battery_capacity = FromWattHours(told.battery().capacity_wh());
    physics.state_of_charge = Fraction(told.battery().state_of_charge_ratio());
    physics.harvest = Watts(told.battery().harvest_power_watts());
  }
  return physics;
}

BoardFile BoardOf(const v1::BoardFile& told) {
  BoardFile board;
  board.board = told.board();
  board.device_class = told.device_class();
  board.architecture = told.architecture();
  board.accelerator = told.accelerator();
  board.memory_bytes = static_cast<int64_t>(told.memory_bytes());
  board.cores = told.cores();
  for (const v1::BoardFilePowerMode& mode : told.power_modes()) {
    board.power_modes.push_back(PowerModeOf(mode));
  }
  board.power_mode = told.power_mode();
  board.throughput_flops_datasheet = told.throughput_flops_datasheet();
  board.link_bytes_per_second = told.link_bytes_per_second();
  board.cache_quota_bytes = static_cast<int64_t>(told.cache_quota_bytes());
  board.start_time = absl::Seconds(told.start_seconds());
  board.load_bytes_per_second = told.load_bytes_per_second();
  board.checkpoint_time = absl::Seconds(told.checkpoint_seconds());
  board.storage_bytes_per_second = told.storage_bytes_per_second();
  board.start_power = Watts(told.start_power_watts());
  board.transfer_power = Watts(told.transfer_power_watts());
  board.checkpoint_power = Watts(told.checkpoint_power_watts());
  board.physics = PhysicsOf(told);
  board.rates = RatesOf(told.work());
  if (told.has_work_on_cpu()) {
    board.cpu_rates = RatesOf(told.work_on_cpu());
  }
  for (const v1::BoardFileWorkload& workload : told.workloads()) {
    board.workloads.push_back(WorkloadOf(workload));
  }
  return board;
}

std::vector<std::string> BoardNames(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == ".yaml") {
      names.push_back(entry.path().stem());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

absl::StatusOr<BoardFile> ReadBoardFile(const std::string& directory, const std::string& name) {
  const std::string file = absl::StrCat(directory, "/", name, ".yaml");
  const std::vector<std::string> names = BoardNames(directory);
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return absl::InvalidArgumentError(
        names.empty()
            ? absl::StrCat(directory,
                           ": holds no board files; name their folder with --emulated-dir")
            : absl::StrCat("--emulate=", name,
                           ": no such board; there are: ", absl::StrJoin(names, ", ")));
  }
  WATTLE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(file, kFileBytesMax));
  WATTLE_ASSIGN_OR_RETURN(const YAML::Node document, formats::ParseYaml(text, file));
  v1::BoardFile told;
  WATTLE_RETURN_IF_ERROR(formats::ReadMessage(document, file, told));
  if (told.accelerator().empty() && told.has_work_on_cpu()) {
    return absl::InvalidArgumentError(
        absl::StrCat(formats::PlaceOf(document["work_on_cpu"].Mark(), file),
                     "work_on_cpu: wanted an accelerator beside it; without one the board's rates "
                     "are those under work"));
  }
  return BoardOf(told);
}

ModelDimensions ReadModelDimensions(const std::string& model_directory) {
  ModelDimensions dimensions;
  try {
    const YAML::Node config = YAML::LoadFile(model_directory + "/config.json");  // JSON is YAML
    dimensions.architecture = config["model_type"].as<std::string>("");
    dimensions.layers = config["n_layer"].as<int>(0);
    dimensions.width = config["n_embd"].as<int>(0);
  } catch (const YAML::Exception&) {
    // No published row names such a model; the runner reports its error.
    return {};
  }
  return dimensions;
}

}  // namespace wattle::agent
