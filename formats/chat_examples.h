// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Conversations as tokens. In a training example only the assistant's tokens count in the loss; a
// prompt ends where the assistant begins to answer. Thread-safe.
#ifndef WATTLE_FORMATS_CHAT_EXAMPLES_H_
#define WATTLE_FORMATS_CHAT_EXAMPLES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "formats/byte_pair_encoding.h"
#include "formats/chat.h"
#include "formats/chat_template.h"
#include "formats/squad.h"
#include "wattle/v1/artifact.pb.h"

namespace wattle::formats {

struct ChatTokens {
  std::vector<int64_t> tokens;
  std::vector<bool> counts;  // one for each token
};

// Tokens of the whole text with the template's special tokens, as transformers' apply_chat_template
// produces them. A token counts if any of its bytes belongs to the assistant. A turn ends with its
// last special token (<|im_end|>): the text after it, often a line end, is never generated and does
// not count. Errors: those of the template; kInvalidArgument for a message that spells a special
// token.
absl::StatusOr<ChatTokens> EncodeChat(absl::Span<const ChatMessage> messages,
                                      const ChatTemplate& chat_template,
                                      const BytePairEncoding& tokenizer);

// The text of a prompt. Encode it with SpecialTokens::kRecognise and without a begin token, because
// the template writes its own. Errors: those of EncodeChat.
absl::StatusOr<std::string> WriteChatPrompt(absl::Span<const ChatMessage> messages,
                                            const ChatTemplate& chat_template,
                                            const BytePairEncoding& tokenizer);

// The text that the template adds to the contents, measured on conversations of one and of two
// questions with their answers. Errors: those of EncodeChat; a template may refuse a conversation
// that begins with the user.
absl::StatusOr<v1::ChatTemplateTokens> MeasureChatTemplate(const ChatTemplate& chat_template,
                                                           const BytePairEncoding& tokenizer);

// One example per conversation. A longer conversation is cut at its end; an example that then has
// no counting token is dropped. options.loss_on: kAnswer counts the assistant's tokens, kAll every
// token. Errors: kInvalidArgument with the line of `conversations`, and if no example is left.
absl::StatusOr<PackedExamples> PackChat(absl::Span<const Conversation> conversations,
                                        const ChatTemplate& chat_template,
                                        const BytePairEncoding& tokenizer,
                                        const PackOptions& options);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_CHAT_EXAMPLES_H_
