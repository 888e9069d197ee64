// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded damage to the weights files of a tiny model, plain and quantized: the loader accepts or
// refuses in one line, never crashes and never accepts a wrong file. WATTLE_FUZZ_SEED and
// WATTLE_FUZZ_SECONDS select another and a longer run; a failure prints its seed.
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
#include "formats/testing/mutation_internal.h"
#include "models/testing/fuzz_files_internal.h"
#include "models/testing/weights_fuzz_internal.h"

namespace wattle::models {
namespace {

constexpr uint32_t kSeedDefault = 20261121;
constexpr int kRoundsOfEach = 500;

TEST(WeightsMutationTest, DamagedWeightsAreRefusedInOneLine) {
  const auto seed = static_cast<uint32_t>(FuzzSetting("WATTLE_FUZZ_SEED", kSeedDefault));
  const absl::Duration longer = absl::Seconds(FuzzSetting("WATTLE_FUZZ_SECONDS", 0));
  TestDirectory directory;
  ASSERT_THAT(MakeDirectoryWithoutWeights(directory.path()), IsOk());
  const auto files = ValidWeights(directory.path());
  ASSERT_THAT(files, IsOk());
  ASSERT_EQ(files->size(), 6U);
  std::mt19937 random(seed);
  std::vector<int> accepted(files->size());
  int refused = 0;
  const absl::Time end = absl::Now() + longer;
  int64_t rounds = 0;
  do {
    for (size_t i = 0; i < files->size(); ++i) {
      ASSERT_THAT(LookAtWeights(directory.path(), (*files)[i]), IsOk()) << "a valid file, " << i;
      for (int round = 0; round < kRoundsOfEach; ++round, ++rounds) {
        SCOPED_TRACE(absl::StrCat("WATTLE_FUZZ_SEED=", seed, ", file ", i, ", round ", round));
        ++(LookAtWeights(directory.path(), formats::MutateSafetensors((*files)[i], random)).ok()
               ? accepted[i]
               : refused);
      }
    }
  } while (absl::Now() < end);
  for (size_t i = 0; i < files->size(); ++i) {
    EXPECT_GT(accepted[i], 0) << "file " << i << ": the damage is too coarse to be missed";
  }
  EXPECT_GT(refused, 0);
  RecordProperty("seed", static_cast<int>(seed));
  std::printf("%lld damaged files, %d refused, seed %u\n", static_cast<long long>(rounds), refused,
              seed);
}

}  // namespace
}  // namespace wattle::models
