// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The capabilities of the output. Renderers take the style as a value, so the same function serves
// a terminal, a pipe and a golden test.
#ifndef WATTLE_CLI_TEXT_STYLE_H_
#define WATTLE_CLI_TEXT_STYLE_H_

namespace wattle::cli {

struct TextStyle {
  int width_columns = 0;     // of the terminal; 0: no limit (a pipe, a file)
  int height_rows = 0;       // of the terminal; 0: no terminal
  bool colour = false;       // false without a terminal, and with NO_COLOR
  bool is_terminal = false;  // lines may be rewritten in place
  bool unicode = true;       // the locale has UTF-8
};

}  // namespace wattle::cli

#endif  // WATTLE_CLI_TEXT_STYLE_H_
