// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A directory of a test's own, removed with its content at the end. For tests only.
#ifndef WATTLE_BASE_TESTING_TEST_DIRECTORY_H_
#define WATTLE_BASE_TESTING_TEST_DIRECTORY_H_

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace wattle {

class TestDirectory {
 public:
  TestDirectory() {
    std::string pattern = testing::TempDir() + "/wattle_XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string File(const std::string& name) const { return path_ + "/" + name; }
  // The name may contain a directory, which is made.
  std::string Write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(File(name)).parent_path());
    std::ofstream(File(name), std::ios::binary) << content;
    return File(name);
  }
  [[nodiscard]] std::string Read(const std::string& name) const {
    std::ostringstream content;
    content << std::ifstream(File(name), std::ios::binary).rdbuf();
    return content.str();
  }

 private:
  std::string path_;
};

// A table of figures of bench/data/.
inline std::string FiguresPath(const std::string& name) {
  return std::string(WATTLE_SOURCE_DIR) + "/bench/data/" + name;
}

// A text or a model that the repository may not hold, in the folder that WATTLE_TEXTS names
// (bench/data/README.md); empty where it is absent.
inline std::string TextPath(const std::string& name) {
  const char* const folder = std::getenv("WATTLE_TEXTS");  // NOLINT(concurrency-mt-unsafe)
  const std::string path = std::string(folder == nullptr ? "" : folder) + "/" + name;
  return folder != nullptr && std::filesystem::exists(path) ? path : "";
}

}  // namespace wattle

#endif  // WATTLE_BASE_TESTING_TEST_DIRECTORY_H_
