// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// What a gRPC client without TLS, such as a worker of before there was TLS, hears on a port that
// speaks TLS alone: its first call ends with the status UNAUTHENTICATED and the remedy. GOAWAY
// follows, so that the client closes the connection. Without an answer the client would say "Socket
// closed" for ever. Pure.
#ifndef WATTLE_COORDINATOR_RPC_PLAIN_TEXT_ANSWER_H_
#define WATTLE_COORDINATOR_RPC_PLAIN_TEXT_ANSWER_H_

#include <string>

#include "absl/strings/string_view.h"

namespace wattle::rpc {

class PlainTextAnswer {
 public:
  // The first byte of HTTP/2 without TLS, which begins no record of TLS.
  static constexpr char kFirstByte = 'P';

  // Takes what the client sent, and returns what is sent back.
  std::string Take(absl::string_view bytes);
  // All is said, or the client speaks no HTTP/2.
  [[nodiscard]] bool done() const { return done_; }

 private:
  std::string received_;  // What was not looked at yet.
  bool greeted_ = false;
  bool done_ = false;
};

}  // namespace wattle::rpc

#endif  // WATTLE_COORDINATOR_RPC_PLAIN_TEXT_ANSWER_H_
