// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Inputs as files, for readers that need a path. The folder belongs to the process and is removed
// with it.
#ifndef WATTLE_TESTS_FUZZ_FUZZ_FILE_H_
#define WATTLE_TESTS_FUZZ_FUZZ_FILE_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace wattle::fuzz {

// A file with this content; a later call replaces it.
std::string InFile(absl::string_view bytes);

// A folder with only these files, by path within it; a later call replaces them. Impossible paths
// are left out.
std::string FolderWithAll(const std::map<std::string, std::string>& files);
inline std::string FolderWith(const std::string& path, absl::string_view bytes) {
  return FolderWithAll({{path, std::string(bytes)}});
}

}  // namespace wattle::fuzz

#endif  // WATTLE_TESTS_FUZZ_FUZZ_FILE_H_
