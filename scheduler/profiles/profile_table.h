// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Profile rows by key, checked on the way in. Measured rows come from finished attempts (learn.h),
// published ones are built in (priors.h). Ordered, so that whoever walks the table does so in the
// same order everywhere. A copy of a table shares its rows and costs a few pointers.
// Thread-compatible.
#ifndef WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_
#define WATTLE_SCHEDULER_PROFILES_PROFILE_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/persistent_map.h"
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

  // The row of the same key; null where there is none.
  [[nodiscard]] const v1::ProfileRow* FindLike(const v1::ProfileRow& row) const;

  // Rows of a class, sorted by key; empty where there are none.
  using ClassRows = PersistentMap<std::string, v1::ProfileRow>;
  [[nodiscard]] const ClassRows& OfClass(absl::string_view device_class) const;

  [[nodiscard]] const PersistentMap<std::string, ClassRows>& by_class() const { return by_class_; }
  [[nodiscard]] std::vector<v1::ProfileRow> Rows() const;  // All, sorted by class and key.
  [[nodiscard]] size_t size() const { return size_; }

 private:
  PersistentMap<std::string, ClassRows> by_class_;
  size_t size_ = 0;
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
