// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/storage/record_file.h"

#include "base/crc32c.h"
#include "worker/agent/storage/bytes_internal.h"

namespace wattle::agent {
namespace {

// The first byte cannot begin a protobuf message (wire type 7), so no bare message looks like this.
constexpr absl::string_view kRecordMagic = "wattle-record-1\n";
constexpr size_t kRecordFileHeaderSize = kRecordMagic.size() + 4;

bool Decode(absl::string_view bytes, google::protobuf::MessageLite& message) {
  if (bytes.substr(0, kRecordMagic.size()) != kRecordMagic) {
    return !bytes.empty() && message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  }
  if (bytes.size() < kRecordFileHeaderSize) {
    return false;
  }
  const absl::string_view body = bytes.substr(kRecordFileHeaderSize);
  return ReadLittleEndian(bytes.substr(kRecordMagic.size(), 4)) == Crc32c(body) &&
         message.ParseFromArray(body.data(), static_cast<int>(body.size()));
}

}  // namespace

std::string EncodeRecord(const google::protobuf::MessageLite& message) {
  const std::string body = message.SerializeAsString();
  std::string bytes(kRecordMagic);
  AppendLittleEndian(Crc32c(body), 4, &bytes);
  return bytes + body;
}

absl::Status DecodeRecord(absl::string_view bytes, google::protobuf::MessageLite& message) {
  if (Decode(bytes, message)) {
    return absl::OkStatus();
  }
  message.Clear();
  return absl::DataLossError(bytes.empty() ? "the file is empty" : "the file is damaged");
}

}  // namespace wattle::agent
