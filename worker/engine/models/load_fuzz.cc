// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// libFuzzer's entry: its input is the weights file that LoadModel reads (load_fuzz_internal.h).
// `./dev fuzz` builds it with clang and begins with the valid files, which this program writes when
// WATTLE_FUZZ_CORPUS names a directory.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

#include "base/check.h"
#include "worker/engine/model_job.h"
#include "worker/engine/models/load_fuzz_internal.h"

namespace {

std::string Prepare() {
  const std::string directory =
      absl::StrCat(std::filesystem::temp_directory_path().string(), "/wattle-load-fuzz-", getpid());
  std::filesystem::create_directories(directory);
  WATTLE_CHECK(wattle::engine::SetThreads(1).ok(), "one thread is always there");
  WATTLE_CHECK(wattle::engine::MakeDirectoryToLoad(directory).ok(), "it can be written");
  if (const char* corpus = std::getenv("WATTLE_FUZZ_CORPUS"); corpus != nullptr) {
    const auto files = wattle::engine::WeightsToLoad(directory);
    WATTLE_CHECK(files.ok(), "valid files can be written");
    for (size_t i = 0; i < files->size(); ++i) {
      std::ofstream(absl::StrCat(corpus, "/valid-", i), std::ios::binary) << (*files)[i];
    }
  }
  return directory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string directory = Prepare();
  (void)wattle::engine::LookAtLoad(directory, {reinterpret_cast<const char*>(data), size});
  return 0;
}
