// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Conversations as tokens. Of a training example the tokens that the assistant says count in the
// loss; a prompt ends where the assistant begins to answer. Thread-safe.
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

// The tokens are those of the whole text, special tokens of the template included, as
// transformers' apply_chat_template makes them. A token counts if the assistant says any byte of
// it. A turn ends with its last special token (<|im_end|>): what stands behind it, often a line
// end, is never generated and does not count. Errors: those of the template; kInvalidArgument for a
// message that spells a special token.
absl::StatusOr<ChatTokens> EncodeChat(absl::Span<const ChatMessage> messages,
                                      const ChatTemplate& chat_template,
                                      const BytePairEncoding& tokenizer);

// The text of a prompt, which SpecialTokens::kRecognise encodes without a begin token: the template
// writes its own. Errors: those of EncodeChat.
absl::StatusOr<std::string> WriteChatPrompt(absl::Span<const ChatMessage> messages,
                                            const ChatTemplate& chat_template,
                                            const BytePairEncoding& tokenizer);

// What the template adds to the contents, found from conversations of one and of two questions with
// their answers. Errors: those of EncodeChat; a template may refuse a conversation that begins with
// the user.
absl::StatusOr<v1::ChatTemplateTokens> MeasureChatTemplate(const ChatTemplate& chat_template,
                                                           const BytePairEncoding& tokenizer);

// An example for each conversation. A longer one is cut at its end; one without a token that counts
// after that is dropped. options.loss_on: kAnswer counts as above, kAll every token. Errors:
// kInvalidArgument with the line of `conversations`, and where no example is left.
absl::StatusOr<PackedExamples> PackChat(absl::Span<const Conversation> conversations,
                                        const ChatTemplate& chat_template,
                                        const BytePairEncoding& tokenizer,
                                        const PackOptions& options);

}  // namespace wattle::formats

#endif  // WATTLE_FORMATS_CHAT_EXAMPLES_H_
