// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which build of a program this is. The linker writes the GNU build id into a program: a hash of
// what it linked. Programs that differ in one instruction have different ids; the same sources,
// compiled the same way, have the same id. The shared libraries that the program loads are not
// covered. Thread-safe.
#ifndef WATTLE_BASE_BUILD_ID_H_
#define WATTLE_BASE_BUILD_ID_H_

#include <string>

namespace wattle {

// The GNU build id of the running program, as `readelf -n` prints it: 40 hex digits from the
// linkers that build Wattle. "" if the linker wrote none.
[[nodiscard]] std::string BuildId();

}  // namespace wattle

#endif  // WATTLE_BASE_BUILD_ID_H_
