// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/build_id.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace wattle {
namespace {

constexpr absl::string_view kOwner("GNU", sizeof("GNU"));  // with the zero at its end

// The description of the build id among the notes of one segment; "" if there is none. A note is a
// header, its owner's name and its description; the last two begin at multiples of alignment.
absl::string_view BuildIdIn(absl::string_view notes, size_t alignment) {
  const auto aligned = [alignment](size_t offset) {
    return (offset + alignment - 1) / alignment * alignment;
  };
  ElfW(Nhdr) note = {};
  while (notes.size() >= sizeof(note)) {
    std::memcpy(&note, notes.data(), sizeof(note));
    const size_t start = aligned(sizeof(note) + note.n_namesz);
    const size_t end = start + note.n_descsz;
    if (end > notes.size()) {
      break;
    }
    if (note.n_type == NT_GNU_BUILD_ID && notes.substr(sizeof(note), note.n_namesz) == kOwner) {
      return notes.substr(start, note.n_descsz);
    }
    notes.remove_prefix(std::min(notes.size(), aligned(end)));
  }
  return "";
}

// Called for the program first, before its libraries; a return of 1 ends the calls.
int ReadProgram(dl_phdr_info* program, size_t /*size*/, void* build_id) {
  for (int i = 0; i < program->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = program->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) {
      continue;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): where the loader put the segment
    const auto* notes = reinterpret_cast<const char*>(program->dlpi_addr + segment.p_vaddr);
    const absl::string_view found =
        BuildIdIn(absl::string_view(notes, segment.p_memsz), segment.p_align == 8 ? 8 : 4);
    if (!found.empty()) {
      *static_cast<std::string*>(build_id) = absl::BytesToHexString(found);
      return 1;
    }
  }
  return 1;
}

}  // namespace

std::string BuildId() {
  std::string build_id;
  dl_iterate_phdr(ReadProgram, &build_id);
  return build_id;
}

}  // namespace wattle
