// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Takes rows from the file of another fleet (scheduler/profiles/exported_rows.h). This fleet did
// not measure these runs, so each row is checked against datasheets and against local rows. Pure;
// thread-safe.
#ifndef WATTLE_SCHEDULER_PREDICT_IMPORTED_ROWS_H_
#define WATTLE_SCHEDULER_PREDICT_IMPORTED_ROWS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "scheduler/profiles/profile_table.h"
#include "wattle/v1/profile.pb.h"

namespace wattle::scheduler {

// The rows of the file with the source "imported", for ProfileTable::Put. Returns all of them or an
// error: a file with one wrong row may have others whose errors do not show. file_name: for people;
// it stands in the rows' note beside the fleet and the date.
//
// Errors: kInvalidArgument, one line: the row as "rows[3]", the field, the value, what was wanted,
// and what to do. Refused are a wrong head, rows that were not measured, duplicate rows, numbers
// that ValidateProfileRow refuses, a rate above the datasheet of the row's class, and a row that is
// further from the prediction by `table` than three deviations of both, or than a factor of 30 if
// the class has only published rows. Rows of classes "generic-…" are compared with no other row.
absl::StatusOr<std::vector<v1::ProfileRow>> ImportedRows(const ProfileTable& table,
                                                         const v1::ProfileExport& file,
                                                         absl::string_view file_name);

}  // namespace wattle::scheduler

#endif  // WATTLE_SCHEDULER_PREDICT_IMPORTED_ROWS_H_
