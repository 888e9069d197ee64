// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// SHA-256, by OpenSSL. Functions are thread-safe; one thread owns a Sha256Stream.
#ifndef WATTLE_ARTIFACTS_SHA256_H_
#define WATTLE_ARTIFACTS_SHA256_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

#include "units/id.h"

namespace wattle::artifacts {

// The SHA-256 of a chunk's bytes: 32 raw bytes, as in the protobuf messages.
using ChunkId = Id<struct ChunkIdTag, std::string>;

inline constexpr size_t kSha256Bytes = 32;

ChunkId Sha256(absl::string_view bytes);
// 64 lower-case hex digits.
std::string Sha256Hex(absl::string_view bytes);
std::string ToHex(const ChunkId& id);

// SHA-256 of bytes that arrive in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void Update(absl::string_view bytes);
  // The digest as 64 hex digits; the stream is used up.
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace wattle::artifacts

#endif  // WATTLE_ARTIFACTS_SHA256_H_
