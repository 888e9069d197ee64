// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/uncommitted.h"

#include <algorithm>
#include <utility>

namespace wattle::rpc {

int64_t UncommittedBytes::Of(const std::string& who, Monotonic now) const {
  absl::MutexLock lock(&mutex_);
  const auto found = sent_.find(who);
  return found == sent_.end() || now - found->second.last > kForgottenAfter ? 0
                                                                            : found->second.bytes;
}

void UncommittedBytes::NoteSent(const std::string& who, int64_t size_bytes, Monotonic now) {
  absl::MutexLock lock(&mutex_);
  if (!sent_.contains(who) && sent_.size() >= kCallersMax) {
    sent_.erase(std::min_element(sent_.begin(), sent_.end(), [](const auto& a, const auto& b) {
      return a.second.last < b.second.last;
    }));
  }
  Sent& sent = sent_[who];
  sent.bytes = now - sent.last > kForgottenAfter ? size_bytes : sent.bytes + size_bytes;
  sent.last = now;
}

void UncommittedBytes::NoteCommitted(const std::string& who, int64_t size_bytes) {
  absl::MutexLock lock(&mutex_);
  const auto found = sent_.find(who);
  if (found == sent_.end()) {
    return;
  }
  found->second.bytes -= std::min(found->second.bytes, size_bytes);
  if (found->second.bytes == 0) {
    sent_.erase(found);
  }
}

}  // namespace wattle::rpc
