// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests that Prometheus' linter accepts the coordinator's metrics: names, units, help, types.
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

#include "coordinator/http/metrics.h"
#include "coordinator/runtime/testing/runtime_fixture.h"

namespace wattle::http {
namespace {

// The promtool that `./dev deps` fetched, or the one in PATH; empty if there is none.
std::string Promtool() {
  const std::string fetched =
      std::string(WATTLE_SOURCE_DIR) + "/build/tools/prometheus/usr/bin/promtool";
  if (std::filesystem::exists(fetched)) {
    return fetched;
  }
  return std::system("command -v promtool > /dev/null") == 0 ? "promtool" : "";
}

class PromtoolTest : public runtime::RuntimeFixture {};

TEST_F(PromtoolTest, FindsNothingWrongWithTheMetrics) {
  const std::string promtool = Promtool();
  if (promtool.empty()) {
    ASSERT_EQ(std::getenv("CI"), nullptr) << "promtool must be there in CI: ./dev deps fetches it";
    GTEST_SKIP() << "promtool is not here; ./dev deps fetches Debian's prometheus";
  }
  const auto runtime = StartRuntime();
  AddModel(*runtime, "tiny");
  Connect(*runtime, "device-a");
  std::ofstream(Path("metrics")) << MetricsText(*runtime, {.version = "1.2.3"});
  const std::string command =
      absl::StrCat(promtool, " check metrics < ", Path("metrics"), " > ", Path("said"), " 2>&1");
  const int status = std::system(command.c_str());
  std::ostringstream said;
  said << std::ifstream(Path("said")).rdbuf();
  EXPECT_EQ(WEXITSTATUS(status), 0) << said.str();
  EXPECT_EQ(said.str(), "");
}

}  // namespace
}  // namespace wattle::http
