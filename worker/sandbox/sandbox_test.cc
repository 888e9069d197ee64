// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// Each attack succeeds without the sandbox and is refused with it.
#include "worker/sandbox/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "base/testing/status_matchers.h"
#include "base/testing/test_directory.h"
#include "worker/sandbox/environment.h"
#include "worker/sandbox/isolation.h"
#include "worker/sandbox/libraries.h"

namespace wattle::sandbox {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const char kHostileRunner[] = WATTLE_BINARY_DIR "/bin/wattle_hostile_runner";

constexpr int kSucceeded = 0;
constexpr int kRefused = 1;

struct Outcome {
  int exit_code = -1;        // -1: ended by a signal
  std::string refused_call;  // the call for which the agent ended the program
  std::string output;
};

std::string ReadAll(int descriptor) {
  std::string text;
  std::array<char, 256> buffer = {};
  ssize_t size = 0;
  while ((size = read(descriptor, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<size_t>(size));
  }
  return text;
}

// Runs the hostile program in a sandbox, as worker/child does.
Outcome Attack(const Spec& spec, std::vector<std::string> words) {
  Outcome outcome;
  auto sandbox = Sandbox::Prepare(spec);
  EXPECT_THAT(sandbox, IsOk());
  std::array<int, 2> entry = {};
  std::array<int, 2> output = {};
  if (!sandbox.ok() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, entry.data()) != 0 ||
      pipe2(output.data(), O_CLOEXEC) != 0) {
    return outcome;
  }
  words.insert(words.begin(), spec.program);
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  std::array<char*, 1> no_environment = {nullptr};
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output[1], STDOUT_FILENO);
    sandbox->Enter(entry[1]);
    execve(sandbox->program(), arguments.data(), no_environment.data());
    _exit(127);
  }
  close(entry[1]);
  close(output[1]);
  const auto refusals = AwaitEntry(entry[0]);
  EXPECT_THAT(refusals, IsOk());
  if (refusals.ok() && refusals->descriptor() >= 0) {
    pollfd told = {refusals->descriptor(), POLLIN, 0};
    if (poll(&told, 1, 60'000) > 0 && (told.revents & POLLIN) != 0) {
      outcome.refused_call = refusals->Take();
    }
    if (!outcome.refused_call.empty()) {
      kill(child, SIGKILL);
    }
  }
  outcome.output = ReadAll(output[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  close(entry[0]);
  close(output[0]);
  return outcome;
}

// A process that only waits: the agent of the attacks, and another program. Like a service's
// process it has no capabilities, which would stop some attackers.
class Bystander {
 public:
  Bystander() {
    std::array<int, 2> ready = {};
    EXPECT_EQ(pipe2(ready.data(), O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
      std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none = {};
      syscall(SYS_capset, &header, none.data());
      close(ready[0]);
      close(ready[1]);
      while (true) {
        pause();
      }
    }
    close(ready[1]);
    (void)ReadAll(ready[0]);
    close(ready[0]);
  }
  ~Bystander() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Bystander(const Bystander&) = delete;
  Bystander& operator=(const Bystander&) = delete;

  [[nodiscard]] std::string pid() const { return std::to_string(pid_); }
  void AwaitEnd() const {
    siginfo_t ended = {};
    waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT);
  }

 private:
  pid_t pid_ = -1;
};

// Checks the kernel's support directly instead of our own detection, so that a broken sandbox fails
// the tests.
bool Has(Level level) {
  const bool seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
  const bool landlock = !absl::IsUnimplemented(Landlock::Create().status());
  return level == Level::kNone || (seccomp && (level == Level::kSeccomp || landlock));
}

class HostileRunner : public testing::Test {
 protected:
  [[nodiscard]] Spec At(Level level) const {
    return {.level = level,
            .program = kHostileRunner,
            .readable = {input_},
            .writable = {own_.path()},
            .limits = {}};
  }

  // A call that the filter refuses: the process ends at the call, and the agent gets its name.
  void ExpectCallRefused(Level level, const std::string& call,
                         const std::vector<std::string>& words) const {
    const Outcome outcome = Attack(At(level), words);
    EXPECT_EQ(outcome.exit_code, -1) << outcome.output;
    EXPECT_EQ(outcome.refused_call, call);
  }
  void ExpectSucceedsWithout(const std::vector<std::string>& words) const {
    const Outcome outcome = Attack(At(Level::kNone), words);
    EXPECT_EQ(outcome.exit_code, kSucceeded) << outcome.output;
  }
  // A file that Landlock refuses.
  void ExpectFileRefused(const std::vector<std::string>& words) const {
    ExpectSucceedsWithout(words);
    const Outcome outcome = Attack(At(Level::kFull), words);
    EXPECT_EQ(outcome.exit_code, kRefused) << words[0] << " " << words[1];
    EXPECT_THAT(outcome.output, HasSubstr("Permission denied"));
  }

  TestDirectory own_;    // the attempt's directory
  TestDirectory state_;  // the worker's directory
  const std::string input_ = state_.Write("cache/model/config.json", "{}");
};

#define WATTLE_NEEDS_LEVEL(level)                           \
  if (!Has(level)) {                                        \
    GTEST_SKIP() << "wants isolation " << LevelName(level); \
  }                                                         \
  static_assert(true)

TEST_F(HostileRunner, DoesItsWorkAtEveryLevel) {
  for (const Level level : {Level::kNone, Level::kSeccomp, Level::kFull}) {
    if (!Has(level)) {
      std::printf("not tried: this kernel gives no isolation %s\n",
                  std::string(LevelName(level)).c_str());
      continue;
    }
    const Outcome outcome = Attack(At(level), {"work", own_.path()});
    EXPECT_EQ(outcome.exit_code, kSucceeded) << LevelName(level) << outcome.output;
    EXPECT_EQ(outcome.output, "death signal 9\n") << LevelName(level);
    EXPECT_EQ(outcome.refused_call, "") << LevelName(level);
    EXPECT_EQ(own_.Read("result"), "x");
    EXPECT_EQ(Attack(At(level), {"read", input_}).exit_code, kSucceeded) << LevelName(level);
  }
}

TEST_F(HostileRunner, HasNoNetwork) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  ExpectSucceedsWithout({"socket"});
  ExpectCallRefused(Level::kSeccomp, "socket", {"socket"});
  ExpectSucceedsWithout({"local-socket"});
  EXPECT_EQ(Attack(At(Level::kSeccomp), {"local-socket"}).exit_code, kRefused);
}

TEST_F(HostileRunner, StartsNoProcess) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  ExpectSucceedsWithout({"fork-bomb"});
  ExpectCallRefused(Level::kSeccomp, "clone", {"fork-bomb"});
  ExpectSucceedsWithout({"execute", "/bin/true"});
  ExpectCallRefused(Level::kSeccomp, "execve", {"execute", "/bin/true"});
  ExpectCallRefused(Level::kSeccomp, "execve", {"execute", kHostileRunner});
}

TEST_F(HostileRunner, AttachesToNobody) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  const Bystander agent;
  ExpectSucceedsWithout({"ptrace", agent.pid()});
  ExpectCallRefused(Level::kSeccomp, "ptrace", {"ptrace", agent.pid()});
  ExpectSucceedsWithout({"pin", agent.pid()});
  const Outcome pinned = Attack(At(Level::kSeccomp), {"pin", agent.pid()});
  EXPECT_EQ(pinned.exit_code, kRefused);
  EXPECT_THAT(pinned.output, HasSubstr("Operation not permitted"));
}

TEST_F(HostileRunner, KillsNobody) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  const Bystander agent;
  const Bystander other;
  ExpectCallRefused(Level::kSeccomp, "kill", {"kill", agent.pid()});
  EXPECT_EQ(kill(std::stoi(agent.pid()), 0), 0) << "it lives";
  ExpectSucceedsWithout({"kill", other.pid()});
  const Bystander third;
  ExpectCallRefused(Level::kSeccomp, "fcntl", {"kill-by-pipe", agent.pid()});
  ExpectSucceedsWithout({"kill-by-pipe", third.pid()});
  third.AwaitEnd();
}

TEST_F(HostileRunner, DoesNotOutliveItsAgent) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  ExpectSucceedsWithout({"outlive"});
  ExpectCallRefused(Level::kSeccomp, "prctl", {"outlive"});
}

TEST_F(HostileRunner, HasNoCapabilities) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  if (geteuid() != 0) {
    GTEST_SKIP() << "wants root, whose programs have capabilities";
  }
  ExpectSucceedsWithout({"capabilities"});
  EXPECT_EQ(Attack(At(Level::kSeccomp), {"capabilities"}).exit_code, kRefused);
}

TEST_F(HostileRunner, ReadsNoKeyAndNoOtherAttempt) {
  WATTLE_NEEDS_LEVEL(Level::kFull);
  ExpectFileRefused({"read", state_.Write("identity/key.pem", "secret")});
  ExpectFileRefused({"read", state_.Write("attempts/j1.1/work/step", "3")});
  ExpectFileRefused({"list", state_.path()});
  ExpectFileRefused({"list", state_.File("cache/model")});
}

TEST_F(HostileRunner, SeesNoOtherProcess) {
  WATTLE_NEEDS_LEVEL(Level::kFull);
  const Bystander agent;
  ExpectFileRefused({"read", absl::StrCat("/proc/", agent.pid(), "/maps")});
  ExpectFileRefused({"list", "/proc"});
}

TEST_F(HostileRunner, WritesNothingOutside) {
  WATTLE_NEEDS_LEVEL(Level::kFull);
  ExpectFileRefused({"write", state_.File("outside")});
  ExpectFileRefused({"write", input_});
  ExpectSucceedsWithout({"link", own_.File("link")});
  ExpectCallRefused(Level::kFull, "symlinkat", {"link", own_.File("other_link")});
}

// Landlock checks neither a change of a file's mode nor, before Linux 6.2, truncation by path.
TEST_F(HostileRunner, OpensNothingToOthersAndCutsNothingOff) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  const std::string key = state_.Write("identity/key.pem", "secret");
  ASSERT_EQ(chmod(key.c_str(), 0600), 0);
  const auto mode = [&key] {
    struct stat facts = {};
    EXPECT_EQ(stat(key.c_str(), &facts), 0);
    return facts.st_mode & 0777;
  };
  for (const Level level : {Level::kSeccomp, Level::kFull}) {
    if (Has(level)) {
      ExpectCallRefused(level, "chmod", {"open-to-all", key});
      ExpectCallRefused(level, "truncate", {"cut", key});
      ExpectCallRefused(level, "openat", {"cut-by-open", input_});
    }
  }
  EXPECT_EQ(mode(), 0600U);
  EXPECT_EQ(state_.Read("identity/key.pem"), "secret");
  ExpectSucceedsWithout({"open-to-all", key});
  EXPECT_EQ(mode(), 0666U);
  ExpectSucceedsWithout({"cut", key});
  EXPECT_EQ(state_.Read("cache/model/config.json"), "{}");
  ExpectSucceedsWithout({"cut-by-open", input_});
}

// The answers that CUDA's driver gets must not help an attacker.
TEST_F(HostileRunner, GetsNothingOfWhatCudasDriverIsToldIsDone) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  Spec cuda = At(Level::kSeccomp);
  cuda.cuda = true;
  const Outcome link = Attack(cuda, {"link", state_.File("link")});
  EXPECT_EQ(link.exit_code, kSucceeded) << "as far as it knows";
  EXPECT_EQ(link.refused_call, "") << "the driver would not live without";
  EXPECT_NE(access(state_.File("link").c_str(), F_OK), 0) << "no link is made";
  const std::string key = state_.Write("identity/key.pem", "secret");
  ASSERT_EQ(chmod(key.c_str(), 0600), 0);
  EXPECT_EQ(Attack(cuda, {"open-to-all", key}).exit_code, kSucceeded) << "likewise";
  EXPECT_EQ(std::filesystem::status(key).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  const Outcome fork = Attack(cuda, {"fork-bomb"});
  EXPECT_EQ(fork.exit_code, kRefused);
  EXPECT_EQ(fork.refused_call, "");
  EXPECT_THAT(fork.output, HasSubstr("Operation not permitted"));
  ExpectCallRefused(Level::kSeccomp, "symlinkat", {"link", state_.File("other_link")});
}

TEST_F(HostileRunner, OfAGpuMakesNoOtherCall) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  Spec cuda = At(Level::kSeccomp);
  cuda.cuda = true;
  EXPECT_EQ(Attack(cuda, {"socket"}).refused_call, "socket");
  EXPECT_EQ(Attack(cuda, {"execute", "/bin/true"}).refused_call, "execve");
  EXPECT_EQ(Attack(cuda, {"work", own_.path()}).exit_code, kSucceeded);
}

// Without a socket of its own, and the names of its threads, the driver finds no GPU.
TEST_F(HostileRunner, TalksToNobodyThroughTheSocketOfCudasDriver) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  ExpectSucceedsWithout({"server"});
  EXPECT_EQ(Attack(At(Level::kSeccomp), {"server"}).exit_code, kRefused);
  Spec cuda = At(Level::kSeccomp);
  cuda.cuda = true;
  const Outcome server = Attack(cuda, {"server"});
  EXPECT_EQ(server.exit_code, kRefused);
  EXPECT_EQ(server.output,
            "listens; No such file or directory; Resource temporarily unavailable\n");
  EXPECT_EQ(Attack(cuda, {"local-socket"}).exit_code, kRefused) << "a socket of another type";
}

TEST_F(HostileRunner, NamesItsThreadsOnlyWithCuda) {
  WATTLE_NEEDS_LEVEL(Level::kFull);
  ExpectFileRefused({"write", "/proc/thread-self/comm"});
  Spec cuda = At(Level::kFull);
  cuda.cuda = true;
  EXPECT_EQ(Attack(cuda, {"write", "/proc/thread-self/comm"}).exit_code, kSucceeded);
  EXPECT_EQ(Attack(cuda, {"write", "/proc/self/comm"}).exit_code, kRefused)
      << "no other file of the process";
}

TEST_F(HostileRunner, GetsNoMoreMemoryThanItsLimit) {
  Spec limited = At(Level::kNone);
  limited.limits.memory_bytes = int64_t{128} << 20;
  ExpectSucceedsWithout({"memory", "256"});
  EXPECT_EQ(Attack(limited, {"memory", "64"}).exit_code, kSucceeded);
  const Outcome outcome = Attack(limited, {"memory", "256"});
  EXPECT_EQ(outcome.exit_code, kRefused);
  EXPECT_THAT(outcome.output, HasSubstr("Cannot allocate memory"));
}

// Memory that the kernel does not count as a process's data must be refused.
TEST_F(HostileRunner, GetsNoMemoryThatNobodyCounts) {
  WATTLE_NEEDS_LEVEL(Level::kSeccomp);
  for (const char* attack : {"shared-memory", "stack-memory"}) {
    Spec limited = At(Level::kNone);
    limited.limits.memory_bytes = int64_t{128} << 20;
    EXPECT_EQ(Attack(limited, {attack, "256"}).exit_code, kSucceeded) << attack;
    limited.level = Level::kSeccomp;
    const Outcome outcome = Attack(limited, {attack, "256"});
    EXPECT_EQ(outcome.exit_code, -1) << attack << outcome.output;
    EXPECT_EQ(outcome.refused_call, "mmap") << attack;
  }
}

TEST_F(HostileRunner, FillsNoDisk) {
  Spec limited = At(Level::kNone);
  limited.limits.file_bytes = 1 << 20;
  ExpectSucceedsWithout({"fill", own_.File("large")});
  const Outcome outcome = Attack(limited, {"fill", own_.File("large")});
  EXPECT_EQ(outcome.exit_code, kRefused);
  EXPECT_THAT(outcome.output, HasSubstr("File too large"));
  EXPECT_EQ(own_.Read("large").size(), 1U << 20);
}

TEST(SandboxTest, AMissingInputIsNamed) {
  WATTLE_NEEDS_LEVEL(Level::kFull);
  EXPECT_THAT(
      Sandbox::Prepare(
          {.level = Level::kFull, .program = kHostileRunner, .readable = {"/no/such/model"}}),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/model")));
}

TEST(SandboxTest, AKernelThatCannotTellKills) {
  auto filter = MakeFilter(/*cuda=*/false, kHostileRunner);
  ASSERT_THAT(filter, IsOk());
  KillInsteadOfTelling(absl::MakeSpan(*filter));
  auto other = MakeFilter(/*cuda=*/false, kHostileRunner);
  int changed = 0;
  for (size_t i = 0; i < filter->size(); ++i) {
    changed += (*filter)[i].k == (*other)[i].k ? 0 : 1;
  }
  EXPECT_GE(changed, 1);
}

TEST(LimitTest, MemoryFollowsThePlan) {
  EXPECT_EQ(MemoryLimit(0, 4), 0) << "not known: no limit";
  EXPECT_GE(MemoryLimit(int64_t{1} << 30, 1), (int64_t{5} << 30) / 4);
  EXPECT_GT(MemoryLimit(int64_t{1} << 30, 4), MemoryLimit(int64_t{1} << 30, 1));
}

TEST(LimitTest, AFileLeavesTheReserveOrHalf) {
  EXPECT_EQ(FileLimit(1000, 300), 700);
  EXPECT_EQ(FileLimit(1000, 900), 500);
  EXPECT_EQ(FileLimit(0, 900), 1);
}

TEST(EnvironmentTest, OnlyWhatARunnerNeedsStays) {
  const std::array<const char*, 9> variables = {"PATH=/bin",
                                                "WATTLE_INSTRUCTION_SET=avx2",
                                                "WATTLE_TOKEN=x",
                                                "AWS_SECRET_ACCESS_KEY=x",
                                                "LD_PRELOAD=/x.so",
                                                "OPENBLAS_CORETYPE=Haswell",
                                                "OPENBLAS_NUM_THREADS=2",
                                                "LC_ALL=C",
                                                nullptr};
  EXPECT_THAT(CleanEnvironment(variables.data()),
              ElementsAre("PATH=/bin", "WATTLE_INSTRUCTION_SET=avx2", "OPENBLAS_NUM_THREADS=2",
                          "LC_ALL=C"));
}

TEST(LevelTest, NamesAreThoseOfTheFlag) {
  for (const Level level : {Level::kNone, Level::kSeccomp, Level::kFull}) {
    EXPECT_EQ(ParseLevel(LevelName(level)), level);
  }
  EXPECT_EQ(ParseLevel("Full"), std::nullopt);
  EXPECT_EQ(ParseLevel(""), std::nullopt);
}

TEST(IsolationTest, IsWhatTheKernelHas) {
  const Level most = Has(Level::kFull)      ? Level::kFull
                     : Has(Level::kSeccomp) ? Level::kSeccomp
                                            : Level::kNone;
  const Isolation isolation = DetectIsolation(Level::kFull);
  EXPECT_EQ(isolation.level, most) << isolation.missing;
  EXPECT_EQ(isolation.missing.empty(), most == Level::kFull) << isolation.missing;
}

TEST(SandboxTest, AChildThatEndsBeforeItIsInItsBoxIsAnError) {
  std::array<int, 2> ends = {};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  close(ends[1]);
  EXPECT_THAT(AwaitEntry(ends[0]), StatusIs(absl::StatusCode::kInternal, HasSubstr("sandbox")));
  close(ends[0]);
}

TEST(IsolationTest, IsNeverMoreThanAskedFor) {
  EXPECT_EQ(DetectIsolation(Level::kNone).level, Level::kNone);
  EXPECT_LE(DetectIsolation(Level::kSeccomp).level, Level::kSeccomp);
}

TEST(IsolationTest, ALowerLevelNamesTheReasonAndTheRemedy) {
  const Isolation isolation = {.level = Level::kSeccomp,
                               .missing = "Landlock: this kernel is built without it"};
  EXPECT_THAT(CheckAtLeast(isolation, Level::kSeccomp), IsOk());
  EXPECT_THAT(
      CheckAtLeast(isolation, Level::kFull),
      StatusIs(absl::StatusCode::kInvalidArgument,
               testing::AllOf(HasSubstr("--isolation-min full"), HasSubstr("built without it"),
                              HasSubstr("--isolation-min seccomp"))));
}

TEST(LibrariesTest, TheLinkerOfAProgramNamesThem) {
  const auto libraries = LibrariesOf(kHostileRunner);
  ASSERT_THAT(libraries, IsOk());
  EXPECT_THAT(libraries->interpreter, HasSubstr("ld-linux"));
  EXPECT_THAT(libraries->files, testing::Contains(HasSubstr("libc.so")));
  EXPECT_THAT(LibrariesOf("/no/such/program"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/program")));
}

TEST(LibrariesTest, OfOtherFilesThereAreNone) {
  EXPECT_EQ(InterpreterOf("#!/bin/sh\n"), "");
  EXPECT_EQ(InterpreterOf(""), "");
  // A header whose table lies beyond the end.
  std::string elf = std::string(
                        "\x7f"
                        "ELF") +
                    std::string(60, '\xff');
  EXPECT_EQ(InterpreterOf(elf), "");
  EXPECT_THAT(ParseLibraries("\tlinux-vdso.so.1 (0x1)\n\tlibx.so => not found\n"), IsEmpty());
  EXPECT_THAT(ParseLibraries("\tlibc10.so => /a b/libc10.so (0x00007f)\n"),
              ElementsAre("/a b/libc10.so"));
}

// A libtorch of PyPI: its GPU libraries are outside the distribution's folders, and the program is
// not linked with them.
TEST(LibrariesTest, FoldersForAGpuAreLibtorchsAndThoseOfWhatItLoads) {
  const TestDirectory torch;
  const auto own = LibrariesOf(kHostileRunner);
  ASSERT_THAT(own, IsOk());
  const Libraries program = {.interpreter = own->interpreter,
                             .files = {"/opt/libother.so", torch.File("libtorch_cpu.so")}};
  EXPECT_THAT(CudaFoldersOf(program), IsEmpty()) << "this libtorch serves no GPU";
  // Any file that is linked with the C library.
  ASSERT_EQ(symlink(kHostileRunner, torch.File("libtorch_cuda.so").c_str()), 0);
  const std::vector<std::string> folders = CudaFoldersOf(program);
  EXPECT_THAT(folders, testing::Contains(torch.path()));
  EXPECT_THAT(folders, testing::Contains(testing::EndsWith("linux-gnu")));
  EXPECT_THAT(folders, testing::Not(testing::Contains("/opt")));
}

}  // namespace
}  // namespace wattle::sandbox
