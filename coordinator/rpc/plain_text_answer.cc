// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/plain_text_answer.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "coordinator/callers/callers.h"

namespace wattle::rpc {
namespace {

// RFC 9113 has the preface and the frames, RFC 7541 the fields of a header.
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeaderBytes = 9;
constexpr size_t kReceivedBytesMax = size_t{16} << 10;
constexpr char kHeadersFrame = 1;
constexpr char kSettingsFrame = 4;
constexpr char kGoAwayFrame = 7;
constexpr char kEndOfStreamAndHeaders = 0x05;
constexpr absl::string_view kConnection("\0\0\0\0", 4);  // The stream of the connection itself.
constexpr absl::string_view kNoError("\0\0\0\0", 4);
constexpr char kStatus200 = '\x88';  // A field of the static table.

std::string Frame(char type, char flags, absl::string_view stream, absl::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame.push_back(static_cast<char>(payload.size() >> shift));
  }
  return absl::StrCat(frame, std::string(1, type), std::string(1, flags), stream, payload);
}

// At most 254 bytes, as they are.
std::string Text(absl::string_view text) {
  constexpr size_t kInOneByte = 127;
  std::string length(1, static_cast<char>(text.size() < kInOneByte ? text.size() : kInOneByte));
  if (text.size() >= kInOneByte) {
    length.push_back(static_cast<char>(text.size() - kInOneByte));
  }
  return absl::StrCat(length, text);
}

std::string Field(absl::string_view name, absl::string_view value) {
  return absl::StrCat(std::string(1, '\0'), Text(name), Text(value));
}

// gRPC's answer to a call that ends at once.
std::string Refusal() {
  constexpr char kUnauthenticated[] = "16";
  return absl::StrCat(
      std::string(1, kStatus200), Field("content-type", "application/grpc"),
      Field("grpc-status", kUnauthenticated),
      Field("grpc-message", absl::StrCat("this coordinator speaks TLS alone, and this program "
                                         "speaks without; update it, then ",
                                         callers::kHowToEnter)));
}

}  // namespace

std::string PlainTextAnswer::Take(absl::string_view bytes) {
  absl::StrAppend(&received_, bytes);
  std::string answer;
  if (!greeted_) {
    if (received_.size() < kPreface.size()) {
      done_ = !absl::StartsWith(kPreface, received_);
      return answer;
    }
    if (!absl::StartsWith(received_, kPreface)) {
      done_ = true;
      return answer;
    }
    greeted_ = true;
    received_.erase(0, kPreface.size());
    answer = Frame(kSettingsFrame, 0, kConnection, "");
  }
  while (!done_ && received_.size() >= kFrameHeaderBytes) {
    size_t size = kFrameHeaderBytes;
    for (const size_t i : {size_t{0}, size_t{1}, size_t{2}}) {
      size += size_t{static_cast<uint8_t>(received_[i])} << (8 * (2 - i));
    }
    done_ = size > kReceivedBytesMax;
    if (received_.size() < size) {
      break;
    }
    if (received_[3] == kHeadersFrame) {
      const std::string stream = received_.substr(5, 4);
      absl::StrAppend(&answer, Frame(kHeadersFrame, kEndOfStreamAndHeaders, stream, Refusal()),
                      Frame(kGoAwayFrame, 0, kConnection, absl::StrCat(stream, kNoError)));
      done_ = true;
    }
    received_.erase(0, size);
  }
  return answer;
}

}  // namespace wattle::rpc
