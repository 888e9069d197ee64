// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Tests the HTTPS port: which callers are admitted by which proof, and the cost of the handshake.
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "httplib.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/http/testing/raw_connection_for_test.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"
#include "coordinator/access/testing/expected_access_for_test.h"
#include "coordinator/authority/authority.h"
#include "coordinator/callers/callers.h"
#include "coordinator/core/enrolment.h"
#include "coordinator/http/http_server.h"
#include "coordinator/http/json.h"
#include "coordinator/runtime/overview.h"
#include "coordinator/runtime/testing/runtime_fixture.h"

namespace wattle::http {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A caller's proof of identity.
struct Proof {
  std::string certificate_path = {};
  std::string key_path = {};
  std::string authorization = {};
};

struct Answer {
  int status = 0;  // 0: none.
  std::string body;
};

v1::Project NamedProject(const std::string& name) {
  v1::Project project;
  project.set_name(name);
  return project;
}

class HttpsTest : public runtime::RuntimeFixture {
 protected:
  HttpsTest() : runtime_(StartRuntime()), api_(*runtime_) {
    authority_ = *authority::Authority::Open(Path("authority"), kNames, clock_);
    callers_ = std::make_unique<callers::Callers>(*runtime_, authority_->fleet(), limits_);
    Serve({});
  }
  ~HttpsTest() override { server_->Stop(); }

  void Serve(HttpOptions options) {
    options.listen_address = "127.0.0.1:0";
    options.version = "1.2.3";
    options.https = {.own = authority_->server_files(),
                     .client_roots = tls::FixedRoots(authority_->roots_pem())};
    auto server = HttpServer::Start(options);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    server_->Serve(api_, callers_.get());
  }

  // Restarts the server with `calls` calls for a caller, and no more for minutes.
  void ServeFew(double calls, const HttpOptions& options = {}) {
    server_->Stop();
    callers_ = std::make_unique<callers::Callers>(
        *runtime_, authority_->fleet(),
        std::make_shared<callers::CallLimits>(
            callers::CallLimits::Most{.calls_per_second = 0.001, .calls_at_once = calls}));
    Serve(options);
  }

  std::unique_ptr<httplib::Client> ClientOf(const Proof& proof) const {
    auto client = std::make_unique<httplib::Client>(absl::StrCat("https://", server_->address()),
                                                    proof.certificate_path, proof.key_path);
    client->set_ca_cert_path(Path("authority/root.pem").c_str());
    client->set_read_timeout(30, 0);
    if (!proof.authorization.empty()) {
      client->set_default_headers({{"Authorization", proof.authorization}});
    }
    return client;
  }
  Answer Call(const Proof& proof, const std::string& method, const std::string& path,
              const std::string& body = "{}") const {
    const auto client = ClientOf(proof);
    const httplib::Result result =
        method == "GET" ? client->Get(path) : client->Post(path, body, "application/json");
    return result ? Answer{result->status, result->body}
                  : Answer{0, httplib::to_string(result.error())};
  }
  Answer Get(const Proof& proof, const std::string& path) const { return Call(proof, "GET", path); }

  // The files of a certificate that this authority signs for a new key.
  Proof Signed(const authority::Authority& authority, const std::string& kind,
               const std::string& id, v1::IdentityRecord* record = nullptr) {
    const std::string key = *tls::NewKey();
    const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(key));
    const std::string chain = *authority.SignClient(*request, kind, id);
    const Proof proof = {Path(absl::StrCat(kind, "-", id, ".pem")),
                         Path(absl::StrCat(kind, "-", id, "-key.pem"))};
    std::ofstream(proof.certificate_path) << chain;
    std::ofstream(proof.key_path) << key;
    if (record != nullptr) {
      record->set_id(id);
      record->set_public_key_sha256(request->public_key_sha256);
      record->set_signing_request_sha256(request->sha256);
    }
    return proof;
  }
  // Enrols like a person or a board. role: a person's.
  Proof Enrolled(const std::string& kind, const std::string& id, const std::string& role = "") {
    return Enrolled(kind, id, role, false);
  }
  Proof Waiting(const std::string& device) {
    return Enrolled(core::kDeviceKind, device, "", /*approve=*/true);
  }
  Proof Enrolled(const std::string& kind, const std::string& id, const std::string& role,
                 bool approve) {
    v1::EnrolmentToken token;
    token.set_approve(approve);
    token.set_token_id(absl::StrCat("token-of-", id));
    token.set_kind(kind);
    token.set_person(kind == core::kPersonKind ? id : "");
    token.set_role(role);
    token.set_uses(1);
    token.set_expires_unix_seconds(core::ToUnix(absl::Now() + absl::Hours(1)));
    EXPECT_THAT(Ask(*runtime_, core::CreateTokens{{token}}).status, IsOk());
    core::Enrol enrol;
    const Proof proof = Signed(*authority_, kind, id, &enrol.identity);
    enrol.identity.set_token_id(token.token_id());
    EXPECT_THAT(Ask(*runtime_, std::move(enrol)).status, IsOk());
    return proof;
  }
  Proof Service(const std::string& id = "0123456789abcdef",
                absl::Time expires = absl::Now() + absl::Hours(1)) {
    const tls::ServiceToken shown = {id, std::string(32, 'a')};
    v1::EnrolmentToken token;
    token.set_token_id(id);
    token.set_kind(core::kServiceKind);
    token.set_person("prometheus");
    token.set_secret_sha256(tls::Sha256(shown.secret));
    token.set_expires_unix_seconds(core::ToUnix(expires));
    EXPECT_THAT(Ask(*runtime_, core::CreateTokens{{token}}).status, IsOk());
    return {.authorization = absl::StrCat("Bearer ", tls::FormatServiceToken(shown))};
  }
  // The output of openssl's own client; `flags` choose the version.
  std::string OpensslSays(const std::string& flags) const {
    const std::string command = absl::StrCat("openssl s_client -connect ", server_->address(), " ",
                                             flags, " </dev/null 2>&1");
    FILE* const client = popen(command.c_str(), "r");
    std::string said;
    std::array<char, 4096> part = {};
    while (const size_t size = fread(part.data(), 1, part.size(), client)) {
      said.append(part.data(), size);
    }
    pclose(client);
    return said;
  }

  const authority::ServerNames kNames = {.dns_names = {"localhost"}, .addresses = {"127.0.0.1"}};
  SetClock clock_{absl::Now()};
  std::unique_ptr<runtime::Runtime> runtime_;
  runtime::Api api_;
  std::unique_ptr<authority::Authority> authority_;
  const std::shared_ptr<callers::CallLimits> limits_ = std::make_shared<callers::CallLimits>();
  std::unique_ptr<callers::Callers> callers_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpsTest, AnEventSaysWhosePostItWasAndFromWhere) {
  Connect(*runtime_, "device-a");
  const Proof otto = Enrolled("person", "otto", "operator");
  ASSERT_EQ(Call(otto, "POST", "/api/v1/devices/device-a/drain").status, 200);
  const auto overview = runtime::Overview::Open(*runtime_);
  ASSERT_THAT(overview, IsOk());
  std::vector<std::string> drains;
  for (const v1::FleetEvent& event : (*overview)->feed().Read(1, 100).events) {
    if (event.kind() == "device_drained") {
      drains.push_back(absl::StrCat(event.caller(), " from ", event.caller_address()));
    }
  }
  EXPECT_THAT(drains, testing::ElementsAre("person otto from 127.0.0.1"));
}

TEST_F(HttpsTest, EveryRouteIsOpenToTheRolesThatAreWrittenAndToNobodyElse) {
  // In the order of the columns of access::Expected().
  const std::vector<Proof> callers = {Enrolled("person", "vera", "viewer"),
                                      Enrolled("person", "sam", "submitter"),
                                      Enrolled("person", "otto", "operator"),
                                      Enrolled("person", "ann", "admin"),
                                      Enrolled("device", "d1"),
                                      Service(),
                                      Waiting("d2"),
                                      {}};
  int cells = 0;
  for (const auto& [route, letters] : access::Expected()) {
    if (absl::StartsWith(route, "/")) {
      continue;
    }
    const std::vector<std::string> parts = absl::StrSplit(route, ' ');
    const std::string path = absl::StrReplaceAll(parts[1], {{"{job}", "j9"}, {"{device}", "none"}});
    for (size_t column = 0; column < callers.size(); ++column) {
      const Answer answer = Call(callers[column], parts[0], path);
      const bool refused = answer.status == 401 || answer.status == 403;
      EXPECT_NE(answer.status, 0) << answer.body;
      EXPECT_EQ(!refused, letters[column] != '-')
          << route << ", column " << column << ": " << answer.status << " " << answer.body;
      EXPECT_EQ(answer.status == 401, refused && column == 7) << route << ", column " << column;
      ++cells;
    }
  }
  EXPECT_GT(cells, 100);
}

// Prometheus does not get the address of a board that is not approved.
TEST_F(HttpsTest, AWaitingBoardIsNotScraped) {
  const Proof ann = Enrolled("person", "ann", "admin");
  (void)Waiting("waiting");
  (void)Enrolled("device", "working");
  Connect(*runtime_, "waiting");
  Connect(*runtime_, "working");
  const std::string targets = Get(ann, "/sd").body;
  EXPECT_THAT(targets, HasSubstr("name-of-working"));
  EXPECT_THAT(targets, Not(HasSubstr("name-of-waiting")));
  ASSERT_THAT(Ask(*runtime_, core::ApproveDevice{DeviceId("waiting"), "ann"}).status, IsOk());
  EXPECT_THAT(Get(ann, "/sd").body, HasSubstr("name-of-waiting"));
}

TEST_F(HttpsTest, MetricsTellWhenAServiceAndTheCoordinatorGoBlind) {
  const Proof ann = Enrolled("person", "ann", "admin");
  constexpr char kEnd[] = "wattle_coordinator_service_token_end_timestamp_seconds";
  EXPECT_THAT(Get(ann, "/metrics").body, Not(HasSubstr(kEnd)));
  (void)Service("1111111111111111", absl::FromUnixSeconds(4'100'000'000));
  (void)Service("2222222222222222", absl::FromUnixSeconds(4'000'000'000));
  const std::string line = absl::StrCat(kEnd, "{service=\"prometheus\"} ");
  EXPECT_THAT(Get(ann, "/metrics").body, HasSubstr(line + "4100000000\n")) << "its last token";
  ASSERT_THAT(
      Ask(*runtime_, core::RevokeToken{"1111111111111111", "ann", /*by_admin=*/true}).status,
      IsOk());
  const std::string page = Get(ann, "/metrics").body;
  EXPECT_THAT(page, HasSubstr(line + "4000000000\n"));
  const auto own = tls::ReadCertificate(*ReadWholeFile(authority_->server_files().chain_path));
  EXPECT_THAT(page, HasSubstr(absl::StrCat("wattle_coordinator_certificate_end_timestamp_seconds ",
                                           absl::ToUnixSeconds(own->not_after), "\n")));
}

TEST_F(HttpsTest, MetricsTellWhenACertificateOfABoardEnds) {
  const Proof ann = Enrolled("person", "ann", "admin");
  (void)Enrolled("device", "device-a");
  ASSERT_THAT(Ask(*runtime_, core::WorkerHello{.hello = runtime::HelloOf("device-a")}).status,
              IsOk());
  constexpr char kEnd[] = "wattle_device_certificate_end_timestamp_seconds{";
  EXPECT_THAT(Get(ann, "/metrics").body, Not(HasSubstr(kEnd))) << "of a version that kept no end";
  ASSERT_THAT(Ask(*runtime_, core::RenewIdentity{.kind = "device",
                                                 .id = "device-a",
                                                 .root_sha256 = "",
                                                 .not_after = absl::FromUnixSeconds(4'000'000'000)})
                  .status,
              IsOk());
  const std::string page = Get(ann, "/metrics").body;
  EXPECT_THAT(page, HasSubstr(kEnd));
  EXPECT_THAT(page, HasSubstr("} 4000000000\n"));
}

TEST_F(HttpsTest, ACallerBeyondTheLimitIsToldSo) {
  ServeFew(3);
  const Proof ann = Enrolled("person", "ann", "admin");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Get(ann, "/api/v1/devices").status, 200);
  }
  EXPECT_THAT(Get(ann, "/metrics").body,
              HasSubstr("wattle_coordinator_limited_total{limit=\"calls\"} 0\n"));
  const Answer beyond = Get(ann, "/api/v1/devices");
  EXPECT_EQ(beyond.status, 429);
  EXPECT_THAT(beyond.body, HasSubstr("person ann: more than"));
  EXPECT_THAT(Get(Service(), "/metrics").body,
              HasSubstr("wattle_coordinator_limited_total{limit=\"calls\"} 1\n"));
}

TEST_F(HttpsTest, ALargeBodyIsSeveralCalls) {
  ServeFew(5);
  const Proof ann = Enrolled("person", "ann", "admin");
  const std::string body =
      absl::StrCat(R"({"job_id": "1"})", std::string(3 * callers::kMessageBytesOfACall, ' '));
  EXPECT_EQ(Call(ann, "POST", "/api/v1/plan", body).status, 404);
  EXPECT_EQ(Get(ann, "/api/v1/devices").status, 200) << "the fifth";
  EXPECT_EQ(Get(ann, "/api/v1/devices").status, 429);
}

TEST_F(HttpsTest, AFloodOfRefusedCallsEnds) {
  const Proof eve = Enrolled("person", "eve", "admin");
  ASSERT_THAT(Ask(*runtime_, core::RevokeIdentity{"person", "eve", "left", "ann"}).status, IsOk());
  ServeFew(3);
  const Proof wrong = {
      .authorization = absl::StrCat(
          "Bearer ", tls::FormatServiceToken({"0123456789abcdef", std::string(32, 'b')}))};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Get(eve, "/api/v1/devices").status, 403);
    EXPECT_EQ(Get(i == 0 ? wrong : Proof{}, "/api/v1/devices").status, 401);
  }
  EXPECT_EQ(Get(eve, "/api/v1/devices").status, 429);
  EXPECT_EQ(Get({}, "/api/v1/devices").status, 429) << "of this address";
  EXPECT_EQ(Get(wrong, "/api/v1/devices").status, 429);
  EXPECT_EQ(Get({}, "/healthz").status, 200);
  EXPECT_EQ(Get(Enrolled("person", "ann", "admin"), "/api/v1/devices").status, 200);
}

TEST_F(HttpsTest, AStrangerIsToldHowToGetIn) {
  const Answer answer = Get({}, "/metrics");
  EXPECT_EQ(answer.status, 401);
  EXPECT_THAT(answer.body, AllOf(HasSubstr("curl --cert"), HasSubstr("wattle service token NAME"),
                                 Not(HasSubstr("wattle_coordinator_jobs"))));
  EXPECT_EQ(Get({}, "/healthz").body, "ok\n");
  EXPECT_EQ(Get({.authorization = "Basic eDp5"}, "/healthz").body, "ok\n");
}

TEST_F(HttpsTest, PlainTextIsToldToSpeakHttps) {
  for (const char* path : {"/metrics", "/healthz"}) {
    RawConnection connection(server_->address());
    ASSERT_TRUE(connection.Send(
        absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", server_->address(), "\r\n\r\n")));
    const std::string answer = connection.ReadToEnd();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answer, testing::EndsWith(absl::StrCat("\r\n\r\nthis port speaks HTTPS: https://",
                                                       server_->address(), path, "\n")));
  }
}

TEST_F(HttpsTest, SpeaksTls13AndNothingOlder) {
  EXPECT_THAT(OpensslSays(""), HasSubstr("New, TLSv1.3"));
  EXPECT_THAT(OpensslSays("-tls1_2"), Not(HasSubstr("BEGIN CERTIFICATE")));
  EXPECT_THAT(OpensslSays("-tls1_1 -cipher ALL:@SECLEVEL=0"), Not(HasSubstr("BEGIN CERTIFICATE")));
}

TEST_F(HttpsTest, ARevokedPersonIsRefusedAtTheNextRequest) {
  const Proof vera = Enrolled("person", "vera", "viewer");
  const auto client = ClientOf(vera);
  client->set_keep_alive(true);
  ASSERT_EQ(client->Get("/api/v1/jobs")->status, 200);
  const core::RevokeIdentity revoke = {core::kPersonKind, "vera", "left", "ann"};
  ASSERT_THAT(Ask(*runtime_, revoke).status, IsOk());
  const httplib::Result after = client->Get("/api/v1/jobs");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->status, 403);
  EXPECT_THAT(after->body, HasSubstr("person vera was revoked: left; an admin lets them in"));
}

TEST_F(HttpsTest, ABoardsCertificateReadsNothingAndIsToldSo) {
  const Answer answer = Get(Enrolled("device", "d1"), "/metrics");
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, AllOf(HasSubstr("a board's certificate reads nothing here"),
                                 Not(HasSubstr("wattle person token"))));
}

TEST_F(HttpsTest, AnExpiredCertificateIsRefusedWithItsTime) {
  Enrolled("person", "vera", "viewer");
  clock_.now -= absl::Hours(24 * 60);
  const Answer answer = Get(Signed(*authority_, "device", "d1"), "/healthz");
  EXPECT_EQ(answer.status, 200) << "the handshake judges no time";
  const Answer metrics = Get(Signed(*authority_, "device", "d1"), "/metrics");
  EXPECT_EQ(metrics.status, 401);
  EXPECT_THAT(metrics.body, HasSubstr("the certificate of device d1 expired at "));
}

TEST_F(HttpsTest, ACertificateOfAForeignAuthorityEndsTheHandshake) {
  const auto foreign = *authority::Authority::Open(Path("foreign"), kNames, clock_);
  EXPECT_EQ(Get(Signed(*foreign, "person", "ann"), "/healthz").status, 0);
  EXPECT_EQ(Get({}, "/healthz").status, 200);
}

TEST_F(HttpsTest, AServicesTokenReadsAndChangesNothing) {
  Connect(*runtime_, "device-a");
  const Proof prometheus = Service();
  EXPECT_THAT(Get(prometheus, "/metrics").body, HasSubstr("wattle_coordinator_jobs"));
  EXPECT_THAT(Get(prometheus, "/sd").body, HasSubstr("127.0.0.1:9100"));
  for (const char* path : {"/api/v1/devices/device-a/drain", "/api/v1/jobs/j1/cancel",
                           "/api/v1/jobs", "/api/v1/plan"}) {
    const Answer answer = Call(prometheus, "POST", path);
    EXPECT_EQ(answer.status, 403) << path;
    EXPECT_THAT(answer.body, HasSubstr("prometheus has the role service"));
  }
  v1::GetDeviceRequest get;
  get.set_device("device-a");
  EXPECT_FALSE(api_.GetDevice(get)->drained());
}

TEST_F(HttpsTest, AnExpiredRevokedOrWrongTokenIsRefusedWithItsReason) {
  const Proof old = Service("00000000000000aa", absl::FromUnixSeconds(1));
  const Proof revoked = Service("00000000000000bb");
  ASSERT_THAT(
      Ask(*runtime_, core::RevokeToken{"00000000000000bb", "ann", /*by_admin=*/true}).status,
      IsOk());
  Proof wrong = Service("00000000000000cc");
  wrong.authorization.back() = 'b';
  const Proof enrolment = {
      .authorization = absl::StrCat("Bearer wattle1:hub:1:00000000000000dd:", std::string(32, 'a'),
                                    ":", std::string(64, 'b'))};
  const std::vector<std::pair<Proof, std::string>> cases = {
      {old, "service token 00000000000000aa of prometheus expired at 1970-01-01"},
      {revoked, "service token 00000000000000bb of prometheus was revoked"},
      {wrong, "service token is none that this coordinator made"},
      {enrolment, "does not begin with wattle-service:"},
      {{.authorization = "Basic eDp5"}, "wanted Bearer wattle-service:ID:SECRET"}};
  for (const auto& [proof, message] : cases) {
    const Answer answer = Get(proof, "/metrics");
    EXPECT_EQ(answer.status, 401) << message;
    EXPECT_THAT(answer.body, HasSubstr(message));
    EXPECT_THAT(answer.body, Not(HasSubstr(std::string(32, 'a')))) << "no secret comes back";
  }
}

TEST_F(HttpsTest, AJobBelongsToWhoeverSubmitsIt) {
  AddModel(*runtime_, "tiny");
  const Proof sam = Enrolled("person", "sam", "submitter");
  v1::SubmitJobRequest request;
  *request.mutable_spec() = runtime::GenerateSpecOf("tiny");
  request.set_idempotency_key("key");
  request.mutable_spec()->set_owner("ann");
  const Answer as_ann = Call(sam, "POST", "/api/v1/jobs", ToJson(request));
  EXPECT_EQ(as_ann.status, 403);
  EXPECT_THAT(as_ann.body, HasSubstr("and you are sam"));
  request.mutable_spec()->clear_owner();
  v1::SubmitJobResponse submitted;
  ASSERT_THAT(FromJson(Call(sam, "POST", "/api/v1/jobs", ToJson(request)).body, submitted), IsOk());
  EXPECT_EQ(submitted.job().spec().owner(), "sam");
  const std::string cancel = absl::StrCat("/api/v1/jobs/", submitted.job().job_id(), "/cancel");
  const Answer others = Call(Enrolled("person", "sue", "submitter"), "POST", cancel);
  EXPECT_EQ(others.status, 403);
  EXPECT_THAT(others.body, HasSubstr("does not cover this one"));
  EXPECT_EQ(Call(sam, "POST", cancel).status, 200);
}

TEST_F(HttpsTest, AServiceListsJobsWithoutPromptsAndNames) {
  AddModel(*runtime_, "tiny");
  const Proof ann = Enrolled("person", "ann", "admin");
  v1::SubmitJobRequest request;
  *request.mutable_spec() = runtime::GenerateSpecOf("tiny");
  request.mutable_spec()->mutable_generate()->add_prompts("the code of the door");
  request.set_idempotency_key("key");
  ASSERT_EQ(Call(ann, "POST", "/api/v1/jobs", ToJson(request)).status, 200);
  EXPECT_THAT(Get(ann, "/api/v1/jobs").body, HasSubstr("the code of the door"));
  const std::string listed = Get(Service(), "/api/v1/jobs").body;
  EXPECT_THAT(listed, Not(HasSubstr("the code of the door")));
  EXPECT_THAT(listed, Not(HasSubstr("tiny")));
  v1::ListJobsResponse jobs;
  ASSERT_THAT(FromJson(listed, jobs), IsOk());
  ASSERT_EQ(jobs.jobs_size(), 1);
  EXPECT_TRUE(jobs.jobs(0).spec().has_generate()) << "its kind is told";
}

TEST_F(HttpsTest, JobsAndArtifactsOfAnotherProjectAreNotThere) {
  ASSERT_THAT(Ask(*runtime_, core::SetProject{NamedProject("north"), "ann"}).status, IsOk());
  const Proof mia = Enrolled("person", "mia", "submitter");
  const Proof sam = Enrolled("person", "sam", "submitter");
  ASSERT_THAT(Ask(*runtime_, core::SetMember{"mia", {"north"}, "ann"}).status, IsOk());
  v1::ArtifactInfo model = runtime::ModelInfoOf("norths-weights");
  model.set_artifact_id(std::string(64, 'b'));
  model.set_size_bytes(1000);
  model.add_projects("north");
  ASSERT_THAT(Ask(*runtime_, core::CommitArtifact{model}).status, IsOk());
  v1::SubmitJobRequest request;
  *request.mutable_spec() = runtime::GenerateSpecOf("norths-weights");
  request.mutable_spec()->set_name("norths-job");
  request.mutable_spec()->set_project("north");
  request.set_idempotency_key("key");
  EXPECT_EQ(Call(sam, "POST", "/api/v1/jobs", ToJson(request)).status, 403);
  v1::SubmitJobResponse submitted;
  ASSERT_THAT(FromJson(Call(mia, "POST", "/api/v1/jobs", ToJson(request)).body, submitted), IsOk());
  const std::string job = absl::StrCat("/api/v1/jobs/", submitted.job().job_id());
  EXPECT_EQ(Get(mia, job).status, 200);
  EXPECT_EQ(Get(sam, job).status, 403);
  EXPECT_EQ(Call(sam, "POST", absl::StrCat(job, "/cancel")).status, 403);
  for (const char* list : {"/api/v1/jobs", "/api/v1/artifacts"}) {
    EXPECT_THAT(Get(mia, list).body, HasSubstr("norths-weights")) << list;
    EXPECT_THAT(Get(sam, list).body, Not(HasSubstr("norths"))) << list;
    EXPECT_EQ(Get(sam, list).status, 200) << list;
  }
  EXPECT_THAT(Get(sam, "/api/v1/timetable").body, Not(HasSubstr("norths")));
}

TEST_F(HttpsTest, CallersWithoutAProofMayWhatTheFlagGives) {
  server_->Stop();
  HttpOptions options;
  options.nameless_role = access::Role::kViewer;
  Serve(options);
  EXPECT_EQ(Get({}, "/api/v1/jobs").status, 200);
  const Answer drain = Call({}, "POST", "/api/v1/devices/none/drain");
  EXPECT_EQ(drain.status, 403);
  EXPECT_THAT(drain.body, HasSubstr("--http-role"));
  const Proof revoked = Service();
  ASSERT_THAT(
      Ask(*runtime_, core::RevokeToken{"0123456789abcdef", "ann", /*by_admin=*/true}).status,
      IsOk());
  EXPECT_EQ(Get(revoked, "/api/v1/jobs").status, 401) << "who shows a bad token is not nameless";
}

TEST_F(HttpsTest, CallersWithoutAProofShareTheCallsOfTheirAddress) {
  HttpOptions options;
  options.nameless_role = access::Role::kSubmitter;
  ServeFew(5, options);
  const std::string body =
      absl::StrCat(R"({"job_id": "1"})", std::string(3 * callers::kMessageBytesOfACall, ' '));
  EXPECT_EQ(Call({}, "POST", "/api/v1/plan", body).status, 404);
  EXPECT_EQ(Get({}, "/api/v1/jobs").status, 200) << "the fifth";
  const Answer refused = Get({}, "/api/v1/jobs");
  EXPECT_EQ(refused.status, 429);
  EXPECT_THAT(refused.body, HasSubstr("address 127.0.0.1: more than"));
  EXPECT_EQ(Get(Enrolled("person", "ann", "admin"), "/api/v1/jobs").status, 200);
}

TEST_F(HttpsTest, AForeignHostOrPageIsRefusedBehindTlsToo) {
  const Proof ann = Enrolled("person", "ann", "admin");
  const auto client = ClientOf(ann);
  EXPECT_EQ(client->Get("/metrics", {{"Host", "evil.example"}})->status, 421);
  const std::string drain = "/api/v1/devices/none/drain";
  const auto status = [&](const std::string& origin) {
    return client->Post(drain, httplib::Headers{{"Origin", origin}}, "", "text/plain")->status;
  };
  EXPECT_EQ(status("https://evil.example"), 403);
  EXPECT_EQ(status("http://" + server_->address()), 403) << "whoever is on the network made it";
  EXPECT_EQ(status("https://" + server_->address()), 404);
}

TEST_F(HttpsTest, ConnectionsThatStallInTheHandshakeDoNotSilenceHealth) {
  server_->Stop();
  HttpOptions options;
  options.limits.connections_max = 16;
  // Longer than a client waits, so that no client leaves by itself.
  options.limits.patience = {
      .idle = absl::Minutes(5), .silence = absl::Minutes(5), .request = absl::Minutes(5)};
  Serve(options);
  std::vector<std::unique_ptr<RawConnection>> stalled;
  for (int i = 0; i < 40; ++i) {
    stalled.push_back(std::make_unique<RawConnection>(server_->address()));
    // The begin of a handshake's record, half of them with nothing of it.
    ASSERT_TRUE(stalled.back()->Send(i % 2 == 0 ? "\x16" : "\x16\x03\x01\x02"));
  }
  EXPECT_EQ(Get({}, "/healthz").body, "ok\n");
  EXPECT_EQ(stalled.front()->ReadToEnd(), "") << "the oldest made room";
}

// Single bytes count as activity, so the request's time limit must start with the handshake.
TEST_F(HttpsTest, ADrippingHandshakeIsGivenUp) {
  server_->Stop();
  HttpOptions options;
  options.limits.patience = {
      .idle = absl::Minutes(1), .silence = absl::Minutes(1), .request = absl::Milliseconds(200)};
  Serve(options);
  RawConnection connection(server_->address());
  // A record of 16,000 bytes that is never completed.
  ASSERT_TRUE(connection.Send("\x16\x03\x01\x3e"));
  int bytes = 0;
  while (bytes < 15'000 && connection.Send("\x01")) {
    ++bytes;
    connection.AwaitClosing(absl::Milliseconds(1));
  }
  EXPECT_LT(bytes, 15'000);
}

TEST_F(HttpsTest, ARenewedCertificateServesTheNextConnection) {
  const std::string file = Path("authority/server.pem");
  const auto served = [&] {
    const std::string said = OpensslSays("-showcerts");
    const size_t begin = said.find("-----BEGIN");
    return begin == std::string::npos ? said : tls::ReadCertificate(said.substr(begin))->serial;
  };
  const std::string first = tls::ReadCertificate(*ReadWholeFile(file))->serial;
  EXPECT_EQ(served(), first);
  clock_.now += absl::Hours(24 * 46);
  ASSERT_THAT(authority_->RenewServerCertificate(), IsOk());
  const std::string second = tls::ReadCertificate(*ReadWholeFile(file))->serial;
  ASSERT_NE(first, second);
  EXPECT_EQ(served(), second);
  std::ofstream(file) << "no certificate";
  EXPECT_EQ(served(), second) << "what cannot be used leaves the one before";
}

}  // namespace
}  // namespace wattle::http
