// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/mode_numbers.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace wattle::scheduler {
namespace {

float Known(double number) {
  return std::isfinite(number) && number > 0 ? static_cast<float>(number) : 0;
}

}  // namespace

ModeNumbers ModeNumbersOf(const v1::PowerMode& mode) {
  return {.nominal_power_watts = Known(mode.nominal_power_watts()),
          .cpu_mhz = Known(mode.cpu_mhz()),
          .gpu_mhz = Known(mode.gpu_mhz()),
          .memory_mhz = Known(mode.memory_mhz()),
          .cores = mode.cores() > 0 ? mode.cores() : 0};
}

bool MaySetTheSame(const ModeNumbers& a, const ModeNumbers& b) {
  const auto same = [](auto x, auto y) { return x == y || x == 0 || y == 0; };
  return same(a.nominal_power_watts, b.nominal_power_watts) && same(a.cpu_mhz, b.cpu_mhz) &&
         same(a.gpu_mhz, b.gpu_mhz) && same(a.memory_mhz, b.memory_mhz) && same(a.cores, b.cores);
}

const v1::PowerMode* FindListedMode(const v1::DeviceInfo& device, absl::string_view name) {
  for (const v1::PowerMode& mode : device.power_modes()) {
    if (mode.name() == name) {
      return &mode;
    }
  }
  return nullptr;
}

const v1::PowerMode* ModeOfRuns(const v1::ProfileRow& row) {
  for (int i = row.runs_size() - 1; i >= 0; --i) {
    if (row.runs(i).has_power_mode()) {
      return &row.runs(i).power_mode();
    }
  }
  return nullptr;
}

const std::string& ModeNameOf(const v1::ProfileRow& row) {
  const v1::PowerMode* const mode = ModeOfRuns(row);
  return mode == nullptr ? row.power_mode() : mode->name();
}

std::string LabelOf(const v1::PowerMode& mode) {
  const ModeNumbers numbers = ModeNumbersOf(mode);
  std::vector<std::string> words;
  const auto add = [&words](double number, absl::string_view unit) {
    if (number > 0) {
      words.push_back(absl::StrFormat("%.6g %s", number, unit));
    }
  };
  add(numbers.nominal_power_watts, "W");
  add(numbers.cpu_mhz, "MHz");
  add(numbers.gpu_mhz, "MHz GPU");
  add(numbers.memory_mhz, "MHz memory");
  add(numbers.cores, "cores");
  return absl::StrCat(mode.name(), " (", absl::StrJoin(words, ", "), ")");
}

bool IsOfListedMode(const v1::ProfileRow& row, const v1::DeviceInfo& device,
                    absl::string_view name) {
  const v1::PowerMode* const listed = FindListedMode(device, name);
  const v1::PowerMode* const of_runs = ModeOfRuns(row);
  return ModeNameOf(row) == name &&
         (listed == nullptr || of_runs == nullptr ||
          MaySetTheSame(ModeNumbersOf(*listed), ModeNumbersOf(*of_runs)));
}

}  // namespace wattle::scheduler
