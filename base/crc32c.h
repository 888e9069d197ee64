// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// CRC32C (Castagnoli polynomial 0x1EDC6F41, reflected), the checksum of iSCSI (RFC 3720, appendix
// B.4): finds damage in stored bytes; no protection against intent. Thread-safe.
#ifndef WATTLE_BASE_CRC32C_H_
#define WATTLE_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace wattle {

// The checksum of the bytes that gave `crc`, followed by `bytes`. 0 is the checksum of no bytes.
// Chained over a log, each checksum covers all earlier records.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes);

inline uint32_t Crc32c(absl::string_view bytes) {
  return ExtendCrc32c(0, bytes);
}

}  // namespace wattle

#endif  // WATTLE_BASE_CRC32C_H_
