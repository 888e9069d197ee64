// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory that the process has freed and malloc still holds. Thread-safe.
#ifndef WATTLE_BASE_FREE_MEMORY_H_
#define WATTLE_BASE_FREE_MEMORY_H_

#include <cstddef>

namespace wattle {

// Freed bytes in malloc's arenas, without those in the smallest bins.
size_t FreeBytesHeld();

// Returns the memory to the system if malloc holds more than `kept_bytes` of it. Allocations wait
// meanwhile, some milliseconds for 100 MB. Returns whether memory was returned.
bool ReturnFreeMemory(size_t kept_bytes);

}  // namespace wattle

#endif  // WATTLE_BASE_FREE_MEMORY_H_
