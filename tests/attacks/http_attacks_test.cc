// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Attacks on the coordinator's HTTP port by somebody who can reach the port, or whose web page is
// open in a browser that can.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/http/testing/raw_connection_for_test.h"
#include "base/testing/status_matchers.h"
#include "coordinator/http/http_server.h"
#include "coordinator/runtime/testing/runtime_fixture.h"

namespace wattle::attacks {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class HttpAttacks : public runtime::RuntimeFixture {
 protected:
  HttpAttacks() : runtime_(StartRuntime()), api_(*runtime_) {
    Connect(*runtime_, "device-a");
    Serve({});
  }
  ~HttpAttacks() override { server_->Stop(); }

  void Serve(http::HttpOptions options) {
    options.listen_address = "127.0.0.1:0";
    options.version = "1.2.3";
    options.nameless_role = access::Role::kOperator;
    auto server = http::HttpServer::Start(options);
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    server_->Serve(api_, nullptr);
  }
  // The whole answer to a request with these headers.
  std::string Exchange(const std::string& begin, const std::string& headers) {
    http::RawConnection connection(server_->address());
    EXPECT_TRUE(connection.Send(
        absl::StrCat(begin, " HTTP/1.1\r\nConnection: close\r\n", headers, "\r\n")));
    return connection.ReadToEnd();
  }
  std::string Healthz() {
    return Exchange("GET /healthz", absl::StrCat("Host: ", server_->address(), "\r\n"));
  }

  std::unique_ptr<runtime::Runtime> runtime_;
  runtime::Api api_;
  std::unique_ptr<http::HttpServer> server_;
};

// DNS rebinding: a page of evil.example lets its own name point to this machine. To the browser the
// coordinator is then that page's own site: Host and Origin agree, and the page reads the answers.
TEST_F(HttpAttacks, APageWhoseNameIsReboundToThisMachineDoesNothing) {
  const std::string evil = "Host: evil.example:7411\r\nOrigin: http://evil.example:7411\r\n";
  const std::string drain =
      Exchange("POST /api/v1/devices/device-a/drain", evil + "Content-Length: 0\r\n");
  EXPECT_THAT(drain, StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(drain, HasSubstr("--http-name evil.example")) << "the remedy, if the name is ours";
  v1::GetDeviceRequest get;
  get.set_device("device-a");
  EXPECT_FALSE(api_.GetDevice(get)->drained());
  EXPECT_THAT(Exchange("GET /api/v1/devices", evil), Not(HasSubstr("device-a")));
}

// A foreign page may post any text to any address. The post is refused; its body must not be read
// as the next request of the connection, one without an Origin.
TEST_F(HttpAttacks, ABodyIsNoSecondRequest) {
  const std::string host = absl::StrCat("Host: ", server_->address(), "\r\n");
  const std::string hidden = absl::StrCat("POST /api/v1/devices/device-a/drain HTTP/1.1\r\n", host,
                                          "Content-Length: 0\r\nConnection: close\r\n\r\n");
  const std::string path = "/api/v1/devices/device-a/resume";
  for (const std::string& begin :
       {"POST " + path, "GET " + path, "POST " + path + "?x=" + std::string(9000, 'x')}) {
    http::RawConnection connection(server_->address());
    ASSERT_TRUE(connection.Send(absl::StrCat(
        begin, " HTTP/1.1\r\n", host,
        "Origin: http://evil.example\r\nConnection: keep-alive\r\nContent-Length: ", hidden.size(),
        "\r\n\r\n", hidden)));
    EXPECT_THAT(connection.ReadToEnd(), StartsWith("HTTP/1.1 4"));
    v1::GetDeviceRequest get;
    get.set_device("device-a");
    EXPECT_FALSE(api_.GetDevice(get)->drained()) << begin.substr(0, 50);
  }
}

TEST_F(HttpAttacks, ADoubledHostIsRefused) {
  EXPECT_THAT(Exchange("GET /healthz", "Host: 127.0.0.1\r\nHost: evil.example\r\n"),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Exchange("GET /healthz", ""), StartsWith("HTTP/1.1 400 ")) << "HTTP/1.1 wants a Host";
}

TEST_F(HttpAttacks, ThousandDrippingConnectionsDoNotSilenceHealth) {
  std::vector<std::unique_ptr<http::RawConnection>> dripping;
  for (int i = 0; i < 1000; ++i) {
    dripping.push_back(std::make_unique<http::RawConnection>(server_->address()));
    ASSERT_TRUE(dripping.back()->Send("GET /healthz HTTP/1.1\r\nX-Drip: "));
  }
  EXPECT_THAT(Healthz(), HasSubstr("ok\n"));
  EXPECT_EQ(dripping.front()->ReadToEnd(), "") << "the oldest made room";
}

// A slow link is no attack: whoever has sent half of a request has waited longer than a flood that
// came after it. The flood of one address takes no other's place.
TEST_F(HttpAttacks, AFloodOfOneAddressTakesNoOthersPlace) {
  constexpr in_addr_t kSlow = 0x7f000002;  // 127.0.0.2
  http::RawConnection slow(server_->address(), kSlow);
  ASSERT_TRUE(slow.Send("GET /healthz HTTP/1.1\r\nConnection: close\r\n"));
  std::vector<std::unique_ptr<http::RawConnection>> dripping;
  for (int i = 0; i < 1000; ++i) {
    dripping.push_back(std::make_unique<http::RawConnection>(server_->address()));
    ASSERT_TRUE(dripping.back()->Send("GET /healthz HTTP/1.1\r\nX-Drip: "));
  }
  EXPECT_THAT(Healthz(), HasSubstr("ok\n")) << "also for the address of the flood";
  ASSERT_TRUE(slow.Send(absl::StrCat("Host: ", server_->address(), "\r\n\r\n")));
  EXPECT_THAT(slow.ReadToEnd(), HasSubstr("ok\n"));
}

// One byte at a time is no silence. The head's 64 KiB would end it too, much later.
TEST_F(HttpAttacks, ADrippingRequestIsGivenUp) {
  http::HttpOptions options;
  options.limits.patience = {
      .idle = absl::Minutes(1), .silence = absl::Minutes(1), .request = absl::Milliseconds(200)};
  server_->Stop();
  Serve(options);
  http::RawConnection connection(server_->address());
  constexpr int kBytesMost = 10'000;
  int bytes = 0;
  while (bytes < kBytesMost && connection.Send("a")) {
    ++bytes;
    connection.AwaitClosing(absl::Milliseconds(1));
  }
  EXPECT_LT(bytes, kBytesMost);
}

// 32 MiB without an end of line would otherwise lie in memory, for each connection.
TEST_F(HttpAttacks, AnEndlessRequestIsCutOff) {
  for (const std::string& begin : {std::string("GET /"), std::string("GET / HTTP/1.1\r\nX: 1")}) {
    http::RawConnection connection(server_->address());
    ASSERT_TRUE(connection.Send(begin));
    const std::string more = begin.size() < 6 ? std::string(1 << 16, 'a')
                                              : std::string("\r\nX: 12345678901234567890123456");
    size_t sent = 0;
    while (sent < (32U << 20) && connection.Send(more)) {
      sent += more.size();
    }
    EXPECT_LT(sent, 32U << 20) << begin;
  }
}

// The routes are regular expressions, whose matcher recurses for each character.
TEST_F(HttpAttacks, TheLongestPathAndRangeDoNotOverflowAThreadsStack) {
  const std::string host = absl::StrCat("Host: ", server_->address(), "\r\n");
  EXPECT_THAT(Exchange(absl::StrCat("GET /api/v1/jobs/", std::string(8000, 'a')), host),
              StartsWith("HTTP/1.1 404 "));
  std::string ranges = "bytes=0-1";
  while (ranges.size() < 8000) {
    ranges += ", 0-1";
  }
  EXPECT_THAT(Exchange("GET /healthz", absl::StrCat(host, "Range: ", ranges, "\r\n")),
              StartsWith("HTTP/1.1 "));
  EXPECT_THAT(Healthz(), HasSubstr("ok\n"));
}

// The kernel drops the SYN of a connection beyond the backlog; the caller sees a second's delay.
TEST_F(HttpAttacks, ABurstOfConnectionsFindsAnOpenDoor) {
  int port = 0;
  ASSERT_TRUE(
      absl::SimpleAtoi(server_->address().substr(server_->address().rfind(':') + 1), &port));
  int backlog = -1;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    int descriptor = -1;
    ASSERT_TRUE(absl::SimpleAtoi(entry.path().filename().string(), &descriptor));
    sockaddr_in address = {};
    socklen_t length = sizeof(address);
    tcp_info info = {};
    socklen_t info_length = sizeof(info);
    if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0 &&
        address.sin_family == AF_INET && ntohs(address.sin_port) == port &&
        getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &info_length) == 0 &&
        info.tcpi_state == TCP_LISTEN) {
      backlog = static_cast<int>(info.tcpi_sacked);  // Linux: the backlog of a listening socket.
    }
  }
  EXPECT_GE(backlog, 128);
}

}  // namespace
}  // namespace wattle::attacks
