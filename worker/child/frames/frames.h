// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Frames on the pipes between agent and runner: a varint length, then that many bytes of a message
// (proto/wattle/v1/runner.proto). Both sides use this. One thread owns a FrameReader.
#ifndef WATTLE_WORKER_CHILD_FRAMES_FRAMES_H_
#define WATTLE_WORKER_CHILD_FRAMES_FRAMES_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::child {

// A frame larger than this is a broken stream: the largest real one carries a few prompts.
inline constexpr size_t kFrameSizeMax = size_t{64} << 20;

// The message as a frame.
std::string EncodeFrame(absl::string_view message);

class FrameReader {
 public:
  // Adds received bytes, in any pieces.
  void Append(absl::string_view bytes) { buffer_.append(bytes.data(), bytes.size()); }
  // The next whole message; nullopt: more bytes are needed. kDataLoss: the bytes are no frame, and
  // nothing after them can be read.
  absl::StatusOr<std::optional<std::string>> Next();
  // Received bytes that are not yet part of a returned message.
  [[nodiscard]] size_t buffered() const { return buffer_.size() - read_; }

 private:
  std::string buffer_;
  size_t read_ = 0;  // returned bytes of buffer_
};

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_FRAMES_FRAMES_H_
