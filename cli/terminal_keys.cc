// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/terminal_keys.h"

#include <unistd.h>

namespace wattle::cli {

TerminalKeys::TerminalKeys() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) {
    return;
  }
  termios keys = before_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // Ctrl-C stays a signal.
  changed_ = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
}

TerminalKeys::~TerminalKeys() {
  if (changed_) {
    // What cannot be restored here is restored by `reset`; there is nobody left to tell.
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
}

}  // namespace wattle::cli
