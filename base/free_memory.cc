// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/free_memory.h"

#include <malloc.h>

namespace wattle {

size_t FreeBytesHeld() {
  return mallinfo2().fordblks;
}

bool ReturnFreeMemory(size_t kept_bytes) {
  if (FreeBytesHeld() <= kept_bytes) {
    return false;
  }
  malloc_trim(/*pad=*/0);
  return true;
}

}  // namespace wattle
