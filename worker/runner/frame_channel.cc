// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/frame_channel.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

#include "base/status_macros.h"

namespace wattle::runner {

absl::StatusOr<FrameChannelReader::Outcome> FrameChannelReader::Read(
    google::protobuf::MessageLite& message, absl::Duration timeout) {
  std::array<char, 1 << 14> buffer = {};
  const int timeout_ms = timeout == absl::InfiniteDuration()
                             ? -1
                             : static_cast<int>(absl::ToInt64Milliseconds(timeout));
  while (true) {
    WATTLE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, frames_.Next());
    if (bytes.has_value()) {
      within_message_ = frames_.buffered() > 0;
      if (!message.ParseFromString(*bytes)) {
        return absl::DataLossError("a frame is no message");
      }
      return Outcome::kMessage;
    }
    pollfd stream = {descriptor_, POLLIN, 0};
    const int ready = poll(&stream, 1, timeout_ms);
    if (ready == 0) {
      return Outcome::kTimeout;
    }
    const ssize_t got = ready < 0 ? -1 : read(descriptor_, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (got < 0) {
      return absl::InternalError(
          absl::StrCat("reading a frame: ", std::generic_category().message(errno)));
    }
    if (got == 0) {
      if (within_message_) {
        return absl::DataLossError("a frame is cut off");
      }
      return Outcome::kEnd;
    }
    frames_.Append({buffer.data(), static_cast<size_t>(got)});
    within_message_ = true;
  }
}

absl::Status FrameChannelWriter::Write(const google::protobuf::MessageLite& message) {
  const std::string bytes = child::EncodeFrame(message.SerializeAsString());
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = write(descriptor_, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put < 0) {
      return absl::UnavailableError(
          absl::StrCat("writing a frame: ", std::generic_category().message(errno)));
    }
    done += static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

}  // namespace wattle::runner
