// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/worker_log.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::agent {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

std::string WrittenBy(const std::vector<std::string>& lines) {
  WorkerLog log;
  testing::internal::CaptureStderr();
  for (const std::string& line : lines) {
    log.Write(line);
  }
  return testing::internal::GetCapturedStderr();
}

TEST(WorkerLogTest, ForeignBytesForgeNoLineAndSteerNoTerminal) {
  const std::string written = WrittenBy(
      {"device d1: sent wrong bytes: x\n2026-01-01T00:00:00.000Z wattle-worker: \x1b[2J\xff%s"});
  EXPECT_THAT(written, ContainsRegex("^20[0-9][0-9]-.*Z wattle-worker: device d1: sent wrong "
                                     "bytes: x 2026-01-01T00:00:00.000Z wattle-worker:  "
                                     "\\[2J\\?%s\n$"));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 1);
}

TEST(WorkerLogTest, ACauseHasTwentyLinesAMinute) {
  std::vector<std::string> lines;
  for (int i = 0; i < 100; ++i) {
    lines.push_back(absl::StrCat("sensor: ", i, "!"));
  }
  const std::string written = WrittenBy(lines);
  EXPECT_THAT(written, HasSubstr("sensor: 19!\n"));
  EXPECT_THAT(written, Not(HasSubstr("sensor: 20!\n")));
}

}  // namespace
}  // namespace wattle::agent
