// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/board_class.h"

#include <vector>

namespace wattle::sim {

absl::Span<const BoardClass> BoardClasses() {
  static const auto* const kClasses = new std::vector<BoardClass>{
      {"jetson-orin-nano", Watts(3.5), 8'000'000'000, 6, "cuda", 1280e9},
      {"jetson-xavier-nx", Watts(3.4), 8'000'000'000, 6, "cuda", 845e9},
      {"raspberry-pi-5", Watts(3.2), 8'000'000'000, 4, "", 154e9},
  };
  return *kClasses;
}

}  // namespace wattle::sim
