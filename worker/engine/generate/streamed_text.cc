// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/engine/generate/streamed_text.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/match.h"

namespace wattle::engine {
namespace {

// Length in bytes of the character with this first byte.
size_t CharacterBytes(unsigned char first) {
  return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
}

// The longest suffix of `text` that is a prefix of `stop`.
size_t BegunBytes(absl::string_view text, absl::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (absl::EndsWith(text, stop.substr(0, length))) {
      return length;
    }
  }
  return 0;
}

}  // namespace

size_t WholeCharacters(absl::string_view text) {
  constexpr size_t kLongestCharacter = 4;
  for (size_t back = 1; back <= std::min(kLongestCharacter, text.size()); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0U) != 0x80U) {
      return CharacterBytes(byte) > back ? text.size() - back : text.size();
    }
  }
  return text.size();
}

std::string StreamedText::ShowUpTo(size_t end) {
  std::string more = end > shown_ ? text_.substr(shown_, end - shown_) : "";
  shown_ = std::max(shown_, end);
  return more;
}

std::string StreamedText::Grow(absl::string_view text) {
  text_ = std::string(text);
  size_t first_stop = absl::string_view::npos;
  size_t begun = 0;
  for (const std::string& stop : stops_) {
    first_stop = std::min(first_stop, text_.find(stop));
    begun = std::max(begun, BegunBytes(text_, stop));
  }
  if (first_stop != absl::string_view::npos) {
    stopped_ = true;
    text_.resize(first_stop);
    return ShowUpTo(text_.size());
  }
  return ShowUpTo(WholeCharacters(absl::string_view(text_).substr(0, text_.size() - begun)));
}

std::string StreamedText::End() {
  return ShowUpTo(text_.size());
}

}  // namespace wattle::engine
