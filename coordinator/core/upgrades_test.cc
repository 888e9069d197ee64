// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/core/upgrades.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "coordinator/core/core.h"
#include "coordinator/core/device_artifacts.h"
#include "proto/upgrade_stage.h"

namespace wattle::core {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

// Boards of version 0.2.0 under virtual time, and the releases 0.1.0 and 0.3.0 for aarch64.
class UpgradesTest : public testing::Test {
 protected:
  UpgradesTest() {
    AddRelease("0.1.0", "aarch64");
    AddRelease("0.3.0", "aarch64");
  }

  void AddRelease(const std::string& version, const std::string& architecture) {
    v1::ArtifactInfo release;
    release.set_kind(v1::ARTIFACT_KIND_RELEASE);
    release.set_artifact_id(absl::StrCat("release ", version, " ", architecture));
    release.set_name(absl::StrCat("wattle-", version, "-", architecture));
    release.set_release_version(version);
    release.set_release_architecture(architecture);
    EXPECT_THAT(Do(CommitArtifact{release}), IsOk());
  }

  v1::Hello HelloOf(const std::string& name, const std::string& version) const {
    v1::Hello hello;
    hello.set_incarnation(1);
    hello.mutable_device()->set_device_id(name);
    hello.mutable_device()->set_name(name);
    hello.mutable_device()->set_device_class("jetson-orin-nano");
    hello.mutable_device()->set_architecture("aarch64");
    hello.mutable_device()->set_worker_version(version);
    return hello;
  }
  void Add(const std::string& name, const std::string& label = "",
           const std::string& architecture = "aarch64") {
    v1::Hello hello = HelloOf(name, "0.2.0");
    hello.mutable_device()->set_architecture(architecture);
    if (!label.empty()) {
      hello.mutable_device()->add_labels()->set_key(label);
    }
    hellos_[name] = hello;
    EXPECT_THAT(Connect(hello), IsOk());
  }
  void AddMany(int boards) {
    for (int i = 1; i <= boards; ++i) {
      Add(absl::StrCat("b", i));
    }
  }
  absl::Status Connect(const v1::Hello& hello) {
    DeviceObservation& seen = observations_.devices[DeviceId(hello.device().device_id())];
    seen.connected = true;
    seen.connected_since = Now().monotonic;
    seen.last_seen = Now();
    return Do(WorkerHello{hello});
  }
  // The board restarts with another version, or the same.
  void Restart(const std::string& name, const std::string& version) {
    v1::Hello hello = hellos_.at(name);
    hello.mutable_device()->set_worker_version(version);
    silent_.erase(name);
    EXPECT_THAT(Connect(hello), IsOk());
  }
  void Silence(const std::string& name) { silent_.insert(name); }

  [[nodiscard]] Instant Now() const {
    return {absl::FromUnixSeconds(1'800'000'000) + elapsed_, Monotonic(elapsed_)};
  }
  // The reachable boards beat, and the coordinator ticks each minute.
  void Pass(absl::Duration time) {
    for (const absl::Duration end = elapsed_ + time; elapsed_ < end;) {
      elapsed_ += absl::Minutes(1);
      Tick();
    }
  }
  // Repeats ticks while they change something.
  void Tick() {
    for (auto& [id, device] : observations_.devices) {
      if (!silent_.contains(id.value())) {
        device.last_seen = Now();
      }
    }
    for (SequenceNumber before(-1); before != state_.last_sequence;) {
      before = state_.last_sequence;
      EXPECT_THAT(Do(core::Tick{}), IsOk());
    }
  }

  // Every state is read back from its snapshot, and the events are replayed at the end.
  absl::Status Do(const Command& command) {
    Decision decision = Decide(state_, command, observations_, Now());
    for (const v1::Event& event : decision.events) {
      for (const Effect& effect : Apply(state_, event, Now().monotonic)) {
        if (const auto* changed = std::get_if<DesiredSetChanged>(&effect)) {
          told_[changed->device.value()] = DesiredFor(state_, changed->device).upgrade().version();
        }
      }
      events_.push_back(event);
    }
    EXPECT_EQ(SnapshotBytes(*ParseSnapshot(SnapshotBytes(state_))), SnapshotBytes(state_));
    return decision.status;
  }
  void TearDown() override {
    State replayed;
    for (const v1::Event& event : events_) {
      Apply(replayed, event, kReplayed);
    }
    EXPECT_EQ(SnapshotBytes(replayed), SnapshotBytes(state_));
  }

  static v1::StartUpgradeRequest Ask(const std::string& version,
                                     const std::vector<std::string>& stages = {},
                                     bool allow_downgrade = false) {
    v1::StartUpgradeRequest request;
    request.set_version(version);
    request.set_allow_downgrade(allow_downgrade);
    for (const std::string& stage : stages) {
      *request.add_stages() = *ParseUpgradeStage(stage);
    }
    return request;
  }
  absl::Status Start(const std::vector<std::string>& stages) {
    const absl::Status status = Do(StartUpgrade{Ask("0.3.0", stages), "0.2.0"});
    Tick();
    return status;
  }
  absl::Status PlanError(const v1::StartUpgradeRequest& request) const {
    return PlanUpgrade(state_, request, "0.2.0", Now()).status();
  }
  // The board reports the end of its upgrade.
  void End(const std::string& name, bool active, bool refused = false,
           const std::string& reason = "") {
    WorkerReport report;
    report.device = DeviceId(name);
    report.incarnation = 1;
    report.report.set_sequence(++reports_[name]);
    v1::UpgradeEnded& ended = *report.report.mutable_upgrade_ended();
    ended.set_upgrade_id(Latest().upgrade_id());
    ended.set_version("0.3.0");
    ended.set_active(active);
    ended.set_refused(refused);
    ended.set_reason(reason);
    EXPECT_THAT(Do(report), IsOk());
    Tick();
  }
  // All boards that have an order end it well, until none has one.
  void EndAll() {
    while (!Ordered().empty()) {
      for (const std::string& name : Ordered()) {
        Restart(name, "0.3.0");
        End(name, true);
      }
    }
  }

  [[nodiscard]] const v1::Upgrade& Latest() const { return *FindUpgrade(state_, ""); }
  [[nodiscard]] std::vector<std::string> In(v1::DeviceUpgradeState state) const {
    std::vector<std::string> names;
    for (const v1::DeviceUpgrade& device : Latest().devices()) {
      if (device.state() == state) {
        names.push_back(device.device_name());
      }
    }
    return names;
  }
  // The orders to the boards, from their desired sets.
  [[nodiscard]] std::vector<std::string> Ordered() const {
    std::vector<std::string> names;
    for (const auto& [id, record] : state_.devices) {
      if (DesiredFor(state_, id).has_upgrade()) {
        names.push_back(id.value());
        EXPECT_EQ(told_.at(id.value()), "0.3.0") << "the effect told the board";
      }
    }
    return names;
  }
  [[nodiscard]] v1::DeviceUpgrade Part(const std::string& name) const {
    const v1::Upgrade view = DescribeUpgrade(state_, observations_, Latest(), Now());
    for (const v1::DeviceUpgrade& device : view.devices()) {
      if (device.device_name() == name) {
        return device;
      }
    }
    return {};
  }

  State state_;
  Observations observations_;
  std::vector<v1::Event> events_;
  std::map<std::string, v1::Hello> hellos_;
  std::map<std::string, int64_t> reports_;
  std::map<std::string, std::string> told_;
  std::set<std::string> silent_;
  absl::Duration elapsed_ = absl::Hours(1);
};

TEST_F(UpgradesTest, TheStagesFollowEachOther) {
  AddMany(9);
  Add("c", "canary");
  ASSERT_THAT(Start({"canary", "50%", "100%"}), IsOk());
  EXPECT_EQ(Latest().upgrade_id(), "u1");
  EXPECT_THAT(Ordered(), ElementsAre("c"));
  const v1::UpgradeOrder order = DesiredFor(state_, DeviceId("c")).upgrade();
  EXPECT_EQ(order.upgrade_id(), "u1");
  EXPECT_EQ(order.artifact_id(), "release 0.3.0 aarch64");
  Pass(absl::Minutes(5));
  EXPECT_EQ(Latest().stage(), 0) << "the canary has not ended";
  Restart("c", "0.3.0");
  Tick();
  EXPECT_EQ(Latest().stage(), 0) << "a hello of the version is no passed test";
  End("c", true);
  EXPECT_EQ(Latest().stage(), 1);
  EXPECT_EQ(Ordered().size(), 2U) << "few of a stage at once";
  while (Latest().stage() == 1) {
    const std::string next = Ordered().front();
    Restart(next, "0.3.0");
    End(next, true);
  }
  EXPECT_EQ(In(v1::DEVICE_UPGRADE_STATE_ACTIVE).size(), 5U) << "half of the fleet";
  EndAll();
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_FINISHED);
  EXPECT_EQ(In(v1::DEVICE_UPGRADE_STATE_ACTIVE).size(), 10U);
  EXPECT_GT(Latest().ended_unix_seconds(), 0);
}

TEST_F(UpgradesTest, TwoRollBacksInAStageStopIt) {
  AddMany(8);
  ASSERT_THAT(Start({}), IsOk());
  End("b1", true);
  const std::string first = Ordered().front();
  End(first, false, false, "the self-test failed");
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_RUNNING);
  const std::string second = Ordered().front();
  End(second, false, false, "no write was synced");
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_PAUSED);
  EXPECT_THAT(Latest().reason(), AllOf(HasSubstr("stage 1 (100%) stopped"),
                                       HasSubstr(first + " (the self-test failed) went back"),
                                       HasSubstr(second + " (no write was synced) went back")));
  EXPECT_THAT(Ordered(), IsEmpty()) << "boards that did not switch stay as they are";
  Pass(absl::Hours(3));
  EXPECT_THAT(Ordered(), IsEmpty());
  ASSERT_THAT(Do(ResumeUpgrade{}), IsOk());
  Tick();
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_RUNNING);
  EXPECT_THAT(In(v1::DEVICE_UPGRADE_STATE_ROLLED_BACK), IsEmpty()) << "they are tried again";
  EndAll();
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_FINISHED);
}

TEST_F(UpgradesTest, AStageThatNothingProvedDoesNotEnd) {
  Add("b1");
  Add("c", "canary");
  ASSERT_THAT(Start({"canary", "100%"}), IsOk());
  End("c", false, false, "the self-test failed");
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_PAUSED);
  EXPECT_THAT(Latest().reason(), HasSubstr("no device of stage 1 (canary) runs 0.3.0: c (the"));
  EXPECT_EQ(Latest().stage(), 0);
}

TEST_F(UpgradesTest, PauseTakesOrdersBackAndResumeGivesThemAgain) {
  AddMany(3);
  ASSERT_THAT(Start({}), IsOk());
  const std::vector<std::string> before = Ordered();
  EXPECT_EQ(before.size(), 2U);
  ASSERT_THAT(Do(PauseUpgrade{"by ada: lunch"}), IsOk());
  Tick();
  EXPECT_THAT(Ordered(), IsEmpty());
  EXPECT_EQ(told_.at(before[0]), "") << "the effect took it back";
  EXPECT_EQ(Latest().reason(), "by ada: lunch");
  ASSERT_THAT(Do(PauseUpgrade{"by ada: lunch"}), IsOk()) << "repeated";
  EXPECT_THAT(Do(PauseUpgrade{"by bob: rain"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("u1 is paused already: by ada: lunch")));
  // A board that had switched ends its test all the same.
  End(before[0], true);
  EXPECT_THAT(In(v1::DEVICE_UPGRADE_STATE_ACTIVE), ElementsAre(before[0]));
  ASSERT_THAT(Do(ResumeUpgrade{}), IsOk());
  Tick();
  EXPECT_EQ(Ordered().size(), 2U);
  EXPECT_EQ(Latest().reason(), "");
}

TEST_F(UpgradesTest, AbortEndsIt) {
  AddMany(3);
  EXPECT_THAT(Do(AbortUpgrade{""}), StatusIs(kPrecondition, HasSubstr("no upgrade goes on")));
  ASSERT_THAT(Start({}), IsOk());
  EXPECT_THAT(Start({}), StatusIs(kPrecondition, HasSubstr("upgrade u1 to 0.3.0 goes on")));
  const std::string switched = Ordered().front();
  ASSERT_THAT(Do(AbortUpgrade{"by ada"}), IsOk());
  EXPECT_THAT(Ordered(), IsEmpty());
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_ABORTED);
  End(switched, true);
  EXPECT_THAT(In(v1::DEVICE_UPGRADE_STATE_ACTIVE), ElementsAre(switched));
  EXPECT_THAT(Do(ResumeUpgrade{}), StatusIs(kPrecondition, HasSubstr("no upgrade goes on")));
  ASSERT_THAT(Start({}), IsOk());
  EXPECT_EQ(Latest().upgrade_id(), "u2");
}

TEST_F(UpgradesTest, ABoardThatIsSilentForLongHoldsNothing) {
  Add("c1", "canary");
  Add("c2", "canary");
  Add("b1");
  Silence("c1");
  Pass(absl::Minutes(1));
  ASSERT_THAT(Start({"canary", "100%"}), IsOk());
  EXPECT_THAT(Ordered(), ElementsAre("c2")) << "c1 is not there";
  End("c2", true);
  Pass(absl::Minutes(30));
  EXPECT_EQ(Latest().stage(), 0) << "c1 may come back soon";
  EXPECT_THAT(Part("c1").reason(), HasSubstr("is ordered when it is back"));
  Pass(absl::Minutes(40));
  EXPECT_EQ(Latest().stage(), 1);
  EXPECT_THAT(Ordered(), ElementsAre("b1"));
  End("b1", true);
  Pass(absl::Hours(100));
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_RUNNING) << "c1 still lacks it";
  Restart("c1", "0.2.0");
  Tick();
  EXPECT_THAT(Ordered(), ElementsAre("c1"));
  End("c1", true);
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_FINISHED);
}

TEST_F(UpgradesTest, BoardsThatFellSilentAfterTheirOrderStopTheStage) {
  AddMany(8);
  ASSERT_THAT(Start({}), IsOk());
  const std::vector<std::string> ordered = Ordered();
  Silence(ordered[0]);
  Silence(ordered[1]);
  Pass(absl::Minutes(70));
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_PAUSED);
  EXPECT_THAT(Latest().reason(), HasSubstr(ordered[0] + " was not heard of since its order"));
  ASSERT_THAT(Do(ResumeUpgrade{}), IsOk());
  Pass(absl::Minutes(30));
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_RUNNING) << "silence counts from the resumption";
}

TEST_F(UpgradesTest, AWorkerThatDoesNotKnowUpgradesIsNotWaitedFor) {
  AddMany(2);
  ASSERT_THAT(Start({}), IsOk());
  v1::UpgradeProgress& progress =
      *observations_.devices[DeviceId("b1")].heartbeat.mutable_upgrade();
  progress.set_upgrade_id("u1");
  progress.set_phase("fetch");
  progress.set_size_bytes(4 << 20);
  EXPECT_EQ(Part("b1").reason(), "fetch, 0 B of 4.0 MiB");
  Pass(absl::Minutes(5));
  EXPECT_EQ(Part("b2").state(), v1::DEVICE_UPGRADE_STATE_ORDERED);
  Pass(absl::Minutes(10));
  EXPECT_EQ(Part("b2").state(), v1::DEVICE_UPGRADE_STATE_REFUSED);
  EXPECT_EQ(Part("b2").reason(),
            "its worker 0.2.0 does not know upgrades; install 0.3.0 on the board by hand");
  EXPECT_EQ(Part("b1").state(), v1::DEVICE_UPGRADE_STATE_ORDERED) << "it answers";
}

TEST_F(UpgradesTest, AVersionThatRunsForLongIsProof) {
  AddMany(1);
  ASSERT_THAT(Start({}), IsOk());
  Restart("b1", "0.3.0");
  Pass(absl::Minutes(12));
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_RUNNING) << "its test may go on";
  Pass(absl::Minutes(5));
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_FINISHED);
}

TEST_F(UpgradesTest, RemovedBoardsAndThoseWithoutABuildAreNotWaitedFor) {
  AddMany(3);
  Add("pc", "", "x86_64");
  ASSERT_THAT(Start({}), IsOk());
  EXPECT_THAT(Part("pc").reason(), HasSubstr("no build of 0.3.0 for x86_64"));
  const std::string gone = In(v1::DEVICE_UPGRADE_STATE_WAITING).at(0);
  observations_.devices[DeviceId(gone)].connected = false;
  ASSERT_THAT(Do(RemoveDevice{DeviceId(gone)}), IsOk());
  EndAll();
  EXPECT_EQ(Part(gone).reason(), "was removed from the fleet");
  EXPECT_EQ(Latest().state(), v1::UPGRADE_STATE_FINISHED);
}

TEST_F(UpgradesTest, BadRequestsAreOneLine) {
  EXPECT_THAT(PlanError(Ask("0.3.0")), StatusIs(kInvalid, HasSubstr("adds no device")));
  AddMany(3);
  EXPECT_THAT(PlanError(Ask("0.3.0")), IsOk());
  EXPECT_THAT(PlanError(Ask("new")), StatusIs(kInvalid, HasSubstr("want a version such as")));
  EXPECT_THAT(PlanError(Ask("0.2.7")),
              StatusIs(kInvalid, AllOf(HasSubstr("no release of it is here; push it with 'wattle "
                                                 "release push DIR --version 0.2.7'"),
                                       HasSubstr("known: 0.3.0, 0.1.0"))));
  EXPECT_THAT(PlanError(Ask("0.3.0", {"canary"})),
              StatusIs(kInvalid, HasSubstr("stage 1 (canary): no device")));
  EXPECT_THAT(PlanError(Ask("0.3.0", {"50%", "20%"})),
              StatusIs(kInvalid, HasSubstr("stage 2 (20%): adds no device")));
  EXPECT_THAT(
      PlanError(Ask("0.1.0")),
      StatusIs(kInvalid, AllOf(HasSubstr("older than what b"),
                               HasSubstr("(0.2.0) and 2 more run; add --allow-downgrade"))));
  EXPECT_THAT(PlanError(Ask("0.1.0", {}, true)), IsOk());
  AddRelease("0.4.0", "aarch64");
  EXPECT_THAT(PlanError(Ask("0.4.0")),
              StatusIs(kInvalid, HasSubstr("update the coordinator first")));
}

TEST_F(UpgradesTest, AReleaseNeverChangesAndStaysWhileItIsNeeded) {
  AddMany(2);
  v1::ArtifactInfo other;
  other.set_kind(v1::ARTIFACT_KIND_RELEASE);
  other.set_artifact_id("other programs");
  other.set_release_version("0.3.0");
  other.set_release_architecture("aarch64");
  EXPECT_THAT(Do(CommitArtifact{other}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("a version never changes")));
  other.set_artifact_id("release 0.1.0 aarch64");
  EXPECT_THAT(Do(CommitArtifact{other}),
              StatusIs(kInvalid, HasSubstr("stored already as release 0.1.0 for aarch64")));
  EXPECT_THAT(Do(RemoveArtifact{"wattle-0.1.0-aarch64", v1::ARTIFACT_KIND_MODEL}),
              StatusIs(kInvalid, HasSubstr("it is a release; remove it with 'wattle release rm'")));
  EXPECT_THAT(Do(RemoveArtifact{"wattle-0.1.0-aarch64", v1::ARTIFACT_KIND_RELEASE, {"default"}}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("an operator removes it")));
  ASSERT_THAT(Start({}), IsOk());
  EXPECT_THAT(Do(RemoveArtifact{"wattle-0.3.0-aarch64"}),
              StatusIs(kPrecondition, HasSubstr("is needed by upgrade u1")));
  const auto readable = [&] { return ArtifactsOf(DesiredFor(state_, DeviceId("b1"))); };
  EXPECT_THAT(readable(), ElementsAre(ArtifactId("release 0.3.0 aarch64")));
  End("b1", true);
  EXPECT_THAT(readable(), IsEmpty()) << "its order has ended";
  EndAll();
  EXPECT_THAT(Do(RemoveArtifact{"wattle-0.3.0-aarch64"}), IsOk());
}

TEST_F(UpgradesTest, TheLatestTwentyAreRemembered) {
  AddMany(2);
  for (int i = 0; i < 23; ++i) {
    ASSERT_THAT(Start({}), IsOk());
    ASSERT_THAT(Do(AbortUpgrade{""}), IsOk());
  }
  EXPECT_EQ(state_.upgrades.size(), kUpgradesMax);
  EXPECT_EQ(Latest().upgrade_id(), "u23");
  EXPECT_EQ(FindUpgrade(state_, "u3"), nullptr);
  EXPECT_NE(FindUpgrade(state_, "u4"), nullptr);
}

TEST_F(UpgradesTest, StrangeReportsChangeNothing) {
  AddMany(2);
  ASSERT_THAT(Start({"100%"}), IsOk());
  Add("late");
  End("late", true);
  EXPECT_THAT(In(v1::DEVICE_UPGRADE_STATE_ACTIVE), IsEmpty());
  WorkerReport report;
  report.device = DeviceId("b1");
  report.incarnation = 1;
  report.report.set_sequence(++reports_["b1"]);
  report.report.mutable_upgrade_ended()->set_upgrade_id("u1");
  report.report.mutable_upgrade_ended()->set_version("0.9.0");
  report.report.mutable_upgrade_ended()->set_active(true);
  EXPECT_THAT(Do(report), IsOk());
  EXPECT_EQ(events_.back().report_accepted().note(), "unknown upgrade u1 to 0.9.0");
  EXPECT_THAT(In(v1::DEVICE_UPGRADE_STATE_ACTIVE), IsEmpty());
}

// A worker of an unsupported version is listed with the remedy, until a supported one sends a
// hello.
TEST_F(UpgradesTest, ARefusedWorkerIsAmongTheDevices) {
  v1::Hello hello = HelloOf("nano", "0.9.0");
  hello.set_protocol_min(kProtocol + 1);
  hello.set_protocol_max(kProtocol + 2);
  EXPECT_THAT(Do(WorkerHello{hello}), StatusIs(kPrecondition, HasSubstr("update the coordinator")));
  const auto view = [&] { return DescribeDevice(state_, observations_, DeviceId("nano"), Now()); };
  EXPECT_EQ(view().info().worker_version(), "0.9.0");
  EXPECT_THAT(view().problem(), AllOf(HasSubstr("(worker 0.9.0)"), HasSubstr("update the coord")));
  const size_t events = events_.size();
  EXPECT_FALSE(Do(WorkerHello{hello}).ok());
  EXPECT_EQ(events_.size(), events) << "it is noted once";
  EXPECT_THAT(Connect(HelloOf("nano", "0.2.0")), IsOk());
  EXPECT_EQ(view().problem(), "");
  EXPECT_EQ(view().info().worker_version(), "0.2.0");
}

}  // namespace
}  // namespace wattle::core
