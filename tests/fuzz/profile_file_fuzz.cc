// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/profile_file.h"

#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "scheduler/predict/imported_rows.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"

WATTLE_FUZZ_TARGET(profile_file, bytes) {
  WATTLE_ASSIGN_OR_RETURN(const v1::ProfileExport rows, cli::ReadProfileFile(InFile(bytes)));
  return scheduler::ImportedRows({}, rows, "rows.json").status();
}
