// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

// The manager's end of the socket: messages have arrived once the sender's call has returned.
class Manager {
 public:
  explicit Manager(const std::string& name) {
    descriptor_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') {
      address.sun_path[0] = '\0';
    }
    EXPECT_EQ(bind(descriptor_, reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
  }
  ~Manager() { close(descriptor_); }
  // The next message; "": none waits.
  [[nodiscard]] std::string Read() const {
    std::array<char, 512> buffer{};
    const ssize_t length = recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    return length < 0 ? "" : std::string(buffer.data(), static_cast<size_t>(length));
  }

 private:
  int descriptor_ = -1;
};

class ServiceManagerTest : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      unsetenv(name);
    }
  }
  static std::string Abstract() { return absl::StrCat("@wattle-service-manager-", getpid()); }
};

TEST_F(ServiceManagerTest, TellsWhatSystemdReads) {
  const std::string path = absl::StrCat(testing::TempDir(), "notify-", getpid());
  for (const std::string& name : {path, Abstract()}) {
    const Manager manager(name);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const ServiceManager told = ServiceManager::FromEnvironment();
    told.Ready("listening on 127.0.0.1:7410");
    told.Alive();
    told.Stopping();
    EXPECT_EQ(manager.Read(), "READY=1\nSTATUS=listening on 127.0.0.1:7410") << name;
    EXPECT_EQ(manager.Read(), "WATCHDOG=1") << name;
    EXPECT_EQ(manager.Read(), "STOPPING=1") << name;
    EXPECT_EQ(manager.Read(), "") << name;
  }
  unlink(path.c_str());
}

TEST_F(ServiceManagerTest, WantsALifeSignTwiceInTheLimit) {
  setenv("NOTIFY_SOCKET", Abstract().c_str(), 1);
  EXPECT_EQ(ServiceManager::FromEnvironment().alive_interval(), absl::InfiniteDuration());
  setenv("WATCHDOG_USEC", "60000000", 1);
  EXPECT_EQ(ServiceManager::FromEnvironment().alive_interval(), absl::Seconds(30));
  setenv("WATCHDOG_PID", absl::StrCat(getpid()).c_str(), 1);
  EXPECT_EQ(ServiceManager::FromEnvironment().alive_interval(), absl::Seconds(30));
}

TEST_F(ServiceManagerTest, TheWatchdogOfAParentIsNotOurs) {
  setenv("NOTIFY_SOCKET", Abstract().c_str(), 1);
  setenv("WATCHDOG_USEC", "60000000", 1);
  setenv("WATCHDOG_PID", absl::StrCat(getppid()).c_str(), 1);
  EXPECT_EQ(ServiceManager::FromEnvironment().alive_interval(), absl::InfiniteDuration());
}

TEST_F(ServiceManagerTest, WithoutAManagerNothingHappens) {
  setenv("WATCHDOG_USEC", "60000000", 1);
  for (const std::string& name :
       {std::string(), std::string("vsock:2:1234"), std::string(200, '/')}) {
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const ServiceManager none = ServiceManager::FromEnvironment();
    none.Ready("");
    none.Alive();
    EXPECT_EQ(none.alive_interval(), absl::InfiniteDuration()) << name;
  }
}

TEST_F(ServiceManagerTest, AManagerThatDoesNotReadStopsNobody) {
  const Manager manager(Abstract());
  setenv("NOTIFY_SOCKET", Abstract().c_str(), 1);
  const ServiceManager told = ServiceManager::FromEnvironment();
  for (int i = 0; i < 10'000; ++i) {  // Far more than a socket's queue holds.
    told.Alive();
  }
  EXPECT_EQ(manager.Read(), "WATCHDOG=1");
}

}  // namespace
}  // namespace wattle
