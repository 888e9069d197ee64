// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle-launch: the program that the service starts and that no upgrade changes. wattle-launch
// counts the starts of a release on trial, returns to the old release when the trial is over, and
// becomes the worker of the release that the link points to. During a trial, a second process ends
// a worker that hangs.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "base/clock.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "worker/agent/storage/posix_disk.h"
#include "worker/agent/storage/record_file.h"
#include "worker/agent/storage/upgrade_file.h"
#include "worker/upgrade/releases.h"
#include "worker/upgrade/trial.h"

namespace {

using wattle::Clock;
using wattle::Monotonic;
using wattle::agent::PosixDisk;
using wattle::upgrade::Releases;
namespace v1 = wattle::v1;
namespace fs = std::filesystem;

constexpr char kWorker[] = "wattle-worker";
constexpr int kExitUsage = 2;
constexpr char kHelp[] =
    "Usage: wattle-launch --state-dir DIR --releases DIR [FLAGS OF wattle-worker]\n"
    "Starts RELEASES/current/bin/wattle-worker with all of these flags, or the wattle-worker "
    "beside "
    "this program\nwhere there is no release. A release that does not pass its test is left. In "
    "place of a worker that cannot\nbe executed it starts another kept release, else the worker "
    "beside this program.\n";

void Say(const std::string& line) {
  std::fprintf(stderr, "wattle-launch: %s\n", line.c_str());
}

std::string BootId() {
  const auto text = wattle::ReadWholeFile("/proc/sys/kernel/random/boot_id");
  return text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : "";
}

// The value of a flag in the form "--state-dir DIR"; "": absent.
std::string ValueOf(absl::string_view flag, int argc, char** argv) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (flag == argv[i]) {
      return argv[i + 1];
    }
  }
  return "";
}

// Waits until the worker (`process`, its directory in /proc) ends or the trial's time is over.
// Reads the record directly, because the worker holds the folder's lock.
void WatchTrial(int process, pid_t worker, const std::string& record_path, Monotonic until) {
  while (faccessat(process, "stat", F_OK, 0) == 0) {
    if (Clock::Real().Boottime() < until) {
      absl::SleepFor(absl::Seconds(1));
      continue;
    }
    v1::UpgradeRecord record;
    const auto bytes = wattle::ReadWholeFile(record_path);
    if (bytes.ok() && wattle::agent::DecodeRecord(*bytes, record).ok() &&
        wattle::upgrade::OnTrial(record)) {
      Say("the release did not pass its test in time; its worker is ended");
      kill(worker, SIGKILL);
    }
    return;
  }
}

// Forks twice, so that the worker has no unknown child.
void StartWatch(const std::string& state_dir, Monotonic until) {
  const pid_t worker = getpid();
  const int process =
      open(absl::StrCat("/proc/", worker).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const pid_t between = process < 0 ? -1 : fork();
  if (between == 0) {
    if (fork() == 0) {
      WatchTrial(process, worker, state_dir + "/upgrade.pb", until);
    }
    _exit(0);
  }
  if (between > 0) {
    waitpid(between, nullptr, 0);
  } else {
    Say("cannot watch the trial; a worker that hangs is left to the service manager");
  }
  if (process >= 0) {
    close(process);
  }
}

std::string InstalledWorker() {
  std::error_code ignored;
  return (fs::read_symlink("/proc/self/exe", ignored).parent_path() / kWorker).string();
}

std::string ProgramToStart(const Releases& releases) {
  return releases.Current().empty() ? InstalledWorker() : releases.Program(kWorker);
}

// Programs that may replace one that cannot be executed, the best first, without releases that
// failed their test.
std::vector<std::string> OtherPrograms(const Releases& releases, const v1::UpgradeRecord& record) {
  std::vector<std::string> programs;
  for (const std::string& version : releases.Kept()) {
    const bool failed = !record.failure().empty() && version == record.order().version();
    if (version != releases.Current() && !failed) {
      programs.push_back(releases.ProgramOf(version, kWorker));
    }
  }
  if (!releases.Current().empty()) {
    programs.push_back(InstalledWorker());
  }
  return programs;
}

// Executes the program. Returns only on failure, with the reason.
std::string Become(std::string program, char** argv) {
  argv[0] = program.data();
  execv(program.c_str(), argv);
  return absl::StrCat(program, ": cannot be started: ", std::strerror(errno));
}

// The link stays: if a disk was mounted late, the next start finds the release again.
void BecomeAnother(std::string problem, const std::vector<std::string>& programs, char** argv) {
  for (const std::string& program : programs) {
    Say(absl::StrCat(problem, "; starts ", program, " in its place"));
    problem = Become(program, argv);
  }
  Say(absl::StrCat(problem, "; install wattle-worker beside wattle-launch"));
}

// The record first, then the link. If the disk refuses the record, the link stays, and the next
// start tries again.
void Follow(const wattle::upgrade::Launch& launch, const Releases& releases, PosixDisk& disk,
            v1::UpgradeRecord& record) {
  if (launch.record.has_value()) {
    const absl::Status written = wattle::agent::WriteUpgradeRecord(*launch.record, disk);
    if (!written.ok()) {
      return Say(std::string(written.message()));
    }
    wattle::CrashPoint("launch:recorded");
    if (record.failure().empty() && !launch.record->failure().empty()) {
      Say(absl::StrCat("release ", record.order().version(), ": ", launch.record->failure()));
    }
    record = *launch.record;
  }
  if (launch.release.has_value()) {
    const absl::Status switched = releases.Switch(*launch.release);
    if (!switched.ok()) {
      Say(std::string(switched.message()));
    }
  }
}

int Launch(const std::string& state_dir, const std::string& releases_dir, char** argv) {
  auto disk = PosixDisk::Open(state_dir);
  if (!disk.ok()) {
    Say(std::string(disk.status().message()));
    return 1;
  }
  const Releases releases(releases_dir);
  v1::UpgradeRecord record = wattle::agent::ReadUpgradeRecord(**disk);
  const Monotonic now = Clock::Real().Boottime();
  Follow(wattle::upgrade::PlanLaunch(record, BootId(), now), releases, **disk, record);
  disk->reset();  // the worker takes the lock
  const bool on_trial = wattle::upgrade::OnTrial(record);
  if (on_trial) {
    StartWatch(state_dir, now + wattle::upgrade::TrialLeft(record, BootId(), now));
  }
  std::string problem = Become(ProgramToStart(releases), argv);
  if (on_trial) {
    Say(problem);
    disk = PosixDisk::Open(state_dir);
    if (!disk.ok()) {
      return 1;  // The trial continues at the next start.
    }
    v1::UpgradeRecord failed = record;
    failed.set_failure(problem + "; is the build of this board's architecture?");
    Follow({.record = failed, .release = failed.from_release()}, releases, **disk, record);
    disk->reset();
    problem = Become(ProgramToStart(releases), argv);
  }
  BecomeAnother(std::move(problem), OtherPrograms(releases, record), argv);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  umask(S_IRWXG | S_IRWXO);
  const std::string state_dir = ValueOf("--state-dir", argc, argv);
  const std::string releases_dir = ValueOf("--releases", argc, argv);
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  if (state_dir.empty() || releases_dir.empty()) {
    Say("wants --state-dir DIR and --releases DIR; see wattle-launch --help");
    return kExitUsage;
  }
  return Launch(state_dir, releases_dir, argv);
}
