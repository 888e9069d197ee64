// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Changes of a scenario's file by the command line: --set and --add.
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include <yaml-cpp/yaml.h>

#include "base/status_macros.h"
#include "sim/scenario/scenario_parts_internal.h"

namespace wattle::sim {
namespace {

// Fields of a board group that --set changes in every group with a pack, and in every group.
constexpr const char* kPackFields[] = {"reserve", "charge", "pack_wh", "panel_watts"};
constexpr const char* kGroupFields[] = {"count", "link_mbit"};

absl::StatusOr<std::pair<std::string, std::string>> SplitChange(absl::string_view flag,
                                                                const std::string& change,
                                                                absl::string_view wanted) {
  const std::vector<std::string> parts = absl::StrSplit(change, absl::MaxSplits('=', 1));
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " ", change, ": wanted ", wanted));
  }
  return std::pair(parts[0], parts[1]);
}

bool IsNamed(const YAML::Node& group, const std::string& name) {
  return group.IsMap() && group["name"] && group["name"].IsScalar() &&
         group["name"].Scalar() == name;
}

// Keeps the value's line number in the file for errors.
void Replace(YAML::Node& map, const std::string& key, const std::string& value) {
  map.remove(key);
  map[key] = value;
}

absl::Status ApplySet(YAML::Node& root, const std::string& change) {
  WATTLE_ASSIGN_OR_RETURN(
      const auto named,
      SplitChange("--set", change, "FIELD=VALUE, such as reserve=0.4 or mast.count=3"));
  const auto& [key, value] = named;
  YAML::Node fleet = root["fleet"];
  const std::vector<std::string> path = absl::StrSplit(key, absl::MaxSplits('.', 1));
  const auto is_key = [&key = key](const char* field) { return key == field; };
  const bool of_packs = std::any_of(std::begin(kPackFields), std::end(kPackFields), is_key);
  const bool of_groups = std::any_of(std::begin(kGroupFields), std::end(kGroupFields), is_key);
  if (path.size() == 1 && !of_packs && !of_groups) {
    Replace(root, key, value);
    return absl::OkStatus();
  }
  bool any = false;
  for (size_t i = 0; fleet.IsSequence() && i < fleet.size(); ++i) {
    YAML::Node group = fleet[i];
    const bool has_pack = group.IsMap() && group["pack_wh"];
    if (path.size() == 2 ? IsNamed(group, path[0]) : group.IsMap() && (of_groups || has_pack)) {
      Replace(group, path.back(), value);
      any = true;
    }
  }
  if (path.size() == 2 && !any && root[path[0]] && root[path[0]].IsMap()) {
    YAML::Node section = root[path[0]];  // such as sun
    Replace(section, path[1], value);
    return absl::OkStatus();
  }
  return any ? absl::OkStatus()
             : absl::InvalidArgumentError(absl::StrCat(
                   "--set ", change, ": no board group ",
                   path.size() == 2 ? absl::StrCat("is named ", path[0]) : "has a pack",
                   "; wanted a field of a group in fleet"));
}

absl::Status ApplyAdd(YAML::Node& root, const std::string& change) {
  WATTLE_ASSIGN_OR_RETURN(const auto named,
                          SplitChange("--add", change, "CLASS=COUNT, such as raspberry-pi-5=2"));
  const auto& [name, count] = named;
  YAML::Node group;
  group["name"] = absl::StrCat("added-", name);
  group["class"] = name;
  group["count"] = count;
  root["fleet"].push_back(group);
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyChanges(YAML::Node& root, const Changes& changes) {
  for (const std::string& change : changes.set) {
    WATTLE_RETURN_IF_ERROR(ApplySet(root, change));
  }
  for (const std::string& change : changes.add) {
    WATTLE_RETURN_IF_ERROR(ApplyAdd(root, change));
  }
  return absl::OkStatus();
}

}  // namespace wattle::sim
