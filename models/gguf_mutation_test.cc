// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded damage to the GGUF files of small models: each is read completely or refused in one line,
// and never crashes a reader. WATTLE_FUZZ_SEED and WATTLE_FUZZ_SECONDS select another and a longer
// run; a failure prints its seed.
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/gguf.h"
#include "formats/testing/mutation_internal.h"
#include "models/testing/fuzz_files_internal.h"
#include "models/testing/gguf_fuzz_internal.h"

namespace wattle::models {
namespace {

constexpr uint32_t kSeedDefault = 20261122;
constexpr int kRoundsOfEach = 400;

TEST(GgufMutationTest, DamagedFilesAreRefusedInOneLine) {
  const auto seed = static_cast<uint32_t>(FuzzSetting("WATTLE_FUZZ_SEED", kSeedDefault));
  const absl::Time end = absl::Now() + absl::Seconds(FuzzSetting("WATTLE_FUZZ_SECONDS", 0));
  const TestDirectory directory;
  const std::string path = directory.File("model.gguf");
  const auto files = ValidGgufFiles();
  ASSERT_THAT(files, IsOk());
  std::mt19937 random(seed);
  std::vector<int> accepted(files->size());
  std::vector<int> refused(files->size());
  do {
    for (size_t i = 0; i < files->size(); ++i) {
      const absl::Status valid = LookAtGguf(path, (*files)[i]);
      ASSERT_TRUE(valid.ok() || absl::IsNotFound(valid)) << "no tokenizer at most: " << valid;
      const auto header = formats::GgufFile::Open(path);
      ASSERT_THAT(header, IsOk());
      const auto header_bytes = static_cast<size_t>(header->header().data_start_bytes);
      for (int round = 0; round < kRoundsOfEach; ++round) {
        SCOPED_TRACE(absl::StrCat("WATTLE_FUZZ_SEED=", seed, ", file ", i, ", round ", round));
        const absl::Status answer =
            LookAtGguf(path, formats::MutateGguf((*files)[i], header_bytes, random));
        ++(answer.ok() || absl::IsNotFound(answer) ? accepted[i] : refused[i]);
      }
    }
  } while (absl::Now() < end);
  for (size_t i = 0; i < files->size(); ++i) {
    EXPECT_GT(accepted[i], 0) << "file " << i << ": the damage is too coarse to be missed";
    EXPECT_GT(refused[i], 0) << "file " << i;
  }
  RecordProperty("seed", static_cast<int>(seed));
}

}  // namespace
}  // namespace wattle::models
