// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The program's view of the world as values: its streams, environment variables, clock and random
// keys. Tests supply their own.
#ifndef WATTLE_CLI_ENVIRONMENT_H_
#define WATTLE_CLI_ENVIRONMENT_H_

#include <functional>
#include <istream>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "cli/interrupt.h"
#include "cli/text_style.h"

#include "base/clock.h"

namespace wattle::cli {

struct Environment {
  std::istream* in = nullptr;  // standard input, read by "submit -" and "plan -"
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  TextStyle style;        // of `out`
  TextStyle error_style;  // of `err`: progress of transfers goes there
  const Clock* clock = nullptr;
  Interrupt* interrupt = nullptr;
  std::function<std::string(const std::string& name)>
      variable;                          // returns "" if the variable is not set
  std::function<std::string()> new_key;  // 128 random bits, 32 hex digits
  std::function<std::string()> user_name;
  std::function<void(absl::Duration)> sleep;
  // The key that was pressed within the time; "" if none was. Null without a terminal.
  std::function<std::string(absl::Duration)> read_key;
};

// The environment of this process: standard streams, their terminals, NO_COLOR, the real clock.
Environment RealEnvironment(Interrupt* interrupt);

}  // namespace wattle::cli

#endif  // WATTLE_CLI_ENVIRONMENT_H_
