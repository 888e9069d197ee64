// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on who is who: foreign, stolen, replayed and forged identities.
#include <poll.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/file.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/tls_terminator/tls_terminator.h"
#include "base/unique_descriptor.h"
#include "coordinator/rpc/testing/server_fixture.h"
#include "wattle/v1/access.grpc.pb.h"
#include "wattle/v1/artifact.grpc.pb.h"
#include "wattle/v1/coordinator.grpc.pb.h"
#include "wattle/v1/service.grpc.pb.h"

namespace wattle::attacks {
namespace {

using rpc::HandWorker;
using runtime::HelloOf;
using testing::HasSubstr;

class IdentityAttacks : public rpc::ServerFixture {
 protected:
  static grpc::Status Devices(const std::shared_ptr<grpc::Channel>& channel) {
    const auto stub = v1::DeviceService::NewStub(channel);
    grpc::ClientContext context;
    rpc::SetDeadline(context);
    v1::ListDevicesResponse devices;
    return stub->ListDevices(&context, v1::ListDevicesRequest(), &devices);
  }
  static bool IsWelcome(HandWorker& worker) {
    v1::CoordinatorMessage message;
    return worker.ReadUntil(v1::CoordinatorMessage::kWelcome, message);
  }
  // An identity in a folder, signed by this authority as it would have been at that time.
  identity::Identity SignedAt(absl::Time time, const std::string& person) {
    const SetClock then(time);
    const auto authority = authority::Authority::Open(Path("authority"), {}, then);
    const std::string folder = Path("signed-" + person);
    const auto request = tls::ReadSigningRequest(*identity::SigningRequestOf(folder));
    v1::IdentityCertificate answer;
    answer.set_certificate_pem(*(*authority)->SignClient(*request, "device", person));
    answer.set_roots_pem((*authority)->roots_pem());
    EXPECT_THAT(identity::Keep(folder, answer, server_->address()), IsOk());
    return *identity::Load(folder);
  }
  std::shared_ptr<grpc::Channel> Dial(const identity::Identity& identity) {
    return grpc::CreateChannel(server_->address(),
                               identity::CredentialsOf(identity, Clock::Real()));
  }
  // A call by a certificate for that use and name, signed by the issuer in the folder `authority`.
  grpc::Status DevicesBy(const std::string& folder, const std::string& authority, tls::Use use,
                         const std::string& uri) {
    const std::string own = Path(folder);
    const auto request = tls::ReadSigningRequest(*identity::SigningRequestOf(own));
    const std::string issuer = *ReadWholeFile(Path(authority + "/issuer.pem"));
    const auto leaf =
        tls::SignCertificate({.use = use,
                              .public_key_pem = request->public_key_pem,
                              .common_name = "x",
                              .uri = uri,
                              .not_before = absl::Now() - absl::Hours(1),
                              .not_after = absl::Now() + absl::Hours(1)},
                             issuer, *ReadWholeFile(Path(authority + "/issuer_key.pem")));
    v1::IdentityCertificate answer;
    answer.set_certificate_pem(absl::StrCat(*leaf, issuer));
    answer.set_roots_pem(authority_->roots_pem());
    EXPECT_THAT(identity::Keep(own, answer, server_->address()), IsOk());
    return Devices(Dial(*identity::Load(own)));
  }
};

TEST_F(IdentityAttacks, AHelloWithAnotherIdThanTheCertificatesIsRefused) {
  HandWorker board(DeviceChannel("device-a"), HelloOf("device-a"));
  ASSERT_TRUE(IsWelcome(board));
  for (const char* victim : {"device-a", "device-that-is-away"}) {
    HandWorker impostor(DeviceChannel("thief"), HelloOf(victim));
    const grpc::Status status = impostor.FinishAsIs();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_THAT(status.error_message(), HasSubstr("with the certificate of thief"));
  }
}

TEST_F(IdentityAttacks, APersonIsNoDevice) {
  HandWorker impostor(channel_, HelloOf("ann"));
  EXPECT_EQ(impostor.FinishAsIs().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(IdentityAttacks, ASpentExpiredRevokedOrWrongTokenIsRefusedWithItsReason) {
  const std::string token = DeviceToken();
  ASSERT_THAT(identity::Enroll(Path("first"), token, "device-a"), IsOk());
  EXPECT_THAT(identity::Enroll(Path("second"), token, "device-b"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("was used 1 of 1 times")));
  v1::EnrolmentToken old;
  old.set_kind(core::kDeviceKind);
  old.set_expires_unix_seconds(1.0);
  EXPECT_THAT(identity::Enroll(Path("second"), MakeToken(old), "device-b"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("expired at 1970-01-01")));
  const std::string revoked = DeviceToken();
  core::RevokeToken revoke = {tls::ParseToken(revoked)->id, "ann"};
  ASSERT_THAT(runtime_->PostAndWait(revoke, runtime::kPatience).status, IsOk());
  EXPECT_THAT(identity::Enroll(Path("second"), revoked, "device-b"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("was revoked")));
  tls::Token wrong = *tls::ParseToken(DeviceToken());
  wrong.secret = std::string(32, '0');
  EXPECT_THAT(identity::Enroll(Path("second"), tls::FormatToken(wrong), "device-b"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("made none like it")));
}

TEST_F(IdentityAttacks, ALostAnswerIsGivenAgainAndNothingElse) {
  const std::string token = DeviceToken();
  const auto first = identity::Enroll(Path("board"), token, "device-a");
  ASSERT_THAT(first, IsOk());
  const auto again = identity::Enroll(Path("board"), token, "device-a");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*ReadWholeFile(Path("board/certificate.pem")),
            runtime_->Read([](const core::State& state) {
              return core::FindIdentity(state, "device", "device-a")->certificate_pem();
            }));
  EXPECT_EQ(first->not_after, again->not_after);
}

TEST_F(IdentityAttacks, ATokenDoesNotTakeABoardOver) {
  ASSERT_THAT(identity::Enroll(Path("board"), DeviceToken(), "device-a"), IsOk());
  EXPECT_THAT(identity::Enroll(Path("thief"), DeviceToken(), "device-a"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("another key")));
}

TEST_F(IdentityAttacks, ACertificateOfAForeignAuthorityEndsTheHandshake) {
  const auto foreign = authority::Authority::Open(Path("foreign"), {}, Clock::Real());
  ASSERT_THAT(foreign, IsOk());
  // The other fleet even claims the name of this one.
  const std::string ann = authority_->UriOf("person", "ann");
  const grpc::Status status = DevicesBy("stranger", "foreign", tls::Use::kClient, ann);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
}

TEST_F(IdentityAttacks, ACertificateForServersIsNoCallers) {
  const std::string board = authority_->UriOf("device", "device-x");
  EXPECT_EQ(DevicesBy("a-client", "authority", tls::Use::kClient, board).error_code(),
            grpc::StatusCode::PERMISSION_DENIED)
      << "as a board it is let in to be told";
  const grpc::Status status = DevicesBy("a-server", "authority", tls::Use::kServer, board);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
}

// An impostor of the coordinator, which records what it is sent over HTTPS.
class Impostor {
 public:
  Impostor(const tls::CertificateFiles& own, const std::string& roots_pem) {
    auto bound =
        TlsTerminator::Bind("--listen", "127.0.0.1:0", own, tls::FixedRoots(roots_pem), {});
    EXPECT_THAT(bound, IsOk());
    terminator_ = *std::move(bound);
    EXPECT_THAT(
        terminator_->Serve({.on_http2 = [](int socket) { close(socket); },
                            .on_http1 =
                                [this](int socket, std::unique_ptr<tls::ServerSession> session) {
                                  Record(UniqueDescriptor(socket), std::move(session));
                                }}),
        IsOk());
  }

  [[nodiscard]] std::string address() const {
    return absl::StrCat("127.0.0.1:", terminator_->port());
  }
  // Ends first, so that all was recorded.
  std::string Heard() {
    terminator_.reset();
    return heard_;
  }

 private:
  // Until the client closes the connection.
  void Record(UniqueDescriptor socket, std::unique_ptr<tls::ServerSession> session) {
    std::array<char, 4096> bytes = {};
    pollfd waiting = {socket.get(), POLLIN, 0};
    while (true) {
      const tls::ServerSession::Step step = session->Read(bytes.data(), bytes.size());
      if (step.bytes > 0) {
        heard_.append(bytes.data(), static_cast<size_t>(step.bytes));
      } else if (step.wants == 0 || poll(&waiting, 1, 10'000) != 1) {
        return;
      }
    }
  }

  std::string heard_;
  std::unique_ptr<TlsTerminator> terminator_;
};

TEST_F(IdentityAttacks, AManInTheMiddleOfAnEnrolmentHearsNoSecret) {
  const auto foreign = authority::Authority::Open(Path("foreign"), {}, Clock::Real());
  ASSERT_THAT(foreign, IsOk());
  Impostor impostor((*foreign)->server_files(), authority_->roots_pem());
  tls::Token token = *tls::ParseToken(DeviceToken());
  token.address = impostor.address();
  EXPECT_THAT(identity::Enroll(Path("board"), tls::FormatToken(token), "device-a"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("another coordinator")));
  // And a worker that has enrolled does not talk to it.
  auto enrolled = identity::Enroll(Path("board"), DeviceToken(), "device-a");
  ASSERT_THAT(enrolled, IsOk());
  const auto channel =
      grpc::CreateChannel(token.address, identity::CredentialsOf(*enrolled, Clock::Real()));
  const grpc::Status status = Devices(channel);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("not of this fleet"));
  EXPECT_EQ(impostor.Heard(), "");
}

// A board's certificate is for a server too: whoever took it off a board is no coordinator.
TEST_F(IdentityAttacks, AStolenBoardIsNoCoordinatorOfAnEnrolment) {
  ASSERT_THAT(identity::Enroll(Path("stolen"), DeviceToken(), "device-a"), IsOk());
  std::ofstream(Path("chain.pem"))
      << *ReadWholeFile(Path("stolen/certificate.pem")) << authority_->roots_pem();
  Impostor impostor({Path("stolen/key.pem"), Path("chain.pem")}, authority_->roots_pem());
  tls::Token token = *tls::ParseToken(DeviceToken());
  token.address = impostor.address();
  EXPECT_THAT(identity::Enroll(Path("board"), tls::FormatToken(token), "device-b"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("its certificate is for")));
  EXPECT_EQ(impostor.Heard(), "");
}

TEST_F(IdentityAttacks, PlainTextAndTls12AreRefused) {
  const grpc::Status plain =
      Devices(grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  EXPECT_EQ(plain.error_code(), grpc::StatusCode::UNAVAILABLE) << plain.error_message();
  const std::map<std::string, bool> versions = {{"-tls1_3", true},
                                                {"-tls1_2", false},
                                                {"-tls1_1 -cipher ALL:@SECLEVEL=0", false},
                                                {"-tls1 -cipher ALL:@SECLEVEL=0", false}};
  for (const auto& [version, accepted] : versions) {
    const std::string command = absl::StrCat("openssl s_client -connect ", server_->address(),
                                             " -alpn h2 ", version, " </dev/null 2>&1");
    FILE* const client = popen(command.c_str(), "r");
    ASSERT_NE(client, nullptr);
    std::string said;
    std::array<char, 4096> part = {};
    while (const size_t size = fread(part.data(), 1, part.size(), client)) {
      said.append(part.data(), size);
    }
    pclose(client);
    EXPECT_EQ(said.find("BEGIN CERTIFICATE") != std::string::npos, accepted) << version << said;
  }
}

TEST_F(IdentityAttacks, ARevokedDeviceLosesItsStreamAndComesNotBack) {
  HandWorker board(DeviceChannel(), HelloOf("device-a"));
  ASSERT_TRUE(IsWelcome(board));
  const auto access = v1::AccessService::NewStub(channel_);
  v1::RevokeDeviceRequest revoke;
  revoke.set_device("name-of-device-a");
  revoke.set_reason("stolen");
  v1::RevokeDeviceResponse revoked;
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::RevokeDevice, revoke, revoked), IsOk());
  EXPECT_EQ(revoked.device_id(), "device-a");
  EXPECT_EQ(board.FinishAsIs().error_code(), grpc::StatusCode::ABORTED) << "its open stream ends";
  HandWorker again(DeviceChannel(), HelloOf("device-a"));
  const grpc::Status status = again.FinishAsIs();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("device device-a was revoked: stolen"));
  // Neither does a new token for the stolen key, and a new key does.
  EXPECT_THAT(identity::Enroll(Path("device-device-a"), DeviceToken(), "device-a"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("key was revoked")));
  ASSERT_THAT(identity::Enroll(Path("new-card"), DeviceToken(), "device-a"), IsOk());
  HandWorker mended(ChannelOf(Path("new-card"), "", ""), HelloOf("device-a"));
  EXPECT_TRUE(IsWelcome(mended));
  HandWorker thief(DeviceChannel(), HelloOf("device-a"));
  EXPECT_THAT(thief.FinishAsIs().error_message(), HasSubstr("has enrolled with another key since"));
}

// Whoever found a token of --approve has a certificate, and nothing else.
TEST_F(IdentityAttacks, ABoardThatNobodyApprovedGetsNothingOfTheFleet) {
  v1::Policy policy;
  policy.set_name("field");
  policy.set_max_temperature_celsius(80);
  ASSERT_THAT(runtime_->PostAndWait(core::ApplyPolicy{policy}, runtime::kPatience).status, IsOk());
  const auto channel = ChannelOf(Path("board"), ApprovalToken(), "device-a");
  HandWorker board(channel, HelloOf("device-a"));
  v1::CoordinatorMessage message;
  ASSERT_TRUE(board.ReadUntil(v1::CoordinatorMessage::kDesired, message)) << "it may connect";
  EXPECT_EQ(message.desired().policies_size(), 0);
  const auto artifacts = v1::ArtifactService::NewStub(channel);
  v1::GetManifestRequest manifest;
  manifest.set_artifact_id(std::string(64, 'a'));
  v1::Manifest got;
  const absl::Status refused =
      Call(*artifacts, &v1::ArtifactService::Stub::GetManifest, manifest, got);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kPermissionDenied,
                                HasSubstr("'wattle device approve device-a'")));

  const auto access = v1::AccessService::NewStub(channel_);
  v1::ApproveDeviceRequest approve;
  approve.set_device("name-of-device-a");
  v1::ApproveDeviceResponse approved;
  ASSERT_THAT(Call(*access, &v1::AccessService::Stub::ApproveDevice, approve, approved), IsOk());
  EXPECT_EQ(approved.name(), "name-of-device-a");
  ASSERT_TRUE(board.ReadUntil(v1::CoordinatorMessage::kDesired, message)) << "on the same stream";
  EXPECT_EQ(message.desired().policies_size(), 1);
  EXPECT_THAT(Call(*artifacts, &v1::ArtifactService::Stub::GetManifest, manifest, got),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

class CountingSink final : public runtime::MetricSink {
 public:
  void Take(const DeviceId&, v1::MetricBatch, std::function<void()> done) override {
    ++taken_;
    done();
  }
  void AddMetrics(telemetry::MetricsPage&) const override {}
  std::atomic<int> taken_ = 0;
};

TEST_F(IdentityAttacks, ABoardThatNobodyApprovedSendsPrometheusNothing) {
  CountingSink sink;
  End();
  metric_sink_ = &sink;
  Begin();
  HandWorker board(ChannelOf(Path("board"), ApprovalToken(), "device-a"), HelloOf("device-a"));
  ASSERT_TRUE(IsWelcome(board));
  const auto send = [&](int64_t number) {
    v1::WorkerMessage batch;
    batch.mutable_metrics()->set_number(number);
    v1::CoordinatorMessage message;
    ASSERT_TRUE(board.Send(batch));
    ASSERT_TRUE(board.ReadUntil(v1::CoordinatorMessage::kMetricsAcknowledgement, message));
    EXPECT_EQ(message.metrics_acknowledgement().number(), number);
  };
  send(7);
  EXPECT_EQ(sink.taken_, 0) << "dropped, and not sent again";
  const core::ApproveDevice approve = {DeviceId("device-a"), "ann"};
  ASSERT_THAT(runtime_->PostAndWait(approve, runtime::kPatience).status, IsOk());
  send(8);
  EXPECT_EQ(sink.taken_, 1);
  End();  // The runtime may ask the sink until then.
}

TEST_F(IdentityAttacks, ARevokedPersonIsRefusedAtTheNextCall) {
  const auto eve = PersonChannel("eve", "admin");
  EXPECT_TRUE(Devices(eve).ok());
  const core::RevokeIdentity revoke = {core::kPersonKind, "eve", "left", "ann"};
  ASSERT_THAT(runtime_->PostAndWait(revoke, runtime::kPatience).status, IsOk());
  EXPECT_THAT(Devices(eve).error_message(), HasSubstr("person eve was revoked: left"));
}

// Such certificates were signed while the coordinator's clock was ahead.
TEST_F(IdentityAttacks, ACertificateOfTheFutureMayRenewAndNothingElse) {
  const identity::Identity early = SignedAt(absl::Now() + absl::Hours(24 * 60), "device-a");
  HandWorker refused(Dial(early), HelloOf("device-a"));
  EXPECT_THAT(refused.FinishAsIs().error_message(), HasSubstr("set the coordinator's clock"));
  const auto renewed = identity::Renew(early, server_->address(), Clock::Real());
  ASSERT_THAT(renewed, IsOk());
  EXPECT_GE(renewed->not_after, early.not_after);
  HandWorker board(Dial(*renewed), HelloOf("device-a"));
  EXPECT_TRUE(IsWelcome(board));
}

TEST_F(IdentityAttacks, AnExpiredCertificateMayRenewAndNothingElse) {
  const identity::Identity old = SignedAt(absl::Now() - absl::Hours(24 * 60), "device-a");
  HandWorker expired(Dial(old), HelloOf("device-a"));
  const grpc::Status status = expired.FinishAsIs();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(status.error_message(), HasSubstr("may be renewed, and only that"));
  const auto renewed = identity::Renew(old, server_->address(), Clock::Real());
  ASSERT_THAT(renewed, IsOk());
  HandWorker board(Dial(*renewed), HelloOf("device-a"));
  EXPECT_TRUE(IsWelcome(board));
  const identity::Identity ancient = SignedAt(absl::Now() - absl::Hours(24 * 500), "device-b");
  EXPECT_THAT(identity::Renew(ancient, server_->address(), Clock::Real()),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("enrol again")));
}

// A script in a loop, or a stolen certificate: on however many connections it is the same caller.
TEST_F(IdentityAttacks, AFloodOfOneCallerIsRefusedAndNobodyElses) {
  End();
  limits_ = std::make_shared<callers::CallLimits>(
      callers::CallLimits::Most{.calls_per_second = 0.001, .calls_at_once = 20, .streams = 2});
  Begin();
  const auto eve = PersonChannel("eve", "viewer");
  int answered = 0;
  for (int i = 0; i < 100; ++i) {
    answered += Devices(eve).ok() ? 1 : 0;
  }
  EXPECT_EQ(answered, 20);
  const grpc::Status refused = Devices(Dial(*identity::Load(Path("person-eve"))));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("person eve: more than"));
  EXPECT_TRUE(Devices(channel_).ok()) << "ann's calls";
  HandWorker board(DeviceChannel(), HelloOf("device-a"));
  EXPECT_TRUE(IsWelcome(board));
  // Strangers who guess tokens are counted by their address.
  tls::Token guess = *tls::ParseToken(DeviceToken());
  guess.secret = std::string(32, '0');
  absl::Status last;
  for (int i = 0; i < 30 && !absl::IsResourceExhausted(last); ++i) {
    last = identity::Enroll(Path("guesser"), tls::FormatToken(guess), "device-b").status();
  }
  EXPECT_THAT(last, StatusIs(absl::StatusCode::kResourceExhausted,
                             HasSubstr("address 127.0.0.1: more than")));
  EXPECT_GT(limits_->refusals().calls, 80U);
}

// Each stream that follows events holds a thread of the coordinator.
TEST_F(IdentityAttacks, ACallerHoldsNoMoreStreamsThanItsLimit) {
  End();
  limits_ = std::make_shared<callers::CallLimits>(callers::CallLimits::Most{.streams = 2});
  Begin();
  v1::WatchEventsRequest follow;
  follow.set_follow(true);
  follow.set_limit(1);
  struct Follower {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::FleetEvent>> events;
    ~Follower() { context.TryCancel(); }
  };
  const auto open = [&](const std::shared_ptr<grpc::Channel>& channel) {
    auto follower = std::make_unique<Follower>();
    rpc::SetDeadline(follower->context);
    follower->events =
        v1::CoordinatorService::NewStub(channel)->WatchEvents(&follower->context, follow);
    return follower;
  };
  const auto eve = PersonChannel("eve", "viewer");
  // The latest event is one that a viewer may see.
  ASSERT_THAT(Ask(*runtime_, core::ApplyPolicy{runtime::PolicyOf("solar")}).status, IsOk());
  v1::FleetEvent event;
  const auto first = open(eve);
  ASSERT_TRUE(first->events->Read(&event));
  const auto second = open(eve);
  ASSERT_TRUE(second->events->Read(&event));
  const auto third = open(eve);
  ASSERT_FALSE(third->events->Read(&event));
  const grpc::Status refused = third->events->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("person eve: 2 streams are open"));
  const auto anns = open(channel_);
  EXPECT_TRUE(anns->events->Read(&event)) << "ann's stream";
  EXPECT_EQ(limits_->refusals().streams, 1U);
}

// A list is read by operators, and -o json ends up in files: nobody enrols or reads by it.
TEST_F(IdentityAttacks, AListOfIdentitiesHasNoSecretsAndNoSpentTokens) {
  const std::string fresh = tls::ParseToken(DeviceToken())->id;
  const auto waiting = ChannelOf(Path("board"), ApprovalToken(), "device-a");
  const auto access = v1::AccessService::NewStub(channel_);
  v1::ListIdentitiesResponse list;
  ASSERT_THAT(
      Call(*access, &v1::AccessService::Stub::ListIdentities, v1::ListIdentitiesRequest(), list),
      IsOk());
  ASSERT_EQ(list.identities_size(), 2) << list.ShortDebugString();
  EXPECT_EQ(list.identities(0).id(), "device-a");
  EXPECT_TRUE(list.identities(0).waits_for_approval());
  EXPECT_GT(list.identities(0).enrolled_unix_seconds(), 0);
  EXPECT_EQ(list.identities(1).id(), "ann");
  EXPECT_EQ(list.identities(1).role(), "admin");
  for (const v1::IdentityRecord& record : list.identities()) {
    EXPECT_EQ(
        record.certificate_pem() + record.public_key_sha256() + record.signing_request_sha256(),
        "");
  }
  ASSERT_EQ(list.tokens_size(), 1) << list.ShortDebugString();
  EXPECT_EQ(list.tokens(0).token_id(), fresh);
  EXPECT_EQ(list.tokens(0).secret_sha256(), "");
}

// Who may submit sees what holds for them, and nobody else's.
TEST_F(IdentityAttacks, APersonSeesTheirOwnQuotaAlone) {
  const auto sam = PersonChannel("sam", "submitter");
  const auto admin = v1::AccessService::NewStub(channel_);
  for (const auto& [owner, jobs] : {std::pair("*", 5), std::pair("ann", 7)}) {
    v1::SetQuotaRequest set;
    set.mutable_quota()->set_owner(owner);
    set.mutable_quota()->set_open_jobs_max(jobs);
    v1::SetQuotaResponse answer;
    ASSERT_THAT(Call(*admin, &v1::AccessService::Stub::SetQuota, set, answer), IsOk());
  }
  v1::ListQuotasResponse all;
  ASSERT_THAT(Call(*admin, &v1::AccessService::Stub::ListQuotas, v1::ListQuotasRequest(), all),
              IsOk());
  EXPECT_EQ(all.quotas_size(), 2) << all.ShortDebugString();
  const auto stub = v1::AccessService::NewStub(sam);
  v1::ListQuotasResponse own;
  ASSERT_THAT(Call(*stub, &v1::AccessService::Stub::ListQuotas, v1::ListQuotasRequest(), own),
              IsOk());
  ASSERT_EQ(own.quotas_size(), 1) << own.ShortDebugString();
  EXPECT_EQ(own.quotas(0).quota().owner(), "sam");
  EXPECT_EQ(own.quotas(0).quota().open_jobs_max(), 5);
  v1::SetQuotaRequest raise;
  raise.mutable_quota()->set_owner("sam");
  raise.mutable_quota()->set_open_jobs_max(500);
  v1::SetQuotaResponse answer;
  EXPECT_THAT(Call(*stub, &v1::AccessService::Stub::SetQuota, raise, answer),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
}

// The board's clock was never set: the begin of its own certificate is later than 1970.
TEST_F(IdentityAttacks, ABoardIn1970Connects) {
  const SetClock in_1970(absl::UnixEpoch());
  const auto board = identity::Enroll(Path("board"), DeviceToken(), "device-a");
  ASSERT_THAT(board, IsOk());
  HandWorker worker(
      grpc::CreateChannel(server_->address(), identity::CredentialsOf(*board, in_1970)),
      HelloOf("device-a"));
  EXPECT_TRUE(IsWelcome(worker));
}

}  // namespace
}  // namespace wattle::attacks
