// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Two processes with the certificate of one device, as after its SD card was copied. Such a device
// waits for an operator's approval, as boards do that enrolled by a token of --approve. Pure.
#ifndef WATTLE_COORDINATOR_CORE_DUPLICATE_IDENTITY_H_
#define WATTLE_COORDINATOR_CORE_DUPLICATE_IDENTITY_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::core {

// Tells a copied card from a board that came back. While a stream of the device lives, processes
// that are not its own say hello with the same identity. After a restart, a reboot or a cut link
// the old process is gone and its stream is silent. With a copied card both go on: messages of the
// stream's own process come after the rival's first hello, and the rival says hello once more.
// Late bytes of a dead process come all at once, so only messages count that are apart in time.
// One detector for each stream.
class DuplicateIdentityDetector {
 public:
  static constexpr size_t kRivalsMax = 8;

  // apart: between two messages that both count.
  explicit DuplicateIdentityDetector(absl::Duration apart) : apart_(apart) {}

  // The stream's own process sent something.
  void OnMessage(Monotonic now);
  // Another process says hello. Whether both are alive for certain.
  [[nodiscard]] bool IsDuplicate(const std::string& process_id, Monotonic now);

 private:
  struct Rival {
    Monotonic latest;  // Of its first hello and the messages that count.
    int messages = 0;
  };

  const absl::Duration apart_;
  std::map<std::string, Rival> rivals_;
};

// Whether a device's problem says that its identity is in use twice. The problem goes with the
// approval, or with a new key.
bool IsDuplicateIdentityProblem(absl::string_view problem);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DUPLICATE_IDENTITY_H_
