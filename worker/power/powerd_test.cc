// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// The real wattle-powerd over a recorded tree of files, and the worker's side of its socket.
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "base/unique_descriptor.h"
#include "telemetry/sensors/sysfs.h"
#include "telemetry/sensors/testing/test_tree.h"
#include "worker/power/power_modes.h"
#include "worker/power/powerd_client.h"

namespace wattle::agent {
namespace {

using testing::HasSubstr;

constexpr char kCpu[] = "/sys/devices/system/cpu/cpu0";

class PowerdTest : public testing::Test {
 protected:
  PowerdTest() : socket_(directory_.File("powerd.sock")) {
    tree_.Write(kCpu, {{"online", "1"}});
    tree_.Write(std::string(kCpu) + "/cpufreq",
                {{"scaling_max_freq", "2400000"},
                 {"cpuinfo_max_freq", "2400000"},
                 {"scaling_available_frequencies", "1500000 1800000 2400000"}});
    const std::string power_off = tree_.root() + "/usr/sbin/poweroff";
    std::filesystem::create_directories(tree_.root() + "/usr/sbin");
    std::ofstream(power_off) << "#!/bin/sh\necho off >>" << directory_.File("is-off");
    chmod(power_off.c_str(), 0700);
  }
  ~PowerdTest() override {
    if (program_ > 0) {
      End(SIGKILL);
    }
  }

  // Returns once the program serves, which it reports to the service manager, here this test.
  void Start(const std::vector<std::string>& flags = {}) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string manager = directory_.File("manager");
    ASSERT_LT(manager.size(), sizeof(address.sun_path));
    std::memcpy(address.sun_path, manager.data(), manager.size());
    std::filesystem::remove(manager);
    const UniqueDescriptor notices(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(notices.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    const std::string program =
        (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "wattle-powerd").string();
    std::vector<std::string> words = {program,
                                      "--socket",
                                      socket_,
                                      "--user",
                                      getpwuid(getuid())->pw_name,
                                      "--state-dir",
                                      directory_.File("state"),
                                      "--sensor-root",
                                      tree_.root()};
    words.insert(words.end(), flags.begin(), flags.end());
    program_ = fork();
    if (program_ == 0) {
      setenv("NOTIFY_SOCKET", manager.c_str(), 1);
      std::vector<char*> arguments;
      for (std::string& word : words) {
        arguments.push_back(word.data());
      }
      arguments.push_back(nullptr);
      execv(program.c_str(), arguments.data());
      _exit(127);
    }
    char notice[200] = {};
    ASSERT_GT(recv(notices.get(), notice, sizeof(notice) - 1, 0), 0);
    ASSERT_THAT(notice, HasSubstr("READY=1"));
  }
  int End(int signal) {
    kill(program_, signal);
    int status = 0;
    EXPECT_EQ(waitpid(program_, &status, 0), program_);
    program_ = 0;
    return status;
  }
  [[nodiscard]] std::string Cap() const {
    return telemetry::ReadText(tree_.root() + kCpu + "/cpufreq/scaling_max_freq").value_or("?");
  }
  [[nodiscard]] PowerModeRow Mode(const std::string& name) const {
    for (const PowerModeRow& mode : KernelModes(tree_.root())) {
      if (mode.name == name) {
        return mode;
      }
    }
    return {.name = name};
  }

  const TestDirectory directory_;
  telemetry::Tree tree_;
  const std::string socket_;
  pid_t program_ = 0;
};

TEST_F(PowerdTest, SetsAModeAndRestoresItAfterAKill) {
  Start();
  const auto client = PowerdClient::Connect(socket_);
  ASSERT_THAT(client, IsOk());
  struct stat about = {};
  ASSERT_EQ(stat(socket_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600) << "nobody but the worker's user may ask";
  ASSERT_THAT((*client)->Set(Mode("cpu-1500MHz")), IsOk());
  EXPECT_EQ(Cap(), "1500000");
  End(SIGKILL);
  Start();
  ASSERT_THAT((*client)->Restore(), IsOk());
  EXPECT_EQ(Cap(), "2400000");
  EXPECT_THAT((*client)->Set({.name = "MODE_99W"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("wattle-powerd: \"MODE_99W\": this board has full, ")));
}

TEST_F(PowerdTest, SwitchesTheBoardOffOnlyWhereItsOperatorAllowsThat) {
  Start();
  auto client = PowerdClient::Connect(socket_);
  ASSERT_THAT(client, IsOk());
  EXPECT_FALSE((*client)->may_power_off());
  EXPECT_THAT((*client)->PowerOff(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                              HasSubstr("allowed here: verbs set")));
  EXPECT_FALSE(std::filesystem::exists(directory_.File("is-off")));
  EXPECT_EQ(End(SIGTERM), 0) << "ends in order";
  EXPECT_FALSE(std::filesystem::exists(socket_));
  Start({"--allow-power-off"});
  client = PowerdClient::Connect(socket_);
  ASSERT_THAT(client, IsOk());
  EXPECT_TRUE((*client)->may_power_off());
  EXPECT_THAT((*client)->PowerOff(), IsOk());
  EXPECT_TRUE(std::filesystem::exists(directory_.File("is-off")));
}

TEST_F(PowerdTest, NobodyListensWithoutIt) {
  EXPECT_THAT(PowerdClient::Connect(socket_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no wattle-powerd listens there")));
}

}  // namespace
}  // namespace wattle::agent
