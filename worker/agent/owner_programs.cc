// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/owner_programs.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace wattle::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kCommBytes = 15;  // TASK_COMM_LEN of Linux without the terminator

// The text up to `end`; "" for a process that has ended, and for the kernel's own.
std::string FirstText(const fs::path& path, char end) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text, end);
  return text;
}

}  // namespace

bool SeesProgramsOfOthers(const std::string& root) {
  std::error_code ignored;
  return fs::exists(root + "/proc/1/comm", ignored);
}

std::string RunningProgram(const std::string& root, const std::vector<std::string>& names) {
  std::set<std::string> running;
  std::error_code ended;
  for (fs::directory_iterator process(root + "/proc", ended), none; process != none;
       process.increment(ended)) {
    const std::string number = process->path().filename().string();
    if (!std::all_of(number.begin(), number.end(), absl::ascii_isdigit)) {
      continue;
    }
    running.insert(FirstText(process->path() / "comm", '\n'));
    running.insert(fs::path(FirstText(process->path() / "cmdline", '\0')).filename().string());
  }
  const auto found = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
    return running.contains(name) || running.contains(name.substr(0, kCommBytes));
  });
  return found == names.end() ? "" : *found;
}

}  // namespace wattle::agent
