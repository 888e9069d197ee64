// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Every wrong input yields one line that says what to do and the exit code of its class; the
// coordinator receives nothing.
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class BadInputTest : public ProgramTest {
 protected:
  // Runs the command, which must end with `code` and with one line of error that holds `text`.
  void ExpectError(const std::vector<std::string>& arguments, int code, const std::string& text) {
    const Result result = Run(arguments);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_THAT(result.err, AllOf(StartsWith("wattle: "), HasSubstr(text), EndsWith("\n")));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(coordinator_.state().submits, IsEmpty());
    EXPECT_THAT(coordinator_.state().chunks, IsEmpty());
    EXPECT_THAT(coordinator_.state().artifacts, IsEmpty());
  }
};

TEST_F(BadInputTest, UsageErrorsExitWith2AndNameTheHelp) {
  ExpectError({}, 2, "see wattle --help");
  ExpectError({"sumbit", "a.yaml"}, 2,
              "sumbit: not known here; did you mean submit? see wattle --help");
  ExpectError({"job"}, 2, "see wattle job --help");
  ExpectError({"job", "shw", "j1"}, 2,
              "shw: not known here; did you mean show? see wattle job --help");
  ExpectError({"job", "show"}, 2, "JOB is required; see wattle job show --help");
  ExpectError({"devices", "--colour"}, 2, "--colour: not known here; see wattle devices --help");
  ExpectError({"devices", "--wacth"}, 2,
              "--wacth: not known here; did you mean --watch? see wattle devices --help");
  ExpectError({"devices", "-o", "yaml"}, 2, "yaml not in {table,json,csv}");
  ExpectError({"devices", "--timeout-seconds", "0"}, 2, "--timeout-seconds");
  ExpectError({"devices", "--timeout-seconds", "nan"}, 2, "wants a number from 0.01");
  ExpectError({"jobs", "--state", "running"}, 2,
              "--state running: no such state; wants one of waiting, queued, active");
  ExpectError({"jobs", "--kind", "train"}, 2, "train not in {finetune,quantize,");
  ExpectError({"jobs", "--since", "soon"}, 2, "--since soon: wants a span (30m, 24h, 7d)");
  ExpectError({"jobs", "--limit", "0"}, 2, "--limit");
  ExpectError({"completion", "tcsh"}, 2, "no such shell; wants bash, zsh or fish");
}

TEST_F(BadInputTest, JobFilesAreRefusedWithFileLineAndRemedy) {
  ExpectError({"submit", Path("none.yaml")}, 2, "none.yaml");
  ExpectError({"submit", Write("a.yaml", "name: x\nfinetune:\n  epocs: 2\n")}, 2,
              "a.yaml:3: epocs: unknown field; did you mean \"epochs\"?");
  ExpectError({"submit", Write("b.yaml", "deadline_seconds: 2h\nfinetune:\n  epochs: 2\n")}, 2,
              "b.yaml:1: deadline_seconds: \"2h\" has a unit; write a plain number");
  ExpectError({"plan", Write("c.yaml", "name: [\n")}, 2, "not valid YAML");
  ExpectError({"plan", Write("d.yaml", "name: x\n")}, 2, "kind of job missing");
}

TEST_F(BadInputTest, OverridesAreReadAsJobFilesAre) {
  const std::string file = Write("job.yaml", kJobFile);
  ExpectError({"submit", file, "--set", "objective"}, 2, "wants field=value");
  ExpectError({"submit", file, "--set", "objective=speed"}, 2,
              "--set objective=speed: objective: \"speed\" is unknown; write one of: energy, time");
  ExpectError({"submit", file, "--set", "finetune.sed=2"}, 2,
              "--set finetune.sed=2: sed: unknown field; did you mean \"seed\"?");
  ExpectError({"submit", file, "--set", "finetune.epochs=two"}, 2, "wants a whole number");
  ExpectError({"submit", file, "--set", "evaluate.data=x"}, 2,
              "the file has finetune, not evaluate");
}

TEST_F(BadInputTest, PolicyFilesAreRefusedBeforeAnyIsApplied) {
  ExpectError({"policy", "apply", Write("p.yaml", "name: a\n---\nname: b\nreserve: 0.3\n")}, 2,
              "p.yaml:4: reserve: unknown field");
  EXPECT_THAT(coordinator_.state().applied, IsEmpty());
}

TEST_F(BadInputTest, DataIsCheckedBeforeAByteIsSent) {
  ExpectError({"data", "push", "x", Path("none.json")}, 2, "none.json");
  ExpectError({"data", "push", "x", Write("a.json", "{\"version\": 1}")}, 2, "a.json");
  ExpectError({"data", "push", "x", Write("b.json", "{\"data\": [")}, 2, "b.json");
  ExpectError({"data", "push", "x", Write("c.csv", "a,b\n")}, 2, "c.csv");
  ExpectError({"data", "push", "x", Write("d.txt", "")}, 2, "d.txt");
  ExpectError({"data", "push", "x", Write("e.jsonl", "{\"promt\": \"a\"}\n")}, 2, "e.jsonl:1");
  ASSERT_EQ(mkfifo(Path("pipe.txt").c_str(), 0600), 0);
  ExpectError({"data", "push", "x", Path("pipe.txt")}, 2, "not a regular file");
  ExpectError({"submit", Path("pipe.txt")}, 2, "or - for the standard input");
  ExpectError({"submit", "/dev/zero"}, 2, "not a regular file");
  ExpectError({"data", "push", "a/b", Write("f.txt", "text\n")}, 2,
              "wants 1 to 80 letters, digits, '.', '_' or '-'");
  ExpectError({"data", "push", "deadbeef01", Write("f.txt", "text\n")}, 2, "looks like an id");
}

TEST_F(BadInputTest, WhatTheCoordinatorDoesNotHaveExitsWith3) {
  ExpectError({"job", "show", "j99"}, 3, "no job j99; see wattle jobs");
  ExpectError({"device", "drain", "moon"}, 3, "no device moon; see wattle devices");
  ExpectError({"policy", "rm", "none"}, 3, "no policy none");
  ExpectError({"model", "pull", "none", Path("out")}, 3, "no artifact none");
  ExpectError({"profile", "show", "abacus"}, 3, "wattle profile ls");
}

TEST_F(BadInputTest, WhatIsNotPossibleExitsWith5) {
  ExpectError({"job", "cancel", "j1"}, 5, "j1 has succeeded; there is nothing to cancel");
  ExpectError({"job", "receipt", "j2"}, 5,
              "j2 has no receipt: it is active; wait for it: wattle job watch j2");
}

TEST_F(BadInputTest, OtherTroubleOfTheCoordinatorExitsWith6) {
  coordinator_.state().devices_status = {grpc::StatusCode::INTERNAL, "journal:\nnot\x1b[2J good"};
  ExpectError({"devices"}, 6, "wattle: journal: not?[2J good");
}

TEST_F(BadInputTest, NoCoordinatorExitsWith4AndSaysWhatToDo) {
  address_ = "127.0.0.1:1";  // a reserved port: nothing listens there
  const std::string message =
      "wattle: cannot reach the coordinator at 127.0.0.1:1: connection refused; start it with "
      "wattle-coordinator or set --coordinator\n";
  const Result devices = Run({"devices"});
  EXPECT_EQ(devices.code, 4);
  EXPECT_EQ(devices.err, message);
  EXPECT_EQ(Run({"job", "watch", "j1"}).err, message);
  EXPECT_EQ(Run({"submit", Write("a.yaml", kJobFile)}).code, 4);
  EXPECT_EQ(Run({"--coordinator", coordinator_.address(), "devices"}).code, 0);
}

}  // namespace
}  // namespace wattle::cli
