// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The text of one generation while it grows: where a stop text ends it, and which part can be shown
// already. Held back are the bytes of an incomplete character, and a suffix that may become a stop
// text. Pure; plain C++. Not thread-safe.
#ifndef WATTLE_WORKER_ENGINE_GENERATE_STREAMED_TEXT_H_
#define WATTLE_WORKER_ENGINE_GENERATE_STREAMED_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace wattle::engine {

// Length of the prefix that consists of whole UTF-8 characters, where only the last character can
// be incomplete: an invalid byte counts as a character.
[[nodiscard]] size_t WholeCharacters(absl::string_view text);

class StreamedText {
 public:
  // stops: non-empty texts; may be none.
  explicit StreamedText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The whole text so far, which must begin with that of the preceding call. Returns the newly
  // visible part.
  std::string Grow(absl::string_view text);
  // No more text comes. Returns the part still held back.
  std::string End();

  // Whether a stop text was found; text() is cut before the first one.
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
