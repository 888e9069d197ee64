// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Detects two processes with the certificate of one device, for example after its SD card was
// copied. Such a device waits for an operator's approval, like boards that enrolled by a token of
// --approve. Pure.
#ifndef WATTLE_COORDINATOR_CORE_DUPLICATE_IDENTITY_H_
#define WATTLE_COORDINATOR_CORE_DUPLICATE_IDENTITY_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "base/clock.h"

namespace wattle::core {

// Distinguishes a copied card from a board that restarted. Both send a hello with the identity of a
// device whose stream still lives. After a restart, a reboot or a cut link the old process is gone
// and its stream is silent. With a copied card both processes go on: the stream's own process sends
// messages after the rival's first hello, and the rival sends another hello. Late bytes of a dead
// process arrive all at once, so only messages that are apart in time count. One detector for each
// stream.
class DuplicateIdentityDetector {
 public:
  static constexpr size_t kRivalsMax = 8;

  // apart: least time between two messages that both count.
  explicit DuplicateIdentityDetector(absl::Duration apart) : apart_(apart) {}

  // The stream's own process sent a message.
  void OnMessage(Monotonic now);
  // Another process sent a hello. Returns whether both processes are certainly alive.
  [[nodiscard]] bool IsDuplicate(const std::string& process_id, Monotonic now);

 private:
  struct Rival {
    Monotonic latest;  // Latest of its first hello and the messages that count.
    int messages = 0;
  };

  const absl::Duration apart_;
  std::map<std::string, Rival> rivals_;
};

// Whether the text is the problem of a device whose identity is in use twice. Approval or a new key
// clears the problem.
bool IsDuplicateIdentityProblem(absl::string_view problem);

}  // namespace wattle::core

#endif  // WATTLE_COORDINATOR_CORE_DUPLICATE_IDENTITY_H_
