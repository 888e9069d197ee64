// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Finds the files that the dynamic linker reads for a program, because libtorch need not be in the
// system's folders.
#ifndef WATTLE_WORKER_SANDBOX_LIBRARIES_H_
#define WATTLE_WORKER_SANDBOX_LIBRARIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::sandbox {

struct Libraries {
  std::string interpreter;         // the dynamic linker; empty: the program needs none
  std::vector<std::string> files;  // the libraries that the linker finds
};

// Asks the program's own dynamic linker, as ldd does; the program is not run. The answer is cached
// while the program's file does not change. Errors: those of reading the program. If the linker
// does not answer, there are no libraries. Thread-safe.
absl::StatusOr<Libraries> LibrariesOf(const std::string& program);

// Folders of the libraries that libtorch loads for a job on a GPU: its own folder, which is that of
// libtorch_cpu.so among `files`, and those of the libraries that its GPU library needs. Empty if
// this libtorch has no GPU library.
std::vector<std::string> CudaFoldersOf(const Libraries& libraries);

// The interpreter that an ELF file of this processor's kind names; empty: none, or no such file.
std::string InterpreterOf(absl::string_view elf);
// The files in what the linker prints: "\tlibc10.so => /opt/torch/lib/libc10.so (0x00007f…)".
std::vector<std::string> ParseLibraries(absl::string_view text);

}  // namespace wattle::sandbox

#endif  // WATTLE_WORKER_SANDBOX_LIBRARIES_H_
