// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What the power mode of a row set when its runs were placed. A name does not tell: an operator may
// edit what it sets, and runs from before then are runs of another mode. Rows of older versions
// know the name alone. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_MODE_NUMBERS_H_
#define WATTLE_SCHEDULER_PROFILES_MODE_NUMBERS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// 0: not known.
struct ModeNumbers {
  float nominal_power_watts = 0;
  float cpu_mhz = 0;
  float gpu_mhz = 0;
  float memory_mhz = 0;
  int32_t cores = 0;

  bool operator==(const ModeNumbers& other) const = default;
};

// Numbers that are not finite or not positive count as not known.
[[nodiscard]] ModeNumbers ModeNumbersOf(const v1::PowerMode& mode);

// Whether no number that both know differs. A number that only one of them knows is no change: a
// newer worker tells more.
[[nodiscard]] bool MaySetTheSame(const ModeNumbers& a, const ModeNumbers& b);

// The mode of this name in the device's list; null: it is not there.
[[nodiscard]] const v1::PowerMode* FindListedMode(const v1::DeviceInfo& device,
                                                  absl::string_view name);

// What the mode of the row's runs set, by the latest run that tells it; null: not known.
[[nodiscard]] const v1::PowerMode* ModeOfRuns(const v1::ProfileRow& row);

// The name of the mode in which the row's runs ran. `row.power_mode()` is this name, or a label
// where the table has rows of one name with different numbers.
[[nodiscard]] const std::string& ModeNameOf(const v1::ProfileRow& row);

// "15W (1200 MHz, 4 cores)": the name with what the mode set.
[[nodiscard]] std::string LabelOf(const v1::PowerMode& mode);

// Whether the row is of the mode that the device's list has by this name.
[[nodiscard]] bool IsOfListedMode(const v1::ProfileRow& row, const v1::DeviceInfo& device,
                                  absl::string_view name);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_MODE_NUMBERS_H_
