// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Completion, first as the program prints it, then as bash receives it: a real bash sources the
// script and calls the real program, and the test reads COMPREPLY.
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;

class CompletionTest : public ProgramTest {
 protected:
  std::vector<std::string> Ask(std::vector<std::string> words) {
    words.insert(words.begin(), "__complete");
    return absl::StrSplit(Run(words).out, '\n', absl::SkipEmpty());
  }

  // COMPREPLY of a bash in which `line` was typed and Tab pressed.
  std::vector<std::string> AskBash(const std::string& line) {
    const std::string script = Write("completion.sh", Run({"completion", "bash"}).out);
    const std::string driver =
        Write("driver.sh",
              absl::StrCat("set -u\nexport WATTLE_COORDINATOR=", address_,
                           "\nexport WATTLE_PLAINTEXT_LOOPBACK=1\nexport PATH=", WATTLE_BINARY_DIR,
                           "/bin:$PATH\nsource ", script, "\nCOMP_LINE='", line,
                           "'\nCOMP_POINT=${#COMP_LINE}\n_wattle\n",
                           "[[ $(complete -p wattle) == *_wattle* ]] || exit 1\n",
                           "(( ${#COMPREPLY[@]} )) && printf '%s\\n' \"${COMPREPLY[@]}\"\n"));
    FILE* pipe =
        popen(absl::StrCat("cd ", directory_.path(), " && bash ", driver, " 2>&1").c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    std::string out;
    std::array<char, 4096> buffer = {};
    while (const size_t size = fread(buffer.data(), 1, buffer.size(), pipe)) {
      out.append(buffer.data(), size);
    }
    pclose(pipe);
    return absl::StrSplit(out, '\n', absl::SkipEmpty());
  }
};

TEST_F(CompletionTest, NamesCommandsFlagsAndValues) {
  EXPECT_THAT(Ask({"job", "s"}), ElementsAre("show"));
  EXPECT_THAT(Ask({"po"}), ElementsAre("policy"));
  EXPECT_THAT(Ask({"prof"}), ElementsAre("profiles", "profile"));
  EXPECT_THAT(Ask({"profile", "show", "x", "--fr"}), ElementsAre("--front"));
  EXPECT_THAT(Ask({"profiles", "--cl"}), ElementsAre("--class"));
  EXPECT_THAT(Ask({"plan", "--wi"}), ElementsAre("--without-policies"));
  EXPECT_THAT(Ask({"devices", "-o", ""}), ElementsAre("table", "json"));
  EXPECT_THAT(Ask({"plan", ""}), ElementsAre(":files"));
  EXPECT_THAT(Ask({"model", "push", "tiny", ""}), ElementsAre(":files"));
  EXPECT_THAT(Ask({"model", "pull", "tiny", ""}), ElementsAre(":directories"));
  EXPECT_THAT(Ask({"model", "export", "tiny", "--gguf", ""}), ElementsAre(":files"));
  EXPECT_THAT(Ask({"model", "export", "tiny", "--type", ""}),
              ElementsAre("f32", "f16", "q8_0", "q4_0"));
  EXPECT_THAT(Ask({"submit", "a.yaml", "--set", "finetune.se"}),
              ElementsAre("finetune.sequence_length=", "finetune.seed="));
  EXPECT_THAT(Ask({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(Ask({"version", "x", ""}), IsEmpty());
}

TEST_F(CompletionTest, NamesWhatTheFleetHas) {
  EXPECT_THAT(Ask({"job", "watch", "j"}), ElementsAre("j1", "j2", "j3", "j4"));
  EXPECT_THAT(Ask({"device", "drain", "na"}), ElementsAre("nano-1"));
  EXPECT_THAT(Ask({"model", "pull", "job:"}), ElementsAre("job:j1/output"));
  EXPECT_THAT(Ask({"policy", "rm", ""}), Contains("field"));
  EXPECT_THAT(Ask({"data", "pull", "fleet"}), ElementsAre("fleet-qa"));
  EXPECT_THAT(Ask({"finetune", "--data", "fleet"}), ElementsAre("fleet-qa"));
}

TEST_F(CompletionTest, WithoutACoordinatorThereAreJustNoNames) {
  address_ = "127.0.0.1:1";
  EXPECT_THAT(Ask({"job", "watch", ""}), IsEmpty());
  EXPECT_THAT(Ask({"job", "wa"}), ElementsAre("watch"));
}

TEST_F(CompletionTest, BashCompletesCommandsNamesAndFiles) {
  Write("my-job.yaml", kJobFile);
  EXPECT_THAT(AskBash("wattle job rec"), ElementsAre("receipt"));
  EXPECT_THAT(AskBash("wattle "), IsSupersetOf({"submit", "plan", "jobs", "devices"}));
  EXPECT_THAT(AskBash("wattle device show xa"), ElementsAre("xavier-1"));
  EXPECT_THAT(AskBash("wattle plan my"), ElementsAre("my-job.yaml"));
  EXPECT_THAT(AskBash("wattle job show "), ElementsAre("j1", "j2", "j3", "j4"))
      << "a verb is followed by its argument, not by verbs";
  EXPECT_THAT(AskBash("wattle job show j1 "), IsEmpty());
}

TEST_F(CompletionTest, BashGetsOnlyWhatFollowsAWordBreak) {
  EXPECT_THAT(AskBash("wattle model pull job:j"), ElementsAre("j1/output"));
}

}  // namespace
}  // namespace wattle::cli
