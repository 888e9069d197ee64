// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Which files the dynamic linker reads for a program. libtorch need not lie in the system's
// folders.
#ifndef WATTLE_WORKER_BOX_LIBRARIES_H_
#define WATTLE_WORKER_BOX_LIBRARIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace wattle::box {

struct Libraries {
  std::string interpreter;         // the dynamic linker; empty: the program needs none
  std::vector<std::string> files;  // of the libraries that it finds
};

// Asks the program's own dynamic linker, as ldd does; the program is not run. An answer is kept as
// long as the program's file does not change. Errors: those of reading the program. A linker that
// gives no answer finds no libraries. Thread-safe.
absl::StatusOr<Libraries> LibrariesOf(const std::string& program);

// Folders of what libtorch loads for a GPU when a job asks for one: its own folder, which is that
// of libtorch_cpu.so among `files`, and those of the libraries that its library for GPUs needs.
// None where this libtorch has none. interpreter: as above.
std::vector<std::string> CudaFoldersOf(const Libraries& libraries);

// The interpreter that an ELF file of this processor's kind names; empty: none, or no such file.
std::string InterpreterOf(absl::string_view elf);
// The files in what the linker prints: "\tlibc10.so => /opt/torch/lib/libc10.so (0x00007f…)".
std::vector<std::string> ParseLibraries(absl::string_view text);

}  // namespace wattle::box

#endif  // WATTLE_WORKER_BOX_LIBRARIES_H_
