// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/dial.h"

#include <string>

#include "cli/environment.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(DialTest, AContextWithoutItsCertificateSaysHowToLogIn) {
  const TestDirectory directory;
  ASSERT_THAT(MakeDirectory(directory.File("wattle")), IsOk());
  directory.Write("wattle/contexts.yaml",
                  "current: mast\ncontexts:\n  mast:\n    coordinator: h:1\n");
  Environment environment;
  environment.clock = &Clock::Real();
  environment.variable = [&](const std::string& name) {
    return name == "XDG_CONFIG_HOME" ? directory.File("") : "";
  };
  EXPECT_THAT(Dial({}, environment).status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("context mast: "), HasSubstr("has no certificate"),
                             HasSubstr("wattle login TOKEN"))));
}

}  // namespace
}  // namespace wattle::cli
