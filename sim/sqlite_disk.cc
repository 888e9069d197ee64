// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The virtual file system (https://www.sqlite.org/vfs.html). Locks and shared memory need to work
// only within one process, but SQLite separates its connections by them.
#include "sim/sqlite_disk.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include <sqlite3.h>

#include "base/check.h"
#include "base/fault_point.h"

namespace wattle::sim {

const char* const kSqliteVfsName = "wattle-sim";

namespace {

constexpr int kSectorBytes = 512;
constexpr double kJulianDayOfEpoch = 2440587.5;

// State that all connections to one file share.
struct Shared {
  int readers = 0;
  void* reserved = nullptr;   // the connection with this lock
  void* exclusive = nullptr;  // pending or exclusive
  std::vector<std::unique_ptr<char[]>> memory;
  std::array<int, SQLITE_SHM_NLOCK> shm_readers{};
  std::array<void*, SQLITE_SHM_NLOCK> shm_writer{};
  int users = 0;
};

struct Mounted {
  Disk* disk = nullptr;
  bool unplugged = false;
  int operations_left = -1;  // operations until the disk unplugs itself; below 0: never
  std::map<std::string, Shared> shared;
};

// The mounted disks, by root.
std::map<std::string, std::unique_ptr<Mounted>>& Table() {
  static auto* const table = new std::map<std::string, std::unique_ptr<Mounted>>();
  return *table;
}
Mounted* Find(absl::string_view path) {
  const size_t end = path.find('/', 1);
  const auto found = Table().find(std::string(path.substr(0, end)));
  return found == Table().end() ? nullptr : found->second.get();
}

struct OpenFile {
  sqlite3_file base;  // first member, because SQLite sees only this
  Mounted* mounted;
  Shared* shared;
  std::string* path;
  int lock;  // SQLITE_LOCK_…
  uint32_t shm_shared;
  bool remove_at_close;
};
OpenFile& Cast(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}

int Unlock(sqlite3_file* file, int level) {
  OpenFile& open = Cast(file);
  if (level < SQLITE_LOCK_RESERVED && open.shared->reserved == file) {
    open.shared->reserved = nullptr;
  }
  if (level < SQLITE_LOCK_PENDING && open.shared->exclusive == file) {
    open.shared->exclusive = nullptr;
  }
  if (level < SQLITE_LOCK_SHARED && open.lock >= SQLITE_LOCK_SHARED) {
    --open.shared->readers;
  }
  open.lock = std::min(open.lock, level);
  return SQLITE_OK;
}

int Lock(sqlite3_file* file, int level) {
  OpenFile& open = Cast(file);
  Shared& shared = *open.shared;
  if (open.lock >= level) {
    return SQLITE_OK;
  }
  if (shared.exclusive != nullptr && shared.exclusive != file) {
    return SQLITE_BUSY;
  }
  if (open.lock < SQLITE_LOCK_SHARED) {
    ++shared.readers;
    open.lock = SQLITE_LOCK_SHARED;
  }
  if (level >= SQLITE_LOCK_RESERVED) {
    if (shared.reserved != nullptr && shared.reserved != file) {
      return SQLITE_BUSY;
    }
    shared.reserved = file;
    open.lock = SQLITE_LOCK_RESERVED;
  }
  if (level >= SQLITE_LOCK_PENDING) {
    shared.exclusive = file;
    open.lock = SQLITE_LOCK_PENDING;
    if (level == SQLITE_LOCK_EXCLUSIVE) {
      if (shared.readers > 1) {
        return SQLITE_BUSY;
      }
      open.lock = SQLITE_LOCK_EXCLUSIVE;
    }
  }
  return SQLITE_OK;
}

int CheckReserved(sqlite3_file* file, int* result) {
  *result = Cast(file).shared->reserved != nullptr ? 1 : 0;
  return SQLITE_OK;
}

int Close(sqlite3_file* file) {
  OpenFile& open = Cast(file);
  Unlock(file, SQLITE_LOCK_NONE);
  if (open.remove_at_close && !open.mounted->unplugged) {
    open.mounted->disk->Remove(*open.path);
  }
  if (--open.shared->users == 0) {
    open.mounted->shared.erase(*open.path);
  }
  delete open.path;
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
  const OpenFile& open = Cast(file);
  if (open.mounted->unplugged) {
    return SQLITE_IOERR_READ;
  }
  const std::string* content = open.mounted->disk->Find(*open.path);
  const int64_t there =
      content == nullptr
          ? 0
          : std::clamp<int64_t>(static_cast<int64_t>(content->size()) - offset, 0, size);
  if (there > 0) {
    std::memcpy(into, content->data() + offset, static_cast<size_t>(there));
  }
  // SQLite requires zeros after a short read (https://www.sqlite.org/c3ref/io_methods.html).
  std::memset(static_cast<char*>(into) + there, 0, static_cast<size_t>(size - there));
  return there == size ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

// Begins a change of the disk. Returns false if the disk is unplugged.
bool Begin(Mounted& mounted) {
  if (mounted.operations_left >= 0) {
    // Counts down to a random operation, so that over many seeds each one is interrupted.
    mounted.unplugged = mounted.unplugged || mounted.operations_left == 0;
    --mounted.operations_left;
  }
  return !mounted.unplugged;
}

int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset) {
  const OpenFile& open = Cast(file);
  if (!Begin(*open.mounted)) {
    return SQLITE_IOERR_WRITE;
  }
  const absl::string_view bytes(static_cast<const char*>(from), static_cast<size_t>(size));
  return open.mounted->disk->Write(*open.path, offset, bytes).ok() ? SQLITE_OK : SQLITE_FULL;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const OpenFile& open = Cast(file);
  if (!Begin(*open.mounted)) {
    return SQLITE_IOERR_TRUNCATE;
  }
  open.mounted->disk->Truncate(*open.path, size);
  return SQLITE_OK;
}

int Sync(sqlite3_file* file, int /*flags*/) {
  const OpenFile& open = Cast(file);
  if (!Begin(*open.mounted)) {
    return SQLITE_IOERR_FSYNC;
  }
  if (!WATTLE_FAULT_POINT("SQLite's fsync")) {
    open.mounted->disk->Sync(*open.path);
  }
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  const OpenFile& open = Cast(file);
  const std::string* content = open.mounted->disk->Find(*open.path);
  *size = content == nullptr ? 0 : static_cast<sqlite3_int64>(content->size());
  return SQLITE_OK;
}

int FileControl(sqlite3_file* /*file*/, int /*operation*/, void* /*argument*/) {
  return SQLITE_NOTFOUND;
}
int SectorSize(sqlite3_file* /*file*/) {
  return kSectorBytes;
}
int DeviceCharacteristics(sqlite3_file* /*file*/) {
  return 0;
}

int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
  Shared& shared = *Cast(file).shared;
  while (extend != 0 && static_cast<int>(shared.memory.size()) <= region) {
    shared.memory.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
  }
  *memory = static_cast<int>(shared.memory.size()) <= region
                ? nullptr
                : shared.memory[static_cast<size_t>(region)].get();
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  OpenFile& open = Cast(file);
  Shared& shared = *open.shared;
  for (int i = offset; i < offset + count; ++i) {
    const auto slot = static_cast<size_t>(i);
    const bool ours = (open.shm_shared & (1U << i)) != 0;
    const bool writes = shared.shm_writer[slot] == file;
    if ((flags & SQLITE_SHM_LOCK) != 0) {
      const bool written = shared.shm_writer[slot] != nullptr && !writes;
      const bool read = shared.shm_readers[slot] > (ours ? 1 : 0);
      if (written || ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && read)) {
        return SQLITE_BUSY;
      }
    }
  }
  for (int i = offset; i < offset + count; ++i) {
    const auto slot = static_cast<size_t>(i);
    const bool ours = (open.shm_shared & (1U << i)) != 0;
    if ((flags & SQLITE_SHM_LOCK) != 0 && (flags & SQLITE_SHM_EXCLUSIVE) != 0) {
      shared.shm_writer[slot] = file;
    } else if ((flags & SQLITE_SHM_LOCK) != 0 && !ours) {
      ++shared.shm_readers[slot];
      open.shm_shared |= 1U << i;
    } else if ((flags & SQLITE_SHM_UNLOCK) != 0) {
      if (shared.shm_writer[slot] == file) {
        shared.shm_writer[slot] = nullptr;
      }
      if (ours && (flags & SQLITE_SHM_SHARED) != 0) {
        --shared.shm_readers[slot];
        open.shm_shared &= ~(1U << i);
      }
    }
  }
  return SQLITE_OK;
}
void ShmBarrier(sqlite3_file* /*file*/) {}
int ShmUnmap(sqlite3_file* file, int remove) {
  Shared& shared = *Cast(file).shared;
  if (remove != 0) {
    shared.memory.clear();
  }
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {.iVersion = 2,
                                         .xClose = Close,
                                         .xRead = Read,
                                         .xWrite = Write,
                                         .xTruncate = Truncate,
                                         .xSync = Sync,
                                         .xFileSize = FileSize,
                                         .xLock = Lock,
                                         .xUnlock = Unlock,
                                         .xCheckReservedLock = CheckReserved,
                                         .xFileControl = FileControl,
                                         .xSectorSize = SectorSize,
                                         .xDeviceCharacteristics = DeviceCharacteristics,
                                         .xShmMap = ShmMap,
                                         .xShmLock = ShmLock,
                                         .xShmBarrier = ShmBarrier,
                                         .xShmUnmap = ShmUnmap,
                                         .xFetch = nullptr,
                                         .xUnfetch = nullptr};

int OpenPath(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file, int flags,
             int* flags_out) {
  file->pMethods = nullptr;
  Mounted* const mounted = name == nullptr ? nullptr : Find(name);
  if (mounted == nullptr || mounted->unplugged) {
    return SQLITE_CANTOPEN;  // includes temporary files, which the journal does not need
  }
  if (mounted->disk->Find(name) == nullptr) {
    if ((flags & SQLITE_OPEN_CREATE) == 0) {
      return SQLITE_CANTOPEN;
    }
    if (!mounted->disk->Write(name, 0, "").ok()) {
      return SQLITE_FULL;
    }
  }
  OpenFile& open = *new (file) OpenFile{};
  open.base.pMethods = &kMethods;
  open.mounted = mounted;
  open.shared = &mounted->shared[name];
  ++open.shared->users;
  open.path = new std::string(name);
  open.remove_at_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
  if (flags_out != nullptr) {
    *flags_out = flags;
  }
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* /*vfs*/, const char* name, int /*sync_directory*/) {
  Mounted* const mounted = Find(name);
  if (mounted == nullptr || mounted->unplugged) {
    return SQLITE_IOERR_DELETE;
  }
  mounted->disk->Remove(name);
  return SQLITE_OK;
}

int Access(sqlite3_vfs* /*vfs*/, const char* name, int /*flags*/, int* result) {
  Mounted* const mounted = Find(name);
  *result = mounted != nullptr && mounted->disk->Find(name) != nullptr ? 1 : 0;
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs* /*vfs*/, const char* name, int size, char* full) {
  sqlite3_snprintf(size, full, "%s", name);
  return SQLITE_OK;
}

int Randomness(sqlite3_vfs* /*vfs*/, int size, char* bytes) {
  std::memset(bytes, 0x5a,
              static_cast<size_t>(size));  // constant, so that equal seeds give equal runs
  return size;
}
int Sleep(sqlite3_vfs* /*vfs*/, int microseconds) {
  return microseconds;
}
int CurrentTime(sqlite3_vfs* /*vfs*/, double* julian_day) {
  *julian_day = kJulianDayOfEpoch;
  return SQLITE_OK;
}
int LastError(sqlite3_vfs* /*vfs*/, int /*size*/, char* /*text*/) {
  return 0;
}

void Register() {
  static sqlite3_vfs vfs = {.iVersion = 1,
                            .szOsFile = sizeof(OpenFile),
                            .mxPathname = 512,
                            .pNext = nullptr,
                            .zName = kSqliteVfsName,
                            .pAppData = nullptr,
                            .xOpen = OpenPath,
                            .xDelete = Delete,
                            .xAccess = Access,
                            .xFullPathname = FullPathname,
                            .xDlOpen = nullptr,
                            .xDlError = nullptr,
                            .xDlSym = nullptr,
                            .xDlClose = nullptr,
                            .xRandomness = Randomness,
                            .xSleep = Sleep,
                            .xCurrentTime = CurrentTime,
                            .xGetLastError = LastError,
                            .xCurrentTimeInt64 = nullptr,
                            .xSetSystemCall = nullptr,
                            .xGetSystemCall = nullptr,
                            .xNextSystemCall = nullptr};
  static const int result = sqlite3_vfs_register(&vfs, 0);
  WATTLE_CHECK(result == SQLITE_OK, "SQLite takes another file system");
}

}  // namespace

SqliteMount::SqliteMount(Disk& disk, Random& random) : random_(random) {
  Register();
  int number = 0;
  do {
    root_ = absl::StrCat("/sim-", number++);
  } while (Table().contains(root_));
  Table()[root_] = std::make_unique<Mounted>();
  Table()[root_]->disk = &disk;
}

SqliteMount::~SqliteMount() {
  Table().erase(root_);
}

void SqliteMount::Unplug(bool unplugged) {
  Table().at(root_)->unplugged = unplugged;
  Table().at(root_)->operations_left = -1;
}

void SqliteMount::UnplugSoon(int operations) {
  Table().at(root_)->operations_left = random_.Below(operations);
}

}  // namespace wattle::sim
