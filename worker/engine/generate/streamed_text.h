// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text of one generation while it grows: where a stop text ends it, and which part may be shown
// already. Held back are the bytes of a character that is not whole yet, and an end that may become
// a stop text. Pure; plain C++. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_STREAMED_TEXT_H_
#define WATTLE_WORKER_ENGINE_GENERATE_STREAMED_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace wattle::engine {

// How many bytes at the front are whole UTF-8 characters, as far as the last one can tell: a byte
// that is no character anywhere counts as one.
[[nodiscard]] size_t WholeCharacters(absl::string_view text);

class StreamedText {
 public:
  // stops: not empty texts; may be none.
  explicit StreamedText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The whole text so far, which begins with the one of the call before. Returns what can be shown
  // beyond what was shown before.
  std::string Grow(absl::string_view text);
  // No more text comes: what is still held back.
  std::string End();

  // Whether a stop text was met; text() is cut before the first of them.
  [[nodiscard]] bool stopped() const { return stopped_; }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string ShowUpTo(size_t end);

  std::vector<std::string> stops_;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false;
};

}  // namespace wattle::engine

#endif  // WATTLE_WORKER_ENGINE_GENERATE_STREAMED_TEXT_H_
