// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/emulation/board_file.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include <yaml-cpp/yaml.h>

#include "proto/job_kind.h"

namespace wattle::agent {
namespace {

// Reads the fields of one map and remembers them: a field that is left over is a misspelling.
// Errors are thrown as Problem inside this file and leave it as a Status.
struct Problem {
  std::string message;
};

class Fields {
 public:
  Fields(const YAML::Node& node, std::string file) : node_(node), file_(std::move(file)) {
    if (!node.IsMap()) {
      throw Problem{absl::StrCat(Where(node), "a map of fields is wanted here")};
    }
  }

  [[nodiscard]] bool Has(const std::string& name) const { return bool{node_[name]}; }

  YAML::Node Node(const std::string& name) {
    const YAML::Node child = node_[name];
    if (!child) {
      throw Problem{absl::StrCat(Where(node_), "field \"", name, "\" is missing")};
    }
    seen_.insert(name);
    return child;
  }
  Fields Map(const std::string& name) { return {Node(name), file_}; }

  std::string Text(const std::string& name) { return Node(name).as<std::string>(""); }
  double Number(const std::string& name) {
    const YAML::Node child = Node(name);
    try {
      return child.as<double>();
    } catch (const YAML::Exception&) {
      throw Problem{absl::StrCat(Where(child), "field \"", name, "\" must be a number")};
    }
  }
  double Positive(const std::string& name) {
    const double value = Number(name);
    if (!(value > 0)) {
      throw Problem{absl::StrCat(Where(node_[name]), "field \"", name, "\" must be above 0")};
    }
    return value;
  }
  double PositiveOrNone(const std::string& name) { return Has(name) ? Positive(name) : 0; }
  absl::Duration Time(const std::string& name) { return absl::Seconds(Number(name)); }
  Watts Power(const std::string& name) { return Watts(Positive(name)); }

  void RefuseTheRest() const {
    for (const auto& child : node_) {
      const std::string name = child.first.as<std::string>("");
      if (seen_.count(name) == 0) {
        throw Problem{absl::StrCat(Where(child.first), "unknown field \"", name, "\"")};
      }
    }
  }

 private:
  [[nodiscard]] std::string Where(const YAML::Node& node) const {
    return absl::StrCat(file_, ":", node.Mark().line + 1, ": ");
  }
  YAML::Node node_;
  std::string file_;
  std::set<std::string> seen_;
};

WorkRate ReadRate(Fields fields) {
  const WorkRate rate = {fields.Positive("throughput_flops"), fields.Time("step_overhead_seconds"),
                         fields.Power("power_watts")};
  fields.RefuseTheRest();
  return rate;
}

BoardFile::Rates ReadRates(Fields work) {
  BoardFile::Rates rates;
  for (const JobKind& kind : JobKinds()) {
    for (const absl::string_view name : {kind.emulated_rate, kind.emulated_rate_int8}) {
      if (!name.empty()) {
        rates[std::string(name)] = ReadRate(work.Map(std::string(name)));
      }
    }
  }
  work.RefuseTheRest();
  return rates;
}

PublishedWorkload ReadWorkload(Fields fields) {
  PublishedWorkload workload = {fields.Text("kind"),
                                fields.Text("architecture"),
                                static_cast<int>(fields.Positive("layers")),
                                static_cast<int>(fields.Positive("width")),
                                absl::Seconds(fields.Positive("seconds_per_example")),
                                fields.Power("power_watts"),
                                std::nullopt};
  if (fields.Has("throttling_dips")) {
    Fields dips = fields.Map("throttling_dips");
    workload.dips =
        telemetry::ThrottlingDips{dips.Time("period_seconds"), dips.Time("length_seconds"),
                                  dips.Power("power_watts"), dips.Positive("speed_ratio")};
    dips.RefuseTheRest();
  }
  fields.RefuseTheRest();
  return workload;
}

v1::PowerMode ReadPowerMode(Fields fields) {
  v1::PowerMode mode;
  mode.set_name(fields.Text("name"));
  mode.set_nominal_power_watts(fields.Number("nominal_power_watts"));
  mode.set_cpu_mhz(fields.PositiveOrNone("cpu_mhz"));
  mode.set_gpu_mhz(fields.PositiveOrNone("gpu_mhz"));
  mode.set_memory_mhz(fields.PositiveOrNone("memory_mhz"));
  mode.set_cores(static_cast<int>(fields.PositiveOrNone("cores")));
  fields.RefuseTheRest();
  return mode;
}

void ReadPhysics(Fields& fields, BoardFile* board) {
  telemetry::EmulatedPhysics& physics = board->physics;
  physics.idle = fields.Power("idle_power_watts");
  Fields sensor = fields.Map("sensor");
  physics.refresh_period = absl::Seconds(sensor.Positive("refresh_seconds"));
  physics.noise_ratio = sensor.Number("noise_ratio");
  sensor.RefuseTheRest();
  Fields thermal = fields.Map("thermal");
  physics.ambient = Celsius(thermal.Number("ambient_celsius"));
  physics.kelvin_per_watt = thermal.Positive("kelvin_per_watt");
  physics.thermal_time_constant = absl::Seconds(thermal.Positive("time_constant_seconds"));
  thermal.RefuseTheRest();
  if (fields.Has("battery")) {
    Fields battery = fields.Map("battery");
    physics.battery_capacity = FromWattHours(battery.Positive("capacity_wh"));
    physics.state_of_charge = Fraction(battery.Number("state_of_charge_ratio"));
    physics.harvest = Watts(battery.Number("harvest_power_watts"));
    battery.RefuseTheRest();
  }
}

BoardFile ReadBoard(const YAML::Node& root, const std::string& file) {
  Fields fields(root, file);
  BoardFile board;
  board.board = fields.Text("board");
  board.device_class = fields.Text("device_class");
  board.architecture = fields.Text("architecture");
  board.accelerator = fields.Text("accelerator");
  board.memory_bytes = static_cast<int64_t>(fields.Positive("memory_bytes"));
  board.cores = static_cast<int>(fields.Positive("cores"));
  for (const YAML::Node& node : fields.Node("power_modes")) {
    board.power_modes.push_back(ReadPowerMode({node, file}));
  }
  board.power_mode = fields.Text("power_mode");
  board.throughput_flops_datasheet = fields.Number("throughput_flops_datasheet");
  board.link_bytes_per_second = fields.Positive("link_bytes_per_second");
  board.cache_quota_bytes = static_cast<int64_t>(fields.Positive("cache_quota_bytes"));
  board.start_time = fields.Time("start_seconds");
  board.load_bytes_per_second = fields.Positive("load_bytes_per_second");
  board.checkpoint_time = fields.Time("checkpoint_seconds");
  board.storage_bytes_per_second = fields.Positive("storage_bytes_per_second");
  board.start_power = fields.Power("start_power_watts");
  board.transfer_power = fields.Power("transfer_power_watts");
  board.checkpoint_power = fields.Power("checkpoint_power_watts");
  ReadPhysics(fields, &board);
  board.rates = ReadRates(fields.Map("work"));
  if (!board.accelerator.empty() && fields.Has("work_on_cpu")) {
    board.cpu_rates = ReadRates(fields.Map("work_on_cpu"));
  }
  for (const YAML::Node& node : fields.Node("workloads")) {
    board.workloads.push_back(ReadWorkload({node, file}));
  }
  fields.RefuseTheRest();
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
  try {
    return ReadBoard(YAML::LoadFile(file), file);
  } catch (const Problem& problem) {
    return absl::InvalidArgumentError(problem.message);
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
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
