// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory that a large data set leaves in use. A separate program, because other tests would leave a
// heap with free room.
#include "worker/engine/train/examples.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "worker/engine/testing/test_model.h"

namespace wattle::engine {
namespace {

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0;
  int64_t resident = 0;
  file >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Peak since LowerPeak().
int64_t PeakBytes() {
  std::ifstream file("/proc/self/status");
  std::string word;
  int64_t kibibytes = 0;
  while (file >> word && word != "VmHWM:") {
  }
  file >> kibibytes;
  return kibibytes << 10;
}

void LowerPeak() {
  std::ofstream("/proc/self/clear_refs") << 5;  // proc(5)
}

TEST(ExamplesTest, ALargeDataSetLeavesItsExamplesAlone) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "its heap keeps what is freed";
#endif
  constexpr int64_t kMiB = 1 << 20;
  const std::string path = MakeTinySquad("questions", 100'000);
  const auto tokenizer = formats::BytePairEncoding::LoadDirectory(MakeTinyModel("model", 1));
  ASSERT_THAT(tokenizer, IsOk());
  GiveFreedBlocksBack();
  LowerPeak();
  const int64_t before = ResidentBytes();
  const auto packed = LoadExamples(path, "", *tokenizer, TinyConfig(), {});
  ASSERT_THAT(packed, IsOk());
  // The text, its parsed form, and the examples; a tree of the whole file
  // would take 15 times its size.
  EXPECT_LT(PeakBytes() - before, 8 * static_cast<int64_t>(std::filesystem::file_size(path)));
  int64_t tokens = 0;
  for (size_t i = 0; i < packed->pool.size(); ++i) {
    tokens += static_cast<int64_t>(packed->pool.TokenCount(i));
  }
  constexpr int64_t kExampleBytes = 24 + 3 * 24;  // with context, question and answer
  const int64_t examples = 4 * tokens + static_cast<int64_t>(packed->pool.size()) * kExampleBytes;
  EXPECT_GT(ResidentBytes() - before, examples + 20 * kMiB) << "small blocks, which the heap keeps";
  GiveFreedBlocksBack();
  // Three lists, each of which may end in a huge page.
  EXPECT_LT(ResidentBytes() - before, examples + 8 * kMiB);
}

}  // namespace
}  // namespace wattle::engine
