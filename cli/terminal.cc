// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace wattle::cli {

void LiveScreen::Show(absl::string_view text) {
  if (!style_.is_terminal) {
    out_ << (shown_lines_ > 0 ? "\n" : "") << text << std::flush;
    shown_lines_ = 1;
    return;
  }
  std::vector<std::string> lines = absl::StrSplit(absl::StripSuffix(text, "\n"), '\n');
  // The last row stays free for the cursor.
  const auto room = static_cast<size_t>(style_.height_rows > 1 ? style_.height_rows - 1 : 0);
  if (room > 0 && lines.size() > room) {
    lines.resize(room);
  }
  std::string frame;
  if (shown_lines_ > 0) {
    absl::StrAppend(&frame, "\x1b[", shown_lines_, "A");  // moves the cursor up to the first line
  }
  for (const std::string& line : lines) {
    absl::StrAppend(&frame, "\r", line, "\x1b[K\n");  // erases the rest of the old line
  }
  absl::StrAppend(&frame, "\x1b[J");  // erases old lines below the new text
  out_ << frame << std::flush;
  shown_lines_ = lines.size();
}

TerminalKeys::TerminalKeys() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) {
    return;
  }
  termios keys = before_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // Ctrl-C still raises a signal
  changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
}

TerminalKeys::~TerminalKeys() {
  if (changed_) {
    // If restoring fails, the user can run `reset`; there is no one left to report the error to.
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
}

}  // namespace wattle::cli
