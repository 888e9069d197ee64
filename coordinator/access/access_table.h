// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who may call what: who calls, what the call is about, and one row for each gRPC method and each
// HTTP route. What has no row may not be called. Pure.
#ifndef WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_
#define WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_

#include <array>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::access {

// kUnapproved: a device that waits for an operator's approval, and is no worker yet.
enum class Role { kViewer, kSubmitter, kOperator, kAdmin, kWorker, kService, kUnapproved };
inline constexpr int kRoles = 7;

absl::string_view RoleName(Role role);
std::optional<Role> ParseRole(absl::string_view name);

struct Identity {
  std::string id;                  // A device's id or a person's name; for messages too.
  std::set<Role> roles;            // Empty: a stranger.
  std::set<std::string> projects;  // Those of a viewer or submitter.
  std::string how_to_get_a_role;   // For the message of a refusal: who gives it, and how.
};

// What the call is about. Empty: does not apply.
struct Resource {
  std::string project = {};
  std::string owner = {};   // Of a job.
  std::string device = {};  // The one that acts.
};

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
  std::array<Whose, kRoles> whose = {};  // By Role.
  bool for_strangers = false;            // Callers without any role too.
};

// The row of WatchEvents for whoever asks for the audit alone, beside the row of the method.
inline constexpr char kReadAudit[] = "/wattle.v1.CoordinatorService/WatchEvents audited_alone";

const std::vector<AccessRow>& AccessTable();

// Errors: kInternal for a method without a row: the program must not start.
absl::Status RequireRow(absl::string_view method);

// Before the request is read, when the resource is not known yet: whether the caller may call the
// method for any resource. Errors: as Decide's.
absl::Status DecideMethod(const Identity& identity, absl::string_view method);
// Errors: kPermissionDenied, which names the missing role and who can give it.
absl::Status Decide(const Identity& identity, absl::string_view method, const Resource& resource);
// The same by a row, of the table or not.
absl::Status DecideByRow(const AccessRow& row, const Identity& identity, const Resource& resource);

}  // namespace wattle::access

#endif  // WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_
