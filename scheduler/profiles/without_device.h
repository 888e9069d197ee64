// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The measured rows that remain after a device's reports are discarded. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_WITHOUT_DEVICE_H_
#define WATTLE_SCHEDULER_PROFILES_WITHOUT_DEVICE_H_

#include <string>
#include <vector>

#include "absl/time/time.h"

#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// The table without the device's rows and probes, and without the rows of its class to which its
// runs belong. Its measured rates stay.
[[nodiscard]] ProfileTable WithoutDevice(const ProfileTable& table, const std::string& device_id);

// The rows that the caller then stores in that table:
// - the device's rows as they were before `since`. A row keeps its latest runs one by one, from
//   which its earlier means follow. Numbers that no run contains, such as the memory, count as
//   unknown.
// - the rows of its class, computed from the rows of the class's boards (class_row.h). The lengths
//   of answers belong to no single board, so a row to which the device added runs since then loses
//   them.
[[nodiscard]] std::vector<v1::ProfileRow> RowsThatRemain(const ProfileTable& table,
                                                         const std::string& device_id,
                                                         absl::Time since);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_WITHOUT_DEVICE_H_
