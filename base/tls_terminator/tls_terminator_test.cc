// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls_terminator/tls_terminator.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <deque>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/http2/header_block.h"
#include "base/http2/testing/frames_for_test.h"
#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/tls/certificate.h"
#include "base/tls_terminator/testing/h2_client_for_test.h"
#include "base/unique_descriptor.h"

namespace wattle {
namespace {

using testing::HasSubstr;

const absl::Duration kPatience = absl::Seconds(60);

// A fleet of one root, a server and a client.
class TlsTerminatorTest : public testing::Test {
 protected:
  TlsTerminatorTest() {
    const std::string root_key = *tls::NewKey();
    root_ = *tls::SignCertificate(ContentOf(tls::Use::kRoot, root_key, "root"), "", root_key);
    server_ = Signed("server", tls::Use::kServer, root_key);
    client_ = Signed("client", tls::Use::kClient, root_key);
    const std::string other_key = *tls::NewKey();
    other_ = Signed("other", tls::Use::kClient, other_key);
  }

  static tls::CertificateContent ContentOf(tls::Use use, const std::string& key,
                                           const std::string& name) {
    return {.use = use,
            .public_key_pem = *tls::PublicKeyOf(key),
            .common_name = name,
            .uri = absl::StrCat("spiffe://f/", name),
            .not_before = absl::Now() - absl::Hours(1),
            .not_after = absl::Now() + absl::Hours(1)};
  }
  // root_key: another one than root_'s: of a root that nobody knows.
  tls::CertificateFiles Signed(const std::string& name, tls::Use use, const std::string& root_key) {
    const std::string key = *tls::NewKey();
    const std::string root =
        *tls::SignCertificate(ContentOf(tls::Use::kRoot, root_key, "root"), "", root_key);
    tls::CertificateFiles files = {directory_.File(name + ".key"), directory_.File(name + ".pem")};
    std::ofstream(files.key_path) << key;
    std::ofstream(files.chain_path)
        << *tls::SignCertificate(ContentOf(use, key, name), root, root_key);
    return files;
  }

  void Serve(const TlsTerminator::Limits& limits = {}, bool takes_http1 = true) {
    auto bound =
        TlsTerminator::Bind("--listen", "127.0.0.1:0", server_, tls::FixedRoots(root_), limits);
    ASSERT_THAT(bound, IsOk());
    terminator_ = *std::move(bound);
    TlsTerminator::Callbacks callbacks = {
        .on_http2 =
            [this](int socket) {
              absl::MutexLock lock(&mutex_);
              http2_.emplace_back(socket);
            },
        .on_refused =
            [this](const std::string& share, const std::string& why) {
              Note(absl::StrCat("refused ", share, ": ", why));
            },
        .on_stranger = [this](const std::string& share) { Note("stranger " + share); },
        .on_breach =
            [this](const Peer& peer, const absl::Status& why) {
              Note(absl::StrCat("breach ", peer.host, ": ", why.message()));
            }};
    if (takes_http1) {
      callbacks.on_http1 = [this](int socket, std::unique_ptr<tls::ServerSession> session) {
        const UniqueDescriptor closed(socket);
        session.reset();
        Note("http/1.1");
      };
    }
    ASSERT_THAT(terminator_->Serve(std::move(callbacks)), IsOk());
  }
  [[nodiscard]] std::string address() const {
    return absl::StrCat("127.0.0.1:", terminator_->port());
  }
  void Note(const std::string& what) {
    absl::MutexLock lock(&mutex_);
    noted_.push_back(what);
  }
  std::string NextNote() {
    absl::MutexLock lock(&mutex_);
    const auto some = [this] { return !noted_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), kPatience)) {
      return "nothing";
    }
    std::string first = noted_.front();
    noted_.pop_front();
    return first;
  }
  // The server's end of the next connection that came through.
  UniqueDescriptor NextConnection() {
    absl::MutexLock lock(&mutex_);
    const auto some = [this] { return !http2_.empty(); };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&some), kPatience)) {
      return {};
    }
    UniqueDescriptor first = std::move(http2_.front());
    http2_.pop_front();
    return first;
  }
  // Reads `most` bytes, or all until the end.
  static std::string ReadFrom(int socket, size_t most) {
    std::string all;
    std::array<char, 4096> bytes = {};
    pollfd waiting = {socket, POLLIN, 0};
    while (all.size() < most && poll(&waiting, 1, 60'000) == 1) {
      const ssize_t got = recv(socket, bytes.data(), std::min(bytes.size(), most - all.size()), 0);
      if (got <= 0) {
        break;
      }
      all.append(bytes.data(), static_cast<size_t>(got));
    }
    return all;
  }

  TestDirectory directory_;
  std::string root_;
  tls::CertificateFiles server_;
  tls::CertificateFiles client_;
  tls::CertificateFiles other_;  // Signed by another root.
  absl::Mutex mutex_;
  std::deque<UniqueDescriptor> http2_;
  std::deque<std::string> noted_;
  std::unique_ptr<TlsTerminator> terminator_;
};

TEST_F(TlsTerminatorTest, BytesPassBothWaysAndTheFieldNamesThePeer) {
  Serve();
  H2Client client(address(), client_);
  ASSERT_TRUE(client.Send(absl::StrCat(http2::kPrefaceForTest, http2::FrameOf(1, 4, 1, "\x82"))));
  const UniqueDescriptor server = NextConnection();
  ASSERT_GE(server.get(), 0);
  const std::string field = http2::EncodeField(kConnectionField, std::string(32, '0'));
  const size_t size = http2::kPrefaceForTest.size() + 9 + 1 + field.size();
  const std::string got = ReadFrom(server.get(), size);
  ASSERT_EQ(got.size(), size);
  const auto peer = terminator_->peers().Find(got.substr(size - 32));
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(peer->host, "127.0.0.1");
  EXPECT_THAT(tls::ReadCertificate(peer->certificate_pem)->uris,
              testing::ElementsAre("spiffe://f/client"));
  const std::string answer(100'000, 'a');
  ASSERT_EQ(send(server.get(), answer.data(), answer.size(), 0),
            static_cast<ssize_t>(answer.size()));
  std::string read;
  while (read.size() < answer.size()) {
    const std::string part = client.Read();
    ASSERT_NE(part, "");
    read += part;
  }
  EXPECT_EQ(read, answer);
}

TEST_F(TlsTerminatorTest, WhoeverWantsHttp2ShowsACertificateOfTheFleet) {
  Serve();
  H2Client stranger(address());
  (void)stranger.Send(http2::kPrefaceForTest);
  EXPECT_TRUE(stranger.IsClosed());
  EXPECT_EQ(NextNote(), "stranger 127.0.0.1");
  H2Client foreign(address(), other_);
  (void)foreign.Send(http2::kPrefaceForTest);
  EXPECT_TRUE(foreign.IsClosed());
  H2Client client(address(), client_);
  EXPECT_TRUE(client.Send(http2::kPrefaceForTest));
  EXPECT_GE(NextConnection().get(), 0);
  absl::MutexLock lock(&mutex_);
  EXPECT_TRUE(http2_.empty()) << "only the client with a certificate came through";
}

TEST_F(TlsTerminatorTest, WhoeverSpeaksHttp1IsHandedOver) {
  Serve();
  const H2Client names_it(address(), {}, "\x08http/1.1");
  EXPECT_EQ(NextNote(), "http/1.1");
  const H2Client names_none(address(), {}, "");
  EXPECT_EQ(NextNote(), "http/1.1");
}

TEST_F(TlsTerminatorTest, WhereNobodyTakesHttp1TheConnectionEnds) {
  Serve({}, /*takes_http1=*/false);
  H2Client stranger(address(), {}, "\x08http/1.1");
  EXPECT_TRUE(stranger.IsClosed());
}

TEST_F(TlsTerminatorTest, ABreachEndsTheConnectionAndIsTold) {
  Serve();
  H2Client client(address(), client_);
  ASSERT_TRUE(client.Send(absl::StrCat(http2::kPrefaceForTest, http2::FrameOf(9, 4, 1, "\x82"))));
  const UniqueDescriptor server = NextConnection();
  EXPECT_TRUE(client.IsClosed());
  EXPECT_THAT(NextNote(), HasSubstr("breach 127.0.0.1: HTTP/2: CONTINUATION without"));
}

TEST_F(TlsTerminatorTest, AnIdentityHasItsShareAndAnEndMakesRoom) {
  Serve({.connections_per_identity = 1});
  auto first = std::make_unique<H2Client>(address(), client_);
  const UniqueDescriptor server = NextConnection();
  ASSERT_GE(server.get(), 0);
  H2Client second(address(), client_);
  EXPECT_TRUE(second.IsClosed());
  EXPECT_THAT(NextNote(), HasSubstr("1 of spiffe://f/client are open, its most"));
  first.reset();
  EXPECT_EQ(ReadFrom(server.get(), 1), "") << "its end has come";
  // The count follows just after the end.
  UniqueDescriptor third_server;
  for (int i = 0; i < 1000 && third_server.get() < 0; ++i) {
    H2Client third(address(), client_);
    (void)third.Send(http2::kPrefaceForTest);
    absl::MutexLock lock(&mutex_);
    const auto either = [this] { return !http2_.empty() || !noted_.empty(); };
    ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&either), kPatience));
    noted_.clear();
    if (!http2_.empty()) {
      third_server = std::move(http2_.front());
    }
  }
  EXPECT_GE(third_server.get(), 0);
}

TEST_F(TlsTerminatorTest, WhatTheServerSaidLastReachesTheClient) {
  Serve();
  H2Client client(address(), client_);
  {
    const UniqueDescriptor server = NextConnection();
    ASSERT_EQ(send(server.get(), "bye", 3, 0), 3);
  }
  EXPECT_EQ(client.Read(), "bye");
  EXPECT_TRUE(client.IsClosed());
}

// The server reads nothing: of 64 MiB no more is taken than sockets hold.
TEST_F(TlsTerminatorTest, WhatTheServerDoesNotTakeIsNotReadFromTheClient) {
  Serve();
  H2Client client(address(), client_);
  ASSERT_TRUE(client.Send(http2::kPrefaceForTest));
  const UniqueDescriptor server = NextConnection();
  ASSERT_GE(server.get(), 0);
  client.SetPatience(absl::Milliseconds(500));
  const std::string data = http2::FrameOf(0, 0, 1, std::string(1 << 20, 'd'));
  int sent = 0;
  while (sent < 64 && client.Send(data)) {
    ++sent;
  }
  EXPECT_LT(sent, 32);
}

TEST_F(TlsTerminatorTest, AStopAcceptsNobodyAndLetsOthersGoOn) {
  Serve();
  H2Client client(address(), client_);
  const UniqueDescriptor server = NextConnection();
  ASSERT_GE(server.get(), 0);
  terminator_->StopAccepting();
  ASSERT_EQ(send(server.get(), "still", 5, 0), 5);
  EXPECT_EQ(client.Read(), "still");
  H2Client late(address(), client_);
  EXPECT_TRUE(late.IsClosed());
}

TEST_F(TlsTerminatorTest, TwoDoNotShareAPort) {
  Serve();
  EXPECT_THAT(TlsTerminator::Bind("--listen", address(), server_, tls::FixedRoots(root_), {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in use")));
  EXPECT_THAT(TlsTerminator::Bind("--listen", "192.0.2.1:0", server_, tls::FixedRoots(root_), {}),
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

}  // namespace
}  // namespace wattle
