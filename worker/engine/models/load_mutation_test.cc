// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Seeded damage to the weights files that LoadModel reads, in every stored form: LoadModel returns
// a model that can be run, or one line of error. WATTLE_FUZZ_SEED selects another run.
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "formats/testing/mutation_internal.h"
#include "worker/engine/models/testing/load_fuzz_internal.h"

namespace wattle::engine {
namespace {

constexpr uint32_t kSeedDefault = 20261121;
constexpr int kRoundsOfEach = 60;

TEST(LoadMutationTest, DamagedWeightsAreRefusedInOneLineOrRun) {
  const char* wanted = std::getenv("WATTLE_FUZZ_SEED");
  const auto seed =
      wanted == nullptr ? kSeedDefault : static_cast<uint32_t>(std::strtoul(wanted, nullptr, 10));
  TestDirectory directory;
  ASSERT_THAT(MakeDirectoryToLoad(directory.path()), IsOk());
  const auto files = WeightsToLoad(directory.path());
  ASSERT_THAT(files, IsOk());
  ASSERT_EQ(files->size(), 14U);
  std::mt19937 random(seed);
  int accepted = 0;
  int refused = 0;
  for (size_t i = 0; i < files->size(); ++i) {
    ASSERT_THAT(LookAtLoad(directory.path(), (*files)[i]), IsOk()) << "a valid file, " << i;
    for (int round = 0; round < kRoundsOfEach; ++round) {
      SCOPED_TRACE(absl::StrCat("WATTLE_FUZZ_SEED=", seed, ", file ", i, ", round ", round));
      ++(LookAtLoad(directory.path(), formats::MutateSafetensors((*files)[i], random)).ok()
             ? accepted
             : refused);
    }
  }
  EXPECT_GT(accepted, 0) << "the damage is too coarse to be missed";
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace wattle::engine
