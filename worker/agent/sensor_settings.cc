// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/sensor_settings.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include <yaml-cpp/yaml.h>

#include "base/status_macros.h"
#include "base/utf8.h"
#include "telemetry/sensors/registry.h"

namespace wattle::agent {
namespace {

absl::Status WrongAt(const std::string& path, const YAML::Node& node, const std::string& text) {
  const int line = std::max(node.Mark().line, 0) + 1;  // an empty file has no mark
  return absl::InvalidArgumentError(absl::StrCat(path, ":", line, ": ", OneLine(text)));
}

absl::StatusOr<telemetry::SourceSettings> ReadEntry(const std::string& path,
                                                    const YAML::Node& node) {
  if (!node.IsMap()) {
    return WrongAt(path, node, "wanted a map with a kind and its settings");
  }
  telemetry::SourceSettings entry;
  for (const auto& field : node) {
    if (!field.first.IsScalar() || !field.second.IsScalar()) {
      return WrongAt(path, field.first, "wanted a setting with one text or number");
    }
    const std::string& name = field.first.Scalar();
    if (name == "kind") {
      entry.kind = field.second.Scalar();
    } else if (!entry.values.emplace(name, field.second.Scalar()).second) {
      return WrongAt(path, field.first, absl::StrCat(name, ": stands here twice"));
    }
  }
  const absl::Status status = telemetry::CheckSettings({entry});
  if (!status.ok()) {
    return WrongAt(path, node, std::string(status.message()));
  }
  return entry;
}

absl::StatusOr<std::vector<telemetry::SourceSettings>> ReadList(const std::string& path,
                                                                const YAML::Node& root) {
  if (!root.IsMap() || root.size() != 1 || !root["sensors"] || !root["sensors"].IsSequence()) {
    return WrongAt(path, root, "wanted one list, `sensors:`");
  }
  std::vector<telemetry::SourceSettings> entries;
  for (const YAML::Node& node : root["sensors"]) {
    WATTLE_ASSIGN_OR_RETURN(telemetry::SourceSettings entry, ReadEntry(path, node));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

absl::StatusOr<std::vector<telemetry::SourceSettings>> ReadSensorSettings(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  try {
    return ReadList(path, YAML::LoadFile(path));
  } catch (const YAML::Exception& problem) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", problem.mark.line + 1, ": ", OneLine(problem.msg)));
  }
}

}  // namespace wattle::agent
