// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The plain log. The file "log" has for each batch its length and checksum, 8 bytes each, then the
// events as length-delimited messages. The file "snapshot" has the state at the start of the log.
#include "sim/event_log.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/delimited_message_util.h"

#include "base/fault_point.h"
#include "base/status_macros.h"
#include "coordinator/core/core.h"
#include "coordinator/core/state.h"
#include "coordinator/event_loop/event_loop.h"

namespace wattle::sim {
namespace {

constexpr char kLog[] = "log";
constexpr char kSnapshot[] = "snapshot";
constexpr char kCopyMark[] = "copy";  // a file that only a backup has

// Precedes each record.
struct RecordHeader {
  uint64_t size_bytes = 0;
  uint64_t checksum = 0;
};

uint64_t Checksum(absl::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  }
  return hash;
}

std::string Record(const std::vector<v1::Event>& events) {
  std::string payload;
  {
    google::protobuf::io::StringOutputStream out(&payload);
    for (const v1::Event& event : events) {
      google::protobuf::util::SerializeDelimitedToZeroCopyStream(event, &out);
    }
  }
  const RecordHeader header{payload.size(), Checksum(payload)};
  std::string record(sizeof(header), '\0');
  std::memcpy(record.data(), &header, sizeof(header));
  return record + payload;
}

class PlainLog final : public EventLog {
 public:
  explicit PlainLog(Disk& disk) : disk_(disk) {}

  absl::Status Append(const std::vector<v1::Event>& events) override {
    WATTLE_RETURN_IF_ERROR(disk_.Append(kLog, Record(events)));
    if (!WATTLE_FAULT_POINT("journal fsync")) {
      disk_.Sync(kLog);
    }
    for (const v1::Event& event : events) {
      if (event.has_journal_opened()) {
        disk_.Remove(kCopyMark);
      }
    }
    return absl::OkStatus();
  }

  void AppendUnconfirmed(const std::vector<v1::Event>& events) override {
    // The machine stops during the append, so the outcome is unknown.
    disk_.Append(kLog, Record(events)).IgnoreError();
  }

  absl::StatusOr<core::State> Recover(const std::function<void(const v1::Event&)>& seen) override {
    event_loop::Recorded recorded;
    const std::string* snapshot = disk_.Find(kSnapshot);
    if (snapshot != nullptr) {
      WATTLE_ASSIGN_OR_RETURN(const core::State state, core::ParseSnapshot(*snapshot));
      recorded.snapshots = {state.last_sequence.value()};
    }
    // The concatenation of all rows of a snapshot is one valid row.
    recorded.read_snapshot = [snapshot](int64_t, const auto& take) { return take(*snapshot); };
    recorded.replay = [&](int64_t after, const auto& take) { return Replay(after, take, seen); };
    return event_loop::Recover(recorded);
  }

  absl::Status WriteSnapshot(const core::State& state) override {
    WATTLE_RETURN_IF_ERROR(disk_.Replace(kSnapshot, core::SnapshotBytes(state)));
    // A stop in between leaves events that the snapshot already has; Replay skips them.
    return disk_.Replace(kLog, "");
  }

  absl::StatusOr<Disk::Image> Backup() override {
    Disk::Image image = disk_.Copy();
    image[kCopyMark] = "";
    return image;
  }
  [[nodiscard]] bool is_copy() const override { return disk_.Find(kCopyMark) != nullptr; }
  absl::Status CheckHistory(const std::map<std::string, v1::Job>& /*archived*/) override {
    return absl::OkStatus();
  }

 private:
  absl::Status Replay(int64_t after, const std::function<absl::Status(const v1::Event&)>& take,
                      const std::function<void(const v1::Event&)>& seen) {
    const std::string* content = disk_.Find(kLog);
    absl::string_view rest = content == nullptr ? absl::string_view() : *content;
    size_t whole = 0;
    RecordHeader header;
    while (rest.size() >= sizeof(header)) {
      std::memcpy(&header, rest.data(), sizeof(header));
      const absl::string_view payload = rest.substr(sizeof(header), header.size_bytes);
      if (payload.size() < header.size_bytes || Checksum(payload) != header.checksum) {
        break;
      }
      WATTLE_RETURN_IF_ERROR(TakeBatch(payload, after, take, seen));
      rest.remove_prefix(sizeof(header) + payload.size());
      whole += sizeof(header) + payload.size();
    }
    if (content != nullptr && whole < content->size()) {
      disk_.Truncate(kLog, static_cast<int64_t>(whole));  // a torn tail was never acknowledged
    }
    if (content != nullptr) {
      // A process that died between a write and its sync left events that a power cut would lose.
      disk_.Sync(kLog);
    }
    return absl::OkStatus();
  }

  static absl::Status TakeBatch(absl::string_view payload, int64_t after,
                                const std::function<absl::Status(const v1::Event&)>& take,
                                const std::function<void(const v1::Event&)>& seen) {
    google::protobuf::io::ArrayInputStream in(payload.data(), static_cast<int>(payload.size()));
    bool clean_end = false;
    while (true) {
      v1::Event event;
      if (!google::protobuf::util::ParseDelimitedFromZeroCopyStream(&event, &in, &clean_end)) {
        return clean_end ? absl::OkStatus() : absl::DataLossError("log: an unreadable event");
      }
      if (event.sequence() > after) {
        seen(event);
        WATTLE_RETURN_IF_ERROR(take(event));
      }
    }
  }

  Disk& disk_;
};

}  // namespace

std::unique_ptr<EventLog> OpenPlainLog(Disk& disk) {
  return std::make_unique<PlainLog>(disk);
}

}  // namespace wattle::sim
