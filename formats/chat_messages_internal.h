// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The messages of a conversation in JSON. Private to formats.
#ifndef WATTLE_FORMATS_CHAT_MESSAGES_INTERNAL_H_
#define WATTLE_FORMATS_CHAT_MESSAGES_INTERNAL_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "formats/chat.h"
#include "formats/json.h"

namespace wattle::formats {

// json: the value of "messages". Errors: kInvalidArgument with `where`, the message and the field;
// also for an empty list.
absl::StatusOr<std::vector<ChatMessage>> ParseMessages(const Json& json, absl::string_view where);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_CHAT_MESSAGES_INTERNAL_H_
