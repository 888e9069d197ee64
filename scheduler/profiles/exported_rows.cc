// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "scheduler/profiles/exported_rows.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

#include "scheduler/profiles/run_interval.h"

namespace wattle::scheduler {
namespace {

constexpr size_t kFleetLengthMax = 64;
constexpr double kUnixSecondsMax = 4102444800.0;  // 2100.

}  // namespace

v1::ProfileRow WithoutOrigin(v1::ProfileRow row) {
  row.clear_device_id();
  row.clear_runs();
  row.clear_answer_lengths();
  row.clear_change();
  row.clear_probe_attempt_id();
  row.clear_source_note();
  return row;
}

std::vector<v1::ProfileRow> RowsToExport(const ProfileTable& table, absl::string_view device_class,
                                         absl::string_view device_id) {
  std::vector<v1::ProfileRow> exported;
  for (const auto& [of_class, rows] : table.by_class()) {
    if (!device_class.empty() && of_class != device_class) {
      continue;
    }
    for (const auto& [key, row] : rows) {
      if (row.source() == v1::PROFILE_SOURCE_MEASURED && row.device_id() == device_id &&
          !IsOutdated(row)) {
        exported.push_back(WithoutOrigin(row));
      }
    }
  }
  return exported;
}

absl::Status CheckExportHead(const v1::ProfileExport& file) {
  if (file.format() != kExportFormat) {
    return absl::InvalidArgumentError(
        absl::StrCat("format: \"", absl::CEscape(file.format()), "\", wanted \"", kExportFormat,
                     "\": this is no file of wattle profile export; export the rows again"));
  }
  if (file.version() != kExportVersion) {
    return absl::InvalidArgumentError(absl::StrCat(
        "version: ", file.version(), ", and this version of Wattle reads ", kExportVersion,
        "; export the rows again with this version, or update this one"));
  }
  if (file.fleet().size() > kFleetLengthMax) {
    return absl::InvalidArgumentError(absl::StrCat("fleet: ", file.fleet().size(),
                                                   " bytes, wanted at most ", kFleetLengthMax,
                                                   "; export the rows again"));
  }
  const double exported = file.exported_unix_seconds();
  if (!(exported >= 0 && exported < kUnixSecondsMax)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "exported_unix_seconds: ", exported, ", wanted seconds since 1970; export the rows again"));
  }
  if (file.rows().empty()) {
    return absl::InvalidArgumentError(
        "rows: none, so there is nothing to import; export from a fleet that has finished jobs");
  }
  if (file.rows_size() > kExportRowsMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("rows: ", file.rows_size(), ", and a file has at most ", kExportRowsMax,
                     "; export one class at a time with wattle profile export --class"));
  }
  return absl::OkStatus();
}

}  // namespace wattle::scheduler
