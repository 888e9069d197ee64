// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What remains of the measured rows once a device's word counts no more. Pure; thread-safe.
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

// What the caller stores in that table then:
// - the device's rows as they were before `since`. A row keeps its latest runs one by one: they say
//   what its means were. Numbers that no run tells, such as the memory, count as not known.
// - the rows of its class by the rows of the class's boards (class_row.h). The lengths of answers
//   are no board's, so a row to which the device added runs since then has none.
[[nodiscard]] std::vector<v1::ProfileRow> RowsThatRemain(const ProfileTable& table,
                                                         const std::string& device_id,
                                                         absl::Time since);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_WITHOUT_DEVICE_H_
