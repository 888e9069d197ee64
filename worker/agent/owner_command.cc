// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/owner_command.h"

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include <CLI/CLI.hpp>

#include "base/standard_output.h"
#include "worker/agent/config.h"
#include "worker/agent/core/owner_hold.h"
#include "worker/agent/owner_socket.h"

namespace wattle::agent {
namespace {

int Fail(const std::string& program, int code, absl::string_view message) {
  std::fprintf(stderr, "%s: %s\n", program.c_str(), std::string(message).c_str());
  return code;
}

const char* About(absl::string_view word) {
  if (word == "hold") {
    return "The board is yours for a while, also without a link and over reboots: its work saves a "
           "checkpoint and pauses, and goes on by itself afterwards. A second hold replaces the "
           "first.";
  }
  return word == "release" ? "Ends a hold: the board's work goes on."
                           : "What the worker on this board does, and who holds it.";
}

}  // namespace

bool IsOwnerCommand(absl::string_view word) {
  return word == "hold" || word == "release" || word == "status";
}

int RunOwnerCommand(int argc, char** argv) {
  const std::string word = argv[0];
  const std::string program = absl::StrCat("wattle-worker ", word);
  CLI::App app(About(word), program);
  std::string state_directory;
  std::string time;
  if (word == "hold") {
    app.add_option("--for", time, "How long: 30m, 1h, 1h30m; at most 720h (30 days)")->required();
  }
  app.add_option("--state-dir", state_directory,
                 "The worker's folder [~/.local/state/wattle-worker]");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& asked) {  // --help
    std::ostringstream help;
    app.exit(asked, help, std::cerr);
    return PrintHelp(program, help.str());
  } catch (const CLI::ParseError& error) {
    return Fail(program, 2, absl::StrCat(error.what(), "; see ", program, " --help"));
  }
  std::string request = word;
  if (word == "hold") {
    absl::Duration duration;
    if (!absl::ParseDuration(time, &duration)) {
      return Fail(program, 2, absl::StrCat("--for ", time, ": wanted a time such as 30m or 1h30m"));
    }
    if (const absl::Status checked = CheckOwnerHold(duration); !checked.ok()) {
      return Fail(program, 2, absl::StrCat("--for ", time, ": ", std::string(checked.message())));
    }
    absl::StrAppendFormat(&request, " %.3f", absl::ToDoubleSeconds(duration));
  }
  if (state_directory.empty()) {
    state_directory = DefaultStateDirectory("");
  }
  const auto answer = AskWorker(absl::StrCat(state_directory, "/", kOwnerSocket), request);
  if (!answer.ok()) {
    return Fail(program, 1, answer.status().message());
  }
  if (answer->exit_code != 0) {
    return Fail(program, answer->exit_code, answer->text);
  }
  std::fputs(answer->text.c_str(), stdout);
  return AfterOutput(program, 0);
}

}  // namespace wattle::agent
