// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/http2/frame_checker.h"
#include "base/http2/header_block.h"
#include "tests/fuzz/fuzz_target.h"

namespace wattle::fuzz {
namespace {

struct Taken {
  absl::Status status;
  std::string passed;
};

Taken TakeInPieces(absl::string_view bytes, size_t piece_bytes) {
  http2::FrameChecker checker("");
  Taken taken;
  while (!bytes.empty() && taken.status.ok()) {
    taken.status = checker.Take(bytes.substr(0, piece_bytes), Monotonic(), taken.passed);
    bytes.remove_prefix(std::min(bytes.size(), piece_bytes));
  }
  return taken;
}

}  // namespace
}  // namespace wattle::fuzz

// What a client with a certificate sends to the gRPC port, in whatever pieces it comes.
WATTLE_FUZZ_TARGET(h2_frames, bytes) {
  const Taken whole = TakeInPieces(bytes, bytes.size());
  WATTLE_CHECK(whole.passed.size() <= bytes.size(), "no more passes than came");
  for (const size_t piece_bytes : {size_t{1}, size_t{7}}) {
    const Taken in_pieces = TakeInPieces(bytes, piece_bytes);
    WATTLE_CHECK(in_pieces.status == whole.status, "pieces change no judgement");
    WATTLE_CHECK(in_pieces.passed == whole.passed, "pieces change nothing that passes");
  }
  const Taken again = TakeInPieces(whole.passed, whole.passed.size());
  WATTLE_CHECK(again.status.ok() && again.passed == whole.passed, "what passed passes");
  const absl::Status block = http2::CheckHeaderBlock(bytes);
  return whole.status.ok() ? absl::OkStatus() : block.ok() ? absl::OkStatus() : whole.status;
}
