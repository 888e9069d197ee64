// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A terminal that gives each key at once and does not print it, as long as this lives. One at a
// time.
#ifndef WATTLE_CLI_TERMINAL_KEYS_H_
#define WATTLE_CLI_TERMINAL_KEYS_H_

#include <termios.h>

namespace wattle::cli {

class TerminalKeys {
 public:
  // Of the standard input; nothing happens where that is no terminal.
  TerminalKeys();
  ~TerminalKeys();
  TerminalKeys(const TerminalKeys&) = delete;
  TerminalKeys& operator=(const TerminalKeys&) = delete;

 private:
  termios before_ = {};
  bool changed_ = false;
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TERMINAL_KEYS_H_
