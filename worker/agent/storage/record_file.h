// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The format of a small record on the worker's disk: a magic line, the CRC-32C of the message, and
// the message. The checksum finds damage that a protobuf parser would accept. An empty file is
// damaged too. Functions are thread-safe.
#ifndef WATTLE_WORKER_AGENT_STORAGE_RECORD_FILE_H_
#define WATTLE_WORKER_AGENT_STORAGE_RECORD_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message_lite.h"

namespace wattle::agent {

std::string EncodeRecord(const google::protobuf::MessageLite& message);

// Reads a record into `message`. Also reads records of older workers, which hold only the message.
// Errors: kDataLoss if the bytes are no complete record; `message` is then empty.
absl::Status DecodeRecord(absl::string_view bytes, google::protobuf::MessageLite& message);

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_STORAGE_RECORD_FILE_H_
