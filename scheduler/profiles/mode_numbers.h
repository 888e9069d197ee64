// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The numbers that the power mode of a row set when its runs were placed. The name is not enough:
// an operator may edit the mode, and earlier runs are then runs of another mode. Rows of older
// versions have only the name. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_MODE_NUMBERS_H_
#define WATTLE_SCHEDULER_PROFILES_MODE_NUMBERS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// 0: unknown.
struct ModeNumbers {
  float nominal_power_watts = 0;
  float cpu_mhz = 0;
  float gpu_mhz = 0;
  float memory_mhz = 0;
  int32_t cores = 0;

  bool operator==(const ModeNumbers& other) const = default;
};

// Numbers that are not finite or not positive count as unknown.
[[nodiscard]] ModeNumbers ModeNumbersOf(const v1::PowerMode& mode);

// Whether all numbers that both have agree. A number that only one of them has is no change: a
// newer worker reports more.
[[nodiscard]] bool MaySetTheSame(const ModeNumbers& a, const ModeNumbers& b);

// The mode of this name in the device's list; null: the list does not have it.
[[nodiscard]] const v1::PowerMode* FindListedMode(const v1::DeviceInfo& device,
                                                  absl::string_view name);

// The mode of the row's runs with its numbers, by the latest run that recorded them; null: unknown.
[[nodiscard]] const v1::PowerMode* ModeOfRuns(const v1::ProfileRow& row);

// The name of the mode in which the row's runs ran. `row.power_mode()` is this name, or a label if
// the table has rows of one name with different numbers.
[[nodiscard]] const std::string& ModeNameOf(const v1::ProfileRow& row);

// "15W (1200 MHz, 4 cores)": the name with the mode's numbers.
[[nodiscard]] std::string LabelOf(const v1::PowerMode& mode);

// Whether the row belongs to the mode that the device's list has under this name.
[[nodiscard]] bool IsOfListedMode(const v1::ProfileRow& row, const v1::DeviceInfo& device,
                                  absl::string_view name);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_MODE_NUMBERS_H_
