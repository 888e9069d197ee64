// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Eight bytes at a time by eight tables ("slicing by 8": Kounavis and Berry, A Systematic Approach
// to Building High Performance Software-based CRC Generators, ISCC 2005). About 1 GB/s on a 2 GHz
// core without instructions of one architecture.
#include "base/crc32c.h"

#include <array>
#include <cstddef>

namespace wattle {
namespace {

constexpr uint32_t kPolynomialReflected = 0x82F63B78;
constexpr size_t kSlices = 8;
using Tables = std::array<std::array<uint32_t, 256>, kSlices>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomialReflected : 0);
    }
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

uint32_t ByteAt(absl::string_view bytes, size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

// Little-endian on every architecture.
uint32_t WordAt(absl::string_view bytes, size_t at) {
  return ByteAt(bytes, at) | ByteAt(bytes, at + 1) << 8 | ByteAt(bytes, at + 2) << 16 |
         ByteAt(bytes, at + 3) << 24;
}

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view bytes) {
  crc = ~crc;
  size_t at = 0;
  for (; at + kSlices <= bytes.size(); at += kSlices) {
    const uint32_t low = WordAt(bytes, at) ^ crc;
    const uint32_t high = WordAt(bytes, at + 4);
    crc = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^ kTables[5][(low >> 16) & 0xff] ^
          kTables[4][low >> 24] ^ kTables[3][high & 0xff] ^ kTables[2][(high >> 8) & 0xff] ^
          kTables[1][(high >> 16) & 0xff] ^ kTables[0][high >> 24];
  }
  for (; at < bytes.size(); ++at) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ ByteAt(bytes, at)) & 0xff];
  }
  return ~crc;
}

}  // namespace wattle
