// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Messages in this version's wire and journal form, recorded for later versions: their bytes must
// always read as the same content. A fixture in tests/golden/wire is never changed and never
// removed; a field that is added gets a fixture of its own.
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

#include "wattle/v1/fleet.pb.h"
#include "wattle/v1/journal.pb.h"

namespace wattle {
namespace {

struct Fixture {
  std::string type;
  std::string text;
  std::string bytes;
};

// "# TYPE", the message as text, "# bytes", the bytes as hex digits.
Fixture Read(const std::filesystem::path& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  Fixture fixture;
  bool is_bytes = false;
  std::string hex;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(content.str(), '\n'))) {
    if (line == "# bytes") {
      is_bytes = true;
    } else if (absl::StartsWith(line, "# ")) {
      fixture.type = line.substr(2);
    } else {
      (is_bytes ? hex : fixture.text) += line + (is_bytes ? "" : "\n");
    }
  }
  fixture.bytes = absl::HexStringToBytes(hex);
  return fixture;
}

std::unique_ptr<google::protobuf::Message> MessageOf(const std::string& type) {
  const google::protobuf::Message* prototype = nullptr;
  if (type == "wattle.v1.WorkerMessage") {
    prototype = &v1::WorkerMessage::default_instance();
  } else if (type == "wattle.v1.CoordinatorMessage") {
    prototype = &v1::CoordinatorMessage::default_instance();
  } else if (type == "wattle.v1.Event") {
    prototype = &v1::Event::default_instance();
  }
  return prototype == nullptr ? nullptr
                              : std::unique_ptr<google::protobuf::Message>(prototype->New());
}

TEST(WireFixturesTest, RecordedBytesReadAsTheSameContent) {
  int fixtures = 0;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(WATTLE_SOURCE_DIR) / "tests/golden/wire")) {
    SCOPED_TRACE(entry.path().filename().string());
    const Fixture fixture = Read(entry.path());
    const auto wanted = MessageOf(fixture.type);
    const auto read = MessageOf(fixture.type);
    ASSERT_NE(wanted, nullptr) << fixture.type;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(fixture.text, wanted.get()));
    ASSERT_TRUE(read->ParseFromString(fixture.bytes));
    google::protobuf::util::MessageDifferencer differencer;
    std::string differences;
    differencer.ReportDifferencesToString(&differences);
    EXPECT_TRUE(differencer.Compare(*wanted, *read)) << differences;
    EXPECT_GT(fixture.bytes.size(), 0U);
    ++fixtures;
  }
  EXPECT_GE(fixtures, 12);
}

}  // namespace
}  // namespace wattle
