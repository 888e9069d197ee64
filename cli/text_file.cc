// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/text_file.h"

#include <fstream>

#include "absl/strings/str_cat.h"

namespace wattle::cli {

absl::Status CheckOneOutput(absl::string_view flag, absl::string_view path, bool json) {
  return json && path == kStandardOutput
             ? absl::InvalidArgumentError(
                   absl::StrCat(flag, " -: the standard output gets JSON already; name a file"))
             : absl::OkStatus();
}

absl::Status WriteTextFile(absl::string_view flag, const std::string& path,
                           absl::string_view text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good() ? absl::OkStatus()
                     : absl::InternalError(absl::StrCat(
                           flag, " ", path, ": cannot be written; is the folder there, and room?"));
}

}  // namespace wattle::cli
