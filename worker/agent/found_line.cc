// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/found_line.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "units/format.h"

namespace wattle::agent {
namespace {

// "ina3221 1-0040 (power, temperature)"; "" for a sensor without these measurements.
std::string Measures(const telemetry::SourceInfo& sensor) {
  std::vector<std::string> what;
  if (sensor.measures_power()) {
    what.emplace_back("power");
  }
  if (sensor.has_thermometer()) {
    what.emplace_back("temperature");
  }
  if (sensor.has_gauge()) {
    what.push_back(absl::StrCat("charge ± ", FormatPercent(sensor.gauge_error)));
  }
  return what.empty() ? "" : absl::StrCat(sensor.name, " (", absl::StrJoin(what, ", "), ")");
}

}  // namespace

std::string FoundLine(const v1::DeviceInfo& info, const std::vector<SourceStatus>& sensors) {
  std::vector<std::string> names;
  for (const SourceStatus& sensor : sensors) {
    if (std::string name = Measures(sensor.info); !name.empty()) {
      names.push_back(std::move(name));
    }
  }
  std::string line =
      absl::StrCat("found: ", info.emulated() ? "emulated " : "",
                   info.board().empty() ? "a board without a name" : info.board(), " (",
                   info.device_class(), ", ", info.architecture(), "), ", info.cores(),
                   info.cores() == 1 ? " core, " : " cores, ", FormatBytes(info.memory_bytes()));
  if (!info.accelerator().empty()) {
    absl::StrAppend(&line, ", ", info.accelerator());
  }
  absl::StrAppend(&line, "; sensors: ", names.empty() ? "none" : absl::StrJoin(names, ", "));
  if (info.power_modes_size() > 0) {
    absl::StrAppend(&line, "; ", info.power_modes_size(), " power modes, now ", info.power_mode());
  }
  return absl::StrCat(line, "; runner ",
                      info.engine_version().empty() ? "none" : info.engine_version());
}

}  // namespace wattle::agent
