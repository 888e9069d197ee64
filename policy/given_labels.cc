// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "policy/given_labels.h"

#include <map>

#include "absl/strings/str_cat.h"

#include "policy/selector.h"

namespace wattle::policy {
namespace {

// Whether every device reports this label by itself, also a device without given labels.
bool IsOwnKey(absl::string_view key) {
  return LabelValue(v1::DeviceInfo::default_instance(), key).has_value();
}

}  // namespace

absl::Status CheckGivenLabels(absl::string_view what,
                              absl::Span<const std::pair<std::string, std::string>> labels) {
  std::map<absl::string_view, absl::string_view> given;
  for (const auto& [key, value] : labels) {
    if (IsOwnKey(key)) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " ", key, "=", value, ": the worker finds it out; leave it out"));
    }
    if (const auto [first, is_new] = given.emplace(key, value); !is_new) {
      return absl::InvalidArgumentError(absl::StrCat(what, " ", key, "=", value, ": ", key, "=",
                                                     first->second,
                                                     " is given too; leave one of them out"));
    }
  }
  return absl::OkStatus();
}

}  // namespace wattle::policy
