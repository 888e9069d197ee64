// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Rows that move to another fleet, and the head of the file that carries them. The other way:
// scheduler/predict/imported_rows.h. Pure; thread-safe.
#ifndef WATTLE_SCHEDULER_PROFILES_EXPORTED_ROWS_H_
#define WATTLE_SCHEDULER_PROFILES_EXPORTED_ROWS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

inline constexpr absl::string_view kExportFormat = "wattle-profile-rows";
inline constexpr int kExportVersion = 1;
// Most rows in one file: an import is one event of the journal and one message.
inline constexpr int kExportRowsMax = 2000;

// The row for other fleets: without device, single runs, change and note, which describe the fleet
// that measured it and not boards of the class.
v1::ProfileRow WithoutOrigin(v1::ProfileRow row);

// The measured rows of a class, or of all classes with device_class ""; with a device_id, the rows
// of that device as rows of its class. Left out are rows from before a change of their device,
// which no longer describe it, and rows that this fleet did not measure.
std::vector<v1::ProfileRow> RowsToExport(const ProfileTable& table, absl::string_view device_class,
                                         absl::string_view device_id);

// Errors: kInvalidArgument names the field of the head, its value and what to do.
absl::Status CheckExportHead(const v1::ProfileExport& file);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_EXPORTED_ROWS_H_
