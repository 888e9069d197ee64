// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/board_load.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "telemetry/sensors/pressure.h"
#include "telemetry/sensors/sysfs.h"

namespace wattle::agent {
namespace {

struct Process {
  int64_t parent = 0;
  int64_t ticks = 0;  // its own, and those of its children that have ended
};

int64_t NumberAt(const std::vector<absl::string_view>& words, size_t index) {
  int64_t number = 0;
  return index < words.size() && absl::SimpleAtoi(words[index], &number) ? number : 0;
}

// "812 (a name) S 1 …": a name may hold spaces and brackets. Fields 4 and 14 to 17 of proc(5).
Process ProcessOf(absl::string_view text) {
  const size_t name_end = text.rfind(')');
  if (name_end == absl::string_view::npos) {
    return {};
  }
  const std::vector<absl::string_view> words =
      absl::StrSplit(text.substr(name_end + 1), ' ', absl::SkipEmpty());
  return {.parent = NumberAt(words, 1),
          .ticks = NumberAt(words, 11) + NumberAt(words, 12) + NumberAt(words, 13) +
                   NumberAt(words, 14)};
}

std::map<int64_t, Process> ReadProcesses(const std::string& root) {
  std::map<int64_t, Process> processes;
  for (const std::string& name : telemetry::ListDirectory(root + "/proc")) {
    int64_t number = 0;
    if (!std::all_of(name.begin(), name.end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(name, &number)) {
      continue;
    }
    // A process may end meanwhile.
    processes[number] =
        ProcessOf(telemetry::ReadText(absl::StrCat(root, "/proc/", name, "/stat")).value_or(""));
  }
  return processes;
}

bool Descends(const std::map<int64_t, Process>& processes, int64_t number, int64_t from) {
  // A process number may be reused while the list is read, so parents could form a ring.
  for (size_t depth = 0; depth <= processes.size() && number != from; ++depth) {
    const auto process = processes.find(number);
    if (process == processes.end()) {
      return false;
    }
    number = process->second.parent;
  }
  return number == from;
}

}  // namespace

BoardLoad ReadBoardLoad(const std::string& root, pid_t worker) {
  BoardLoad load;
  int64_t busy_ticks = 0;
  const std::string stat = telemetry::ReadText(root + "/proc/stat").value_or("");
  for (const absl::string_view line : absl::StrSplit(stat, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() > 8 && words[0] == "cpu") {
      // user, nice, system, then idle and iowait, then irq, softirq, steal.
      for (const size_t field : {1, 2, 3, 6, 7, 8}) {
        busy_ticks += NumberAt(words, field);
      }
    } else if (!words.empty() && absl::StartsWith(words[0], "cpu")) {
      ++load.cores;
    }
  }
  int64_t own_ticks = 0;
  const std::map<int64_t, Process> processes = ReadProcesses(root);
  for (const auto& [number, process] : processes) {
    own_ticks += Descends(processes, number, worker) ? process.ticks : 0;
  }
  const absl::Duration tick = absl::Seconds(1) / static_cast<double>(sysconf(_SC_CLK_TCK));
  load.busy = busy_ticks * tick;
  load.own = own_ticks * tick;
  load.waited = telemetry::StalledTime(root, "cpu", "some");
  return load;
}

}  // namespace wattle::agent
