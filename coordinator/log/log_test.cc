// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/log/log.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(LogTest, ForeignBytesForgeNoLineAndSteerNoTerminal) {
  testing::internal::CaptureStderr();
  StartLog();
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

TEST(LogTest, AFloodOfRefusalsKeepsNoLineOfTheAuditFromTheLog) {
  testing::internal::CaptureStderr();
  StartLog();
  for (int i = 0; i < 100; ++i) {
    LogWarning("audit: a stranger was refused");
    LogAudit("audit: job_submitted", "audit: j1 submitted");
  }
  for (int i = 0; i < 100; ++i) {
    LogAudit("", "audit: token made");
  }
  const std::string written = testing::internal::GetCapturedStderr();
  const auto lines_of = [&](absl::string_view text) {
    const std::vector<std::string> parts = absl::StrSplit(written, text);
    return parts.size() - 1;
  };
  EXPECT_EQ(lines_of("a stranger was refused\n"), 20U);
  EXPECT_EQ(lines_of("j1 submitted\n"), 20U);
  EXPECT_EQ(lines_of("token made\n"), 100U);
}

}  // namespace
}  // namespace wattle
