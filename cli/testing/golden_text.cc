// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/testing/golden_text.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "gmock/gmock.h"

namespace wattle::cli {

void ExpectGolden(const std::string& name, const std::string& text) {
  const std::string path = std::string(WATTLE_SOURCE_DIR) + "/tests/golden/cli/" + name;
  const char* update = std::getenv("WATTLE_UPDATE_GOLDEN");  // NOLINT(concurrency-mt-unsafe)
  if (update != nullptr && std::string(update) == "1") {
    std::ofstream(path) << text;
    return;
  }
  std::ifstream file(path);
  ASSERT_TRUE(file.is_open()) << path << ": not there; make it with WATTLE_UPDATE_GOLDEN=1";
  std::ostringstream wanted;
  wanted << file.rdbuf();
  EXPECT_EQ(wanted.str(), text) << "differs from " << path;
}

}  // namespace wattle::cli
