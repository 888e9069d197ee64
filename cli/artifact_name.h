// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Names of models and data sets. Thread-safe.
#ifndef WATTLE_CLI_ARTIFACT_NAME_H_
#define WATTLE_CLI_ARTIFACT_NAME_H_

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace wattle::cli {

// A job file refers to an artifact by its name, by its id or the beginning of its id, or as
// job:ID/output. So a name must not look like an id or like job:ID/output.
inline absl::Status CheckArtifactName(const std::string& name) {
  const auto allowed = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  };
  const auto hexadecimal = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (name.empty() || name.size() > 80 || !std::all_of(name.begin(), name.end(), allowed)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name \"", name, "\": wants 1 to 80 letters, digits, '.', '_' or '-', for example gpt2"));
  }
  if (name.size() >= 8 && std::all_of(name.begin(), name.end(), hexadecimal)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name \"", name, "\": looks like an id; add a letter after f"));
  }
  return absl::OkStatus();
}

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ARTIFACT_NAME_H_
