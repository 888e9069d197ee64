// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What Wattle knows of each field of a policy, but for `name` and `selector`: its unit and range,
// how people read it, and what it demands of a device. Validation, views, limits and simulation
// walk these rows. To add a field: policy.proto, a row in fields.cc, the member of Limits that it
// tightens, what enforces that, and docs/guide/job-file.md. Pure; thread-safe.
#ifndef WATTLE_POLICY_FIELDS_H_
#define WATTLE_POLICY_FIELDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "wattle/v1/policy.pb.h"

namespace wattle::policy {

struct Limits;

struct Field {
  absl::string_view name;  // in policy.proto

  // Of a number. As the reference of policy files writes it, "0 to 200 °C".
  double low = 0;
  double high = 0;  // 0: the field is no number
  absl::string_view unit{};
  // Where most limits of this kind lie: the simulation draws a policy from there. 0: its policies
  // depend on the simulated world (sim/users.cc).
  double usual_low = 0;
  double usual_high = 0;

  bool limits = false;  // a policy with no such field is refused, as it limits nothing

  // For people. `text` is the value, empty where the policy does not give the field; null only for
  // a field that is told with others.
  std::string (*text)(const v1::Policy& policy) = nullptr;
  absl::string_view head{};    // of its column in `wattle policy ls`; empty: none
  absl::string_view clause{};  // of the sentence of `wattle policy apply`, $0 is the text

  // What is wrong with the value, besides its range. Errors: kInvalidArgument names the field.
  absl::Status (*check)(const v1::Policy& policy) = nullptr;
  // Tightens the limits to what the policy demands. zone: of its times of day. Errors: the policy
  // cannot be read.
  absl::Status (*tighten)(const v1::Policy& policy, const absl::StatusOr<absl::TimeZone>& zone,
                          Limits& limits) = nullptr;
};

// In the order in which people read them.
absl::Span<const Field> Fields();

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_FIELDS_H_
