// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/runner/frame_channel.h"

#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace wattle::runner {
namespace {

constexpr int kVarintBytesMax = 5;  // of 32 bits, seven in each byte

// Reads `size` bytes; returns how many there were before the end of the stream.
absl::StatusOr<size_t> ReadAll(int descriptor, char* bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = read(descriptor, bytes + done, size - done);
    if (got == 0) {
      break;
    }
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return absl::InternalError(
          absl::StrCat("reading a frame: ", std::generic_category().message(errno)));
    }
    done += static_cast<size_t>(got);
  }
  return done;
}

}  // namespace

absl::StatusOr<bool> FrameReader::Read(google::protobuf::MessageLite& message) {
  uint32_t size = 0;
  for (int i = 0;; ++i) {
    char byte = 0;
    const auto got = ReadAll(descriptor_, &byte, 1);
    if (!got.ok()) {
      return got.status();
    }
    if (*got == 0 && i == 0) {
      return false;
    }
    if (*got == 0 || i == kVarintBytesMax) {
      return absl::DataLossError("a frame's length is cut off or too long");
    }
    size |= static_cast<uint32_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) {
      break;
    }
  }
  if (size > kFrameBytesMax) {
    return absl::DataLossError(absl::StrCat("a frame of ", size, " bytes is too long"));
  }
  std::string bytes(size, '\0');
  const auto got = ReadAll(descriptor_, bytes.data(), size);
  if (!got.ok()) {
    return got.status();
  }
  if (*got != size || !message.ParseFromString(bytes)) {
    return absl::DataLossError("a frame is cut off or is no message");
  }
  return true;
}

absl::Status FrameWriter::Write(const google::protobuf::MessageLite& message) {
  const std::string body = message.SerializeAsString();
  std::string bytes;
  for (size_t size = body.size();; size >>= 7) {
    const auto low = static_cast<char>(size & 0x7F);
    if (size < 0x80) {
      bytes.push_back(low);
      break;
    }
    bytes.push_back(static_cast<char>(low | 0x80));
  }
  bytes += body;
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
