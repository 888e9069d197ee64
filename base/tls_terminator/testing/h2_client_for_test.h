// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
//
// For tests: a client that sends whatever bytes within TLS, as a client of HTTP/2 that shows the
// certificate it is given, or none.
#ifndef WATTLE_BASE_TLS_TERMINATOR_TESTING_H2_CLIENT_FOR_TEST_H_
#define WATTLE_BASE_TLS_TERMINATOR_TESTING_H2_CLIENT_FOR_TEST_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/tls/credentials.h"
#include "base/unique_descriptor.h"

namespace wattle {

class H2Client {
 public:
  // address: 127.0.0.1:PORT. own: empty paths: shows no certificate. protocol: of ALPN, after its
  // length; empty: none is named.
  explicit H2Client(const std::string& address, const tls::CertificateFiles& own = {},
                    absl::string_view protocol = "\x02h2")
      : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
        context_(SSL_CTX_new(TLS_client_method())) {
    std::signal(SIGPIPE, SIG_IGN);
    SetPatience(absl::Seconds(30));  // A test that waits longer has failed.
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    to.sin_port = htons(static_cast<uint16_t>(port));
    if (!own.chain_path.empty()) {
      EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context_, own.chain_path.c_str()), 1);
      EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_, own.key_path.c_str(), SSL_FILETYPE_PEM), 1);
    }
    connection_ = SSL_new(context_);
    SSL_set_fd(connection_, socket_.get());
    SSL_set_alpn_protos(connection_, reinterpret_cast<const unsigned char*>(protocol.data()),
                        static_cast<unsigned>(protocol.size()));
    is_open_ = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0 &&
               SSL_connect(connection_) == 1;
  }
  ~H2Client() {
    SSL_free(connection_);
    SSL_CTX_free(context_);
    ERR_clear_error();
  }
  H2Client(const H2Client&) = delete;
  H2Client& operator=(const H2Client&) = delete;

  // Limits each wait for the server.
  void SetPatience(absl::Duration patience) {
    const timeval wait = absl::ToTimeval(patience);
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
  }
  // False: the server has closed the connection, or takes nothing.
  bool Send(absl::string_view bytes) {
    is_open_ = is_open_ && SSL_write(connection_, bytes.data(), static_cast<int>(bytes.size())) > 0;
    return is_open_;
  }
  // Returns what the server sends next; empty: it has closed the connection.
  std::string Read() {
    std::array<char, 16384> bytes = {};
    const int got = is_open_ ? SSL_read(connection_, bytes.data(), bytes.size()) : 0;
    is_open_ = got > 0;
    return {bytes.data(), static_cast<size_t>(std::max(got, 0))};
  }
  // Reads until the server closes the connection. False: it does not.
  bool IsClosed() {
    while (!Read().empty()) {
    }
    return SSL_get_error(connection_, -1) != SSL_ERROR_WANT_READ;
  }

 private:
  UniqueDescriptor socket_;
  SSL_CTX* const context_;
  SSL* connection_ = nullptr;
  bool is_open_ = false;
};

}  // namespace wattle

#endif  // WATTLE_BASE_TLS_TERMINATOR_TESTING_H2_CLIENT_FOR_TEST_H_
