// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/free_memory.h"

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace wattle {
namespace {

constexpr size_t kPieceBytes = 4000;
constexpr size_t kPieces = 10'000;

size_t ResidentKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) {
      return std::stoul(line.substr(6));
    }
  }
  return 0;
}

// Every hundredth piece stays allocated, like a busy server's live memory between freed pieces.
TEST(FreeMemoryTest, IsGivenBackWhereMuchOfItIsHeld) {
  if (FreeBytesHeld() == 0) {
    GTEST_SKIP() << "a sanitizer's malloc";
  }
  std::vector<std::unique_ptr<std::string>> pieces;
  pieces.reserve(kPieces);
  for (size_t i = 0; i < kPieces; ++i) {
    pieces.push_back(std::make_unique<std::string>(kPieceBytes, 'p'));
  }
  for (size_t i = 0; i < kPieces; ++i) {
    if (i % 100 != 0) {
      pieces[i].reset();
    }
  }
  const size_t held = FreeBytesHeld();
  const size_t resident = ResidentKib();
  ASSERT_GT(held, kPieces * kPieceBytes / 2);
  EXPECT_FALSE(ReturnFreeMemory(2 * held));
  EXPECT_TRUE(ReturnFreeMemory(held / 2));
  EXPECT_LT(ResidentKib(), resident - kPieces * kPieceBytes / 2 / 1024);
}

}  // namespace
}  // namespace wattle
