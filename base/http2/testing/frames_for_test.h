// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: what a client of HTTP/2 sends.
#ifndef WATTLE_BASE_HTTP2_TESTING_FRAMES_FOR_TEST_H_
#define WATTLE_BASE_HTTP2_TESTING_FRAMES_FOR_TEST_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace wattle::http2 {

inline constexpr absl::string_view kPrefaceForTest = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string FrameOf(uint8_t type, uint8_t flags, uint32_t stream,
                           absl::string_view payload) {
  std::string frame;
  for (const int shift : {16, 8, 0}) {
    frame.push_back(static_cast<char>(payload.size() >> shift));
  }
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) {
    frame.push_back(static_cast<char>(stream >> shift));
  }
  frame.append(payload.data(), payload.size());
  return frame;
}

}  // namespace wattle::http2

#endif  // WATTLE_BASE_HTTP2_TESTING_FRAMES_FOR_TEST_H_
