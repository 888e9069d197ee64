// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A text of several lines that is shown again and again: in place on a terminal, where the lines
// that stay the same do not flicker; elsewhere one below the other. Not thread-safe.
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
  // `out` must outlive this.
  LiveScreen(std::ostream& out, const TextStyle& style) : out_(out), style_(style) {}

  // text: whole lines, no wider than the terminal. Lines beyond its height are left out, for what
  // scrolled away could not be rewritten.
  void Show(absl::string_view text);

 private:
  std::ostream& out_;
  const TextStyle style_;
  size_t shown_lines_ = 0;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_LIVE_SCREEN_H_
