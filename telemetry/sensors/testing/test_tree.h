// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a file tree like a board's, and the readings of a source in it.
#ifndef WATTLE_TELEMETRY_SENSORS_TESTING_TEST_TREE_H_
#define WATTLE_TELEMETRY_SENSORS_TESTING_TEST_TREE_H_

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "telemetry/sensors/registry.h"

namespace wattle::telemetry {

class Tree {
 public:
  void Write(const std::string& directory, const std::map<std::string, std::string>& files) {
    std::filesystem::create_directories(directory_.path() + directory);
    for (const auto& [name, text] : files) {
      std::ofstream(directory_.path() + directory + "/" + name) << text << "\n";
    }
  }
  [[nodiscard]] const std::string& root() const { return directory_.path(); }

 private:
  TestDirectory directory_;
};

// Orin Nano, JetPack 6, including the labelled shunt sum and the sums that are no rails.
inline void WriteOrinNano(Tree& tree) {
  tree.Write("/sys/class/hwmon/hwmon1", {{"name", "ina3221"},
                                         {"in1_label", "VDD_IN"},
                                         {"in1_enable", "1"},
                                         {"in1_input", "4984"},
                                         {"curr1_input", "1856"},
                                         {"in2_label", "VDD_CPU_GPU_CV"},
                                         {"in2_input", "4976"},
                                         {"curr2_input", "88"},
                                         {"in3_label", "VDD_SOC"},
                                         {"in3_input", "4976"},
                                         {"curr3_input", "224"},
                                         {"in4_input", "9280"},
                                         {"in7_label", "sum of shunt voltages"},
                                         {"in7_input", "10840"},
                                         {"curr4_input", "2168"},
                                         {"samples", "512"},
                                         {"update_interval", "430"}});
}

// The candidates that the kind of this name finds in the tree at root.
inline std::vector<Candidate> Discover(const std::string& kind, const std::string& root,
                                       const std::vector<SourceSettings>& entries = {}) {
  for (const SourceKind& row : AllSourceKinds()) {
    if (row.name == kind) {
      return row.discover(root, entries);
    }
  }
  ADD_FAILURE() << kind << ": no such kind";
  return {};
}

inline std::unique_ptr<Source> Only(std::vector<Candidate> found) {
  EXPECT_THAT(found, testing::SizeIs(1));
  if (found.size() != 1) {
    return nullptr;
  }
  EXPECT_THAT(found[0].problem, IsOk());
  return std::move(found[0].source);
}

// The sum of the readings in the device's total; -1: none.
inline double TotalWatts(Source& source) {
  const auto readings = source.Poll(Monotonic());
  EXPECT_THAT(readings, IsOk());
  double sum = -1;
  for (const Reading& reading : readings.ok() ? *readings : std::vector<Reading>()) {
    if (source.info().channels[reading.channel].in_total) {
      sum = std::max(sum, 0.0) + std::get<Watts>(reading.value).value();
    }
  }
  return sum;
}

inline std::vector<std::string> ChannelNames(const Source& source) {
  std::vector<std::string> names;
  for (const Channel& channel : source.info().channels) {
    names.push_back(channel.name);
  }
  return names;
}

}  // namespace wattle::telemetry

#endif  // WATTLE_TELEMETRY_SENSORS_TESTING_TEST_TREE_H_
