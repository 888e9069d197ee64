// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Adds and removes rows that another fleet measured. Pure.
#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "coordinator/core/core.h"
#include "coordinator/core/decision_builder_internal.h"
#include "coordinator/core/state.h"
#include "scheduler/predict/imported_rows.h"
#include "scheduler/profiles/profile_table.h"

namespace wattle::core {

void Decide(DecisionBuilder& builder, const ImportProfiles& command) {
  const State& state = builder.state();
  if (const absl::Status text = ValidateText("file_name", command.file_name); !text.ok()) {
    builder.Refuse(text);
    return;
  }
  if (!command.file.fleet().empty() && command.file.fleet() == state.lineage_id) {
    builder.Refuse(absl::InvalidArgumentError(
        absl::StrCat("fleet: \"", command.file.fleet(),
                     "\" is this fleet, and its rows are here as measured ones; import the file "
                     "of another fleet")));
    return;
  }
  const auto rows = scheduler::ImportedRows(state.profiles, command.file, command.file_name);
  if (!rows.ok()) {
    builder.Refuse(rows.status());
    return;
  }
  v1::ProfilesImported& imported = *builder.Add().mutable_profiles_imported();
  imported.mutable_rows()->Assign(rows->begin(), rows->end());
  imported.set_file_name(command.file_name);
  imported.set_fleet(command.file.fleet());
}

void Decide(DecisionBuilder& builder, const RemoveImportedProfiles& command) {
  scheduler::ProfileTable without = builder.state().profiles;
  const int rows = without.RemoveImported(command.device_class);
  if (rows == 0) {
    builder.Refuse(absl::NotFoundError(absl::StrCat(
        "no imported profile rows",
        command.device_class.empty() ? "" : absl::StrCat(" of class ", command.device_class),
        "; 'wattle profiles' lists all rows with their source")));
    return;
  }
  v1::ImportedProfilesRemoved& removed = *builder.Add().mutable_imported_profiles_removed();
  removed.set_device_class(command.device_class);
  removed.set_rows(rows);
}

}  // namespace wattle::core
