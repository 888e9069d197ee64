// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "worker/agent/metrics_server.h"

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <httplib.h>

#include "base/http/testing/raw_connection_for_test.h"
#include "base/testing/set_clock_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/certificate.h"
#include "base/tls/token.h"
#include "coordinator/authority/authority.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const tls::ServiceToken kToken = {"0123456789abcdef", std::string(32, 'a')};

struct Answer {
  int status = 0;  // 0: none.
  std::string body;
};

class MetricsServerTest : public testing::Test {
 protected:
  MetricsServerTest() {
    authority_ = *authority::Authority::Open(directory_.File("authority"), {}, clock_);
    Sign(*authority_, "device", "d1");
    Start(directory_.Write("hashes", absl::StrCat(HashOf(kToken), "  a comment\n")));
  }

  static std::string HashOf(const tls::ServiceToken& token) {
    return tls::ToHex(tls::Sha256(tls::FormatPageToken(token)));
  }
  void Sign(const authority::Authority& authority, const std::string& kind, const std::string& id) {
    const std::string key = *tls::NewKey();
    const auto request = tls::ReadSigningRequest(*tls::NewSigningRequest(key));
    directory_.Write(id + ".pem", *authority.SignClient(*request, kind, id));
    directory_.Write(id + "-key.pem", key);
  }
  void Start(const std::string& token_file, MetricsServer::Options options = {}) {
    server_.reset();
    options.address = "127.0.0.1:0";
    options.https = {.own = {directory_.File("d1-key.pem"), directory_.File("d1.pem")},
                     .client_roots = tls::FixedRoots(authority_->roots_pem()),
                     .rules = {.token_file = token_file,
                               .floor = absl::UnixEpoch(),
                               .note = [this](const std::string& line) {
                                 absl::MutexLock lock(&mutex_);
                                 notes_.push_back(line);
                               }}};
    auto server = MetricsServer::Start(options, clock_);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    WorkerStatus status;
    status.info.set_name("nano");
    server_->Update(std::move(status));
  }
  // person: the owner of the certificate; empty: none.
  Answer Get(const std::string& person, const std::string& authorization = "",
             const std::string& path = "/metrics") {
    httplib::Client client(absl::StrCat("https://", server_->address()),
                           person.empty() ? "" : directory_.File(person + ".pem"),
                           person.empty() ? "" : directory_.File(person + "-key.pem"));
    client.enable_server_certificate_verification(false);  // by name; see AuthorityTest
    httplib::Headers headers;
    if (!authorization.empty()) {
      headers.emplace("Authorization", authorization);
    }
    const httplib::Result result = client.Get(path, headers);
    return result ? Answer{result->status, result->body}
                  : Answer{0, httplib::to_string(result.error())};
  }

  std::vector<std::string> TakeNotes() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(notes_, {});
  }

  TestDirectory directory_;
  SetClock clock_{absl::Now()};
  absl::Mutex mutex_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<authority::Authority> authority_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, AStrangerReadsHealthAlone) {
  EXPECT_EQ(Get("", "", "/healthz").body, "ok\n");
  const Answer answer = Get("");
  EXPECT_EQ(answer.status, 401);
  EXPECT_THAT(answer.body, HasSubstr("--metrics-token-file"));
  EXPECT_THAT(answer.body, Not(HasSubstr("wattle_device_info")));
}

TEST_F(MetricsServerTest, ACertificateOfTheFleetReads) {
  Sign(*authority_, "person", "ann");
  EXPECT_THAT(Get("ann").body, HasSubstr("wattle_device_info{device=\"nano\""));
  const auto foreign = *authority::Authority::Open(directory_.File("foreign"), {}, clock_);
  Sign(*foreign, "person", "eve");
  EXPECT_EQ(Get("eve").status, 0) << "the handshake ends";
  clock_.now += absl::Hours(24 * 31);
  const Answer expired = Get("ann");
  EXPECT_EQ(expired.status, 401);
  EXPECT_THAT(expired.body, HasSubstr("its certificate expired at"));
}

TEST_F(MetricsServerTest, ATokenOfTheFileReads) {
  const auto bearer = [](const tls::ServiceToken& token) {
    return absl::StrCat("Bearer ", tls::FormatPageToken(token));
  };
  EXPECT_THAT(Get("", bearer(kToken)).body, HasSubstr("wattle_device_info"));
  const tls::ServiceToken other = {kToken.id, std::string(32, 'b')};
  const Answer wrong = Get("", bearer(other));
  EXPECT_EQ(wrong.status, 401);
  EXPECT_THAT(wrong.body, HasSubstr("is none of those"));
  EXPECT_THAT(Get("", "Basic eDp5").body, HasSubstr("wanted Bearer"));
  // The next token, without a restart.
  directory_.Write("hashes", absl::StrCat("# next\n\n", HashOf(other), "\n"));
  EXPECT_EQ(Get("", bearer(other)).status, 200);
  EXPECT_EQ(Get("", bearer(kToken)).status, 401);
  directory_.Write("hashes", "");
  EXPECT_EQ(Get("", bearer(kToken)).status, 401);
  Start("");
  EXPECT_THAT(Get("", bearer(kToken)).body, HasSubstr("this worker takes no token"));
}

// An attacker who controls a board could otherwise use such a token to read the coordinator's
// lists.
TEST_F(MetricsServerTest, ATokenOfTheCoordinatorReadsNoPageAndIsToldSo) {
  const std::string service = tls::FormatServiceToken(kToken);
  directory_.Write("hashes", tls::ToHex(tls::Sha256(service)));
  const Answer answer = Get("", absl::StrCat("Bearer ", service));
  EXPECT_EQ(answer.status, 401);
  EXPECT_THAT(answer.body, HasSubstr("this board has now seen it"));
  EXPECT_THAT(answer.body, HasSubstr("wattle service page-token"));
}

TEST_F(MetricsServerTest, AFileOfTokensHoldsTheirHashesAlone) {
  EXPECT_THAT(ReadTokenHashes(directory_.Write("t", tls::FormatPageToken(kToken))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("t:1: wanted the SHA-256")));
  const auto none = ReadTokenHashes(directory_.Write("t", "# nothing\n"));
  ASSERT_THAT(none, IsOk());
  EXPECT_THAT(*none, testing::IsEmpty());
  const std::string hash = HashOf(kToken);
  const auto upper = ReadTokenHashes(directory_.Write("t", absl::AsciiStrToUpper(hash)));
  ASSERT_THAT(upper, IsOk());
  EXPECT_THAT(*upper, testing::ElementsAre(hash));
  EXPECT_THAT(ReadTokenHashes(directory_.File("none")),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

// The server starts nevertheless: the documented revocation is a file without any line.
TEST_F(MetricsServerTest, AFaultOfTheFileStopsNothingAndIsToldOnceInTheLog) {
  const std::string shown = absl::StrCat("Bearer ", tls::FormatPageToken(kToken));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {directory_.Write("empty", ""), "empty: names no token"},
      {directory_.Write("comment", "# none\n\n"), "comment: names no token"},
      {directory_.Write("malformed", "wattle-service:1:2\n"), "malformed:1: wanted the SHA-256"},
      {directory_.File("missing"), "missing"}};
  for (const auto& [file, fault] : cases) {
    TakeNotes();
    Start(file);
    for (int i = 0; i < 3; ++i) {
      const Answer answer = Get("", shown);
      EXPECT_EQ(answer.status, 401) << file;
      EXPECT_THAT(answer.body, Not(HasSubstr(file))) << "nothing is proved of the caller";
    }
    EXPECT_EQ(Get("", "", "/healthz").status, 200);
    EXPECT_THAT(TakeNotes(), testing::ElementsAre(HasSubstr(fault))) << file;
  }
  directory_.Write("missing", HashOf(kToken));
  EXPECT_EQ(Get("", shown).status, 200);
  EXPECT_THAT(TakeNotes(), testing::IsEmpty());
  directory_.Write("missing", "");
  EXPECT_EQ(Get("", shown).status, 401);
  EXPECT_THAT(TakeNotes(), testing::ElementsAre(HasSubstr("names no token")));
}

TEST_F(MetricsServerTest, PlainTextIsToldToSpeakHttps) {
  http::RawConnection connection(server_->address());
  ASSERT_TRUE(connection.Send("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
  const std::string answer = connection.ReadToEnd();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("this port speaks HTTPS: https://"));
}

TEST_F(MetricsServerTest, ConnectionsThatStallInTheHandshakeDoNotSilenceHealth) {
  MetricsServer::Options options;
  // Longer than a client waits: no client leaves by itself.
  options.limits.patience = {
      .idle = absl::Minutes(5), .silence = absl::Minutes(5), .request = absl::Minutes(5)};
  Start("", options);
  std::vector<std::unique_ptr<http::RawConnection>> stalled;
  for (int i = 0; i < 40; ++i) {
    stalled.push_back(std::make_unique<http::RawConnection>(server_->address()));
    ASSERT_TRUE(stalled.back()->Send("\x16\x03\x01"));
  }
  EXPECT_EQ(Get("", "", "/healthz").body, "ok\n");
}

TEST_F(MetricsServerTest, ARenewedCertificateServesTheNextConnection) {
  const auto served = [&] {
    const std::string command = absl::StrCat("openssl s_client -showcerts -connect ",
                                             server_->address(), " </dev/null 2>/dev/null");
    FILE* const client = popen(command.c_str(), "r");
    std::string said(100'000, '\0');
    said.resize(fread(said.data(), 1, said.size(), client));
    pclose(client);
    const size_t begin = said.find("-----BEGIN");
    return begin == std::string::npos ? said : tls::ReadCertificate(said.substr(begin))->serial;
  };
  const std::string first = served();
  EXPECT_EQ(first, tls::ReadCertificate(directory_.Read("d1.pem"))->serial);
  const auto request =
      tls::ReadSigningRequest(*tls::NewSigningRequest(directory_.Read("d1-key.pem")));
  directory_.Write("d1.pem", *authority_->SignClient(*request, "device", "d1"));
  EXPECT_NE(served(), first);
  EXPECT_EQ(served(), tls::ReadCertificate(directory_.Read("d1.pem"))->serial);
}

}  // namespace
}  // namespace wattle::agent
