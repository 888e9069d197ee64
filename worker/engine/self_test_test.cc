// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/self_test.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"

namespace wattle::engine {
namespace {

TEST(SelfTestTest, TheProcessorCalculatesRightly) {
  EXPECT_THAT(SelfTest("cpu"), IsOk());
}

TEST(SelfTestTest, ADeviceThatIsNotThereFails) {
  EXPECT_FALSE(SelfTest("cuda:99").ok());
}

}  // namespace
}  // namespace wattle::engine
