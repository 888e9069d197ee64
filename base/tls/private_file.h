// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Files that only their user may read: keys, tokens, journals. Thread-safe.
#ifndef WATTLE_BASE_TLS_PRIVATE_FILE_H_
#define WATTLE_BASE_TLS_PRIVATE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::tls {

// With its parents; mode 0700, also where the directory exists. Errors: of base/file.h.
absl::Status MakePrivateDirectory(const std::string& path);
// The whole file durably, with mode 0600 from its first byte on.
absl::Status WritePrivateFile(const std::string& path, absl::string_view content);
// What a private file has, and what its user does where others have read it: for the message.
struct PrivateContent {
  absl::string_view what = "key";
  absl::string_view remedy = "enrol anew";
};
// Errors: kNotFound; kFailedPrecondition where others may read the file, with the remedy.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path,
                                            const PrivateContent& content = {});

}  // namespace wattle::tls

#endif  // WATTLE_BASE_TLS_PRIVATE_FILE_H_
