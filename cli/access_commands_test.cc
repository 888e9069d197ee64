// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Commands that grant or revoke access: their output when nothing changed, and their refusal of an
// empty value from a script.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "cli/testing/program_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"

namespace wattle::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AccessCommandsTest : public ProgramTest {
 protected:
  void Enrol(const std::string& kind, const std::string& id, bool revoked, bool waits = false) {
    v1::IdentityRecord& record = *coordinator_.state().identities.add_identities();
    record.set_kind(kind);
    record.set_id(id);
    record.set_revoked(revoked);
    record.set_waits_for_approval(waits);
  }
};

TEST_F(AccessCommandsTest, AnEmptyNameIsNotTheContextInUse) {
  const std::string kept = "current: home\ncontexts:\n  home:\n    coordinator: h:1\n";
  Write("config/wattle/contexts.yaml", kept);
  Write("config/wattle/identities/home/key.pem", "secret");
  for (const char* verb : {"rm", "use"}) {
    const Result result = Run({"context", verb, ""});
    EXPECT_EQ(result.code, 3) << verb;
    EXPECT_EQ(result.err, "wattle: no context \"\"; there are home; wattle context use NAME\n");
  }
  EXPECT_EQ(*ReadWholeFile(Path("config/wattle/contexts.yaml"), 1 << 20), kept);
  EXPECT_TRUE(std::filesystem::exists(Path("config/wattle/identities/home/key.pem")));
  EXPECT_EQ(Run({"context", "rm", "home"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(Path("config/wattle/identities/home")));
}

// An empty value comes from a script's unset variable. A missing value selects all, the latest or
// the default, so an empty one must not.
TEST_F(AccessCommandsTest, AnEmptyValueChoosesNothing) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"device", "token", "--revoke", ""}, "--revoke: empty, wanted ID"},
      {{"profile", "rm", "--class", ""}, "--class: empty, wanted CLASS"},
      {{"access", "retire-ca", ""}, "ROOT: empty, wanted"},
      {{"release", "push", ".", "--version", "1.0.0", "--digest", ""},
       "--digest: empty, wanted ID"},
      {{"device", "revoke", "nano-1", "--since", ""}, "--since: empty, wanted TIME"},
      {{"--context", "", "devices"}, "--context: empty, wanted NAME"},
      {{"--coordinator", "", "devices"}, "--coordinator: empty, wanted HOST:PORT"},
      {{"service", "revoke", ""}, "token: empty, wanted its id"}};
  for (const auto& [command, message] : cases) {
    const Result result = Run(command);
    EXPECT_EQ(result.code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_THAT(result.out, IsEmpty());
  }
  EXPECT_THAT(coordinator_.state().token_revocations, IsEmpty());
  EXPECT_EQ(Run({"device", "drain", "nano-1", "--reason", ""}).code, 0) << "a text may be empty";
}

TEST_F(AccessCommandsTest, AnApprovalThatNobodyWaitedForSaysSo) {
  Enrol("device", "nano-1", /*revoked=*/false, /*waits=*/true);
  Enrol("device", "nano-2", /*revoked=*/false);
  EXPECT_EQ(Run({"device", "approve", "nano-1"}).out, "approved mast (nano-1)\n");
  const Result again = Run({"device", "approve", "nano-2"});
  EXPECT_EQ(again.code, 0) << "it may work, as was asked for";
  EXPECT_EQ(again.out, "mast (nano-2) does not wait for an approval\n");
  EXPECT_EQ(Run({"device", "approve", "pi"}).out, "approved pi, which has not connected yet\n");
}

TEST_F(AccessCommandsTest, WhoWasRevokedAlreadyIsToldSo) {
  Enrol("person", "ann", /*revoked=*/false);
  Enrol("person", "bob", /*revoked=*/true);
  Enrol("device", "ann", /*revoked=*/true);
  EXPECT_EQ(Run({"person", "revoke", "ann"}).out, "revoked ann\n");
  EXPECT_EQ(Run({"person", "revoke", "bob"}).out, "bob was revoked already\n");
}

TEST_F(AccessCommandsTest, ARevokedBoardIsNamedAsItIsKnown) {
  Enrol("device", "d1", /*revoked=*/false);
  v1::RevokeDeviceResponse& answer = coordinator_.state().revoked_device;
  answer.set_device_id("d1");
  EXPECT_EQ(Run({"device", "revoke", "d1"}).out, "revoked d1, which has never connected\n");
  coordinator_.state().identities.mutable_identities(0)->set_revoked(true);
  EXPECT_EQ(Run({"device", "revoke", "d1"}).out, "d1 was revoked already\n");
  coordinator_.state().identities.mutable_identities(0)->set_revoked(false);
  answer.set_name("nano-1");
  EXPECT_EQ(Run({"device", "revoke", "d1"}).out, "revoked nano-1 (d1)\n");
  EXPECT_EQ(Run({"device", "revoke", "d1", "--since", "7d"}).out,
            "revoked nano-1 (d1)\nno job ended on it since\n");
  answer.add_job_ids("j4");
  coordinator_.state().identities.mutable_identities(0)->set_revoked(true);
  EXPECT_EQ(Run({"device", "revoke", "d1", "--since", "7d"}).out,
            "nano-1 (d1) was revoked already\nresults that came from it: j4\n");
}

TEST_F(AccessCommandsTest, AQuotaIsSomebodys) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"quota", "set", "--open-jobs", "2"}, {"quota", "rm"}}) {
    const Result result = Run(command);
    EXPECT_EQ(result.code, 2);
    EXPECT_THAT(result.err, HasSubstr("whose quota? Give OWNER, or --project NAME"));
  }
}

// The coordinator's refusal names its method; the user knows the command.
TEST_F(AccessCommandsTest, ARefusalNamesTheCommand) {
  coordinator_.state().quota_status = {
      grpc::StatusCode::PERMISSION_DENIED,
      "/wattle.v1.AccessService/SetQuota: mia has the role viewer; wanted: admin; an admin gives "
      "roles"};
  const Result result = Run({"quota", "set", "ann", "--open-jobs", "2"});
  EXPECT_EQ(result.code, 5);
  EXPECT_EQ(result.err,
            "wattle: quota set: mia has the role viewer; wanted: admin; an admin gives roles\n");
  coordinator_.state().quota_status = {grpc::StatusCode::PERMISSION_DENIED, "ann: revoked: left"};
  EXPECT_THAT(Run({"quota", "rm", "ann"}).err, HasSubstr("wattle: ann: revoked: left"));
}

}  // namespace
}  // namespace wattle::cli
