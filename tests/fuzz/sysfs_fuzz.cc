// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

#include "telemetry/sensors/registry.h"
#include "tests/fuzz/fuzz_file.h"
#include "tests/fuzz/fuzz_target.h"
#include "worker/power/power_modes.h"

// Lines PATH=VALUE are files of a board's /sys and /etc.
WATTLE_FUZZ_TARGET(sysfs, bytes) {
  constexpr size_t kFilesMax = 40;
  std::map<std::string, std::string> files;
  for (const absl::string_view line : absl::StrSplit(bytes, '\n')) {
    const std::pair<std::string, std::string> file = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (files.size() < kFilesMax && !absl::StrContains(file.first, "..")) {
      files[file.first] = file.second;
    }
  }
  const std::string root = FolderWithAll(files);
  for (const telemetry::Candidate& found : telemetry::DiscoverSources(root)) {
    if (found.source != nullptr) {
      (void)found.source->Poll({}).ok();  // any answer except a crash is right
    }
  }
  (void)agent::NvpmodelModes(root);
  (void)agent::ActiveNvpmodelMode(root);
  (void)agent::KernelModes(root);
  return absl::OkStatus();
}
