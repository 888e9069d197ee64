// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/power_modes.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "base/file.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::agent {
namespace {

constexpr double kPlausibleFactor = 10;

// The value of `name=` in a header such as "< POWER_MODEL ID=2 NAME=MODE_15W_6CORE >"; empty:
// absent.
std::string HeaderValue(const std::vector<std::string>& words, absl::string_view name) {
  for (const std::string& word : words) {
    if (absl::StartsWith(word, name) && word.size() > name.size() && word[name.size()] == '=') {
      return word.substr(name.size() + 1);
    }
  }
  return "";
}

// "MODE_15W_6CORE" and "25W" name their watts; "MAXN" does not. 0: not told.
double WattsInName(const std::string& name) {
  for (const absl::string_view part : absl::StrSplit(name, '_')) {
    double watts = 0;
    if (absl::EndsWith(part, "W") && absl::SimpleAtod(part.substr(0, part.size() - 1), &watts) &&
        watts > 0) {
      return watts;
    }
  }
  return 0;
}

// id → name, of the POWER_MODEL headers.
std::map<int, std::string> ModesOf(const std::string& text) {
  std::map<int, std::string> modes;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    int id = 0;
    if (words.size() >= 3 && words[0] == "<" && words[1] == "POWER_MODEL" &&
        absl::SimpleAtoi(HeaderValue(words, "ID"), &id)) {
      modes[id] = HeaderValue(words, "NAME");
    }
  }
  return modes;
}

// "pmode:0002 fmode:fan_mode_quiet" → 2.
std::optional<int> ActiveMode(const std::string& root) {
  const std::string status = telemetry::ReadText(root + "/var/lib/nvpmodel/status").value_or("");
  for (const absl::string_view word : absl::StrSplit(status, ' ')) {
    int id = 0;
    if (absl::StartsWith(word, "pmode:") && absl::SimpleAtoi(word.substr(6), &id)) {
      return id;
    }
  }
  return std::nullopt;
}

}  // namespace

void AddPowerModes(const std::string& root, v1::DeviceInfo* info) {
  const auto text = ReadWholeFile(root + "/etc/nvpmodel.conf");
  if (!text.ok()) {
    return;
  }
  const std::map<int, std::string> modes = ModesOf(*text);
  for (const auto& [id, name] : modes) {
    v1::PowerMode& mode = *info->add_power_modes();
    mode.set_name(name);
    mode.set_nominal_power_watts(WattsInName(name));
  }
  if (const std::optional<int> active = ActiveMode(root)) {
    const auto mode = modes.find(*active);
    info->set_power_mode(mode == modes.end() ? "" : mode->second);
  }
}

std::optional<Watts> PlausiblePower(const v1::DeviceInfo& info) {
  double most = 0;
  for (const v1::PowerMode& mode : info.power_modes()) {
    if (mode.nominal_power_watts() <= 0) {
      return std::nullopt;  // MAXN may draw more than the modes that name their watts
    }
    most = std::max(most, mode.nominal_power_watts());
  }
  return most > 0 ? std::optional<Watts>(kPlausibleFactor * most) : std::nullopt;
}

}  // namespace wattle::agent
