// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/core/text_tail.h"

#include <cstdint>

namespace wattle::agent {

void AppendText(const std::string& text, v1::AttemptProgress& progress) {
  if (text.empty()) {
    return;
  }
  std::string& tail = *progress.mutable_text();
  tail += text;
  if (tail.size() > kTextTailBytes) {
    size_t first = tail.size() - kTextTailBytes;
    while (first < tail.size() && (static_cast<unsigned char>(tail[first]) & 0xc0U) == 0x80U) {
      ++first;
    }
    tail.erase(0, first);
  }
  progress.set_text_bytes(progress.text_bytes() + static_cast<int64_t>(text.size()));
}

}  // namespace wattle::agent
