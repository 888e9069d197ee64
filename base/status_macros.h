// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Propagation of absl::Status. Debian 12's Abseil has no such macros of its own.
#ifndef WATTLE_BASE_STATUS_MACROS_H_
#define WATTLE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace wattle {

// `status` with "context: " before its message; the code stays. An OK status is returned as it is.
inline absl::Status WithContext(absl::string_view context, const absl::Status& status) {
  if (status.ok()) {
    return status;
  }
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace wattle

// NOLINTBEGIN(bugprone-macro-parentheses): `target` may be a declaration.
#define WATTLE_STATUS_CONCAT_INNER(a, b) a##b
#define WATTLE_STATUS_CONCAT(a, b) WATTLE_STATUS_CONCAT_INNER(a, b)

// WATTLE_RETURN_IF_ERROR(WriteHeader(file));
#define WATTLE_RETURN_IF_ERROR(expression)     \
  do {                                         \
    absl::Status wattle_status = (expression); \
    if (!wattle_status.ok())                   \
      return wattle_status;                    \
  } while (false)

// WATTLE_ASSIGN_OR_RETURN(const auto config, ReadConfig(path));
#define WATTLE_ASSIGN_OR_RETURN(target, expression)                                        \
  WATTLE_ASSIGN_OR_RETURN_INNER(WATTLE_STATUS_CONCAT(wattle_status_or_, __LINE__), target, \
                                expression)
#define WATTLE_ASSIGN_OR_RETURN_INNER(temporary, target, expression) \
  auto temporary = (expression);                                     \
  if (!temporary.ok())                                               \
    return std::move(temporary).status();                            \
  target = std::move(temporary).value()
// NOLINTEND(bugprone-macro-parentheses)

#endif  // WATTLE_BASE_STATUS_MACROS_H_
