// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-powerd: the only program of a board that runs as root. wattle-powerd sets the board's
// power modes and switches the board off, only for the worker, so that the worker and its runners
// need no rights.
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include <CLI/CLI.hpp>

#include "base/file.h"
#include "base/line_socket.h"
#include "base/service_manager.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/power/power_modes.h"
#include "worker/power/power_settings.h"
#include "worker/power/power_verbs.h"
#include "worker/power/powerd_client.h"

namespace {

using wattle::agent::PowerModeRow;

constexpr int kExitUsage = 2;
constexpr mode_t kOwnerAlone = 0600;

struct Flags {
  std::string socket = wattle::agent::kPowerdSocket;
  std::string user = "wattle-worker";
  std::string state_dir = "/var/lib/wattle-powerd";
  std::string root{};
  bool allow_power_off = false;
};

void Say(const std::string& line) {
  std::fprintf(stderr, "wattle-powerd: %s\n", line.c_str());
}

absl::Status RunToItsEnd(std::string program) {
  char* arguments[] = {program.data(), nullptr};
  pid_t child = 0;
  if (const int error = posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ);
      error != 0) {
    return wattle::FileError(error, program, "cannot be started");
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return absl::InternalError(absl::StrCat(program, ": failed; see the board's journal"));
  }
  return absl::OkStatus();
}

// Returns when a signal asks for the end.
void WaitForEnd(const sigset_t& ends) {
  int signal = 0;
  while (sigwait(&ends, &signal) != 0) {
  }
}

int Serve(const Flags& flags, const sigset_t& ends) {
  const passwd* const user = getpwnam(flags.user.c_str());
  if (user == nullptr) {
    Say(absl::StrCat("--user ", flags.user, ": no such user; install wattle.sysusers"));
    return kExitUsage;
  }
  auto disk = wattle::agent::PosixDisk::Open(flags.state_dir);
  if (!disk.ok()) {
    Say(std::string(disk.status().message()));
    return 1;
  }
  const auto boot_id = wattle::ReadWholeFile("/proc/sys/kernel/random/boot_id");
  wattle::agent::PowerSettings settings(
      flags.root, boot_id.ok() ? std::string(absl::StripAsciiWhitespace(*boot_id)) : "",
      disk->get());
  std::vector<PowerModeRow> modes = wattle::agent::BoardModes(flags.root);
  std::function<absl::Status()> power_off;
  if (flags.allow_power_off) {
    power_off = [&flags] { return RunToItsEnd(absl::StrCat(flags.root, "/usr/sbin/poweroff")); };
  }
  wattle::agent::PowerVerbs verbs(std::move(modes), &settings, power_off);
  const auto socket =
      wattle::LineSocket::Listen(flags.socket, {.mode = kOwnerAlone, .user = user->pw_uid},
                                 [&verbs](const std::string& request) {
                                   wattle::LineAnswer answer = verbs.Answer(request);
                                   if (answer.exit_code != 0) {
                                     Say(answer.text);
                                   }
                                   return answer;
                                 });
  if (!socket.ok()) {
    Say(std::string(socket.status().message()));
    return 1;
  }
  const auto manager = wattle::ServiceManager::FromEnvironment();
  manager.Ready("serves the worker");
  WaitForEnd(ends);
  manager.Stopping();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  umask(S_IRWXG | S_IRWXO);
  // Blocked before any thread starts, so that each thread inherits the mask.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  Flags flags;
  CLI::App app("Sets the power modes of this board for wattle-worker, as root.", "wattle-powerd");
  app.set_version_flag("--version", "wattle-powerd " WATTLE_VERSION);
  app.add_option("--socket", flags.socket, "Where the worker asks")->capture_default_str();
  app.add_option("--user", flags.user, "The worker's user: nobody else may ask")
      ->capture_default_str();
  app.add_option("--state-dir", flags.state_dir,
                 "What the board was set to before, so that it can be restored")
      ->capture_default_str();
  app.add_flag("--allow-power-off", flags.allow_power_off,
               "Let the worker switch the board off where a policy says "
               "power_off_state_of_charge_ratio");
  app.add_option(
      "--sensor-root", flags.root,
      "A recorded file tree, with usr/sbin/poweroff, instead of this machine, for tests");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : kExitUsage;
  }
  return Serve(flags, ends);
}
