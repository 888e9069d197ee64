// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Reads what a client sends to a server of HTTP/2 (RFC 9113) before the server does, and lets
// through what a client of gRPC sends: header blocks that are whole, small and well-formed, frames
// within their sizes, and few of the frames that cost the server more than the client. One that
// breaks a rule gets nothing more through; its connection is to be closed. Adds a field to each
// header block, by which the server recognizes the connection. Holds at most a header block. Pure;
// one thread.
#ifndef WATTLE_BASE_HTTP2_FRAME_CHECKER_H_
#define WATTLE_BASE_HTTP2_FRAME_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "base/clock.h"

namespace wattle::http2 {

// Frames that cost the server an answer or a closed stream, without moving data: resets of streams,
// pings, settings, priorities, empty data, unknown frames. The limits equal those of one caller's
// calls.
inline constexpr double kControlFramesPerSecond = 500;
inline constexpr double kControlFramesAtOnce = 2'000;
// Permissions to send more, each a few bytes: a client that gets much data sends many.
inline constexpr double kWindowUpdatesPerSecond = 2'000;
inline constexpr double kWindowUpdatesAtOnce = 10'000;
inline constexpr size_t kBytesForAWindowUpdate = 512;
// In one header block.
inline constexpr int kContinuationsMax = 8;

// A token bucket: `at_once` at most in a burst, and `per_second` in the long run.
class Allowance {
 public:
  Allowance(double per_second, double at_once)
      : per_second_(per_second), at_once_(at_once), left_(at_once) {}
  // False: none is left.
  bool Take(Monotonic now);
  void Add(double more);

 private:
  const double per_second_;
  const double at_once_;
  double left_;
  Monotonic at_;
};

class FrameChecker {
 public:
  // field: as EncodeField writes it.
  explicit FrameChecker(std::string field) : field_(std::move(field)) {}

  // Takes what the client sent, in whatever pieces, and appends to `passed` what the server gets.
  // Errors, which stay: kInvalidArgument for what no client of gRPC sends; kResourceExhausted for
  // too many frames.
  absl::Status Take(absl::string_view bytes, Monotonic now, std::string& passed);
  // The server sent so much to the client.
  void NoteAnswered(size_t bytes);

 private:
  struct Head {
    size_t length = 0;
    uint8_t type = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
  };

  absl::Status TakePreface(absl::string_view& bytes, std::string& passed);
  absl::Status TakeHead(absl::string_view& bytes, Monotonic now, std::string& passed);
  absl::Status BeginFrame(Monotonic now, std::string& passed);
  // Ends the current frame, whose payload is in payload_.
  absl::Status EndFrame(std::string& passed);
  absl::Status CheckControlFrame() const;
  absl::Status TakeHeaders(std::string& passed);
  absl::Status TakeFragment(absl::string_view fragment, std::string& passed);
  absl::Status PassBlock(std::string& passed);
  void PassHead(size_t length, uint8_t type, uint8_t flags, uint32_t stream,
                std::string& passed) const;
  absl::Status TakeControlFrame(Monotonic now);

  const std::string field_;
  absl::Status broken_;
  size_t preface_bytes_ = 0;  // Received so far.
  std::string head_bytes_;    // The part of a frame's head that has come.
  Head head_;
  size_t payload_left_ = 0;  // In the current frame.
  bool in_frame_ = false;
  bool streams_through_ = false;  // The payload is passed as it comes.
  std::string payload_;           // Kept if the frame is checked as a whole.
  bool in_block_ = false;         // Only continuations of block_ may come.
  std::string block_;
  uint32_t block_stream_ = 0;
  uint8_t block_flags_ = 0;
  int continuations_ = 0;
  Allowance control_frames_{kControlFramesPerSecond, kControlFramesAtOnce};
  Allowance window_updates_{kWindowUpdatesPerSecond, kWindowUpdatesAtOnce};
};

}  // namespace wattle::http2

#endif  // WATTLE_BASE_HTTP2_FRAME_CHECKER_H_
