// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/sandbox/libraries.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

#include "base/file.h"
#include "base/status_macros.h"
#include "base/unique_descriptor.h"

extern char** environ;

namespace wattle::sandbox {
namespace {

// The headers lie at the begin of a file.
constexpr size_t kHeadBytes = 1 << 16;

absl::StatusOr<std::string> ReadHead(const std::string& path) {
  const UniqueDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string head(kHeadBytes, '\0');
  const ssize_t size = file.get() < 0 ? -1 : read(file.get(), head.data(), head.size());
  if (size < 0) {
    return FileError(errno, path, "cannot read the program");
  }
  head.resize(static_cast<size_t>(size));
  return head;
}

// The output of "INTERPRETER --list PROGRAM"; may be empty.
std::string AskLinker(const std::string& interpreter, const std::string& program) {
  std::array<int, 2> ends = {};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return "";
  }
  const UniqueDescriptor from(ends[0]);
  UniqueDescriptor to(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::string list = "--list";
  std::string linker = interpreter;
  std::string file = program;
  std::array<char*, 4> arguments = {linker.data(), list.data(), file.data(), nullptr};
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, interpreter.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  to = UniqueDescriptor();
  if (error != 0) {
    return "";
  }
  std::string text;
  std::array<char, 4096> buffer = {};
  while (true) {
    const ssize_t size = read(from.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return text;
}

std::string FolderOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

std::string InterpreterOf(absl::string_view elf) {
  ElfW(Ehdr) header = {};
  if (elf.size() < sizeof(header)) {
    return "";
  }
  std::memcpy(&header, elf.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_phentsize != sizeof(ElfW(Phdr))) {
    return "";
  }
  for (size_t i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) segment = {};
    if (header.e_phoff > elf.size() ||
        (i + 1) * sizeof(segment) > elf.size() - static_cast<size_t>(header.e_phoff)) {
      return "";
    }
    std::memcpy(&segment, elf.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_INTERP && segment.p_offset <= elf.size() &&
        segment.p_filesz <= elf.size() - segment.p_offset) {
      const absl::string_view name = elf.substr(segment.p_offset, segment.p_filesz);
      return std::string(name.substr(0, name.find('\0')));
    }
  }
  return "";
}

std::vector<std::string> ParseLibraries(absl::string_view text) {
  std::vector<std::string> files;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t arrow = line.find("=> /");
    if (arrow == absl::string_view::npos) {
      continue;
    }
    line.remove_prefix(arrow + 3);
    files.emplace_back(line.substr(0, line.rfind(" (0x")));
  }
  return files;
}

std::vector<std::string> CudaFoldersOf(const Libraries& libraries) {
  std::set<std::string> folders;
  for (const std::string& file : libraries.files) {
    const std::string folder = FolderOf(file);
    if (!absl::StartsWith(file.substr(folder.size()), "/libtorch_cpu.so")) {
      continue;
    }
    // Libraries that libtorch loads by name at run time, NVRTC among them.
    for (const char* name : {"/libtorch_cuda.so", "/libcaffe2_nvrtc.so"}) {
      const std::string loaded = folder + name;
      if (access(loaded.c_str(), R_OK) != 0) {
        continue;
      }
      folders.insert(folder);
      for (const std::string& needed : ParseLibraries(AskLinker(libraries.interpreter, loaded))) {
        folders.insert(FolderOf(needed));
      }
    }
  }
  return {folders.begin(), folders.end()};
}

absl::StatusOr<Libraries> LibrariesOf(const std::string& program) {
  using Key = std::tuple<std::string, dev_t, ino_t, int64_t, int64_t>;
  static std::mutex mutex;
  static std::map<Key, Libraries>& known = *new std::map<Key, Libraries>();
  struct stat status = {};
  if (stat(program.c_str(), &status) != 0) {
    return FileError(errno, program, "cannot look at the program");
  }
  const Key key = {program, status.st_dev, status.st_ino, status.st_mtim.tv_sec,
                   status.st_mtim.tv_nsec};
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = known.find(key);
    if (found != known.end()) {
      return found->second;
    }
  }
  // Runs without the lock, so that no caller waits for another's program; at worst two threads run
  // the linker for the same program.
  WATTLE_ASSIGN_OR_RETURN(const std::string head, ReadHead(program));
  Libraries libraries = {.interpreter = InterpreterOf(head), .files = {}};
  if (!libraries.interpreter.empty()) {
    libraries.files = ParseLibraries(AskLinker(libraries.interpreter, program));
  }
  const std::lock_guard<std::mutex> lock(mutex);
  known[key] = libraries;
  return libraries;
}

}  // namespace wattle::sandbox
