// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A description of each field of a policy except `name` and `selector`: its unit and range, its
// text for people, and its demand on a device. Validation, views, limits and simulation iterate
// over these rows. To add a field: policy.proto, a row in fields.cc, the member of Limits that the
// field tightens, the code that enforces it, and docs/guide/job-file.md. Pure; thread-safe.
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

  // The range of a number, as in the reference of policy files: "0 to 200 °C".
  double low = 0;
  double high = 0;  // 0: the field is no number
  absl::string_view unit{};
  // The usual range of the value, from which the simulation draws policies. 0: the simulated world
  // determines the value (tests/simulation/users.cc).
  double usual_low = 0;
  double usual_high = 0;

  bool limits = false;  // a policy without any such field limits nothing and is refused

  // For people. `text` is the value, empty if the policy does not set the field; null only for a
  // field that is shown with others.
  std::string (*text)(const v1::Policy& policy) = nullptr;
  absl::string_view head{};    // of its column in `wattle policy ls`; empty: none
  absl::string_view clause{};  // of the sentence of `wattle policy apply`, $0 is the text

  // Checks the value beyond its range. Errors: kInvalidArgument names the field.
  absl::Status (*check)(const v1::Policy& policy) = nullptr;
  // Tightens the limits to the policy's demand. zone: of the policy's times of day. Errors: the
  // policy cannot be read.
  absl::Status (*tighten)(const v1::Policy& policy, const absl::StatusOr<absl::TimeZone>& zone,
                          Limits& limits) = nullptr;
};

// In the order in which people read them.
absl::Span<const Field> Fields();

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_FIELDS_H_
