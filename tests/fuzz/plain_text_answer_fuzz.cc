// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "base/check.h"
#include "coordinator/rpc/plain_text_answer.h"
#include "tests/fuzz/fuzz_target.h"

namespace wattle::fuzz {
namespace {

// As the listener does, which reads no more once all is said.
std::string AnswerTo(absl::string_view bytes, size_t piece_bytes, rpc::PlainTextAnswer& answer) {
  std::string said;
  while (!bytes.empty() && !answer.done()) {
    said += answer.Take(bytes.substr(0, piece_bytes));
    bytes.remove_prefix(std::min(bytes.size(), piece_bytes));
  }
  return said;
}

}  // namespace
}  // namespace wattle::fuzz

// What a client without TLS sends to the gRPC port, in whatever pieces it comes.
WATTLE_FUZZ_TARGET(plain_text_answer, bytes) {
  constexpr size_t kAnswerBytesMax = 512;  // One refusal, however much was sent.
  rpc::PlainTextAnswer whole;
  const std::string said = AnswerTo(bytes, bytes.size(), whole);
  WATTLE_CHECK(said.size() <= kAnswerBytesMax, "an answer is short");
  for (const size_t piece_bytes : {size_t{1}, size_t{7}}) {
    rpc::PlainTextAnswer in_pieces;
    WATTLE_CHECK(AnswerTo(bytes, piece_bytes, in_pieces) == said, "pieces change no answer");
    WATTLE_CHECK(in_pieces.done() == whole.done(), "pieces change no end");
  }
  return said.empty() ? absl::InvalidArgumentError("no HTTP/2") : absl::OkStatus();
}
