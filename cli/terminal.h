// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The terminal of a long-running command, such as `wattle top`: a screen that is rewritten, and
// keys without waiting for Enter. Not thread-safe.
#ifndef WATTLE_CLI_TERMINAL_H_
#define WATTLE_CLI_TERMINAL_H_

#include <termios.h>

#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "cli/text_style.h"

namespace wattle::cli {

// Shows a text of several lines again and again. On a terminal the text is rewritten in place, and
// unchanged lines do not flicker. Elsewhere the texts follow each other.
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

// While the object exists, the terminal delivers each key at once and does not print it. At most
// one object at a time.
class TerminalKeys {
 public:
  // Changes the terminal of the standard input. Does nothing if standard input is not a terminal.
  TerminalKeys();
  ~TerminalKeys();
  TerminalKeys(const TerminalKeys&) = delete;
  TerminalKeys& operator=(const TerminalKeys&) = delete;

 private:
  termios before_ = {};
  bool changed_ = false;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TERMINAL_H_
