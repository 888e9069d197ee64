// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The labels that a person gives a device, besides those that every device has by itself. Pure;
// thread-safe.
#ifndef WATTLE_POLICY_GIVEN_LABELS_H_
#define WATTLE_POLICY_GIVEN_LABELS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace wattle::policy {

// labels: pairs of key and value. what: names one in a message, such as "--label". Errors:
// kInvalidArgument for a key that every device reports by itself (selector.h), and for a duplicate
// key.
absl::Status CheckGivenLabels(absl::string_view what,
                              absl::Span<const std::pair<std::string, std::string>> labels);

}  // namespace wattle::policy

#endif  // WATTLE_POLICY_GIVEN_LABELS_H_
