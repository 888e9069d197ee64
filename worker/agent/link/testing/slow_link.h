// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a TCP link between this machine's ports on which every byte arrives late, as over a
// satellite.
#ifndef WATTLE_WORKER_AGENT_LINK_TESTING_SLOW_LINK_H_
#define WATTLE_WORKER_AGENT_LINK_TESTING_SLOW_LINK_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"

#include "base/check.h"
#include "base/clock.h"

namespace wattle::agent {

// Carries connections to 127.0.0.1:port(), each byte `delay` late in each direction.
class SlowLink {
 public:
  SlowLink(int server_port, absl::Duration delay) : server_port_(server_port), delay_(delay) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = Local(0);
    WATTLE_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0,
                 "127.0.0.1 has a free port");
    socklen_t length = sizeof(address);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    WATTLE_CHECK(listen(listener_, 8) == 0, "the port is ours");
    thread_ = std::thread([this] { Run(); });
  }
  ~SlowLink() {
    stopping_ = true;
    thread_.join();
    for (const Pipe& pipe : pipes_) {
      close(pipe.from);  // each descriptor is the beginning of one pipe
    }
    close(listener_);
  }
  SlowLink(const SlowLink&) = delete;
  SlowLink& operator=(const SlowLink&) = delete;

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] int connections() const { return connections_; }  // that were ever opened

 private:
  struct Piece {
    Monotonic due;
    std::string bytes;
  };
  struct Pipe {  // one direction of a connection
    int from = -1;
    int to = -1;
    bool ended = false;
    std::deque<Piece> under_way{};
  };

  static sockaddr_in Local(int port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void Run() {
    while (!stopping_) {
      std::vector<pollfd> wanted = {{listener_, POLLIN, 0}};
      for (const Pipe& pipe : pipes_) {
        wanted.push_back({pipe.ended ? -1 : pipe.from, POLLIN, 0});
      }
      poll(wanted.data(), wanted.size(), 5);
      for (size_t i = 0; i < pipes_.size(); ++i) {
        if (wanted[i + 1].revents != 0) {
          Receive(pipes_[i]);
        }
        Deliver(pipes_[i]);
      }
      if (wanted[0].revents != 0) {
        Accept();
      }
    }
  }
  void Accept() {
    const int client = accept(listener_, nullptr, nullptr);
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = Local(server_port_);
    WATTLE_CHECK(connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0,
                 "the server listens");
    pipes_.push_back({.from = client, .to = server});
    pipes_.push_back({.from = server, .to = client});
    ++connections_;
  }
  void Receive(Pipe& pipe) {
    std::array<char, 65536> buffer = {};
    const ssize_t size = recv(pipe.from, buffer.data(), buffer.size(), 0);
    pipe.ended = size <= 0;
    pipe.under_way.push_back(
        {Clock::Real().Boottime() + delay_,
         size <= 0 ? "" : std::string(buffer.data(), static_cast<size_t>(size))});
  }
  static void Deliver(Pipe& pipe) {
    while (!pipe.under_way.empty() && pipe.under_way.front().due <= Clock::Real().Boottime()) {
      const std::string bytes = std::move(pipe.under_way.front().bytes);
      pipe.under_way.pop_front();
      if (bytes.empty()) {
        shutdown(pipe.to, SHUT_WR);
      }
      for (size_t sent = 0; sent < bytes.size();) {
        const ssize_t size = send(pipe.to, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (size <= 0) {
          return;
        }
        sent += static_cast<size_t>(size);
      }
    }
  }

  const int server_port_;
  const absl::Duration delay_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  std::vector<Pipe> pipes_;
  std::thread thread_;
};

}  // namespace wattle::agent

#endif  // WATTLE_WORKER_AGENT_LINK_TESTING_SLOW_LINK_H_
