// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tells a copied card from a board that came back. While a stream of the device lives, processes
// that are not its own say hello with the same identity. After a restart, a reboot or a cut link
// the old process is gone and its stream is silent. Of a copied card both go on: the stream is
// heard again and again after the rival's first hello, and the rival says hello once more. Bytes of
// a dead process that come late come at once, so hearings count that are apart. Pure.
#ifndef WATTLE_COORDINATOR_CORE_RIVAL_WATCH_H_
#define WATTLE_COORDINATOR_CORE_RIVAL_WATCH_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::core {

// Of one stream.
class RivalWatch {
 public:
  static constexpr size_t kRivalsMax = 8;

  // apart: between two hearings that both count.
  explicit RivalWatch(absl::Duration apart) : apart_(apart) {}

  // The stream's own process sent something.
  void Heard(Monotonic now);
  // Another process says hello. Whether both are alive for certain.
  [[nodiscard]] bool IsDoubledBy(const std::string& process_id, Monotonic now);

 private:
  struct Rival {
    Monotonic latest;  // Of its first hello and the hearings that count.
    int hearings = 0;
  };

  const absl::Duration apart_;
  std::map<std::string, Rival> rivals_;
};

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_RIVAL_WATCH_H_
