// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "cli/environment.h"

#include <poll.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "base/standard_output.h"

namespace wattle::cli {
namespace {

std::string Variable(const std::string& name) {
  // This program sets no variables after its start, so every thread may read them.
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

// The first variable that is set decides, as in the C library.
bool LocaleIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (const std::string locale = absl::AsciiStrToLower(Variable(name)); !locale.empty()) {
      return absl::StrContains(locale, "utf-8") || absl::StrContains(locale, "utf8");
    }
  }
  return false;
}

TextStyle StyleOf(int descriptor) {
  TextStyle style;
  style.unicode = LocaleIsUtf8();
  style.is_terminal = isatty(descriptor) == 1 && Variable("TERM") != "dumb";
  if (!style.is_terminal) {
    return style;
  }
  style.width_columns = TerminalColumns(descriptor);
  winsize size = {};
  ioctl(descriptor, TIOCGWINSZ, &size);
  style.height_rows = size.ws_row;
  style.colour = Variable("NO_COLOR").empty();
  return style;
}

// Reads the terminal once: a letter, or the whole sequence of a special key. A terminal that was
// closed counts as the key q.
std::string ReadKey(absl::Duration wait) {
  pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(wait))) <= 0) {
    return "";
  }
  std::array<char, 16> keys = {};
  const ssize_t count = read(STDIN_FILENO, keys.data(), keys.size());
  return count <= 0 ? "q" : std::string(keys.data(), static_cast<size_t>(count));
}

std::string NewKey() {
  std::random_device device;
  std::string key;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(&key, absl::Hex(static_cast<uint32_t>(device()), absl::kZeroPad8));
  }
  return key;
}

std::string UserName() {
  passwd entry = {};
  passwd* found = nullptr;
  std::array<char, 4096> buffer = {};
  if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return absl::StrCat("uid-", getuid());
}

}  // namespace

Environment RealEnvironment(Interrupt* interrupt) {
  Environment environment;
  environment.in = &std::cin;
  environment.out = &std::cout;
  environment.err = &std::cerr;
  environment.style = StyleOf(STDOUT_FILENO);
  environment.error_style = StyleOf(STDERR_FILENO);
  environment.clock = &Clock::Real();
  environment.interrupt = interrupt;
  environment.variable = Variable;
  environment.new_key = NewKey;
  environment.user_name = UserName;
  environment.sleep = absl::SleepFor;
  if (isatty(STDIN_FILENO) == 1) {
    environment.read_key = ReadKey;
  }
  return environment;
}

}  // namespace wattle::cli
