// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The access rules: caller, resource, and one row for each gRPC method and each HTTP route. A
// method without a row may not be called. Pure.
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
  std::string id;                  // A device's id or a person's name; also used in messages.
  std::set<Role> roles;            // Empty for a stranger.
  std::set<std::string> projects;  // Projects of a viewer or submitter.
  std::string how_to_get_a_role;   // For the refusal's message: who grants a role, and how.
};

// The resource of a call. Empty fields do not apply.
struct Resource {
  std::string project = {};
  std::string owner = {};   // Owner of a job.
  std::string device = {};  // The acting device.
};

// The resources for which a role may call the method.
enum class Whose {
  kNobodys,     // No resource.
  kOwnProject,  // Resources of the caller's projects.
  kOwn,         // Resources that the caller owns, within the caller's projects.
  kOwnDevice,   // Resources about the calling device.
  kAll,
};

struct AccessRow {
  // "/wattle.v1.JobService/GetJob", or "GET /api/v1/jobs/{job}".
  absl::string_view method;
  std::array<Whose, kRoles> whose = {};  // Indexed by Role.
  bool for_strangers = false;            // Also allowed for callers without any role.
};

// The row of WatchEvents for a request of only the audit, besides the method's own row.
inline constexpr char kReadAudit[] = "/wattle.v1.CoordinatorService/WatchEvents audited_alone";

const std::vector<AccessRow>& AccessTable();

// Errors: kInternal for a method without a row: the program must not start.
absl::Status RequireRow(absl::string_view method);

// Checks, before the request is read and the resource is known, whether the caller may call the
// method for any resource. Errors: those of Decide.
absl::Status DecideMethod(const Identity& identity, absl::string_view method);
// Errors: kPermissionDenied, which names the missing role and who can grant it.
absl::Status Decide(const Identity& identity, absl::string_view method, const Resource& resource);
// Decide for a given row, which need not be in the table.
absl::Status DecideByRow(const AccessRow& row, const Identity& identity, const Resource& resource);

}  // namespace wattle::access

#endif  // WATTLE_COORDINATOR_ACCESS_ACCESS_TABLE_H_
