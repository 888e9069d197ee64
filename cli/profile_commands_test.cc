// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// wattle profile export, import and rm: what they write and send, and which files they refuse
// before the coordinator hears of them.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "cli/profile_file.h"
#include "cli/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/status_matchers.h"

namespace wattle::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class ProfileCommandsTest : public ProgramTest {
 protected:
  ProfileCommandsTest() { coordinator_.state().coordinator.set_lineage_id("00112233aabbccdd"); }

  std::string ReadBack(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(Path(name)).rdbuf();
    return text.str();
  }
  void ExpectRefused(const std::string& file, const std::string& text) {
    const Result result = Run({"profile", "import", file});
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_THAT(result.err, AllOf(StartsWith("wattle: "), HasSubstr(text), EndsWith("\n")));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(coordinator_.state().imports, IsEmpty());
  }
};

TEST_F(ProfileCommandsTest, TheRowsOfADeviceGoToAFileAndComeFromIt) {
  const Result exported = Run({"profile", "export", Path("rows.json"), "--device", "nano-1"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  EXPECT_EQ(exported.out, Path("rows.json") + ": 1 row of 1 class\n");
  const std::string text = ReadBack("rows.json");
  EXPECT_THAT(text, HasSubstr("\"format\": \"wattle-profile-rows\""));
  EXPECT_THAT(text, HasSubstr("\"fleet\": \"00112233aabbccdd\""));
  EXPECT_THAT(text, HasSubstr("\"device_class\": \"jetson-orin-nano\""));
  EXPECT_THAT(text, HasSubstr("\"emulated\": true"));
  EXPECT_THAT(text, Not(HasSubstr("nano-1")));
  EXPECT_THAT(text, Not(HasSubstr("device_id")));
  EXPECT_THAT(text, Not(HasSubstr("job j1")));

  const Result imported = Run({"profile", "import", Path("rows.json")});
  EXPECT_EQ(imported.code, 0) << imported.err;
  EXPECT_EQ(imported.out, Path("rows.json") +
                              ": 1 imported row; measured rows of the same workload go before "
                              "them\n");
  ASSERT_EQ(coordinator_.state().imports.size(), 1U);
  const v1::ImportProfilesRequest& sent = coordinator_.state().imports[0];
  EXPECT_EQ(sent.file_name(), "rows.json");
  ASSERT_EQ(sent.file().rows_size(), 1);
  EXPECT_EQ(sent.file().rows(0).seconds_per_unit().mean(),
            SampleProfiles().rows(0).seconds_per_unit().mean())
      << "every digit comes back";
}

TEST_F(ProfileCommandsTest, WhatCannotBeExportedSaysWhatToDo) {
  EXPECT_THAT(Run({"profile", "export", Path("a.json")}).err,
              HasSubstr("profile export: no measured rows; run a job there first"))
      << "the sample has rows of one device and of a paper";
  EXPECT_EQ(Run({"profile", "export", Path("a.json"), "--class", "abacus"}).code, 3);
  EXPECT_EQ(Run({"profile", "export", Path("a.json"), "--device", "moon"}).code, 3);
  EXPECT_EQ(Run({"profile", "export", Path("a.json"), "--device", "a", "--class", "b"}).code, 2);
  const std::string there = Write("there.json", "precious");
  const Result exported = Run({"profile", "export", there, "--device", "nano-1"});
  EXPECT_EQ(exported.code, 5);
  EXPECT_THAT(exported.err, HasSubstr("there.json: is there already; remove it or choose another"));
  EXPECT_EQ(ReadBack("there.json"), "precious");
}

TEST_F(ProfileCommandsTest, FilesThatAreNoneAreRefusedInOneLine) {
  Run({"profile", "export", Path("rows.json"), "--device", "nano-1"});
  const std::string good = ReadBack("rows.json");
  const auto with = [&](const std::string& from, const std::string& to) {
    const std::string text = absl::StrReplaceAll(good, {{from, to}});
    EXPECT_NE(text, good) << from;
    return Write("changed.json", text);
  };
  ExpectRefused(Path("none.json"), "none.json");
  ExpectRefused(Write("empty.json", ""), "empty.json: empty, wanted a file of wattle profile");
  ExpectRefused(Write("a.json", "hello"), "a.json: no file of wattle profile export: ");
  ExpectRefused(Write("b.json", "[1, 2]"), "b.json: no file of wattle profile export: ");
  ExpectRefused(Write("c.json", "{\"data\": []}"),
                "c.json: format: \"\", wanted \"wattle-profile-rows\"");
  ExpectRefused(with("\"version\": 1", "\"version\": 2, \"shape\": 3"),
                "changed.json: version: 2, and this version of Wattle reads 1");
  ExpectRefused(with("0.00461", "NaN"), "changed.json: no file of wattle profile export: ");
  ExpectRefused(with("\"batch_size\"", "\"batch\""), "batch: Cannot find field.");
  ExpectRefused(with("WORK_UNIT_TRAINING_TOKEN", "WORK_UNIT_SOUL"), "WORK_UNIT_SOUL");
  ExpectRefused("/dev/zero", "/dev/zero");
}

TEST_F(ProfileCommandsTest, WhatTheCoordinatorRefusesNamesTheFile) {
  Run({"profile", "export", Path("rows.json"), "--device", "nano-1"});
  coordinator_.state().import_status = {
      grpc::StatusCode::INVALID_ARGUMENT,
      "rows[0]: profile row of jetson-orin-nano: seconds_per_unit: 0 is outside 1e-08 to 1000"};
  const Result imported = Run({"profile", "import", Path("rows.json")});
  EXPECT_EQ(imported.code, 2);
  EXPECT_THAT(
      imported.err,
      HasSubstr("rows.json: rows[0]: profile row of jetson-orin-nano: seconds_per_unit: 0"));
}

TEST_F(ProfileCommandsTest, ImportedRowsAreRemoved) {
  EXPECT_EQ(Run({"profile", "rm"}).out,
            "removed 3 imported rows; measured and published rows stay\n");
  EXPECT_EQ(Run({"profile", "rm", "--class", "jetson-orin-nano"}).code, 0);
  const Result none = Run({"profile", "rm", "--class", "abacus"});
  EXPECT_EQ(none.code, 3);
  EXPECT_THAT(none.err, HasSubstr("no imported profile rows of class abacus"));
}

}  // namespace
}  // namespace wattle::cli
