// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/http2/frame_checker.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "base/http2/header_block.h"
#include "base/status_macros.h"

namespace wattle::http2 {
namespace {

// RFC 9113 has the preface (3.4) and the frames (4.1, 6).
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kHeadBytes = 9;
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kPriority = 2;
constexpr uint8_t kResetStream = 3;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPushPromise = 5;
constexpr uint8_t kPing = 6;
constexpr uint8_t kGoAway = 7;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kTypes = 10;
constexpr uint8_t kEndStream = 0x01;  // An acknowledgement in settings and pings.
constexpr uint8_t kAcknowledges = 0x01;
constexpr uint8_t kEndHeaders = 0x04;
constexpr uint8_t kPadded = 0x08;
constexpr uint8_t kHasPriority = 0x20;
constexpr size_t kPriorityBytes = 5;
// The size that every server takes; data may be larger, once gRPC has said so.
constexpr size_t kFrameBytesMax = size_t{16} << 10;
constexpr size_t kSettingBytes = 6;
constexpr size_t kSettingsMax = 20;
constexpr size_t kGoAwayBytesMax = 1024;

uint32_t BigEndian(absl::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) {
    value = value << 8 | static_cast<uint8_t>(byte);
  }
  return value;
}

absl::Status Wrong(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("HTTP/2: ", what));
}

}  // namespace

bool Allowance::Take(Monotonic now) {
  left_ = std::min(at_once_, left_ + per_second_ * absl::ToDoubleSeconds(now - at_));
  at_ = now;
  if (left_ < 1) {
    return false;
  }
  left_ -= 1;
  return true;
}

void Allowance::Add(double more) {
  left_ = std::min(at_once_, left_ + more);
}

absl::Status FrameChecker::Take(absl::string_view bytes, Monotonic now, std::string& passed) {
  while (broken_.ok() && !bytes.empty()) {
    if (preface_bytes_ < kPreface.size()) {
      broken_ = TakePreface(bytes, passed);
    } else if (!in_frame_) {
      broken_ = TakeHead(bytes, now, passed);
    } else {
      const absl::string_view part = bytes.substr(0, payload_left_);
      absl::StrAppend(streams_through_ ? &passed : &payload_, part);
      bytes.remove_prefix(part.size());
      payload_left_ -= part.size();
      if (payload_left_ == 0) {
        broken_ = EndFrame(passed);
      }
    }
  }
  return broken_;
}

void FrameChecker::NoteAnswered(size_t bytes) {
  window_updates_.Add(static_cast<double>(bytes) / kBytesForAWindowUpdate);
}

absl::Status FrameChecker::TakePreface(absl::string_view& bytes, std::string& passed) {
  const absl::string_view wanted = kPreface.substr(preface_bytes_, bytes.size());
  if (!absl::StartsWith(bytes, wanted)) {
    return Wrong("the client begins with another text than PRI * HTTP/2.0");
  }
  preface_bytes_ += wanted.size();
  bytes.remove_prefix(wanted.size());
  if (preface_bytes_ == kPreface.size()) {
    absl::StrAppend(&passed, kPreface);
  }
  return absl::OkStatus();
}

absl::Status FrameChecker::TakeHead(absl::string_view& bytes, Monotonic now, std::string& passed) {
  const absl::string_view part = bytes.substr(0, kHeadBytes - head_bytes_.size());
  absl::StrAppend(&head_bytes_, part);
  bytes.remove_prefix(part.size());
  if (head_bytes_.size() < kHeadBytes) {
    return absl::OkStatus();
  }
  const absl::string_view head = head_bytes_;
  head_ = {.length = BigEndian(head.substr(0, 3)),
           .type = static_cast<uint8_t>(head[3]),
           .flags = static_cast<uint8_t>(head[4]),
           .stream = BigEndian(head.substr(5)) & 0x7fffffffU};
  head_bytes_.clear();
  return BeginFrame(now, passed);
}

absl::Status FrameChecker::BeginFrame(Monotonic now, std::string& passed) {
  if (in_block_ && (head_.type != kContinuation || head_.stream != block_stream_)) {
    return Wrong("another frame within a header block");
  }
  if (!in_block_ && head_.type == kContinuation) {
    return Wrong("CONTINUATION without a header block");
  }
  const bool is_of_a_call = head_.type == kData || head_.type == kHeaders;
  if (is_of_a_call && head_.stream % 2 == 0) {
    return Wrong(absl::StrCat("stream ", head_.stream, " is no client's"));
  }
  if (head_.type != kData && head_.length > kFrameBytesMax) {
    return Wrong(absl::StrCat("a frame of ", head_.length, " bytes"));
  }
  const bool moves_data = head_.length > 0 || (head_.flags & kEndStream) != 0;
  const bool is_block = head_.type == kHeaders || head_.type == kContinuation;
  if (head_.type == kWindowUpdate) {
    if (!window_updates_.Take(now)) {
      return absl::ResourceExhaustedError("HTTP/2: too many WINDOW_UPDATE frames");
    }
  } else if (!is_block && !(head_.type == kData && moves_data)) {
    WATTLE_RETURN_IF_ERROR(TakeControlFrame(now));
  }
  in_frame_ = true;
  payload_.clear();
  payload_left_ = head_.length;
  streams_through_ = head_.type == kData;
  if (streams_through_) {
    if ((head_.flags & ~kEndStream) != 0) {
      return Wrong("DATA with padding, which gRPC has not");
    }
    PassHead(head_.length, head_.type, head_.flags, head_.stream, passed);
  }
  return payload_left_ == 0 ? EndFrame(passed) : absl::OkStatus();
}

absl::Status FrameChecker::TakeControlFrame(Monotonic now) {
  return control_frames_.Take(now)
             ? absl::OkStatus()
             : absl::ResourceExhaustedError(absl::StrCat(
                   "HTTP/2: too many frames that move no data, the last of type ", head_.type));
}

absl::Status FrameChecker::EndFrame(std::string& passed) {
  in_frame_ = false;
  if (head_.type == kData || head_.type == kPriority || head_.type >= kTypes) {
    return absl::OkStatus();  // Was passed; or says nothing to a server of gRPC, and ends here.
  }
  if (head_.type == kHeaders) {
    return TakeHeaders(passed);
  }
  if (head_.type == kContinuation) {
    if (++continuations_ > kContinuationsMax) {
      return Wrong("too many CONTINUATION frames");
    }
    return TakeFragment(payload_, passed);
  }
  WATTLE_RETURN_IF_ERROR(CheckControlFrame());
  PassHead(payload_.size(), head_.type, head_.flags, head_.stream, passed);
  absl::StrAppend(&passed, payload_);
  return absl::OkStatus();
}

absl::Status FrameChecker::CheckControlFrame() const {
  const size_t size = payload_.size();
  const bool is_of_connection = head_.stream == 0;
  bool right = false;
  switch (head_.type) {
    case kResetStream:
      right = size == 4 && head_.stream % 2 == 1;
      break;
    case kSettings:
      right = is_of_connection && size % kSettingBytes == 0 &&
              size <= ((head_.flags & kAcknowledges) != 0 ? 0 : kSettingBytes * kSettingsMax);
      break;
    case kPing:
      right = is_of_connection && size == 8;
      break;
    case kGoAway:
      right = is_of_connection && size >= 8 && size <= kGoAwayBytesMax;
      break;
    case kWindowUpdate:
      right = size == 4 && (BigEndian(payload_) & 0x7fffffffU) != 0;
      break;
    case kPushPromise:  // A server's.
    default:
      break;
  }
  return right ? absl::OkStatus()
               : Wrong(absl::StrCat("a frame of type ", head_.type, " on stream ", head_.stream,
                                    " with ", size, " bytes"));
}

absl::Status FrameChecker::TakeHeaders(std::string& passed) {
  absl::string_view fragment = payload_;
  size_t padding = 0;
  if ((head_.flags & kPadded) != 0) {
    if (fragment.empty()) {
      return Wrong("HEADERS without the length of their padding");
    }
    padding = static_cast<uint8_t>(fragment[0]);
    fragment.remove_prefix(1);
  }
  const size_t priority = (head_.flags & kHasPriority) != 0 ? kPriorityBytes : 0;
  if (padding + priority > fragment.size()) {
    return Wrong("HEADERS with more padding than bytes");
  }
  fragment.remove_prefix(priority);
  fragment.remove_suffix(padding);
  in_block_ = true;
  block_.clear();
  block_stream_ = head_.stream;
  block_flags_ = head_.flags & kEndStream;
  continuations_ = 0;
  return TakeFragment(fragment, passed);
}

absl::Status FrameChecker::TakeFragment(absl::string_view fragment, std::string& passed) {
  if (block_.size() + fragment.size() > kHeaderBlockBytesMax) {
    return Wrong(absl::StrCat("a header block of more than ", kHeaderBlockBytesMax, " bytes"));
  }
  absl::StrAppend(&block_, fragment);
  return (head_.flags & kEndHeaders) != 0 ? PassBlock(passed) : absl::OkStatus();
}

absl::Status FrameChecker::PassBlock(std::string& passed) {
  in_block_ = false;
  if (const absl::Status checked = CheckHeaderBlock(block_); !checked.ok()) {
    return Wrong(absl::StrCat("a header block with ", checked.message()));
  }
  absl::StrAppend(&block_, field_);
  uint8_t type = kHeaders;
  uint8_t flags = block_flags_;
  for (absl::string_view left = block_; !left.empty(); flags = 0) {
    const absl::string_view part = left.substr(0, kFrameBytesMax);
    left.remove_prefix(part.size());
    PassHead(part.size(), type, flags | (left.empty() ? kEndHeaders : 0), block_stream_, passed);
    absl::StrAppend(&passed, part);
    type = kContinuation;
  }
  block_.clear();
  return absl::OkStatus();
}

void FrameChecker::PassHead(size_t length, uint8_t type, uint8_t flags, uint32_t stream,
                            std::string& passed) const {
  for (const int shift : {16, 8, 0}) {
    passed.push_back(static_cast<char>(length >> shift));
  }
  passed.push_back(static_cast<char>(type));
  passed.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) {
    passed.push_back(static_cast<char>(stream >> shift));
  }
}

}  // namespace wattle::http2
