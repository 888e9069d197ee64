// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/own_addresses.h"

#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace wattle {
namespace {

std::vector<std::string> ByNetlink() {
  std::vector<std::string> addresses;
  ifaddrs* all = nullptr;
  EXPECT_EQ(getifaddrs(&all), 0);
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    const int family = one->ifa_addr == nullptr ? AF_UNSPEC : one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) {
      continue;
    }
    std::array<char, NI_MAXHOST> text = {};
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    EXPECT_EQ(
        getnameinfo(one->ifa_addr, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST), 0);
    const std::string address = text.data();
    if (address.rfind("fe80:", 0) != 0) {
      addresses.push_back(address);
    }
  }
  freeifaddrs(all);
  return addresses;
}

// A machine's kernel supports seccomp filters; qemu's user mode, which runs programs of another
// processor, does not.
bool TakesFilters() {
  // A kernel with filters fails to read the null filter.
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr) != 0 && errno == EFAULT;
}

// Does the same as RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX in a unit.
void ForbidNetlink() {
  std::array<sock_filter, 6> filter = {
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {.len = filter.size(), .filter = filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 ||
      socket(AF_NETLINK, SOCK_RAW, 0) >= 0) {
    std::exit(2);
  }
}

TEST(OwnAddressesTest, AreThoseThatTheKernelTellsByNetlink) {
  EXPECT_THAT(OwnAddresses(), testing::UnorderedElementsAreArray(ByNetlink()));
}

TEST(OwnAddressesTest, AServiceWithoutNetlinkHasThemToo) {
  if (!TakesFilters()) {
    GTEST_SKIP() << "no filter of system calls can be set here";
  }
  const size_t count = OwnAddresses().size();
  ASSERT_GT(count, 0);
  EXPECT_EXIT(
      {
        ForbidNetlink();
        std::exit(OwnAddresses().size() == count ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace wattle
