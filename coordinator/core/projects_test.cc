// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/projects.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/core/quota.h"
#include "coordinator/core/testing/fleet_for_test.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A fleet of one board, a project "secret" and ann, a member of the projects in her token.
class ProjectsTest : public testing::Test {
 protected:
  ProjectsTest() {
    v1::Project project;
    project.set_name("secret");
    EXPECT_THAT(Ask(SetProject{project, "root"}), IsOk());
  }
  absl::Status Ask(const Command& command, const Instant& now = Now()) {
    const Decision decision = Decide(fleet_.state, command, fleet_.observations, now);
    for (const v1::Event& event : decision.events) {
      Apply(fleet_.state, event, now.monotonic);
    }
    events_ = decision.events.size();
    // A snapshot keeps all that was decided.
    EXPECT_EQ(SnapshotBytes(*ParseSnapshot(SnapshotBytes(fleet_.state))),
              SnapshotBytes(fleet_.state));
    return decision.status;
  }
  absl::Status Enter(const std::string& person, const std::vector<std::string>& projects) {
    v1::EnrolmentToken token;
    token.set_token_id(person);
    token.set_kind(kPersonKind);
    token.set_person(person);
    token.set_uses(1);
    token.set_expires_unix_seconds(ToUnix(Now().wall) + 60);
    for (const std::string& project : projects) {
      token.add_projects(project);
    }
    if (const absl::Status made = Ask(CreateTokens{{token}}); !made.ok()) {
      return made;
    }
    Enrol enrol;
    enrol.identity.set_token_id(person);
    return Ask(enrol);
  }
  absl::Status Submit(const std::string& project) {
    SubmitJob submit = {Finetune(), absl::StrCat("key-", ++keys_)};
    submit.spec.set_project(project);
    return Ask(submit);
  }
  // Puts the model and the data into the project too.
  void Share(const std::string& project) {
    for (v1::ArtifactInfo info : {TinyModel(), Questions(100)}) {
      info.add_projects(project);
      info.clear_name();
      ASSERT_THAT(Ask(CommitArtifact{info}), IsOk());
    }
  }
  std::set<std::string> Of(const std::string& person) {
    return ProjectsOf(FindIdentity(fleet_.state, kPersonKind, person));
  }

  Fleet fleet_;
  size_t events_ = 0;
  int keys_ = 0;
};

TEST_F(ProjectsTest, ATokenGivesMembershipAndAnAdminChangesIt) {
  ASSERT_THAT(Enter("ann", {"secret"}), IsOk());
  ASSERT_THAT(Enter("bob", {}), IsOk());
  EXPECT_THAT(Of("ann"), ElementsAre("secret"));
  EXPECT_THAT(Of("bob"), ElementsAre("default"));
  EXPECT_THAT(Of("nobody"), ElementsAre("default"));
  EXPECT_THAT(Ask(SetMember{"bob", {"secret", "default"}, "root"}), IsOk());
  EXPECT_THAT(Of("bob"), ElementsAre("default", "secret"));
  EXPECT_THAT(DescribeProject(fleet_.state, "secret").members(), ElementsAre("ann", "bob"));
  EXPECT_THAT(Ask(SetMember{"bob", {"default", "secret"}, "root"}), IsOk());
  EXPECT_EQ(events_, 0U) << "a repetition changes nothing";
  EXPECT_THAT(Ask(SetMember{"ann", {}, "root"}), IsOk());
  EXPECT_THAT(Of("ann"), ElementsAre("default"));
  EXPECT_THAT(Ask(SetMember{"eve", {}, "root"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no person \"eve\"")));
  EXPECT_THAT(Ask(SetMember{"ann", {"none"}, "root"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("wattle project ls")));
  EXPECT_THAT(Enter("eve", {"none"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no project \"none\"")));
}

TEST_F(ProjectsTest, BadProjectsAreRefused) {
  const auto refused = [&](const std::string& name, const std::string& label) {
    v1::Project project;
    project.set_name(name);
    project.add_device_labels(label);
    return std::string(Ask(SetProject{project, "root"}).message());
  };
  EXPECT_THAT(refused("a b", "x=y"), HasSubstr("project: \"a b\""));
  EXPECT_THAT(refused("", "x=y"), HasSubstr("project: \"\""));
  EXPECT_THAT(refused("default", "x=y"), HasSubstr("always is there"));
  EXPECT_THAT(refused("good", "=y"), HasSubstr("device_labels: \"=y\""));
  EXPECT_THAT(refused("good", std::string(5000, 'x')), HasSubstr("device_labels: 5000"));
}

TEST_F(ProjectsTest, AProjectWithContentsIsNotRemoved) {
  ASSERT_THAT(Enter("ann", {"secret"}), IsOk());
  Share("secret");
  ASSERT_THAT(Submit("secret"), IsOk());
  EXPECT_THAT(Ask(RemoveProject{"secret", "root"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("1 open job, 2 artifacts, the members ann"))));
  EXPECT_THAT(Ask(RemoveProject{"default", "root"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("always is there")));
  EXPECT_THAT(Ask(RemoveProject{"none", "root"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("wattle project ls")));
  v1::Project empty;
  empty.set_name("empty");
  ASSERT_THAT(Ask(SetProject{empty, "root"}), IsOk());
  EXPECT_THAT(Ask(RemoveProject{"empty", "root"}), IsOk());
  EXPECT_FALSE(ProjectExists(fleet_.state, "empty"));
}

TEST_F(ProjectsTest, AJobReadsItsOwnProjectAlone) {
  EXPECT_THAT(Submit("none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no project \"none\"")));
  EXPECT_THAT(Submit("secret"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no artifact"), Not(HasSubstr("known:")))));
  EXPECT_THAT(Submit(""), IsOk());
  Share("secret");
  EXPECT_THAT(Submit("secret"), IsOk());
  // The output of a job of another project.
  SubmitJob after = {Finetune(), "after"};
  after.spec.set_project("secret");
  after.spec.mutable_finetune()->set_model("job:j1/output");
  EXPECT_THAT(Ask(after), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no job \"j1\"")));
  after.spec.mutable_finetune()->set_model("job:j2/output");
  EXPECT_THAT(Ask(after), IsOk());
}

TEST_F(ProjectsTest, NamesHashesAndPrefixesOfOthersAreNotThere) {
  const ArtifactId id(TinyModel().artifact_id());
  const Scope other = Scope::Of({"secret"});
  for (const std::string& reference :
       {TinyModel().name(), id.value(), id.value().substr(0, 12), std::string("none-of-it")}) {
    EXPECT_THAT(ResolveArtifact(fleet_.state, reference, other).status(),
                StatusIs(absl::StatusCode::kNotFound, AllOf(HasSubstr("there is none yet"))))
        << reference;
  }
  EXPECT_THAT(ResolveArtifact(fleet_.state, TinyModel().name(), Scope::Of({"default"})).status(),
              IsOk());
}

TEST_F(ProjectsTest, ANameOfAnotherProjectIsNotTakenAndWhatSeveralHaveStays) {
  v1::ArtifactInfo other = Questions(7);
  other.set_artifact_id(std::string(64, 'e'));
  other.set_name(TinyModel().name());
  other.add_projects("secret");
  for (const bool move : {false, true}) {
    EXPECT_THAT(Ask(CommitArtifact{other, move, {"secret"}}),
                StatusIs(absl::StatusCode::kAlreadyExists,
                         AllOf(HasSubstr("a name in another project"),
                               Not(HasSubstr(TinyModel().artifact_id().substr(0, 12))))));
  }
  Share("secret");
  EXPECT_THAT(Ask(RemoveArtifact{TinyModel().name(), {}, {"secret"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another project's")));
  EXPECT_THAT(Ask(RemoveArtifact{TinyModel().name(), {}, {"default", "secret"}}), IsOk());
}

TEST_F(ProjectsTest, TheStricterQuotaHolds) {
  Share("secret");
  v1::Quota quota;
  quota.set_project("secret");
  quota.set_open_jobs_max(1);
  ASSERT_THAT(Ask(SetQuota{quota, "root"}), IsOk());
  EXPECT_THAT(Submit("secret"), IsOk());
  EXPECT_THAT(Submit("secret"), StatusIs(absl::StatusCode::kResourceExhausted,
                                         AllOf(HasSubstr("quota of project secret: 1 of 1 open"),
                                               HasSubstr("--project secret"))));
  EXPECT_THAT(Submit(""), IsOk());
  EXPECT_EQ(
      DescribeQuota(fleet_.state, fleet_.observations, {.project = "secret"}, Now()).open_jobs(),
      1);
  quota.set_open_jobs_max(0);
  quota.set_artifact_bytes_max(1);
  ASSERT_THAT(Ask(SetQuota{quota, "root"}), IsOk());
  v1::ArtifactInfo more = Questions(9);
  more.set_artifact_id(std::string(64, 'd'));
  more.set_name("more");
  more.set_pushed_by("ann");
  more.set_size_bytes(10);
  more.add_projects("secret");
  EXPECT_THAT(Ask(CommitArtifact{more}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("quota of project secret")));
  quota.set_open_jobs_max(-1);
  EXPECT_THAT(Ask(SetQuota{quota, "root"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("open_jobs_max: -1")));
  quota.set_open_jobs_max(1);
  quota.set_project("none");
  EXPECT_THAT(Ask(SetQuota{quota, "root"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no project \"none\"")));
  quota.set_owner("ann");
  EXPECT_THAT(Ask(SetQuota{quota, "root"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a project alone")));
}

TEST_F(ProjectsTest, ItsJobsRunOnDevicesWithItsLabelsAlone) {
  Share("secret");
  v1::Project project;
  project.set_name("secret");
  project.add_device_labels("site=north");
  ASSERT_THAT(Ask(SetProject{project, "root"}), IsOk());
  ASSERT_THAT(Submit("secret"), IsOk());
  const scheduler::Snapshot snapshot = MakeSnapshot(fleet_.state, fleet_.observations, {}, Now());
  ASSERT_EQ(snapshot.queue.size(), 1U);
  EXPECT_THAT(snapshot.queue[0].spec.required_labels(), ElementsAre("given:site=north"));
  Do(fleet_.state, fleet_.observations, ComputePlan(snapshot));
  EXPECT_EQ(FindAttempt(fleet_.state, AttemptId("j1.1")), nullptr);
  project.clear_device_labels();
  ASSERT_THAT(Ask(SetProject{project, "root"}), IsOk());
  Do(fleet_.state, fleet_.observations,
     ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
  ASSERT_NE(FindAttempt(fleet_.state, AttemptId("j1.1")), nullptr);
  // An older worker does not support projects.
  EXPECT_EQ(DesiredFor(fleet_.state, DeviceId("device-1")).assignments(0).spec().project(), "");
}

// The board's own word brings it what a token did not give it.
TEST_F(ProjectsTest, NoWorkersOwnLabelBringsItAProjectsWork) {
  Share("secret");
  v1::Project project;
  project.set_name("secret");
  project.add_device_labels("site=north");
  ASSERT_THAT(Ask(SetProject{project, "root"}), IsOk());
  const auto tell = [&](const std::string& key, const std::string& value) {
    v1::Hello hello;
    *hello.mutable_device() = FindDevice(fleet_.state, DeviceId("device-1"))->info();
    hello.mutable_device()->clear_labels();
    v1::Label& label = *hello.mutable_device()->add_labels();
    label.set_key(key);
    label.set_value(value);
    hello.set_incarnation(1);
    return Ask(WorkerHello{hello});
  };
  const auto plan = [&] {
    Do(fleet_.state, fleet_.observations,
       ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
    return FindJob(fleet_.state, JobId("j1"))->job();
  };
  const auto enrol = [&](const std::string& site) {
    v1::EnrolmentToken token;
    token.set_token_id(absl::StrCat("of ", site));
    token.set_kind(kDeviceKind);
    token.set_uses(1);
    token.set_expires_unix_seconds(ToUnix(Now().wall) + 60);
    v1::Label& label = *token.add_labels();
    label.set_key("site");
    label.set_value(site);
    ASSERT_THAT(Ask(CreateTokens{{token}}), IsOk());
    Enrol shown;
    shown.identity.set_token_id(token.token_id());
    shown.identity.set_id("device-1");
    ASSERT_THAT(Ask(shown), IsOk());
  };
  enrol("south");
  for (const char* key : {"site", "given:site"}) {
    ASSERT_THAT(tell(key, "north"), IsOk());
    if (fleet_.state.jobs.empty()) {
      ASSERT_THAT(Submit("secret"), IsOk());
    }
    const v1::Job job = plan();
    EXPECT_THAT(job.attempts(), testing::IsEmpty()) << key;
    EXPECT_THAT(job.reason(), AllOf(HasSubstr("no operator gave it the label site=north"),
                                    HasSubstr("wattle device token --label site=north")));
  }
  enrol("north");  // Once more, by its key.
  ASSERT_THAT(tell("site", "elsewhere"), IsOk());
  EXPECT_EQ(plan().attempts_size(), 1);
}

// Without TLS no identity enrols, so nothing is verified.
TEST_F(ProjectsTest, WithoutIdentitiesTheWorkersLabelsCount) {
  Share("secret");
  v1::Project project;
  project.set_name("secret");
  project.add_device_labels("site");
  ASSERT_THAT(Ask(SetProject{project, "root"}), IsOk());
  v1::Hello hello;
  *hello.mutable_device() = FindDevice(fleet_.state, DeviceId("device-1"))->info();
  v1::Label& label = *hello.mutable_device()->add_labels();
  label.set_key("site");
  label.set_value("north");
  hello.set_incarnation(1);
  ASSERT_THAT(Ask(WorkerHello{hello}), IsOk());
  ASSERT_THAT(Submit("secret"), IsOk());
  Do(fleet_.state, fleet_.observations,
     ComputePlan(MakeSnapshot(fleet_.state, fleet_.observations, {}, Now())));
  EXPECT_NE(FindAttempt(fleet_.state, AttemptId("j1.1")), nullptr);
}

// Records from before projects existed have none of their fields.
TEST_F(ProjectsTest, WhatIsOlderIsOfTheDefaultProject) {
  Fleet older;
  ASSERT_THAT(Enter("ann", {}), IsOk());
  EXPECT_EQ(ProjectOf(v1::JobSpec()), "default");
  EXPECT_THAT(ProjectsOf(TinyModel()), ElementsAre("default"));
  const v1::ArtifactInfo& stored = older.state.artifacts.at(ArtifactId(TinyModel().artifact_id()));
  EXPECT_EQ(stored.projects_size(), 0) << "the default project is kept as older versions did";
  const State replayed = *ParseSnapshot(SnapshotBytes(older.state));
  EXPECT_TRUE(Scope::Of({"default"}).Covers(stored));
  EXPECT_FALSE(Scope::Of({"secret"}).Covers(stored));
  EXPECT_TRUE(replayed.projects.empty());
  EXPECT_TRUE(ProjectExists(replayed, "default"));
}

TEST(ScopeTest, AForeignProjectIsRefusedByNameWithWhoGivesIt) {
  EXPECT_THAT(CheckProject(State(), Scope::Of({"a", "b"}), "ann", "secret"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       AllOf(HasSubstr("\"secret\", and ann is a member of a, b"),
                             HasSubstr("wattle project member ann --project a,b,secret"))));
  EXPECT_THAT(CheckProject(State(), Scope::All(), "root", "secret"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no project \"secret\"")));
  EXPECT_THAT(CheckProject(State(), Scope::Of({"default"}), "ann", "default"), IsOk());
}

}  // namespace
}  // namespace wattle::core
