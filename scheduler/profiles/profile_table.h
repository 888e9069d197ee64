// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile rows by key, checked on the way in. Measured rows come from finished attempts (learn.h),
// published ones are built in (priors.h). Ordered, so that whoever walks the table does so in the
// same order everywhere. Thread-compatible: a const table may be read from many threads.
#ifndef WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_
#define WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "wattle/v1/device.pb.h"
#include "wattle/v1/job.pb.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// What makes a row a row: source, class, device, emulated, power mode, signature and unit, as one
// readable text. Two rows with the same key are the same row; the text is stable over versions
// (journal and tables use it).
std::string ProfileKey(const v1::ProfileRow& row);

// Zeros, NaN, infinities, units off by 1000 (a board that draws 14290 W, a Jetson that trains a
// step in a nanosecond), a row without class or unit. The message names the row and the field and
// says what is wanted. Errors: kInvalidArgument.
absl::Status ValidateProfileRow(const v1::ProfileRow& row);

class ProfileTable {
 public:
  ProfileTable() = default;  // Empty: without the priors.

  // The published tables alone; what a new coordinator starts from.
  static ProfileTable Priors();

  // Stores the row, replacing one of the same key. Errors: as ValidateProfileRow; the table is then
  // unchanged.
  absl::Status Put(const v1::ProfileRow& row);

  // Null where there is none.
  [[nodiscard]] const v1::ProfileRow* Find(absl::string_view key) const;

  // Rows of a class, sorted by key; empty where there are none.
  [[nodiscard]] const std::map<std::string, v1::ProfileRow>& OfClass(
      absl::string_view device_class) const;

  [[nodiscard]] const std::map<std::string, std::map<std::string, v1::ProfileRow>>& by_class()
      const {
    return by_class_;
  }
  [[nodiscard]] std::vector<v1::ProfileRow> Rows() const;  // All, sorted by class and key.
  [[nodiscard]] size_t size() const;

 private:
  std::map<std::string, std::map<std::string, v1::ProfileRow>> by_class_;
};

// The rows that a finished attempt changes, as they stand afterwards: the device's own and its
// class's, to be Put and stored. Empty where nothing can be learned: the attempt failed, the host
// could not keep the emulated pace, a sensor was there but covered less than four fifths of the
// run, or no work or time was counted. Without any sensor (source unspecified or model) time alone
// is learned. Rows of an emulated device are `emulated`, and serve only emulated ones.
std::vector<v1::ProfileRow> LearnFromReceipt(const ProfileTable& table,
                                             const v1::DeviceInfo& device,
                                             const v1::Receipt& receipt, absl::Time now);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_
