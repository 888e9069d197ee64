// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Checks a whole header block of HTTP/2 (HPACK, RFC 7541) without decoding its texts: what passes
// has integers of few bytes, strings that end within the block, and few fields, so that whoever
// decodes it does bounded work. Pure.
#ifndef WATTLE_BASE_HTTP2_HEADER_BLOCK_H_
#define WATTLE_BASE_HTTP2_HEADER_BLOCK_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace wattle::http2 {

// The size of a block as sent. gRPC's clients send less than 1 KiB.
inline constexpr size_t kHeaderBlockBytesMax = size_t{16} << 10;
// The fields of a block. A field may refer to an entry of the dynamic table, which has up to 4 KiB,
// so a few bytes can expand to many.
inline constexpr size_t kFieldsMax = 100;
// Errors: kInvalidArgument for a block that no client of gRPC sends.
absl::Status CheckHeaderBlock(absl::string_view block);

// A field that no table keeps, as it travels. name, value: at most 126 bytes each.
std::string EncodeField(absl::string_view name, absl::string_view value);

}  // namespace wattle::http2

#endif  // WATTLE_BASE_HTTP2_HEADER_BLOCK_H_
