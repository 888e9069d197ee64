// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Output on the standard streams: answers that cannot be written, the help of each command, lines
// on a narrow terminal, the texts that a job made.
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "cli/json_output.h"
#include "cli/terminal.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "artifacts/sha256.h"

namespace wattle::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class OutputTest : public ProgramTest {};

TEST_F(OutputTest, OutputThatCannotBeWrittenIsAnError) {
  const Result result = RunInto("/dev/full", {"devices", "-o", "json"});
  EXPECT_EQ(result.code, 6);
  EXPECT_THAT(result.err, HasSubstr("could not be written to the standard output"));
  EXPECT_EQ(RunInto("/dev/full", {"--help"}).code, 6);
  EXPECT_EQ(RunInto("/dev/full", {"version"}).code, 6);
}

TEST_F(OutputTest, EveryHelpNamesTheFlagsOfEveryCommand) {
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"devices"}, {"job"}, {"job", "show"}, {"model"}, {"policy", "apply"}, {"energy"}}) {
    std::vector<std::string> arguments = command;
    arguments.emplace_back("--help");
    const std::string help = Run(arguments).out;
    EXPECT_THAT(help, HasSubstr("--coordinator HOST:PORT, -o table|json"));
    EXPECT_THAT(help, Not(HasSubstr("deploy/examples/squad-gpt2.yaml"))) << "examples of another";
    EXPECT_THAT(help, HasSubstr("wattle " + command.front()));
  }
}

TEST_F(OutputTest, OneLineIsBrokenBetweenWordsOnATerminal) {
  coordinator_.state().on_watch = [this] { interrupt_.Raise(); };
  error_width_ = 40;
  const Result result = Run({"job", "watch", "j2"});
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(result.err, '\n', absl::SkipEmpty()))) {
    EXPECT_LE(line.size(), 40U);
  }
  EXPECT_THAT(result.err, HasSubstr("wattle job"));
}

TEST_F(OutputTest, OutputIsReadWithoutItsWeights) {
  // The output of j1 is an artifact of two files; its weights are never requested.
  const std::string metrics = "{\"perplexity\": 12.5}\n";
  v1::Manifest manifest;
  v1::ManifestFile* file = manifest.add_files();
  file->set_path("metrics.json");
  file->set_size_bytes(static_cast<int64_t>(metrics.size()));
  const std::string digest = artifacts::Sha256(metrics).value();
  file->add_chunk_sha256(digest);
  v1::ManifestFile* weights = manifest.add_files();
  weights->set_path("model.safetensors");
  weights->set_size_bytes(1 << 20);
  weights->add_chunk_sha256("not there: fails if asked for");
  coordinator_.state().manifests[SampleFinishedJob().output_artifact_id()] = manifest;
  coordinator_.state().chunks[digest] = metrics;
  const Result result = Run({"job", "output", "j1"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("perplexity   12.5"), HasSubstr("model.safetensors")));
  EXPECT_EQ(Run({"-o", "json", "job", "output", "j1"}).out, metrics);
  EXPECT_EQ(Run({"job", "output", "j2"}).code, 5);
  coordinator_.state().chunks[digest] = "{\"perplexity\": 1.0}\n";
  EXPECT_THAT(Run({"job", "output", "j1"}).err, HasSubstr("sent other bytes than the file has"));
}

TEST_F(OutputTest, AddressesAreParsedNotGuessed) {
  for (const std::string address : {"", "localhost", "127.0.0.1:", "127.0.0.1:99999", "junk"}) {
    const Result result = Run({"--coordinator", address, "devices"});
    EXPECT_EQ(result.code, 2) << address;
    EXPECT_THAT(result.err,
                AllOf(StartsWith("wattle: --coordinator"), HasSubstr("HOST:PORT"), EndsWith("\n")));
  }
}

TEST_F(OutputTest, DevicesAreShownAgainUntilTheInterrupt) {
  int pauses = 0;
  on_sleep_ = [&] {
    if (++pauses == 2) {
      interrupt_.Raise();
    }
  };
  const Result result = Run({"-o", "json", "devices", "--watch"});
  EXPECT_EQ(result.code, 0) << result.err;
  const std::string line = ToJsonLine(SampleDevices());
  EXPECT_EQ(result.out, line + line);
}

TEST_F(OutputTest, AWatchEndsWhereNothingCanBeWritten) {
  int pauses = 0;
  on_sleep_ = [&] {
    if (++pauses == 5) {
      ADD_FAILURE() << "goes on although no one reads";
      interrupt_.Raise();
    }
  };
  EXPECT_EQ(RunInto("/dev/full", {"devices", "--watch"}).code, 6);
}

TEST(LiveScreenTest, RewritesInPlaceOnATerminal) {
  std::ostringstream out;
  LiveScreen screen(out, {.width_columns = 80, .height_rows = 3, .is_terminal = true});
  screen.Show("a\nb\nc\n");
  EXPECT_EQ(out.str(), "\ra\x1b[K\n\rb\x1b[K\n\x1b[J") << "the last row stays free";
  out.str("");
  screen.Show("d\n");
  EXPECT_EQ(out.str(), "\x1b[2A\rd\x1b[K\n\x1b[J");
}

TEST(LiveScreenTest, ElsewhereOneStandsBelowTheOther) {
  std::ostringstream out;
  LiveScreen screen(out, {});
  screen.Show("a\n");
  screen.Show("b\n");
  EXPECT_EQ(out.str(), "a\n\nb\n");
}

}  // namespace
}  // namespace wattle::cli
