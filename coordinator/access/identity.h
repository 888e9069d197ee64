// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Who calls, and what the call is about. Plain values.
#ifndef WATTLE_COORDINATOR_ACCESS_IDENTITY_H_
#define WATTLE_COORDINATOR_ACCESS_IDENTITY_H_

#include <optional>
#include <set>
#include <string>

#include "absl/strings/string_view.h"

namespace wattle::access {

enum class Role { kViewer, kSubmitter, kOperator, kAdmin, kWorker, kService };
inline constexpr int kRoles = 6;

absl::string_view RoleName(Role role);
std::optional<Role> ParseRole(absl::string_view name);

struct Identity {
  std::string id;                  // A device's id or a person's name; for messages too.
  std::set<Role> roles;            // Empty: a stranger.
  std::set<std::string> projects;  // Those of a viewer or submitter.
  std::string how_to_get_a_role;   // For the message of a refusal: who gives it, and how.
};

// Empty: does not apply.
struct Resource {
  std::string project = {};
  std::string owner = {};   // Of a job.
  std::string device = {};  // The one that acts.
};

}  // namespace wattle::access

#endif  // WATTLE_COORDINATOR_ACCESS_IDENTITY_H_
