// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/log/log.h"

#include <algorithm>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(LogTest, ForeignBytesForgeNoLineAndSteerNoTerminal) {
  testing::internal::CaptureStderr();
  StartLog("info");
  LogWarning("http://metrics: HTTP 500: no\n2026-01-01 info audit: forged\x1b[2J \xff{}\n");
  LogInfo("board \"a\rb\" came");
  LogLastLine("the end\nof it");
  const std::string written = testing::internal::GetCapturedStderr();
  EXPECT_THAT(written, HasSubstr("warning http://metrics: HTTP 500: no 2026-01-01 info audit: "
                                 "forged [2J ?{} \n"));
  EXPECT_THAT(written, HasSubstr("info board \"a b\" came\n"));
  EXPECT_THAT(written, EndsWith("critical the end of it\n"));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 3);
}

}  // namespace
}  // namespace wattle
