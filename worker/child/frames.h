// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Frames on the pipe between agent and runner: a varint length, then that many bytes of a message.
// One thread owns a FrameReader.
#ifndef WATTLE_WORKER_CHILD_FRAMES_H_
#define WATTLE_WORKER_CHILD_FRAMES_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::child {

// A frame larger than this is a broken stream: the largest real one carries a few prompts.
inline constexpr size_t kFrameSizeMax = size_t{64} << 20;

// message, framed.
std::string EncodeFrame(absl::string_view message);

class FrameReader {
 public:
  void Append(absl::string_view bytes) { buffer_.append(bytes.data(), bytes.size()); }
  // The next whole message; nullopt: more bytes are wanted. kDataLoss: not a frame; the stream is
  // of no more use.
  absl::StatusOr<std::optional<std::string>> Next();

 private:
  std::string buffer_;
  size_t read_ = 0;  // of buffer_
};

}  // namespace wattle::child

#endif  // WATTLE_WORKER_CHILD_FRAMES_H_
