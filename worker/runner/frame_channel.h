// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Length-delimited messages (a varint length, then the message) on file descriptors, as described
// in proto/wattle/v1/runner.proto. A reader belongs to one thread; a writer may be used from
// several.
#ifndef WATTLE_WORKER_RUNNER_FRAME_CHANNEL_H_
#define WATTLE_WORKER_RUNNER_FRAME_CHANNEL_H_

#include <cstdint>
#include <mutex>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"

namespace wattle::runner {

// A longer message is not one of ours.
inline constexpr uint32_t kFrameBytesMax = 64U << 20;

class FrameReader {
 public:
  explicit FrameReader(int descriptor) : descriptor_(descriptor) {}

  // Waits for the next message. Returns false at the end of the stream, between two messages.
  // Errors: kDataLoss for an end within a message or bytes that are none; kInternal for a failing
  // read.
  absl::StatusOr<bool> Read(google::protobuf::MessageLite& message);

 private:
  int descriptor_;
};

class FrameWriter {
 public:
  explicit FrameWriter(int descriptor) : descriptor_(descriptor) {}

  // One message, whole. Errors: kUnavailable where nobody reads any more.
  absl::Status Write(const google::protobuf::MessageLite& message);

 private:
  int descriptor_;
  std::mutex mutex_;  // one message at a time
};

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_FRAME_CHANNEL_H_
