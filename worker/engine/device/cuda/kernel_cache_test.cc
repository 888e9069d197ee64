// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/device/cuda/kernel_cache.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"

namespace wattle::cuda {
namespace {

using testing::Optional;
using Use = KernelCache::Use;

const std::vector<std::string> kName = {"source", "nvrtc 12.4", "sm_87"};

TEST(KernelCacheTest, WhatWasKeptIsFoundByAllThatItDependsOn) {
  const TestDirectory directory;
  const KernelCache cache(directory.path(), Use::kFindAndKeep);
  EXPECT_EQ(cache.Find(kName), std::nullopt);
  const std::string binary("code\0of it", 10);
  EXPECT_THAT(cache.Keep(kName, binary), IsOk());
  EXPECT_THAT(cache.Find(kName), Optional(binary));
  EXPECT_THAT(KernelCache(directory.path(), Use::kFind).Find(kName), Optional(binary))
      << "another process";
  for (size_t part = 0; part < kName.size(); ++part) {
    std::vector<std::string> other = kName;
    other[part] += "'";
    EXPECT_EQ(cache.Find(other), std::nullopt) << "part " << part;
  }
  EXPECT_EQ(cache.Find({"source", "nvrtc 12.4sm_87"}), std::nullopt) << "parts do not run together";
}

TEST(KernelCacheTest, ACorruptedEntryIsAsIfItWereNotThere) {
  const TestDirectory directory;
  const KernelCache cache(directory.path(), Use::kFindAndKeep);
  EXPECT_THAT(cache.Keep(kName, "code of it"), IsOk());
  const std::string path = cache.PathOf(kName);
  const std::string whole = ReadWholeFile(path).value();
  for (size_t place = 0; place < whole.size(); ++place) {
    std::string flipped = whole;
    flipped[place] = static_cast<char>(flipped[place] ^ 1);
    std::ofstream(path) << flipped;
    EXPECT_EQ(cache.Find(kName), std::nullopt) << "byte " << place;
    std::ofstream(path) << whole.substr(0, place);
    EXPECT_EQ(cache.Find(kName), std::nullopt) << "the first " << place << " bytes";
  }
  EXPECT_THAT(cache.Keep(kName, "code of it"), IsOk());
  EXPECT_THAT(cache.Find(kName), Optional(std::string("code of it")));
}

TEST(KernelCacheTest, WithoutADirectoryNothingIsKept) {
  const KernelCache none("", Use::kFindAndKeep);
  EXPECT_THAT(none.Keep(kName, "code"), IsOk());
  EXPECT_EQ(none.Find(kName), std::nullopt);
  const KernelCache nowhere("/proc/no-such-directory", Use::kFindAndKeep);
  EXPECT_FALSE(nowhere.Keep(kName, "code").ok()) << "who compiles ahead is told";
  EXPECT_EQ(nowhere.Find(kName), std::nullopt);
}

TEST(KernelCacheTest, WhoOnlyFindsKeepsNothing) {
  const TestDirectory directory;
  const KernelCache job(directory.path(), Use::kFind);
  EXPECT_THAT(job.Keep(kName, "code"), IsOk());
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace wattle::cuda
