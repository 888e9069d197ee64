// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/persistent_map.h"

#include <cmath>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

using testing::ElementsAre;

using Map = PersistentMap<int, std::string>;
using Oracle = std::map<int, std::string>;

void ExpectSame(const Map& map, const Oracle& oracle) {
  ASSERT_EQ(map.size(), oracle.size());
  EXPECT_TRUE(std::equal(map.begin(), map.end(), oracle.begin()));
  EXPECT_TRUE(std::equal(map.rbegin(), map.rend(), oracle.rbegin()));
}

// Random changes beside std::map; every version taken on the way stays unchanged.
TEST(PersistentMapTest, EveryCopyStaysWhatItWasWhenTaken) {
  constexpr unsigned kSeed = 20261;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  std::mt19937 random(kSeed);
  Map map;
  Oracle oracle;
  std::vector<std::pair<Map, Oracle>> versions;
  for (int step = 0; step < 4000; ++step) {
    const int key = static_cast<int>(random() % 300);
    // Phases that grow and phases that shrink.
    if (random() % 10 < ((step / 500) % 2 == 0 ? 7u : 3u)) {
      const std::string value = std::to_string(step);
      map.Mutable(key) = value;
      oracle[key] = value;
    } else {
      EXPECT_EQ(map.erase(key), oracle.erase(key) == 1);
    }
    if (step % 97 == 0) {
      versions.emplace_back(map, oracle);
    }
    const int probe = static_cast<int>(random() % 310);
    const auto found = map.lower_bound(probe);
    const auto wanted = oracle.lower_bound(probe);
    ASSERT_EQ(found == map.end(), wanted == oracle.end());
    if (wanted != oracle.end()) {
      ASSERT_EQ(found->first, wanted->first);
    }
    ASSERT_EQ(map.contains(probe), oracle.contains(probe));
  }
  ExpectSame(map, oracle);
  for (const auto& [version, then] : versions) {
    ExpectSame(version, then);
  }
}

TEST(PersistentMapTest, ARecordThatNobodyElseHasIsChangedInPlace) {
  Map map;
  map.Mutable(1) = "one";
  const std::string* const before = map.Find(1);
  map.Mutable(1) = "uno";
  EXPECT_EQ(map.Find(1), before);

  const Map copy = map;
  map.Mutable(1) = "eins";
  EXPECT_NE(map.Find(1), before);
  EXPECT_EQ(*copy.Find(1), "uno");
}

TEST(PersistentMapTest, AChangeCopiesOnlyThePathToItsRecord) {
  Map map;
  for (int key = 0; key < 1000; ++key) {
    map.Mutable(key) = "x";
  }
  const Map copy = map;
  map.Mutable(500) = "y";
  int different = 0;
  for (int key = 0; key < 1000; ++key) {
    different += map.Find(key) != copy.Find(key) ? 1 : 0;
  }
  EXPECT_EQ(different, 1);
}

TEST(PersistentMapTest, AnEntryStaysWhereItIsUntilItIsChanged) {
  std::mt19937 random(20262);
  Map map;
  for (int key = 0; key < 300; ++key) {
    map.Mutable(key) = "first";
  }
  std::map<int, const Map::value_type*> places;
  const auto expect_places = [&places](const Map& of) {
    for (const auto& [key, place] : places) {
      EXPECT_EQ(&*of.find(key), place) << key;
    }
  };
  for (int key = 0; key < 300; key += 3) {
    places[key] = &*map.find(key);
  }
  const Map copy = map;
  for (int step = 0; step < 2000; ++step) {
    const int key = static_cast<int>(random() % 400);
    if (key % 3 != 0 || key >= 300) {
      map.Mutable(key) = "changed";
    } else if (step % 7 == 0) {
      map.erase(key + 1);
    }
  }
  expect_places(map);
  expect_places(copy);
}

TEST(PersistentMapTest, KeysInAscendingOrderKeepTheTreeShallow) {
  PersistentMap<int, int> map;
  for (int key = 0; key < 100'000; ++key) {
    map.Mutable(key) = key;
  }
  // A list would be deeper than the iterator's path and end the process.
  EXPECT_EQ(std::distance(map.begin(), map.end()), 100'000);
  for (int key = 0; key < 99'999; ++key) {
    map.erase(key);
  }
  EXPECT_EQ(map.begin()->first, 99'999);
}

TEST(PersistentMapTest, CopiesAreReadAndDestroyedOnOtherThreadsWhileTheMapChanges) {
  PersistentMap<int, std::string> map;
  for (int key = 0; key < 64; ++key) {
    map.Mutable(key) = "0";
  }
  std::vector<std::thread> readers;
  for (int round = 1; round <= 40; ++round) {
    readers.emplace_back([copy = map, round] {
      for (const auto& [key, value] : copy) {
        EXPECT_EQ(value, std::to_string(round - 1));
      }
    });
    for (int key = 0; key < 64; ++key) {
      map.Mutable(key) = std::to_string(round);
    }
  }
  for (std::thread& reader : readers) {
    reader.join();
  }
}

TEST(PersistentSetTest, HoldsEachKeyOnceInOrder) {
  PersistentSet<int> set;
  set.insert(3);
  set.insert(1);
  const PersistentSet<int> before = set;
  set.insert(3);
  set.insert(2);
  set.erase(1);
  EXPECT_THAT(std::vector<int>(set.begin(), set.end()), ElementsAre(2, 3));
  EXPECT_THAT(std::vector<int>(before.begin(), before.end()), ElementsAre(1, 3));
  EXPECT_FALSE(set == before);
}

}  // namespace
}  // namespace wattle
