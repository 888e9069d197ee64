// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// As long as the object lives, the terminal gives each key at once and does not print it. At most
// one object at a time.
#ifndef WATTLE_CLI_TERMINAL_KEYS_H_
#define WATTLE_CLI_TERMINAL_KEYS_H_

#include <termios.h>

namespace wattle::cli {

class TerminalKeys {
 public:
  // Changes the terminal of the standard input. Does nothing where standard input is no terminal.
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
