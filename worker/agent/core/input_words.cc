// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/input_words.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace wattle::agent {

std::string InUsersWords(const std::string& message, const v1::Assignment& assignment,
                         const std::vector<FetchedInput>& inputs) {
  std::string text = message;
  for (const FetchedInput& input : inputs) {
    for (const v1::ResolvedInput& named : assignment.inputs()) {
      if (named.field() != input.field || named.reference().empty()) {
        continue;
      }
      const std::string name = absl::StrCat(named.field(), " ", named.reference());
      // Replace the file's path before the path of its directory.
      for (const std::string& path : {input.file, input.directory}) {
        if (!path.empty()) {
          absl::StrReplaceAll({{path, name}}, &text);
        }
      }
    }
  }
  return text;
}

}  // namespace wattle::agent
