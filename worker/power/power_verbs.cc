// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/power/power_verbs.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace wattle::agent {
namespace {

LineAnswer AnswerOf(const absl::Status& status, std::string text) {
  return status.ok() ? LineAnswer{.exit_code = 0, .text = std::move(text)}
                     : LineAnswer{.exit_code = 1, .text = std::string(status.message())};
}

}  // namespace

LineAnswer PowerVerbs::SetMode(const std::string& name) {
  std::string names;
  for (const PowerModeRow& mode : modes_) {
    if (mode.name == name) {
      return AnswerOf(power_.Set(mode), absl::StrCat("mode ", name, " is set"));
    }
    absl::StrAppend(&names, names.empty() ? "" : ", ", mode.name);
  }
  return {.exit_code = 2,
          .text = absl::StrCat("\"", absl::CEscape(name), "\": this board has ",
                               names.empty() ? "no modes" : names)};
}

LineAnswer PowerVerbs::Answer(const std::string& request) {
  const std::string off = power_off_ == nullptr ? "" : absl::StrCat(" ", kPowerOffVerb);
  const std::string verbs =
      absl::StrCat(kVerbsVerb, " ", kSetVerb, " ", kRestoreVerb, " ", kForgetVerb, off);
  if (request == kVerbsVerb) {
    return {.exit_code = 0, .text = verbs};
  }
  if (absl::string_view mode = request; absl::ConsumePrefix(&mode, absl::StrCat(kSetVerb, " "))) {
    return SetMode(std::string(mode));
  }
  if (request == kRestoreVerb) {
    return AnswerOf(power_.Restore(), "the board is as it was");
  }
  if (request == kForgetVerb) {
    return AnswerOf(power_.Forget(), "the mode stays");
  }
  if (request == kPowerOffVerb && power_off_ != nullptr) {
    return AnswerOf(power_off_(), "the board shuts down");
  }
  return {.exit_code = 2,
          .text = absl::StrCat("\"", absl::CEscape(request), "\": allowed here: ", verbs)};
}

}  // namespace wattle::agent
