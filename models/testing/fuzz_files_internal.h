// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shared by the fuzzers of weights files (weights_fuzz_internal.h, and load_fuzz_internal.h of the
// engine): the seed files, and the rules for every refusal.
#ifndef WATTLE_MODELS_TESTING_FUZZ_FILES_INTERNAL_H_
#define WATTLE_MODELS_TESTING_FUZZ_FILES_INTERNAL_H_

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

#include "base/check.h"

namespace wattle::models {

inline constexpr int64_t kFuzzFileBytesMax = int64_t{1} << 22;

// Writes without fsync, and a new file each time, because some file systems flush a file that was
// truncated and rewritten. A fuzzer writes thousands of files.
inline absl::Status WriteFuzzFile(const std::string& path, absl::string_view text) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  return file.good() ? absl::OkStatus()
                     : absl::InternalError(absl::StrCat(path, ": could not be written"));
}

// Each file twice: without checksums, as other writers leave it, and unchanged. Damage passes the
// checksum test only in a file without checksums.
inline std::vector<std::string> WithAndWithoutChecksums(std::vector<std::string> files) {
  std::vector<std::string> both;
  for (std::string& file : files) {
    both.push_back(absl::StrReplaceAll(file, {{"wattle.crc32c", "another.key.x"}}));
    both.push_back(std::move(file));
  }
  return both;
}

// A number from the environment, such as WATTLE_FUZZ_SEED.
inline double FuzzSetting(const char* name, double otherwise) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): a fuzz target has one thread
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtod(text, nullptr);
}

// Checks the rules for every refusal of a damaged file.
inline void CheckRefusal(const absl::Status& refusal) {
  WATTLE_CHECK(refusal.message().find('\n') == absl::string_view::npos, "an error is one line");
  WATTLE_CHECK(
      refusal.code() != absl::StatusCode::kInternal && refusal.code() != absl::StatusCode::kUnknown,
      "a damaged file is the file's fault");
}

// A new directory for a fuzzer's model.
inline std::string FuzzDirectory(const std::string& name) {
  const std::string directory =
      absl::StrCat(std::filesystem::temp_directory_path().string(), "/", name, "-", getpid());
  std::filesystem::create_directories(directory);
  return directory;
}

// Writes the valid files if WATTLE_FUZZ_CORPUS names a directory (./dev fuzz).
template <typename MakeFiles>
void WriteFuzzCorpus(const MakeFiles& make_files) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): a fuzz target has one thread
  const char* corpus = std::getenv("WATTLE_FUZZ_CORPUS");
  if (corpus == nullptr) {
    return;
  }
  const auto files = make_files();
  WATTLE_CHECK(files.ok(), "valid files can be written");
  for (size_t i = 0; i < files->size(); ++i) {
    std::ofstream(absl::StrCat(corpus, "/valid-", i), std::ios::binary) << (*files)[i];
  }
}

}  // namespace wattle::models

#endif  // WATTLE_MODELS_TESTING_FUZZ_FILES_INTERNAL_H_
