// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/child/frames/frames.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace wattle::child {

std::string EncodeFrame(absl::string_view message) {
  std::string frame;
  frame.reserve(message.size() + 5);
  uint64_t size = message.size();
  while (size >= 0x80) {
    frame.push_back(static_cast<char>((size & 0x7f) | 0x80));
    size >>= 7;
  }
  frame.push_back(static_cast<char>(size));
  frame.append(message.data(), message.size());
  return frame;
}

absl::StatusOr<std::optional<std::string>> FrameReader::Next() {
  uint64_t size = 0;
  size_t at = read_;
  for (int shift = 0;; shift += 7) {
    if (shift > 28) {
      return absl::DataLossError("the length of a frame is not a varint");
    }
    if (at == buffer_.size()) {
      return std::optional<std::string>();
    }
    const auto byte = static_cast<unsigned char>(buffer_[at++]);
    size |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      break;
    }
  }
  if (size > kFrameSizeMax) {
    return absl::DataLossError(absl::StrCat("a frame of ", size, " bytes is too long"));
  }
  if (buffer_.size() - at < size) {
    return std::optional<std::string>();
  }
  std::optional<std::string> message = buffer_.substr(at, size);
  read_ = at + size;
  if (read_ == buffer_.size()) {
    buffer_.clear();
    read_ = 0;
  } else if (read_ > (size_t{1} << 16)) {
    buffer_.erase(0, read_);
    read_ = 0;
  }
  return message;
}

}  // namespace wattle::child
