// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "proto/state_names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace wattle {
namespace {

// "JobState" → "job_state_".
std::string PrefixOf(absl::string_view type_name) {
  std::string prefix;
  for (const char letter : type_name) {
    if (absl::ascii_isupper(static_cast<unsigned char>(letter)) && !prefix.empty()) {
      prefix.push_back('_');
    }
    prefix.push_back(absl::ascii_tolower(static_cast<unsigned char>(letter)));
  }
  prefix.push_back('_');
  return prefix;
}

}  // namespace

std::string LowerName(const google::protobuf::EnumDescriptor& type, int value) {
  const google::protobuf::EnumValueDescriptor* known = type.FindValueByNumber(value);
  if (known == nullptr) {
    return absl::StrCat(value);
  }
  const std::string name = absl::AsciiStrToLower(known->name());
  return std::string(absl::StripPrefix(name, PrefixOf(type.name())));
}

bool IsTerminal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

bool IsTerminal(v1::AttemptState state) {
  return state == v1::ATTEMPT_STATE_FINISHED || state == v1::ATTEMPT_STATE_FAILED ||
         state == v1::ATTEMPT_STATE_SUPERSEDED;
}

}  // namespace wattle
