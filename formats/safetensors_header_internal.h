// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The header of a safetensors file, shared by its reader and its writer (safetensors.cc).
#ifndef WATTLE_FORMATS_SAFETENSORS_HEADER_INTERNAL_H_
#define WATTLE_FORMATS_SAFETENSORS_HEADER_INTERNAL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "formats/safetensors.h"

namespace wattle::formats {

inline constexpr int64_t kLengthBytes = 8;
// The limit of the reference implementation; the header of GPT-2 Small takes 14 KB.
inline constexpr int64_t kHeaderBytesMax = 100'000'000;
inline constexpr char kMetadataKey[] = "__metadata__";
inline constexpr char kChecksumKey[] = "wattle.crc32c";
inline constexpr size_t kChecksumDigits = 8;

// The length of the header. start: at least kLengthBytes.
uint64_t ReadLength(absl::Span<const std::byte> start);

// The position of kChecksumKey's value in the header's text; npos: absent.
size_t ChecksumAt(absl::string_view text);
// "00c0ffee".
std::string ChecksumDigits(uint32_t checksum);
// The checksums of a header's tensors; empty if the file has none. Errors: kDataLoss for a header
// that does not match its own checksum.
absl::StatusOr<std::vector<uint32_t>> ParseChecksums(const std::string& path,
                                                     const SafetensorsHeader& header,
                                                     std::string text);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_SAFETENSORS_HEADER_INTERNAL_H_
