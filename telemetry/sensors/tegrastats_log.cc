// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "telemetry/sensors/tegrastats_log.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "base/status_macros.h"
#include "base/utf8.h"
#include "telemetry/sensors/registry.h"

namespace wattle::telemetry {
namespace {

constexpr Setting kTegrastatsLogSettings[] = {
    {.name = "file", .meaning = "log of tegrastats", .required = true},
    {.name = "period_seconds",
     .meaning = "time between two lines, tegrastats --interval; absent: 1",
     .low = 0.1,
     .high = 60},
};

// Limit of a log's lines. A day of lines at one a second is 30 MB.
constexpr size_t kLinesMax = 200'000;

bool IsTotal(const std::string& rail) {
  return rail == "VDD_IN" || rail == "POM_5V_IN";
}

// "4239mW/4239mW" or "1372/1372" → 4.239 W. nullopt: no power.
std::optional<Watts> PowerOf(absl::string_view word) {
  const std::vector<absl::string_view> values = absl::StrSplit(word, '/');
  if (values.size() < 2) {
    return std::nullopt;
  }
  int64_t milliwatts = 0;
  for (const absl::string_view value : values) {  // each must be a power; "2850/7486MB" is none
    if (!absl::SimpleAtoi(absl::StripSuffix(value, "mW"), &milliwatts)) {
      return std::nullopt;
    }
  }
  if (!absl::SimpleAtoi(absl::StripSuffix(values[0], "mW"), &milliwatts)) {
    return std::nullopt;
  }
  return Watts(static_cast<double>(milliwatts) / 1000);
}

class TegrastatsLog final : public Source {
 public:
  TegrastatsLog(std::string file, std::vector<std::string> lines, const TegrastatsLine& first,
                absl::Duration period)
      : file_(std::move(file)), lines_(std::move(lines)) {
    const bool has_total = std::any_of(first.rails.begin(), first.rails.end(),
                                       [](const auto& rail) { return IsTotal(rail.first); });
    info_ = {.name = absl::StrCat("tegrastats_log ", file_.substr(file_.rfind('/') + 1)),
             .cadence = period,
             .energy_source = v1::ENERGY_SOURCE_EMULATED,
             .scope = "recorded",
             .rank = 90,
             .averages = true,
             .plausible_max = Watts(300),
             .steady_max = absl::InfiniteDuration()};  // independent of this device's load
    for (const auto& [rail, power] : first.rails) {
      info_.channels.push_back({.name = rail,
                                .file = file_,
                                .metric = "wattle_rail_power_watts",
                                .help = "Power of one rail, latest sample.",
                                .in_total = has_total ? IsTotal(rail) : true});
    }
    rails_ = info_.channels.size();
    for (const auto& [zone, temperature] : first.temperatures) {
      info_.channels.push_back({.name = zone,
                                .file = file_,
                                .metric = "wattle_zone_temperature_celsius",
                                .help = "Temperature of one thermal zone.",
                                .thermometer = true});
    }
  }
  [[nodiscard]] const SourceInfo& info() const override { return info_; }

  // The readings of the present line. Each line is given at most once.
  absl::StatusOr<std::vector<Reading>> Poll(Monotonic now) override {
    begin_ = begin_.value_or(now);
    const int64_t periods = (now - *begin_) / info_.cadence;
    const std::string& text = lines_[static_cast<size_t>(periods) % lines_.size()];
    WATTLE_ASSIGN_OR_RETURN(const TegrastatsLine line, ParseTegrastatsLine(text));
    std::vector<Reading> readings;
    for (size_t i = 0; i < info_.channels.size(); ++i) {
      const Channel& channel = info_.channels[i];
      if (i >= rails_) {
        const auto zone = line.temperatures.find(channel.name);
        if (zone != line.temperatures.end()) {
          readings.push_back({i, zone->second, now});
        }
        continue;
      }
      const auto rail = line.rails.find(channel.name);
      if (rail != line.rails.end()) {
        readings.push_back({i, rail->second, now});
      } else if (channel.in_total) {
        return absl::UnavailableError(absl::StrCat(file_, ": a line without ", channel.name));
      }
    }
    return readings;
  }

 private:
  std::string file_;
  std::vector<std::string> lines_;
  size_t rails_ = 0;  // channels before the temperatures
  std::optional<Monotonic> begin_;
  SourceInfo info_;
};

absl::StatusOr<std::unique_ptr<Source>> OpenLog(const std::string& file, absl::Duration period) {
  std::ifstream in(file);
  if (!in) {
    return absl::NotFoundError(absl::StrCat(file, ": cannot be read"));
  }
  std::vector<std::string> lines;
  for (std::string line; lines.size() < kLinesMax && std::getline(in, line);) {
    lines.push_back(line);
  }
  if (lines.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file, ": is empty"));
  }
  const absl::StatusOr<TegrastatsLine> first = ParseTegrastatsLine(lines[0]);
  if (!first.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":1: ", first.status().message(), "; is it a log of tegrastats?"));
  }
  return std::make_unique<TegrastatsLog>(file, std::move(lines), *first, period);
}

// One source for each entry; a problem if the file is absent or its first line has no rail. A cut
// or damaged line is a failed reading. After the last line the log starts again.
std::vector<Candidate> DiscoverTegrastatsLogs(const std::string& /*root*/,
                                              const std::vector<SourceSettings>& entries) {
  std::vector<Candidate> found;
  for (const SourceSettings& entry : entries) {
    absl::StatusOr<std::unique_ptr<Source>> source =
        OpenLog(entry.Text("file"), absl::Seconds(entry.Number("period_seconds", 1)));
    if (source.ok()) {
      const std::string name = (*source)->info().name;
      found.push_back({.name = name, .source = *std::move(source)});
    } else {
      found.push_back({.name = "tegrastats_log", .problem = source.status()});
    }
  }
  return found;
}

}  // namespace

absl::StatusOr<TegrastatsLine> ParseTegrastatsLine(absl::string_view line) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::ByAnyChar(" \r"), absl::SkipEmpty());
  TegrastatsLine parsed;
  for (size_t i = 0; i < words.size(); ++i) {
    // "GR3D_FREQ 0%@114" and "5%@204" also have an @, but do not end with C.
    const std::vector<std::string> halves = absl::StrSplit(words[i], '@');
    double celsius = 0;
    if (halves.size() == 2 && absl::EndsWith(halves[1], "C") && halves[0] != "PMIC" &&
        absl::SimpleAtod(absl::StripSuffix(halves[1], "C"), &celsius)) {
      parsed.temperatures.emplace(halves[0], Celsius(celsius));
    }
    const std::optional<Watts> power = i > 0 ? PowerOf(words[i]) : std::nullopt;
    if (power) {
      parsed.rails.emplace(words[i - 1], *power);
    }
  }
  if (parsed.rails.empty()) {
    return absl::InternalError(absl::StrCat("no rail in \"", OneLine(line.substr(0, 60)), "\""));
  }
  return parsed;
}

extern const SourceKind kTegrastatsLogKind = {"tegrastats_log", kTegrastatsLogSettings,
                                              DiscoverTegrastatsLogs};

}  // namespace wattle::telemetry
