// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "coordinator/rpc/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/unique_descriptor.h"

namespace wattle::rpc {
namespace {

sockaddr_storage V4(const char* text) {
  sockaddr_storage peer = {};
  peer.ss_family = AF_INET;
  inet_pton(AF_INET, text, &reinterpret_cast<sockaddr_in&>(peer).sin_addr);
  return peer;
}

int Connected(int port) {
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_storage to = V4("127.0.0.1");
  reinterpret_cast<sockaddr_in&>(to).sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&to), sizeof(sockaddr_in)), 0);
  return client;
}

template <typename NameOf>
int PortOf(const NameOf& name_of, int socket) {
  sockaddr_in address = {};
  socklen_t length = sizeof(address);
  EXPECT_EQ(name_of(socket, reinterpret_cast<sockaddr*>(&address), &length), 0);
  return ntohs(address.sin_port);
}

class OpenConnectionsTest : public testing::Test {
 protected:
  static int Socket() { return socket(AF_INET, SOCK_STREAM, 0); }

  OpenConnections open_;
};

TEST_F(OpenConnectionsTest, AClosedConnectionMakesRoom) {
  const int first = Socket();
  open_.Add(first, "a");
  open_.Add(Socket(), "a");
  EXPECT_TRUE(open_.IsFull("a", 2));
  EXPECT_FALSE(open_.IsFull("a", 3));
  EXPECT_FALSE(open_.IsFull("b", 1));
  EXPECT_TRUE(open_.IsFull(2));
  close(first);
  EXPECT_FALSE(open_.IsFull("a", 2));
  EXPECT_FALSE(open_.IsFull(2));
}

// The kernel gives the lowest free number: a file that has the number of a closed connection is no
// connection.
TEST_F(OpenConnectionsTest, ANumberThatIsUsedAgainIsAnotherConnection) {
  const int first = Socket();
  open_.Add(first, "a");
  close(first);
  const int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(file, first);
  EXPECT_FALSE(open_.IsFull("a", 1));
  close(file);
  const int second = Socket();
  ASSERT_EQ(second, first);
  open_.Add(second, "b");
  close(second);
  const int third = Socket();
  open_.Add(third, "c");
  EXPECT_FALSE(open_.IsFull("b", 1));
  EXPECT_TRUE(open_.IsFull("c", 1));
  close(third);
}

// A server that is behind. Each client has sent its hello before the listener begins.
TEST(ListenerTest, NoMoreComeInThanTheServerReads) {
  constexpr int kMost = 3;
  auto listener = Listener::Bind("127.0.0.1:0", {.unread = kMost});
  ASSERT_THAT(listener, IsOk());
  std::vector<UniqueDescriptor> clients;
  for (int i = 0; i < 4 * kMost; ++i) {
    clients.emplace_back(Connected((*listener)->port()));
    ASSERT_EQ(write(clients.back().get(), "x", 1), 1);
  }
  std::deque<int> unread;
  absl::Mutex mutex;
  size_t behind_most = 0;
  (*listener)->Serve([&](int socket) {
    const absl::MutexLock lock(&mutex);
    unread.push_back(socket);
    behind_most = std::max(behind_most, unread.size());
  });
  for (size_t i = 0; i < clients.size(); ++i) {
    const absl::MutexLock lock(&mutex);
    const auto some = [&] { return !unread.empty(); };
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&some), absl::Seconds(60)));
    close(unread.front());
    unread.pop_front();
  }
  (*listener)->Stop();
  EXPECT_LE(behind_most, size_t{kMost});
}

TEST(ListenerTest, WhoeverStopsInTheHandshakeHoldsNobodyUp) {
  auto listener = Listener::Bind("127.0.0.1:0", {.unread = 1});
  ASSERT_THAT(listener, IsOk());
  std::vector<UniqueDescriptor> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(Connected((*listener)->port()));  // Sends nothing.
  }
  absl::BlockingCounter all(static_cast<int>(clients.size()));
  (*listener)->Serve([&](int socket) {
    close(socket);
    all.DecrementCount();
  });
  all.Wait();
}

TEST(ListenerTest, WhoeverHasGivenUpIsNotServed) {
  auto listener = Listener::Bind("127.0.0.1:0", {});
  ASSERT_THAT(listener, IsOk());
  close(Connected((*listener)->port()));
  const UniqueDescriptor stays(Connected((*listener)->port()));
  const int port = PortOf(getsockname, stays.get());
  absl::Notification served;
  int others = 0;
  (*listener)->Serve([&](int socket) {
    if (PortOf(getpeername, socket) == port) {
      served.Notify();
    } else {
      ++others;
    }
    close(socket);
  });
  served.WaitForNotification();
  (*listener)->Stop();
  EXPECT_EQ(others, 0);
}

// Who has to be updated is told to whoever reads the log.
TEST(ListenerTest, TheLogNamesTheAddressThatSpeaksWithoutTls) {
  auto listener = Listener::Bind("127.0.0.1:0", {.tls = true});
  ASSERT_THAT(listener, IsOk());
  (*listener)->Serve([](int socket) { close(socket); });
  const UniqueDescriptor client(Connected((*listener)->port()));
  testing::internal::CaptureStdout();
  constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  ASSERT_EQ(write(client.get(), kPreface.data(), kPreface.size()), kPreface.size());
  char answered = 0;
  ASSERT_EQ(read(client.get(), &answered, 1), 1);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              testing::HasSubstr("a program at 127.0.0.1 speaks without TLS"));
}

TEST(ListenerTest, TwoDoNotShareAPort) {
  auto first = Listener::Bind("127.0.0.1:0", {});
  ASSERT_THAT(first, IsOk());
  EXPECT_GT((*first)->port(), 0);
  EXPECT_THAT(Listener::Bind(absl::StrCat("127.0.0.1:", (*first)->port()), {}),
              StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr("in use")));
  EXPECT_THAT(Listener::Bind("192.0.2.1:0", {}),
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
}

}  // namespace
}  // namespace wattle::rpc
