// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each fuzz target reads its corpus, and copies damaged by a drawn seed. WATTLE_FUZZ_SEED repeats a
// seed, and WATTLE_FUZZ_SECONDS extends the run. No input may end the process; libFuzzer (./dev
// fuzz) searches for rarer ones.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "formats/testing/mutation_internal.h"
#include "models/testing/fuzz_files_internal.h"
#include "tests/fuzz/fuzz_target.h"

namespace wattle::fuzz {
namespace {

constexpr int kDamagedInputs = 400;
const std::string kCorpus = absl::StrCat(WATTLE_SOURCE_DIR, "/tests/fuzz/corpus/");

uint32_t Seed() {
  static const auto seed =
      static_cast<uint32_t>(models::FuzzSetting("WATTLE_FUZZ_SEED", std::random_device()()));
  return seed;
}

std::vector<std::string> CorpusOf(const std::string& target) {
  std::vector<std::string> paths;
  for (const auto& file : std::filesystem::directory_iterator(kCorpus + target)) {
    paths.push_back(file.path().string());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs;
  for (const std::string& path : paths) {
    const auto input = ReadWholeFile(path);
    EXPECT_TRUE(input.ok()) << input.status();
    inputs.push_back(input.value_or(""));
  }
  return inputs;
}

class FuzzReplayTest : public testing::TestWithParam<FuzzTarget> {};

TEST_P(FuzzReplayTest, NoInputEndsTheProcess) {
  const FuzzTarget& target = GetParam();
  const std::vector<std::string> corpus = CorpusOf(target.name);
  ASSERT_THAT(corpus, testing::Not(testing::IsEmpty()));
  // Printed before the first input, because an input that ends the process leaves no other trace.
  std::printf("WATTLE_FUZZ_SEED=%u\n", Seed());
  std::fflush(stdout);
  for (const std::string& input : corpus) {
    RunFuzzTarget(target, input);
  }
  std::mt19937 random(Seed());
  const absl::Time end = absl::Now() + absl::Seconds(models::FuzzSetting("WATTLE_FUZZ_SECONDS", 0));
  do {
    for (int i = 0; i < kDamagedInputs; ++i) {
      RunFuzzTarget(target, formats::Mutate(corpus[random() % corpus.size()], random));
    }
  } while (absl::Now() < end);
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzReplayTest, testing::ValuesIn(FuzzTargets()),
                         [](const auto& row) { return row.param.name; });

TEST(FuzzTargetsTest, EachFolderOfTheCorpusHasItsTarget) {
  std::vector<std::string> names;
  for (const FuzzTarget& target : FuzzTargets()) {
    names.push_back(target.name);
  }
  std::vector<std::string> folders;
  for (const auto& folder : std::filesystem::directory_iterator(kCorpus)) {
    folders.push_back(folder.path().filename().string());
  }
  EXPECT_THAT(folders, testing::UnorderedElementsAreArray(names));
}

}  // namespace
}  // namespace wattle::fuzz
