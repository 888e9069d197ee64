// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/fuzz_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "base/check.h"

namespace wattle::fuzz {
namespace {

// In memory if possible: a disk would take most of a fuzzer's time.
class Folder {
 public:
  Folder() {
    if (mkdtemp(path_.data()) == nullptr) {
      path_ = (std::filesystem::temp_directory_path() / "wattle_fuzz_XXXXXX").string();
      WATTLE_CHECK(mkdtemp(path_.data()) != nullptr, "there is room for the inputs");
    }
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = "/dev/shm/wattle_fuzz_XXXXXX";
};

const std::string& Root() {
  static const Folder folder;
  return folder.path();
}

}  // namespace

std::string InFile(absl::string_view bytes) {
  const std::string path = Root() + "/input";
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string FolderWithAll(const std::map<std::string, std::string>& files) {
  const std::string folder = Root() + "/folder";
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  for (const auto& [name, content] : files) {
    const std::filesystem::path path(folder + "/" + name);
    std::filesystem::create_directories(path.parent_path(), ignored);
    std::ofstream(path, std::ios::binary) << content;
  }
  return folder;
}

}  // namespace wattle::fuzz
