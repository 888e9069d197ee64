// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who may call what: one row for each gRPC method and each HTTP route. What has no row may not be
// called. Pure.
#ifndef WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_
#define WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_

#include <array>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "coordinator/access/identity.h"

namespace wattle::access {

// Of which resources a role may call the method.
enum class Whose {
  kNobodys,     // None.
  kOwnProject,  // Those of the caller's projects.
  kOwn,         // Those that the caller owns, within the caller's projects.
  kOwnDevice,   // Those that the calling device is about.
  kAll,
};

struct AccessRow {
  // "/wattle.v1.JobService/GetJob", or "GET /api/v1/jobs/{job}".
  absl::string_view method;
  std::array<Whose, kRoles> whose;  // By Role.
  bool for_strangers = false;       // Callers without any role too.
};

const std::vector<AccessRow>& AccessTable();

// Errors: kInternal for a method without a row: the program must not start.
absl::Status RequireRow(absl::string_view method);

// Errors: kPermissionDenied, which names the missing role and who can give it.
absl::Status Decide(const Identity& identity, absl::string_view method, const Resource& resource);

}  // namespace wattle::access

#endif  // WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_
