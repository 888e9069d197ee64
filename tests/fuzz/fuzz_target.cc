// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_target.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/escaping.h"

#include "base/check.h"
#include "base/utf8.h"

namespace wattle::fuzz {
namespace {

std::vector<FuzzTarget>& Table() {
  static auto& table = *new std::vector<FuzzTarget>();
  return table;
}

}  // namespace

bool AddFuzzTarget(const char* name, absl::Status (*read)(absl::string_view bytes)) {
  std::vector<FuzzTarget>& table = Table();
  const auto place = std::find_if(table.begin(), table.end(),
                                  [name](const FuzzTarget& other) { return other.name > name; });
  table.insert(place, {name, read});
  return true;
}

const std::vector<FuzzTarget>& FuzzTargets() {
  return Table();
}

void RunFuzzTarget(const FuzzTarget& target, absl::string_view bytes) {
  const absl::Status status = target.read(bytes);
  const absl::string_view message = status.message();
  const bool programs_fault = absl::IsInternal(status) || absl::IsUnknown(status);
  if (programs_fault || OneLine(message) != message) {
    std::fprintf(stderr, "%s: %s: %s\n", target.name.c_str(),
                 absl::StatusCodeToString(status.code()).c_str(),
                 absl::CHexEscape(message).c_str());
  }
  WATTLE_CHECK(message.find('\n') == absl::string_view::npos, "an error is one line");
  WATTLE_CHECK(ValidUtf8Prefix(message) == message.size(), "an error is text");
  WATTLE_CHECK(!programs_fault, "a damaged input is not the program's fault");
}

}  // namespace wattle::fuzz
