// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Comparison of secrets. Pure.
#ifndef WATTLE_BASE_CONSTANT_TIME_H_
#define WATTLE_BASE_CONSTANT_TIME_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace wattle {

// Whether both have the same bytes. The time taken depends only on the lengths, so that a secret
// cannot be found byte by byte.
inline bool SameSecret(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  volatile unsigned char different = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    different = static_cast<unsigned char>(
        different | (static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i])));
  }
  return different == 0;
}

}  // namespace wattle

#endif  // WATTLE_BASE_CONSTANT_TIME_H_
