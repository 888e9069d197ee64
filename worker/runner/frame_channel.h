// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Messages on file descriptors, in the frames of worker/child/frames. A reader belongs to one
// thread; a writer may be used from several.
#ifndef WATTLE_WORKER_RUNNER_FRAME_CHANNEL_H_
#define WATTLE_WORKER_RUNNER_FRAME_CHANNEL_H_

#include <mutex>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/message_lite.h"

#include "worker/child/frames/frames.h"

namespace wattle::runner {

class FrameChannelReader {
 public:
  explicit FrameChannelReader(int descriptor) : descriptor_(descriptor) {}

  enum class Outcome {
    kMessage,
    kTimeout,  // nothing arrived in time; read again
    kEnd,      // of the stream, between two messages
  };
  // Waits for the next message; `timeout` applies to the arrival of more bytes. Errors: kDataLoss
  // for an end within a message or for invalid bytes; kInternal for a failed read.
  absl::StatusOr<Outcome> Read(google::protobuf::MessageLite& message,
                               absl::Duration timeout = absl::InfiniteDuration());

 private:
  int descriptor_;
  child::FrameReader frames_;
  bool within_message_ = false;  // whether bytes arrived since the latest whole message
};

class FrameChannelWriter {
 public:
  explicit FrameChannelWriter(int descriptor) : descriptor_(descriptor) {}

  // Writes one whole message. Errors: kUnavailable if the reader is gone.
  absl::Status Write(const google::protobuf::MessageLite& message);

 private:
  int descriptor_;
  std::mutex mutex_;  // one message at a time
};

}  // namespace wattle::runner

#endif  // WATTLE_WORKER_RUNNER_FRAME_CHANNEL_H_
