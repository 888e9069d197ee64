// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The audit says whose call led to an event, and from where: every call that changes something,
// over real connections, read back from the journal.
#include <atomic>
#include <cstdint>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

#include "artifacts/transfer/transfer.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "coordinator/rpc/testing/generic_call_for_test.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "coordinator/runtime/overview.h"
#include "proto/audited_events.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"
#include "wattle/v1/upgrade.grpc.pb.h"

namespace wattle::rpc {
namespace {

namespace pb = google::protobuf;
using runtime::HelloOf;

constexpr int64_t kEventsMax = 1000;

class EventCallerTest : public ServerFixture {
 protected:
  // Calls "Service.Method" of package wattle.v1 with a request in JSON, as ann or on `channel`.
  void Ask(const std::string& method, const std::string& json,
           const std::shared_ptr<grpc::Channel>& channel = nullptr) {
    const pb::MethodDescriptor* const known =
        pb::DescriptorPool::generated_pool()->FindMethodByName(absl::StrCat("wattle.v1.", method));
    ASSERT_NE(known, nullptr) << method;
    const std::unique_ptr<pb::Message> request(
        pb::MessageFactory::generated_factory()->GetPrototype(known->input_type())->New());
    const auto parsed = pb::util::JsonStringToMessage(json, request.get());
    ASSERT_TRUE(parsed.ok()) << method << ": " << parsed.ToString();
    const Outcome outcome =
        CallGeneric(channel == nullptr ? channel_ : channel,
                    absl::StrCat("/", known->service()->full_name(), "/", known->name()),
                    request->SerializeAsString());
    ASSERT_TRUE(outcome.status.ok()) << method << ": " << outcome.status.error_message();
  }
  absl::StatusOr<v1::ArtifactInfo> Push(const v1::ArtifactInfo& info) {
    const std::string path = Path(absl::StrCat("file-", info.name()));
    std::ofstream(path, std::ios::binary) << "bytes of " << info.name();
    return artifacts::Push(*v1::ArtifactService::NewStub(channel_), path, info);
  }
  // The journal's events after the event of this number.
  std::vector<v1::FleetEvent> EventsAfter(int64_t sequence) {
    const auto overview = runtime::Overview::Open(*runtime_);
    EXPECT_THAT(overview, IsOk());
    std::vector<v1::FleetEvent> events;
    for (const v1::FleetEvent& event : (*overview)->feed().Read(1, kEventsMax).events) {
      if (event.sequence() > sequence) {
        events.push_back(event);
      }
    }
    return events;
  }
  int64_t LastSequence() {
    return runtime_->Read(
        [](const core::State& state) { return static_cast<int64_t>(state.last_sequence.value()); });
  }
  void PushAndSubmit() {
    v1::ArtifactInfo release;
    release.set_kind(v1::ARTIFACT_KIND_RELEASE);
    release.set_name("wattle-0.2.0-aarch64");
    release.set_release_version("0.2.0");
    release.set_release_architecture("aarch64");
    ASSERT_THAT(Push(release), IsOk());
    ASSERT_THAT(Push(runtime::ModelInfoOf("tiny")), IsOk());
    Ask("ArtifactService.SignArtifact",
        R"({"reference": "tiny", "signature": {"signer": "ann", "signature": "YQ=="}})");
    v1::SubmitJobRequest submit;
    *submit.mutable_spec() = runtime::GenerateSpecOf("tiny");
    submit.set_idempotency_key("key");
    v1::SubmitJobResponse submitted;
    ASSERT_THAT(Call(*v1::JobService::NewStub(channel_), &v1::JobService::Stub::SubmitJob, submit,
                     submitted),
                IsOk());
    Ask("JobService.CancelJob", absl::StrCat(R"({"job_id": ")", submitted.job().job_id(), R"("})"));
    Ask("ArtifactService.RemoveArtifact", R"({"reference": "tiny"})");
  }
  void ChangeTheFleet() {
    Ask("UpgradeService.StartUpgrade",
        R"({"version": "0.2.0", "stages": [{"labels": [{"key": "device", "value":
            "name-of-device-a"}]}]})");
    Ask("UpgradeService.PauseUpgrade", "{}");
    Ask("UpgradeService.ResumeUpgrade", "{}");
    Ask("UpgradeService.AbortUpgrade", "{}");
    Ask("DeviceService.DrainDevice", R"({"device": "device-a"})");
    Ask("DeviceService.ResumeDevice", R"({"device": "device-a"})");
    Ask("PolicyService.ApplyPolicy", R"({"policy": {"name": "p", "max_temperature_celsius": 80}})");
    Ask("PolicyService.DeletePolicy", R"({"name": "p"})");
    const double hour = 3600.0 * static_cast<double>(absl::ToUnixSeconds(absl::Now()) / 3600 + 1);
    Ask("ForecastService.PushForecast",
        absl::StrCat(R"({"forecast": {"name": "sun", "first_hour_unix_seconds": )", int64_t(hour),
                     R"(, "power_watts": [1, 2]}})"));
    Ask("ForecastService.RemoveForecast", R"({"name": "sun"})");
  }
  void ChangeAccess() {
    Ask("AccessService.CreateServiceToken", R"({"service": "prometheus", "ttl_seconds": 60})");
    Ask("AccessService.CreateDeviceTokens", R"({"uses": 1, "count": 2, "ttl_seconds": 60})");
    Ask("AccessService.CreatePersonToken",
        R"({"person": "bob", "role": "viewer", "ttl_seconds": 60})");
    const std::string token = runtime_->Read(
        [](const core::State& state) { return state.tokens.begin()->second.token_id(); });
    Ask("AccessService.RevokeToken", absl::StrCat(R"({"token_id": ")", token, R"("})"));
    Ask("AccessService.SetQuota", R"({"quota": {"owner": "*", "open_jobs_max": 1000}})");
    Ask("AccessService.SetProject", R"({"project": {"name": "north"}})");
    Ask("AccessService.SetMember", R"({"person": "vera", "projects": ["north"]})");
    Ask("AccessService.SetMember", R"({"person": "vera", "projects": ["default"]})");
    Ask("AccessService.RemoveProject", R"({"name": "north"})");
    Ask("AccessService.ApproveDevice", R"({"device": "device-b"})");
    Ask("AccessService.RevokeDevice", R"({"device": "device-b"})");
    Ask("AccessService.RevokePerson", R"({"person": "vera"})");
    Ask("AccessService.RotateAuthority", "{}");
  }
};

TEST_F(EventCallerTest, EveryChangeSaysWhoAndFromWhere) {
  HandWorker worker(DeviceChannel("device-a"), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  (void)PersonChannel("vera", "viewer");
  (void)ChannelOf(Path("device-b"), ApprovalToken(), "device-b");
  const int64_t before = LastSequence();
  PushAndSubmit();
  ChangeTheFleet();
  ChangeAccess();
  std::set<std::string> told;
  for (const v1::FleetEvent& event : EventsAfter(before)) {
    if (IsAudited(event.kind())) {
      told.insert(event.kind());
      EXPECT_EQ(event.caller(), "person ann") << event.ShortDebugString();
      EXPECT_EQ(event.caller_address(), "127.0.0.1") << event.ShortDebugString();
    }
  }
  // Events of calls that are not made above: rows and roots, posted as their neighbours; a removal,
  // which needs a board that has left; what boards do; and what is refused.
  const std::set<std::string> others = {
      "profiles_imported", "imported_profiles_removed", "authority_retired", "device_removed",
      "journal_opened",    "identity_enrolled",         "identity_renewed",  "device_doubled",
      "refusals_counted"};
  const pb::OneofDescriptor& kinds = *v1::Event::descriptor()->oneof_decl(0);
  for (int i = 0; i < kinds.field_count(); ++i) {
    const std::string& kind = kinds.field(i)->name();
    EXPECT_EQ(IsAudited(kind) && !others.contains(kind), told.contains(kind)) << kind;
  }
}

TEST_F(EventCallerTest, ABoardsWordAndAnEnrolmentSayWhoAndFromWhere) {
  const int64_t before = LastSequence();
  HandWorker worker(DeviceChannel("device-a"), HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(worker.ReadUntil(v1::CoordinatorMessage::kDesired, message));
  const auto identity = identity::Load(Path("device-device-a"));
  ASSERT_THAT(identity, IsOk());
  ASSERT_THAT(identity::Renew(*identity, server_->address(), Clock::Real()), IsOk());
  std::set<std::string> told;
  for (const v1::FleetEvent& event : EventsAfter(before)) {
    told.insert(
        absl::StrCat(event.kind(), " by ", event.caller(), " from ", event.caller_address()));
  }
  EXPECT_THAT(told, testing::IsSupersetOf({"identity_enrolled by device device-a from 127.0.0.1",
                                           "identity_renewed by device device-a from 127.0.0.1",
                                           "device_registered by device device-a from 127.0.0.1"}));
}

// With the limit of the latest events: a single refusal is in memory, not in the journal.
TEST_F(EventCallerTest, WhoeverSeesAllSeesARefusedCall) {
  const Outcome refused =
      CallGeneric(PersonChannel("vera", "viewer"), "/wattle.v1.AccessService/RevokePerson", "");
  ASSERT_EQ(refused.status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext context;
  SetDeadline(context);
  v1::WatchEventsRequest request;
  request.set_limit(100);
  const auto stream = v1::CoordinatorService::NewStub(channel_)->WatchEvents(&context, request);
  v1::FleetEvent event;
  while (stream->Read(&event) && event.kind() != "call_refused") {
  }
  EXPECT_THAT(event.text(),
              testing::HasSubstr("person vera was refused /wattle.v1.AccessService/RevokePerson"));
}

// A clock that a test moves on.
class MovedClock final : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override {
    return Real().Now() + absl::Seconds(seconds.load());
  }
  [[nodiscard]] Monotonic Boottime() const override {
    return Real().Boottime() + absl::Seconds(seconds.load());
  }
  std::atomic<int64_t> seconds = 0;
};

TEST_F(EventCallerTest, RefusedCallsAreInTheJournalAMinuteLaterAndAtTheEnd) {
  static auto& clock = *new MovedClock;  // Outlives the fixture.
  adjust_ = [](runtime::RuntimeOptions& options) { options.clock = &clock; };
  End();
  Begin();
  const auto refuse = [this] {
    EXPECT_FALSE(
        CallGeneric(PersonChannel("vera", "viewer"), "/wattle.v1.AccessService/RevokePerson", "")
            .status.ok());
  };
  v1::WatchEventsRequest request;
  request.set_limit(1000);
  request.set_audited_alone(true);
  refuse();
  {
    grpc::ClientContext context;
    SetDeadline(context);
    request.set_follow(true);
    const auto stream = v1::CoordinatorService::NewStub(channel_)->WatchEvents(&context, request);
    v1::FleetEvent event;
    while (stream->Read(&event) && event.kind() != "call_refused") {
    }
    clock.seconds = 61;
    while (stream->Read(&event) && event.kind() != kRefusalsCounted) {
    }
    EXPECT_THAT(event.text(),
                testing::HasSubstr(" s: person vera /wattle.v1.AccessService/RevokePerson (vera "
                                   "has the role viewer; wanted: admin; "));
    context.TryCancel();
  }
  refuse();
  End();
  Begin();
  grpc::ClientContext context;
  SetDeadline(context);
  request.set_follow(false);
  const auto stream = v1::CoordinatorService::NewStub(channel_)->WatchEvents(&context, request);
  v1::FleetEvent event;
  int counted = 0;
  while (stream->Read(&event)) {
    EXPECT_NE(event.kind(), kCallRefused) << "the memory is new";
    counted += event.kind() == kRefusalsCounted ? 1 : 0;
  }
  EXPECT_EQ(counted, 2);
}

// Whoever asks for the audit gets it from the journal, however much work came since.
TEST_F(EventCallerTest, TheAuditReachesBackBeyondTheMemory) {
  Ask("PolicyService.ApplyPolicy", R"({"policy": {"name": "p", "max_temperature_celsius": 80}})");
  Connect(*runtime_, "device-a");
  constexpr int kReports = static_cast<int>(runtime::EventFeed::kEventsMax) + 1;
  for (int i = 1; i <= kReports; ++i) {
    core::WorkerReport report;
    report.device = DeviceId("device-a");
    report.incarnation = HelloOf("device-a").incarnation();
    report.report.set_sequence(i);
    report.report.mutable_ledger()->set_idle_energy_joules(i);
    ASSERT_THAT(runtime_->PostAndWait(report, runtime::kPatience).status, IsOk());
  }
  End();
  Begin();
  grpc::ClientContext context;
  SetDeadline(context);
  v1::WatchEventsRequest request;
  request.set_limit(1000);
  request.set_audited_alone(true);
  const auto stream = v1::CoordinatorService::NewStub(channel_)->WatchEvents(&context, request);
  v1::FleetEvent event;
  bool tells = false;
  while (stream->Read(&event)) {
    EXPECT_TRUE(IsAudited(event.kind())) << event.kind();
    tells = tells || event.kind() == "policy_applied";
  }
  EXPECT_TRUE(tells);
}

TEST_F(EventCallerTest, AdminsAloneReadTheAudit) {
  const auto asks = [](const std::shared_ptr<grpc::Channel>& channel, bool audited_alone) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::WatchEventsRequest request;
    request.set_limit(1000);
    request.set_audited_alone(audited_alone);
    const auto stream = v1::CoordinatorService::NewStub(channel)->WatchEvents(&context, request);
    std::set<std::string> kinds;
    v1::FleetEvent event;
    while (stream->Read(&event)) {
      kinds.insert(event.kind());
    }
    const grpc::Status status = stream->Finish();
    return status.ok() ? absl::StrJoin(kinds, " ") : status.error_message();
  };
  const auto otto = PersonChannel("otto", "operator");
  EXPECT_THAT(asks(channel_, true), testing::HasSubstr("identity_enrolled"));
  for (const auto& channel : {otto, PersonChannel("vera", "viewer")}) {
    EXPECT_THAT(asks(channel, true), testing::HasSubstr("wanted: admin; "));
  }
  // All events are an operator's, as the table has it.
  EXPECT_THAT(asks(otto, false), testing::HasSubstr("identity_enrolled"));
}

TEST_F(EventCallerTest, OperatorsAloneSeeFromWhereOthersCall) {
  Ask("PolicyService.ApplyPolicy", R"({"policy": {"name": "p", "max_temperature_celsius": 80}})");
  const auto seen_by = [](const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::WatchEventsRequest request;
    request.set_follow(true);
    request.set_limit(100);
    const auto stream = v1::CoordinatorService::NewStub(channel)->WatchEvents(&context, request);
    v1::FleetEvent event;
    while (stream->Read(&event) && event.kind() != "policy_applied") {
    }
    context.TryCancel();
    return AuditText(event);
  };
  EXPECT_EQ(seen_by(channel_), "policy p applied; person ann from 127.0.0.1");
  EXPECT_EQ(seen_by(PersonChannel("vera", "viewer")), "policy p applied");
}

}  // namespace
}  // namespace wattle::rpc
