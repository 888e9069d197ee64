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
// In one file. An import is one event of the journal, and one message.
inline constexpr int kExportRowsMax = 2000;

// The row as every fleet may have it: without device, single runs, change and note, which say
// something about the fleet that measured it and nothing about boards of the class.
v1::ProfileRow WithoutOrigin(v1::ProfileRow row);

// The measured rows of a class (device_class ""), all classes; or, with a device_id, those of that
// device, as rows of its class. Rows from before a change of their device stay, because the device
// is no longer as they say. So do rows that were not measured here.
std::vector<v1::ProfileRow> RowsToExport(const ProfileTable& table, absl::string_view device_class,
                                         absl::string_view device_id);

// Errors: kInvalidArgument names the field of the head, its value and what to do.
absl::Status CheckExportHead(const v1::ProfileExport& file);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PROFILES_EXPORTED_ROWS_H_
