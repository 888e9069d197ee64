// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Integers in the worker's files: little endian on every architecture.
#ifndef WATTLE_WORKER_AGENT_STORAGE_BYTES_INTERNAL_H_
#define WATTLE_WORKER_AGENT_STORAGE_BYTES_INTERNAL_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace wattle::agent {

inline void AppendLittleEndian(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

// REQUIRES: at most eight bytes.
inline uint64_t ReadLittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i > 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[i - 1]);
  }
  return value;
}

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_BYTES_INTERNAL_H_
