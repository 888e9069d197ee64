// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// GoogleMock matchers for absl::Status and absl::StatusOr, for tests only. There is no "is not OK":
// name the code.
//   EXPECT_THAT(Parse("…"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("did you
//   mean"))); ASSERT_THAT(Read(path), IsOk());
#ifndef WATTLE_BASE_TESTING_STATUS_MATCHERS_H_
#define WATTLE_BASE_TESTING_STATUS_MATCHERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace wattle {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P2(StatusIs, code, message_matcher, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         testing::ExplainMatchResult(message_matcher, std::string(StatusOf(arg).message()),
                                     result_listener);
}

}  // namespace wattle

#endif  // WATTLE_BASE_TESTING_STATUS_MATCHERS_H_
