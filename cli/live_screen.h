// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Shows a text of several lines again and again. On a terminal the text is rewritten in place, and
// lines that stay the same do not flicker. Elsewhere the texts follow each other. Not thread-safe.
#ifndef WATTLE_CLI_LIVE_SCREEN_H_
#define WATTLE_CLI_LIVE_SCREEN_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/text_style.h"

namespace wattle::cli {

class LiveScreen {
 public:
  // `out` must outlive the screen.
  LiveScreen(std::ostream& out, const TextStyle& style) : out_(out), style_(style) {}

  // text: whole lines, no wider than the terminal. Lines beyond the terminal's height are left out,
  // because a line that scrolled away could not be rewritten.
  void Show(absl::string_view text);

 private:
  std::ostream& out_;
  const TextStyle style_;
  size_t shown_lines_ = 0;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_LIVE_SCREEN_H_
