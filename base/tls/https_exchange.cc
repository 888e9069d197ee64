// Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
#include "base/tls/https_exchange.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/host_port.h"
#include "base/status_macros.h"
#include "base/tls/openssl_internal.h"
#include "base/unique_descriptor.h"

namespace wattle::tls {
namespace {

using ContextOwner = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using ConnectionOwner = std::unique_ptr<SSL, Freer<SSL_free>>;

constexpr size_t kAnswerBytesMax = size_t{256} << 10;
constexpr unsigned char kHttp11[] = "\x08http/1.1";  // ALPN's format (RFC 7301).
constexpr absl::string_view kCodeHeader = "wattle-status:";

absl::Status Late(const HttpsRequest& request) {
  return absl::DeadlineExceededError(
      absl::StrCat("no answer within ", absl::ToInt64Seconds(request.patience), " s"));
}

// Later calls on the socket wait no longer than until then.
absl::Status SetPatience(int socket, Monotonic deadline, const HttpsRequest& request) {
  const absl::Duration left = deadline - Clock::Real().Boottime();
  if (left <= absl::ZeroDuration()) {
    return Late(request);
  }
  const timeval wait = absl::ToTimeval(std::max(left, absl::Milliseconds(1)));
  (void)setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
  (void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  return absl::OkStatus();
}

absl::StatusOr<UniqueDescriptor> Dial(const HttpsRequest& request, Monotonic deadline) {
  WATTLE_ASSIGN_OR_RETURN(const HostPort to, ParseHostPort("address", request.address));
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found) != 0) {
    return absl::UnavailableError("unknown host name");
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, freeaddrinfo);
  int error = 0;
  for (const addrinfo* one = all.get(); one != nullptr; one = one->ai_next) {
    UniqueDescriptor socket(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.get() < 0) {
      error = errno;
      continue;
    }
    WATTLE_RETURN_IF_ERROR(SetPatience(socket.get(), deadline, request));
    if (connect(socket.get(), one->ai_addr, one->ai_addrlen) == 0) {
      return socket;
    }
    error = errno;
  }
  return error == EINPROGRESS ? Late(request)
                              : absl::UnavailableError(absl::AsciiStrToLower(std::strerror(error)));
}

std::string ChainOf(const SSL* connection) {
  const Bio pem(BIO_new(BIO_s_mem()));
  const STACK_OF(X509)* const chain = SSL_get_peer_cert_chain(connection);
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    PEM_write_bio_X509(pem.get(), sk_X509_value(chain, i));
  }
  return Written(pem.get());
}

absl::Status Send(const HttpsRequest& request, SSL* connection) {
  const std::string text = absl::StrCat(
      "POST ", request.path, " HTTP/1.1\r\nHost: ", request.address,
      "\r\nContent-Type: ", request.content_type, "\r\nContent-Length: ", request.body.size(),
      "\r\nConnection: close\r\n\r\n", request.body);
  return SSL_write(connection, text.data(), static_cast<int>(text.size())) ==
                 static_cast<int>(text.size())
             ? absl::OkStatus()
             : absl::UnavailableError("the connection was lost");
}

// Until the server closes the connection, as the request asks.
absl::StatusOr<std::string> ReadAll(const HttpsRequest& request, Monotonic deadline,
                                    SSL* connection) {
  std::string all;
  std::array<char, 4096> bytes = {};
  while (all.size() <= kAnswerBytesMax) {
    WATTLE_RETURN_IF_ERROR(SetPatience(SSL_get_fd(connection), deadline, request));
    const int got = SSL_read(connection, bytes.data(), static_cast<int>(bytes.size()));
    if (got <= 0) {
      if (SSL_get_error(connection, got) == SSL_ERROR_WANT_READ) {
        return Late(request);
      }
      return all;  // Also where the end is not announced: Content-Length says what is whole.
    }
    all.append(bytes.data(), static_cast<size_t>(got));
  }
  return absl::UnavailableError("the answer has no end");
}

absl::StatusOr<HttpsAnswer> Parse(absl::string_view text) {
  const size_t head_end = text.find("\r\n\r\n");
  if (text.empty()) {
    return absl::UnimplementedError("the connection was closed without an answer");
  }
  if (head_end == absl::string_view::npos || !absl::StartsWith(text, "HTTP/1.1 ")) {
    return absl::UnavailableError("what answers there does not speak HTTP/1.1");
  }
  HttpsAnswer answer;
  size_t length = 0;
  bool has_length = false;
  std::vector<absl::string_view> lines = absl::StrSplit(text.substr(0, head_end), "\r\n");
  const bool has_status = absl::SimpleAtoi(lines[0].substr(9, 3), &answer.status);
  for (const absl::string_view line : lines) {
    const std::string name = absl::AsciiStrToLower(line.substr(0, line.find(':') + 1));
    const absl::string_view value = absl::StripAsciiWhitespace(line.substr(name.size()));
    if (name == "content-length:") {
      has_length = absl::SimpleAtoi(value, &length);
    } else if (name == kCodeHeader && !absl::SimpleAtoi(value, &answer.code)) {
      answer.code = 0;
    }
  }
  answer.body = std::string(text.substr(head_end + 4));
  if (!has_status || !has_length || answer.body.size() != length) {
    return absl::UnavailableError("the connection was lost within the answer");
  }
  return answer;
}

}  // namespace

absl::StatusOr<HttpsAnswer> Exchange(
    const HttpsRequest& request,
    const std::function<absl::Status(const std::string& chain_pem)>& judge) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL.
  const Monotonic deadline = Clock::Real().Boottime() + request.patience;
  WATTLE_ASSIGN_OR_RETURN(const UniqueDescriptor socket, Dial(request, deadline));
  const ContextOwner context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1) {
    return Failed("TLS");
  }
  const ConnectionOwner connection(SSL_new(context.get()));
  if (connection == nullptr || SSL_set_fd(connection.get(), socket.get()) != 1 ||
      SSL_set_alpn_protos(connection.get(), kHttp11, sizeof(kHttp11) - 1) != 0) {
    return Failed("TLS");
  }
  WATTLE_RETURN_IF_ERROR(SetPatience(socket.get(), deadline, request));
  if (const int result = SSL_connect(connection.get()); result != 1) {
    const int error = SSL_get_error(connection.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      return Late(request);
    }
    const std::string why = Why();
    return error == SSL_ERROR_SYSCALL
               ? absl::UnavailableError("the connection was lost in the handshake of TLS")
               : absl::UnavailableError(absl::StrCat("no handshake of TLS 1.3: ", why));
  }
  WATTLE_RETURN_IF_ERROR(judge(ChainOf(connection.get())));
  WATTLE_RETURN_IF_ERROR(Send(request, connection.get()));
  absl::StatusOr<std::string> text = ReadAll(request, deadline, connection.get());
  ERR_clear_error();
  WATTLE_RETURN_IF_ERROR(text.status());
  return Parse(*text);
}

}  // namespace wattle::tls
