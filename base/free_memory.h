// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Memory that the process has freed and malloc still holds. Thread-safe.
#ifndef WATTLE_BASE_FREE_MEMORY_H_
#define WATTLE_BASE_FREE_MEMORY_H_

#include <cstddef>

namespace wattle {

// Of malloc's arenas, without what lies in their smallest bins.
size_t FreeBytesHeld();

// Gives the memory back to the system where malloc holds more of it than this. Allocations wait
// meanwhile, some milliseconds for 100 MB. Returns whether it did.
bool ReturnFreeMemory(size_t kept_bytes);

}  // namespace wattle

#endif  // WATTLE_BASE_FREE_MEMORY_H_
