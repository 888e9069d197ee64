// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a TCP connection to a server of this machine, byte by byte, as an attacker has it.
#ifndef WATTLE_BASE_HTTP_TESTING_RAW_CONNECTION_FOR_TEST_H_
#define WATTLE_BASE_HTTP_TESTING_RAW_CONNECTION_FOR_TEST_H_

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace wattle::http {

class RawConnection {
 public:
  // address: 127.0.0.1:PORT. from: the peer's address as the server sees it, of 127.0.0.0/8.
  explicit RawConnection(const std::string& address, in_addr_t from = INADDR_LOOPBACK)
      : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(from);
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    to.sin_port = htons(static_cast<uint16_t>(port));
    // A server that refuses may have reset the connection before connect returns.
    EXPECT_TRUE(connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 ||
                errno == ECONNRESET)
        << std::strerror(errno);
  }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;
  ~RawConnection() { close(socket_); }

  // False: the server has closed the connection, or takes nothing for half a minute.
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        bytes.remove_prefix(static_cast<size_t>(sent));
      } else if (errno != EAGAIN || !Await(POLLOUT)) {
        return false;
      }
    }
    return true;
  }
  // Whether nothing has come back, and the connection is open.
  [[nodiscard]] bool IsUnanswered() const {
    char byte = 0;
    return recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
  }
  // Until the server closes the connection, or for this long.
  void AwaitClosing(absl::Duration time) const {
    pollfd waiting = {socket_, POLLIN, 0};
    poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(time)));
  }
  // Everything until the server closes the connection.
  std::string ReadToEnd() {
    std::string all;
    char bytes[4096];
    while (Await(POLLIN)) {
      const ssize_t got = recv(socket_, bytes, sizeof(bytes), 0);
      if (got <= 0) {
        return all;
      }
      all.append(bytes, static_cast<size_t>(got));
    }
    ADD_FAILURE() << "the connection stays open; so far came: " << all;
    return all;
  }

 private:
  bool Await(int16_t event) const {
    constexpr int kPatienceMilliseconds = 30'000;
    pollfd waiting = {socket_, event, 0};
    return poll(&waiting, 1, kPatienceMilliseconds) == 1;
  }

  const int socket_;
};

}  // namespace wattle::http

#endif  // WATTLE_BASE_HTTP_TESTING_RAW_CONNECTION_FOR_TEST_H_
