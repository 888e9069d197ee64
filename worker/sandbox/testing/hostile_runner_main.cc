// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// A program that tries one attack, for the tests of the sandbox. Exit code 0: the attack succeeded;
// 1: it was refused, with the reason on standard output; a signal: the sandbox ended it. The
// program uses only the C library, and no sanitizer, which would need more rights than a runner.
//
//   wattle_hostile_runner ATTACK [ARGUMENT]     or, started by the name of an attack: ATTACK
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// NOLINTBEGIN(concurrency-mt-unsafe): the threads here do nothing
namespace {

constexpr int kSucceeded = 0;
constexpr int kRefused = 1;
constexpr int kUsage = 2;
constexpr int kProcesses = 64;

int Refused() {
  std::printf("%s\n", std::strerror(errno));
  return kRefused;
}

int Judge(bool succeeded) {
  return succeeded ? kSucceeded : Refused();
}

int Socket(const char* /*unused*/) {
  return Judge(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

int LocalSocket(const char* /*unused*/) {
  return Judge(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
}

// A socket that waits for other processes under a name of its own, like that of CUDA's driver,
// without any communication.
int Server(const char* /*unused*/) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "wattle-hostile-%d", getpid());
  const auto* const address = reinterpret_cast<const sockaddr*>(&name);
  const int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  const int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (server < 0 || client < 0 || bind(server, address, sizeof(name)) != 0 ||
      listen(server, 1) != 0) {
    return Refused();
  }
  std::printf("listens; ");
  if (connect(client, address, sizeof(name)) == 0) {
    return kSucceeded;
  }
  std::printf("%s; ", std::strerror(errno));
  return Judge(accept4(server, nullptr, nullptr, SOCK_CLOEXEC) >= 0);
}

// The first processes of a fork bomb. Each ends at once.
int ForkBomb(const char* /*unused*/) {
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child < 0) {
      return Refused();
    }
    if (child == 0) {
      _exit(0);
    }
    waitpid(child, nullptr, 0);
  }
  return kSucceeded;
}

int Execute(const char* program) {
  execl(program, program, static_cast<char*>(nullptr));
  return Refused();
}

int Attach(const char* process) {
  const auto pid = static_cast<pid_t>(std::strtol(process, nullptr, 10));
  if (ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) != 0) {
    return Refused();
  }
  waitpid(pid, nullptr, __WALL);
  return Judge(ptrace(PTRACE_DETACH, pid, nullptr, nullptr) == 0);
}

int Kill(const char* process) {
  return Judge(kill(static_cast<pid_t>(std::strtol(process, nullptr, 10)), SIGKILL) == 0);
}

// A pipe that sends a chosen signal for each byte to its owner, which may be any process.
int KillByPipe(const char* process) {
  int ends[2] = {};
  const auto pid = static_cast<pid_t>(std::strtol(process, nullptr, 10));
  return Judge(pipe(ends) == 0 && fcntl(ends[0], F_SETOWN, pid) == 0 &&
               fcntl(ends[0], F_SETSIG, SIGKILL) == 0 && fcntl(ends[0], F_SETFL, O_ASYNC) == 0 &&
               write(ends[1], "x", 1) == 1);
}

// Pins another process to one processor.
int Pin(const char* process) {
  cpu_set_t one = {};
  sched_getaffinity(0, sizeof(one), &one);
  return Judge(sched_setaffinity(0, sizeof(one), &one) == 0 &&
               sched_setaffinity(static_cast<pid_t>(std::strtol(process, nullptr, 10)), sizeof(one),
                                 &one) == 0);
}

int Read(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  char byte = 0;
  return Judge(file >= 0 && read(file, &byte, 1) == 1);
}

int List(const char* path) {
  return Judge(opendir(path) != nullptr);
}

int Write(const char* path) {
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  return Judge(file >= 0 && write(file, "x", 1) == 1);
}

int Open(const char* path) {
  return Judge(chmod(path, 0666) == 0);
}

int Cut(const char* path) {
  return Judge(truncate(path, 0) == 0);
}

int CutByOpen(const char* path) {
  return Judge(open(path, O_RDONLY | O_TRUNC | O_CLOEXEC) >= 0);
}

int Link(const char* path) {
  return Judge(symlinkat("/etc/passwd", AT_FDCWD, path) == 0);
}

// Touched, so that the memory is really used.
int Map(const char* mebibytes, int flags) {
  const size_t size = static_cast<size_t>(std::strtol(mebibytes, nullptr, 10)) << 20;
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return Refused();
  }
  std::memset(memory, 1, size);
  return kSucceeded;
}

int Memory(const char* mebibytes) {
  return Map(mebibytes, MAP_PRIVATE);
}

// The kernel counts neither of these two as the process's data.
int SharedMemory(const char* mebibytes) {
  return Map(mebibytes, MAP_SHARED);
}

int StackMemory(const char* mebibytes) {
  return Map(mebibytes, MAP_PRIVATE | MAP_GROWSDOWN);
}

// A file of two MiB in the present folder.
int Fill(const char* path) {
  const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) {
    return Refused();
  }
  static char block[1 << 16];
  for (int i = 0; i < 32; ++i) {
    if (write(file, block, sizeof(block)) != static_cast<ssize_t>(sizeof(block))) {
      return Refused();
    }
  }
  return kSucceeded;
}

int Outlive(const char* /*unused*/) {
  return Judge(prctl(PR_SET_PDEATHSIG, 0) == 0);
}

void* Nothing(void* /*unused*/) {
  return nullptr;
}

// The normal actions of a runner: a thread, its own facts, random bytes, a file of its own, its own
// signals. Also reports whether it still dies with its agent.
int Work(const char* folder) {
  pthread_t thread = {};
  if (pthread_create(&thread, nullptr, &Nothing, nullptr) != 0) {
    return Refused();
  }
  pthread_join(thread, nullptr);
  char path[PATH_MAX];
  std::snprintf(path, sizeof(path), "%s/result", folder);
  const int with_agent = prctl(PR_SET_NAME, "runner");
  if (Read("/proc/self/status") != kSucceeded || Read("/dev/urandom") != kSucceeded ||
      Write(path) != kSucceeded || kill(getpid(), 0) != 0 || with_agent != 0) {
    return kRefused;
  }
  int death_signal = 0;
  prctl(PR_GET_PDEATHSIG, &death_signal);
  std::printf("death signal %d\n", death_signal);
  return kSucceeded;
}

// Root has nearly all capabilities.
int Capabilities(const char* /*unused*/) {
  FILE* const status = std::fopen("/proc/self/status", "re");
  if (status == nullptr) {
    return kUsage;
  }
  int code = kUsage;
  char line[256];
  while (std::fgets(line, sizeof(line), status) != nullptr) {
    if (std::strncmp(line, "CapEff:", 7) == 0) {
      code = std::strtoull(line + 7, nullptr, 16) != 0 ? kSucceeded : kRefused;
    }
  }
  std::fclose(status);
  return code;
}

int Environment(const char* name) {
  return Judge(std::getenv(name) != nullptr);
}

struct Attack {
  const char* name;
  int (*run)(const char* argument);
};
constexpr Attack kAttacks[] = {{"socket", Socket},
                               {"server", Server},
                               {"local-socket", LocalSocket},
                               {"fork-bomb", ForkBomb},
                               {"execute", Execute},
                               {"ptrace", Attach},
                               {"kill", Kill},
                               {"kill-by-pipe", KillByPipe},
                               {"pin", Pin},
                               {"read", Read},
                               {"list", List},
                               {"write", Write},
                               {"open-to-all", Open},
                               {"cut", Cut},
                               {"cut-by-open", CutByOpen},
                               {"link", Link},
                               {"memory", Memory},
                               {"shared-memory", SharedMemory},
                               {"stack-memory", StackMemory},
                               {"fill", Fill},
                               {"outlive", Outlive},
                               {"work", Work},
                               {"environment", Environment},
                               {"capabilities", Capabilities}};

}  // namespace

int main(int argc, char** argv) {
  const char* const name = argc > 1 ? argv[1] : basename(argv[0]);
  for (const Attack& attack : kAttacks) {
    if (std::strcmp(name, attack.name) == 0) {
      const int code = attack.run(argc > 2 ? argv[2] : "");
      std::fflush(stdout);
      return code;
    }
  }
  std::fprintf(stderr, "wattle_hostile_runner: wanted an attack\n");
  return kUsage;
}
// NOLINTEND(concurrency-mt-unsafe)
