// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "artifacts/release.h"

#include <array>
#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "base/status_macros.h"

namespace wattle::artifacts {
namespace {

// ELF head by the ELF specification: magic, class, data, and e_machine at byte 18.
constexpr size_t kHeadBytes = 20;
constexpr absl::string_view kMagic =
    "\x7f"
    "ELF\x02\x01";  // 64 bits, little endian.
constexpr unsigned kX86 = 62;
constexpr unsigned kAarch64 = 183;

absl::StatusOr<std::string> ArchitectureOf(const std::string& path) {
  std::array<char, kHeadBytes> head = {};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(head.data(), head.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": cannot be read as a program; a release has bin/wattle-worker and "
                     "bin/wattle-runner"));
  }
  const unsigned machine = static_cast<unsigned char>(head[18]) |
                           static_cast<unsigned>(static_cast<unsigned char>(head[19])) << 8U;
  const bool is_elf = absl::string_view(head.data(), kMagic.size()) == kMagic;
  if (!is_elf || (machine != kX86 && machine != kAarch64)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is no program of Linux for aarch64 or x86_64; push the folder of a build"));
  }
  return machine == kX86 ? "x86_64" : "aarch64";
}

}  // namespace

absl::StatusOr<std::string> ReleaseArchitecture(const std::string& directory) {
  const std::string worker_path = absl::StrCat(directory, "/bin/wattle-worker");
  const std::string runner_path = absl::StrCat(directory, "/bin/wattle-runner");
  WATTLE_ASSIGN_OR_RETURN(const std::string worker, ArchitectureOf(worker_path));
  WATTLE_ASSIGN_OR_RETURN(const std::string runner, ArchitectureOf(runner_path));
  if (worker != runner) {
    return absl::InvalidArgumentError(absl::StrCat(worker_path, ": is for ", worker, ", and ",
                                                   runner_path, " for ", runner,
                                                   "; push the folder of one build"));
  }
  return worker;
}

}  // namespace wattle::artifacts
