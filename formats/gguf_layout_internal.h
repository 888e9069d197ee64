// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The constants of a GGUF file that its reader (gguf.cc) and its writer (gguf_writer.cc) share.
#ifndef WATTLE_FORMATS_GGUF_LAYOUT_INTERNAL_H_
#define WATTLE_FORMATS_GGUF_LAYOUT_INTERNAL_H_

#include <cstdint>

namespace wattle::formats {

inline constexpr char kGgufMagic[] = "GGUF";
inline constexpr char kAlignmentKey[] = "general.alignment";
inline constexpr int64_t kGgufAlignment = 32;  // if the metadata has none
inline constexpr int64_t kAlignmentMax = 1 << 16;
// Larger than any tensor; a sum of a few of these does not overflow.
inline constexpr int64_t kTensorBytesMax = int64_t{1} << 50;

// Types of metadata values. Numeric values are those used in files.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kFlag = 7,
  kText = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};
inline constexpr uint32_t kValueTypeMax = 12;

[[nodiscard]] constexpr int64_t AlignedUp(int64_t position, int64_t alignment) {
  return (position + alignment - 1) / alignment * alignment;
}

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_GGUF_LAYOUT_INTERNAL_H_
